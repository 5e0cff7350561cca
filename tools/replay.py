"""Replay CloudFormation events and ticks of schedules against the real handler and the local Personalize.

`python -m tools.replay create` plays an event of tests/fixtures/events, `python -m tools.replay my-event.json` one of
your own. Several events are played one after the other in one world: `create update rollback delete`. The event is sent
as if it were new; its ResponseURL is replaced by a server on this machine, the scheduled time of a tick by now. Time is
counted, so an hour takes no time, unless --real-time is given.

Exit status: 0 when every event was answered, or its outcome told, also when it failed; 1 when one was not, or is none.
"""

from __future__ import annotations

import argparse
import calendar
import json
import re
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

try:
    import boto3
    from botocore import UNSIGNED
    from botocore.awsrequest import AWSResponse
    from botocore.config import Config

    from cdk_personalize_export.handler.index import door_of
    from cdk_personalize_export.handler.invocation import Invocation
    from cdk_personalize_export.handler.outbound import Outbound
    from personalize_local.service import ApiError, Caller, Fault, PersonalizeService, Settings
    from tests.buckets import Buckets, Stored
except ModuleNotFoundError as missing:
    sys.exit(
        f"replay: {missing.name} is not installed for {sys.executable}. `make replay EVENT=create` installs it first."
    )

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[1]
EVENTS = ROOT / "tests" / "fixtures" / "events"
TIMEOUT_SECONDS = 900
JOB_SECONDS = 100.0
PAUSE_SECONDS = 60.0  # between two events
DATASET_ARN = re.compile(r"arn:([^:]+):personalize:([^:]+):(\d{12}):dataset/([^/]+)/(\w+)")
_Result = TypeVar("_Result")
DATE = re.compile(r"X-Amz-Date=(\d{8}T\d{6}Z)")
TYPES = ("Interactions", "Items", "Users", "Actions", "Action_Interactions")
FIELDS: dict[str, list[dict[str, object]]] = {
    "Interactions": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
    "Items": [{"name": "ITEM_ID", "type": "string"}, {"name": "GENRES", "type": "string", "categorical": True}],
    "Users": [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": "int"}],
    "Actions": [{"name": "ACTION_ID", "type": "string"}, {"name": "VALUE", "type": "long"}],
    "Action_Interactions": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ACTION_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
        {"name": "EVENT_TYPE", "type": "string"},
    ],
}


class UnusableError(Exception):
    """Why an event can not be played, in one line that says what to do."""


class Clock:
    """Counted time, or the real one."""

    def __init__(self, *, real: bool) -> None:
        self._real = real
        self._now = float(int(time.time()))

    def now(self) -> float:
        """Tell the time in seconds since 1970."""
        return time.time() if self._real else self._now

    def sleep(self, seconds: float) -> None:
        """Wait, or count."""
        if self._real:
            time.sleep(seconds)
        self._now += seconds

    def skip(self, seconds: float) -> None:
        """Let time pass in which nothing happens, if it is counted."""
        self._now += seconds


class Screen:
    """Lines, each with the seconds since the event was sent."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started = clock.now()

    def show(self, what: str, text: str) -> None:
        """Print a line."""
        print(f"{self._clock.now() - self.started:9.1f} s  {what:6} {text}", flush=True)


class Objects:
    """What Personalize writes to Amazon S3: it takes everything, and says what."""

    def __init__(self, screen: Screen, buckets: Buckets) -> None:
        self._screen, self._buckets = screen, buckets

    def read(
        self,
        *,
        role_arn: str,
        location: str,
        caller: Caller,
        source_arn: str,
        subfolders: bool,  # noqa: ARG002
    ) -> Iterable[tuple[str, BinaryIO]]:
        """Give nothing: nothing is ever imported here."""
        del role_arn, location, caller, source_arn
        return []

    def write(  # noqa: PLR0913 - the port's own signature
        self,
        *,
        role_arn: str,
        location: str,
        name: str,
        body: Iterable[bytes] | BinaryIO,
        kms_key_arn: str | None,
        caller: Caller,
        source_arn: str,
    ) -> None:
        """Take an object."""
        del role_arn, kms_key_arn, caller, source_arn
        stored = Stored(b"".join(body))
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        self._buckets.objects[bucket, prefix + name] = stored
        self._screen.show("s3", f"{location}{name}: {len(stored.body)} bytes")

    def check_role(self, *, role_arn: str, caller: Caller) -> None:
        """Accept every role."""


class AnswerServer:
    """A server in the place of CloudFormation."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.port = 0

    @contextmanager
    def open(self) -> Iterator[AnswerServer]:
        """Take answers for the length of a block."""
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def url(self, sent_at: float) -> str:
        """Make a ResponseURL of that time."""
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(sent_at))
        return f"http://127.0.0.1:{self.port}/answer?X-Amz-Date={date}&X-Amz-Signature={'0' * 64}"


