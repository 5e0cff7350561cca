"""Exports into everything a user may own: a bucket, keys and a role made in the app, and a bucket and role imported.

Context: dataset. The function's timeout is cut to 10 seconds, so that a job is handed over; only the first export
waits, which keeps the deployment short. The imported bucket and role must exist and be permitted what synthesis prints.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider

IMPORTED_BUCKET = "made-elsewhere"
IMPORTED_ROLE = "made-elsewhere"


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
    return {
        "Default": ExportDestination(stack, "DefaultPlace"),
        "OwnBucket": ExportDestination(stack, "OwnBucketPlace", bucket=own_bucket, prefix="own"),
        "OwnKey": ExportDestination(stack, "OwnKeyPlace", encryption_key=kms.Key(stack, "Key")),
        "OwnRole": ExportDestination(stack, "OwnRolePlace", role=own_role),
        "Imported": ExportDestination(stack, "ImportedPlace", bucket=imported_bucket, role=imported_role),
    }


def main() -> None:
    """Synthesise the stack."""
    app = cdk.App()
    stack = cdk.Stack(app, "Owned")
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
    app.synth()


main()
