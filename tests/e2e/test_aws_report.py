"""`python -m tools.aws_report` against the local AWS: its answers are what the local AWS is set to do.

Everything the report is asked for is made by a real `cdk deploy` with IAM enforced, and is gone afterwards.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from account import SCHEMA, wait_for
from test_movielens import OUTSIDE_MAKE

from personalize_local import Fault, LocalAws, Settings
from tests.pages import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
PAGE = Page("docs/aws-report.md")
STACK = "personalize-export-report-"
GROUP, DATASET, SCHEMA_NAME = "acme-secret-shop", "acme-catalogue", "acme-catalogue-v2"
TITLES = ["Kumquat Lamp", "Zanzibar Chair", "Quokka Table"]
FIELDS = [
    {"name": "ITEM_ID", "type": "string"},
    {"name": "GENRES", "type": ["null", "string"], "categorical": True},
    {"name": "PRODUCT_TITLE", "type": "string"},
    {"name": "PRICE", "type": "float"},
]
PATIENCE_SECONDS = 600  # two deployments, on a busy machine
TICK_SECONDS = 700  # the schedule of the report is due within ten minutes


class Shop:
    """A local AWS with a dataset of items in it."""

    def __init__(self, aws: LocalAws, folder: Path) -> None:
        self.aws, self.folder = aws, folder
        personalize = aws.client("personalize")
        schema = json.dumps({**SCHEMA, "name": "Items", "fields": FIELDS})
        schema_arn = personalize.create_schema(name=SCHEMA_NAME, schema=schema)["schemaArn"]
        group_arn = personalize.create_dataset_group(name=GROUP)["datasetGroupArn"]
        wait_for(lambda: self._state(personalize.describe_dataset_group(datasetGroupArn=group_arn)) == "ACTIVE")
        self.dataset_arn: str = personalize.create_dataset(
            name=DATASET, schemaArn=schema_arn, datasetGroupArn=group_arn, datasetType="Items"
        )["datasetArn"]
        wait_for(lambda: self._state(personalize.describe_dataset(datasetArn=self.dataset_arn)) == "ACTIVE")
        items = [
            {"itemId": f"sku-{number}", "properties": json.dumps({"productTitle": title, "price": 9.5})}
            for number, title in enumerate(TITLES)
        ]
        aws.client("personalize-events").put_items(datasetArn=self.dataset_arn, items=items)

    @staticmethod
    def _state(described: dict[str, Any]) -> str:
        return str(next(value for name, value in described.items() if name != "ResponseMetadata")["status"])

    def start(self, *options: str, agrees: bool = True, dataset_arn: str = "") -> subprocess.Popen[str]:
        """Start a report as a user does."""
        command = [
            sys.executable, "-m", "tools.aws_report", dataset_arn or self.dataset_arn, *options,
            "--poll-seconds", "0.2", "--output", str(self.folder), *(["--yes"] if agrees else []),
        ]  # fmt: skip
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.aws.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def report(self, *options: str) -> tuple[int, str, dict[str, dict[str, Any]]]:
        """Make a report; returns the exit status, what was said, and the answers."""
        with self.start(*options) as process:
            said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        found = json.loads((self.folder / "aws-report.json").read_text(encoding="utf-8"))
        answers: dict[str, dict[str, Any]] = found["answers"]
        assert found["about"]["complete"] is (process.returncode == 0), said
        return process.returncode, said, answers

    def stacks(self) -> dict[str, str]:
        """Return the stacks of reports and their states."""
        found = self.aws.client("cloudformation").describe_stacks()["Stacks"]
        return {one["StackName"]: one["StackStatus"] for one in found if one["StackName"].startswith(STACK)}

    def buckets(self) -> list[str]:
        """Return the buckets there are, but for the CDK's own."""
        found = self.aws.client("s3").list_buckets()["Buckets"]
        return [bucket["Name"] for bucket in found if not bucket["Name"].startswith("cdk-")]

    def roles(self) -> list[str]:
        """Return the roles a report made."""
        found = self.aws.client("iam").list_roles()["Roles"]
        return [role["RoleName"] for role in found if role["RoleName"].startswith(STACK)]

    @contextmanager
    def passing_time(self) -> Iterator[None]:
        """Move the clock once the export is deployed, so that its schedule fires."""
        over = threading.Event()

        def move() -> None:
            while not over.wait(0.3):
                states = {name: state for name, state in self.stacks().items() if not name.endswith("-set-ups")}
                if "CREATE_COMPLETE" in states.values():
                    self.aws.advance_clock(TICK_SECONDS)
                    return

        mover = threading.Thread(target=move)
        mover.start()
        try:
            yield
        finally:
            over.set()
            mover.join()


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    settings: Settings = getattr(request, "param", Settings(job_seconds=0.5, resource_seconds=0.0))
    with LocalAws(iam=True, settings=settings) as aws:
        aws.bootstrap()
        yield Shop(aws, tmp_path / "report")


