"""The door of a deployment: reads the request, has the work done, delivers the answer.

Create and Update are the same: start the job or join it; a link, which makes a long wait longer, only goes on waiting.
Delete only lets a running job finish, that its role and bucket are not pulled from under it. See
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html for the requests, and
crpg-ref-requests.html and crpg-ref-responses.html beside it for their fields and those of the answer.

The ResponseURL is a credential: it is never logged, and no representation shows it.
"""

import calendar
import json
import math
import re
import time
import traceback
from bisect import bisect
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from . import exports, identity
from .errors import text_of
from .exports import Outcome
from .invocation import Invocation
from .log import Log
from .outbound import TIMEOUT_SECONDS
from .properties import MalformedError, checked, longest_wait, read_export, text_in
from .waiting import OutOfTimeError, TimeBudget, retry_pause

SUCCESS, FAILED = "SUCCESS", "FAILED"
LIMIT_BYTES = 4096  # of the whole body, encoded: crpg-ref-responses.html
SHORTEST_SECRET = 16
ELLIPSIS = "…"
MOST_TRIES = 10
MOST_REFUSALS = 2  # a presigned URL stays refused; the second is for a hiccup
RESERVE_SECONDS = 2.0  # to end the invocation in
LOOPBACK = r"localhost|127(\.\d{1,3}){3}|::1"
RUNS_ON = (
    "it runs on in Amazon Personalize, which can not stop a job. Deploying again joins it after a failed update, or "
    "after a deployment with --no-rollback. After a failed first deployment CloudFormation removes the stack, and a "
    "new stack is a new identity that starts a new job: raise max_wait first."
)


class NotDeliveredError(Exception):
    """Lets Lambda run the request again."""


class Request(NamedTuple):
    """What every request has."""

    kind: str
    is_link: bool
    response_url: str
    stack_id: str
    request_id: str
    logical_id: str
    physical_id: str
    properties: Mapping[str, Any]
    requested_at: float
    deadline: float

    def __repr__(self) -> str:  # without the ResponseURL
        """Name the request for people."""
        return f"Request({self.kind} {self.logical_id} {self.request_id})"

    @property
    def known_id(self) -> str:
        """The id CloudFormation has, or one that no job has."""
        return self.physical_id or f"{self.logical_id}-never-started"


class Answer(NamedTuple):
    """What to tell CloudFormation."""

    status: str
    physical_id: str
    reason: str = ""
    job_arn: str = ""
    data: Mapping[str, str] | None = None


class Exchange(NamedTuple):
    """A request, and what it is answered with."""

    request: Request
    invocation: Invocation
    log: Log
    time: TimeBudget


def handle(invocation: Invocation) -> None:
    """Answer a request of CloudFormation, or hand it over to another invocation.

    Raises:
        NotDeliveredError: CloudFormation did not take the answer.
    """
    outbound = invocation.outbound
    request = read_request(invocation.event, outbound.now())
    log = Log(outbound, request.request_id, request.logical_id, secrets_in(request.response_url))
    if not may_answer(request.response_url):
        log.write("ERROR", "There is no ResponseURL that may be answered (https only), so nothing is done")
        return
    log.write("INFO", "Received", kind=request.kind, physicalId=request.physical_id)
    budget = TimeBudget(outbound, log, invocation.remaining, request.deadline)
    exchange = Exchange(request, invocation, log, budget)
    answer = _answer(exchange)
    if answer:
        deliver(answer, exchange)


# -- the request ------------------------------------------------------------------------------------------------------


def read_request(event: object, now: float) -> Request:
    """Read a request; never fails, as a malformed one is answered too."""
    fields = _mapping(event)
    properties = _mapping(fields.get("ResourceProperties"))
    url = text_in(fields, "ResponseURL")
    window = longest_wait(properties)
    signed_at = _signing_time(url)
    deadline = _number(exports.handed_over(fields).get("Deadline"))
    if deadline is None:
        deadline = (now if signed_at is None else signed_at) + window
    return Request(
        kind=text_in(fields, "RequestType"),
        is_link=text_in(fields, "ResourceType").endswith("Link"),
        response_url=url,
        stack_id=text_in(fields, "StackId"),
        request_id=text_in(fields, "RequestId"),
        logical_id=text_in(fields, "LogicalResourceId"),
        physical_id=text_in(fields, "PhysicalResourceId"),
        properties=properties,
        requested_at=deadline - window if signed_at is None else signed_at,
        deadline=deadline,
    )


