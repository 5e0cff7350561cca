"""The nightly example: `make nightly-local` as a newcomer runs it, and the commands of its README as printed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from account import make_items, make_users, wait_for
from examples_outside import copied
from test_movielens import OUTSIDE_MAKE

from tests.pages import Page

if TYPE_CHECKING:
    from account import Account

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
AWS_CLI = ROOT / ".cache" / "awscli" / "bin"
PAGE = Page("examples/nightly/README.md")
DEPLOY, LIST, RUN_NOW, PAUSE, RESUME, DESTROY = PAGE.commands


def test_demonstration_ends_with_what_was_exported_and_told() -> None:
    done = subprocess.run(
        ["make", "nightly-local"], cwd=ROOT, env=OUTSIDE_MAKE, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, last = done.stdout.rpartition("\nMetrics, of all that was told")
    exported = re.search(r"Exported  (\d+) times, unattended; 1 of them at the second attempt\n", last)
    assert exported
    assert int(exported[1]) >= 6  # a slow machine takes longer than a minute, in which the schedule fires again
    assert f"Told      {int(exported[1]) + 1} events; mails: 1 failed export, 6 silence alarms\n" in last
    assert "quotes and line breaks of the reason arrived unharmed\n" in last
    assert "Checked   every row and column" in last
    assert max(map(len, last.splitlines())) <= 80


def test_commands_of_its_readme_deploy_run_pause_resume_and_remove_every_export(
    account: Account, tmp_path: Path
) -> None:
    assert (AWS_CLI / "aws").exists(), "the AWS CLI is missing: `make e2e` installs it"
    make_items(account.aws)
    make_users(account.aws)
    folder, environment = copied("nightly", tmp_path, account.aws)
    environment["PATH"] = os.pathsep.join([environment["PATH"], str(AWS_CLI)])

    def run_alone(*commands: str) -> None:
        script = "\n".join(["set -eux", *commands])
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def run(*commands: str) -> None:
        run_alone(LIST, *commands)

    run_alone(DEPLOY)

    def finished() -> int:
        return sum(job["status"] == "ACTIVE" for job in account.jobs())

    run(RUN_NOW)
    wait_for(lambda: finished() == 3, seconds=60)
    scheduler = account.aws.client("scheduler")
    run(PAUSE)
    assert {one["State"] for one in scheduler.list_schedules()["Schedules"]} == {"DISABLED"}
    account.aws.advance_clock(86400)
    run(PAUSE, RESUME)  # in one shell, as the first defines what the second uses
    assert {one["State"] for one in scheduler.list_schedules()["Schedules"]} == {"ENABLED"}
    assert len(account.jobs()) == 3
    account.aws.advance_clock(86400)
    wait_for(lambda: finished() == 6, seconds=60)

    run_alone(DESTROY)
    stacks = account.aws.client("cloudformation").list_stacks(StackStatusFilter=["DELETE_COMPLETE"])
    assert "Nightly" in {stack["StackName"] for stack in stacks["StackSummaries"]}
