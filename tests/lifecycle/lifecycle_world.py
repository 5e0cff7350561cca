"""A controlled world around the real handler and the real local Personalize: clock, Lambda, wire, and what goes wrong.

Only the handler's way out is replaced. Its AWS clients are real ones: botocore serialises, parses and raises as
ever, and just the last step, sending, is done here. Lambda is modelled after
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html: an event whose invocation dies is run
again after one and after two minutes, and may be delivered more than once.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import re
import threading
import traceback
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import formatdate
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import boto3
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from jsonschema import Draft202012Validator

from cdk_personalize_export.handler.index import door_of
from cdk_personalize_export.handler.invocation import Invocation as HandlerInvocation
from cdk_personalize_export.handler.outbound import CALL_SECONDS, NoAnswerError, Outbound
from personalize_local.service import ApiError, Call, Caller, Fault, PersonalizeService, Settings
from tests.buckets import Buckets, Stored, read, refusal
from tests.lifecycle.lifecycle_thread import ControlledThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from tests.lifecycle.lifecycle_cloudformation import CloudFormation, Request
    from tests.lifecycle.lifecycle_scheduler import Scheduler, Tick

START = 1_767_323_045.0  # 2026-01-02T03:04:05Z
ACCOUNT, REGION = "123456789012", "us-east-1"
HERE = Caller(ACCOUNT, REGION)
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:Shop-Export"
TIMEOUT_SECONDS = 900.0
RETRY_SECONDS = (60.0, 120.0)
LAMBDA_LOOP_LIMIT = 16
LONGEST_TICK_CHAIN = 52 + 1  # 12 hours in rounds of 14 minutes, and one run more for a lost answer
LONGEST_ASYNC_PAYLOAD_BYTES = 262_144
CREATE, DESCRIBE, LIST = "CreateDatasetExportJob", "DescribeDatasetExportJob", "ListDatasetExportJobs"
ASK = "DescribeStackResource"
EVENT_SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "event.schema.json").read_text(encoding="utf-8"))
)
JOB_NAME = re.compile(r"(?P<base>.+-[a-z2-7]{12})(-(?P<attempt>\d+))?")
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
    "version": "1.0",
}
ITEMS_SCHEMA = {
    **SCHEMA,
    "name": "Items",
    "fields": [{"name": "ITEM_ID", "type": "string"}, {"name": "GENRES", "type": "string", "categorical": True}],
}


class Crash(BaseException):
    """The invocation dies where it stands."""


class Killed(BaseException):
    """Lambda ends the invocation at its timeout."""


class WorldEnded(BaseException):
    """The scenario is over; what still waits goes home."""


class Objects:
    """The buckets: what was written stays."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def read(
        self, *, role_arn: str, location: str, caller: Caller, source_arn: str, subfolders: bool
    ) -> Iterable[tuple[str, BinaryIO]]:
        raise NotImplementedError

    def write(  # noqa: PLR0913 - the port's own signature
        self,
        *,
        role_arn: str,  # noqa: ARG002
        location: str,
        name: str,
        body: Iterable[bytes] | BinaryIO,
        kms_key_arn: str | None,  # noqa: ARG002
        caller: Caller,  # noqa: ARG002
        source_arn: str,  # noqa: ARG002
    ) -> None:
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        self._buckets.objects[bucket, prefix + name] = Stored(b"".join(body))

    def check_role(self, *, role_arn: str, caller: Caller) -> None:
        pass


