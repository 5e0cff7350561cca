"""Which datasets to export: whatever names one, as an ARN that is checked as far as it is known.

See https://docs.aws.amazon.com/personalize/latest/dg/datasets-and-schemas.html for what a dataset group consists of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdk_personalize_export import _checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk.aws_personalize import CfnDataset
    from aws_cdk.interfaces.aws_personalize import IDatasetRef

    from cdk_personalize_export._environment import StackEnvironment


def dataset_arn(dataset: CfnDataset | IDatasetRef | str, environment: StackEnvironment) -> str:
    """Return the ARN of `dataset`, checked as far as it is known."""
    if not isinstance(dataset, str):
        return _referenced_arn(dataset, environment)
    known = _checks.dataset_arn(dataset)
    if known is not None:
        _checks.check_environment(
            known,
            stack=environment.path,
            partition=environment.partition,
            region=environment.region,
            account=environment.account,
        )
    return dataset


def _referenced_arn(dataset: Any, environment: StackEnvironment) -> str:  # noqa: ANN401 - anything a caller may pass
    # `dataset_ref.dataset_arn` of a CfnDataset synthesises a Ref, which AWS documents as the name of the dataset.
    resource = _resource(dataset)
    if resource is not None:
        _checks.check_dataset_type(str(resource.dataset_type), lambda: str(resource.name))
        return str(resource.attr_dataset_arn)
    if hasattr(dataset, "dataset_ref"):
        return dataset_arn(str(dataset.dataset_ref.dataset_arn), environment)
    raise ValueError(
        f"dataset is of type {type(dataset).__name__}. It must be a CfnDataset, a reference to one, or the ARN of a "
        "dataset as a string."
    )


def _resource(dataset: Any) -> Any:  # noqa: ANN401 - anything a caller may pass
    """Return the `CfnDataset` that `dataset` is, or is a construct around; None when there is none."""
    if hasattr(type(dataset), "attr_dataset_arn"):
        return dataset
    child = getattr(getattr(dataset, "node", None), "default_child", None)
    return child if hasattr(type(child), "attr_dataset_arn") else None


def _resolved(dataset: CfnDataset | IDatasetRef | str, environment: StackEnvironment) -> tuple[str, str]:
    """Return the ARN and the type of `dataset`, the former checked as far as it is known."""
    arn = dataset_arn(dataset, environment)
    resource = _resource(dataset)
    if _checks.is_looked_up(arn):
        return arn, arn
    dataset_type = arn.rpartition("/")[2] if resource is None else str(resource.dataset_type)
    if _checks.is_unknown(dataset_type):
        raise ValueError(
            "the type of a dataset is only known at deployment. It becomes part of the logical ids: use a "
            "DatasetExport for it, or give dataset_group and dataset_types."
        )
    return arn, dataset_type


def chosen(
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
    found = [_resolved(dataset, environment) for dataset in datasets]
    types = _checks.exportable_types([dataset_type for _, dataset_type in found])
    return _by_type(types, [arn for arn, _ in found], list(datasets))


def _by_type(types: list[str], arns: list[str], datasets: list[Any]) -> dict[str, Any]:
    _checks.check_one_group(types, arns)
    return dict(zip(types, datasets, strict=True))