def assert_nothing_is_named(shop: Shop, said: str) -> None:
    """Check that neither form of the report holds a name, an id or a value of the run."""
    (bucket,) = shop.buckets()
    identity = next(word for word in said.split() if word.startswith(STACK)).removeprefix(STACK)[:8]
    for suffix in ("md", "json"):
        text = (shop.folder / f"aws-report.{suffix}").read_text(encoding="utf-8")
        for secret in (shop.aws.account, "arn:", "s3://", GROUP, DATASET, SCHEMA_NAME, bucket, identity, "sku-"):
            assert secret not in text, (suffix, secret)
        assert not [title for title in TITLES if title in text or title.partition(" ")[0] in text]
        assert f"export job/{identity}" not in text


def options_of(command: str) -> list[str]:
    """Return the options that a command of the page, run by make, passes on after the dataset."""
    dry = [*shlex.split(command), "--dry-run"]
    done = subprocess.run(dry, cwd=ROOT, env=OUTSIDE_MAKE, capture_output=True, text=True, check=True)
    words = shlex.split(done.stdout.splitlines()[-1])
    after = words[words.index("tools.aws_report") + 1 :]
    assert after[0] == "arn:aws:personalize:us-east-1:123456789012:dataset/shop/ITEMS"
    return after[1:]


def states(answer: dict[str, Any]) -> list[str]:
    return [seen.partition(" after ")[0] for seen in answer["states_seen"]]


@pytest.mark.parametrize(
    "shop",
    [
        Settings(
            job_seconds=2.0,
            resource_seconds=0.0,
            export_parts=3,
            concurrent_jobs=5,
            faults=(Fault("Job", match=r"job/report-\w+-quota-", times=0, seconds=10.0),),  # all of them at once
        )
    ],
    indirect=True,
)
def test_answers_are_what_the_local_aws_does_and_only_the_bucket_stays(shop: Shop) -> None:
    plain, _ = PAGE.commands
    with shop.passing_time():
        status, said, answers = shop.report(*options_of(plain), "--quota", "--probe-value")
    assert status == 0, said

    assert answers["export"].items() >= {"deployed": True, "ended": "ACTIVE"}.items()
    assert answers["export"]["seconds"] >= 2.0
    assert states(answers["export"])[-1] == "ACTIVE"
    assert answers["objects"] == {
        "data_objects": 2,  # four items, the made-up one among them, two to a part
        "data_object_names": ["<job name>/part-99999.csv"],
        "data_object_bytes": answers["objects"]["data_object_bytes"],
        "other_objects": 1,
        "other_object_names": ["_CHECK"],
        "check_object": True,
        "header": "in each object",
        "header_in_order_of_schema": True,
        "header_in_quotes": False,
    }
    assert answers["made_up_value"]["written"] == "in quotes, a backslash before quotes and backslashes"
    assert answers["bucket_policy"]["fails"] == "while it runs"
    assert answers["bucket_policy"]["text"].endswith("#attach-bucket-policy and fix bucket policy on <bucket>.")
    assert answers["role"] == {
        "fails": "when it is created",
        "text": "InvalidInputException: Amazon Personalize can't assume the role <iam ARN>. "
        "Check that it exists and that its trust policy allows personalize.amazonaws.com.",
    }
    assert answers["key"]["text"].startswith(
        "Insufficient privileges for using the KMS key <kms ARN>: <iam ARN> is not allowed "
    )
    assert answers["source_account"] == {"passes": True}
    assert answers["case"] == {"collide": False, "text": ""}
    assert answers["quota"] == {
        "accepted": 5,
        "refused_after_them": True,
        "text": "LimitExceededException: More than 5 resources with PENDING or IN_PROGRESS status.",
    }
    tick = answers["tick"]
    assert (tick["fired"], tick["jobs"], tick["names_the_scheduled_time"], tick["ended"]) == (True, 1, True, "ACTIVE")
    assert 0 <= tick["seconds_from_scheduled_time_to_job"] < TICK_SECONDS

    assert_nothing_is_named(shop, said)
    assert shop.stacks() == {}
    assert shop.roles() == []
    (bucket,) = shop.buckets()
    assert f"Stays: bucket {bucket}, with what was exported\n" in said
    assert "LEFT" not in said
    logs = shop.aws.client("logs").describe_log_groups()["logGroups"]
    assert not [group["logGroupName"] for group in logs if STACK in group["logGroupName"]]


