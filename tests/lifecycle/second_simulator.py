"""A second opinion: AWS once more, written from its documentation alone, for many exports in one stack at once.

It shares nothing with the model beside it but the real handler. Everything is as short as it can be, so that it can be
read against the documentation:

- CloudFormation works on independent resources in parallel, on a link after the link before it; when one fails or the
  user cancels, what is in progress is given up and the stack is rolled back
  (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html,
  crpg-ref-requesttypes.html).
- Lambda runs an asynchronous event again after one and two minutes when it dies, and puts it back for a while when no
  concurrency is free (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html).
- Personalize takes a name once, and refuses what is over its quota
  (https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html).
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import threading
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cdk_personalize_export.handler.cloudformation import NotDeliveredError, handle
from cdk_personalize_export.handler.invocation import Invocation
from cdk_personalize_export.handler.outbound import Outbound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EPOCH = 1_800_000_000.0
ACCOUNT = "arn:aws:{}:us-east-1:123456789012:"
FUNCTION = ACCOUNT.format("lambda") + "function:export"
LONGEST_INVOCATION, HOUR = 900.0, 3600.0
RETRIES = (60.0, 120.0)
LONGEST_BACKOFF = 300.0
LINK_SECONDS, ANSWER_SECONDS = 3360, 240


class Died(BaseException):
    """The invocation ends where it stands."""


class Time:
    """What happens next: a queue of moments, and threads of which one runs at a time."""

    def __init__(self) -> None:
        self.now = EPOCH
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._turn = threading.Semaphore(0)
        self._sleepers: list[threading.Semaphore] = []
        self._over = False

    def at(self, moment: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (moment, next(self._order), what))

    def start(self, work: Callable[[], None]) -> None:
        """Runs something that sleeps, up to its first sleep."""

        def run() -> None:
            try:
                work()
            finally:
                self._turn.release()

        threading.Thread(target=run, daemon=True).start()
        self._turn.acquire()

    def sleep(self, seconds: float) -> None:
        wake = threading.Semaphore(0)

        def resume() -> None:
            wake.release()
            self._turn.acquire()

        self.at(self.now + seconds, resume)
        self._turn.release()
        wake.acquire()

    def run(self, until: Callable[[], bool], longest: float) -> None:
        end = self.now + longest
        while self._queue and not until() and self._queue[0][0] <= end:
            moment, _, what = heapq.heappop(self._queue)
            self.now = max(self.now, moment)
            what()
        if not until():
            self.now = max(self.now, end)


def error(code: str, operation: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@dataclass
class Job:
    """A job of Personalize."""

    parameters: dict[str, Any]
    created: float
    seconds: float
    fails: bool
    request: Request | None

    def status(self, now: float) -> str:
        if now < self.created + self.seconds:
            return "CREATE IN_PROGRESS"
        return "CREATE FAILED" if self.fails else "ACTIVE"


@dataclass
class Request:
    """A request to the function, and what became of it."""

    kind: str
    logical_id: str
    properties: dict[str, str]
    sent: float
    rollback: bool
    throttled: bool = False  # no concurrency was free for it, maybe for long
    status: str = ""
    answer: dict[str, Any] = field(default_factory=dict)
    ended: float = 0.0


@dataclass
class Resource:
    """A resource of the stack."""

    properties: dict[str, str]
    physical_id: str
    failed: bool = False


class Aws:
    """The whole of it."""

    def __init__(self, seed: int, *, quota: int = 5, concurrency: int = 10) -> None:
        self.time, self.dice = Time(), random.Random(seed)  # noqa: S311 - plays dice, protects nothing
        self.quota, self.concurrency = quota, concurrency
        self.jobs: dict[str, Job] = {}
        self.plan: Callable[[], tuple[float, bool]] = lambda: (60.0, False)  # seconds of the next job, and if it fails
        self.crash_chance = 0.0
        self.running = 0
        self.requests: list[Request] = []
        self.problems: list[str] = []
        self.resources: dict[str, Resource] = {}
        self.stable: dict[str, Resource] = {}
        self.states: dict[str, tuple[str, float]] = {}
        self._by_url: dict[str, Request] = {}

    # -- Lambda

    def invoke(self, event: dict[str, Any], tries: int = 0, backoff: float = 1.0) -> None:
        if self.running >= self.concurrency:
            self._by_url[event["ResponseURL"]].throttled = True
            longer = min(backoff * 2, LONGEST_BACKOFF)
            self.time.at(self.time.now + backoff, lambda: self.invoke(event, tries, longer))
            return

        def work() -> None:
            try:
                handle(Invocation(event, Context(self), SimulatedOutbound(self, event)))
            except (Died, NotDeliveredError):
                if tries < len(RETRIES):
                    self.time.at(self.time.now + RETRIES[tries], lambda: self.invoke(event, tries + 1))
            except Exception as problem:  # noqa: BLE001 - the handler raises nothing else
                self.problems.append(f"the handler raised {problem!r}")
            finally:
                self.running -= 1

        self.running += 1
        self.time.start(work)

    # -- Personalize

    def create(self, parameters: dict[str, Any], request: Request | None) -> dict[str, Any]:
        name, now = parameters["jobName"], self.time.now
        if name in self.jobs:
            raise error("ResourceAlreadyExistsException", "CreateDatasetExportJob")
        busy = sum(job.status(now) == "CREATE IN_PROGRESS" for job in self.jobs.values())
        if busy >= self.quota:
            text = f"More than {self.quota} resources with PENDING or IN_PROGRESS status."
            raise error("LimitExceededException", "CreateDatasetExportJob", text)
        seconds, fails = self.plan()
        self.jobs[name] = Job(parameters, now, seconds, fails, request)
        return {"datasetExportJobArn": ACCOUNT.format("personalize") + f"dataset-export-job/{name}"}

    def describe(self, arn: str) -> dict[str, Any]:
        name, now = arn.rpartition("/")[2], self.time.now
        if name not in self.jobs:
            raise error("ResourceNotFoundException", "DescribeDatasetExportJob")
        job = self.jobs[name]
        status = job.status(now)
        changed = job.created if status == "CREATE IN_PROGRESS" else job.created + job.seconds
        told = {
            **job.parameters,
            "datasetExportJobArn": arn,
            "status": status,
            "creationDateTime": datetime.fromtimestamp(job.created, timezone.utc),
            "lastUpdatedDateTime": datetime.fromtimestamp(changed, timezone.utc),
        }
        return {"datasetExportJob": {**told, "failureReason": "The disk was full."} if job.fails else told}

    # -- CloudFormation

    def send(
        self, kind: str, logical_id: str, properties: dict[str, str], physical_id: str, *, rollback: bool = False
    ) -> Request:
        now = self.time.now
        request = Request(kind, logical_id, properties, now, rollback)
        date = datetime.fromtimestamp(int(now), timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        url = f"https://response.s3.amazonaws.com/{len(self.requests)}?X-Amz-Date={date}"
        self.requests.append(request)
        self._by_url[url] = request
        self.states[logical_id] = f"{kind.upper()}_IN_PROGRESS", now
        event = {
            "RequestType": kind,
            "ServiceToken": FUNCTION,
            "ResponseURL": url,
            "StackId": ACCOUNT.format("cloudformation") + "stack/Shop/1",
            "RequestId": str(len(self.requests)),
            "LogicalResourceId": logical_id,
            "ResourceType": "Custom::PersonalizeDatasetExport",
            "ResourceProperties": properties,
            **({} if kind == "Create" else {"PhysicalResourceId": physical_id}),
        }
        self.time.at(now + 0.2, lambda: self.invoke(event))
        self.time.at(now + float(properties["ServiceTimeout"]), lambda: self.end(request, "TIMED OUT"))
        return request

    def end(self, request: Request, status: str) -> None:
        if request.status:
            return
        request.status, request.ended = status, self.time.now
        done = "COMPLETE" if status == "SUCCESS" else "FAILED"
        self.states[request.logical_id] = f"{request.kind.upper()}_{done}", self.time.now

    def take(self, url: str, body: bytes) -> int:
        request = self._by_url[url]
        if not request.status:
            request.answer = json.loads(body)
            self.end(request, request.answer["Status"])
        return 200

    def wait(self, open_requests: list[Request], until: Callable[[], bool] = lambda: False) -> None:
        self.time.run(lambda: until() or all(request.status for request in open_requests), 3 * HOUR)

    def deploy(
        self, wanted: Mapping[str, list[dict[str, str]]], *, rollback: bool = True, cancel_after: float = 1e9
    ) -> bool:
        """Works on all chains of links at once; says whether it went well."""
        cancelled_at = self.time.now + cancel_after
        chains = [list(self._changes(links)) for links in wanted.values()]
        under_way: dict[int, Request] = {}
        replaced: list[tuple[str, Resource]] = []
        failed = False
        while not failed:
            for number, chain in enumerate(chains):
                if number not in under_way and chain:
                    under_way[number] = self._begin(*chain.pop(0))
            if not under_way:
                break
            self.time.run(
                lambda: any(one.status for one in under_way.values()) or self.time.now >= cancelled_at,
                min(2 * HOUR, max(0.0, cancelled_at - self.time.now)),
            )
            for number, request in list(under_way.items()):
                if request.status:
                    failed |= not self._finish(under_way.pop(number), replaced)
            failed |= self.time.now >= cancelled_at
        for request in under_way.values():
            self.end(request, "GIVEN UP")
            self._finish(request, replaced)
        if failed:
            if rollback:
                self._roll_back()
            return False
        names = [name for links in wanted.values() for name in _names(links)]
        gone = [(name, self.resources.pop(name)) for name in list(self.resources) if name not in names]
        self._delete([*gone, *replaced])
        self.stable = dict(self.resources)
        return True

    def delete(self) -> None:
        everything = list(self.resources.items())
        self.resources, self.stable = {}, {}
        self._delete(everything)

    def _changes(self, links: list[dict[str, str]]) -> list[tuple[str, dict[str, str]]]:
        pairs = zip(_names(links), links, strict=True)
        have = self.resources
        return [(n, p) for n, p in pairs if n not in have or have[n].failed or have[n].properties != p]

    def _begin(self, name: str, properties: dict[str, str]) -> Request:
        have = self.resources.get(name)
        created = have is None or not have.physical_id
        return self.send("Create" if created else "Update", name, properties, have.physical_id if have else "")

    def _finish(self, request: Request, replaced: list[tuple[str, Resource]]) -> bool:
        have, name = self.resources.get(request.logical_id), request.logical_id
        if request.status == "SUCCESS":
            physical_id = request.answer["PhysicalResourceId"]
            if have is not None and have.physical_id not in ("", physical_id):
                replaced.append((name, have))
            self.resources[name] = Resource(request.properties, physical_id)
            return True
        self.resources[name] = (
            Resource(request.properties, "", failed=True)
            if request.kind == "Create"
            else Resource(have.properties if have else {}, have.physical_id if have else "", failed=True)
        )
        return False

    def _roll_back(self) -> None:
        restored = [
            self.send("Update", name, old.properties, self.resources[name].physical_id, rollback=True)
            for name, old in self.stable.items()
            if self.resources[name] != old
        ]
        self.wait(restored)
        for request in restored:
            if request.status != "SUCCESS":
                self.problems.append(f"a rollback failed: {request}")
        unwanted = [(name, self.resources[name]) for name in self.resources if name not in self.stable]
        self.resources = dict(self.stable)
        self._delete(unwanted)

    def _delete(self, resources: list[tuple[str, Resource]]) -> None:
        self.wait(
            [self.send("Delete", name, old.properties, old.physical_id or f"Shop-{name}-1X") for name, old in resources]
        )


class Context:
    """Lambda's context."""

    invoked_function_arn = FUNCTION
    log_group_name, log_stream_name = "/aws/lambda/export", "stream"

    def __init__(self, aws: Aws) -> None:
        self._aws, self.ends = aws, aws.time.now + LONGEST_INVOCATION

    def get_remaining_time_in_millis(self) -> int:
        return int((self.ends - self._aws.time.now) * 1000)


