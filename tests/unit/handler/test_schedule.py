"""What the handler does on a tick of a schedule, from the event to what is told."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk_personalize_export.handler import schedule
from cdk_personalize_export.handler.identity import LONGEST_TICK_PREFIX
from cdk_personalize_export.handler.index import door_of, handler
from cdk_personalize_export.handler.invocation import Invocation
from cdk_personalize_export.handler.properties import LONGEST_OUTPUT_PATH, MalformedError
from cdk_personalize_export.handler.schedule import StrandedError, handle, read_tick
from tests.unit.handler.world import (
    FUNCTION,
    OPERATIONS,
    START,
    AnswerServer,
    Context,
    Crash,
    FakeOutbound,
    Refusal,
    event,
    run,
    tick,
)

ID = "Shop-Nightly-20260102T0304-klr527mjk25m"
JOB = f"arn:aws:personalize:us-east-1:123456789012:dataset-export-job/{ID}"
CREATE, DESCRIBE, LIST = "CreateDatasetExportJob", "DescribeDatasetExportJob", "ListDatasetExportJobs"
SCHEDULED = START - 5  # 2026-01-02T03:04:00Z
MINUTE, HOUR = 60, 3600
DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/shop/INTERACTIONS"
OURS: dict[str, Any] = {
    "datasetArn": DATASET,
    "ingestionMode": "ALL",
    "roleArn": "arn:aws:iam::123456789012:role/export",
    "jobOutput": {"s3DataDestination": {"path": f"s3://exports/shop/{ID}/"}},
}
EARLIER = "Shop-Nightly-20260101T0304-aaaaaaaaaaaa"
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def at(moment: str, **properties: object) -> dict[str, Any]:
    found = tick(**properties)
    found["Tick"]["ScheduledTime"] = moment
    return found


def told(outbound: FakeOutbound) -> list[tuple[str, str]]:
    """What the log says of outcomes, and why."""
    lines = [line for line in outbound.lines if "jobArn" in line]
    assert {line["level"] for line in lines if line["outcome"] == "SUCCEEDED"} <= {"INFO"}
    assert {line["level"] for line in lines if line["outcome"] != "SUCCEEDED"} <= {"ERROR"}
    return [(line["outcome"], line["message"]) for line in lines]


def test_the_line_of_an_outcome_names_the_job_and_counts_the_attempt(outbound: FakeOutbound) -> None:
    Failing(outbound, times=1)
    run(outbound, tick())
    (line,) = [line for line in outbound.lines if line.get("outcome") == "SUCCEEDED"]
    assert (line["jobArn"], line["attempt"]) == (f"{JOB}-2", "2")


# -- the tick ---------------------------------------------------------------------------------------------------------


def test_a_tick_has_a_door_of_its_own_and_everything_else_is_a_request() -> None:
    assert door_of(tick()) is schedule.handle
    others: list[object] = [event("create", "https://host/"), {}, [], None, "Tick"]
    for other in others:
        assert door_of(other).__module__.endswith(".cloudformation")


def test_a_tick_is_the_same_wherever_the_function_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert read_tick(tick(), START).export.physical_id == ID
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_scheduled_time_makes_the_name_the_prefix_and_the_deadline() -> None:
    found = read_tick(tick(), START)
    assert found.export.physical_id == ID
    assert found.export.output_path(ID) == f"s3://exports/shop/{ID}/"
    assert found.deadline == SCHEDULED + 12 * HOUR


def test_one_moment_is_one_tick_however_it_is_written() -> None:
    texts = [
        "2026-01-02T03:04:00Z",
        "2026-01-02T03:04:00.123Z",
        "2026-01-02T04:04:00+01:00",
        "2026-01-01T22:34:00-04:30",
    ]
    assert {read_tick(at(text), START).export.physical_id for text in texts} == {ID}


def test_two_moments_of_one_minute_are_two_ticks() -> None:
    first, second = (read_tick(at(f"2026-01-02T03:04:0{n}Z"), START).export.physical_id for n in (0, 1))
    assert first != second
    assert first.rpartition("-")[0] == second.rpartition("-")[0]


def test_a_window_and_a_wait_move_the_deadline() -> None:
    found = tick(MaxWaitSeconds="600")
    found["Tick"]["WindowSeconds"] = "900"
    assert read_tick(found, START).deadline == SCHEDULED + 1500


@pytest.mark.parametrize("wait", ["43201", "999999999", None])
def test_no_tick_waits_longer_than_12_hours(wait: str | None) -> None:
    assert read_tick(tick(MaxWaitSeconds=wait), START).deadline == SCHEDULED + 12 * HOUR


def test_a_time_that_has_not_come_is_taken_for_now() -> None:
    assert read_tick(at("2086-01-02T03:04:00Z"), START).deadline == START + 12 * HOUR


def test_the_longest_prefix_leaves_room_for_every_attempt() -> None:
    longest = "x" * LONGEST_TICK_PREFIX
    bucket, folder = "b" * 63, "f" * 200
    room = LONGEST_OUTPUT_PATH - len(f"s3://{bucket}/") - 64
    found = read_tick(tick(JobNamePrefix=longest, Bucket=bucket, Prefix=folder[: room - 1] + "/"), START).export
    name = f"{found.physical_id}-9999"
    assert len(name) == 63
    assert len(found.output_path(name)) == LONGEST_OUTPUT_PATH
    with pytest.raises(MalformedError, match=r"Allowed: 192, as the job name is added"):
        read_tick(tick(JobNamePrefix=longest, Bucket=bucket, Prefix=folder[:room] + "/"), START)


def hostile() -> Iterator[tuple[str, Any, str]]:
    """Ticks that are none, and what is said of them."""
    yield (
        "no time",
        {**tick(), "Tick": {}},
        ("ScheduledTime is ''. Allowed: a time as 2026-11-25T03:00:00Z. Fix: pass <aws.scheduler.scheduled-time>."),
    )
    yield "a text", {**tick(), "Tick": "now"}, "ScheduledTime is ''."
    yield "nothing", {"Tick": None}, "ScheduledTime is ''."
    yield "an attribute", at("<aws.scheduler.scheduled-time>"), "ScheduledTime is '<aws.scheduler.scheduled-time>'."
    yield (
        "no such day",
        at("2026-02-30T03:00:00Z"),
        "ScheduledTime is '2026-02-30T03:00:00Z', and there is no such time. Allowed: a time as 2026-11-25T03:00:00Z.",
    )
    yield "other digits", at("2026-01-02T03:04:0\u0660Z"), "ScheduledTime is '2026-01-02T03:04:0\u0660Z'."
    yield "long ago", at("1026-01-02T03:04:00Z"), "ScheduledTime is '1026-01-02T03:04:00Z'."
    yield (
        "a window",
        {**tick(), "Tick": {**tick()["Tick"], "WindowSeconds": "86401"}},
        ("WindowSeconds is '86401'. Allowed: 0 to 86400. Fix: pass the window's length."),
    )
    yield (
        "no stack",
        {**tick(), "StackId": ""},
        "StackId is ''. Allowed: the ARN of the stack. Fix: pass <AWS::StackId>.",
    )
    yield (
        "no export",
        {**tick(), "Export": None},
        ("JobNamePrefix is ''. Allowed: 1 to 31 of a-z A-Z 0-9 _ -, not - or _ first. Fix: set job_name_prefix."),
    )
    yield "a list", {**tick(), "Export": ["x"]}, "JobNamePrefix is ''."
    yield "a long prefix", tick(JobNamePrefix="x" * 32), f"JobNamePrefix is '{'x' * 32}'. Allowed: 1 to 31"
    yield "retries", tick(RetryAttempts="11"), "RetryAttempts is '11'. Allowed: 0 to 10. Fix: set retry_attempts."
    yield "a dict", tick(Bucket={"Ref": "x"}, Prefix=["/"]), "Prefix is \"['/']\"."
    yield "a path", tick(DatasetArn="arn:aws:s3:::x"), "DatasetArn is 'arn:aws:s3:::x'. Allowed: the ARN of a dataset."
    yield "elsewhere", tick(DatasetArn=DATASET.replace("east-1", "west-2")), "a dataset of account 123456789012 in"
    yield "a bus", tick(EventBus="default"), "EventBus is 'default'. Allowed: the ARN of an event bus."
    yield (
        "a start",
        tick(TellStarted="yes"),
        ("TellStarted is 'yes'. Allowed: true, false. Fix: leave it to the construct."),
    )
    yield (
        "metrics",
        tick(Metrics="a\nb"),
        ("Metrics is 'a\\nb'. Allowed: text in one line. Fix: leave it to the construct."),
    )
    yield "tags", tick(Tags="x"), 'Tags is no list of {"Key", "Value"}.'


@pytest.mark.parametrize(("given", "text"), [pytest.param(*rest, id=name) for name, *rest in hostile()])
def test_what_is_no_tick_is_one_line_in_the_log_and_no_job(outbound: FakeOutbound, given: Any, text: str) -> None:
    assert run(outbound, given) == 1
    [line] = outbound.lines
    assert line["level"] == "ERROR"
    assert line["message"].startswith("The tick is not understood, so nothing is done: ")
    assert text in line["message"]
    assert outbound.personalize.calls == []
    assert outbound.bus.sent == []


def test_every_line_of_the_log_names_the_tick_and_the_first_says_what_it_became(outbound: FakeOutbound) -> None:
    run(outbound, tick(TellStarted=None, Metrics=None))
    names = {(line["scheduledTime"], line["exportId"]) for line in outbound.lines}
    assert names == {("2026-01-02T03:04:00Z", "Shop/Nightly")}
    first = outbound.lines[0]
    assert (first["level"], first["message"], first["physicalId"]) == ("INFO", "Received", ID)


def test_what_is_said_of_a_monstrous_tick_is_cut(outbound: FakeOutbound) -> None:
    run(outbound, at("x" * 5000))
    [line] = outbound.lines
    assert (len(line["message"]), len(line["scheduledTime"])) == (1000, 1000)


@pytest.mark.parametrize(("retries", "attempts"), [("0", 1), (None, 3), ("4", 5)])
def test_a_failed_job_is_tried_again_twice_unless_it_is_told_otherwise(
    outbound: FakeOutbound, retries: str | None, attempts: int
) -> None:
    outbound.personalize.reason = "The disk was full."
    run(outbound, tick(RetryAttempts=retries))
    assert len(outbound.personalize.jobs) == attempts


def test_a_tick_waits_whatever_its_export_says_and_has_no_window_by_default() -> None:
    found = tick(Wait="false")
    del found["Tick"]["WindowSeconds"]
    read = read_tick(found, START)
    assert (read.export.wait, read.deadline) == (True, SCHEDULED + 12 * HOUR)


def test_telling_keeps_two_seconds_of_the_invocation(outbound: FakeOutbound) -> None:
    """Tries come after 0, 1 and 3 s, and take half a second at least."""
    outbound.luck, outbound.bus.refusals = 0.0, ["ThrottlingException"] * 99
    outbound.personalize.refusals[CREATE] = [Refusal("TooManyTagsException")]
    run(outbound, tick(), seconds=5.6)
    assert len(outbound.bus.regions) == 3


def test_an_event_is_tried_for_half_a_minute(outbound: FakeOutbound) -> None:
    outbound.luck, outbound.bus.refusals = 0.0, ["ThrottlingException"] * 99
    outbound.personalize.refusals[CREATE] = [Refusal("TooManyTagsException")]
    run(outbound, tick())
    assert outbound.sleeps == [1, 2, 4, 8]  # another 15 would be over


@given(
    st.fixed_dictionaries(
        {"Tick": JSON | st.fixed_dictionaries({"ScheduledTime": JSON, "WindowSeconds": JSON})},
        optional={"Export": JSON, "StackId": JSON, "HandOver": JSON},
    )
)
def test_no_tick_raises_whatever_it_holds(given: dict[str, Any]) -> None:
    outbound = FakeOutbound()
    handle(Invocation(given, Context(outbound, 900), outbound))
    assert [line["level"] for line in outbound.lines] == ["ERROR"]
    assert len(outbound.lines[0]["message"]) <= 1000


@given(st.sampled_from(["Tick", "Export"]), st.data(), JSON)
def test_no_tick_raises_with_one_field_wrong(part: str, data: st.DataObject, value: Any) -> None:
    found = tick()
    found[part][data.draw(st.sampled_from(sorted(found[part])))] = value
    outbound = FakeOutbound()
    run(outbound, json.loads(json.dumps(found)))
    assert len(outbound.personalize.jobs) <= 1
    assert all("Traceback" not in str(line) for line in outbound.lines)


# -- one job for one time ---------------------------------------------------------------------------------------------


def test_a_tick_starts_one_job_waits_and_tells_it(outbound: FakeOutbound) -> None:
    assert run(outbound, tick()) == 1
    assert list(outbound.personalize.jobs) == [ID]
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED"]
    assert told(outbound) == [("SUCCEEDED", "The export succeeded")]


def test_the_entry_point_takes_ticks(outbound: FakeOutbound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdk_personalize_export.handler.index.OUTBOUND", outbound)
    handler(tick(), Context(outbound, 900))
    assert list(outbound.personalize.jobs) == [ID]


def test_a_tick_delivered_twice_makes_one_job_and_is_told_twice(outbound: FakeOutbound) -> None:
    run(outbound, tick())
    run(outbound, tick())
    assert outbound.personalize.count(CREATE) == 1
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED", "SUCCEEDED"]


def test_the_tick_of_another_time_makes_another_job(outbound: FakeOutbound) -> None:
    run(outbound, tick())
    outbound.time = START + 24 * HOUR
    run(outbound, at("2026-01-03T03:04:00Z"))
    assert [name[:26] for name in outbound.personalize.jobs] == [
        "Shop-Nightly-20260102T0304",
        "Shop-Nightly-20260103T0304",
    ]


def test_a_tick_asks_nobody_whether_it_is_wanted(outbound: FakeOutbound) -> None:
    outbound.personalize.seconds = 1000
    outbound.time = START + HOUR
    run(outbound, tick())
    assert outbound.stack.asked == []
    assert outbound.bus.outcomes[-1] == "SUCCEEDED"


def test_a_tick_that_comes_late_but_in_time_is_worked_on(outbound: FakeOutbound) -> None:
    outbound.time = SCHEDULED + 11.9 * HOUR
    run(outbound, tick())
    assert told(outbound) == [("SUCCEEDED", "The export succeeded")]


def test_a_tick_after_its_deadline_starts_nothing_and_says_so(outbound: FakeOutbound) -> None:
    outbound.time = SCHEDULED + 12 * HOUR
    run(outbound, tick())
    assert outbound.personalize.count(CREATE) == 0
    reason = "There was no dataset export job 720 min after the scheduled time: the tick reached the function too late"
    assert told(outbound) == [("TIMED_OUT", reason)]
    assert outbound.bus.details[0]["reason"] == reason
    assert "jobName" not in outbound.bus.details[0]


def test_a_tick_after_its_deadline_still_tells_of_the_job_it_has(outbound: FakeOutbound) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.time = SCHEDULED + 20 * HOUR
    run(outbound, tick())
    assert outbound.bus.outcomes == ["SUCCEEDED"]


def test_a_job_that_outlasts_the_wait_is_told_as_timed_out(outbound: FakeOutbound) -> None:
    outbound.personalize.seconds = HOUR
    run(outbound, tick(MaxWaitSeconds="600"))
    reason = (
        "The dataset export job is still CREATE IN_PROGRESS 10 min after the scheduled time; it runs on in Amazon "
        "Personalize, which can not stop a job"
    )
    assert told(outbound) == [("TIMED_OUT", reason)]
    assert outbound.bus.details[-1]["datasetExportJobArn"] == JOB


def test_hand_overs_reach_twelve_hours(outbound: FakeOutbound) -> None:
    outbound.personalize.seconds = 100 * HOUR
    assert run(outbound, tick()) == 52
    assert outbound.time == pytest.approx(SCHEDULED + 12 * HOUR, abs=5)
    assert outbound.personalize.count(CREATE) == 1
    assert outbound.bus.outcomes == ["STARTED", "TIMED_OUT"]


def test_a_quota_is_waited_for_until_the_deadline(outbound: FakeOutbound) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("LimitExceededException", "More than 5.")] * 5000
    run(outbound, tick(MaxWaitSeconds="7200"))
    reason = (
        "There was no dataset export job 120 min after the scheduled time: More than 5. (LimitExceededException from "
        "CreateDatasetExportJob)"
    )
    assert told(outbound) == [("TIMED_OUT", reason)]


def test_a_quota_that_gets_free_after_an_hour_is_used(outbound: FakeOutbound) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("LimitExceededException", "More than 5.")] * 150
    run(outbound, tick())
    assert outbound.time > START + HOUR / 2
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED"]


def test_a_refusal_is_told_as_failed_word_for_word_and_not_tried_again(outbound: FakeOutbound) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("TooManyTagsException", "Too many tags.")]
    run(outbound, tick())
    assert told(outbound) == [("FAILED", "Too many tags. (TooManyTagsException from CreateDatasetExportJob)")]
    assert outbound.bus.details[-1]["attempt"] == 0
    assert outbound.personalize.jobs == {}


def test_a_job_that_was_asked_for_and_is_never_seen_is_told_by_its_arn(outbound: FakeOutbound) -> None:
    outbound.personalize.lost[CREATE] = 1
    outbound.personalize.invisible_seconds = HOUR
    run(outbound, tick(MaxWaitSeconds="60"))
    reason = "The dataset export job was asked for, and has not been seen 60 s after the scheduled time"
    assert told(outbound) == [("TIMED_OUT", reason)]
    assert outbound.bus.details[-1]["datasetExportJobArn"] == JOB


def test_a_job_of_somebody_else_under_the_name_is_left_alone(outbound: FakeOutbound) -> None:
    outbound.personalize.add(ID, **{**OURS, "ingestionMode": "PUT"})
    run(outbound, tick())
    [(outcome, reason)] = told(outbound)
    assert (outcome, reason.startswith(f"The dataset export job {ID} is not this export")) == ("FAILED", True)


def test_a_failed_job_without_time_for_another_says_so(outbound: FakeOutbound) -> None:
    outbound.personalize.reason = "The disk was full."
    run(outbound, tick(RetryAttempts="1", MaxWaitSeconds="150"))
    assert told(outbound) == [("FAILED", "The disk was full; no time was left to try again")]


def test_a_failed_job_without_a_reason_is_said_to(outbound: FakeOutbound, monkeypatch: pytest.MonkeyPatch) -> None:
    describe = OPERATIONS[DESCRIBE]

    def silent(*given: Any) -> dict[str, Any]:
        found = describe(*given)
        found["datasetExportJob"].pop("failureReason", None)
        return found

    monkeypatch.setitem(OPERATIONS, DESCRIBE, silent)
    outbound.personalize.reason = "unsaid"
    run(outbound, tick(RetryAttempts="0"))
    assert told(outbound) == [("FAILED", "Personalize gave no reason for CREATE FAILED.")]


def test_a_fault_of_the_handler_itself_is_told_in_a_line(
    outbound: FakeOutbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdk_personalize_export.handler.jobs.require_ours", lambda *_: 1 / 0)
    run(outbound, tick())
    [(outcome, reason)] = told(outbound)
    assert outcome == "FAILED"
    assert reason.startswith(
        "The export handler failed: division by zero (ZeroDivisionError) in test_schedule.py line "
    )
    detail = outbound.bus.details[-1]
    assert (detail["datasetExportJobArn"], detail["attempt"], detail["status"]) == (JOB, 1, "CREATE IN_PROGRESS")
    assert outbound.bus.sent[-1]["Resources"] == [JOB, DATASET]


def test_a_fault_before_any_job_is_told_too(outbound: FakeOutbound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdk_personalize_export.handler.jobs.Jobs.find", lambda *_, **__: 1 / 0)
    run(outbound, tick())
    assert [outcome for outcome, _ in told(outbound)] == ["FAILED"]


def test_a_tick_that_can_not_be_handed_over_is_left_to_lambda(outbound: FakeOutbound) -> None:
    outbound.personalize.seconds = 2000
    outbound.invoke_refusals = [Refusal("TooManyRequestsException", "Rate Exceeded.", 429)] * 9
    with pytest.raises(StrandedError, match=r"Rate Exceeded\."):
        run(outbound, tick())
    assert outbound.bus.outcomes == ["STARTED"]
    [error] = outbound.errors()
    assert error.startswith("The tick could not be handed over, so Lambda runs it again: Rate Exceeded.")
    outbound.invoke_refusals = []
    run(outbound, tick())
    assert outbound.personalize.count(CREATE) == 1
    assert outbound.bus.outcomes[-1] == "SUCCEEDED"


# -- a failed job is tried again --------------------------------------------------------------------------------------


class Failing:
    """Personalize fails the first jobs."""

    def __init__(self, outbound: FakeOutbound, times: int, seconds: float = 100.0) -> None:
        self.started: list[float] = []
        personalize, add = outbound.personalize, outbound.personalize.add

        def plan(name: str, **fields: Any) -> None:
            self.started.append(outbound.time)
            reason = "The disk was full." if len(self.started) <= times else ""
            add(name, **{**fields, "reason": reason})
            personalize.jobs[name]["seconds"] = seconds

        personalize.add = plan  # type: ignore[method-assign]


def pauses(failing: Failing, seconds: float = 100.0) -> list[float]:
    ended = [start + seconds for start in failing.started]
    return [round((start - end) / MINUTE) for end, start in zip(ended, failing.started[1:], strict=False)]


def test_a_failed_job_is_tried_again_after_growing_pauses(outbound: FakeOutbound) -> None:
    failing = Failing(outbound, times=2)
    run(outbound, tick(TellStarted=None))
    assert list(outbound.personalize.jobs) == [ID, f"{ID}-2", f"{ID}-3"]
    assert pauses(failing) == [5, 15]
    assert outbound.bus.outcomes == ["SUCCEEDED"]
    assert outbound.bus.details[0]["attempt"] == 3


def test_a_failed_attempt_that_is_tried_again_is_logged_and_not_told(outbound: FakeOutbound) -> None:
    Failing(outbound, times=1)
    run(outbound, tick(TellStarted=None))
    [line] = [line for line in outbound.lines if line.get("level") == "WARNING"]
    assert (line["message"], line["jobName"], line["error"]) == (
        "The job failed and is tried again",
        ID,
        "The disk was full.",
    )
    assert 290 <= int(line["pause"]) <= 300
    assert outbound.bus.outcomes == ["SUCCEEDED"]


def test_the_last_failure_is_told_with_its_reason(outbound: FakeOutbound) -> None:
    Failing(outbound, times=9)
    run(outbound, tick())
    assert len(outbound.personalize.jobs) == 3
    assert told(outbound) == [("FAILED", "The disk was full.")]
    assert outbound.bus.outcomes == ["STARTED"] * 3 + ["FAILED"]
    assert outbound.bus.details[-1]["failureReason"] == "The disk was full."
    assert outbound.bus.details[-1]["attempt"] == 3


def test_without_retries_one_failure_is_the_end(outbound: FakeOutbound) -> None:
    Failing(outbound, times=9)
    run(outbound, tick(RetryAttempts="0"))
    assert list(outbound.personalize.jobs) == [ID]
    assert outbound.bus.outcomes[-1] == "FAILED"


def test_ten_retries_fit_into_twelve_hours_as_no_pause_is_longer_than_one(outbound: FakeOutbound) -> None:
    failing = Failing(outbound, times=99)
    run(outbound, tick(RetryAttempts="10"))
    assert len(failing.started) == 11
    assert pauses(failing) == [5, 15, 45, 60, 60, 60, 60, 60, 60, 60]


def test_an_attempt_that_could_not_start_in_time_is_not_waited_for(outbound: FakeOutbound) -> None:
    Failing(outbound, times=9)
    run(outbound, tick(MaxWaitSeconds="380"))
    assert outbound.time < START + 120
    assert told(outbound) == [("FAILED", "The disk was full; no time was left to try again")]


def test_a_second_attempt_that_gets_no_turn_leaves_the_first_failure_to_tell(outbound: FakeOutbound) -> None:
    Failing(outbound, times=9)
    outbound.personalize.refusals[CREATE] = [None, *[Refusal("LimitExceededException", "More than 5.")] * 999]
    run(outbound, tick(MaxWaitSeconds="3600"))
    assert told(outbound) == [("FAILED", "The disk was full; no time was left to try again")]
    assert outbound.bus.details[-1]["attempt"] == 1


def test_a_run_after_a_crash_counts_the_pause_from_the_failure(outbound: FakeOutbound) -> None:
    outbound.personalize.add(ID, **OURS, reason="no", created=START - 90)
    outbound.personalize.jobs[ID]["seconds"] = 30
    outbound.time = START
    failing = Failing(outbound, times=0)
    run(outbound, tick())
    assert failing.started == [pytest.approx(START - 60 + 300, abs=1)]


@pytest.mark.parametrize("behind", [-300.0, 300.0])
def test_a_pause_is_counted_by_the_clock_of_personalize(outbound: FakeOutbound, behind: float) -> None:
    outbound.personalize.behind = behind
    outbound.ahead["personalize"] = -behind
    failing = Failing(outbound, times=1)
    run(outbound, tick())
    assert pauses(failing) == [5]


def test_a_failure_without_a_time_is_followed_after_the_whole_pause(
    outbound: FakeOutbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(outbound, times=1)
    describe = outbound.personalize._describe

    def timeless(params: dict[str, Any]) -> dict[str, Any]:
        answer = describe(params)
        del answer["datasetExportJob"]["lastUpdatedDateTime"]
        return answer

    monkeypatch.setitem(OPERATIONS, DESCRIBE, lambda _, params: timeless(params))
    run(outbound, tick())
    assert pauses(failing) == [5]
    assert "duration" not in outbound.bus.details[-1]


# -- one job of a schedule at a time ----------------------------------------------------------------------------------


def test_a_tick_waits_while_the_job_before_it_runs(outbound: FakeOutbound) -> None:
    outbound.personalize.add(EARLIER, datasetArn=DATASET)
    outbound.personalize.jobs[EARLIER]["seconds"] = 1000
    run(outbound, tick())
    assert outbound.personalize.jobs[ID]["created"] == pytest.approx(START + 1000, abs=40)
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED"]
    waiting = "Waiting for another job of the same schedule"
    lines = [(line["level"], line["jobName"]) for line in outbound.lines if line.get("message") == waiting]
    assert lines == [("INFO", EARLIER)] * 2  # a line for each invocation


@pytest.mark.parametrize(("age", "pause"), [(0, 2.05), (1000, 37.925)])
def test_the_job_before_is_looked_at_by_its_age(outbound: FakeOutbound, age: float, pause: float) -> None:
    outbound.personalize.add(EARLIER, datasetArn=DATASET, created=outbound.time - age)
    outbound.personalize.jobs[EARLIER]["seconds"] = age + 100
    run(outbound, tick())
    assert outbound.sleeps[0] == pytest.approx(pause)


def test_a_job_the_list_tells_little_of_is_waited_for(outbound: FakeOutbound, monkeypatch: pytest.MonkeyPatch) -> None:
    running = {"datasetExportJobArn": JOB.replace(ID, EARLIER), "status": "CREATE IN_PROGRESS"}
    answers = [{"datasetExportJobs": [running]}] * 2
    monkeypatch.setitem(OPERATIONS, LIST, lambda *_: answers.pop() if answers else {})
    run(outbound, tick())
    waiting = [line["jobName"] for line in outbound.lines if "Waiting for another" in line.get("message", "")]
    assert waiting == [EARLIER]
    assert outbound.sleeps[:2] == [pytest.approx(2.05)] * 2  # it may have begun now
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED"]


def test_a_tick_that_goes_on_knows_since_when_it_is_refused(outbound: FakeOutbound) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("AccessDeniedException")] * 99
    run(outbound, {**tick(), "HandOver": {"Deadline": START + HOUR, "RefusedSince": START - 100}})
    assert outbound.time < START + 30
    assert outbound.bus.outcomes == ["FAILED"]


def test_a_list_without_any_job_is_a_list(outbound: FakeOutbound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, LIST, lambda *_: {})
    run(outbound, tick())
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED"]


def test_pages_of_a_hundred_jobs_are_asked_for_without_a_pause(outbound: FakeOutbound) -> None:
    outbound.personalize.page = 1
    for day in range(10, 17):
        outbound.personalize.add(f"Shop-Nightly-202512{day}T0304-aaaaaaaaaaaa", datasetArn=DATASET, created=0)
    run(outbound, tick())
    asked = [params for name, params in outbound.personalize.calls if name == LIST]
    assert [params["maxResults"] for params in asked] == [100] * 7
    assert outbound.sleeps[0] == pytest.approx(2.05)  # of the job's own


def test_a_tick_that_gets_no_turn_says_whose_it_was(outbound: FakeOutbound) -> None:
    outbound.personalize.add(f"{EARLIER}-2", datasetArn=DATASET)
    outbound.personalize.jobs[f"{EARLIER}-2"]["seconds"] = 99 * HOUR
    run(outbound, tick(MaxWaitSeconds="3600"))
    reason = (
        f"There was no dataset export job 60 min after the scheduled time: the dataset export job {EARLIER}-2 of the "
        "same schedule is still running"
    )
    assert told(outbound) == [("TIMED_OUT", reason)]
    assert outbound.personalize.count(CREATE) == 0


@pytest.mark.parametrize(
    "name",
    ["Shop-Other-20260101T0304-aaaaaaaaaaaa", "Shop-Nightly-aaaaaaaaaaaa", f"X{EARLIER}", f"{ID}-2", f"{EARLIER}-x"],
)
def test_a_job_that_is_no_other_of_the_schedule_is_not_waited_for(outbound: FakeOutbound, name: str) -> None:
    outbound.personalize.add(name, datasetArn=DATASET)
    outbound.personalize.jobs[name]["seconds"] = 99 * HOUR
    run(outbound, tick(MaxWaitSeconds="600"))
    assert ID in outbound.personalize.jobs


@pytest.mark.parametrize("status", ["ACTIVE", "CREATE FAILED", "SOMETHING NEW"])
def test_a_job_that_is_over_or_in_a_state_nobody_knows_is_not_waited_for(outbound: FakeOutbound, status: str) -> None:
    outbound.personalize.running = "CREATE IN_PROGRESS"
    outbound.personalize.add(EARLIER, datasetArn=DATASET, reason="no" if status == "CREATE FAILED" else "")
    outbound.personalize.jobs[EARLIER]["seconds"] = 99 * HOUR if status == "SOMETHING NEW" else 0
    if status == "SOMETHING NEW":
        outbound.personalize.running = status
        outbound.personalize.seconds = 0
    run(outbound, tick())
    assert outbound.time < START + 200
    assert ID in outbound.personalize.jobs


def test_a_running_job_is_found_on_any_page(outbound: FakeOutbound) -> None:
    outbound.personalize.page = 2
    for day in range(10, 17):
        outbound.personalize.add(f"Shop-Nightly-202512{day}T0304-aaaaaaaaaaaa", datasetArn=DATASET, created=0)
    outbound.personalize.add(EARLIER, datasetArn=DATASET)
    outbound.personalize.jobs[EARLIER]["seconds"] = 1000
    run(outbound, tick())
    assert outbound.personalize.jobs[ID]["created"] == pytest.approx(START + 1000, abs=40)


def test_who_may_not_list_goes_on_and_says_so(outbound: FakeOutbound) -> None:
    outbound.personalize.refusals[LIST] = [Refusal("AccessDeniedException", "not authorized")]
    run(outbound, tick())
    [line] = [line for line in outbound.lines if line.get("level") == "WARNING"]
    assert line["message"] == "Other jobs of the schedule are not seen"
    assert line["error"] == "not authorized (AccessDeniedException from ListDatasetExportJobs)"
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED"]


def test_a_list_that_is_throttled_is_asked_for_again(outbound: FakeOutbound) -> None:
    outbound.personalize.refusals[LIST] = [Refusal("ThrottlingException", "Rate exceeded")]
    run(outbound, tick())
    assert outbound.personalize.count(LIST) == 2
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED"]


def test_a_job_that_is_joined_needs_no_turn(outbound: FakeOutbound) -> None:
    outbound.personalize.add(ID, **OURS)
    run(outbound, tick())
    assert outbound.personalize.count(LIST) == 0


def test_a_deployment_lists_nothing(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("create", server.url))
    assert outbound.personalize.count(LIST) == 0


# -- crashes ----------------------------------------------------------------------------------------------------------


def play(outbound: FakeOutbound, given: dict[str, Any], steps: set[int]) -> int:
    """Plays Lambda with its retries and hand-overs; the function dies at these effects. Gives the number of effects."""
    count = 0

    def effect(_: str) -> None:
        nonlocal count
        count += 1
        if count in steps:
            raise Crash

    outbound.effect = effect
    queue = [given]
    while queue:
        payload = queue.pop(0)
        for pause in (0, 60, 120):
            outbound.time += pause
            try:
                handle(Invocation(payload, Context(outbound, 300), outbound))
            except Crash:
                continue
            finally:
                queue += outbound.invocations
                outbound.invocations = []
            break
    return count


@pytest.mark.parametrize(("times", "jobs", "outcome"), [(0, 1, "SUCCEEDED"), (1, 2, "SUCCEEDED")])
def test_a_crash_at_any_point_makes_no_job_more_and_loses_no_outcome(times: int, jobs: int, outcome: str) -> None:
    def lived(steps: set[int]) -> tuple[FakeOutbound, int]:
        outbound = FakeOutbound()
        Failing(outbound, times, seconds=50)
        return outbound, play(outbound, tick(RetryAttempts="1"), steps)

    steps = lived(set())[1]
    assert steps > 10
    for step in range(1, steps + 1):
        outbound, _ = lived({step})
        assert len(outbound.personalize.jobs) == jobs, step
        assert outbound.bus.outcomes[-1] == outcome, step
        assert set(outbound.bus.outcomes) - {"STARTED"} == {outcome}, step


def test_the_function_is_never_asked_for_more_than_a_hand_over(outbound: FakeOutbound) -> None:
    outbound.personalize.seconds = 2000
    run(outbound, tick())
    assert {kind for _, kind in outbound.invoked} == {"Event"}
    assert all(FUNCTION.rpartition(":")[2] in path for path, _ in outbound.invoked)
