"""Every exportable dataset of a dataset group: one export each, sharing bucket, role and function.

See https://docs.aws.amazon.com/personalize/latest/dg/datasets-and-schemas.html for what a dataset group consists of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from constructs import Construct

from cdk_personalize_export import _checks, _options
from cdk_personalize_export._environment import StackEnvironment
from cdk_personalize_export.dataset_export import DatasetExport, check_shared, resolved_dataset
from cdk_personalize_export.destination import ExportDestination
from cdk_personalize_export.ingestion_mode import IngestionMode
from cdk_personalize_export.provider import DEFAULT_MAX_CONCURRENCY, ExportProvider

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import Duration
    from aws_cdk import aws_iam as iam
    from aws_cdk.aws_personalize import CfnDataset
    from aws_cdk.interfaces.aws_personalize import IDatasetRef


class DatasetGroupExport(Construct):
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
    ) -> None:
        _options.check(
            datasets=datasets,
            dataset_group=dataset_group,
            dataset_types=dataset_types,
            destination=destination,
            provider=provider,
            max_concurrency=max_concurrency,
            wait=wait,
        )
        environment = StackEnvironment.of(scope)
        chosen = _chosen(environment, datasets, dataset_group, dataset_types)
        check_shared(environment, destination, provider)
        at_most = DEFAULT_MAX_CONCURRENCY if provider is None else provider.max_concurrency
        _checks.check_max_concurrency(max_concurrency, at_most, wait=wait)
        super().__init__(scope, construct_id)
        self.destination: ExportDestination = destination or ExportDestination(self, "Destination")
        """Where all of them are written."""
        self.provider: ExportProvider = provider or ExportProvider.for_stack(scope)
        """The function that does the work."""
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
            )
            for dataset_type, dataset in chosen.items()
        }
        """The exports by type, in the order given: `exports["INTERACTIONS"].job_arn`, `.output_path` and so on."""
        if max_concurrency is not None:
            in_turn = list(self.exports.values())
            for earlier, later in zip(in_turn, in_turn[max_concurrency:], strict=False):
                later.node.add_dependency(earlier)

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` list and read what is exported to this destination, and decrypt it.

        Args:
            grantee: The role, user or function that reads.

        Returns:
            The grant on the bucket.
        """
        return self.destination.grant_read(grantee)


def _chosen(
    environment: StackEnvironment,
    datasets: Sequence[Any] | None,
    dataset_group: str | None,
    dataset_types: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the datasets by their type."""
    if datasets is None and dataset_group is not None and dataset_types is not None:
        _checks.check_not_empty("dataset_types", dataset_types)
        _checks.check_dataset_group(dataset_group)
        types = _checks.exportable_types(dataset_types)
        arns = [environment.dataset_arn(dataset_group, dataset_type) for dataset_type in types]
        return _by_type(types, arns, arns)
    if datasets is None or dataset_group is not None or dataset_types is not None:
        raise ValueError(
            "datasets, dataset_group and dataset_types do not say what to export. Give either datasets, or "
            "dataset_group and dataset_types."
        )
    _checks.check_not_empty("datasets", datasets)
    found = [resolved_dataset(dataset, environment) for dataset in datasets]
    types = _checks.exportable_types([dataset_type for _, dataset_type in found])
    return _by_type(types, [arn for arn, _ in found], list(datasets))


def _by_type(types: list[str], arns: list[str], datasets: list[Any]) -> dict[str, Any]:
    _checks.check_one_group(types, arns)
    return dict(zip(types, datasets, strict=True))
