"""Exports for accounts where security reads every line: all five rule packs of cdk-nag find nothing in this stack.

The network, the buckets for access logs and for replicas, the role that replicates and the queue for what nobody could
read from the dead-letter queue belong to the account already. Each field of `Account` is given as context:

    cdk deploy --app "python3 app.py" -c dataset_group=NAME -c vpc_id=vpc-... -c subnet_ids=subnet-...,subnet-... ...
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from cdk_personalize_export import DatasetGroupExport, ExportDestination, ExportProvider

if TYPE_CHECKING:
    from constructs import Construct

HTTPS = ec2.Port.tcp(443)


@dataclass(frozen=True)
class Account:
    """What the account has before this stack; the defaults are made up."""

    vpc_id: str = "vpc-0123456789abcdef0"
    vpc_cidr: str = "10.0.0.0/16"
    availability_zones: tuple[str, ...] = ("us-east-1a", "us-east-1b")
    subnet_ids: tuple[str, ...] = ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1")
    route_table_ids: tuple[str, ...] = ("rtb-0123456789abcdef0", "rtb-0123456789abcdef1")
    access_logs_bucket: str = "example-access-logs"
    replica_bucket: str = "example-replicas"
    replica_key: str = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    unread_queue: str = "arn:aws:sqs:us-east-1:123456789012:example-unread"
    replication_role: str = "arn:aws:iam::123456789012:role/replicate-exports"


class Hardened(cdk.Stack):
    """A bucket, keys, a dead-letter queue and a log group of our own, in a network without a way out.

    Args:
        scope: The app or stage.
        construct_id: The stack's id.
        dataset_group: The name of the dataset group to export.
        account: What the account has.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, dataset_group: str, account: Account | None = None
    ) -> None:
        super().__init__(scope, construct_id)
        account = account or Account()
        # Two keys, so that who may read logs and failed requests may not read exports.
        self._key = kms.Key(self, "Key", description="Exports from Amazon Personalize", enable_key_rotation=True)
        self._operations_key = kms.Key(
            self,
            "OperationsKey",
            description="Logs, failed requests and environment of the exports' function",
            enable_key_rotation=True,
        )
        DatasetGroupExport(
            self,
            "Export",
            dataset_group=dataset_group,
            dataset_types=["INTERACTIONS", "ITEMS", "USERS"],
            destination=ExportDestination(self, "Destination", bucket=self._bucket(account), encryption_key=self._key),
            provider=self._provider(account),
            max_concurrency=2,
        )

    def _provider(self, account: Account) -> ExportProvider:
        vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=account.vpc_id,
            vpc_cidr_block=account.vpc_cidr,
            availability_zones=list(account.availability_zones),
            isolated_subnet_ids=list(account.subnet_ids),
            isolated_subnet_route_table_ids=list(account.route_table_ids),
        )
        return ExportProvider(
            self,
            "Provider",
            log_group=self._log_group(),
            reserved_concurrent_executions=5,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            security_groups=[self._way_to_aws(vpc)],
            dead_letter_queue=self._dead_letter_queue(account),
            environment_encryption=self._operations_key,
            tracing=lambda_.Tracing.ACTIVE,
            function_name_prefix="personalize-export",
        )

    def _way_to_aws(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        """Make the endpoints the function calls; return the security group that may use them, and nothing else."""
        function = ec2.SecurityGroup(self, "Function", vpc=vpc, allow_all_outbound=False, description="The exports")
        endpoints = ec2.SecurityGroup(self, "Endpoints", vpc=vpc, allow_all_outbound=False, description="Ways to AWS")
        endpoints.connections.allow_from(function, HTTPS, "The exports call AWS")
        subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        for service in ("personalize", "lambda", "cloudformation"):
            vpc.add_interface_endpoint(
                f"{service.title()}Endpoint",
                service=ec2.InterfaceVpcEndpointAwsService(service),
                open=False,
                security_groups=[endpoints],
                subnets=subnets,
            )
        # CloudFormation awaits the answer in a bucket of its own; the prefix list of S3 differs in each Region.
        answers = vpc.add_gateway_endpoint(
            "AnswersEndpoint", service=ec2.GatewayVpcEndpointAwsService.S3, subnets=[subnets]
        )
        answers.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:PutObject"],
                principals=[iam.AnyPrincipal()],
                resources=[f"arn:{self.partition}:s3:::cloudformation-custom-resource-response-*"],
            )
        )
        function.add_egress_rule(ec2.Peer.any_ipv4(), HTTPS, "Amazon S3, by the gateway: nothing else has a route")
        return function

    def _bucket(self, account: Account) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            bucket_key_enabled=True,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self._key,
            enforce_ssl=True,
            server_access_logs_bucket=s3.Bucket.from_bucket_name(self, "AccessLogs", account.access_logs_bucket),
            server_access_logs_prefix="personalize-exports/",
            versioned=True,
        )
        resource = bucket.node.default_child
        if not isinstance(resource, s3.CfnBucket):
            raise TypeError("the bucket is no AWS::S3::Bucket")
        rule = s3.CfnBucket.ReplicationRuleProperty(
            status="Enabled",
            destination=s3.CfnBucket.ReplicationDestinationProperty(
                bucket=f"arn:{self.partition}:s3:::{account.replica_bucket}",
                encryption_configuration=s3.CfnBucket.EncryptionConfigurationProperty(
                    replica_kms_key_id=account.replica_key
                ),
            ),
            # Without it S3 replicates nothing that is encrypted with a KMS key, and says nothing.
            source_selection_criteria=s3.CfnBucket.SourceSelectionCriteriaProperty(
                sse_kms_encrypted_objects=s3.CfnBucket.SseKmsEncryptedObjectsProperty(status="Enabled")
            ),
        )
        resource.replication_configuration = s3.CfnBucket.ReplicationConfigurationProperty(
            role=account.replication_role, rules=[rule]
        )
        return bucket

    def _log_group(self) -> logs.LogGroup:
        log_groups = f"arn:{self.partition}:logs:{self.region}:{self.account}:*"
        self._operations_key.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
                principals=[iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com")],
                resources=["*"],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": log_groups}},
            )
        )
        return logs.LogGroup(self, "Logs", encryption_key=self._operations_key, retention=logs.RetentionDays.ONE_YEAR)

    def _dead_letter_queue(self, account: Account) -> sqs.Queue:
        unread = sqs.Queue.from_queue_arn(self, "Unread", account.unread_queue)
        return sqs.Queue(
            self,
            "DeadLetters",
            dead_letter_queue=sqs.DeadLetterQueue(queue=unread, max_receive_count=3),
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=self._operations_key,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )


def account_of(app: cdk.App) -> Account:
    """Return what the context says of the account; several subnets and the like are divided by commas."""
    given = {field.name: app.node.try_get_context(field.name) for field in fields(Account)}
    missing = [name for name, value in given.items() if not value]
    if missing:
        sys.exit(f"Not given: {', '.join(missing)}. Pass each with -c NAME=VALUE")
    several = {field.name for field in fields(Account) if isinstance(field.default, tuple)}
    values: dict[str, Any] = {
        name: tuple(value.split(",")) if name in several else value for name, value in given.items()
    }
    return Account(**values)


def main() -> None:
    """Synthesise the stack for the dataset group and the account that the context names."""
    app = cdk.App()
    dataset_group = app.node.try_get_context("dataset_group")
    if not dataset_group:
        sys.exit("No dataset group was given: pass -c dataset_group=NAME")
    Hardened(app, "Hardened", dataset_group=dataset_group, account=account_of(app))
    app.synth()


if __name__ == "__main__":
    main()
