"""What must hold, whatever happens: the promises of the handler, checked from outside.

Each check says in words what was broken. When a request may stay without an answer is defined here and nowhere else,
see `excuse`.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tests.buckets import HEAD, PUT
from tests.buckets import LIST as LIST_OBJECTS
from tests.lifecycle.lifecycle_cloudformation import FAILED, LIMIT_BYTES, SUCCESS, TIMED_OUT, Request, secrets_of
from tests.lifecycle.lifecycle_manifest_checks import ManifestChecks
from tests.lifecycle.lifecycle_world import ASK, CREATE, DESCRIBE, LIST, Started, World

if TYPE_CHECKING:
    from tests.lifecycle.lifecycle_cloudformation import CloudFormation

ATTRIBUTES = frozenset(
    {
        "JobName", "DatasetExportJobArn", "DatasetArn", "IngestionMode", "RoleArn", "OutputPath", "KmsKeyArn", "Status",
        "CreationDateTime", "LastUpdatedDateTime", "FailureReason",
    }
)  # fmt: skip
LAST_MINUTE_SECONDS = 60.0  # a last look takes 30 s and the answer a few
CLOCK_SECONDS = 6.0  # clocks of Lambda, CloudFormation and Personalize differ by less
ONE_POLL_SECONDS = 40.0  # 38.85 s between two polls, and the calls
PUT_RETRIES_SECONDS = 240.0  # an answer may be this old when it arrives
LONGEST_PHYSICAL_ID_BYTES = 1024
MOST_REFUSALS = 2
LINK_GAP_SECONDS = 120.0
OTHER_REQUEST_SECONDS = 10.0
NOBODY_WAITS_SECONDS = 61.0  # a job is started without asking in the first minute of a request


def excuse(request: Request) -> str:
    """Says why nobody could have answered this request in time; empty when it should have been answered."""
    if request.lambda_gave_up:
        return "Lambda ran an event three times, and each run died"
    if request.unreachable:
        return "no answer to this request ever arrives"
    if request.faults.count("PUT: 403") >= MOST_REFUSALS:
        return "the answer was refused twice, as a presigned URL that has expired refuses it"
    if request.troubled_until > request.expires_at - LAST_MINUTE_SECONDS:
        return "a crash, a late delivery or a lost PUT reached into the last minute"
    if request.doubt:
        return "CloudFormation's clock is minutes apart, and it did not answer when it was asked"
    return ""


class Checks:
    """Watches a world, and collects in `world.violations` what must never be."""

    def __init__(self, world: World, cloudformation: CloudFormation) -> None:
        self._world, self._cloudformation = world, cloudformation
        self._bases: dict[str, str] = {}
        self._lines_read = self._raised_read = self._requests_read = self._calls_read = 0
        self.answered_after: list[float] = []
        self.manifests = ManifestChecks(world)
        world.watch = self._job_started
        cloudformation.on_answer = self._answer

    # -- after every step --------------------------------------------------------------------------------------------

    def everything(self) -> None:
        """Checks what can be checked at any time."""
        self._one_attempt_lives()
        self._every_request_ends_answered()
        self._nothing_is_given_away()
        self._nothing_else_is_called()
        assert not self._world.violations, "\n".join([*self._world.violations, *self._cloudformation.history])

    def _broken(self, what: str, request: Request | None = None) -> None:
        about = (
            f" [{request.event['RequestType']} {request.event['LogicalResourceId']}, {request.faults}]"
            if request
            else ""
        )
        self._world.violations.append(what + about)

    def _one_attempt_lives(self) -> None:
        living: dict[str, list[str]] = {}
        for started in self._world.started.values():
            job = self._world.job(started.name)
            if job is not None and job["status"] != "CREATE FAILED":
                living.setdefault(started.base, []).append(started.name)
        for names in living.values():
            if len(names) > 1:
                self._broken(f"more than one attempt of an identity has not failed: {names}")

    def _every_request_ends_answered(self) -> None:
        for request in self._cloudformation.requests[self._requests_read :]:
            if request.outcome == TIMED_OUT and not excuse(request):
                self._broken("a request got no answer before its ServiceTimeout", request)
            strange = [name for name in request.unexpected if name not in ("NotDeliveredError", "Killed")]
            if strange:
                self._broken(f"the handler raised {strange}", request)
            if request.unexpected and not request.faults:
                self._broken(f"an invocation died though nothing went wrong: {request.unexpected}", request)
        while self._requests_read < len(self._cloudformation.requests) and self._may_forget(
            self._cloudformation.requests[self._requests_read]
        ):
            self._requests_read += 1

    def _may_forget(self, request: Request) -> bool:
        return bool(request.outcome) and self._world.now > request.expires_at + 3600

    def _nothing_is_given_away(self) -> None:
        world = self._world
        texts = [*world.lines[self._lines_read :], *world.raised[self._raised_read :]]
        self._lines_read, self._raised_read = len(world.lines), len(world.raised)
        for request, text in texts:
            if isinstance(request, Request) and any(secret in text for secret in secrets_of(request.url)):
                self._broken("a log line or an exception gives the ResponseURL away", request)

    def _nothing_else_is_called(self) -> None:
        calls = self._world.served
        made = {call.operation for call in calls[self._calls_read :]}
        self._calls_read = len(calls)
        if other := {name for name in made if name.startswith(("Delete", "Untag"))}:
            self._broken(f"something is deleted: {other}")
        if other := self._world.calls.keys() - {
            CREATE,
            DESCRIBE,
            LIST,
            ASK,
            LIST_OBJECTS,
            PUT,
            HEAD,
            "Invoke",
            "PutEvents",
            "sleep",
            "log",
            "put",
        }:
            self._broken(f"the handler calls what it has no permission for: {other}")

    # -- when a job is started ---------------------------------------------------------------------------------------

    def _job_started(self, started: Started) -> None:
        request, world = started.request, self._world
        assert isinstance(request, Request)  # a tick's job is for TickChecks
        if request.kind == "Delete":
            self._broken(f"{started.name} was started by a request that starts nothing", request)
            return
        if started.base != request.base_name():
            self._broken(f"{started.name} is not the name the contract derives: {request.base_name()}", request)
        if started.at > request.deadline + CLOCK_SECONDS + request.doubt:
            self._broken(f"{started.name} was started after the deadline", request)
        if started.attempt > 1:
            before = world.job(started.base if started.attempt == 2 else f"{started.base}-{started.attempt - 1}")
            if before is None or before["status"] != "CREATE FAILED":
                self._broken(f"{started.name} was started though the attempt before has not failed", request)
            elif before["lastUpdatedDateTime"] >= request.sent_at and not request.doubt:
                self._broken(f"{started.name} was started for a request that the attempt before belongs to", request)
        if request.rollback:
            self._broken(f"a rollback started {started.name}", request)
        late = bool(request.outcome) and started.at > request.ended_at + NOBODY_WAITS_SECONDS
        if late and not _deaf(request) and not self._asked_for_again(request):
            self._broken(f"{started.name} was started though nobody had waited for it any more", request)
        others = [one.name for one in world.started.values() if one.request is request and one is not started]
        if others and not request.doubt:
            self._broken(f"one request started {started.name} beside {others}", request)

    def _asked_for_again(self, request: Request) -> bool:
        """Whether CloudFormation asked for the same again at once, faster than it can: that looks like one request."""
        same = ("RequestType", "LogicalResourceId", "StackId")
        return any(
            other is not request
            and all(other.event[name] == request.event[name] for name in same)
            and 0 <= other.sent_at - request.signed_at <= OTHER_REQUEST_SECONDS + 1
            for other in self._cloudformation.requests
        )

    # -- when an answer arrives --------------------------------------------------------------------------------------

    def _answer(self, request: Request, body: bytes) -> None:
        answer = json.loads(body)
        if len(body) > LIMIT_BYTES:
            self._broken(f"the answer has {len(body)} bytes", request)
        for name in ("StackId", "RequestId", "LogicalResourceId"):
            if answer[name] != request.event[name]:
                self._broken(f"{name} of the answer is not that of the request", request)
        if not 0 < len(answer["PhysicalResourceId"].encode()) <= LONGEST_PHYSICAL_ID_BYTES:
            self._broken("the physical id is empty or too long", request)
        if any(secret in body.decode() for secret in secrets_of(request.url)):
            self._broken("the answer gives the ResponseURL away", request)
        if request.kind == "Delete":
            if answer["Status"] != SUCCESS or answer["PhysicalResourceId"] != request.event["PhysicalResourceId"]:
                self._broken(f"Delete did not just succeed: {answer}", request)
        elif answer["Status"] == SUCCESS:
            self._success(request, answer)
        elif answer["Status"] != FAILED or not answer.get("Reason"):
            self._broken(f"neither SUCCESS nor FAILED with a reason: {answer}", request)
        else:
            self._failure(request, answer["Reason"])

    def _success(self, request: Request, answer: dict[str, Any]) -> None:
        data, world = answer.get("Data", {}), self._world
        early = world.now < request.deadline - CLOCK_SECONDS - request.doubt
        if not data and request.properties.get("MoreLinks") == "true":
            if early:
                self._broken("a link that is not the last answered before its time", request)
            return
        if data.keys() - {"ManifestPath"} != ATTRIBUTES:
            self._broken(f"attributes are missing or unknown: {sorted(data)}", request)
            return
        started, job = world.started.get(data["JobName"]), world.job(data["JobName"])
        if started is None or job is None:
            self._broken(f"SUCCESS with the job of somebody else: {data['JobName']}", request)
            return
        self._belongs(request, answer, started, job)
        self._manifest(request, data)
        if data["Status"] == "ACTIVE" and job["status"] != "ACTIVE":
            self._broken("SUCCESS says ACTIVE of a job that is not", request)
        if data["Status"] != "ACTIVE" and not request.may_run_on:
            self._broken(f"SUCCESS while the job is {data['Status']}", request)
        failed_before = (
            job["status"] == "CREATE FAILED" and job["lastUpdatedDateTime"] < world.now - PUT_RETRIES_SECONDS
        )
        if not request.rejoins and (data["Status"] == "CREATE FAILED" or failed_before):
            self._broken("SUCCESS of a failed job", request)
        waits = request.properties.get("Wait") != "false"
        if data["Status"] != "ACTIVE" and waits and early:
            self._broken("a link that is not the last answered before its time", request)
        if data["Status"] == "ACTIVE" and waits:
            self._in_time(request, job)

    def _manifest(self, request: Request, data: dict[str, str]) -> None:
        if "Manifest" in request.properties and data["Status"] == "ACTIVE":
            self.manifests.written(data.get("ManifestPath"), data["JobName"], request.properties)
        elif "ManifestPath" in data:
            self._broken("a manifest is told that nobody wants", request)

    def _in_time(self, request: Request, job: dict[str, Any]) -> None:
        first = not request.outcome  # an event that is delivered again is answered again, whenever that is
        if not request.faults and first:
            seconds = self._world.now - max(job["lastUpdatedDateTime"], request.sent_at)
            self.answered_after.append(seconds)
            if seconds > ONE_POLL_SECONDS:
                self._broken(f"the answer came {seconds:.0f} s after the job was ACTIVE", request)

    def _belongs(self, request: Request, answer: dict[str, Any], started: Started, job: dict[str, Any]) -> None:
        data, given = answer["Data"], request.properties
        if started.base != request.base_name() or answer["PhysicalResourceId"] != started.base:
            self._broken(f"SUCCESS with the job or the id of another identity: {started.name}", request)
        known = self._bases.setdefault(started.base, json.dumps(identity(request)))
        if known != json.dumps(identity(request)):
            self._broken("two identities share a name", request)
        target = job["jobOutput"]["s3DataDestination"]
        shown = [job["datasetArn"], job["ingestionMode"], target["path"], target.get("kmsKeyArn") or ""]
        wanted = [
            given["DatasetArn"],
            given["IngestionMode"],
            f"{request.destination}{started.name}/",
            given.get("KmsKeyArn", ""),
        ]
        told = [data["DatasetArn"], data["IngestionMode"], data["OutputPath"], data["KmsKeyArn"]]
        if not shown == wanted == told:
            self._broken(f"the job exports {shown}, wanted is {wanted}, told was {told}", request)
        if data["CreationDateTime"] != iso(job["creationDateTime"] + self._world.personalize_ahead):
            self._broken("the creation time told is not the job's", request)

    def _failure(self, request: Request, reason: str) -> None:
        world = self._world
        if request.faults:
            return
        names = [name for name, started in world.started.items() if started.base == request.base_name()]
        if not names:
            return
        job = world.job(names[-1])
        if job is None:
            return
        last_seen = min(world.now, request.deadline) - ONE_POLL_SECONDS
        if job["status"] == "ACTIVE" and job["lastUpdatedDateTime"] < last_seen:
            self._broken(f"FAILED though the job has been ACTIVE: {reason}", request)
        gap = LINK_GAP_SECONDS if request.later_link else 0.0
        stale = (
            job["status"] == "CREATE FAILED" and job["lastUpdatedDateTime"] < request.signed_at - gap - CLOCK_SECONDS
        )
        if stale and not request.doubt and job.get("failureReason", "") in reason:
            self._broken(f"FAILED with a failure of an earlier request: {reason}", request)


def identity(request: Request) -> list[str]:
    """What an export is: two requests that agree in this share a job."""
    names = ("ExportId", "JobNamePrefix", "DatasetArn", "IngestionMode", "Bucket", "Prefix", "KmsKeyArn", "Generation")
    shape = [str(request.properties.get(name, "")) for name in names]
    return [str(request.event["StackId"]), *shape]


def iso(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _deaf(request: Request) -> bool:
    """Whether CloudFormation could not be asked, in which case everything goes on as if wanted."""
    return any(fault.startswith(ASK) for fault in request.faults)
