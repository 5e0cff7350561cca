"""What is told of an export, where, and what happens when it can not be told."""

import json
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from cdk_personalize_export.handler import events, metrics
from cdk_personalize_export.handler.log import Log
from tests.unit.handler.test_exports import ARN, CREATE, ID, OURS
from tests.unit.handler.test_schedule import ID as TICK_ID
from tests.unit.handler.test_schedule import JOB
from tests.unit.handler.world import BUS, START, AnswerServer, FakeOutbound, Refusal, event, run, tick

TELLING = {
    "EventBus": BUS,
    "TellStarted": "true",
    "ConstructPath": "App/Shop/Interactions",
    "Metrics": "Shop/Shop/Interactions",
}
DATASET = OURS["datasetArn"]


# -- events -----------------------------------------------------------------------------------------------------------


def test_an_event_says_all_the_api_says_and_what_only_the_function_knows(outbound: FakeOutbound) -> None:
    run(outbound, tick())
    started, succeeded = outbound.bus.sent
    assert (succeeded["Source"], succeeded["DetailType"], succeeded["EventBusName"], succeeded["Resources"]) == (
        "cdk-personalize-export",
        "Personalize Dataset Export Job State Change",
        BUS,
        [JOB, DATASET],
    )
    assert json.loads(succeeded["Detail"]) == {
        "outcome": "SUCCEEDED",
        "stackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/Shop/5a1c2b30-e7a1-11f0-8de9-0242ac120002",
        "exportId": "Shop/Nightly",
        "constructPath": "App/Shop/Nightly",
        "scheduledTime": "2026-01-02T03:04:00Z",
        "attempt": 1,
        "duration": 100.0,
        "jobName": TICK_ID,
        "datasetExportJobArn": JOB,
        "datasetArn": DATASET,
        "ingestionMode": "ALL",
        "roleArn": "arn:aws:iam::123456789012:role/export",
        "status": "ACTIVE",
        "jobOutput": {"s3DataDestination": {"path": f"s3://exports/shop/{TICK_ID}/"}},
        "creationDateTime": "2026-01-02T03:04:06Z",
        "lastUpdatedDateTime": "2026-01-02T03:05:46Z",
    }
    detail = json.loads(started["Detail"])
    assert (detail["outcome"], detail["status"], "duration" in detail) == ("STARTED", "CREATE IN_PROGRESS", False)
    assert (started["Resources"], detail["attempt"]) == ([JOB, DATASET], 1)


def test_a_key_is_told_as_the_api_does(outbound: FakeOutbound) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/0f1e"
    run(outbound, tick(KmsKeyArn=key))
    assert outbound.bus.details[-1]["jobOutput"]["s3DataDestination"]["kmsKeyArn"] == key


def test_without_a_job_the_event_is_about_the_dataset(outbound: FakeOutbound) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("TooManyTagsException", "Too many tags.")]
    run(outbound, tick())
    [sent] = outbound.bus.sent
    assert sent["Resources"] == [DATASET]
    assert outbound.bus.details[0]["reason"] == "Too many tags. (TooManyTagsException from CreateDatasetExportJob)"


@pytest.mark.parametrize("starts", ["false", None])
def test_a_start_is_told_only_where_it_is_asked_for(outbound: FakeOutbound, starts: str | None) -> None:
    run(outbound, tick(TellStarted=starts))
    assert outbound.bus.outcomes == ["SUCCEEDED"]


def test_a_start_is_told_once_over_all_hand_overs(outbound: FakeOutbound) -> None:
    outbound.personalize.seconds = 5000
    assert run(outbound, tick()) > 3
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED"]


