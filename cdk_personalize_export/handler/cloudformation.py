"""The door of a deployment: reads the request, has the work done, delivers the answer.

Create and Update are the same: start the job or join it. CloudFormation waits at most an hour for one resource, so a
longer wait is made of links: resources with the same properties, each of which starts or joins the job by itself, and
of which only the last has to see its end. Delete only lets a running job finish, that its role and bucket are not
pulled from under it. See
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html for the requests, and
crpg-ref-requests.html and crpg-ref-responses.html beside it for their fields and those of the answer.

The ResponseURL is a credential: it is never logged, and no representation shows it.
"""

import calendar
import json
import re
import time
from bisect import bisect
from collections.abc import Callable, Mapping
from datetime import datetime
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import ClientError

from . import exports, identity
from .errors import ServiceErrors, fault_in, text_of
from .exports import Outcome, Progress, Work
from .invocation import Invocation
from .log import Log
from .outbound import CALL_SECONDS, Outbound, server_time
from .properties import MalformedError, checked, longest_wait, mapping, read_export, require_home, text_in
from .telling import OUTCOMES, TELL_SECONDS, Telling, announcer, read_telling, tell_outcome
from .waiting import Demand, InvocationEndingError, OutOfTimeError, TimeBudget, length, retry_pause

SUCCESS, FAILED = "SUCCESS", "FAILED"
LIMIT_BYTES = 4096  # of the whole body, encoded: crpg-ref-responses.html
SHORTEST_SECRET = 16
ELLIPSIS = "…"
MOST_TRIES = 10
MOST_REFUSALS = 2  # a presigned URL stays refused; the second is for a hiccup
RESERVE_SECONDS = 2.0  # to end the invocation in
OTHER_REQUEST_SECONDS = 10.0  # what CloudFormation began that much later is another request (inferred)
AMAZON = r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+amazonaws\.com(\.cn)?"
LOOPBACK = r"localhost|127(\.\d{1,3}){3}|::1"
NEVER_STARTED = "-never-started"


class NotDeliveredError(Exception):
    """Lets Lambda run the request again."""


class Request(NamedTuple):
    """What every request has."""

    kind: str
    response_url: str
    stack_id: str
    request_id: str
    logical_id: str
    physical_id: str
    properties: Mapping[str, Any]
    requested_at: float
    progress: Progress
    handed_over: bool

    def __repr__(self) -> str:  # without the ResponseURL
        """Name the request for people."""
        return f"Request({self.kind} {self.logical_id} {self.request_id})"

    @property
    def known_id(self) -> str:
        """The id CloudFormation has, or one that no job has."""
        return self.physical_id or self.logical_id + NEVER_STARTED


class Answer(NamedTuple):
    """What to tell CloudFormation."""

    status: str
    physical_id: str
    reason: str = ""
    job_arn: str = ""
    data: Mapping[str, str] | None = None


class StackResource(Demand):
    """The resource that waits: CloudFormation may have given the request up, and is asked for it.

    A cancelled or deleted request leaves its invocation running. Whoever may not ask, or gets no answer, goes on as if
    wanted. See https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackResourceDetail.html.
    """

    def __init__(self, request: Request, outbound: Outbound, log: Log) -> None:
        super().__init__(request.requested_at)
        self._request, self._outbound, self._log = request, outbound, log
        self._signed_at = _signing_time(request.response_url)
        self._asks = bool(request.stack_id and request.logical_id and self._signed_at is not None)

    def age(self) -> float | None:
        """Tell how old the request is by the clock that signed it, which a refusal tells, too; None when unknown."""
        try:
            date = server_time(self._ask())
        except Exception as error:  # noqa: BLE001 - answered anyway
            self._log.write("WARNING", "The age of the request is a guess", error=text_of(error))
            return None
        return None if date is None or self._signed_at is None else max(0.0, date - self._signed_at)

    def still_wanted(self) -> bool:
        """Ask CloudFormation."""
        detail = self._ask().get("StackResourceDetail", {})
        status, changed = detail.get("ResourceStatus", ""), detail.get("LastUpdatedTimestamp")
        return self._signed_at is None or not given_up(self._request.kind, self._signed_at, status, changed)

    def _ask(self) -> Mapping[str, Any]:
        if not self._asks:
            return {}
        try:
            answer: Mapping[str, Any] = self._outbound.call(
                "cloudformation",
                "describe_stack_resource",
                StackName=self._request.stack_id,
                LogicalResourceId=self._request.logical_id,
            )
        except ServiceErrors as error:
            self._log.write("INFO", "CloudFormation does not say whether it still waits", error=text_of(error))
            if isinstance(error, ClientError):
                return dict(error.response)
            self._asks = False  # in this invocation, as it takes its time to get no answer
            return {}
        return answer


