"""Waiting for real: hand-over, links and turns, scaled down by overriding the template, with IAM enforced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from personalize_local import Settings

if TYPE_CHECKING:
    from account import Account

pytestmark = pytest.mark.e2e
APP = "tests/e2e/apps/waiting.py"


@pytest.mark.parametrize("account", [Settings(job_seconds=20, resource_seconds=0)], indirect=True)
def test_job_longer_than_an_invocation_is_handed_over_at_least_twice(account: Account) -> None:
    deployed = account.deploy("--context", "timeout=10", app=APP)

    assert deployed.returncode == 0, deployed.stderr
    assert [job["status"] for job in account.jobs()] == ["ACTIVE"]
    assert sum("Handed over" in line for line in account.log_lines()) >= 2
    assert account.outputs("Waiting") == {"Status0": "ACTIVE"}


@pytest.mark.parametrize("account", [Settings(job_seconds=15, resource_seconds=0)], indirect=True)
def test_wait_over_the_limit_of_one_resource_goes_on_in_links(account: Account) -> None:
    deployed = account.deploy("--context", "max_wait_hours=3", "--context", "waits=6", app=APP)

    assert deployed.returncode == 0, deployed.stderr
    assert [job["status"] for job in account.jobs()] == ["ACTIVE"]
    assert account.outputs("Waiting") == {"Status0": "ACTIVE"}
    resources = account.aws.client("cloudformation").describe_stack_resources(StackName="Waiting")["StackResources"]
    types = [resource["ResourceType"] for resource in resources]
    assert types.count("Custom::PersonalizeDatasetExport") == 1 + 3


@pytest.mark.parametrize("account", [Settings(job_seconds=45, resource_seconds=0)], indirect=True)
def test_job_that_outlasts_every_link_fails_the_deployment_and_says_what_to_do(account: Account) -> None:
    failed = account.deploy(
        "--context", "timeout=10", "--context", "max_wait_hours=2", "--context", "waits=6", "--no-rollback", app=APP
    )

    assert failed.returncode != 0
    (job,) = account.jobs()
    text = " ".join(failed.stderr.split())
    assert job["datasetExportJobArn"] in text
    assert "it runs on in Amazon Personalize" in text
    assert "raise max_wait first" in text


@pytest.mark.parametrize("account", [Settings(job_seconds=8, resource_seconds=0, concurrent_jobs=5)], indirect=True)
def test_eight_exports_in_one_stack_wait_for_their_turn_when_the_quota_is_reached(account: Account) -> None:
    deployed = account.deploy("--context", "exports=8", "--context", "wait=false", app=APP)

    assert deployed.returncode == 0, deployed.stderr
    assert len(account.jobs()) == 8
    assert any("More than 5 resources with PENDING or IN_PROGRESS status" in line for line in account.log_lines())