def test_a_hand_over_says_nothing_of_starts_nobody_hears_of(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 100_000
    run(outbound, event("create", server.url, MaxWaitSeconds="1000"))
    assert outbound.bus.sent == []


def test_where_nobody_asked_nothing_is_told(outbound: FakeOutbound) -> None:
    run(outbound, tick(EventBus=None, Metrics=None))
    assert (outbound.bus.sent, outbound.metrics()) == ([], [])
    assert [line["outcome"] for line in outbound.lines if "outcome" in line] == ["SUCCEEDED"]


def test_a_bus_of_another_region_is_called_there(outbound: FakeOutbound) -> None:
    run(outbound, tick(EventBus="arn:aws:events:eu-west-1:210987654321:event-bus/team/audit"))
    assert set(outbound.bus.regions) == {"eu-west-1"}


@pytest.mark.parametrize(
    "refusal",
    [
        "ThrottlingException",
        Refusal("InternalException", "no", 500),
        Refusal("AccessDeniedException", "not authorized", 400),
        ConnectionResetError(),
    ],
    ids=str,
)
def test_an_event_that_is_refused_is_sent_again(outbound: FakeOutbound, refusal: Any) -> None:
    outbound.bus.refusals = [refusal] * 2
    run(outbound, tick(TellStarted=None))
    assert outbound.bus.outcomes == ["SUCCEEDED"]
    assert outbound.errors() == []


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        ("ThrottlingException", "not now (ThrottlingException from PutEvents)"),
        (Refusal("AccessDeniedException", "not authorized"), "not authorized (AccessDeniedException from PutEvents)"),
    ],
)
def test_an_event_that_can_not_be_sent_fails_no_export_and_is_logged(
    outbound: FakeOutbound, refusal: Any, text: str
) -> None:
    outbound.bus.refusals = [refusal] * 99
    run(outbound, tick(TellStarted=None))
    assert outbound.bus.sent == []
    assert outbound.errors() == [f"The event could not be sent: {text}"]
    assert [line["message"] for line in outbound.lines if "jobArn" in line] == ["The export succeeded"]
    assert len(outbound.metrics()) == 1
    ended = START + 101
    assert outbound.time < ended + 10 + 30


@pytest.mark.parametrize("refusal", [Refusal("ValidationException", "no"), NoCredentialsError()], ids=str)
def test_what_will_never_be_taken_is_sent_once(outbound: FakeOutbound, refusal: Exception) -> None:
    outbound.bus.refusals = [refusal] * 2
    run(outbound, tick(TellStarted=None))
    assert len(outbound.bus.refusals) == 1
    assert len(outbound.errors()) == 1


def test_whatever_goes_wrong_with_telling_is_a_line_in_the_log(
    outbound: FakeOutbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "send", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(metrics, "line", lambda *_: 1 / 0)
    run(outbound, tick())
    assert [line["outcome"] for line in outbound.lines if "outcome" in line] == ["SUCCEEDED"]
    assert len(outbound.errors()) == 3
    assert outbound.errors()[0].startswith("The export handler failed: division by zero (ZeroDivisionError) in ")


def test_a_reason_with_everything_in_it_is_told_and_cut(outbound: FakeOutbound) -> None:
    outbound.personalize.reason = '"q"\n\\ \x00 \ud835 ✗' + "\U0001d4ae" * 9000
    run(outbound, tick(RetryAttempts="0"))
    detail = outbound.bus.details[-1]
    assert detail["failureReason"] == detail["reason"]
    assert detail["reason"].startswith('"q"\n\\ \x00 ? ✗\U0001d4ae')
    assert (len(detail["reason"]), detail["reason"][-1]) == (4001, "…")
    assert len(outbound.bus.sent[-1]["Detail"]) < 256_000


def test_without_time_nothing_is_sent(outbound: FakeOutbound) -> None:
    log = Log(outbound, {})
    detail = {"outcome": "FAILED"}
    assert not events.send(outbound, log, bus_arn=BUS, detail=detail, resources=[], seconds=0.4)
    assert outbound.errors() == ["The event could not be sent: there was no time left"]
    assert outbound.bus.regions == []


# -- metrics ----------------------------------------------------------------------------------------------------------


def counted(outbound: FakeOutbound) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key[0].isupper()} for line in outbound.metrics()]


def test_metrics_are_a_line_in_embedded_metric_format(outbound: FakeOutbound) -> None:
    run(outbound, tick())
    [line] = outbound.metrics()
    units = {"Succeeded": "Count", "Failed": "Count", "TimedOut": "Count", "Attempts": "Count", "Duration": "Seconds"}
    assert line == {
        "_aws": {
            "Timestamp": int(outbound.time * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": "cdk-personalize-export",
                    "Dimensions": [["Export"]],
                    "Metrics": [{"Name": name, "Unit": unit} for name, unit in units.items()],
                }
            ],
        },
        "Export": "Shop/Shop/Nightly",
        "Succeeded": 1,
        "Failed": 0,
        "TimedOut": 0,
        "Attempts": 1,
        "Duration": 100.0,
    }


