"""The Lambda function of `ExportProvider`, as the plain resource.

It is `CfnFunction` and not `Function`: tags, aspects and escape hatches meet the same resource, and a synthesis is 7 %
shorter, mostly because a `Function` loads the CDK's table of all Regions to name the bucket of its code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_cdk import AssetStaging, FileAssetPackaging

from cdk_personalize_export import _permissions, _unloaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import Stack
    from aws_cdk import aws_ec2 as ec2
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

FUNCTION_ID = "Function"
DESCRIPTION = "Starts Amazon Personalize dataset exports and waits for them"
_HANDLER_FOLDER = Path(__file__).with_name("handler")
_NOT_CODE = ["*", "!handler", "!handler/*.py"]  # in Lambda, the folder is a package
_RUNTIME = "python3.14"
_MEMORY_MB = 128
_TIMEOUT_SECONDS = 900
_TRACING_MODES = {"ACTIVE": "Active", "PASS_THROUGH": "PassThrough"}


@dataclass
class Settings:
    """What an option adds to the function, and what Lambda itself needs for it when the function is created."""

    properties: dict[str, Any] = field(default_factory=dict)
    statements: list[_permissions.Statement] = field(default_factory=list)

    def encrypt(self, key: kms.IKey) -> None:
        """Encrypt environment variables with `key`."""
        self.properties["kmsKeyArn"] = key.key_arn
        self.statements.append(_permissions.allow("kms:Decrypt", key.key_arn))

    def send_failures_to(self, queue: sqs.IQueue) -> None:
        """Put the requests Lambda gives up on into `queue`."""
        key = queue.encryption_master_key
        self.properties["deadLetterConfig"] = {"targetArn": queue.queue_arn}
        self.statements += _permissions.queue_statements(queue.queue_arn, None if key is None else key.key_arn)

    def trace(self, tracing: lambda_.Tracing) -> None:
        """Trace with AWS X-Ray."""
        if tracing.name != "DISABLED":
            self.properties["tracingConfig"] = {"mode": _TRACING_MODES[tracing.name]}
            self.statements.append(_permissions.tracing_statement())

    def run_in(self, subnets: ec2.SelectedSubnets, security_groups: Sequence[ec2.ISecurityGroup]) -> None:
        """Run in a VPC."""
        groups = [group.security_group_id for group in security_groups]
        self.properties["vpcConfig"] = {"subnetIds": subnets.subnet_ids, "securityGroupIds": groups}
        self.statements.append(_permissions.network_statement())


def select_subnets(vpc: ec2.IVpc, selection: ec2.SubnetSelection | None) -> ec2.SelectedSubnets:
    """Return the subnets of `vpc` to run in.

    Raises:
        ValueError: A function would have no way out of them.
    """
    selected = vpc.select_subnets(**({} if selection is None else selection._values))  # noqa: SLF001 - its parts, as keywords
    if selected.has_public:
        raise ValueError(
            "vpc_subnets selects public subnets, from which a Lambda function cannot reach the internet, whatever its "
            "security groups say: select private ones, "
            "vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)."
        )
    return selected


def make_security_group(scope: Construct, vpc: ec2.IVpc) -> ec2.ISecurityGroup:
    """Make a security group that lets everything out and nothing in."""
    from aws_cdk.aws_ec2 import SecurityGroup  # noqa: PLC0415 - not at import: it costs start-up time

    return SecurityGroup(scope, "SecurityGroup", vpc=vpc, description=DESCRIPTION)


def make_function(
    scope: Construct, stack: Stack, role_arn: str, log_group_name: str, properties: dict[str, Any]
) -> _unloaded.Unloaded:
    """Make the function."""
    given = {
        "architectures": ["arm64"],
        "code": _code(scope, stack),
        "description": DESCRIPTION,
        "handler": "handler.index.handler",
        "loggingConfig": {"logGroup": log_group_name},
        "memorySize": _MEMORY_MB,
        "role": role_arn,
        "runtime": _RUNTIME,
        "timeout": _TIMEOUT_SECONDS,
        **properties,
    }
    return _unloaded.make("aws_lambda.CfnFunction", scope, FUNCTION_ID, given)


def _code(scope: Construct, stack: Stack) -> dict[str, str]:
    """Have the folder zipped and uploaded on deployment; return where it will be."""
    content = _hash()  # a call to Node less than having it computed there
    staged = AssetStaging(scope, "Code", source_path=str(_HANDLER_FOLDER.parent), asset_hash=content, exclude=_NOT_CODE)
    source = {
        "fileName": staged.relative_staged_path(stack),
        "packaging": FileAssetPackaging.ZIP_DIRECTORY,
        "sourceHash": content,
    }
    try:
        # Not stack.synthesizer.add_file_asset(): jsii would fetch all six parts of the answer.
        location = _unloaded.call(_unloaded.part(stack, "synthesizer"), "addFileAsset", source)
        return {"s3Bucket": _unloaded.get(location, "bucketName"), "s3Key": _unloaded.get(location, "objectKey")}
    except (RuntimeError, AttributeError):
        # Of a synthesizer that was made in Python the stack uses a copy, and jsii gives back the original, which knows
        # of no stack; and a jsii that is made otherwise gives the location itself. The CDK's own class asks in Node; it
        # loads the table of all Regions (50 ms) to do so.
        return _code_by_asset(scope, content)


def _code_by_asset(scope: Construct, content: str) -> dict[str, str]:
    from aws_cdk.aws_s3_assets import Asset  # noqa: PLC0415 - not at import: it costs start-up time

    asset = Asset(scope, "CodeAsset", path=str(_HANDLER_FOLDER.parent), asset_hash=content, exclude=_NOT_CODE)
    return {"s3Bucket": asset.s3_bucket_name, "s3Key": asset.s3_object_key}


def _hash() -> str:
    files = sorted(_HANDLER_FOLDER.glob("*.py"))
    return hashlib.sha256(b"".join(b"%s\0%s\0" % (f.name.encode(), f.read_bytes()) for f in files)).hexdigest()
