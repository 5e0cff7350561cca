"""The answer: what CloudFormation gets, small enough and delivered.

It takes a body of at most 4096 bytes, sent with PUT to a presigned URL
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html). The encoded body is counted.
One that does not arrive leaves the stack hanging for the rest of its hour, so the PUT is repeated.
"""

import json
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import NamedTuple

from outside import TIMEOUT_SECONDS, Journal, Outside
from request import Request

CLOUDFORMATION_LIMIT_BYTES = 4096
SUCCESS, FAILED = "SUCCESS", "FAILED"
ELLIPSIS = "…"
MOST_TRIES = 10
MOST_REFUSALS = 2  # a refused presigned URL stays refused; once more in case of a hiccup
LONGEST_PAUSE_SECONDS = 15.0
RESERVE_SECONDS = 2.0  # to end the invocation in


class NotDeliveredError(Exception):
    """The answer did not arrive; Lambda then runs the request again, which joins the same job."""


class Answer(NamedTuple):
    """What to tell CloudFormation."""

    status: str
    physical_id: str
    reason: str = ""
    job_arn: str = ""
    data: Mapping[str, str] | None = None


def encode(request: Request, answer: Answer, log: str) -> bytes:
    """Writes the body; a failure gives the head of its reason, then the job's ARN, then where the log is."""
    fields: dict[str, object] = {
        "Status": answer.status,
        "PhysicalResourceId": answer.physical_id,
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_id,
    }

    def body(**more: object) -> bytes:
        return json.dumps({**fields, **more}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

    if answer.status == FAILED:
        tail = f" (job: {answer.job_arn}; log: {log})" if answer.job_arn else f" (log: {log})"
        head = longest_fitting(answer.reason, lambda text: body(Reason=text + tail))
        return body(Reason=head + tail if head else longest_fitting(tail, lambda text: body(Reason=text)))
    data = dict(answer.data or {})
    for name in sorted(data, key=lambda name: (name != "FailureReason", -len(data[name]))):
        data[name] = longest_fitting(data[name], lambda text, name=name: body(Data={**data, name: text}))  # type: ignore[misc]
    return body(Data=data)


def longest_fitting(text: str, body: Callable[[str], bytes]) -> str:
    """Gives the text, or as much of its head as keeps the body within the limit, cut between characters and marked."""
    if len(body(text)) <= CLOUDFORMATION_LIMIT_BYTES:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if len(body(text[:middle] + ELLIPSIS)) <= CLOUDFORMATION_LIMIT_BYTES:
            fits = middle
        else:
            too_long = middle
    return text[:fits] + ELLIPSIS if fits else ""


class Post(NamedTuple):
    """The way to CloudFormation."""

    outside: Outside
    journal: Journal
    remaining: Callable[[], float]
    log: str

    def deliver(self, request: Request, answer: Answer) -> None:
        """Sends the answer until CloudFormation has it or refuses it, or the invocation ends."""
        body = encode(request, answer._replace(reason=self.journal.hide(answer.reason)), self.log)
        tries, refusals = 0, 0
        while True:
            tries += 1
            status, problem = self._send(request.response_url, body)
            if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own classes
                self.journal.write("INFO", "Answered", status=answer.status, physicalId=answer.physical_id)
                return
            refusals += 0 < status < 500 and status not in (408, 429)  # noqa: PLR2004
            if refusals == MOST_REFUSALS:
                self.journal.write("ERROR", f"CloudFormation takes no answer any more, the request is over: {problem}")
                return
            pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** (tries - 1)) * (1 + self.outside.chance()) / 2
            if tries == MOST_TRIES or self.remaining() - pause < RESERVE_SECONDS:
                break
            self.outside.sleep(pause)
        self.journal.write("ERROR", f"The answer did not arrive, so Lambda runs the request again: {problem}")
        raise NotDeliveredError(f"CloudFormation did not take the answer: {problem}")

    def _send(self, url: str, body: bytes) -> tuple[int, str]:
        timeout = max(1.0, min(TIMEOUT_SECONDS, self.remaining() - RESERVE_SECONDS))
        try:
            status = self.outside.put(url, body, timeout)
        except (OSError, HTTPException) as error:
            return 0, type(error).__name__  # its text may hold the URL
        return status, f"HTTP {status}"
