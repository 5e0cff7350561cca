"""Every exportable dataset of a dataset group, exported again and again on one schedule.

See https://docs.aws.amazon.com/personalize/latest/dg/datasets-and-schemas.html for what a dataset group consists of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdk_personalize_export import _options
from cdk_personalize_export._datasets import chosen
from cdk_personalize_export._environment import StackEnvironment
from cdk_personalize_export._exports import GroupExports, check_shared
from cdk_personalize_export.ingestion_mode import IngestionMode
from cdk_personalize_export.scheduled_dataset_export import DEFAULT_RETRY_ATTEMPTS, ScheduledDatasetExport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from aws_cdk import Duration
    from aws_cdk import aws_events as events
    from aws_cdk import aws_scheduler as scheduler
    from aws_cdk import aws_sqs as sqs
    from aws_cdk.aws_personalize import CfnDataset
    from aws_cdk.interfaces.aws_personalize import IDatasetRef
    from constructs import Construct

    from cdk_personalize_export.destination import ExportDestination
    from cdk_personalize_export.provider import ExportProvider


class ScheduledDatasetGroupExport(GroupExports):
    """Exports the datasets of a dataset group on a schedule, each like a `ScheduledDatasetExport`.

    Args:
        scope: The construct this belongs to.
        construct_id: Its name within `scope`.
        datasets: The datasets, as of `DatasetGroupExport`. Either these, or `dataset_group` and `dataset_types`.
        dataset_group: The name of the dataset group, in the Region and account of the stack.
        dataset_types: Which of its datasets: `INTERACTIONS`, `ITEMS` and `USERS`, in any case.
        schedule: When to export all of them.
        ingestion_mode: Which records to export, by the way they were imported. Default: `IngestionMode.ALL`.
        destination: Where to write. Default: a bucket of its own for all of them, see `ExportDestination`.
        provider: The function that does the work. Default: the one of the stack, see `ExportProvider`.
        job_name_prefix: What the names of all jobs begin with, see `ScheduledDatasetExport`.
        tags: Tags of the jobs. Default: none.
        time_window: How much later Scheduler may start each export. Default: `TimeWindow.off()`.
        start: When the schedules begin. Default: at once.
        end: When the schedules end. Default: never.
        enabled: Whether the schedules run. Default: True.
        schedule_group: The group the schedules are in. Default: the default one of the account.
        retry_attempts: How often a failed job is tried again, 0 to 10. Default: 2.
        max_wait: How long after the scheduled time each export may take, 1 minute to 12 hours. Default: 12 hours.
        dead_letter_queue: Where Scheduler puts a tick it could not deliver. Default: none.
        event_bus: Where events about the exports go, see `ScheduledDatasetExport`.

    Raises:
        ValueError: when an option could only fail later; the message says what is allowed.

    See https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html.
    """

    def __init__(  # noqa: PLR0913 - options, all but two by keyword
        self,
        scope: Construct,
        construct_id: str,
        *,
        schedule: scheduler.ScheduleExpression,
        datasets: Sequence[CfnDataset | IDatasetRef | str] | None = None,
        dataset_group: str | None = None,
        dataset_types: Sequence[str] | None = None,
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
            datasets=datasets,
            dataset_group=dataset_group,
            dataset_types=dataset_types,
            destination=destination,
            provider=provider,
        )
        environment = StackEnvironment.of(scope)
        found = chosen(environment, datasets, dataset_group, dataset_types)
        check_shared(environment, destination, provider)
        super().__init__(scope, construct_id, destination, provider)
        self.exports: Mapping[str, ScheduledDatasetExport] = {
            dataset_type: ScheduledDatasetExport(
                self,
                dataset_type.title(),
                dataset=dataset,
                schedule=schedule,
                ingestion_mode=ingestion_mode,
                destination=self.destination,
                provider=self.provider,
                job_name_prefix=job_name_prefix,
                tags=tags,
                time_window=time_window,
                start=start,
                end=end,
                enabled=enabled,
                schedule_group=schedule_group,
                retry_attempts=retry_attempts,
                max_wait=max_wait,
                dead_letter_queue=dead_letter_queue,
                event_bus=event_bus,
            )
            for dataset_type, dataset in found.items()
        }
        """The exports by type, in the order given: `exports["INTERACTIONS"].schedule_name` and so on."""
