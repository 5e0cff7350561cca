"""The app a report deploys: one stack as a user of the library would have it, and one of broken set-ups.

Context: dataset, report (the random part of the names) and tick (a time, or nothing).
"""

from __future__ import annotations

from datetime import datetime

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_scheduler as scheduler

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider, ScheduledDatasetExport
from tools.aws_report.plan import KEY_WINDOW_DAYS, LONGEST_HOURS, Dataset, Plan

LONGEST = cdk.Duration.hours(LONGEST_HOURS)


def add_export(stack: cdk.Stack, plan: Plan) -> None:
    """Add an export, and one that a schedule starts."""
    destination = ExportDestination(stack, "Destination")
    provider = ExportProvider(stack, "Provider", log_removal_policy=cdk.RemovalPolicy.DESTROY)
    DatasetExport(
        stack,
        "Export",
        dataset=plan.dataset.arn,
        destination=destination,
        provider=provider,
        job_name_prefix=f"{plan.job_name_prefix}-export",
        max_wait=LONGEST,
    )
    if plan.tick_at is not None:
        ScheduledDatasetExport(
            stack,
            "Tick",
            dataset=plan.dataset.arn,
            destination=destination,
            provider=provider,
            job_name_prefix=f"{plan.job_name_prefix}-tick",
            schedule=scheduler.ScheduleExpression.at(plan.tick_at),
            retry_attempts=0,
            max_wait=LONGEST,
        )


def add_set_ups(stack: cdk.Stack) -> None:
    """Add a place for each question, that lets Personalize in or does not."""
    scratch = ExportDestination(stack, "Scratch", bucket=_throw_away(stack, "ScratchBucket"))
    strict = ExportDestination(stack, "Strict", bucket=_throw_away(stack, "StrictBucket"), require_source_account=True)
    closed = _throw_away(stack, "ClosedBucket")
    # Imported, so that the library cannot change its policy, which is what is asked about.
    imported = s3.Bucket.from_bucket_name(stack, "Imported", closed.bucket_name)
    no_policy = ExportDestination(stack, "NoPolicy", bucket=imported, permissions_in_place=True)
    stranger = iam.Role(stack, "Stranger", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    key = kms.Key(
        stack,
        "Key",
        removal_policy=cdk.RemovalPolicy.DESTROY,
        pending_window=cdk.Duration.days(KEY_WINDOW_DAYS),
    )
    outputs = {
        "ScratchPath": scratch.path,
        "ScratchRole": scratch.role.role_arn,
        "StrictPath": strict.path,
        "StrictRole": strict.role.role_arn,
        "NoPolicyPath": no_policy.path,
        "NoPolicyRole": no_policy.role.role_arn,
        "StrangerPath": scratch.path,
        "StrangerRole": stranger.role_arn,
        "KeyArn": key.key_arn,
    }
    for name, value in outputs.items():
        cdk.CfnOutput(stack, name, value=value)


def _throw_away(stack: cdk.Stack, construct_id: str) -> s3.Bucket:
    """Make a bucket that goes with the stack, once it is empty."""
    return s3.Bucket(
        stack,
        construct_id,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )


def main() -> None:
    """Synthesise both stacks."""
    app = cdk.App()
    given = {name: str(app.node.try_get_context(name) or "") for name in ("dataset", "report", "tick")}
    tick_at = datetime.fromisoformat(given["tick"]) if given["tick"] else None
    plan = Plan(Dataset.parse(given["dataset"]), given["report"], tick_at)
    environment = cdk.Environment(account=plan.dataset.account, region=plan.dataset.region)
    add_export(cdk.Stack(app, plan.export_stack, env=environment), plan)
    add_set_ups(cdk.Stack(app, plan.set_ups_stack, env=environment))
    app.synth()


if __name__ == "__main__":
    main()