@dataclass
class Trouble:
    """What goes wrong next; every list is used up from its head."""

    calls: deque[str] = field(
        default_factory=deque
    )  # to Personalize: an error code, "lost", "unheard", "resent", "slow"
    creates: deque[str] = field(default_factory=deque)  # the same, for CreateDatasetExportJob only
    puts: deque[str] = field(default_factory=deque)
    invokes: deque[str] = field(default_factory=deque)
    asks: deque[str] = field(default_factory=deque)  # the same, for DescribeStackResource
    lists: deque[str] = field(default_factory=deque)  # the same, for ListDatasetExportJobs only
    buckets: deque[str] = field(default_factory=deque)  # the same, for Amazon S3
    events: deque[str] = field(default_factory=deque)  # the same, for PutEvents; "entry" refuses what is in it
    jobs: deque[tuple[float, str]] = field(default_factory=deque)  # how long, and why it fails or nothing
    denied_until: float = 0.0
    denial: str = "AccessDeniedException"
    invisible_seconds: float = 0.0
    crash_at: dict[int, str] = field(
        default_factory=dict
    )  # number of the outside call → "before" or "after" its effect


@dataclass
class Started:
    """A job the handler started."""

    name: str
    base: str
    attempt: int
    at: float
    request: Request | Tick


TEXTS = {
    "ThrottlingException": "Rate exceeded",
    "LimitExceededException": "More than 5 resources with PENDING or IN_PROGRESS status.",
    "ResourceInUseException": "The dataset is in use.",
    "InternalFailure": "Something went wrong on our side.",
    "ServiceUnavailableException": "Come back later.",
    "AccessDeniedException": f"User: {FUNCTION} is not authorized to perform this action.",
    "InvalidInputException": "Personalize can not assume the role.",
    "TooManyTagsException": "Too many tags.",
    "Final": "The path is wrong.",
}
CODES = {"Final": "InvalidInputException"}
STATUSES = {"InternalFailure": 500, "ServiceUnavailableException": 503}
OF_BUCKETS = {"SlowDown": 503, "InternalError": 500, "AccessDenied": 403, "ConditionalRequestConflict": 409}
SLOW_SECONDS = 9.0
LATE_SECONDS = 40.0


