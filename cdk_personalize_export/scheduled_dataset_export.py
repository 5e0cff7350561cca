"""One dataset, exported again and again on a schedule.

The construct is a schedule of Amazon EventBridge Scheduler; the function of `ExportProvider` starts a job for each
tick, waits for it, and tells how it ended. See
https://docs.aws.amazon.com/scheduler/latest/UserGuide/what-is-scheduler.html and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations

from cdk_personalize_export import _checks, _options
from cdk_personalize_export._exports import OneExport, Options
from cdk_personalize_export._schedule_expression import UNKNOWN, Intervals, intervals
from cdk_personalize_export.ingestion_mode import IngestionMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import Duration
    from aws_cdk import aws_events as events
    from aws_cdk import aws_scheduler as scheduler
    from aws_cdk import aws_sqs as sqs
    from aws_cdk.aws_personalize import CfnDataset
    from aws_cdk.interfaces.aws_personalize import IDatasetRef
    from constructs import Construct

    from cdk_personalize_export.destination import ExportDestination
    from cdk_personalize_export.provider import ExportProvider

DEFAULT_RETRY_ATTEMPTS = 2
_LONGEST_EVENT_AGE_SECONDS = 24 * 3600  # Scheduler tries no longer to deliver a tick
_TICK = {"ScheduledTime": "<aws.scheduler.scheduled-time>", "ScheduleArn": "<aws.scheduler.schedule-arn>"}


class ScheduledDatasetExport(OneExport):
    """Exports one dataset of Amazon Personalize to Amazon S3 on a schedule.

    Nothing is exported while deploying. Each scheduled time has one job, however often its tick is delivered; a job
    that fails is tried again. What becomes of an export is told by `on_failed`, `alarm_when_silent` and the like.
    Removing the construct removes neither the jobs, which the API cannot delete, nor any object.

    Args:
        scope: The construct this belongs to.
        construct_id: Its name within `scope`.
        dataset: The dataset, as of `DatasetExport`.
        schedule: When to export: `ScheduleExpression.cron(...)`, `rate(...)` or `at(...)` of `aws_cdk.aws_scheduler`,
            with a time zone of yours. Its times are those the jobs are named after.
        ingestion_mode: Which records to export, by the way they were imported. Default: `IngestionMode.ALL`.
        destination: Where to write. Default: a bucket of its own, see `ExportDestination`.
        provider: The function that does the work. Default: the one of the stack, see `ExportProvider`.
        job_name_prefix: What job names begin with; the scheduled time and a hash follow. At most 31 letters, digits,
            hyphens and underscores. Default: the names of the stack and of this construct.
        tags: Tags of the jobs. Default: none.
        time_window: How much later Scheduler may start an export, to spread load. Default: `TimeWindow.off()`. No
            longer than the interval.
        start: When the schedule begins, with a time zone. Default: at once. A rate counts from it. Scheduler refuses a
            change of a schedule whose start has passed: remove it then.
        end: When the schedule ends, with a time zone. Default: never.
        enabled: Whether the schedule runs. Default: True. False pauses it; what it missed is not made up for.
        schedule_group: The group the schedule is in. Default: the default one of the account.
        retry_attempts: How often a failed job is tried again, 0 to 10, after a pause that grows. Default: 2.
        max_wait: How long after the scheduled time (and its window) an export may take, with all its attempts, 1 minute
            to 12 hours. Default: 12 hours.
        dead_letter_queue: Where Scheduler puts a tick it could not deliver. Default: none; `alarm_when_silent` notices
            too. It never holds a failed export: that is what `on_failed` is for.
        event_bus: Where events about the export go, whoever listens. Default: the default bus of the account, from the
            first `on_event`, `on_started`, `on_succeeded` or `on_failed` on.

    Raises:
        ValueError: when an option could only fail later; the message says what is allowed.

    See https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html.
    """

    def __init__(  # noqa: PLR0913 - options, all but two by keyword
        self,
        scope: Construct,
        construct_id: str,
        *,
        dataset: CfnDataset | IDatasetRef | str,
        schedule: scheduler.ScheduleExpression,
        ingestion_mode: IngestionMode | str = IngestionMode.ALL,
        destination: ExportDestination | None = None,
        provider: ExportProvider | None = None,
        job_name_prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        time_window: scheduler.TimeWindow | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        enabled: bool = True,
        schedule_group: scheduler.IScheduleGroup | None = None,
        retry_attempts: int = DEFAULT_RETRY_ATTEMPTS,
        max_wait: Duration | None = None,
        dead_letter_queue: sqs.IQueue | None = None,
        event_bus: events.IEventBus | None = None,
    ) -> None:
        _options.check(
            schedule=schedule,
            time_window=time_window,
            start=start,
            end=end,
            enabled=enabled,
            schedule_group=schedule_group,
            retry_attempts=retry_attempts,
            max_wait=max_wait,
            dead_letter_queue=dead_letter_queue,
        )
        now = datetime.now(timezone.utc)
        apart = _intervals(schedule, now)
        window_seconds = _window_seconds(time_window, apart)
        _checks.check_dates(start, end, now)
        if max_wait is not None:
            _checks.check_scheduled_max_wait(max_wait.to_seconds())
        if dead_letter_queue is not None:
            _checks.check_queue("Amazon EventBridge Scheduler", fifo=bool(dead_letter_queue.fifo))
        options = Options.checked(
            scope,
            dataset=dataset,
            ingestion_mode=ingestion_mode,
            destination=destination,
            provider=provider,
            event_bus=event_bus,
            job_name_prefix=job_name_prefix,
            tags=tags,
            scheduled=True,
        )
        expire_days = None if destination is None else destination._expire_days  # noqa: SLF001 - one of ours
        if expire_days is not None and apart.longest is not None:
            _checks.check_expiry(expire_days, apart.longest)
        super().__init__(scope, construct_id, options, waits=True, longest_interval=apart.longest)
        if expire_days is not None and apart.longest is None and not apart.once:
            self._warn_of_expiry(expire_days)
        waits_seconds = int(_checks.MAX_WAIT_SECONDS if max_wait is None else max_wait.to_seconds())
        self._properties |= {"MaxWaitSeconds": str(waits_seconds), "RetryAttempts": str(retry_attempts)}
        self._window_seconds = window_seconds
        here = options.environment
        group_arn = (
            here.default_schedule_group_arn if schedule_group is None else str(schedule_group.schedule_group_arn)
        )
        self._role = self.provider._schedule_role_in(here, group_arn)  # noqa: SLF001 - one of ours
        self._delivery = self._delivered(window_seconds + waits_seconds, dead_letter_queue)
        self._schedule = self._make_schedule(schedule, start, end, schedule_group, enabled=enabled)
        self._begin()

    def _warn_of_expiry(self, expire_days: int) -> None:
        Annotations.of(self).add_warning_v2(
            "cdk-personalize-export:expire-after",
            f"expire_after is {expire_days} days, and how far apart the exports of this schedule are is not known here."
            " Exports that fail for so long leave nothing: let it be two intervals at least.",
        )

    def _delivered(self, longest_seconds: int, queue: sqs.IQueue | None) -> dict[str, Any]:
        """Return how Scheduler delivers ticks: not after the time in which the function would still do something."""
        from aws_cdk.aws_scheduler import CfnSchedule  # noqa: PLC0415 - not at import: it costs start-up time

        age = min(longest_seconds, _LONGEST_EVENT_AGE_SECONDS)
        delivery = {"retry_policy": CfnSchedule.RetryPolicyProperty(maximum_event_age_in_seconds=age)}
        if queue is None:
            return delivery
        dead_letters = CfnSchedule.DeadLetterConfigProperty(arn=self._role.send_to(queue))
        return {**delivery, "dead_letter_config": dead_letters}

    def _make_schedule(
        self,
        schedule: scheduler.ScheduleExpression,
        start: datetime | None,
        end: datetime | None,
        group: scheduler.IScheduleGroup | None,
        *,
        enabled: bool,
    ) -> scheduler.CfnSchedule:
        from aws_cdk.aws_scheduler import CfnSchedule  # noqa: PLC0415 - not at import: it costs start-up time

        minutes = self._window_seconds // 60
        zone = schedule.time_zone
        made = CfnSchedule(
            self,
            "Schedule",
            description=f"Exports {self.node.path}",
            end_date=None if end is None else _utc(end),
            flexible_time_window=CfnSchedule.FlexibleTimeWindowProperty(
                mode="FLEXIBLE" if minutes else "OFF", maximum_window_in_minutes=minutes or None
            ),
            group_name=None if group is None else group.schedule_group_name,
            schedule_expression=schedule.expression_string,
            schedule_expression_timezone=None if zone is None else zone.timezone_name,
            start_date=None if start is None else _utc(start),
            state="ENABLED" if enabled else "DISABLED",
            target=self._target(),
        )
        permit = self._permit
        made.node.add_dependency(
            self._role.dependency, *permit.others, *([] if permit.policy is None else [permit.policy])
        )
        return made

    def _target(self) -> scheduler.CfnSchedule.TargetProperty:
        from aws_cdk.aws_scheduler import CfnSchedule  # noqa: PLC0415 - not at import: it costs start-up time

        here = self._environment
        tick = {
            "Tick": {**_TICK, "WindowSeconds": str(self._window_seconds)},
            "StackId": here.stack_id,
            "Export": self._properties,
        }
        return CfnSchedule.TargetProperty(
            arn=self.provider.service_token,
            input=here.stack.to_json_string(tick),
            role_arn=self._role.role_arn,
            **self._delivery,
        )

    def _set(self, properties: Mapping[str, str]) -> None:
        self._properties |= properties
        self._schedule.target = self._target()

    @property
    def resource(self) -> scheduler.CfnSchedule:
        """The schedule, for escape hatches."""
        return self._schedule

    @property
    def schedule_name(self) -> str:
        """The name of the schedule."""
        return str(self._schedule.ref)

    @property
    def schedule_arn(self) -> str:
        """The ARN of the schedule."""
        return str(self._schedule.attr_arn)


def _intervals(schedule: scheduler.ScheduleExpression, now: datetime) -> Intervals:
    text, zone = str(schedule.expression_string), schedule.time_zone
    name = None if zone is None else str(zone.timezone_name)
    if _checks.is_unknown(text) or (name is not None and _checks.is_unknown(name)):
        return UNKNOWN
    return intervals(text, name, now)


def _window_seconds(window: scheduler.TimeWindow | None, apart: Intervals) -> int:
    if window is None or window.max_window is None:
        return 0
    seconds = int(window.max_window.to_seconds())
    _checks.check_window(seconds, apart.shortest)
    return seconds


def _utc(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
