"""H: the CDK's own `Schedule` and `LambdaInvoke`, and a function of a few lines that starts the job and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets

from benchmarks.rivals.minute import every_minute
from benchmarks.rivals.shared import HANDLERS, dataset, destinations, job_permissions

if TYPE_CHECKING:
    from aws_cdk import Stack


def build(stack: Stack, count: int, *, own: bool) -> None:
    """Add the schedules."""
    function = lambda_.Function(
        stack,
        "Function",
        code=lambda_.Code.from_asset(str(HANDLERS / "scheduled"), exclude=["__pycache__"]),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
    )
    for number, destination in enumerate(destinations(stack, count, own=own)):
        tick = {
            "Name": f"Export{number}",
            "DatasetArn": dataset(number),
            "RoleArn": destination.role_arn,
            "Destination": destination.path,
        }
        target = targets.LambdaInvoke(function, input=scheduler.ScheduleTargetInput.from_object(tick))
        scheduler.Schedule(stack, f"Schedule{number}", schedule=every_minute(), target=target)
        create, _, pass_role = job_permissions([dataset(number)], [destination.role_arn])
        function.add_to_role_policy(create)
        function.add_to_role_policy(pass_role)
