"""The report on an account: what it says it will make, what it takes out of AWS's texts, and how answers are read."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.aws_report import questions
from tools.aws_report.__main__ import main
from tools.aws_report.account import check_caller, check_region
from tools.aws_report.jobs import Job
from tools.aws_report.plan import CAN_BE_SKIPPED, Dataset, Plan, UnusableError
from tools.aws_report.questions import MADE_UP, Part
from tools.aws_report.redact import Redactor, pattern, rounded
from tools.aws_report.report import markdown, write
from tools.aws_report.run import Run, Stopped
from tools.aws_report.stacks import ROOT, DeploymentError

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT, BUCKET, GROUP = "123456789012", "acme-lake-exports", "acme-shop"
DATASET = Dataset.parse(f"arn:aws:personalize:eu-west-1:{ACCOUNT}:dataset/{GROUP}/ITEMS")
COLUMNS = ["ITEM_ID", "TITLE", "PRICE"]
BEGAN = datetime(2026, 11, 26, 3, 0, tzinfo=timezone.utc)


def plan_of(**options: Any) -> Plan:
    return Plan.make(DATASET, **{"skip": frozenset(), "quota": False, "probe_value": False, **options})


def job(name: str = "report-0badc0de-export", status: str = "ACTIVE", seconds: float = 300, reason: str = "") -> Job:
    made = Job(name, f"arn:aws:personalize:eu-west-1:{ACCOUNT}:dataset-export-job/{name}")
    made.see(
        {
            "status": status,
            "creationDateTime": BEGAN,
            "lastUpdatedDateTime": BEGAN + timedelta(seconds=seconds),
            "jobOutput": {"s3DataDestination": {"path": f"s3://{BUCKET}/personalize/{name}/"}},
            **({"failureReason": reason} if reason else {}),
        }
    )
    return made


def refused(text: str) -> Job:
    return Job("report-0badc0de-case", refusal=text)


# -- before anything is made ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "shop",
        f"arn:aws:personalize:eu-west-1:{ACCOUNT}:dataset/shop/ACTIONS",
        f"arn:aws:personalize:eu-west-1:{ACCOUNT}:dataset-group/shop",
        f"arn:aws:personalize:eu-west-1:12345:dataset/shop/ITEMS",  # noqa: F541 - as the others
    ],
)
def test_what_is_no_dataset_that_can_be_exported_is_refused_in_one_line(
    arn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([arn] if arn else []) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"aws-report: {arn!r} is not the ARN of a dataset that can be exported. Allowed: "
        "arn:<partition>:personalize:<region>:<account>:dataset/<dataset group>/<INTERACTIONS|ITEMS|USERS>\n"
    )


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_credentials_of_the_account_of_the_dataset_are_taken_in_every_partition(partition: str) -> None:
    dataset = replace(DATASET, partition=partition)
    check_caller(dataset, {"Account": ACCOUNT, "Arn": f"arn:{partition}:iam::{ACCOUNT}:root"})


@pytest.mark.parametrize(
    ("account", "partition"), [("210987654321", "aws"), (ACCOUNT, "aws-cn")], ids=["account", "partition"]
)
def test_credentials_of_another_account_are_refused(account: str, partition: str) -> None:
    with pytest.raises(UnusableError) as refusal:
        check_caller(DATASET, {"Account": account, "Arn": f"arn:{partition}:iam::{account}:root"})
    assert str(refusal.value) == (
        f"the dataset belongs to account {ACCOUNT} (aws), these credentials to account {account} ({partition}). "
        "Fix: use credentials of the account of the dataset."
    )


def test_another_region_is_refused_and_none_is_that_of_the_dataset() -> None:
    check_region(DATASET, None)
    check_region(DATASET, "eu-west-1")
    with pytest.raises(UnusableError, match="Fix: set AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1"):
        check_region(DATASET, "us-east-1")


def test_made_up_value_needs_a_dataset_that_takes_single_records() -> None:
    interactions = replace(DATASET, type="INTERACTIONS")
    with pytest.raises(UnusableError, match="--probe-value is given for a dataset of type INTERACTIONS"):
        Plan.make(interactions, skip=frozenset(), quota=False, probe_value=True)


def test_every_name_carries_eight_random_characters_of_its_own() -> None:
    one, other = plan_of(), plan_of()
    assert one.identity != other.identity
    for plan in (one, other):
        assert len(plan.identity) == 8
        names = (plan.export_stack, plan.set_ups_stack, plan.job_name_prefix)
        assert all(plan.identity in name for name in names)
    assert len(f"{one.job_name_prefix}-tick") <= 31  # what the library takes for exports on a schedule


def test_plan_says_what_is_made_what_it_costs_and_what_stays() -> None:
    plan = plan_of()
    text = plan.text()
    assert f"stack {plan.export_stack}: a bucket, the export and its function, a schedule that fires once\n" in text
    assert f"stack {plan.set_ups_stack}: three buckets, roles and a KMS key" in text
    assert "\n  8 export jobs\n" in text  # one for each question, two for names that differ in case, one for the export
    assert "function  2 x 3 h at most x 0.006 = 0.036\n" in text
    assert "S3        2 x 0.023 = 0.046 a month for each GB" in text
    assert "KMS key   1.0 / 730 h x 3 h = 0.004\n" in text
    assert "in all    about 0.04, and S3\n" in text
    assert "the bucket of the first stack, with 2 copies of the dataset" in text
    assert "as long as 3 jobs one after another" in text
    assert "made-up" not in text


def test_plan_says_what_options_add_and_leave_out() -> None:
    more = plan_of(quota=True, probe_value=True).text()
    assert "8 export jobs, and up to 12 more until AWS refuses one" in more
    assert "one made-up record in the dataset" in more
    least = plan_of(skip=frozenset(CAN_BE_SKIPPED)).text()
    assert "\n  1 export job\n" in least
    assert "set-ups" not in least
    assert "KMS" not in least
    assert "schedule" not in least
    assert "1 copy of the dataset" in least


def test_make_passes_the_dataset_and_the_options_on() -> None:
    command = ["make", "--dry-run", "aws-report", f"DATASET={DATASET.arn}", "ARGS=--yes --quota"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f'python -m tools.aws_report "{DATASET.arn}" --yes --quota\n' in done.stdout


# -- what is taken out ---------------------------------------------------------------------------------------------

PRIVILEGES = (
    "Insufficient privileges for accessing data in S3. Please look at https://docs.aws.amazon.com/personalize/latest/dg/"
    "granting-personalize-s3-access.html#attach-bucket-policy and fix bucket policy on {bucket}."
)
QUOTA = "More than 5 resources with PENDING or IN_PROGRESS status."
REQUEST = "(Service: S3, Request ID: <request id>, <uuid>)"
KNOWN = {ACCOUNT: "<account>", BUCKET: "<name>", GROUP: "<dataset group>", "report-0badc0de": "<job>"}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (PRIVILEGES.format(bucket=BUCKET), PRIVILEGES.format(bucket="<name>")),
        ("(Service: S3, Request ID: 7f.Ab+9=, 550e8400-e29b-41d4-a716-446655440000)", REQUEST),
        (
            f"User: arn:aws:sts::{ACCOUNT}:assumed-role/Admin/jane@example.com is not authorized: iam:PassRole",
            "User: <sts ARN> is not authorized: iam:PassRole",
        ),
        (f"Can't assume arn:aws-us-gov:iam::{ACCOUNT}:role/x/Own_1. Check it.", "Can't assume <iam ARN>. Check it."),
        (f"s3://{BUCKET}/personalize/report-0badc0de-key/, {ACCOUNT}", "<path>, <account>"),
        ("report-0badc0de-CASE is taken", "<job> is taken"),
        (f"of {GROUP}_old, not of {GROUP}s", "of <dataset group>, not of acme-shops"),
        (QUOTA, QUOTA),
    ],
)
def test_texts_of_aws_keep_their_words_and_lose_names_and_ids(text: str, redacted: str) -> None:
    assert Redactor(KNOWN).text(text) == redacted


WORDS = st.lists(st.sampled_from(["in", "(", ")", ",", " ", "arn:aws:s3:::", "/", "'", '"', "key", ".", "\n"]))


@given(WORDS, WORDS, st.sampled_from(sorted(KNOWN)))
def test_whatever_is_around_it_a_secret_that_stands_by_itself_goes(
    before: list[str], after: list[str], secret: str
) -> None:
    text = f"{''.join(before)} {secret} {''.join(after)}"
    assert secret not in Redactor(KNOWN).text(text)


def test_plain_data_is_redacted_to_the_last_text() -> None:
    found = {"text": f"on {BUCKET}", "names": [f"{GROUP}.csv"], "size": 3, "header": None, "fails": {"is": ACCOUNT}}
    assert Redactor(KNOWN).value(found) == {
        "text": "on <name>",
        "names": ["<dataset group>.csv"],
        "size": 3,
        "header": None,
        "fails": {"is": "<account>"},
    }


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("part-00000.csv", "part-99999.csv"),
        (
            "myjob/part-00017-550e8400-e29b-41d4-a716-446655440000-c000.csv.gz",
            "<job name>/part-99999-<uuid>-a999.csv.gz",
        ),
        ("_CHECK", "_CHECK"),
        ("Acme_Müller/2026-11-26T03/x.CSV", "Aaaa_Aaaaaa/9999-99-99A99/a.CSV"),
    ],
)
def test_names_of_objects_are_reduced_to_a_pattern(key: str, shape: str) -> None:
    assert pattern(key, "myjob") == shape


@pytest.mark.parametrize(("size", "about"), [(0, 0), (7, 7), (1234, 1000), (98_765, 100_000)])
def test_sizes_are_rounded_to_one_digit(size: int, about: int) -> None:
    assert rounded(size) == about


# -- the answers ---------------------------------------------------------------------------------------------------


def parts(*first_lines: str) -> list[Part]:
    prefix = "personalize/report-0badc0de-export/"
    return [Part(f"{prefix}part-{number:05}.csv", 1234, line) for number, line in enumerate(first_lines)]


def test_course_names_the_states_that_were_seen_and_how_long_it_took() -> None:
    seen = job(status="CREATE PENDING")
    seen.see({**seen.fields, "status": "ACTIVE"})
    assert questions.course(seen) == {
        "ended": "ACTIVE",
        "states_seen": ["CREATE PENDING after 0 s", "ACTIVE after 0 s"],
        "seconds": 300.0,
    }


def test_objects_are_counted_and_data_is_told_from_the_rest() -> None:
    check = Part("personalize/report-0badc0de-export/_CHECK", 0)
    answer = questions.objects([check, *parts("ITEM_ID,TITLE,PRICE", "ITEM_ID,TITLE,PRICE")], job(), COLUMNS)
    assert answer == {
        "data_objects": 2,
        "data_object_names": ["part-99999.csv"],
        "data_object_bytes": [1000, 1000],
        "other_objects": 1,
        "other_object_names": ["_CHECK"],
        "check_object": True,
        "header": "in each object",
        "header_in_order_of_schema": True,
        "header_in_quotes": False,
    }


@pytest.mark.parametrize(
    ("lines", "header", "in_order", "quoted"),
    [
        (["ITEM_ID,TITLE,PRICE", "7,Acme,3"], "in 1 of 2 objects", False, False),
        (["7,Acme,3"], "in none", None, None),
        (["PRICE,ITEM_ID,TITLE"], "in each object", False, False),
        (['"ITEM_ID","TITLE","PRICE","CREATION_TIMESTAMP"'], "in each object", False, True),
    ],
)
def test_header_is_told_from_a_row(lines: list[str], header: str, in_order: bool | None, quoted: bool | None) -> None:  # noqa: FBT001 - parameters
    answer = questions.objects(parts(*lines), job(), COLUMNS)
    found = (answer["header"], answer["header_in_order_of_schema"], answer["header_in_quotes"])
    assert found == (header, in_order, quoted)
    assert "Acme" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ('"a ""quoted"" word, a back\\slash"', "in quotes, quotes doubled, backslash as it is"),
        ('"a \\"quoted\\" word, a back\\\\slash"', "in quotes, a backslash before quotes and backslashes"),
        ('"a \\"quoted\\" word, a back\\slash"', "in quotes, a backslash before quotes, backslash as it is"),
        (f'"{MADE_UP}"', "in quotes, nothing escaped"),
        (MADE_UP, "without quotes, nothing escaped"),
        ("a &quot;quoted&quot;", "in another form: report-0badc0de,a &quot;quoted&quot;,0"),
    ],
)
def test_form_of_the_made_up_value_is_named(written: str, form: str) -> None:
    lines = iter(["ITEM_ID,TITLE,PRICE", "7,Acme,3", f"report-0badc0de,{written},0"])
    assert questions.quoting(lines, "report-0badc0de") == {"found": True, "put": MADE_UP, "written": form}


def test_made_up_value_that_is_not_there_is_said() -> None:
    assert questions.quoting(iter(["7,Acme,3"]), "report-0badc0de") == {"found": False}


def test_failure_is_told_from_a_refusal_and_from_success() -> None:
    assert questions.refusal(refused("InvalidInputException: no")) == {
        "fails": "when it is created",
        "text": "InvalidInputException: no",
    }
    assert questions.refusal(job(status="CREATE FAILED", reason="no")) == {
        "fails": "while it runs",
        "seconds": 300.0,
        "text": "no",
    }
    assert questions.refusal(job()) == {"fails": "not at all", "text": ""}


def test_strict_condition_passes_only_when_the_job_succeeds() -> None:
    assert questions.source_account(job()) == {"passes": True}
    assert questions.source_account(job(status="CREATE FAILED", reason="no"))["passes"] is False
    assert questions.source_account(refused("no")) == {"passes": False, "fails": "when it is created", "text": "no"}


def test_names_collide_when_the_second_is_refused() -> None:
    lower, upper = job("report-0badc0de-case"), job("report-0badc0de-CASE")
    assert questions.case(lower, upper) == {"collide": False, "text": ""}
    taken = "ResourceAlreadyExistsException: it exists"
    assert questions.case(lower, refused(taken)) == {"collide": True, "text": taken}


def test_quota_is_what_was_accepted_before_the_first_refusal() -> None:
    limit = "LimitExceededException: More than 5 resources with PENDING or IN_PROGRESS status."
    assert questions.quota([job(), job(), refused(limit)]) == {"accepted": 2, "refused_after_them": True, "text": limit}
    assert questions.quota([job(), job()]) == {"accepted": 2, "refused_after_them": False, "text": ""}


def test_tick_is_late_by_what_lies_between_its_time_and_the_job() -> None:
    found = job("report-0badc0de-tick-20261126T0259-abc", seconds=10)
    assert questions.tick([found], BEGAN - timedelta(seconds=60)) == {
        "fired": True,
        "jobs": 1,
        "names_the_scheduled_time": True,
        "seconds_from_scheduled_time_to_job": 60,
        "ended": "ACTIVE",
    }
    assert questions.tick([found], BEGAN)["names_the_scheduled_time"] is False


def test_made_up_record_fills_what_is_required_and_one_text() -> None:
    fields = [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": ["null", "string"], "categorical": True},
        {"name": "PRODUCT_TITLE", "type": ["null", "string"]},
        {"name": "NUMBER_OF_RATINGS", "type": "int"},
        {"name": "ADULT", "type": "boolean"},
        {"name": "PRICE", "type": ["null", "float"]},
    ]
    record = questions.record({"fields": fields}, "ITEMS", "report-0badc0de")
    assert record["itemId"] == "report-0badc0de"
    assert json.loads(record["properties"]) == {"productTitle": MADE_UP, "numberOfRatings": 0, "adult": False}


def test_dataset_without_a_text_takes_no_made_up_value() -> None:
    fields = [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": "int"}]
    with pytest.raises(ValueError, match="no text column but its id"):
        questions.record({"fields": fields}, "USERS", "report-0badc0de")


# -- removing what was made ----------------------------------------------------------------------------------------


class Failing:
    """In place of CloudFormation: nothing is ever deployed, and what becomes of a removal is told."""

    def __init__(self, *outcomes: str | BaseException) -> None:
        self.outcomes = list(outcomes)
        self.removed: list[tuple[str, bool]] = []

    def deploy(self, name: str, *_: object) -> None:
        raise DeploymentError(f"cdk deploy {name} ended with status 1, see above")

    def physical_ids(self, name: str, resource_type: str = "") -> set[str]:
        makes_it = not name.endswith("-set-ups") and resource_type == "AWS::S3::Bucket"
        return {BUCKET} if makes_it else set()

    def has_bucket(self, bucket: str) -> bool:
        return bucket == BUCKET

    def remove(self, name: str, *, empties_buckets: bool) -> str:
        self.removed.append((name, empties_buckets))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def run_with(stacks: Failing) -> Run:
    def no_client(*_: object, **__: object) -> None:
        return None

    account = SimpleNamespace(
        session=SimpleNamespace(client=no_client), client=no_client, schema={}, names=lambda: {ACCOUNT: "<account>"}
    )
    run = Run(plan_of(), account, 0.01)  # type: ignore[arg-type]  # all of it that is used
    run._stacks = stacks  # type: ignore[assignment]
    return run


def test_deployment_that_fails_is_followed_by_the_removal_of_both_stacks() -> None:
    stacks = Failing("", "")
    run = run_with(stacks)
    assert run.run() == 1
    assert stacks.removed == [(run.plan.export_stack, False), (run.plan.set_ups_stack, True)]
    assert run.left == []
    assert run.kept[0] == f"bucket {BUCKET}, with what was exported"


def test_stack_that_cannot_be_removed_is_named_with_the_reason_and_the_command() -> None:
    run = run_with(Failing("DELETE_FAILED: it is not empty", RuntimeError("no answer")))
    assert run.run() == 1
    fix = "aws cloudformation delete-stack --region eu-west-1 --stack-name"
    assert run.left == [
        f"stack {run.plan.export_stack} (DELETE_FAILED: it is not empty): {fix} {run.plan.export_stack}",
        f"stack {run.plan.set_ups_stack} (no answer): {fix} {run.plan.set_ups_stack}",
    ]


def test_second_ctrl_c_leaves_what_is_not_removed_yet_and_says_so() -> None:
    run = run_with(Failing("", Stopped(signal.SIGINT)))
    assert run.run() == 130
    (left,) = run.left
    assert left.startswith(f"stack {run.plan.set_ups_stack}, perhaps: aws cloudformation delete-stack ")
    assert run.kept == [f"bucket {BUCKET}, with what was exported"]


# -- the report ----------------------------------------------------------------------------------------------------


def test_report_is_written_to_be_read_and_to_be_compared(tmp_path: Path) -> None:
    found = {
        "about": {"version": "0.1.0", "left_out": [], "complete": True},
        "answers": {
            "case": {"collide": False, "text": ""},
            "objects": {"data_objects": 2, "data_object_names": ["part-9.csv", "a`b"], "header_in_quotes": None},
        },
    }
    paths = write(found, tmp_path / "new")
    assert [path.name for path in paths] == ["aws-report.md", "aws-report.json"]
    assert json.loads(paths[1].read_text(encoding="utf-8")) == found
    assert paths[0].read_text(encoding="utf-8") == markdown(found)
    assert markdown(found) == (
        "# Personalize dataset exports on AWS\n\n- version: `0.1.0`\n- left out: none\n- complete: yes\n\n"
        "## Two job names that differ in case only\n\n- collide: no\n- text: none\n\n"
        "## What it wrote\n\n- data objects: 2\n- data object names: `part-9.csv`, `a'b`\n- header in quotes: unknown\n"
    )
