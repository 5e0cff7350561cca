"""Which job is joined, which is started and which is left alone."""

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from cdk_personalize_export.handler import identity
from cdk_personalize_export.handler.errors import RefusedError
from cdk_personalize_export.handler.jobs import Job, Jobs, decide, read_job, require_ours
from cdk_personalize_export.handler.log import Log
from cdk_personalize_export.handler.outbound import NoAnswerError
from cdk_personalize_export.handler.properties import Export, read_export
from cdk_personalize_export.handler.waiting import Demand, TimeBudget
from tests.unit.handler.world import START, FakeOutbound, event

ID = "Shop-Interactions-i6ny2thb662y"
ARN = f"arn:aws:personalize:us-east-1:123456789012:dataset-export-job/{ID}"
THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def export(name: str = "create", **properties: object) -> Export:
    found = event(name, "https://host/answer", **properties)
    return read_export(found["StackId"], found["ResourceProperties"])


def described(status: str, name: str = ID, when: datetime = THEN, **changes: Any) -> dict[str, Any]:
    path = f"s3://exports/shop/{name}/"
    return {
        "jobName": name,
        "datasetExportJobArn": ARN.replace(ID, name),
        "datasetArn": "arn:aws:personalize:us-east-1:123456789012:dataset/shop/INTERACTIONS",
        "ingestionMode": "ALL",
        "roleArn": "arn:aws:iam::123456789012:role/export",
        "status": status,
        "jobOutput": {"s3DataDestination": {"path": path}},
        "creationDateTime": when,
        "lastUpdatedDateTime": when,
        **changes,
    }


def job(status: str, seconds: float | None = 0, **changes: Any) -> Job:
    found = read_job(described(status, **changes), ARN)
    return found._replace(updated=None if seconds is None else THEN + timedelta(seconds=seconds))


STATES = st.sampled_from(["CREATE PENDING", "CREATE IN_PROGRESS", "ACTIVE", "CREATE FAILED", "SOMETHING NEW", ""])
ATTEMPTS = st.lists(st.builds(job, STATES, st.none() | st.integers(-9, 9)), max_size=6)


def test_the_first_request_starts_the_first_attempt() -> None:
    assert decide([], START) == 1


@pytest.mark.parametrize("status", ["CREATE PENDING", "CREATE IN_PROGRESS", "ACTIVE", "SOMETHING NEW"])
def test_a_job_that_has_not_failed_is_joined(status: str) -> None:
    assert decide([job(status)], START) == job(status)


def test_the_first_attempt_that_has_not_failed_is_joined_whatever_comes_after_it() -> None:
    attempts = [job("CREATE FAILED", -20), job("ACTIVE"), job("CREATE PENDING"), job("CREATE FAILED", -1)]
    assert decide(attempts, START) == attempts[1]


def test_a_failure_from_before_the_request_is_followed_by_the_next_attempt() -> None:
    assert decide([job("CREATE FAILED", -20), job("CREATE FAILED", -1)], START) == 3


@pytest.mark.parametrize("seconds", [0, 1, None])
def test_a_failure_within_the_request_is_its_answer(seconds: float | None) -> None:
    newest = job("CREATE FAILED", seconds)
    assert decide([job("CREATE FAILED", -20), newest], START) == newest


