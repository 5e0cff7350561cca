"""Lets schedules run: what is due is invoked, retried with growing pauses, and in the end a dead letter.

Rests on https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html and
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html. AWS delivers at least once; here
once, or as often as the settings say. Inferred: every error is retried, and a pause doubles from 1 second on.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import logging
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from personalize_local.extension import schedule_targets
from personalize_local.extension.schedule_expressions import as_text, first, parse
from personalize_local.extension.schedule_targets import Attempt, DeliveryError
from personalize_local.extension.service_roles import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from personalize_local.extension.clock import Clock
    from personalize_local.extension.service_roles import ServiceRoles

logger = logging.getLogger("personalize_local")

TICK_SECONDS = 0.1
THREADS = 8
DEFAULT_RETRIES = 185
DEFAULT_AGE_SECONDS = 86400
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 600.0

Key = tuple[str, str, str]  # account, Region, group/name
Record = dict[str, Any]


@dataclass
class Plan:
    """One schedule as it was last written, and what is to come of it."""

    record: Record
    next_at: float | None
    open: int = 0


@dataclass(frozen=True, order=True)
class Delivery:
    """One invocation to make."""

    due: float
    order: int
    plan: Plan = field(compare=False)
    key: Key = field(compare=False)
    scheduled_at: float = field(compare=False)
    attempt: int = field(compare=False, default=1)
    begun: float | None = field(compare=False, default=None)


class ScheduleRunner:
    """Runs the schedules of every account and Region.

    Args:
        schedules: Returns them, with their keys.
        remove: Deletes one that is over and says ``ActionAfterCompletion`` is ``DELETE``.
        roles: Assumes their roles.
        clock: The time.
        deliveries: How often each tick is delivered.
    """

    def __init__(
        self,
        schedules: Callable[[], Iterable[tuple[Key, Record]]],
        remove: Callable[[Key], None],
        roles: ServiceRoles,
        clock: Clock,
        deliveries: int = 1,
    ) -> None:
        """Keep them."""
        self._schedules = schedules
        self._remove = remove
        self._roles = roles
        self._clock = clock
        self._deliveries = deliveries
        self._plans: dict[Key, Plan] = {}
        self._waiting: list[Delivery] = []
        self._orders = itertools.count()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="schedule")

    def start(self) -> None:
        """Look at the schedules from now on, on a thread of its own."""
        threading.Thread(target=self._loop, name="schedules", daemon=True).start()

    def _loop(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            try:
                self.tick(self._pool.submit)
            except Exception:
                logger.exception("the schedules were not looked at")

    def tick(self, run: Callable[[Callable[[Delivery], None], Delivery], object]) -> None:
        """Plan what is due, and hand what is to be invoked now to ``run``."""
        now = self._clock.now()
        with self._lock:
            self._plan(dict(self._schedules()), now)
            ready = []
            while self._waiting and self._waiting[0].due <= now:
                delivery = heapq.heappop(self._waiting)
                if delivery.key in self._plans:  # a deleted schedule invokes nothing any more
                    ready.append(delivery)
        for delivery in ready:
            run(self.deliver, delivery)

    def _plan(self, schedules: dict[Key, Record], now: float) -> None:
        for key in self._plans.keys() - schedules.keys():
            del self._plans[key]
        for key, record in schedules.items():
            plan = self._plans.get(key)
            if plan is None or plan.record is not record:
                plan = self._plans[key] = Plan(record, _first(record))
            while plan.next_at is not None and plan.next_at <= now:
                if record["State"] == "ENABLED":
                    self._add(key, plan, plan.next_at)
                plan.next_at = _after(record, plan.next_at)
            if plan.next_at is None and not plan.open and record["ActionAfterCompletion"] == "DELETE":
                self._remove(key)

    def _add(self, key: Key, plan: Plan, scheduled_at: float) -> None:
        due = scheduled_at + _delay_in_window(plan.record, scheduled_at)
        for _ in range(self._deliveries):
            plan.open += 1
            heapq.heappush(self._waiting, Delivery(due, next(self._orders), plan, key, scheduled_at))

    def deliver(self, delivery: Delivery) -> None:
        """Invoke the target; when that fails, plan the next attempt or give up."""
        record, (account, region, _) = delivery.plan.record, delivery.key
        source = Source(account, region, group_arn(account, region, record["GroupName"]))
        attempt = Attempt(record["Arn"], delivery.scheduled_at, delivery.attempt, secrets.token_hex(8))
        text = schedule_targets.payload(record["Target"], attempt, source)
        try:
            schedule_targets.invoke(record["Target"], text, self._roles, source)
        except DeliveryError as error:
            logger.warning("%s, attempt %d: %s", record["Arn"], attempt.number, error)
            condition = self._retry(delivery)
            if condition is None:
                return
            self._give_up(record, attempt, text, source, error, condition)
        except Exception:
            logger.exception("%s was not invoked", record["Arn"])
        with self._lock:
            delivery.plan.open -= 1

    def _retry(self, delivery: Delivery) -> str | None:
        """Plan the next attempt, or return the condition that is exhausted."""
        policy = delivery.plan.record["Target"].get("RetryPolicy") or {}
        now = self._clock.now()
        begun = delivery.due if delivery.begun is None else delivery.begun
        if delivery.attempt > policy.get("MaximumRetryAttempts", DEFAULT_RETRIES):
            return "MaximumRetryAttempts"
        due = now + min(FIRST_PAUSE_SECONDS * 2 ** (delivery.attempt - 1), LONGEST_PAUSE_SECONDS)
        if due - begun > policy.get("MaximumEventAgeInSeconds", DEFAULT_AGE_SECONDS):
            return "MaximumEventAgeInSeconds"
        following = Delivery(
            due,
            next(self._orders),
            delivery.plan,
            delivery.key,
            delivery.scheduled_at,
            delivery.attempt + 1,
            begun,
        )
        with self._lock:
            heapq.heappush(self._waiting, following)
        return None

    def _give_up(  # noqa: PLR0913, PLR0917 - all that the dead-letter queue is told
        self, record: Record, attempt: Attempt, text: str, source: Source, error: DeliveryError, condition: str
    ) -> None:
        """Send the invocation to the dead-letter queue, if there is one."""
        if "DeadLetterConfig" not in record["Target"] or not record["Target"]["DeadLetterConfig"].get("Arn"):
            return
        attributes = {
            "ERROR_CODE": error.code,
            "ERROR_MESSAGE": error.message,
            "EXECUTION_ID": attempt.execution_id,
            "EXHAUSTED_RETRY_CONDITION": condition,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(attempt.number - 1),
            "SCHEDULED_TIME": as_text(attempt.scheduled_at),
            "SCHEDULE_ARN": attempt.schedule_arn,
            "TARGET_ARN": record["Target"]["Arn"],
        }
        try:
            schedule_targets.dead_letter(record["Target"], text, attributes, self._roles, source)
        except DeliveryError as refusal:
            logger.warning("%s: the dead-letter queue was not reached: %s", record["Arn"], refusal)


def group_arn(account: str, region: str, group: str) -> str:
    """Return the ARN of a schedule group."""
    return f"arn:aws:scheduler:{region}:{account}:schedule-group/{group}"


def _first(record: Record) -> float | None:
    """Return when a schedule that was just written is due first."""
    expression = parse(record["ScheduleExpression"], record["ScheduleExpressionTimezone"])
    return _within(record, first(expression, record["LastModificationDate"], record.get("StartDate")))


def _after(record: Record, moment: float) -> float | None:
    """Return when a schedule is due next."""
    expression = parse(record["ScheduleExpression"], record["ScheduleExpressionTimezone"])
    anchor = record.get("StartDate") or float(int(record["LastModificationDate"]))
    return _within(record, expression.after(moment, anchor))


def _within(record: Record, moment: float | None) -> float | None:
    """Return the time unless it is after the end; a one-time schedule has none."""
    end = None if record["ScheduleExpression"].startswith("at(") else record.get("EndDate")
    return None if moment is None or (end is not None and moment > end) else moment


def _delay_in_window(record: Record, scheduled_at: float) -> float:
    """Return how long after its time a schedule with a flexible window is invoked: some time, but the same each run."""
    window = record["FlexibleTimeWindow"]
    if window["Mode"] != "FLEXIBLE":
        return 0.0
    digest = hashlib.sha256(f"{record['Arn']} {scheduled_at}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % (int(window["MaximumWindowInMinutes"]) * 60)