class SimulatedOutbound(Outbound):
    """The handler's way out."""

    def __init__(self, aws: Aws, event: dict[str, Any]) -> None:
        super().__init__()
        self._aws = aws
        self._request = aws._by_url[event["ResponseURL"]]
        self._ends = aws.time.now + LONGEST_INVOCATION

    def now(self) -> float:
        return self._aws.time.now

    def chance(self) -> float:
        return self._aws.dice.random()

    def write_line(self, line: str) -> None:
        pass

    def endpoint_url(self) -> str:
        return ""

    def sleep(self, seconds: float) -> None:
        self._aws.time.sleep(min(seconds, max(0.0, self._ends - self.now())))
        if self.now() >= self._ends or self._aws.dice.random() < self._aws.crash_chance:
            raise Died

    def call(self, service: str, operation: str, region: str | None = None, **parameters: Any) -> Any:
        del region
        self.sleep(0.1)
        aws = self._aws
        if operation == "create_dataset_export_job":
            return aws.create(parameters, self._request)
        if operation == "describe_dataset_export_job":
            return aws.describe(parameters["datasetExportJobArn"])
        if operation == "invoke":
            event = json.loads(parameters["Payload"])
            aws.time.at(aws.time.now + 0.2, lambda: aws.invoke(event))
            return {}
        if operation == "describe_stack_resource":
            status, changed = aws.states[parameters["LogicalResourceId"]]
            when = datetime.fromtimestamp(changed, timezone.utc)
            return {"StackResourceDetail": {"ResourceStatus": status, "LastUpdatedTimestamp": when}}
        raise AssertionError(f"the handler may not call {service} {operation}")

    def put(self, url: str, body: bytes, timeout: float) -> int:
        del timeout
        self.sleep(0.1)
        return self._aws.take(url, body)