class World:
    """Time, Lambda, Personalize and a stack in CloudFormation."""

    cloudformation: CloudFormation
    scheduler: Scheduler

    def __init__(self, seed: int = 0, concurrent_jobs: int = 5) -> None:
        self.now = START
        self.clock_offset = 0.0  # of the function's clock
        self.personalize_ahead = self.cloudformation_ahead = 0  # of theirs; whole seconds
        self.random = random.Random(seed)  # noqa: S311 - plays dice, protects nothing
        self.trouble = Trouble()
        self.buckets = Buckets()
        self.objects = Objects(self.buckets)
        self.lines: list[tuple[Request | Tick, str]] = []
        self.raised: list[tuple[Request | Tick, str]] = []
        self.started: dict[str, Started] = {}
        self.invocations: list[Invocation] = []
        self.calls: Counter[str] = Counter()
        self.outside_calls = 0
        self.violations: list[str] = []
        self.watch: Callable[[Started], None] = lambda _started: None
        self.told: Callable[[Request | Tick, dict[str, Any]], None] = lambda _cause, _detail: None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._horizon = START
        self._ended: dict[str, dict[str, Any]] = {}
        settings = Settings(job_seconds=100.0, resource_seconds=0.0, concurrent_jobs=concurrent_jobs)
        self.served: list[Call] = []
        self.service = PersonalizeService(
            settings, self.objects, clock=lambda: self.now + self.personalize_ahead, record=self.served.append
        )
        self._make_datasets()

    # -- time ------------------------------------------------------------------------------------------------------

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Plans something."""
        heapq.heappush(self._events, (max(moment, self.now), next(self._numbers), action))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Lets time pass, or less of it when something holds sooner."""
        self._horizon = self.now + seconds
        while not until() and self._events and self._events[0][0] <= self._horizon:
            moment, _, action = heapq.heappop(self._events)
            self.now = max(self.now, moment)
            action()
        if not until():
            self.now = max(self.now, self._horizon)
        self.service.tick()

    def may_skip_to(self, moment: float) -> bool:
        """Whether nothing else happens before, so that whoever waits can just go on."""
        return moment <= self._horizon and (not self._events or self._events[0][0] > moment)

    def drain(self) -> None:
        """Lets everything come to its end; whoever waits for ever is found out."""
        for _ in range(100_000):
            if not self._events:
                return
            self.run(self._events[0][0] - self.now + 1)
        self.violations.append("the world never comes to rest")

    def close(self) -> None:
        """Ends what still runs."""
        for invocation in self.invocations:
            invocation.end()

    # -- Personalize -------------------------------------------------------------------------------------------------

    def job(self, name: str) -> dict[str, Any] | None:
        """Looks at a job as it is, past every trouble of the wire."""
        if name not in self._ended:
            arn = job_arn(name)
            try:
                found = self.service.call(DESCRIBE, {"datasetExportJobArn": arn}, HERE)["datasetExportJob"]
            except ApiError:
                return None
            for time in ("creationDateTime", "lastUpdatedDateTime"):  # told by its own clock
                found = {**found, time: found[time] - self.personalize_ahead}
            if found["status"] not in ("ACTIVE", "CREATE FAILED"):
                return dict(found)
            self._ended[name] = found
        return self._ended[name]

    def job_exists(self, name: str) -> bool:
        return self.job(name) is not None

    def add_foreign_job(self, name: str, seconds: float, reason: str = "") -> None:
        """Somebody else starts a job, if there is room for it."""
        self.service.faults = [Fault("Job", seconds=seconds, message=reason)]
        request = {
            "jobName": name,
            "datasetArn": dataset_arn("INTERACTIONS"),
            "roleArn": f"arn:aws:iam::{ACCOUNT}:role/foreign",
            "jobOutput": {"s3DataDestination": {"path": "s3://foreign/"}},
        }
        try:
            self.service.call(CREATE, request, HERE)
        except ApiError:
            pass
        finally:
            self.service.faults = []

    def _make_datasets(self) -> None:
        call = self.service.call
        schema = call("CreateSchema", {"name": "interactions", "schema": json.dumps(SCHEMA)}, HERE)["schemaArn"]
        items = call("CreateSchema", {"name": "items", "schema": json.dumps(ITEMS_SCHEMA)}, HERE)["schemaArn"]
        group = call("CreateDatasetGroup", {"name": "shop"}, HERE)["datasetGroupArn"]
        for kind, arn in (("Interactions", schema), ("Items", items)):
            call(
                "CreateDataset",
                {"name": kind, "schemaArn": arn, "datasetGroupArn": group, "datasetType": kind},
                HERE,
            )

    # -- Lambda ------------------------------------------------------------------------------------------------------

    def invoke(self, payload: bytes, delay: float = 0.5, tries: int = 1, chain: int = 1) -> None:
        """Takes an event; it is delivered soon, and the answer to it is nobody's concern."""
        longest = LONGEST_TICK_CHAIN if b'"Tick"' in payload else LAMBDA_LOOP_LIMIT
        if chain > longest:
            self.violations.append("Lambda stopped a chain of invocations")
            return
        self.at(self.now + delay, lambda: self._start(payload, tries, chain))

    def cause_of(self, event: dict[str, Any]) -> Request | Tick:
        """Gives the request or the tick that an event is of."""
        if "Tick" not in event:
            return self.cloudformation.request_of(event["ResponseURL"])
        tick = self.scheduler.tick_of(event)
        tick.reached = True
        return tick

    def _start(self, payload: bytes, tries: int, chain: int) -> None:
        invocation = Invocation(self, payload, tries, chain)
        self.invocations.append(invocation)
        invocation.resume()

    def running(self) -> list[Invocation]:
        """The invocations under way."""
        return [invocation for invocation in self.invocations if not invocation.over]


