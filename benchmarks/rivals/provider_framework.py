"""A: the CDK's provider framework, with `isComplete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import custom_resources as cr

from benchmarks.rivals.shared import HANDLERS, dataset, destinations, job_permissions, properties

if TYPE_CHECKING:
    from aws_cdk import Stack


def build(stack: Stack, count: int, *, own: bool) -> None:
    """Add the exports."""
    code = lambda_.Code.from_asset(str(HANDLERS / "provider_framework"), exclude=["__pycache__"])
    on_event, is_complete = (
        lambda_.Function(
            stack,
            name,
            code=code,
            handler=handler,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            timeout=Duration.minutes(1),
        )
        for name, handler in (("OnEvent", "index.on_event"), ("IsComplete", "index.is_complete"))
    )
    provider = cr.Provider(
        stack,
        "Provider",
        on_event_handler=on_event,
        is_complete_handler=is_complete,
        total_timeout=Duration.hours(1),  # and the framework's own 5 s between two looks
    )
    datasets: list[str] = []
    roles: dict[str, None] = {}
    for number, destination in enumerate(destinations(stack, count, own=own)):
        dataset_arn = dataset(number)
        resource = CustomResource(
            stack,
            f"Export{number}",
            resource_type="Custom::DatasetExport",
            service_token=provider.service_token,
            properties=properties(dataset_arn, destination),
        )
        resource.node.add_dependency(*destination.permissions)
        datasets.append(dataset_arn)
        roles[destination.role_arn] = None
    start, look, pass_role = job_permissions(datasets, list(roles))
    on_event.add_to_role_policy(start)
    on_event.add_to_role_policy(pass_role)
    is_complete.add_to_role_policy(look)