def given_up(kind: str, signed_at: float, status: str, changed: datetime | None) -> bool:
    """Say whether CloudFormation has gone on without an answer; all times are its own.

    A state from before the request says nothing: it is not up to date.
    """
    if changed is None:
        return False
    later = changed.timestamp() - signed_at
    return later > OTHER_REQUEST_SECONDS if status == f"{kind.upper()}_IN_PROGRESS" else later >= 0


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
    names = {"requestId": request.request_id, "logicalId": request.logical_id}
    log = Log(outbound, names, secrets_in(request.response_url))
    if not may_answer(request.response_url, outbound.endpoint_url()):
        log.write("ERROR", "There is no ResponseURL that may be answered (https at AWS only), so nothing is done")
        return
    log.write("INFO", "Received", kind=request.kind, physicalId=request.physical_id)
    resource = StackResource(request, outbound, log)
    if not request.handed_over:
        request = dated(request, resource.age(), outbound.now())
        resource.requested_at = request.requested_at
    demand = Demand(request.requested_at) if request.kind == "Delete" else resource
    budget = TimeBudget(outbound, log, invocation.remaining, request.progress.deadline, demand)
    exchange = Exchange(request, invocation, log, budget)
    answer = _answer(exchange)
    if answer:
        deliver(answer, exchange)


# -- the request ------------------------------------------------------------------------------------------------------


def read_request(event: object, now: float) -> Request:
    """Read a request; never fails, as a malformed one is answered too.

    Clocks differ, so a time that has not come yet is taken for now; see `dated`.
    """
    fields = mapping(event)
    properties = mapping(fields.get("ResourceProperties"))
    url = text_in(fields, "ResponseURL")
    window = longest_wait(properties)
    signed_at = _signing_time(url)
    first_seen = now if signed_at is None else min(signed_at, now)
    passed_on = exports.read_progress(fields, now + window, now)
    progress = passed_on or Progress(first_seen + window)
    return Request(
        kind=text_in(fields, "RequestType"),
        response_url=url,
        stack_id=text_in(fields, "StackId"),
        request_id=text_in(fields, "RequestId"),
        logical_id=text_in(fields, "LogicalResourceId"),
        physical_id=text_in(fields, "PhysicalResourceId"),
        properties=properties,
        requested_at=min(now, progress.deadline - window),
        progress=progress,
        handed_over=passed_on is not None,
    )


def dated(request: Request, age: float | None, now: float) -> Request:
    """Count the time of a request from its age, when that is known, and not from what our clock makes of its date.

    A run that dies leaves a retry, which has nothing but the event: with CloudFormation's clock ahead of ours, it would
    take the request for younger, and answer too late.
    """
    if age is None:
        return request
    requested_at = now - age
    return request._replace(
        requested_at=requested_at, progress=Progress(requested_at + longest_wait(request.properties))
    )


def may_answer(url: str, endpoint_url: str = "") -> bool:
    """Allow https to hosts of AWS; another one only where AWS itself is there, or on this machine: on a local AWS."""
    try:
        parts, endpoint = urlsplit(url), urlsplit(endpoint_url).hostname or ""
        host = parts.hostname or ""
        host.encode("idna")
        usable = parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        return False
    if not usable or not host or parts.scheme not in {"http", "https"}:
        return False
    if parts.scheme == "https" and re.fullmatch(AMAZON, host):
        return True
    return host == endpoint or re.fullmatch(LOOPBACK, endpoint) is not None


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


# -- what comes of it -------------------------------------------------------------------------------------------------


def _answer(exchange: Exchange) -> Answer | None:
    """Give the answer; nothing when another invocation has taken over."""
    request = exchange.request
    try:
        if request.kind == "Delete":
            return _delete(exchange)
        if request.kind in {"Create", "Update"}:
            return _export(exchange)
        reason = f"RequestType is {request.kind!r}. Allowed: Create, Update, Delete. Fix: send one of them."
    except MalformedError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - answered too
        reason = fault_in(error)
    return Answer(FAILED, request.known_id, reason)


def _export(exchange: Exchange) -> Answer | None:
    request, invocation, budget = exchange.request, exchange.invocation, exchange.time
    export = read_export(request.stack_id, request.properties)
    require_home(export.dataset_arn, *invocation.home)
    telling = read_telling(export, request.properties, invocation.outbound, exchange.log)
    work = exports.prepare(export, invocation, budget, request.progress, updates=request.kind == "Update")
    outcome = exports.bring_to_end(work._replace(announce=announcer(telling)))
    if outcome.kind == exports.HANDED_OVER:
        return None
    _tell(outcome, work, telling, exchange)
    if outcome.kind in {exports.ACTIVE, exports.ACCEPTED} or (
        export.more_links and outcome.kind in {exports.RUNNING, exports.MISSING}
    ):
        manifest = {"ManifestPath": outcome.manifest} if outcome.manifest else {}
        return Answer(SUCCESS, export.physical_id, data={**outcome.job.attributes(), **manifest} if outcome.job else {})
    nothing_started = request.kind == "Create" and not outcome.job_arn and outcome.kind == exports.REFUSED
    physical_id = request.known_id if nothing_started else export.physical_id
    return Answer(FAILED, physical_id, _reason(outcome, exchange), outcome.job_arn)


