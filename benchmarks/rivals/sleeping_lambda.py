"""E: one Lambda function that starts the job and sleeps until it is done, or until its 15 minutes end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_lambda as lambda_

from benchmarks.rivals.shared import HANDLERS, dataset, destinations, job_permissions, properties

if TYPE_CHECKING:
    from aws_cdk import Stack


def build(stack: Stack, count: int, *, own: bool) -> None:
    """Add the exports."""
    function = lambda_.Function(
        stack,
        "Function",
        code=lambda_.Code.from_asset(str(HANDLERS / "sleeping"), exclude=["__pycache__"]),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
        timeout=Duration.minutes(15),
    )
    datasets: list[str] = []
    roles: dict[str, None] = {}
    for number, destination in enumerate(destinations(stack, count, own=own)):
        dataset_arn = dataset(number)
        resource = CustomResource(
            stack,
            f"Export{number}",
            resource_type="Custom::DatasetExport",
            service_token=function.function_arn,
            properties=properties(dataset_arn, destination),
        )
        resource.node.add_dependency(*destination.permissions)
        datasets.append(dataset_arn)
        roles[destination.role_arn] = None
    for statement in job_permissions(datasets, list(roles)):
        function.add_to_role_policy(statement)
