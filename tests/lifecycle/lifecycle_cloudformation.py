"""CloudFormation as a custom resource sees it: one stack with one export and its links, through all of their life.

What it does is documented at https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html:
a failed update is rolled back by another Update with the old properties, also when the resource was replaced; a changed
physical id brings a Delete for the old one; a failed create brings a Delete; every property arrives as a string.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tests.lifecycle.lifecycle_world import ACCOUNT, ASK, FUNCTION, REGION, World, dataset_arn

if TYPE_CHECKING:
    from collections.abc import Callable

LINK_SECONDS = 3360
ANSWER_SECONDS = 240
HOUR = 3600
LIMIT_BYTES = 4096
URL_LIVES_SECONDS = 7200
REFUSED, TAKEN = 403, 200
FAILED_ROLLBACKS = 3
EXPORT = "Custom::PersonalizeDatasetExport"
SUCCESS, FAILED, TIMED_OUT, CANCELLED = "SUCCESS", "FAILED", "TIMED_OUT", "CANCELLED"

Properties = dict[str, Any]


@dataclass(frozen=True)
class Spec:
    """What the user wants: the options of the construct."""

    dataset: str = "INTERACTIONS"
    mode: str = "ALL"
    destination: str = "s3://exports/"
    key: str = ""
    generation: str = ""
    role: str = "export"
    tags: tuple[tuple[str, str], ...] = ()
    max_wait: int = HOUR
    wait: bool = True
    prefix: str = "Shop-Interactions"
    logical_id: str = "Export"  # another one when the resource moves to another function
    manifest: bool = False

    def links(self) -> list[Properties]:
        """Splits the waiting time over as many resources as it takes, as the construct does."""
        count = 1 if self.max_wait <= HOUR else -(-self.max_wait // LINK_SECONDS)
        links = []
        for number in range(count):
            waits = min(LINK_SECONDS, self.max_wait - number * LINK_SECONDS)
            link = {"ServiceTimeout": str(waits + ANSWER_SECONDS), "MaxWaitSeconds": str(waits)}
            more = {} if number == count - 1 else {"MoreLinks": "true"}
            later = {"LinkNumber": str(number + 1)} if number else {}
            links.append({**link, **more, **later})
        return links

    def resources(self) -> Iterator[tuple[str, Properties]]:
        """Yields logical ids and properties: one export, as many times as it takes to wait for it."""
        bucket, _, folder = self.destination.removeprefix("s3://").partition("/")
        export: Properties = {
            "ServiceToken": FUNCTION,
            "ExportId": "Shop/Interactions",
            "JobNamePrefix": self.prefix,
            "DatasetArn": dataset_arn(self.dataset),
            "IngestionMode": self.mode,
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{self.role}",
            "Bucket": bucket,
        }
        optional = {
            "Prefix": folder,
            "KmsKeyArn": self.key,
            "Generation": self.generation,
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags],
            "Wait": "" if self.wait else "false",
            "Manifest": "Shop-0badc0-Shop-Interactions" if self.manifest and self.wait else "",
        }
        export.update({name: value for name, value in optional.items() if value})
        for number, waiting in enumerate(self.links(), start=1):
            yield self.logical_id if number == 1 else f"{self.logical_id}Link{number}", {**export, **waiting}


@dataclass(frozen=True)
class Resource:
    """A custom resource as the stack knows it."""

    logical_id: str
    properties: Properties
    physical_id: str
    complete: bool = False
    failed: bool = False


@dataclass
class Request:
    """One request to the function, and all that is known of its life."""

    url: str = field(repr=False)
    event: dict[str, Any]
    sent_at: float
    rollback: bool = False
    cleanup: bool = False
    outcome: str = ""
    ended_at: float = 0.0
    reason: str = ""
    physical_id: str = ""
    data: dict[str, str] = field(default_factory=dict)
    answered_at: float | None = None
    faults: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    troubled_until: float = 0.0
    lambda_gave_up: bool = False
    unreachable: bool = False
    clock_ahead: float = 0.0  # of CloudFormation's, compared with that of the function

    @property
    def doubt(self) -> float:
        """By how much the function may mistake the age of the request: CloudFormation did not tell its time."""
        return abs(self.clock_ahead) if f"{ASK}: dead" in self.faults else 0.0

    @property
    def kind(self) -> str:
        return str(self.event["RequestType"])

    @property
    def properties(self) -> Properties:
        found: Properties = self.event["ResourceProperties"]
        return found

    @property
    def later_link(self) -> bool:
        return "LinkNumber" in self.properties

    @property
    def rejoins(self) -> bool:
        """Whether it was promised no more than that the job is accepted, and so joins whatever has become of it."""
        return self.kind == "Update" and self.properties.get("Wait") == "false"

    @property
    def signed_at(self) -> float:
        return float(int(self.sent_at))

    @property
    def expires_at(self) -> float:
        return self.sent_at + int(self.properties.get("ServiceTimeout", HOUR))

    @property
    def deadline(self) -> float:
        return self.signed_at + int(self.properties.get("MaxWaitSeconds", LINK_SECONDS))

    @property
    def may_run_on(self) -> bool:
        return self.properties.get("MoreLinks") == "true" or self.properties.get("Wait") == "false"

    def trouble_until(self, moment: float) -> None:
        self.troubled_until = max(self.troubled_until, moment)

    @property
    def destination(self) -> str:
        return f"s3://{self.properties['Bucket']}/{self.properties.get('Prefix', '')}"

    def base_name(self) -> str:
        """Derives the physical id of an export as the contract says, independently of the handler."""
        given = self.properties
        shape = [
            self.event["StackId"],
            given["ExportId"],
            given["DatasetArn"],
            given.get("IngestionMode", "ALL"),
            self.destination,
            given.get("KmsKeyArn", ""),
            given.get("Generation", ""),
        ]
        digest = hashlib.sha256(json.dumps(shape, separators=(",", ":")).encode()).digest()
        return f"{given['JobNamePrefix']}-{base64.b32encode(digest).decode().lower()[:12]}"


@dataclass
class Stack:
    """The stack there is."""

    stack_id: str
    spec: Spec
    resources: dict[str, Resource] = field(default_factory=dict)
    stable: dict[str, Resource] = field(default_factory=dict)  # as the last operation that succeeded left it
    complete: bool = False


Operation = Generator[Request, None, None]


class CloudFormation:
    """Works on one stack, one operation at a time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stack: Stack | None = None
        self.requests: list[Request] = []
        self.current: Request | None = None
        self.history: list[str] = []
        self.on_answer: Callable[[Request, bytes], None] = lambda _request, _body: None
        self.reuse_request_id = False
        self.adopts_failed_ids = False
        self.next_delay: float = 0.5
        self.next_duplicate: float | None = None
        self.next_unreachable = False
        self.states: dict[tuple[str, str], tuple[str, float]] = {}  # what DescribeStackResource says, and since when
        self._by_url: dict[str, Request] = {}
        self._operation: Operation | None = None
        self._request_id = ""
        world.cloudformation = self

    # -- what the user does ------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return self._operation is not None

    def deploy(self, spec: Spec, *, rollback: bool = True) -> None:
        """Creates or updates the stack."""
        if self.stack is None:
            self.stack = Stack(f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/Shop/{self._uuid()}", spec)
        self._begin(self._deploy(self.stack, spec, rollback=rollback))

    def delete(self) -> None:
        """Deletes the stack."""
        if self.stack is not None:
            self._begin(self._delete(self.stack))

    def cancel(self) -> None:
        """Cancels the operation: the stack is rolled back, and whoever works on the request is told nothing."""
        if self.current is not None:
            self._settle(self.current, CANCELLED)

    def settle(self, longest: float = 30 * HOUR) -> None:
        """Lets time pass until the operation is over."""
        self.world.run(longest, until=lambda: not self.busy)

    def redeliver(self, request: Request, delay: float) -> None:
        """Lambda delivers an event once more, perhaps long after."""
        if delay > 1:
            request.faults.append("delivered again")
        self.world.invoke(json.dumps(request.event).encode(), delay)

    # -- what the function does --------------------------------------------------------------------------------------

    def request_of(self, url: str) -> Request:
        return self._by_url[url]

    def take(self, url: str, body: bytes) -> int:
        """Takes an answer at the presigned URL; what is not for a request under way is ignored."""
        request = self._by_url[url]
        if self.world.now > request.sent_at + URL_LIVES_SECONDS:
            return REFUSED
        self.on_answer(request, body)
        answer = json.loads(body)
        ids = ("StackId", "RequestId", "LogicalResourceId")
        if len(body) > LIMIT_BYTES or any(answer[name] != request.event[name] for name in ids):
            return TAKEN  # and never looked at again
        if request is self.current:
            request.physical_id, request.reason = answer["PhysicalResourceId"], answer.get("Reason", "")
            request.data = answer.get("Data", {})
            request.answered_at = self.world.now
            self._settle(request, answer["Status"])
        return TAKEN

    def take_late(self, url: str, body: bytes) -> None:
        self.take(url, body)

    # -- operations --------------------------------------------------------------------------------------------------

    def _begin(self, operation: Operation) -> None:
        self._operation = operation
        if not self.reuse_request_id or not self._request_id:
            self._request_id = self._uuid()
        self._next()

    def _next(self) -> None:
        if self._operation is None:
            return
        try:
            self.current = next(self._operation)
        except StopIteration:
            self._operation, self.current = None, None

    def _settle(self, request: Request, outcome: str) -> None:
        if request.outcome:
            return
        request.outcome, request.ended_at = outcome, self.world.now
        if not request.cleanup:
            status = f"{request.kind.upper()}_{'COMPLETE' if outcome == SUCCESS else 'FAILED'}"
            self._note(request.event["StackId"], request.event["LogicalResourceId"], status)
        self.history.append(f"{request.kind}{' (rollback)' if request.rollback else ''} {outcome}")
        self._next()

    def _deploy(self, stack: Stack, spec: Spec, *, rollback: bool) -> Operation:
        attempted: dict[str, Properties] = {}
        replaced: list[Resource] = []
        wanted = []
        for logical_id, properties in spec.resources():
            wanted.append(logical_id)
            have = stack.resources.get(logical_id)
            if have is not None and have.properties == properties and not have.failed:
                continue
            created = have is None or not have.complete
            if created:
                have = Resource(logical_id, properties, "")
            assert have is not None
            attempted[logical_id] = properties
            request = self._request(
                stack, "Create" if created else "Update", replace(have, properties=properties), have
            )
            yield request
            self._take_over(stack, have, request, created=created)
            if request.outcome != SUCCESS:
                if rollback:
                    yield from self._roll_back(stack, attempted)
                return
            if not created and request.physical_id != have.physical_id:
                replaced.append(have)
        for logical_id in [name for name in stack.resources if name not in wanted]:
            yield self._request(stack, "Delete", stack.resources.pop(logical_id))
        for old in replaced:
            yield self._request(stack, "Delete", old, cleanup=True)
        stack.spec, stack.stable, stack.complete = spec, dict(stack.resources), True

    def _take_over(self, stack: Stack, have: Resource, request: Request, *, created: bool) -> None:
        """Notes what came of a Create or an Update."""
        if request.outcome == SUCCESS:
            stack.resources[have.logical_id] = Resource(
                have.logical_id, request.properties, request.physical_id, complete=True
            )
        elif created:
            made_up = f"Shop-{have.logical_id}-{self._uuid()[:12].upper()}"
            stack.resources[have.logical_id] = replace(have, physical_id=request.physical_id or made_up, failed=True)
        else:
            adopted = request.physical_id if self.adopts_failed_ids else ""
            stack.resources[have.logical_id] = replace(have, physical_id=adopted or have.physical_id, failed=True)

    def _roll_back(self, stack: Stack, attempted: dict[str, Properties]) -> Operation:
        """Goes back to the last stable state, whatever was left in between."""
        superfluous: list[Resource] = []
        for logical_id, left in list(stack.resources.items()):
            old = stack.stable.get(logical_id)
            if old is not None and (logical_id in attempted or left != old):
                before = replace(left, properties=attempted.get(logical_id, left.properties))
                yield from self._restore(stack, old, before, superfluous)
        for logical_id in reversed([name for name in stack.resources if name not in stack.stable]):
            yield self._request(stack, "Delete", stack.resources.pop(logical_id))
        for resource in superfluous:
            yield self._request(stack, "Delete", resource, cleanup=True)
        if not stack.complete:
            self.stack = None if not stack.resources else stack
        elif not any(resource.failed for resource in stack.resources.values()):
            stack.stable = dict(stack.resources)

    def _restore(self, stack: Stack, old: Resource, before: Resource, superfluous: list[Resource]) -> Operation:
        for _ in range(FAILED_ROLLBACKS):  # after a failed one the user lets CloudFormation continue
            now = stack.resources[old.logical_id]
            request = self._request(stack, "Update", replace(now, properties=old.properties), before, rollback=True)
            yield request
            if request.outcome == SUCCESS:
                if request.physical_id != now.physical_id:
                    superfluous.append(before)
                self._take_over(stack, old, request, created=False)
                return

    def _delete(self, stack: Stack) -> Operation:
        for logical_id in reversed(list(stack.resources)):
            yield self._request(stack, "Delete", stack.resources.pop(logical_id))
        self.stack = None

    def _request(  # noqa: PLR0913 - a request is made of that much
        self,
        stack: Stack,
        kind: str,
        resource: Resource,
        old: Resource | None = None,
        *,
        rollback: bool = False,
        cleanup: bool = False,
    ) -> Request:
        """Sends a request, and sees to it that it ends."""
        world = self.world
        if not cleanup:  # of which DescribeStackResource says nothing: the logical id is another resource's
            self._note(stack.stack_id, resource.logical_id, f"{kind.upper()}_IN_PROGRESS")
        event: dict[str, Any] = {
            "RequestType": kind,
            "ServiceToken": FUNCTION,
            "ResponseURL": self._url(),
            "StackId": stack.stack_id,
            "RequestId": self._request_id if kind == "Create" else self._uuid(),
            "LogicalResourceId": resource.logical_id,
            "ResourceType": EXPORT,
            "ResourceProperties": resource.properties,
        }
        if kind != "Create":
            event["PhysicalResourceId"] = resource.physical_id
        if kind == "Update" and old is not None:
            event["OldResourceProperties"] = old.properties
        request = Request(event["ResponseURL"], event, world.now, rollback=rollback, cleanup=cleanup)
        request.clock_ahead = world.cloudformation_ahead
        request.unreachable, self.next_unreachable = self.next_unreachable, False
        self.requests.append(request)
        self._by_url[request.url] = request
        if self.next_delay > 1:
            request.faults.append("delivered late")
            request.trouble_until(world.now + self.next_delay)
        world.invoke(json.dumps(event).encode(), self.next_delay)
        if self.next_duplicate is not None:
            self.redeliver(request, self.next_delay + self.next_duplicate)
        self.next_delay, self.next_duplicate = 0.5, None
        world.at(request.expires_at, lambda: self._settle(request, TIMED_OUT))
        return request

    def _note(self, stack_id: str, logical_id: str, status: str) -> None:
        self.states[stack_id, logical_id] = status, self.world.now + self.world.cloudformation_ahead

    def _url(self) -> str:
        date = datetime.fromtimestamp(int(self.world.now + self.world.cloudformation_ahead), timezone.utc)
        credential = f"AKIA{self.world.random.getrandbits(64):016X}%2F{date:%Y%m%d}%2F{REGION}%2Fs3%2Faws4_request"
        return (
            f"https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/arn%3Aaws%3Acloudformation%3A"
            f"{REGION}%3A{ACCOUNT}%3Astack/Shop/{self._uuid()}%7CExport%7C{self._uuid()}"
            f"?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date:%Y%m%dT%H%M%SZ}&X-Amz-SignedHeaders=host"
            f"&X-Amz-Expires=7200&X-Amz-Credential={credential}"
            f"&X-Amz-Signature={self.world.random.getrandbits(256):064x}"
        )

    def _uuid(self) -> str:
        digits = f"{self.world.random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def secrets_of(url: str) -> tuple[str, ...]:
    """The texts that would give a ResponseURL away."""
    signature = url.rpartition("X-Amz-Signature=")[2]
    credential = url.partition("X-Amz-Credential=")[2].partition("%2F")[0]
    return url, url.partition("?")[2], signature, credential