class Invocation:
    """One run of the function."""

    def __init__(self, world: World, payload: bytes, tries: int, chain: int) -> None:
        self.world, self.payload, self.tries, self.chain = world, payload, tries, chain
        self.event = json.loads(payload)
        self.request = world.cause_of(self.event)
        self.ends_at = world.now + TIMEOUT_SECONDS
        self.calls: Counter[str] = Counter()
        self._thread = ControlledThread(self._work)

    @property
    def over(self) -> bool:
        return self._thread.over

    def resume(self, error: BaseException | None = None) -> None:
        """Goes on until it waits for something; when it has died, Lambda runs its event again."""
        self._thread.resume(error)
        if self._thread.over:
            self._finish(self._thread.error)

    def end(self) -> None:
        if not self._thread.over:
            self._thread.resume(WorldEnded())

    def _work(self) -> None:
        _running.invocation = self
        door_of(self.event)(HandlerInvocation(self.event, Context(self), WorldOutbound(self)))

    def _finish(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, WorldEnded):
            return
        text = "".join(traceback.format_exception(error))
        self.world.raised.append((self.request, text))
        if not isinstance(error, Crash):
            self.request.unexpected.append(type(error).__name__)
        if self.tries > len(RETRY_SECONDS):
            self.request.lambda_gave_up = True
            return
        delay = RETRY_SECONDS[self.tries - 1]
        self.request.trouble_until(self.world.now + delay)
        self.world.invoke(self.payload, delay, self.tries + 1, self.chain)

    def wait(self, seconds: float) -> None:
        """Lets time pass for this invocation."""
        if seconds <= 0:
            return
        world, wake = self.world, self.world.now + seconds
        error = Killed() if wake >= self.ends_at else None
        wake = min(wake, self.ends_at)
        if world.may_skip_to(wake):
            world.now = wake
            if error is not None:
                raise error
            return
        world.at(wake, lambda: None if self.over else self.resume(error))
        self._thread.park()

    def call(self, what: str, effect: Callable[[], Any], seconds: float) -> Any:
        """Does one thing to the outside, and may die before or after it."""
        world = self.world
        number = world.outside_calls
        world.outside_calls += 1
        world.calls[what] += 1
        self.calls[what] += 1
        self._crash(number, "before")
        self.wait(seconds / 2)
        result, failure = None, None
        try:
            result = effect()
        except Exception as error:  # noqa: BLE001 - the answer may be an error; it takes its way back all the same
            failure = error
        self.wait(seconds / 2)
        self._crash(number, "after")
        if failure is not None:
            raise failure
        return result

    def _crash(self, number: int, when: str) -> None:
        if self.world.trouble.crash_at.get(number) == when:
            del self.world.trouble.crash_at[number]
            self.request.faults.append(f"crash {when} outside call {number}")
            raise Crash


class Context:
    """Lambda's context: the time left is told by the wall clock, as in Lambda's own runtime."""

    invoked_function_arn = FUNCTION
    log_group_name = "/aws/lambda/Shop-Export"
    log_stream_name = "2026/01/02/[$LATEST]0123456789abcdef0123456789abcdef"

    def __init__(self, invocation: Invocation) -> None:
        self._world = invocation.world
        self._ends_at = invocation.ends_at + self._world.clock_offset

    def get_remaining_time_in_millis(self) -> int:
        return int((self._ends_at - self._world.now - self._world.clock_offset) * 1000)


