"""An export with manifests, of a deployment or on a schedule, into a bucket with a key of the stack.

Context: dataset, schedule=true for one on a schedule, and denied=true for a bucket whose policy lets nobody write
manifests.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs

from cdk_personalize_export import DatasetExport, ExportDestination, ScheduledDatasetExport


def main() -> None:
    """Synthesise the stack."""
    app = cdk.App()
    context = {name: str(app.node.try_get_context(name)) for name in ("dataset", "schedule", "denied")}
    scheduled = context["schedule"] == "true"
    stack = cdk.Stack(app, "Scheduled" if scheduled else "Listed")
    bucket = s3.Bucket(
        stack, "Bucket", encryption=s3.BucketEncryption.KMS, encryption_key=kms.Key(stack, "Key"), enforce_ssl=True
    )
    if context["denied"] == "true":
        denied = iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=["s3:PutObject"],
            principals=[iam.AnyPrincipal()],
            resources=[bucket.arn_for_objects("*/_manifests/*")],
        )
        bucket.add_to_resource_policy(denied)
    destination = ExportDestination(stack, "Destination", bucket=bucket, prefix="lake", manifest=True)
    export: DatasetExport | ScheduledDatasetExport
    if scheduled:
        at_three = scheduler.ScheduleExpression.cron(hour="3", minute="0")
        export = ScheduledDatasetExport(
            stack, "Export", dataset=context["dataset"], schedule=at_three, destination=destination
        )
        queue = sqs.Queue(stack, "Queue")
        export.on_event("Told", target=targets.SqsQueue(queue))
        cdk.CfnOutput(stack, "ToldUrl", value=queue.queue_url)
    else:
        export = DatasetExport(stack, "Export", dataset=context["dataset"], destination=destination)
        cdk.CfnOutput(stack, "ManifestPath", value=export.manifest_path)
        cdk.CfnOutput(stack, "OutputPath", value=export.output_path)
    cdk.CfnOutput(stack, "LatestPath", value=export.latest_path)
    cdk.CfnOutput(stack, "DailyPath", value=export.daily_path)
    app.synth()


main()