def may_answer(url: str) -> bool:
    """Allow https, and for tests http to this very machine."""
    try:
        parts = urlsplit(url)
        usable = parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        return False
    host = parts.hostname or ""
    trusted = parts.scheme == "https" or (parts.scheme == "http" and re.fullmatch(LOOPBACK, host) is not None)
    return usable and trusted and bool(host)


def secrets_in(url: str) -> list[str]:
    """List what would give the ResponseURL away, longest first."""
    query = _query(url)
    values = [pair.partition("=")[2] for pair in query.split("&")]
    found = {url, query, *values, *map(unquote, values)}
    return sorted((text for text in found if len(text) >= SHORTEST_SECRET), key=len, reverse=True)


def _signing_time(url: str) -> float | None:
    """Read X-Amz-Date, the one time that every delivery of a request shares.

    See https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html.
    """
    dates = parse_qs(_query(url)).get("X-Amz-Date", [""])
    try:
        return float(calendar.timegm(time.strptime(dates[0], "%Y%m%dT%H%M%SZ")))
    except ValueError:
        return None


def _query(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


# -- what comes of it -------------------------------------------------------------------------------------------------


def _answer(exchange: Exchange) -> Answer | None:
    """Give the answer; nothing when another invocation has taken over."""
    request = exchange.request
    try:
        if request.kind == "Delete":
            return _delete(exchange)
        if request.kind in {"Create", "Update"}:
            return _link(exchange) if request.is_link else _export(exchange)
        reason = f"RequestType is {request.kind!r}. Allowed: Create, Update, Delete. Fix: send one of them."
    except MalformedError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - answered too
        place = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"The export handler failed: {text_of(error)} in {Path(place.filename).name} line {place.lineno}"
    return Answer(FAILED, request.known_id, reason)


def _export(exchange: Exchange) -> Answer | None:
    request = exchange.request
    export = read_export(request.stack_id, request.properties)
    work = exports.export_work(export, exchange.invocation, exchange.time, request.requested_at)
    return _tell(
        exports.bring_to_end(work), export.physical_id, exchange, may_run_on=export.more_links or not export.wait
    )


def _link(exchange: Exchange) -> Answer | None:
    """Go on waiting for the job of another resource."""
    request = exchange.request
    job_arn, more_links, _ = (checked(request.properties, name) for name in ("JobArn", "MoreLinks", "MaxWaitSeconds"))
    work = exports.link_work(job_arn, exchange.invocation, exchange.time, request.requested_at)
    physical_id = identity.link_id(job_arn, request.logical_id)
    return _tell(exports.bring_to_end(work), physical_id, exchange, may_run_on=more_links == "true")


def _tell(outcome: Outcome, physical_id: str, exchange: Exchange, *, may_run_on: bool) -> Answer | None:
    """Make an outcome an answer; nothing when another invocation has taken over."""
    if outcome.kind == exports.HANDED_OVER:
        return None
    job = outcome.job
    if job and (outcome.kind == exports.ACTIVE or (outcome.kind == exports.RUNNING and may_run_on)):
        return Answer(SUCCESS, physical_id, data=job.attributes())
    return Answer(FAILED, physical_id, _reason(outcome, exchange), job.arn if job else "")


def _reason(outcome: Outcome, exchange: Exchange) -> str:
    """Say why not, for people."""
    seconds = exchange.invocation.outbound.now() - exchange.request.requested_at
    waited = f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
    status = outcome.job.status if outcome.job else ""
    if outcome.kind == exports.STRANDED:
        rest = f". The dataset export job is {status}; {RUNS_ON}" if status else ""
        return f"The function could not hand over to itself before its time ran out: {outcome.why}{rest}"
    if outcome.kind == exports.MISSING:
        why = outcome.why or "the request reached the function too late"
        return f"There was no dataset export job to wait for after {waited}: {why}"
    if outcome.kind == exports.RUNNING:
        return f"The dataset export job is still {status} after {waited}; {RUNS_ON}"
    return outcome.why or "Personalize gave no reason for CREATE FAILED."


def _delete(exchange: Exchange) -> Answer:
    """Only wait: role and bucket are not pulled from under a running job."""
    try:
        if not exchange.request.is_link:
            _let_finish(exchange)
    except OutOfTimeError:
        exchange.log.write("WARNING", "The job still runs, and Delete waits no longer")
    except Exception as error:  # noqa: BLE001 - nothing may stop a Delete
        exchange.log.write("WARNING", "Delete does not wait", error=text_of(error))
    return Answer(SUCCESS, exchange.request.known_id)


def _let_finish(exchange: Exchange) -> None:
    request = exchange.request
    dataset_arn = checked(request.properties, "DatasetArn")
    physical_id = request.physical_id
    if not identity.is_physical_id(physical_id):  # made up by CloudFormation for a Create without an answer
        physical_id = read_export(request.stack_id, request.properties).physical_id
    exports.let_finish([physical_id], dataset_arn, exchange.time)


# -- the answer -------------------------------------------------------------------------------------------------------


def deliver(answer: Answer, exchange: Exchange) -> None:
    """PUT the answer until it arrives: a stack without one hangs for an hour.

    Raises:
        NotDeliveredError: It did not arrive.
    """
    log, outbound = exchange.log, exchange.invocation.outbound
    if answer.status == FAILED:
        log.write("ERROR", answer.reason, jobArn=answer.job_arn)
    body = encode(exchange.request, answer._replace(reason=log.hide(answer.reason)), exchange.invocation.log_location)
    tries, refusals = 0, 0
    while True:
        status, problem = _put(body, exchange)
        if 200 <= status < 300:
            log.write("INFO", "Answered", status=answer.status, physicalId=answer.physical_id)
            return
        refusals += 0 < status < 500 and status not in (408, 429)
        if refusals == MOST_REFUSALS:
            log.write("ERROR", f"CloudFormation takes no answer any more, the request is over: {problem}")
            return
        pause = retry_pause(tries, outbound.chance()) / 2
        tries += 1
        if tries == MOST_TRIES or exchange.invocation.remaining() - pause < RESERVE_SECONDS:
            break
        outbound.sleep(pause)
    log.write("ERROR", f"The answer did not arrive, so Lambda runs the request again: {problem}")
    raise NotDeliveredError(f"CloudFormation did not take the answer: {problem}")


def _put(body: bytes, exchange: Exchange) -> tuple[int, str]:
    invocation = exchange.invocation
    timeout = max(1.0, min(TIMEOUT_SECONDS, invocation.remaining() - RESERVE_SECONDS))
    try:
        status = invocation.outbound.put(exchange.request.response_url, body, timeout)
    except (OSError, HTTPException) as error:
        return 0, type(error).__name__  # its text may hold the URL
    return status, f"HTTP {status}"


def encode(request: Request, answer: Answer, log_location: str) -> bytes:
    """Write the body; what is cut is the reason, rather than the job's ARN and the log after it."""
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
        tail = f" (job: {answer.job_arn}; log: {log_location})" if answer.job_arn else f" (log: {log_location})"
        head = longest_fitting(answer.reason, lambda text: body(Reason=text + tail))
        return body(Reason=head + tail if head else longest_fitting(tail, lambda text: body(Reason=text)))
    data = dict(answer.data or {})
    for name in sorted(data, key=lambda name: (name != "FailureReason", -len(data[name]))):
        data[name] = longest_fitting(data[name], lambda text, name=name: body(Data={**data, name: text}))  # type: ignore[misc]
    return body(Data=data)


def longest_fitting(text: str, body: Callable[[str], bytes]) -> str:
    """Give as much of the text as the body has room for, cut between characters."""
    if len(body(text)) <= LIMIT_BYTES:
        return text
    fits = bisect(range(1, len(text)), LIMIT_BYTES, key=lambda end: len(body(text[:end] + ELLIPSIS)))
    return text[:fits] + ELLIPSIS if fits else ""