class WorldOutbound(Outbound):
    """What the handler takes for the world."""

    def __init__(self, invocation: Invocation) -> None:
        super().__init__()
        self._invocation = invocation
        self._world = invocation.world

    def now(self) -> float:
        return self._world.now + self._world.clock_offset

    def sleep(self, seconds: float) -> None:
        self._invocation.call("sleep", lambda: None, seconds)

    def chance(self) -> float:
        return self._world.random.random()

    def within(self, seconds: float, action: Callable[[], Any]) -> Any:
        del seconds  # the wire keeps to the budget of a call by itself, in the model's time
        return action()

    def endpoint_url(self) -> str:
        return ""

    def write_line(self, line: str) -> None:
        self._invocation.call("log", lambda: self._world.lines.append((self._invocation.request, line)), 0)

    def client(self, service: str, region: str | None = None) -> Any:
        return _client(service, region or REGION)

    def put(self, url: str, body: bytes, timeout: float) -> int:
        request = self._invocation.request
        puts = self._world.trouble.puts
        kind = "dead" if request.unreachable else (puts.popleft() if puts else "ok")
        if kind != "ok":
            request.faults.append(f"PUT: {kind}")
        seconds = timeout if kind in ("timeout", "unheard", "late", "dead") else 0.2
        status: int = self._invocation.call("put", lambda: self._deliver(kind, url, body), seconds)
        return status

    def _deliver(self, kind: str, url: str, body: bytes) -> int:
        world, cloudformation = self._world, self._world.cloudformation
        if kind in ("500", "503", "403", "429"):
            self._invocation.request.trouble_until(world.now + 20)
            return int(kind)
        if kind in ("ok", "unheard"):
            status = cloudformation.take(url, body)
            if kind == "ok":
                return status
        if kind == "late":
            world.at(world.now + LATE_SECONDS, lambda: cloudformation.take_late(url, body))
        self._invocation.request.trouble_until(world.now + 30)
        if kind == "reset":
            raise ConnectionResetError(f"connection to {url} was reset")
        raise TimeoutError(f"PUT {url} timed out")


# -- the wire --------------------------------------------------------------------------------------------------------

_running = threading.local()


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._body


@cache
def _client(service: str, region: str) -> Any:
    """A real client; botocore itself tries once, as "resent" plays its second try without its sleeping in real time."""
    config = Config(retries={"total_max_attempts": 1}, signature_version=UNSIGNED)
    client = _session().client(service, region_name=region, config=config)
    client.meta.events.register("before-send", SENDERS[service])
    return client


@cache
def _session() -> Any:
    return boto3.session.Session(aws_access_key_id="fake", aws_secret_access_key="fake", region_name=REGION)


def _date(seconds: float) -> dict[str, str]:
    return {"Date": formatdate(int(seconds), usegmt=True)}


def _text(header: str | bytes) -> str:
    return header.decode() if isinstance(header, bytes) else header


def _response(request: Any, status: int, body: object) -> AWSResponse:
    world = _running.invocation.world
    headers = _date(world.now + world.personalize_ahead)
    return AWSResponse(request.url, status, headers, _Raw(json.dumps(body).encode()))


def _error(request: Any, error: ApiError) -> AWSResponse:
    return _response(request, error.status, {"__type": error.code, "message": error.message})


def _send_personalize(request: Any, **_: object) -> AWSResponse:
    invocation: Invocation = _running.invocation
    operation = _text(request.headers["X-Amz-Target"]).partition(".")[2]
    params = json.loads(request.body)
    trouble = _next_trouble(invocation.world, operation)
    if trouble:
        invocation.request.faults.append(f"{operation}: {trouble}")
    seconds = {"slow": SLOW_SECONDS, "dead": CALL_SECONDS, "too slow": CALL_SECONDS}.get(trouble, 0.1)

    def effect() -> AWSResponse:
        try:
            answer = _answer(invocation, operation, params, trouble)
        except ApiError as error:
            answer_ = _error(request, error)
        else:
            answer_ = _response(request, 200, answer)
        if trouble == "unheard":
            raise ReadTimeoutError(endpoint_url=request.url)
        if trouble == "too slow":
            raise NoAnswerError("no answer within 10 s")
        return answer_

    result: AWSResponse = invocation.call(operation, effect, seconds)
    return result


