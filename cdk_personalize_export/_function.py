"""The Lambda function of `ExportProvider`.

Its folder `handler` is uploaded as it is, and nothing else: what the asset ships is what its hash covers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aws_cdk import Duration, IgnoreMode

from cdk_personalize_export import _permissions

if TYPE_CHECKING:
    from aws_cdk import aws_ec2 as ec2
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

DESCRIPTION = "Starts Amazon Personalize dataset exports and waits for them"
_PACKAGE = Path(__file__).parent
# In the order of a .gitignore: nothing but the folder, and in it nothing but its modules.
_ONLY_THE_HANDLER = ["*", "!/handler", "!/handler/*.py"]
_RUNTIME = "python3.14"
_MEMORY_MB = 128
_TIMEOUT_MINUTES = 15
_TRACING_MODES = {"ACTIVE": "Active", "PASS_THROUGH": "PassThrough"}


def make_function(scope: Construct, runtime: lambda_.Runtime | None, **options: Any) -> lambda_.Function:  # noqa: ANN401 - of `lambda_.Function`
    """Make the function."""
    from aws_cdk import aws_lambda  # noqa: PLC0415 - not at import: it costs start-up time

    return aws_lambda.Function(
        scope,
        "Function",
        architecture=aws_lambda.Architecture.ARM_64,
        code=aws_lambda.Code.from_asset(str(_PACKAGE), exclude=_ONLY_THE_HANDLER, ignore_mode=IgnoreMode.GIT),
        description=DESCRIPTION,
        handler="handler.index.handler",
        memory_size=_MEMORY_MB,
        # By its name, as an older aws-cdk-lib has no constant for it.
        runtime=runtime or aws_lambda.Runtime(_RUNTIME, aws_lambda.RuntimeFamily.PYTHON),
        timeout=Duration.minutes(_TIMEOUT_MINUTES),
        **options,
    )


def resource_of(function: lambda_.Function) -> lambda_.CfnFunction:
    """Return the resource of the function."""
    return cast("lambda_.CfnFunction", function.node.default_child)


def let_call_itself(function: lambda_.Function) -> None:
    """Let the function hand over to itself for as long as a tick may wait, which is some fifty times.

    Lambda stops a function that calls itself after about 16 times, unless it is told that this is meant:
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html.
    """
    resource_of(function).recursive_loop = "Allow"


class LambdaNeeds:
    """What Lambda itself does with the function's role, for the options that ask for it.

    They are set on the resource, because `lambda_.Function` would write an inline policy for each, which several rule
    packs forbid, and Lambda wants the permissions when it creates the function.
    """

    def __init__(self, function: lambda_.Function) -> None:
        self._resource = resource_of(function)
        self.statements: list[_permissions.Statement] = []

    def encrypt(self, key: kms.IKey) -> None:
        """Encrypt environment variables with `key`."""
        self._resource.kms_key_arn = key.key_arn
        self.statements.append(_permissions.allow("kms:Decrypt", key.key_arn))

    def send_failures_to(self, queue: sqs.IQueue) -> None:
        """Put the requests Lambda gives up on into `queue`."""
        from aws_cdk.aws_lambda import CfnFunction  # noqa: PLC0415 - not at import: it costs start-up time

        key = queue.encryption_master_key
        # Not a property override, which rule packs do not see.
        self._resource.dead_letter_config = CfnFunction.DeadLetterConfigProperty(target_arn=queue.queue_arn)
        self.statements += _permissions.queue_statements(queue.queue_arn, None if key is None else key.key_arn)

    def trace(self, tracing: lambda_.Tracing) -> None:
        """Trace with AWS X-Ray."""
        from aws_cdk.aws_lambda import CfnFunction  # noqa: PLC0415 - not at import: it costs start-up time

        if tracing.name != "DISABLED":
            mode = _TRACING_MODES[tracing.name]
            self._resource.tracing_config = CfnFunction.TracingConfigProperty(mode=mode)
            self.statements.append(_permissions.tracing_statement())

    def run_in_vpc(self) -> None:
        """Make network interfaces."""
        self.statements.append(_permissions.network_statement())


def check_subnets(vpc: ec2.IVpc, selection: ec2.SubnetSelection | None) -> None:
    """Refuse subnets without a way out.

    Raises:
        ValueError: A function would have no way out of them.
    """
    selected = vpc.select_subnets() if selection is None else vpc.select_subnets(**_keywords(selection))
    if selected.has_public:
        raise ValueError(
            "vpc_subnets selects public subnets, from which a Lambda function cannot reach the internet, whatever its "
            "security groups say: select private ones, "
            "vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)."
        )


def _keywords(selection: ec2.SubnetSelection) -> dict[str, Any]:
    names = ("availability_zones", "one_per_az", "subnet_filters", "subnet_group_name", "subnets", "subnet_type")
    return {name: getattr(selection, name) for name in names}