@given(ATTEMPTS)
def test_nothing_is_started_beside_a_job_that_may_still_write(attempts: list[Job]) -> None:
    decision = decide(attempts, START)
    if isinstance(decision, int):
        assert decision == len(attempts) + 1
        assert all(attempt.status == "CREATE FAILED" for attempt in attempts)
        assert not attempts or attempts[-1].failed_before(START)
    else:
        assert decision in attempts


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"datasetArn": "arn:other"},
            "dataset arn:other, not arn:aws:personalize:us-east-1:123456789012:dataset/shop/",
        ),
        ({"ingestionMode": "PUT"}, "ingestion mode PUT, not ALL"),
        (
            {"jobOutput": {"s3DataDestination": {"path": "s3://other/"}}},
            "output path s3://other, not s3://exports/shop/",
        ),
        (
            {"jobOutput": {"s3DataDestination": {"path": f"s3://exports/shop/{ID}/", "kmsKeyArn": "arn:key"}}},
            "key arn:key, not none",
        ),
    ],
)
def test_a_job_of_another_purpose_is_never_ours(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(RefusedError) as raised:
        require_ours(job("ACTIVE", **changes), export())
    assert text in str(raised.value)
    assert str(raised.value).startswith(f"The dataset export job {ID} is not this export: ")
    assert str(raised.value).endswith("It is left alone. Fix: change job_name_prefix or generation.")


def test_everything_that_tells_a_job_of_another_purpose_is_listed() -> None:
    with pytest.raises(
        RefusedError, match=r": ingestion mode PUT, not ALL; key none, not arn:aws:kms:.*/k\. It is left"
    ):
        require_ours(job("ACTIVE", ingestionMode="PUT"), export(KmsKeyArn="arn:aws:kms:us-east-1:123456789012:key/k"))


def test_a_job_without_the_key_we_asked_for_is_not_ours() -> None:
    with pytest.raises(RefusedError, match="key none, not arn:aws:kms"):
        require_ours(job("ACTIVE"), export(KmsKeyArn="arn:aws:kms:us-east-1:123456789012:key/k"))


def test_what_describe_leaves_out_proves_nothing() -> None:
    bare = read_job({"status": "ACTIVE"}, ARN)
    require_ours(bare, export("create-full"))
    assert (bare.name, bare.arn, bare.over) == (ID, ARN, True)
    assert read_job({}, ARN) == Job(ID, ARN, "", "", "", "", "", "", None, None, "")


def test_what_describe_says_of_name_and_arn_goes_before_what_was_asked_for() -> None:
    found = read_job({"jobName": "other", "datasetExportJobArn": "arn:other"}, ARN)
    assert (found.name, found.arn) == ("other", "arn:other")


def test_every_attribute_is_always_there() -> None:
    assert read_job({}, ARN).attributes() == {
        "JobName": ID,
        "DatasetExportJobArn": ARN,
        "DatasetArn": "",
        "IngestionMode": "",
        "RoleArn": "",
        "OutputPath": "",
        "KmsKeyArn": "",
        "Status": "",
        "CreationDateTime": "",
        "LastUpdatedDateTime": "",
        "FailureReason": "",
    }


def test_times_are_told_in_utc_wherever_the_function_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = THEN.astimezone(timezone(timedelta(hours=9)))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert job("ACTIVE", creationDateTime=elsewhere).attributes()["CreationDateTime"] == "2026-01-02T03:04:05Z"
    finally:
        monkeypatch.undo()
        time.tzset()


class Stubbed(FakeOutbound):
    """Gives one client whose answers a Stubber checks against the service model."""

    def __init__(self) -> None:
        super().__init__()
        self.made = boto3.client(
            "personalize", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.stubber = Stubber(self.made)

    def client(self, service: str, region: str | None = None) -> Any:
        assert (service, region) == ("personalize", "us-east-1")
        return self.made

    def jobs(self) -> Jobs:
        log = Log(self, {})
        return Jobs(TimeBudget(self, log, lambda: 900.0, self.time + 3360, Demand(START)), ARN)

    def missing(self, name: str = ID) -> None:
        arn = ARN.replace(ID, name)
        self.stubber.add_client_error(
            "describe_dataset_export_job", "ResourceNotFoundException", expected_params={"datasetExportJobArn": arn}
        )

    def shows(self, status: str, name: str = ID, **changes: Any) -> None:
        self.stubber.add_response(
            "describe_dataset_export_job",
            {"datasetExportJob": described(status, name, **changes)},
            {"datasetExportJobArn": ARN.replace(ID, name)},
        )


def test_a_job_is_created_with_everything_it_was_asked_for() -> None:
    outbound = Stubbed()
    wanted = export("create-full")
    outbound.missing(wanted.physical_id)
    outbound.stubber.add_response(
        "create_dataset_export_job",
        {"datasetExportJobArn": ARN},
        {
            "jobName": wanted.physical_id,
            "datasetArn": "arn:aws:personalize:us-east-1:123456789012:dataset/shop/INTERACTIONS",
            "ingestionMode": "ALL",
            "roleArn": "arn:aws:iam::123456789012:role/export",
            "jobOutput": {
                "s3DataDestination": {
                    "path": f"s3://exports/shop/{wanted.physical_id}/",
                    "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
                }
            },
            "tags": [{"tagKey": "team", "tagValue": "shop"}],
        },
    )
    target = {"path": wanted.output_path(wanted.physical_id), "kmsKeyArn": wanted.kms_key_arn}
    outbound.shows("ACTIVE", wanted.physical_id, jobOutput={"s3DataDestination": target})
    with outbound.stubber:
        assert outbound.jobs().start_or_join(wanted, START).status == "ACTIVE"
        outbound.stubber.assert_no_pending_responses()


def test_a_name_taken_by_an_attempt_that_failed_long_ago_leads_to_the_next() -> None:
    outbound = Stubbed()
    long_ago = THEN - timedelta(days=1)
    outbound.missing()  # not visible for a moment
    outbound.stubber.add_client_error("create_dataset_export_job", "ResourceAlreadyExistsException")
    outbound.shows("CREATE FAILED", when=long_ago)
    outbound.shows("CREATE FAILED", when=long_ago)
    outbound.missing(f"{ID}-2")
    outbound.stubber.add_response("create_dataset_export_job", {"datasetExportJobArn": f"{ARN}-2"})
    outbound.shows("CREATE PENDING", f"{ID}-2")
    with outbound.stubber:
        assert outbound.jobs().start_or_join(export(), START).name == f"{ID}-2"
        outbound.stubber.assert_no_pending_responses()
    assert outbound.sleeps == [2, pytest.approx(2.05)]


@pytest.mark.parametrize(
    ("created", "sleeps"), [(None, [2.05, 2.05]), (THEN - timedelta(hours=1), [pytest.approx(37.925)] * 2)]
)
def test_a_job_is_polled_by_its_age_or_by_how_long_it_has_been_followed(
    created: datetime | None, sleeps: list[float]
) -> None:
    outbound = Stubbed()
    times: dict[str, Any] = {} if created is None else {"creationDateTime": created}
    for status in ("CREATE IN_PROGRESS", "ACTIVE"):
        shown = {key: value for key, value in described(status).items() if key != "creationDateTime"}
        outbound.stubber.add_response("describe_dataset_export_job", {"datasetExportJob": {**shown, **times}})
    with outbound.stubber:
        running = read_job({"status": "CREATE PENDING", **times}, ARN)
        assert outbound.jobs().follow(running).status == "ACTIVE"
    assert outbound.sleeps == pytest.approx(sleeps)


def test_the_last_attempt_a_name_has_room_for_is_made() -> None:
    outbound = Stubbed()
    outbound.stubber.add_response("create_dataset_export_job", {"datasetExportJobArn": f"{ARN}-9999"})
    outbound.shows("CREATE PENDING", f"{ID}-9999")
    with outbound.stubber:
        assert outbound.jobs()._begin(export(), identity.LAST_ATTEMPT).name == f"{ID}-9999"


def test_attempts_end_where_the_name_is_full() -> None:
    outbound = Stubbed()
    with pytest.raises(RefusedError, match=r"All 9999 attempts have failed. Fix: change the generation."):
        outbound.jobs()._begin(export(), identity.LAST_ATTEMPT + 1)


def test_no_more_attempts_are_looked_at_than_a_name_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "LAST_ATTEMPT", 2)
    outbound = Stubbed()
    outbound.shows("CREATE FAILED")
    outbound.shows("CREATE FAILED", f"{ID}-2")
    with outbound.stubber:
        assert len(list(outbound.jobs().attempts(ID))) == 2


@pytest.mark.parametrize("looked_at", ["a job", "no job"])
@pytest.mark.parametrize(("reason", "ahead"), [("no", 60.0), ("no", -60.0), ("", 60.0)])
def test_moments_are_compared_by_the_clock_of_personalize_three_seconds_apart(
    looked_at: str, reason: str, ahead: float
) -> None:
    outbound = FakeOutbound()
    outbound.ahead["personalize"] = ahead
    outbound.personalize.add(ID, created=START - 200, reason=reason)
    jobs = Jobs(TimeBudget(outbound, Log(outbound, {}), lambda: 900.0, START + 3360, Demand(START)), ARN)
    found = jobs.describe(ARN)
    if looked_at == "no job":  # the clock is in a refusal, too
        jobs = Jobs(TimeBudget(outbound, Log(outbound, {}), lambda: 900.0, START + 3360, Demand(START)), ARN)
        assert jobs.describe(f"{ARN}-2") is None
    assert found is not None
    ended = START - 100 - ahead  # by our clock, a hundred seconds after it began
    assert [jobs.ended_before(found, ended + later) for later in (2.9, 3.1)] == [False, True]
    assert [jobs.failed_before(found, ended + later) for later in (2.9, 3.1)] == [False, bool(reason)]
    assert jobs.since_end(found) == outbound.time - ended
    assert jobs.since_end(found._replace(updated=None)) == 0


def test_without_a_look_both_clocks_are_the_same() -> None:
    jobs = Stubbed().jobs()
    failed = job("CREATE FAILED", seconds=0)
    assert [jobs.failed_before(failed, START + later) for later in (2.9, 3.1)] == [False, True]


def test_a_job_took_as_long_as_both_its_times_say() -> None:
    took = job("ACTIVE", seconds=10)
    assert took.seconds == 10
    assert job("ACTIVE", seconds=-10).seconds == 0
    assert [one.seconds for one in (took._replace(created=None), took._replace(updated=None))] == [None, None]


def test_a_job_that_was_accepted_is_known_by_its_arn_before_it_is_seen() -> None:
    outbound = Stubbed()
    outbound.missing()
    outbound.stubber.add_client_error("create_dataset_export_job", "ResourceAlreadyExistsException")
    for _ in range(40):
        outbound.missing()
    jobs = outbound.jobs()
    with outbound.stubber, pytest.raises(RefusedError, match="has not known the job"):
        jobs.start_or_join(export(), START)
    assert jobs.accepted_arn == ARN


def test_an_answer_without_a_job_is_named() -> None:
    outbound = Stubbed()
    outbound.stubber.add_response("describe_dataset_export_job", {})
    with outbound.stubber, pytest.raises(NoAnswerError, match=r"^DescribeDatasetExportJob answered without the job$"):
        outbound.jobs().describe(ARN)
