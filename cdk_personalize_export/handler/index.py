"""The Lambda function behind every export: one request in, one answer out.

CloudFormation invokes it asynchronously
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-custom-resources-lambda.html), so Lambda
repeats an invocation that dies after one and two minutes. Running it again, from any point, does nothing twice. Values
are named tuples: immutable like frozen dataclasses, and several times faster to import.
"""

import os
from collections.abc import Mapping
from typing import Any

import failures
from answer import FAILED, Answer, Post
from events import Desk, respond
from outside import Journal, Outside
from request import MalformedError, Request, may_answer, read_request, secrets_in
from waiting import Patience

OUTSIDE = Outside()


def handler(event: Mapping[str, Any], context: Any) -> None:  # noqa: ANN401 - Lambda's context has no type
    """Answers one custom resource request."""
    handle(event, context, OUTSIDE)


def handle(event: Mapping[str, Any], context: Any, outside: Outside) -> None:  # noqa: ANN401
    """Answers one custom resource request by way of this outside."""
    request = read_request(event, outside.now())
    journal = Journal(outside, request.request_id, request.logical_id, secrets_in(request.response_url))
    if not may_answer(request.response_url):
        journal.write("ERROR", "There is no ResponseURL that may be answered (https only), so nothing is done")
        return

    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    journal.write("INFO", "Received", kind=request.kind, physicalId=request.physical_id)
    patience = Patience(outside, journal, remaining, request.deadline)
    answer = _answer_to(request, Desk(outside, journal, patience, event, context.invoked_function_arn))
    if answer is not None:
        if answer.status == FAILED:
            journal.write("ERROR", answer.reason, jobArn=answer.job_arn)
        Post(outside, journal, remaining, f"{context.log_group_name}, stream {context.log_stream_name}").deliver(
            request, answer
        )


def _answer_to(request: Request, desk: Desk) -> Answer | None:
    try:
        return respond(request, desk)
    except MalformedError as error:
        return Answer(FAILED, request.known_id, str(error))
    except Exception as error:  # noqa: BLE001 - answered too, or the stack would hang for an hour
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"{os.path.basename(place.tb_frame.f_code.co_filename)} line {place.tb_lineno}" if place else ""  # noqa: PTH119
        return Answer(FAILED, request.known_id, f"The export handler failed: {failures.text_of(error)} in {where}")
