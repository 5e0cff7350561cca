"""Exports into everything a user may own: things of the app, things imported, and a bucket of another account.

Context: dataset, and further_datasets of its group, separated by commas. The function's timeout is cut to 10 seconds,
so that a job is handed over; only the first export waits, which keeps the deployment short. What is imported must exist
and be permitted what synthesis prints.
"""

from __future__ import annotations

import os

import aws_cdk as cdk
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs

from cdk_personalize_export import (
    DatasetExport,
    DatasetGroupExport,
    ExportDestination,
    ExportProvider,
    ScheduledDatasetExport,
)

IMPORTED_BUCKET = "made-elsewhere"
IMPORTED_ROLE = "made-elsewhere"
FOREIGN_BUCKET, FOREIGN_ACCOUNT = "of-another-account", "111111111111"


def destinations(stack: cdk.Stack) -> dict[str, ExportDestination]:
    """Return one destination for each thing that may be owned."""
    own_bucket = s3.Bucket(
        stack,
        "OwnBucket",
        encryption=s3.BucketEncryption.KMS,
        encryption_key=kms.Key(stack, "BucketKey"),
        bucket_key_enabled=True,
        enforce_ssl=True,
    )
    own_role = iam.Role(stack, "OwnRole", assumed_by=iam.ServicePrincipal("personalize.amazonaws.com"))
    imported_role = iam.Role.from_role_arn(
        stack, "ImportedRole", f"arn:{stack.partition}:iam::{stack.account}:role/{IMPORTED_ROLE}", mutable=False
    )
    imported_bucket = s3.Bucket.from_bucket_name(stack, "ImportedBucket", IMPORTED_BUCKET)
    foreign_bucket = s3.Bucket.from_bucket_attributes(
        stack, "ForeignBucket", bucket_name=FOREIGN_BUCKET, account=FOREIGN_ACCOUNT
    )
    key, group_key = kms.Key(stack, "Key"), kms.Key(stack, "GroupKey")
    return {
        "Default": ExportDestination(stack, "DefaultPlace"),
        "OwnBucket": ExportDestination(stack, "OwnBucketPlace", bucket=own_bucket, prefix="own"),
        "OwnKey": ExportDestination(stack, "OwnKeyPlace", encryption_key=key, dataset_group_key=group_key),
        "OwnRole": ExportDestination(stack, "OwnRolePlace", role=own_role),
        "Imported": ExportDestination(stack, "ImportedPlace", bucket=imported_bucket, role=imported_role),
        "Foreign": ExportDestination(stack, "ForeignPlace", bucket=foreign_bucket),
    }


def main() -> None:
    """Synthesise the stack."""
    app = cdk.App()
    here = cdk.Environment(account=os.environ["CDK_DEFAULT_ACCOUNT"], region=os.environ["CDK_DEFAULT_REGION"])
    stack = cdk.Stack(app, "Owned", env=here)
    provider = ExportProvider(stack, "Provider")
    function = provider.function.node.default_child
    assert isinstance(function, cdk.CfnResource)
    function.add_property_override("Timeout", 10)
    for name, destination in destinations(stack).items():
        DatasetExport(
            stack,
            f"{name}Export",
            dataset=str(app.node.try_get_context("dataset")),
            destination=destination,
            provider=provider,
            wait=name == "Default",
            tags={"team": "data"} if name == "OwnBucket" else None,
        )
    datasets = str(app.node.try_get_context("further_datasets")).split(",")
    place = ExportDestination(stack, "GroupPlace", prefix="group")
    DatasetGroupExport(stack, "Group", datasets=datasets, destination=place, provider=provider, wait=False)
    listed = ExportDestination(stack, "ListedPlace", encryption_key=kms.Key(stack, "ListedKey"), manifest=True)
    nightly = ScheduledDatasetExport(
        stack,
        "Nightly",
        dataset=str(app.node.try_get_context("dataset")),
        schedule=scheduler.ScheduleExpression.cron(hour="3", minute="0"),
        destination=listed,
        provider=provider,
        dead_letter_queue=sqs.Queue(stack, "Dead"),
    )
    nightly.on_event("Told", target=targets.SqsQueue(sqs.Queue(stack, "Queue")))
    app.synth()


main()