def test_a_failure_counts_with_zeros_beside_it(outbound: FakeOutbound) -> None:
    outbound.personalize.reason = "no"
    run(outbound, tick())
    [found] = counted(outbound)
    assert found == {
        "Export": "Shop/Shop/Nightly",
        "Succeeded": 0,
        "Failed": 1,
        "TimedOut": 0,
        "Attempts": 3,
        "Duration": 100.0,
    }


def test_a_time_out_has_no_duration(outbound: FakeOutbound) -> None:
    outbound.personalize.seconds = 999
    run(outbound, tick(MaxWaitSeconds="60"))
    [found] = counted(outbound)
    assert found == {"Export": "Shop/Shop/Nightly", "Succeeded": 0, "Failed": 0, "TimedOut": 1, "Attempts": 1}


def test_a_refusal_without_a_job_is_counted_too(outbound: FakeOutbound) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("TooManyTagsException", "Too many tags.")]
    run(outbound, tick())
    assert [(found["Failed"], found["Attempts"], "Duration" in found) for found in counted(outbound)] == [(1, 0, False)]


def test_the_event_comes_first_then_the_metrics_then_the_line_for_people(outbound: FakeOutbound) -> None:
    sent: list[str] = []
    outbound.effect = lambda _: sent.append(f"{len(outbound.bus.sent)} {len(outbound.lines)}")
    run(outbound, tick(TellStarted=None))
    *_, before, last, end = [*outbound.lines]
    assert ("_aws" in last, end["outcome"], "_aws" in before) == (True, "SUCCEEDED", False)
    assert sent[-1] == f"1 {len(outbound.lines) - 2}"


# -- deployments ------------------------------------------------------------------------------------------------------


def test_a_deployment_tells_as_a_tick_does(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("create", server.url, Generation="7", **TELLING))
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED"]
    detail = outbound.bus.details[-1]
    assert (detail["generation"], detail["exportId"], "scheduledTime" in detail) == ("7", "Shop/Interactions", False)
    assert [found["Succeeded"] for found in counted(outbound)] == [1]
    assert server.answer["Status"] == "SUCCESS"


def test_a_deployment_that_was_not_asked_to_tells_nothing(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("create", server.url))
    assert (outbound.bus.sent, outbound.metrics()) == ([], [])


