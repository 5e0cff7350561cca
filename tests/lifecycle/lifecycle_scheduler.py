"""EventBridge Scheduler as the function sees it: schedules that send ticks, once, twice, late or not at all.

A tick's input is fixed when it fires; a deployment in between changes the next one only. See
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tests.lifecycle.lifecycle_world import ACCOUNT, REGION, World, dataset_arn

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR = 3600
STACK = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/Shop/5a1c2b30-e7a1-11f0-8de9-0242ac120002"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
SUCCEEDED, FAILED, TIMED_OUT, STARTED = "SUCCEEDED", "FAILED", "TIMED_OUT", "STARTED"


@dataclass(frozen=True)
class ScheduleSpec:
    """What the user wants: the options of the construct."""

    name: str = "Nightly"
    dataset: str = "INTERACTIONS"
    mode: str = "ALL"
    destination: str = "s3://exports/nightly/"
    retries: int = 2
    max_wait: int = HOUR
    window: int = 0
    tells_start: bool = True
    manifest: bool = False

    def event(self, scheduled_at: float) -> dict[str, Any]:
        """Gives the input of its target, as Scheduler fills it in."""
        bucket, _, folder = self.destination.removeprefix("s3://").partition("/")
        return {
            "Tick": {
                "ScheduledTime": iso(scheduled_at),
                "ScheduleArn": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/Shop-{self.name}",
                "WindowSeconds": str(self.window),
            },
            "StackId": STACK,
            "Export": {
                "ExportId": f"Shop/{self.name}",
                "JobNamePrefix": f"Shop-{self.name}",
                "DatasetArn": dataset_arn(self.dataset),
                "IngestionMode": self.mode,
                "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/export",
                "Bucket": bucket,
                "Prefix": folder,
                "MaxWaitSeconds": str(self.max_wait),
                "RetryAttempts": str(self.retries),
                "EventBus": BUS,
                "Metrics": f"Shop/Shop/{self.name}",
                **({"TellStarted": "true"} if self.tells_start else {}),
                **({"Manifest": f"Shop-0badc0-Shop-{self.name}"} if self.manifest else {}),
            },
        }


@dataclass
class Tick:
    """One firing of a schedule, and all that is known of its life."""

    spec: ScheduleSpec
    scheduled_at: float
    event: Mapping[str, Any]
    faults: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    troubled_until: float = 0.0
    lambda_gave_up: bool = False
    unreachable: bool = False
    foreign: bool = False  # somebody else has taken a name of its jobs
    reached: bool = False  # some delivery of it has begun to run
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)  # that the bus has taken
    metrics: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    outcomes: list[tuple[float, dict[str, Any]]] = field(default_factory=list)  # lines of the log for people

    def trouble_until(self, moment: float) -> None:
        self.troubled_until = max(self.troubled_until, moment)

    @property
    def deadline(self) -> float:
        return self.scheduled_at + self.spec.window + self.spec.max_wait

    @property
    def told(self) -> list[str]:
        """The outcomes the bus has been told."""
        return [detail["outcome"] for _, detail in self.events if detail["outcome"] != STARTED]

    def base_name(self) -> str:
        """Derives the name of its first job as the contract says, independently of the handler."""
        given = self.event["Export"]
        shape = [
            self.event["StackId"],
            given["ExportId"],
            given["DatasetArn"],
            given["IngestionMode"],
            self.spec.destination,
            "",
            self.event["Tick"]["ScheduledTime"],
        ]
        digest = hashlib.sha256(json.dumps(shape, separators=(",", ":")).encode()).digest()
        when = datetime.fromtimestamp(self.scheduled_at, timezone.utc)
        return f"{given['JobNamePrefix']}-{when:%Y%m%dT%H%M}-{base64.b32encode(digest).decode().lower()[:12]}"


class Scheduler:
    """Sends ticks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ticks: list[Tick] = []
        self.next_delay: float = 0.5
        self.next_duplicate: float | None = None
        world.scheduler = self

    def fire(self, spec: ScheduleSpec, scheduled_at: float | None = None) -> Tick | None:
        """Sends a tick of now, or of another time; a schedule has one tick for one time."""
        moment = float(int(self.world.now)) if scheduled_at is None else scheduled_at
        event = spec.event(moment)
        if any(tick.spec.name == spec.name and tick.scheduled_at == moment for tick in self.ticks):
            return None
        tick = Tick(spec, moment, event)
        self.ticks.append(tick)
        if self.next_delay > 1:
            tick.faults.append("delivered late")
        self.world.invoke(json.dumps(event).encode(), self.next_delay)
        if self.next_duplicate is not None:
            self.deliver_again(tick, self.next_delay + self.next_duplicate)
        self.next_delay, self.next_duplicate = 0.5, None
        return tick

    def deliver_again(self, tick: Tick, delay: float) -> None:
        """Delivers a tick once more, as at-least-once delivery may."""
        tick.faults.append("delivered again")
        self.world.invoke(json.dumps(tick.event).encode(), delay)

    def tick_of(self, event: Mapping[str, Any]) -> Tick:
        arn, moment = event["Tick"]["ScheduleArn"], event["Tick"]["ScheduledTime"]
        for tick in self.ticks:
            if (tick.event["Tick"]["ScheduleArn"], tick.event["Tick"]["ScheduledTime"]) == (arn, moment):
                return tick
        raise LookupError(event)

    def succeeded_within(self, name: str, seconds: float) -> int:
        """Counts the successes that the metrics of a schedule's export have in the last seconds, as an alarm does."""
        since = self.world.now - seconds
        points = [point for tick in self.ticks if tick.spec.name == name for point in tick.metrics]
        return sum(int(line["Succeeded"]) for moment, line in points if moment > since)


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