def export(number: int, *, hours: int = 1, **properties: str) -> list[dict[str, str]]:
    """Gives the properties of an export: of one resource, or of as many links as its hours take."""
    shared = {
        "ServiceToken": FUNCTION,
        "ExportId": f"Shop/Export{number}",
        "JobNamePrefix": f"Shop-abc234-Export{number}",
        "DatasetArn": ACCOUNT.format("personalize") + f"dataset/shop{number}/INTERACTIONS",
        "RoleArn": "arn:aws:iam::123456789012:role/export",
        "Bucket": "exports",
        **properties,
    }
    count = 1 if hours == 1 else -(-hours * 3600 // LINK_SECONDS)
    waits = [LINK_SECONDS if hours == 1 else min(LINK_SECONDS, hours * 3600 - at * LINK_SECONDS) for at in range(count)]
    return [
        {
            **shared,
            "MaxWaitSeconds": str(seconds),
            "ServiceTimeout": str(seconds + ANSWER_SECONDS),
            **({"MoreLinks": "true"} if at < count - 1 else {}),
            **({"LinkNumber": str(at + 1)} if at else {}),
        }
        for at, seconds in enumerate(waits)
    ]


def _names(links: list[dict[str, str]]) -> list[str]:
    name = links[0]["ExportId"].rpartition("/")[2]
    return [name if at == 0 else f"{name}Link{at + 1}" for at in range(len(links))]
