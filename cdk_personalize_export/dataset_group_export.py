"""Every exportable dataset of a dataset group: one export each, sharing bucket, role and function.

See https://docs.aws.amazon.com/personalize/latest/dg/datasets-and-schemas.html for what a dataset group consists of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdk_personalize_export import _checks, _options
from cdk_personalize_export._datasets import chosen
from cdk_personalize_export._environment import StackEnvironment
from cdk_personalize_export._exports import GroupExports, check_shared
from cdk_personalize_export.dataset_export import DatasetExport
from cdk_personalize_export.ingestion_mode import IngestionMode
from cdk_personalize_export.provider import DEFAULT_MAX_CONCURRENCY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import Duration
    from aws_cdk import aws_events as events
    from aws_cdk.aws_personalize import CfnDataset
    from aws_cdk.interfaces.aws_personalize import IDatasetRef
    from constructs import Construct

    from cdk_personalize_export.destination import ExportDestination
    from cdk_personalize_export.provider import ExportProvider


class DatasetGroupExport(GroupExports):
    """Exports the datasets of a dataset group during deployment, each like a `DatasetExport`.

    Args:
        scope: The construct this belongs to.
        construct_id: Its name within `scope`. Renaming it exports again.
        datasets: The datasets, at most one of each type: `CfnDataset`s, references to some, or ARNs. Either these, or
            `dataset_group` and `dataset_types`.
        dataset_group: The name of the dataset group, in the Region and account of the stack.
        dataset_types: Which of its datasets: `INTERACTIONS`, `ITEMS` and `USERS`, in any case. A type the group does
            not have fails the deployment.
        ingestion_mode: Which records to export, by the way they were imported. Default: `IngestionMode.ALL`.
        destination: Where to write. Default: a bucket of its own for all of them, see `ExportDestination`.
        provider: The function that does the work. Default: the one of the stack, see `ExportProvider`.
        generation: Any text; a new one exports all of them again, see `DatasetExport`. Default: none.
        job_name_prefix: What the names of all jobs begin with, see `DatasetExport`. Default: the name of the stack and
            the type of the dataset.
        max_concurrency: How many of the exports run at a time, at most as many as the provider lets run; the others are
            created after them. Default: the provider's. Choose less to leave some of its turns to other exports. Means
            nothing with `wait=False`.
        max_wait: How long the deployment waits for each job, 1 minute to 12 hours. Default: 1 hour.
        wait: Whether to wait for the end of the jobs. Default: True.
        tags: Tags of the jobs. Default: none.
        event_bus: Where events about the exports go, see `DatasetExport`.

    Raises:
        ValueError: when an option could only fail later; the message says what is allowed.

    See https://docs.aws.amazon.com/personalize/latest/dg/export-data.html.
    """

    def __init__(  # noqa: PLR0913 - options, all but two by keyword
        self,
        scope: Construct,
        construct_id: str,
        *,
        datasets: Sequence[CfnDataset | IDatasetRef | str] | None = None,
        dataset_group: str | None = None,
        dataset_types: Sequence[str] | None = None,
        ingestion_mode: IngestionMode | str = IngestionMode.ALL,
        destination: ExportDestination | None = None,
        provider: ExportProvider | None = None,
        generation: str | None = None,
        job_name_prefix: str | None = None,
        max_concurrency: int | None = None,
        max_wait: Duration | None = None,
        wait: bool = True,
        tags: Mapping[str, str] | None = None,
        event_bus: events.IEventBus | None = None,
    ) -> None:
        _options.check(
            datasets=datasets,
            dataset_group=dataset_group,
            dataset_types=dataset_types,
            destination=destination,
            provider=provider,
            max_concurrency=max_concurrency,
            wait=wait,
            event_bus=event_bus,
        )
        environment = StackEnvironment.of(scope)
        found = chosen(environment, datasets, dataset_group, dataset_types)
        check_shared(environment, destination, provider, wait=wait)
        at_most = DEFAULT_MAX_CONCURRENCY if provider is None else provider.max_concurrency
        _checks.check_max_concurrency(max_concurrency, at_most, wait=wait)
        super().__init__(scope, construct_id, destination, provider)
        self.exports: Mapping[str, DatasetExport] = {
            dataset_type: DatasetExport(
                self,
                dataset_type.title(),
                dataset=dataset,
                ingestion_mode=ingestion_mode,
                destination=self.destination,
                provider=self.provider,
                generation=generation,
                job_name_prefix=job_name_prefix,
                max_wait=max_wait,
                wait=wait,
                tags=tags,
                event_bus=event_bus,
            )
            for dataset_type, dataset in found.items()
        }
        """The exports by type, in the order given: `exports["INTERACTIONS"].job_arn`, `.output_path` and so on."""
        if max_concurrency is not None:
            in_turn = list(self.exports.values())
            for earlier, later in zip(in_turn, in_turn[max_concurrency:], strict=False):
                later.node.add_dependency(earlier)
