"""A small world for the handler: counted time, a real HTTP server for the answers, AWS behind real boto3 clients.

Requests of the clients are serialised, signed and parsed by botocore as ever; only the last step, sending, is here.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import formatdate
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError
from jsonschema import Draft202012Validator

from cdk_personalize_export.handler.index import door_of
from cdk_personalize_export.handler.invocation import Invocation
from cdk_personalize_export.handler.outbound import Outbound
from tests.buckets import Buckets, Stored, read, refusal

START = 1_767_323_045.0  # 2026-01-02T03:04:05Z, the X-Amz-Date of the events in tests/fixtures/events
EVENTS = Path(__file__).parents[2] / "fixtures" / "events"
SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "event.schema.json").read_text())
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/default"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:export"
SIGNATURE = "0badc0ffee0badc0ffee0badc0ffee0badc0ffee0badc0ffee0badc0ffee0bad"


class Crash(BaseException):
    """The invocation dies: no code of the handler runs any more."""


class Refusal(Exception):  # noqa: N818 - what AWS answers is an error already
    """An error that AWS answers with."""

    def __init__(self, code: str, message: str = "no", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Raw:
    """The body of an HTTP response, as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._body


@dataclass
class AnswerServer:
    """A real HTTP server in the place of CloudFormation's presigned URL."""

    url: str
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    @property
    def answer(self) -> dict[str, Any]:
        assert len(self.bodies) == 1, self.bodies
        return self.answers[0]


