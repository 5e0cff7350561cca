"""Datasets in one account, the bucket in another: two stacks of one app, each side of the permission in its own.

    cdk deploy --all --app "python3 app.py" -c dataset_group=NAME -c region=us-east-1
        -c data_account=111122223333 -c lake_account=444455556666

The bucket lets Amazon Personalize in, and the role it writes with. That role has a name that is known before it exists,
so the bucket can be deployed first, which the CDK does by itself. When the other account deploys its bucket with
something else than this app, import it with `Bucket.from_bucket_attributes(..., account=...)`: synthesis then prints
the statements for its policy. The bucket must own what is written into it (`BUCKET_OWNER_ENFORCED`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3

from cdk_personalize_export import DatasetGroupExport, ExportDestination

if TYPE_CHECKING:
    from constructs import Construct

CONTEXT = ("dataset_group", "data_account", "lake_account", "region")


class Lake(cdk.Stack):
    """The account that keeps the exports: a bucket with a name, because another account must be able to name it."""

    def __init__(self, scope: Construct, construct_id: str, *, env: cdk.Environment) -> None:
        super().__init__(scope, construct_id, env=env)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=f"personalize-exports-{env.account}-{env.region}",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
        )


class Exports(cdk.Stack):
    """The account with the datasets."""

    def __init__(
        self, scope: Construct, construct_id: str, *, env: cdk.Environment, bucket: s3.IBucket, dataset_group: str
    ) -> None:
        super().__init__(scope, construct_id, env=env)
        export = DatasetGroupExport(
            self,
            "Export",
            dataset_group=dataset_group,
            dataset_types=["INTERACTIONS", "ITEMS", "USERS"],
            destination=ExportDestination(self, "Destination", bucket=bucket, prefix=dataset_group),
        )
        for dataset_type, each in export.exports.items():
            cdk.CfnOutput(self, f"{dataset_type.title()}Path", value=each.output_path)


def build(app: cdk.App, *, dataset_group: str, data_account: str, lake_account: str, region: str) -> None:
    """Add both stacks to `app`."""
    lake = Lake(app, "Lake", env=cdk.Environment(account=lake_account, region=region))
    Exports(
        app,
        "Exports",
        env=cdk.Environment(account=data_account, region=region),
        bucket=lake.bucket,
        dataset_group=dataset_group,
    )


def main() -> None:
    """Synthesise both stacks for what the context names."""
    app = cdk.App()
    given = {name: app.node.try_get_context(name) for name in CONTEXT}
    missing = [name for name, value in given.items() if not value]
    if missing:
        sys.exit(f"Not given: {', '.join(missing)}. Pass each with -c NAME=VALUE")
    build(app, **given)
    app.synth()


if __name__ == "__main__":
    main()
