"""B: `AwsCustomResource`, one API call and no function of one's own. It starts the job and can not wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import custom_resources as cr

from benchmarks.rivals.shared import dataset, destinations, job_permissions

if TYPE_CHECKING:
    from aws_cdk import Stack


def build(stack: Stack, count: int, *, own: bool) -> None:
    """Add the exports."""
    for number, destination in enumerate(destinations(stack, count, own=own)):
        dataset_arn = dataset(number)
        name = f"{stack.stack_name}-export-{number}"
        start, _, pass_role = job_permissions([dataset_arn], [destination.role_arn])
        resource = cr.AwsCustomResource(
            stack,
            f"Export{number}",
            resource_type="Custom::DatasetExport",
            install_latest_aws_sdk=False,
            on_update=cr.AwsSdkCall(  # also called on create
                service="Personalize",
                action="createDatasetExportJob",
                parameters={
                    "jobName": name,
                    "datasetArn": dataset_arn,
                    "ingestionMode": "ALL",
                    "roleArn": destination.role_arn,
                    "jobOutput": {"s3DataDestination": {"path": f"{destination.path}{name}/"}},
                },
                physical_resource_id=cr.PhysicalResourceId.from_response("datasetExportJobArn"),
                logging=cr.Logging.with_data_hidden(),
            ),
            policy=cr.AwsCustomResourcePolicy.from_statements([start, pass_role]),
        )
        resource.node.add_dependency(*destination.permissions)
