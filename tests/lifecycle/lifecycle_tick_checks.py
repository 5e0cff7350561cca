"""What must hold of ticks, whatever happens: the promises of the handler's second door, checked from outside."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.lifecycle.lifecycle_scheduler import FAILED, STARTED, SUCCEEDED, TIMED_OUT, Scheduler, Tick
from tests.lifecycle.lifecycle_world import LIST, Started, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lifecycle.lifecycle_manifest_checks import ManifestChecks

CLOCK_SECONDS = 6.0
PAUSES = (300, 900, 2700, *[3600] * 7)
SAME_TIME_SECONDS = 25.0  # what two runs see when they look at the same time, with a slow call between look and start


class TickChecks:
    """Watches the ticks of a world, and collects in `world.violations` what must never be."""

    def __init__(self, world: World, scheduler: Scheduler, manifests: ManifestChecks) -> None:
        self._world, self._scheduler, self._manifests = world, scheduler, manifests
        self._lines_read = 0
        world.told = self._event
        self._watch_requests: Callable[[Started], None] = world.watch
        world.watch = self._job_started

    def everything(self) -> None:
        """Checks what can be checked at any time."""
        self._read_lines()
        for tick in self._scheduler.ticks:
            strange = [name for name in tick.unexpected if name not in ("StrandedError", "Killed")]
            if strange:
                self._broken(f"the handler raised {strange}", tick)
            if tick.unexpected and not tick.faults:
                self._broken(f"an invocation died though nothing went wrong: {tick.unexpected}", tick)

    def at_the_end(self) -> None:
        """Checks what holds once everything has come to rest."""
        self.everything()
        for tick in self._scheduler.ticks:
            if not tick.reached or tick.lambda_gave_up:
                continue
            if not tick.outcomes or not tick.metrics:
                self._broken("a tick reached the function and was told nowhere", tick)
            elif not tick.told and not any(fault.startswith("PutEvents") for fault in tick.faults):
                self._broken("the bus never heard of a tick", tick)
            if not tick.faults and len(tick.told) != 1:
                self._broken(f"a tick was told {len(tick.told)} times though nothing went wrong", tick)

    def _broken(self, what: str, tick: Tick) -> None:
        self._world.violations.append(f"{what} [tick {tick.base_name()}, {tick.faults}]")

    # -- when a job is started ---------------------------------------------------------------------------------------

    def _job_started(self, started: Started) -> None:
        tick, world = started.request, self._world
        if not isinstance(tick, Tick):
            self._watch_requests(started)
            return
        if started.base != tick.base_name():
            self._broken(f"{started.name} is not the name the contract derives", tick)
        if started.at > tick.deadline + CLOCK_SECONDS:
            self._broken(f"{started.name} was started after the deadline", tick)
        if started.attempt > 1 + tick.spec.retries:
            self._broken(f"{started.name} is one attempt too many", tick)
        if started.attempt > 1:
            before = world.job(started.base if started.attempt == 2 else f"{started.base}-{started.attempt - 1}")
            if before is None or before["status"] != "CREATE FAILED":
                self._broken(f"{started.name} was started though the attempt before has not failed", tick)
            elif started.at < before["lastUpdatedDateTime"] + PAUSES[started.attempt - 2] - CLOCK_SECONDS:
                self._broken(f"{started.name} was started before its pause was over", tick)
        if not any(fault.startswith(LIST) for fault in tick.faults):
            self._nobody_else_runs(started, tick)

    def _nobody_else_runs(self, started: Started, tick: Tick) -> None:
        for other in self._world.started.values():
            ours = other.base == started.base or not isinstance(other.request, Tick)
            if ours or other.request.spec.name != tick.spec.name or other.at > started.at - SAME_TIME_SECONDS:  # type: ignore[union-attr]
                continue
            if other.request.spec.dataset != tick.spec.dataset:  # type: ignore[union-attr]
                continue
            job = self._world.job(other.name)
            if job is not None and job["status"] not in ("ACTIVE", "CREATE FAILED"):
                self._broken(f"{started.name} was started beside {other.name}", tick)

    # -- when something is told --------------------------------------------------------------------------------------

    def _event(self, tick: Any, detail: dict[str, Any]) -> None:
        if not isinstance(tick, Tick):
            return
        tick.events.append((self._world.now, detail))
        self._true(tick, detail, detail.get("datasetExportJobArn", ""))

    def _read_lines(self) -> None:
        for tick, text in self._world.lines[self._lines_read :]:
            if not isinstance(tick, Tick):
                continue
            line = json.loads(text)
            if "_aws" in line:
                tick.metrics.append((line["_aws"]["Timestamp"] / 1000, line))
                if line["Succeeded"] + line["Failed"] + line["TimedOut"] != 1:
                    self._broken(f"the metrics count no one outcome: {line}", tick)
            elif "jobArn" in line:
                tick.outcomes.append((self._world.now, line))
        self._lines_read = len(self._world.lines)

    def _true(self, tick: Tick, detail: dict[str, Any], arn: str) -> None:
        world, outcome = self._world, detail["outcome"]
        name = arn.rpartition("/")[2]
        job = world.job(name) if name else None
        if name and not re.fullmatch(re.escape(tick.base_name()) + r"(-\d+)?", name):
            self._broken(f"{outcome} was told of the job of somebody else, {name}", tick)
        if outcome == STARTED and job is None:
            self._broken("STARTED was told of no job", tick)
        if outcome == SUCCEEDED and (job is None or job["status"] != "ACTIVE"):
            self._broken(f"SUCCEEDED was told of {name}, which has not", tick)
        if outcome == SUCCEEDED and tick.spec.manifest:
            self._manifests.written(detail.get("manifestPath"), name, tick.event["Export"])
        if outcome == FAILED and job is not None:
            self._failed(tick, detail, job)
        if outcome == TIMED_OUT and world.now < tick.deadline - CLOCK_SECONDS:
            self._broken("TIMED_OUT was told before the deadline", tick)

    def _failed(self, tick: Tick, detail: dict[str, Any], job: dict[str, Any]) -> None:
        if detail.get("status") != "CREATE FAILED":  # refused by Personalize, or no export of ours: not about this job
            if not tick.faults and not tick.foreign:
                self._broken(f"FAILED was told of a job that has not: {detail}", tick)
            return
        if job["status"] != "CREATE FAILED":
            self._broken("FAILED was told of a job that has not", tick)
        attempt = int(detail["attempt"])
        if attempt <= tick.spec.retries and not tick.faults:
            next_at = job["lastUpdatedDateTime"] + PAUSES[attempt - 1]
            if max(next_at, self._world.now) < tick.deadline - CLOCK_SECONDS:
                self._broken("FAILED was told though there was time for another attempt", tick)