def _next_trouble(world: World, operation: str) -> str:
    trouble = world.trouble
    if world.now < trouble.denied_until and (operation == CREATE or trouble.denial == "AccessDeniedException"):
        return trouble.denial
    if operation == CREATE and trouble.creates:
        return trouble.creates.popleft()
    if operation == LIST and trouble.lists:
        return trouble.lists.popleft()
    return trouble.calls.popleft() if trouble.calls else ""


def _answer(invocation: Invocation, operation: str, params: dict[str, Any], trouble: str) -> dict[str, Any]:
    world = invocation.world
    if trouble == "lost":
        raise ConnectionClosedError(endpoint_url="https://personalize")
    if trouble == "dead":
        raise NoAnswerError("no answer within 10 s")
    if trouble in TEXTS:
        raise ApiError(CODES.get(trouble, trouble), TEXTS[trouble], STATUSES.get(trouble, 400))
    if operation == CREATE:
        if trouble == "resent":
            _create(invocation, params)
        return _create(invocation, params)
    if operation == DESCRIBE:
        name = params["datasetExportJobArn"].rpartition("/")[2]
        started = world.started.get(name)
        if started is not None and world.now < started.at + world.trouble.invisible_seconds:
            invocation.request.faults.append(f"{DESCRIBE}: not visible yet")
            raise ApiError("ResourceNotFoundException", f"Resource Arn {name} does not exist.")
    return world.service.call(operation, params, HERE)


def _create(invocation: Invocation, params: dict[str, Any]) -> dict[str, Any]:
    world = invocation.world
    plan = world.trouble.jobs[0] if world.trouble.jobs else None
    world.service.faults = [Fault("Job", seconds=plan[0], message=plan[1])] if plan else []
    try:
        answer = world.service.call(CREATE, params, HERE)
    finally:
        world.service.faults = []
    if plan:
        world.trouble.jobs.popleft()
    match = JOB_NAME.fullmatch(params["jobName"])
    base, attempt = (match["base"], int(match["attempt"] or 1)) if match else (params["jobName"], 1)
    started = Started(params["jobName"], base, attempt, world.now, invocation.request)
    world.started[started.name] = started
    world.watch(started)
    return answer


def _send_lambda(request: Any, **_: object) -> AWSResponse:
    invocation: Invocation = _running.invocation
    world = invocation.world
    trouble = world.trouble.invokes.popleft() if world.trouble.invokes else ""
    if trouble:
        invocation.request.faults.append(f"Invoke: {trouble}")
    payload = bytes(request.body)
    if len(payload) > LONGEST_ASYNC_PAYLOAD_BYTES or _text(request.headers["X-Amz-Invocation-Type"]) != "Event":
        world.violations.append("the hand-over is no asynchronous invocation that Lambda takes")

    def effect() -> AWSResponse:
        if trouble == "lost":
            raise ConnectionClosedError(endpoint_url="https://lambda")
        if trouble and trouble != "unheard":
            return _response(request, 429, {"__type": trouble, "message": "Rate Exceeded."})
        world.invoke(payload, chain=invocation.chain + 1)
        if trouble:
            raise ReadTimeoutError(endpoint_url="https://lambda")
        return AWSResponse(request.url, 202, {}, _Raw(b""))

    result: AWSResponse = invocation.call("Invoke", effect, 0.1)
    return result


