"""What every rival needs and a user would write the same way: the bucket, the role Personalize assumes, the names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs import Construct

HANDLERS = Path(__file__).parent / "handlers"
ARN = "arn:aws:personalize:us-east-1:123456789012:dataset/shop-{}/INTERACTIONS"
PREFIX = "personalize"
JOBS_ARN = f"arn:{Aws.PARTITION}:personalize:{Aws.REGION}:{Aws.ACCOUNT_ID}:dataset-export-job/*"
PERSONALIZE = "personalize.amazonaws.com"


def dataset(number: int) -> str:
    """Return the ARN of a dataset: the one to deploy with, or one of its own for each export."""
    return os.environ.get("BENCHMARK_DATASET") or ARN.format(number)


class Destination:
    """A bucket and the role that Personalize writes to it with."""

    def __init__(self, scope: Construct, suffix: str = "") -> None:
        self.bucket = s3.Bucket(
            scope,
            f"Bucket{suffix}",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            versioned=True,
        )
        self.role = iam.Role(
            scope,
            f"ExportRole{suffix}",
            assumed_by=iam.ServicePrincipal(
                PERSONALIZE, conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        for actions, resource in (
            (["s3:ListBucket"], self.bucket.bucket_arn),
            (["s3:PutObject"], self.bucket.arn_for_objects(f"{PREFIX}/*")),
        ):
            self.role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[resource]))
            self.bucket.add_to_resource_policy(
                iam.PolicyStatement(
                    actions=actions, resources=[resource], principals=[iam.ServicePrincipal(PERSONALIZE)]
                )
            )
        self.role_arn = self.role.role_arn
        self.path = f"s3://{self.bucket.bucket_name}/{PREFIX}/"
        self.permissions = [
            found for found in (self.role.node.try_find_child("DefaultPolicy"), self.bucket.policy) if found
        ]
        """What must exist before a job starts."""


def destinations(scope: Construct, count: int, *, own: bool) -> Iterator[Destination]:
    """Yield the destination of each export: one for all, or each its own."""
    common = None if own else Destination(scope)
    for number in range(count):
        yield common or Destination(scope, str(number))


def job_permissions(datasets: list[str], roles: list[str]) -> list[iam.PolicyStatement]:
    """Return what a function that starts and watches jobs may do."""
    return [
        iam.PolicyStatement(actions=["personalize:CreateDatasetExportJob"], resources=[*datasets, JOBS_ARN]),
        iam.PolicyStatement(actions=["personalize:DescribeDatasetExportJob"], resources=[JOBS_ARN]),
        iam.PolicyStatement(
            actions=["iam:PassRole"],
            resources=roles,
            conditions={"StringEquals": {"iam:PassedToService": PERSONALIZE}},
        ),
    ]


def properties(dataset_arn: str, destination: Destination) -> dict[str, str]:
    """Return the properties of the custom resource."""
    return {
        "DatasetArn": dataset_arn,
        "IngestionMode": "ALL",
        "RoleArn": destination.role_arn,
        "Destination": destination.path,
    }
