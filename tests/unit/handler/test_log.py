"""The log tells the story of a request: a line for each thing that happened, and nothing twice."""

from typing import Any

from tests.unit.handler.test_exports import ARN, CREATE, DESCRIBE, ID, OURS, RUNS_ON
from tests.unit.handler.world import AnswerServer, FakeOutbound, Refusal, event, run

Line = tuple[str, str, dict[str, Any], float]
RECEIVED: Line = ("INFO", "Received", {"kind": "Create", "physicalId": ""}, 0)
DELETE_RECEIVED: Line = ("INFO", "Received", {"kind": "Delete", "physicalId": ID}, 0)


def story(outbound: FakeOutbound) -> list[Line]:
    for line in outbound.lines:
        assert line.pop("requestId") == "6f1c1f0c-7d6c-4c9b-9d3d-2f4b6b1a0e11"
        assert line.pop("logicalId") == "InteractionsExport"
    return [(line.pop("level"), line.pop("message"), line, line.pop("elapsed")) for line in outbound.lines]


def seen(status: str, seconds: float) -> Line:
    return ("INFO", "Job seen", {"jobName": ID, "status": status}, seconds)


def started(seconds: float) -> Line:
    return ("INFO", "Job started", {"jobName": ID}, seconds)


def answered(status: str, seconds: float) -> Line:
    return ("INFO", "Answered", {"status": status, "physicalId": ID}, seconds)


def test_a_create_that_waits_an_error_out(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("ThrottlingException", "Rate exceeded")]
    run(outbound, event("create", server.url))
    error = "Rate exceeded (ThrottlingException from CreateDatasetExportJob)"
    assert story(outbound) == [
        RECEIVED,
        ("WARNING", "Waiting an error out", {"error": error}, 0),
        started(1.5),
        seen("CREATE IN_PROGRESS", 3.5),
        seen("ACTIVE", 103.4),
        answered("SUCCESS", 103.4),
    ]


def test_a_job_that_fails(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.reason = "no"
    run(outbound, event("create", server.url))
    assert story(outbound) == [
        RECEIVED,
        started(0),
        seen("CREATE IN_PROGRESS", 2.0),
        seen("CREATE FAILED", 101.9),
        ("ERROR", "no", {"jobArn": ARN}, 101.9),
        answered("FAILED", 101.9),
    ]


def test_a_hand_over_and_a_deadline(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 1000
    run(outbound, event("create", server.url, MaxWaitSeconds="900"))
    reason = f"The dataset export job is still CREATE IN_PROGRESS after 15 min; {RUNS_ON.replace('56 min', '15 min')}"
    assert story(outbound) == [
        RECEIVED,
        started(0),
        seen("CREATE IN_PROGRESS", 2.0),
        ("INFO", "Handed over to the next invocation", {}, 840),
        RECEIVED,
        seen("CREATE IN_PROGRESS", 0),
        ("WARNING", "The deadline has passed", {}, 59),
        ("ERROR", reason, {"jobArn": ARN}, 59),
        answered("FAILED", 59),
    ]


def test_a_delete_that_waits_as_long_as_it_may(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.jobs[ID]["seconds"] = 9999
    run(outbound, event("delete", server.url, MaxWaitSeconds="800"))
    assert story(outbound) == [
        DELETE_RECEIVED,
        seen("CREATE IN_PROGRESS", 0),
        ("WARNING", "The job still runs, and Delete waits no longer", {}, 799),
        answered("SUCCESS", 799),
    ]


def test_a_delete_that_is_refused(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.refusals[DESCRIBE] = [Refusal("AccessDeniedException", "no")]
    run(outbound, event("delete", server.url))
    error = "no (AccessDeniedException from DescribeDatasetExportJob)"
    assert story(outbound) == [
        DELETE_RECEIVED,
        ("WARNING", "Delete does not wait", {"error": error}, 0),
        answered("SUCCESS", 0),
    ]


def test_a_request_whose_url_may_not_be_answered(outbound: FakeOutbound) -> None:
    run(outbound, event("create", "ftp://127.0.0.1/"))
    assert story(outbound) == [
        ("ERROR", "There is no ResponseURL that may be answered (https at AWS only), so nothing is done", {}, 0)
    ]


def test_an_answer_that_is_refused(outbound: FakeOutbound, server: AnswerServer) -> None:
    server.statuses = [403, 403]
    run(outbound, event("rollback", server.url, Wait="false"))
    text = "CloudFormation takes no answer any more, the request is over: HTTP 403"
    assert story(outbound)[-1] == ("ERROR", text, {}, 0.8)