def _send_cloudformation(request: Any, **_: object) -> AWSResponse:
    invocation: Invocation = _running.invocation
    world = invocation.world
    params = parse_qs(_text(request.body))
    trouble = world.trouble.asks.popleft() if world.trouble.asks else ""
    if trouble:
        invocation.request.faults.append(f"{ASK}: {trouble}")

    def effect() -> AWSResponse:
        date = _date(world.now + world.cloudformation_ahead)
        if trouble == "dead":
            raise NoAnswerError("no answer within 10 s")
        if trouble:
            text = f"<ErrorResponse><Error><Code>{trouble}</Code><Message>no</Message></Error></ErrorResponse>"
            return AWSResponse(request.url, 403, date, _Raw(text.encode()))
        (stack,), (logical_id,) = params["StackName"], params["LogicalResourceId"]
        status, changed = world.cloudformation.states[stack, logical_id]
        text = (
            '<DescribeStackResourceResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">'
            "<DescribeStackResourceResult><StackResourceDetail>"
            f"<LogicalResourceId>{logical_id}</LogicalResourceId><ResourceStatus>{status}</ResourceStatus>"
            f"<LastUpdatedTimestamp>{datetime.fromtimestamp(changed, timezone.utc).isoformat()}</LastUpdatedTimestamp>"
            "</StackResourceDetail></DescribeStackResourceResult></DescribeStackResourceResponse>"
        )
        return AWSResponse(request.url, 200, date, _Raw(text.encode()))

    result: AWSResponse = invocation.call(ASK, effect, CALL_SECONDS if trouble == "dead" else 0.1)
    return result


def _send_events(request: Any, **_: object) -> AWSResponse:
    invocation: Invocation = _running.invocation
    world = invocation.world
    (entry,) = json.loads(request.body)["Entries"]
    trouble = world.trouble.events.popleft() if world.trouble.events else ""
    if trouble:
        invocation.request.faults.append(f"PutEvents: {trouble}")

    def effect() -> AWSResponse:
        if trouble == "lost":
            raise ConnectionClosedError(endpoint_url="https://events")
        if trouble == "dead":
            raise NoAnswerError("no answer within 10 s")
        if trouble == "entry":
            refused = {"ErrorCode": "InternalFailure", "ErrorMessage": "no"}
            return _response(request, 200, {"FailedEntryCount": 1, "Entries": [refused]})
        if trouble and trouble != "unheard":
            return _response(request, 400, {"__type": trouble, "message": "no"})
        detail = json.loads(entry["Detail"])
        world.violations += [
            f"an event is not as its schema says: {e.message}" for e in EVENT_SCHEMA.iter_errors(detail)
        ]
        world.told(invocation.request, detail)
        if trouble:
            raise ReadTimeoutError(endpoint_url="https://events")
        return _response(request, 200, {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})

    result: AWSResponse = invocation.call("PutEvents", effect, CALL_SECONDS if trouble == "dead" else 0.1)
    return result


def _send_s3(request: Any, **_: object) -> AWSResponse:
    invocation: Invocation = _running.invocation
    world, operation = invocation.world, read(request)[0]
    if "Manifest" not in {**invocation.event.get("ResourceProperties", {}), **invocation.event.get("Export", {})}:
        world.violations.append("the buckets are looked at though nobody wants a manifest")
    trouble = world.trouble.buckets.popleft() if world.trouble.buckets else ""
    if trouble:
        invocation.request.faults.append(f"{operation}: {trouble}")

    def effect() -> AWSResponse:
        if trouble == "lost":
            raise ConnectionClosedError(endpoint_url="https://s3")
        if trouble == "dead":
            raise NoAnswerError("no answer within 10 s")
        code = OF_BUCKETS.get(trouble)
        reply = world.buckets.answer(request) if code is None else refusal(operation, trouble, code)
        if trouble == "unheard":
            raise ReadTimeoutError(endpoint_url="https://s3")
        return AWSResponse(request.url, reply.status, reply.headers, _Raw(reply.body))

    result: AWSResponse = invocation.call(operation, effect, CALL_SECONDS if trouble == "dead" else 0.1)
    return result


SENDERS = {
    "s3": _send_s3,
    "personalize": _send_personalize,
    "lambda": _send_lambda,
    "cloudformation": _send_cloudformation,
    "events": _send_events,
}


def dataset_arn(kind: str) -> str:
    return f"arn:aws:personalize:{REGION}:{ACCOUNT}:dataset/shop/{kind}"


def job_arn(name: str) -> str:
    return f"arn:aws:personalize:{REGION}:{ACCOUNT}:dataset-export-job/{name}"