@pytest.mark.parametrize(
    "shop",
    [
        Settings(
            job_seconds=0.3,
            resource_seconds=0.0,
            export_parts=1,
            export_check_object=False,
            export_backslash_escapes=False,
            concurrent_jobs=2,
            faults=(
                Fault("Job", match=r"job/report-\w+-strict", message="No source account on s3://acme-bucket/x."),
                Fault("Job", match=r"job/report-\w+-quota-", times=0, seconds=10.0),
            ),
        )
    ],
    indirect=True,
)
def test_answers_differ_when_the_local_aws_does(shop: Shop) -> None:
    _, with_options = PAGE.commands
    status, said, answers = shop.report(*options_of(with_options), "--probe-value", "--skip", "key", "--skip", "role")
    assert status == 0, said
    assert set(answers) == {"export", "objects", "made_up_value", "bucket_policy", "source_account", "case", "quota"}
    assert answers["quota"]["accepted"] == 2
    assert (answers["objects"]["data_objects"], answers["objects"]["check_object"]) == (1, False)
    assert answers["made_up_value"]["written"] == "in quotes, quotes doubled, backslash as it is"
    assert answers["source_account"]["passes"] is False
    assert answers["source_account"]["text"] == "No source account on <path>."
    assert_nothing_is_named(shop, said)
    assert shop.stacks() == {}


@pytest.mark.parametrize("shop", [Settings(job_seconds=4.0, resource_seconds=0.0)], indirect=True)
def test_ctrl_c_while_it_exports_removes_what_was_made(shop: Shop) -> None:
    only = [option for name in ("tick", "key", "role", "source-account", "case") for option in ("--skip", name)]
    with shop.start(*only) as process:
        jobs = shop.aws.client("personalize").list_dataset_export_jobs
        wait_for(lambda: jobs()["datasetExportJobs"], seconds=PATIENCE_SECONDS)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 128 + signal.SIGINT, said
    assert "stopped by SIGINT: removing what was made" in said
    assert "Traceback" not in said
    assert shop.stacks() == {}, said
    assert shop.roles() == []
    said_to_stay = re.findall(r"^Stays: bucket (\S+), ", said, re.MULTILINE)
    assert said_to_stay == shop.buckets()  # on AWS the one, while a rollback of the local AWS retains nothing
    assert "Stays: 1 export job, report-" in said
    assert "LEFT" not in said


def test_export_that_fails_is_reported_with_its_reason_and_the_rest_is_asked(shop: Shop) -> None:
    shop.aws.set_faults([Fault("Job", match=r"job/report-\w+-export-", message=f"Access to {GROUP} denied.", times=0)])
    only = [option for name in ("tick", "key", "role", "case") for option in ("--skip", name)]
    status, said, answers = shop.report(*only)
    assert answers["export"]["deployed"] is False
    assert answers["export"]["ended"] == "CREATE FAILED"
    assert answers["export"]["text"] == "Access to <dataset group> denied."
    assert answers["source_account"] == {"passes": True}
    assert status == 1, said
    assert shop.stacks() == {}


@pytest.mark.parametrize("answer", ["", "n\n", "maybe\n"])
def test_nothing_is_made_without_a_yes(shop: Shop, answer: str) -> None:
    with shop.start(agrees=False) as process:
        said, _ = process.communicate(answer, timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert said.splitlines()[-1] == "Nothing was made." or said.endswith("[y/N] Nothing was made.\n")
    assert "About what it costs" in said
    assert (shop.stacks(), shop.buckets()) == ({}, [])


def test_dataset_of_another_account_is_refused_before_anything_is_made(shop: Shop) -> None:
    foreign = shop.dataset_arn.replace(shop.aws.account, "123456789012")
    with shop.start(dataset_arn=foreign) as process:
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert said == (
        f"aws-report: the dataset belongs to account 123456789012 (aws), these credentials to account "
        f"{shop.aws.account} (aws). Fix: use credentials of the account of the dataset.\n"
    )
