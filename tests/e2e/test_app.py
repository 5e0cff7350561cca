"""The deployable app, deployed for real on the local AWS with IAM enforced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from personalize_local import Fault

if TYPE_CHECKING:
    from account import Account

pytestmark = pytest.mark.e2e


def test_life_of_an_export_from_create_to_destroy(account: Account) -> None:
    created = account.deploy()
    assert created.returncode == 0, created.stderr
    (first,) = account.jobs()
    assert first["status"] == "ACTIVE"
    assert first["ingestionMode"] == "ALL"
    assert first["datasetExportJobArn"] in created.stdout + created.stderr
    texts = account.objects(first["jobOutput"]["s3DataDestination"]["path"]).values()
    assert sorted({line for text in texts for line in text.splitlines()}) == [
        "1,0,1700000000",
        "1,1,1700000001",
        "1,2,1700000002",
        "USER_ID,ITEM_ID,TIMESTAMP",
    ]

    unchanged = account.deploy()
    assert unchanged.returncode == 0, unchanged.stderr
    assert "(no changes)" in unchanged.stdout + unchanged.stderr
    assert len(account.jobs()) == 1

    again = account.deploy("--context", "generation=2")
    assert again.returncode == 0, again.stderr
    assert [job["status"] for job in account.jobs()] == ["ACTIVE", "ACTIVE"]
    assert account.objects(first["jobOutput"]["s3DataDestination"]["path"])

    destroyed = account.cdk("destroy", "--force", "--context", f"dataset={account.dataset_arn}")
    assert destroyed.returncode == 0, destroyed.stderr
    assert len(account.jobs()) == 2
    for job in account.jobs():
        assert account.objects(job["jobOutput"]["s3DataDestination"]["path"]), "destroying the stack keeps the data"


def test_create_failed_update_and_rollback_make_two_jobs_never_three(account: Account) -> None:
    assert account.deploy().returncode == 0
    account.aws.set_faults([Fault(operation="Job", match="", error="", message="The disk of the exporter was full.")])

    failed = account.deploy("--context", "generation=2")

    assert failed.returncode != 0
    assert "The disk of the exporter was full." in failed.stderr
    jobs = account.jobs()
    assert [job["status"] for job in jobs] == ["ACTIVE", "CREATE FAILED"]
    assert jobs[1]["datasetExportJobArn"] in failed.stderr
    (stack,) = [
        stack
        for stack in account.aws.client("cloudformation").describe_stacks()["Stacks"]
        if stack["StackName"] != "CDKToolkit"
    ]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"

    repaired = account.deploy("--context", "generation=2")
    assert repaired.returncode == 0, repaired.stderr
    assert [job["status"] for job in account.jobs()] == ["ACTIVE", "CREATE FAILED", "ACTIVE"]


def test_failing_first_job_fails_the_deployment_with_its_reason_and_keeps_only_bucket_and_log(account: Account) -> None:
    account.aws.set_faults([Fault(operation="Job", match="", error="", message="No rows today.")])

    failed = account.deploy()

    assert failed.returncode != 0
    (job,) = account.jobs()
    assert "No rows today." in failed.stderr
    assert job["datasetExportJobArn"] in failed.stderr
    assert "X-Amz-Signature" not in failed.stdout + failed.stderr
    events = account.aws.client("cloudformation").describe_stack_events(StackName="PersonalizeExport")["StackEvents"]
    kept = {e["ResourceType"]: e["PhysicalResourceId"] for e in events if e["ResourceStatus"] == "DELETE_SKIPPED"}
    assert list(kept) == ["AWS::S3::Bucket", "AWS::Logs::LogGroup"]
    buckets = [bucket["Name"] for bucket in account.aws.client("s3").list_buckets()["Buckets"]]
    assert kept["AWS::S3::Bucket"] in buckets
    groups = account.aws.client("logs").describe_log_groups()["logGroups"]
    assert kept["AWS::Logs::LogGroup"] in [group["logGroupName"] for group in groups]