def _tell(outcome: Outcome, work: Work, telling: Telling, exchange: Exchange) -> None:
    """Tell what came of it within this request, in little time: the answer comes after it, and must not be late."""
    ends_later = work.export.more_links and outcome.kind in {exports.RUNNING, exports.MISSING}
    unwatched = outcome.kind == exports.ACTIVE and not work.export.wait
    refused = outcome.kind == exports.REFUSED
    ended_before = outcome.job and not refused and work.jobs.ended_before(outcome.job, work.since)
    if outcome.kind in OUTCOMES and not (ends_later or unwatched or ended_before):
        reason = "" if outcome.kind == exports.ACTIVE else _reason(outcome, exchange)
        seconds = min(TELL_SECONDS, exchange.time.remaining() - exchange.time.margin / 2)
        tell_outcome(telling, outcome, exchange.log.hide(reason), seconds)


def _reason(outcome: Outcome, exchange: Exchange) -> str:
    """Say why not, for people."""
    seconds = exchange.invocation.outbound.now() - exchange.request.requested_at
    status = outcome.job.status if outcome.job else ""
    runs_on = _runs_on(longest_wait(exchange.request.properties))
    if outcome.kind == exports.STRANDED:
        rest = f". The dataset export job is {status}; {runs_on}" if status else ""
        return f"The function could not hand over to itself before its time ran out: {outcome.why}{rest}"
    if outcome.kind == exports.MISSING:
        why = outcome.why or "the request reached the function too late"
        if outcome.job_arn:
            return f"The dataset export job was asked for, and has not been seen after {length(seconds)}; {runs_on}"
        return f"There was no dataset export job to wait for after {length(seconds)}: {why}"
    if outcome.kind == exports.RUNNING:
        return f"The dataset export job is still {status} after {length(seconds)}; {runs_on}"
    if outcome.kind == exports.GIVEN_UP:
        return "CloudFormation does not wait for this request any longer, so nothing is started"
    return outcome.why or "Personalize gave no reason for CREATE FAILED."


def _runs_on(longest_wait_seconds: int) -> str:
    return (
        "it runs on in Amazon Personalize, which can not stop a job. Deploying again joins it after a failed update, "
        "or after a deployment with --no-rollback. After a failed first deployment CloudFormation removes the stack: "
        f"it waits up to {length(longest_wait_seconds)} more for the job, and then takes its role away, without which "
        "the job fails; a new stack is a new identity that starts a new job: raise max_wait first."
    )


def _delete(exchange: Exchange) -> Answer | None:
    """Only wait: role and bucket are not pulled from under a running job."""
    request = exchange.request
    try:
        if not request.physical_id.endswith(NEVER_STARTED):
            ids = _ids_of(request)
            dataset_arn = checked(request.properties, "DatasetArn")
            exports.let_finish(ids, dataset_arn, exchange.time, request.requested_at)
    except InvocationEndingError:
        why = exports.hand_over(exchange.invocation, exchange.time, request.progress)
        if not why:
            return None
        exchange.log.write("WARNING", "The job still runs, and Delete could not hand over", error=why)
    except OutOfTimeError:
        exchange.log.write("WARNING", "The job still runs, and Delete waits no longer")
    except Exception as error:  # noqa: BLE001 - nothing may stop a Delete
        exchange.log.write("WARNING", "Delete does not wait", error=text_of(error))
    return Answer(SUCCESS, request.known_id)


def _ids_of(request: Request) -> list[str]:
    """List the exports whose jobs a Delete lets finish.

    The properties say which: CloudFormation makes a physical id up for a Create without an answer. After a failed
    Update the physical id may be that of another export, whose job may still run.
    """
    try:
        derived = [read_export(request.stack_id, request.properties).physical_id]
    except MalformedError:
        derived = []
    known = [request.physical_id] if identity.is_physical_id(request.physical_id) else []
    return list(dict.fromkeys([*derived, *known]))


# -- the answer -------------------------------------------------------------------------------------------------------


def deliver(answer: Answer, exchange: Exchange) -> None:
    """PUT the answer until it arrives: a stack without one hangs for an hour.

    Raises:
        NotDeliveredError: It did not arrive.
    """
    log, outbound = exchange.log, exchange.invocation.outbound
    if answer.status == FAILED:
        log.write("ERROR", answer.reason, jobArn=answer.job_arn)
    shown = {name: log.hide(value) for name, value in (answer.data or {}).items()}
    safe = answer._replace(reason=log.hide(answer.reason), data=shown)
    body = encode(exchange.request, safe, exchange.invocation.log_location)
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
    timeout = max(1.0, min(CALL_SECONDS, invocation.remaining() - RESERVE_SECONDS))
    try:
        status = invocation.outbound.put(exchange.request.response_url, body, timeout)
    except (OSError, ValueError, HTTPException) as error:
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
