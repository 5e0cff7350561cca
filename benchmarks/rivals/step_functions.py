"""C: a state machine that starts the job and polls it, and one Lambda function on either side of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks

from benchmarks.rivals.shared import HANDLERS, JOBS_ARN, dataset, destinations, job_permissions, properties

if TYPE_CHECKING:
    from aws_cdk import Stack


def build(stack: Stack, count: int, *, own: bool) -> None:
    """Add the exports."""
    function = lambda_.Function(
        stack,
        "Function",
        code=lambda_.Code.from_asset(str(HANDLERS / "step_functions"), exclude=["__pycache__"]),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
        timeout=Duration.minutes(1),
    )
    machine = sfn.StateMachine(
        stack,
        "Waiter",
        definition_body=sfn.DefinitionBody.from_chainable(_definition(stack, function)),
        timeout=Duration.minutes(58),
    )
    machine.grant_start_execution(function)
    datasets: list[str] = []
    roles: dict[str, None] = {}
    for number, destination in enumerate(destinations(stack, count, own=own)):
        dataset_arn = dataset(number)
        resource = CustomResource(
            stack,
            f"Export{number}",
            resource_type="Custom::DatasetExport",
            service_token=function.function_arn,
            service_timeout=Duration.hours(1),
            properties={**properties(dataset_arn, destination), "StateMachineArn": machine.state_machine_arn},
        )
        resource.node.add_dependency(*destination.permissions)
        datasets.append(dataset_arn)
        roles[destination.role_arn] = None
    for statement in job_permissions(datasets, list(roles)):
        machine.add_to_role_policy(statement)


def _definition(stack: Stack, function: lambda_.Function) -> sfn.IChainable:
    start = tasks.CallAwsService(
        stack,
        "Start",
        service="personalize",
        action="createDatasetExportJob",
        iam_resources=[JOBS_ARN],
        parameters={
            "JobName.$": "States.Format('export-{}', $.RequestId)",
            "DatasetArn.$": "$.ResourceProperties.DatasetArn",
            "IngestionMode.$": "$.ResourceProperties.IngestionMode",
            "RoleArn.$": "$.ResourceProperties.RoleArn",
            "JobOutput": {"S3DataDestination": {"Path.$": "$.ResourceProperties.Destination"}},
        },
        result_path="$.Job",
    )
    look = tasks.CallAwsService(
        stack,
        "Look",
        service="personalize",
        action="describeDatasetExportJob",
        iam_resources=[JOBS_ARN],
        parameters={"DatasetExportJobArn.$": "$.Job.DatasetExportJobArn"},
        result_path="$.Seen",
    )
    look.add_retry(interval=Duration.seconds(5), max_attempts=5, backoff_rate=2)
    pause = sfn.Wait(stack, "Pause", time=sfn.WaitTime.duration(Duration.seconds(30)))
    answer = tasks.LambdaInvoke(stack, "Answer", lambda_function=function, payload=sfn.TaskInput.from_json_path_at("$"))
    for state in (start, look):
        state.add_catch(answer, result_path="$.Error")
    status = "$.Seen.DatasetExportJob.Status"
    over = sfn.Condition.or_(
        sfn.Condition.string_equals(status, "ACTIVE"), sfn.Condition.string_equals(status, "CREATE FAILED")
    )
    return start.next(pause).next(look).next(sfn.Choice(stack, "Over?").when(over, answer).otherwise(pause))
