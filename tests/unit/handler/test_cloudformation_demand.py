"""A request nobody waits for starts nothing: CloudFormation is asked, and believed only when it is sure."""

from datetime import datetime, timezone
from typing import Any

import pytest

from cdk_personalize_export.handler.cloudformation import StackResource, given_up, read_request
from cdk_personalize_export.handler.log import Log
from tests.unit.handler.test_exports import CREATE, DESCRIBE, ID, OURS
from tests.unit.handler.world import START, AnswerServer, FakeOutbound, Refusal, event, run

STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/Shop/5a1c2b30-e7a1-11f0-8de9-0242ac120002"
QUOTA = Refusal("LimitExceededException", "More than 5 resources with PENDING or IN_PROGRESS status.")
GIVEN_UP = "CloudFormation does not wait for this request any longer, so nothing is started"


def wait_for_a_turn(outbound: FakeOutbound, server: AnswerServer, seconds: float, **properties: Any) -> None:
    """The quota is full for so long."""
    outbound.effect = lambda _: outbound.personalize.refusals.update(
        {CREATE: [QUOTA] if outbound.time < START + seconds else []}
    )
    run(outbound, event("create", server.url, **properties))


def test_a_job_that_starts_at_once_asks_for_the_age_of_its_request_only(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    run(outbound, event("create", server.url))
    assert [moment for moment, *_ in outbound.stack.asked] == [START + 1]


@pytest.mark.parametrize(
    "status", ["CREATE_FAILED", "DELETE_IN_PROGRESS", "DELETE_COMPLETE", "ROLLBACK_IN_PROGRESS", "UPDATE_IN_PROGRESS"]
)
def test_a_request_that_was_given_up_while_it_waited_for_its_turn_starts_nothing(
    outbound: FakeOutbound, server: AnswerServer, status: str
) -> None:
    outbound.stack.status, outbound.stack.changed = status, START + 90
    wait_for_a_turn(outbound, server, 1400)
    assert outbound.personalize.jobs == {}
    assert outbound.time < START + 120
    assert outbound.stack.asked[0][1:] == (STACK, "InteractionsExport")
    assert server.answer["Status"] == "FAILED"
    assert server.answer["Reason"].startswith(GIVEN_UP)
    told = "Nobody waits for this export any longer, so nothing is started"
    assert [line["level"] for line in outbound.lines if line["message"] == told] == ["WARNING"]


def test_a_request_that_still_is_waited_for_starts_its_job_when_its_turn_comes(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    wait_for_a_turn(outbound, server, 1400)
    assert list(outbound.personalize.jobs) == [ID]
    assert outbound.personalize.jobs[ID]["created"] < START + 1400 + 31
    assert server.answer["Status"] == "SUCCESS"


def test_whoever_waits_for_a_job_that_runs_asks_every_three_minutes(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.seconds = 1000
    outbound.stack.status, outbound.stack.changed = "DELETE_IN_PROGRESS", START + 200
    run(outbound, event("create", server.url))
    assert [round(moment - START) for moment, *_ in outbound.stack.asked] == [1, pytest.approx(200, abs=20)]
    assert outbound.time < START + 400
    assert server.answer["Reason"].startswith(GIVEN_UP)
    assert ID in server.answer["Reason"]  # it runs on, and is named


def test_a_job_that_would_be_started_late_is_only_started_for_somebody(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.time = START + 61
    outbound.stack.status, outbound.stack.changed = "DELETE_IN_PROGRESS", START + 30
    run(outbound, event("create", server.url))
    assert outbound.personalize.jobs == {}
    assert server.answer["Reason"].startswith(GIVEN_UP)


def test_the_next_attempt_is_only_started_for_somebody(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS, created=START - 1000, reason="no")
    outbound.stack.status, outbound.stack.changed = "DELETE_IN_PROGRESS", START
    run(outbound, event("create", server.url))
    assert list(outbound.personalize.jobs) == [ID]


@pytest.mark.parametrize(
    ("refusal", "quoted"),
    [
        (Refusal("AccessDenied", "not authorized", 403), "not authorized (AccessDenied from DescribeStackResource)"),
        (Refusal("Throttling", "Rate exceeded"), "Rate exceeded (Throttling from DescribeStackResource)"),
        (ConnectionResetError(), "Connection was closed before we received a valid response from endpoint URL"),
    ],
    ids=repr,
)
def test_without_a_word_of_cloudformation_everything_goes_on_as_if_wanted(
    outbound: FakeOutbound, server: AnswerServer, refusal: Exception, quoted: str
) -> None:
    outbound.stack.refusal = refusal
    wait_for_a_turn(outbound, server, 500)
    assert server.answer["Status"] == "SUCCESS"
    told = [line for line in outbound.lines if line["message"] == "CloudFormation does not say whether it still waits"]
    assert len(told) == len(outbound.stack.asked)
    assert {line["level"] for line in told} == {"INFO"}
    assert all(line["error"].startswith(quoted) for line in told)
    slow = isinstance(refusal, ConnectionResetError)
    assert (len(outbound.stack.asked) == 1) is slow  # a refusal comes at once, and the permission may be on its way


@pytest.mark.parametrize("missing", ["StackId", "LogicalResourceId"])
def test_who_does_not_know_the_resource_asks_nobody(outbound: FakeOutbound, server: AnswerServer, missing: str) -> None:
    outbound.time = START + 61
    request = event("create", server.url)
    del request[missing]
    run(outbound, request)
    assert outbound.stack.asked == []
    assert server.answer["Status"] == "SUCCESS"


def test_a_request_without_a_time_believes_nobody(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS, created=START - 1000, reason="no")
    outbound.stack.status = "DELETE_IN_PROGRESS"
    run(outbound, event("create", server.url.partition("?")[0]))
    assert server.answer["Status"] == "SUCCESS"


def test_a_delete_asks_for_its_age_only(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.jobs[ID]["seconds"] = 800
    run(outbound, event("delete", server.url))
    assert [moment for moment, *_ in outbound.stack.asked] == [START + 1]


def test_an_invocation_that_goes_on_knows_the_age(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, {**event("create", server.url), "HandOver": {"Deadline": START + 3360}})
    assert outbound.stack.asked == []


@pytest.mark.parametrize(
    ("kind", "status", "seconds", "over"),
    [
        ("Create", "CREATE_IN_PROGRESS", -1, False),
        ("Create", "CREATE_IN_PROGRESS", 10, False),
        ("Create", "CREATE_IN_PROGRESS", 11, True),  # created again: another request
        ("Update", "UPDATE_IN_PROGRESS", 0, False),
        ("Update", "UPDATE_IN_PROGRESS", 60, True),  # rolled back
        ("Update", "UPDATE_COMPLETE", -60, False),  # what was before
        ("Update", "CREATE_IN_PROGRESS", 0, True),
        ("Create", "CREATE_FAILED", 0, True),
        ("Create", "DELETE_IN_PROGRESS", 5, True),
        ("Create", "", 5, True),
    ],
)
def test_a_request_is_given_up_when_cloudformation_has_gone_on(
    kind: str,
    status: str,
    seconds: float,
    over: bool,  # noqa: FBT001
) -> None:
    changed = datetime.fromtimestamp(START + seconds, timezone.utc)
    assert given_up(kind, START, status, changed) is over


def test_a_resource_that_never_changed_is_not_given_up() -> None:
    assert given_up("Create", START, "DELETE_COMPLETE", None) is False


@pytest.mark.parametrize("behind", [-300.0, -60.0, 0.0, 60.0, 300.0])
@pytest.mark.parametrize("ahead", [-300.0, -60.0, 0.0, 60.0, 300.0])
def test_a_request_starts_one_attempt_whatever_the_clocks_say(
    server: AnswerServer, behind: float, ahead: float
) -> None:
    """Personalize's clock is behind, CloudFormation's ahead; every invocation dies when the job has failed."""
    outbound = FakeOutbound()
    outbound.personalize.behind, outbound.personalize.seconds, outbound.personalize.reason = behind, 10.0, "no"
    outbound.ahead = {"personalize": -behind, "cloudformation": ahead}
    outbound.stack.changed = outbound.time + ahead
    signed = datetime.fromtimestamp(outbound.time + ahead, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    request = event("create", server.url.replace("20260102T030405Z", signed))
    for pause in (0, 60, 120):  # as Lambda runs it again
        outbound.time += pause
        run(outbound, request)
        assert outbound.personalize.count(CREATE) == 1
    assert {answer["Status"] for answer in server.answers} == {"FAILED"}


@pytest.mark.parametrize("behind", [-300.0, 300.0])
@pytest.mark.parametrize("ahead", [-300.0, 300.0])
def test_the_next_request_starts_the_next_attempt_whatever_the_clocks_say(
    server: AnswerServer, behind: float, ahead: float
) -> None:
    outbound = FakeOutbound()
    outbound.personalize.behind = behind
    outbound.ahead = {"personalize": -behind, "cloudformation": ahead}
    outbound.personalize.add(ID, **OURS, created=START - 130, reason="no")  # it failed half a minute ago
    outbound.stack.changed = outbound.time + ahead
    signed = datetime.fromtimestamp(outbound.time + ahead, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    run(outbound, event("create", server.url.replace("20260102T030405Z", signed)))
    assert list(outbound.personalize.jobs) == [ID, f"{ID}-2"]
    assert outbound.personalize.count(DESCRIBE) > 0


@pytest.mark.parametrize("refusal", [None, Refusal("AccessDenied", "not authorized", 403)], ids=["answer", "refusal"])
@pytest.mark.parametrize("kind", ["create", "delete"])
@pytest.mark.parametrize("ahead", [-300.0, 0.0, 300.0])
def test_a_retry_answers_at_the_deadline_whatever_cloudformations_clock_says(
    outbound: FakeOutbound, server: AnswerServer, ahead: float, kind: str, refusal: Exception | None
) -> None:
    """The first run died; the second comes half an hour after the request."""
    sent_at, ends_at = outbound.time, outbound.time + 3360
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.jobs[ID]["seconds"] = 9000
    outbound.ahead = {"cloudformation": ahead}
    outbound.stack.refusal, outbound.stack.changed = refusal, sent_at + ahead
    signed = datetime.fromtimestamp(sent_at + ahead, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    request = event(kind, server.url.replace("20260102T030405Z", signed))
    outbound.time += 1800
    run(outbound, request)
    assert len(server.answers) == 1
    assert outbound.time == pytest.approx(ends_at, abs=2)


def test_an_invocation_that_goes_on_is_told_nothing_and_goes_on(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.time = START + 100
    outbound.stack.refusal = ConnectionResetError()
    run(outbound, {**event("create", server.url), "HandOver": {"Deadline": START + 3360}})
    assert server.answer["Status"] == "SUCCESS"
    assert len(outbound.stack.asked) == 1


def test_what_goes_wrong_while_asking_for_the_age_is_logged_and_fails_nothing(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.stack.refusal = ValueError("nobody expected this")
    run(outbound, event("create", server.url))
    (told,) = [line for line in outbound.lines if line["message"] == "The age of the request is a guess"]
    assert (told["level"], told["error"]) == ("WARNING", "nobody expected this (ValueError)")
    assert server.answer["Status"] == "SUCCESS"


@pytest.mark.parametrize(("ahead", "age"), [(0.0, 0.0), (29.0, 0.0), (90.0, 60.0)])
def test_a_request_is_as_old_as_cloudformation_says_and_never_younger_than_nothing(
    outbound: FakeOutbound, ahead: float, age: float
) -> None:
    outbound.time, outbound.ahead = START, {"cloudformation": ahead}
    signed_later = event("create", "https://bucket.s3.amazonaws.com/answer?X-Amz-Date=20260102T030435Z")
    resource = StackResource(read_request(signed_later, outbound.now()), outbound, Log(outbound, {}))
    assert resource.age() == age