@contextmanager
def answer_server() -> Iterator[AnswerServer]:
    """Opens the server; it takes what it is sent and answers with the statuses it was given, then with 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = answers.statuses.pop(0) if answers.statuses else 200
            answers.targets.append(self.path)
            if 200 <= status < 300:
                answers.bodies.append(body)
                answers.headers.append(dict(self.headers))
            if status:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.connection.close()  # a reset instead of an answer

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
            pass

        def finish(self) -> None:
            if not self.wfile.closed:
                super().finish()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    query = f"X-Amz-Date=20260102T030405Z&X-Amz-Expires=7200&X-Amz-Signature={SIGNATURE}"
    answers = AnswerServer(f"http://127.0.0.1:{server.server_port}/arn%3Aaws%3Acloudformation/answer?{query}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Personalize:
    """Export jobs that take their time; what a test changes is public."""

    now: Callable[[], float]
    seconds: float = 100.0
    reason: str = ""  # of a failed job
    invisible_seconds: float = 0.0
    behind: float = 0.0  # its clock, compared with that of the function
    running: str = "CREATE IN_PROGRESS"
    page: int = 100
    refusals: dict[str, list[Exception | None]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)  # how many answers of an operation get lost on the way back
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.calls)

    def add(self, name: str, *, reason: str = "", created: float | None = None, **fields: object) -> None:
        """Puts a job there that somebody else, or an earlier request, made."""
        created = self.now() if created is None else created
        self.jobs[name] = {"jobName": name, "created": created, "reason": reason, "seconds": self.seconds, **fields}

    def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, params))
        if planned := self.refusals.get(operation):
            refusal = planned.pop(0)
            if refusal is not None:
                raise refusal
        answer = OPERATIONS[operation](self, params)
        if self.lost.get(operation, 0):
            self.lost[operation] -= 1
            raise ConnectionResetError
        return answer

    def _create(self, params: dict[str, Any]) -> dict[str, Any]:
        name = params["jobName"]
        if name in self.jobs:
            raise Refusal("ResourceAlreadyExistsException", f"Another resource with the name {name} already exists.")
        self.add(name, **params, reason=self.reason)
        return {"datasetExportJobArn": f"arn:aws:personalize:us-east-1:123456789012:dataset-export-job/{name}"}

    def _describe(self, params: dict[str, Any]) -> dict[str, Any]:
        arn = params["datasetExportJobArn"]
        job = self.jobs.get(arn.rpartition("/")[2])
        now = self.now()
        if job is None or now < job["created"] + self.invisible_seconds:
            raise Refusal("ResourceNotFoundException", f"Resource not found: {arn}")
        ended = job["created"] + job["seconds"]
        over = now >= ended
        status = ("CREATE FAILED" if job["reason"] else "ACTIVE") if over else self.running
        hidden = ("created", "reason", "seconds", "tags")
        found = {key: value for key, value in job.items() if key not in hidden}
        changed = ended if over else job["created"]
        times = {"creationDateTime": job["created"] - self.behind, "lastUpdatedDateTime": changed - self.behind}
        failure = {"failureReason": job["reason"]} if over and job["reason"] else {}
        return {"datasetExportJob": {**found, **times, **failure, "datasetExportJobArn": arn, "status": status}}

    def _list(self, params: dict[str, Any]) -> dict[str, Any]:
        prefix = "arn:aws:personalize:us-east-1:123456789012:dataset-export-job/"
        names = [name for name, job in self.jobs.items() if job.get("datasetArn") == params["datasetArn"]]
        start = int(params.get("nextToken", 0))
        shown = [self._describe({"datasetExportJobArn": prefix + name}) for name in names[start : start + self.page]]
        kept = ("jobName", "datasetExportJobArn", "status", "creationDateTime", "lastUpdatedDateTime", "failureReason")
        jobs = [{key: value for key, value in one["datasetExportJob"].items() if key in kept} for one in shown]
        more = {"nextToken": str(start + self.page)} if start + self.page < len(names) else {}
        return {"datasetExportJobs": jobs, **more}


OPERATIONS: dict[str, Callable[[Personalize, dict[str, Any]], dict[str, Any]]] = {
    "CreateDatasetExportJob": Personalize._create,
    "DescribeDatasetExportJob": Personalize._describe,
    "ListDatasetExportJobs": Personalize._list,
}


@dataclass
class Bus:
    """An event bus; every event is held against the published schema."""

    refusals: list[Exception | str] = field(default_factory=list)  # an error, or the code an entry is refused with
    sent: list[dict[str, Any]] = field(default_factory=list)
    details: list[dict[str, Any]] = field(default_factory=list)
    regions: list[str] = field(default_factory=list)

    def call(self, params: dict[str, Any], host: str) -> dict[str, Any]:
        self.regions.append(host.split(".")[1])
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Exception):
                raise refusal
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": refusal, "ErrorMessage": "not now"}]}
        (entry,) = params["Entries"]
        detail = json.loads(entry["Detail"])
        for error in Draft202012Validator(SCHEMA).iter_errors(detail):
            pytest.fail(f"an event is not as its schema says: {error.message}")  # which the handler can not catch
        self.sent.append(entry)
        self.details.append(detail)
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}

    @property
    def outcomes(self) -> list[str]:
        return [detail["outcome"] for detail in self.details]


@dataclass
class S3(Buckets):
    """Buckets in which every job that is ACTIVE has written its parts."""

    parts: Mapping[str, bytes] = field(
        default_factory=lambda: {
            "part-0.csv": b"USER_ID\nu1\n",
            "_CHECK": b"ok",
            "empty.csv": b"",
            "part-1.csv": b"u2\n",
        }
    )
    refusals: dict[str, list[Refusal | None]] = field(default_factory=dict)  # by operation
    lost: dict[str, int] = field(default_factory=dict)  # how many answers of an operation get lost on the way back

    def serve(self, request: Any, personalize: Personalize) -> AWSResponse:
        self._jobs_write(personalize)
        operation = read(request)[0]
        planned = self.refusals.get(operation) or [None]
        refused = planned.pop(0)
        reply = self.answer(request) if refused is None else refusal(operation, refused.code, refused.status)
        if self.lost.get(operation, 0):
            self.lost[operation] -= 1
            raise ConnectionClosedError(endpoint_url=request.url)
        return AWSResponse(request.url, reply.status, reply.headers, Raw(reply.body))

    def _jobs_write(self, personalize: Personalize) -> None:
        for job in personalize.jobs.values():
            if not job["reason"] and personalize.now() >= job["created"] + job["seconds"] and "jobOutput" in job:
                bucket, _, prefix = job["jobOutput"]["s3DataDestination"]["path"].removeprefix("s3://").partition("/")
                for name, body in self.parts.items():
                    self.objects.setdefault((bucket, prefix + name), Stored(body))


@dataclass
class Stack:
    """What CloudFormation says of a resource; what a test changes is public."""

    now: Callable[[], float]
    status: str = "CREATE_IN_PROGRESS"
    changed: float = START
    refusal: Exception | None = None
    asked: list[tuple[float, str, str]] = field(default_factory=list)

    def describe(self, params: Mapping[str, list[str]]) -> str:
        (stack,), (logical_id,) = params["StackName"], params["LogicalResourceId"]
        self.asked.append((self.now(), stack, logical_id))
        if self.refusal is not None:
            raise self.refusal
        changed = datetime.fromtimestamp(self.changed, timezone.utc).isoformat()
        return (
            '<DescribeStackResourceResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">'
            "<DescribeStackResourceResult><StackResourceDetail>"
            f"<LogicalResourceId>{logical_id}</LogicalResourceId><ResourceStatus>{self.status}</ResourceStatus>"
            f"<LastUpdatedTimestamp>{changed}</LastUpdatedTimestamp><ResourceType>Custom::X</ResourceType>"
            "</StackResourceDetail></DescribeStackResourceResult></DescribeStackResourceResponse>"
        )


class FakeOutbound(Outbound):
    """The outbound with counted time, a captured log and AWS answered by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.time = START + 1
        self.sleeps: list[float] = []
        self.lines: list[dict[str, Any]] = []
        self.luck = 0.5
        self.personalize = Personalize(self.now)
        self.stack = Stack(self.now)
        self.bus = Bus()
        self.s3 = S3()
        self.ahead: dict[str, float] = {}  # by service: how far its clock is ahead; without it, no Date is sent
        self.endpoint = "http://127.0.0.1:4566"
        self.invocations: list[dict[str, Any]] = []
        self.invoked: list[tuple[str, str]] = []  # the path and the kind of every invocation asked for
        self.invoke_refusals: list[Exception] = []
        self.effect: Callable[[str], None] = lambda _: None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.effect("sleep")
        self.sleeps.append(seconds)
        self.time += seconds

    def chance(self) -> float:
        return self.luck

    def write_line(self, line: str) -> None:
        assert "\n" not in line
        self.lines.append(json.loads(line))

    def within(self, seconds: float, action: Callable[[], Any]) -> Any:
        del seconds  # counted time passes by sleeping only
        return action()

    def endpoint_url(self) -> str:
        return self.endpoint

    def client(self, service: str, region: str | None = None) -> Any:
        _serving.outbound = self
        return _client(service, region or "us-east-1")

    def put(self, url: str, body: bytes, timeout: float) -> int:
        self.effect("before put")
        status = super().put(url, body, timeout)
        self.effect("after put")
        return status

    def errors(self) -> list[str]:
        return [line["message"] for line in self.lines if line.get("level") == "ERROR"]

    def metrics(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "_aws" in line]

    def _send(self, request: Any, **_: object) -> AWSResponse:
        self.effect("before call")
        host = urlsplit(request.url).hostname or ""
        if host == "cloudformation.us-east-1.amazonaws.com":
            return self._send_cloudformation(request)
        if ".s3." in host:
            response = self.s3.serve(request, self.personalize)
            self.effect("after call")
            return response
        target = request.headers.get("X-Amz-Target")
        try:
            if target == b"AWSEvents.PutEvents":
                answer, status = self.bus.call(json.loads(request.body), urlsplit(request.url).hostname or ""), 200
            elif target is None:
                kind = request.headers["X-Amz-Invocation-Type"]
                self.invoked.append((urlsplit(request.url).path, kind if isinstance(kind, str) else kind.decode()))
                answer = self._invoke(json.loads(request.body))
                status = 202
            else:
                answer = self.personalize.call(target.decode().partition(".")[2], json.loads(request.body))
                status = 200
        except Refusal as refusal:
            answer, status = {"__type": refusal.code, "message": str(refusal)}, refusal.status
            if target is None:
                answer["Type"] = answer["__type"]
        except ConnectionResetError:
            raise ConnectionClosedError(endpoint_url=request.url) from None
        headers = {"x-amzn-ErrorType": answer["__type"]} if "__type" in answer else {}
        headers |= self._date("lambda" if target is None else "personalize")
        self.effect("after call")
        return AWSResponse(request.url, status, headers, Raw(json.dumps(answer).encode()))

    def _date(self, service: str) -> dict[str, str]:
        ahead = self.ahead.get(service)
        return {} if ahead is None else {"Date": formatdate(int(self.time + ahead), usegmt=True)}

    def _send_cloudformation(self, request: Any) -> AWSResponse:
        body = request.body if isinstance(request.body, str) else request.body.decode()
        try:
            text, status = self.stack.describe(parse_qs(body)), 200
        except Refusal as refusal:
            status = refusal.status
            text = (
                f"<ErrorResponse><Error><Code>{refusal.code}</Code><Message>{refusal}</Message></Error></ErrorResponse>"
            )
        except ConnectionResetError:
            raise ConnectionClosedError(endpoint_url=request.url) from None
        self.effect("after call")
        return AWSResponse(request.url, status, self._date("cloudformation"), Raw(text.encode()))

    def _invoke(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self.invoke_refusals:
            raise self.invoke_refusals.pop(0)
        self.invocations.append(payload)
        return {}


_serving = threading.local()


@cache
def _client(service: str, region: str) -> Any:
    """A client whose requests go to the outbound that has asked for it last: to make one takes its time."""
    client = boto3.client(
        service,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def send(request: Any, **_: object) -> AWSResponse:
        response: AWSResponse = _serving.outbound._send(request)
        return response

    client.meta.events.register(f"before-send.{service}", send)
    return client


class Context:
    """Lambda's context, its remaining time counted on the fake clock."""

    log_group_name = "/aws/lambda/export"
    log_stream_name = "2026/01/02/[$LATEST]0123456789abcdef"
    invoked_function_arn = FUNCTION

    def __init__(self, outbound: FakeOutbound, seconds: float) -> None:
        self._outbound = outbound
        self._end = outbound.time + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - self._outbound.time) * 1000)


def event(name: str, url: str, **properties: object) -> dict[str, Any]:
    """Reads an event from the fixtures, puts the URL in, and changes properties; None removes one."""
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    found["ResponseURL"] = url
    merged = {**found["ResourceProperties"], **properties}
    found["ResourceProperties"] = {key: value for key, value in merged.items() if value is not None}
    return found


def tick(**properties: object) -> dict[str, Any]:
    """Reads the tick from the fixtures and changes what it says of the export; None removes a property."""
    found: dict[str, Any] = json.loads((EVENTS / "tick.json").read_text())
    merged = {**found["Export"], **properties}
    found["Export"] = {key: value for key, value in merged.items() if value is not None}
    return found


def run(outbound: FakeOutbound, request: Mapping[str, Any], seconds: float = 900.0) -> int:
    """Plays Lambda: runs the request and every hand-over that follows; gives the number of invocations."""
    queue, invocations = [dict(request)], 0
    while queue:
        invocations += 1
        event = queue.pop(0)
        door_of(event)(Invocation(event, Context(outbound, seconds), outbound))
        queue += outbound.invocations
        outbound.invocations = []
    return invocations