class Context:
    """Lambda's context."""

    log_group_name = "/aws/lambda/export"
    log_stream_name = "replay"

    def __init__(self, clock: Clock, function_arn: str) -> None:
        self.invoked_function_arn = function_arn
        self._clock = clock
        self._end = clock.now() + TIMEOUT_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        """Tell the time left of the 15 minutes."""
        return int((self._end - self._clock.now()) * 1000)


class Raw:
    """The body of an HTTP response, as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: object) -> Iterator[bytes]:
        """Give the body."""
        yield self._body


class ReplayOutbound(Outbound):
    """What the handler takes for the world: only what leaves this process is replaced."""

    def __init__(self, clock: Clock, screen: Screen, service: PersonalizeService, buckets: Buckets) -> None:
        super().__init__()
        self.payloads: list[dict[str, Any]] = []  # hand-overs not yet run
        self.calls = 0
        self.told = False  # the outcome of a tick
        self._clock, self._screen, self._service, self._buckets = clock, screen, service, buckets

    def now(self) -> float:
        """Tell the time."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._screen.show("sleep", f"{seconds:.1f} s")
        self._clock.sleep(seconds)

    def chance(self) -> float:
        """Give the middle, so that every replay is the same."""
        return 0.5

    def write_line(self, line: str) -> None:
        """Show a line of the log."""
        self._screen.show("log", line)
        self.told = self.told or "outcome" in json.loads(line)

    def put(self, url: str, body: bytes, timeout: float) -> int:
        """Send the answer, with the handler's own means."""
        status = super().put(url, body, timeout)
        self.calls += 1
        self._screen.show("call", f"PUT of {len(body)} bytes to the ResponseURL -> {status}")
        return status

    def client(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - boto3 clients have no static type
        """Give a real client; only the last step, sending, is done here."""
        config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
        client = boto3.client(service, region_name=region or "us-east-1", config=config)
        senders = {
            "personalize": self._send_personalize,
            "lambda": self._send_lambda,
            "cloudformation": self._send_cloudformation,
            "events": self._send_events,
            "s3": self._send_s3,
        }
        client.meta.events.register(f"before-send.{service}", senders[service])
        return client

    def within(self, seconds: float, action: Callable[[], _Result]) -> _Result:
        """Do something at once: nothing here hangs."""
        del seconds
        return action()

    def endpoint_url(self) -> str:
        """Say that AWS is on this machine, so that the server here may be answered."""
        return "http://127.0.0.1"

    def _send_personalize(self, request: Any, **_: object) -> AWSResponse:  # noqa: ANN401 - botocore has no types
        operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
        params = json.loads(request.body)
        try:
            arn = params.get("datasetArn") or params["datasetExportJobArn"]
            answer, status = self._service.call(operation, params, caller_of(arn)), 200
            result = answer.get("datasetExportJob", {}).get("status", "accepted")
            if "datasetExportJobs" in answer:
                result = count(len(answer["datasetExportJobs"]), "job")
        except ApiError as error:
            answer, status = {"__type": error.code, "message": error.message}, error.status
            result = f"{error.code}: {error.message}"
        self.calls += 1
        name = params.get("jobName") or params.get("datasetExportJobArn", arn).rpartition("/")[2]
        self._screen.show("call", f"personalize {operation} {name} -> {result}")
        return AWSResponse(request.url, status, {}, Raw(json.dumps(answer).encode()))

    def _send_events(self, request: Any, **_: object) -> AWSResponse:  # noqa: ANN401 - botocore has no types
        self.calls += 1
        (entry,) = json.loads(request.body)["Entries"]
        self._screen.show("call", f"events PutEvents {json.loads(entry['Detail'])['outcome']} -> accepted")
        answer = {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}
        return AWSResponse(request.url, 200, {}, Raw(json.dumps(answer).encode()))

    def _send_s3(self, request: Any, **_: object) -> AWSResponse:  # noqa: ANN401 - botocore has no types
        reply = self._buckets.answer(request)
        self.calls += 1
        operation, key = self._buckets.calls[-1]
        self._screen.show("call", f"s3 {operation} {key} -> {reply.status}")
        return AWSResponse(request.url, reply.status, reply.headers, Raw(reply.body))

    def _send_lambda(self, request: Any, **_: object) -> AWSResponse:  # noqa: ANN401 - botocore has no types
        self.payloads.append(json.loads(request.body))
        self.calls += 1
        self._screen.show("call", f"lambda Invoke {len(request.body)} bytes -> 202")
        return AWSResponse(request.url, 202, {}, Raw(b""))

    def _send_cloudformation(self, request: Any, **_: object) -> AWSResponse:  # noqa: ANN401 - botocore has no types
        self.calls += 1
        self._screen.show("call", "cloudformation DescribeStackResource -> ValidationError: there is no stack here")
        error = "<ErrorResponse><Error><Code>ValidationError</Code><Message>no stack</Message></Error></ErrorResponse>"
        return AWSResponse(request.url, 400, {}, Raw(error.encode()))


class Replay:
    """One world, in which events are played one after the other."""

    def __init__(self, *, job_seconds: float = JOB_SECONDS, failure: str = "", real_time: bool = False) -> None:
        self._clock = Clock(real=real_time)
        self._screen = Screen(self._clock)
        faults = (Fault("Job", message=failure, times=0),) if failure else ()
        settings = Settings(job_seconds=job_seconds, resource_seconds=0, faults=faults)
        self._buckets = Buckets()
        objects = Objects(self._screen, self._buckets)
        self._service = PersonalizeService(settings, objects, clock=self._clock.now)

    def play(self, event: dict[str, Any]) -> bool:
        """Play an event and every hand-over; say whether it was answered, or its outcome told."""
        self._screen.started = self._clock.now()
        ticks = "Tick" in event
        self._prepare(event.get("Export" if ticks else "ResourceProperties"))
        outbound = ReplayOutbound(self._clock, self._screen, self._service, self._buckets)
        began, invocations = time.monotonic(), 0
        with AnswerServer().open() as server:
            outbound.payloads.append(sent_now(event, server.url(self._clock.now()), self._clock.now()))
            while outbound.payloads:
                invocations += 1
                try:
                    context = Context(self._clock, function_of(event))
                    door_of(event)(Invocation(outbound.payloads.pop(0), context, outbound))
                except Exception:  # noqa: BLE001 - shown as what it is: the function died
                    traceback.print_exc()
        for body in server.bodies:
            print(f"\nanswer, {len(body)} bytes:\n{json.dumps(json.loads(body), indent=2, ensure_ascii=False)}")
        seconds = self._clock.now() - self._screen.started
        effort = f"{count(outbound.calls, 'call')}, {count(invocations, 'invocation')}"
        done, words = (
            (outbound.told, ("told", "NOT TOLD")) if ticks else (bool(server.bodies), ("answered", "NOT ANSWERED"))
        )
        print(f"\n{words[not done]} after {seconds:.1f} s: {effort} (played in {time.monotonic() - began:.1f} s)")
        self._clock.skip(PAUSE_SECONDS)
        return done

    def _prepare(self, properties: object) -> None:
        """Make what the event names: the dataset of the export."""
        named = properties if isinstance(properties, dict) else {}
        self._make_dataset(str(named.get("DatasetArn")))

    def _make_dataset(self, arn: str) -> None:
        named = DATASET_ARN.fullmatch(arn)
        kind = next((kind for kind in TYPES if named and kind.upper() == named[5]), None)
        if named is None or kind is None:
            return  # whatever it is, the handler or Personalize says what is wrong with it
        schema = {"type": "record", "name": kind, "fields": FIELDS[kind], "version": "1.0"}
        account = arn.partition(":dataset/")[0]
        schema_arn, group_arn = f"{account}:schema/{kind}", f"{account}:dataset-group/{named[4]}"
        self._make("CreateSchema", arn, name=kind, schema=json.dumps(schema))
        self._make("CreateDatasetGroup", arn, name=named[4])
        self._make(
            "CreateDataset", arn, name=named[5], schemaArn=schema_arn, datasetGroupArn=group_arn, datasetType=kind
        )

    def _make(self, operation: str, neighbour_arn: str, **params: object) -> None:
        """Make a resource, unless an earlier event has."""
        try:
            self._service.call(operation, params, caller_of(neighbour_arn))
        except ApiError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise UnusableError(
                    f"the local Personalize refuses what the event names ({operation}: {error.message}). "
                    "Fix: change the ARN in the event."
                ) from None


def function_of(event: dict[str, Any]) -> str:
    """Give the ARN of the function an event is for; a tick is for one where its dataset is."""
    export = event.get("Export")
    if "Tick" not in event or not isinstance(export, dict):
        return str(event.get("ServiceToken"))
    caller = caller_of(str(export.get("DatasetArn")))
    return f"arn:{caller.partition}:lambda:{caller.region}:{caller.account}:function:export"


def caller_of(arn: str) -> Caller:
    """Read account and Region from an ARN."""
    _, partition, _, region, account, *_ = [*arn.split(":"), *[""] * 5]
    return Caller(account, region, partition)


def count(number: int, what: str) -> str:
    """Write a number of things."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def sent_now(event: dict[str, Any], url: str, now: float) -> dict[str, Any]:
    """Give the event a new ResponseURL or scheduled time, and move the deadline it carries along with it."""
    if "Tick" in event:
        tick = event["Tick"] if isinstance(event["Tick"], dict) else {}
        return {**event, "Tick": {**tick, "ScheduledTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))}}
    moved = {**event, "ResponseURL": url}
    luggage = event.get("HandOver")
    date = DATE.search(str(event.get("ResponseURL")))
    if date and isinstance(luggage, dict) and isinstance(luggage.get("Deadline"), int | float):
        sent_at = calendar.timegm(time.strptime(date[1], "%Y%m%dT%H%M%SZ"))
        moved["HandOver"] = {**luggage, "Deadline": luggage["Deadline"] + int(now) - sent_at}
    return moved


def read_event(name: str) -> dict[str, Any]:
    """Read an event from a file, or from the fixtures by its name.

    Raises:
        UnusableError: There is no such file, or it holds no event.
    """
    path = EVENTS / f"{name}.json"
    if not path.exists():
        path = Path(name)
    try:
        event = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(path.stem for path in EVENTS.glob("*.json")))
        raise UnusableError(
            f"{name} can not be read: {error.strerror}. Fix: give a file, or one of {known or 'no fixture here'}."
        ) from None
    except ValueError as error:
        raise UnusableError(f"{name} is not JSON: {error}. Fix: save the event as Lambda got it.") from None
    if not isinstance(event, dict) or not {"RequestType", "Tick"} & event.keys():
        raise UnusableError(
            f"{name} is neither a request of CloudFormation (RequestType) nor a tick of a schedule (Tick). "
            'Fix: save the event as Lambda got it, {"RequestType": "Create", ...}.'
        )
    return event


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.replay",
        description="Replay CloudFormation events and ticks against the real handler and the local Personalize.",
    )
    parser.add_argument("events", nargs="+", metavar="EVENT", help="a JSON file, or the name of a fixture: create")
    parser.add_argument(
        "--job-seconds", type=float, default=JOB_SECONDS, help=f"how long a job takes (default {JOB_SECONDS:.0f})"
    )
    parser.add_argument("--fail", metavar="REASON", default="", help="every job fails, for this reason")
    parser.add_argument("--real-time", action="store_true", help="wait for real instead of counting")
    options = parser.parse_args(arguments)
    if not 0 <= options.job_seconds < float("inf"):
        parser.error(f"--job-seconds is {options.job_seconds}. Allowed: a number, 0 or more.")
    try:
        events = [(name, read_event(name)) for name in options.events]
        replay = Replay(job_seconds=options.job_seconds, failure=options.fail, real_time=options.real_time)
        answered = []
        for name, event in events:
            print(f"\n== {name}: {event.get('RequestType', 'Tick')} {event.get('LogicalResourceId', '')}".rstrip())
            answered.append(replay.play(event))
    except UnusableError as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1
    return 0 if all(answered) else 1


if __name__ == "__main__":
    sys.exit(main())
