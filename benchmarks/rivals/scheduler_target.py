"""G: EventBridge Scheduler calls `CreateDatasetExportJob` itself, a universal target, without any code.

The job's name must be new each time, and the only attribute of Scheduler that a name can hold is the id of the attempt
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html): times have colons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets

from benchmarks.rivals.minute import every_minute
from benchmarks.rivals.shared import dataset, destinations, job_permissions

if TYPE_CHECKING:
    from aws_cdk import Stack

NAME = "Export{}-<aws.scheduler.execution-id>"


def build(stack: Stack, count: int, *, own: bool) -> None:
    """Add the schedules."""
    for number, destination in enumerate(destinations(stack, count, own=own)):
        arn, name = dataset(number), NAME.format(number)
        create, _, pass_role = job_permissions([arn], [destination.role_arn])
        target = targets.Universal(
            service="personalize",
            action="createDatasetExportJob",
            policy_statements=[create, pass_role],
            input=scheduler.ScheduleTargetInput.from_object(
                {
                    "JobName": name,
                    "DatasetArn": arn,
                    "IngestionMode": "ALL",
                    "RoleArn": destination.role_arn,
                    "JobOutput": {"S3DataDestination": {"Path": f"{destination.path}{name}/"}},
                }
            ),
        )
        scheduler.Schedule(stack, f"Schedule{number}", schedule=every_minute(), target=target)
