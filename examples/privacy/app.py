"""What it takes to delete people from Amazon Personalize: a bucket for the lists of users, and the role that reads it.

    cdk deploy --app "python3 examples/privacy/app.py"

A data deletion job reads a CSV file with the one column USER_ID, or every such file of a folder, and deletes these
users from one dataset group: https://docs.aws.amazon.com/personalize/latest/dg/delete-records.html. The bucket must not
be encrypted with a KMS key of yours, says that page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

if TYPE_CHECKING:
    from constructs import Construct

PERSONALIZE = "personalize.amazonaws.com"
LISTS_EXPIRE_DAYS = 90  # longer than exports are kept: who restores one deletes these users again


class Privacy(cdk.Stack):
    """A private bucket for lists of users to delete, and a role with which Personalize reads them.

    Args:
        scope: The app or stage.
        construct_id: The stack's id.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        lists = s3.Bucket(
            self,
            "Lists",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(LISTS_EXPIRE_DAYS))],
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        )
        reads = [("s3:ListBucket", lists.bucket_arn), ("s3:GetObject", lists.arn_for_objects("*"))]
        for action, resource in reads:
            lists.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(PERSONALIZE)],
                    actions=[action],
                    resources=[resource],
                    conditions={"StringEqualsIfExists": {"aws:SourceAccount": self.account}},
                )
            )
        statements = [iam.PolicyStatement(actions=[action], resources=[resource]) for action, resource in reads]
        role = iam.Role(
            self,
            "DeletionRole",
            assumed_by=iam.ServicePrincipal(
                PERSONALIZE,
                conditions={
                    "StringEquals": {"aws:SourceAccount": self.account},
                    "StringLike": {"aws:SourceArn": f"arn:{self.partition}:personalize:{self.region}:{self.account}:*"},
                },
            ),
            inline_policies={"Read": iam.PolicyDocument(statements=statements)},
        )
        cdk.CfnOutput(self, "ListsBucket", value=lists.bucket_name)
        cdk.CfnOutput(self, "RoleArn", value=role.role_arn)


def main() -> None:
    """Synthesise the stack."""
    app = cdk.App()
    Privacy(app, "Privacy")
    app.synth()


if __name__ == "__main__":
    main()