def test_a_failed_deployment_tells_what_it_answers(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.reason = "The disk was full."
    run(outbound, event("create", server.url, **TELLING))
    assert outbound.bus.outcomes == ["STARTED", "FAILED"]
    assert outbound.bus.details[-1]["reason"] == "The disk was full."
    assert server.answer["Reason"].startswith("The disk was full.")


def test_an_update_that_joins_a_job_that_ended_before_it_tells_nothing(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, **OURS, created=0)
    run(outbound, event("rollback", server.url, **TELLING))
    assert server.answer["Status"] == "SUCCESS"
    assert (outbound.bus.sent, outbound.metrics()) == ([], [])


def test_a_retry_tells_of_the_job_that_ended_since_the_request(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS, created=START + 1)
    outbound.time = START + 300
    run(outbound, event("create", server.url, **TELLING))
    assert outbound.bus.outcomes == ["SUCCEEDED"]


def test_a_deployment_that_does_not_wait_tells_the_start_at_most(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("no-wait", server.url, **TELLING))
    assert outbound.bus.outcomes == ["STARTED"]
    outbound.time += 200
    run(outbound, event("no-wait", server.url, **TELLING))
    assert outbound.bus.outcomes == ["STARTED"]


def test_a_link_that_is_not_the_last_leaves_the_end_to_the_next(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 1000
    run(outbound, event("create", server.url, MaxWaitSeconds="600", MoreLinks="true", **TELLING))
    assert (server.answers[0]["Status"], outbound.bus.outcomes) == ("SUCCESS", ["STARTED"])
    outbound.personalize.refusals[CREATE] = [Refusal("LimitExceededException", "no")] * 99
    outbound.personalize.jobs.clear()
    run(outbound, event("create", server.url, MaxWaitSeconds="900", MoreLinks="true", **TELLING))
    assert (server.answers[1]["Status"], outbound.bus.outcomes) == ("SUCCESS", ["STARTED"])


def test_a_link_that_is_not_the_last_tells_the_end_that_it_sees(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("create", server.url, MoreLinks="true", **TELLING))
    assert outbound.bus.outcomes == ["STARTED", "SUCCEEDED"]


def test_the_last_link_tells_that_time_is_over(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 4000
    run(outbound, event("create", server.url, MaxWaitSeconds="600", LinkNumber="2", **TELLING))
    assert outbound.bus.outcomes == ["STARTED", "TIMED_OUT"]
    assert [found["TimedOut"] for found in counted(outbound)] == [1]
    assert outbound.bus.details[-1]["datasetExportJobArn"] == ARN


def test_a_deletion_and_a_request_nobody_waits_for_tell_nothing(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("delete", server.url, **TELLING))
    outbound.stack.status, outbound.stack.changed = "DELETE_IN_PROGRESS", START + 90
    outbound.time = START + 100
    run(outbound, event("create", server.url, **TELLING))
    assert outbound.personalize.jobs == {}
    assert (outbound.bus.sent, outbound.metrics()) == ([], [])


def test_an_answer_is_delayed_by_ten_seconds_at_most_and_never_lost(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    run(outbound, event("create", server.url, **{**TELLING, "TellStarted": "false"}))
    undisturbed = outbound.time
    other = FakeOutbound()
    other.bus.refusals = ["ThrottlingException"] * 99
    run(other, event("create", server.url, **{**TELLING, "TellStarted": "false"}))
    assert undisturbed < other.time <= undisturbed + 10
    assert [answer["Status"] for answer in server.answers] == ["SUCCESS"] * 2


@pytest.mark.parametrize("seconds", [1.9, 3.9])
def test_as_many_tries_are_made_as_half_the_margin_leaves_time_for(
    outbound: FakeOutbound, server: AnswerServer, seconds: float
) -> None:
    """They come after 0, 1 and 3 s and take half a second at least; seven eighths of the invocation are theirs."""
    outbound.luck, outbound.bus.refusals = 0.0, ["ThrottlingException"] * 99
    outbound.personalize.refusals[CREATE] = [Refusal("TooManyTagsException")]
    run(outbound, event("create", server.url, **TELLING), seconds)
    assert len(outbound.bus.regions) == 2
    assert server.answer["Status"] == "FAILED"


@pytest.mark.parametrize("seconds", [8.0, 10.0, 20.0])
def test_a_short_invocation_keeps_half_its_margin_for_the_answer(
    outbound: FakeOutbound, server: AnswerServer, seconds: float
) -> None:
    outbound.personalize.add(ID, **OURS, created=START - 99.5)
    outbound.bus.refusals = ["ThrottlingException"] * 99
    began = outbound.time
    run(outbound, event("create", server.url, **TELLING), seconds)
    assert server.answer["Status"] == "SUCCESS"
    assert outbound.time - began <= seconds * (1 - 0.25 / 2)


def test_the_response_url_is_in_no_event(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("TooManyTagsException", f"see {server.url}")]
    run(outbound, event("create", server.url, **TELLING))
    assert "[hidden]" in outbound.bus.details[-1]["reason"]


def test_a_job_in_an_unknown_state_is_told_as_the_api_describes_it(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.running, outbound.personalize.seconds = "CREATE STOPPED", 9999
    run(outbound, event("create", server.url, **{**TELLING, "TellStarted": "false"}))
    assert [(detail["outcome"], detail["status"]) for detail in outbound.bus.details] == [("FAILED", "CREATE STOPPED")]


def test_a_wrong_bus_is_the_answer(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("create", server.url, EventBus="default"))
    text = "EventBus is 'default'. Allowed: the ARN of an event bus. Fix: pass an event_bus."
    assert server.answer["Reason"].startswith(text)
    assert outbound.personalize.jobs == {}
