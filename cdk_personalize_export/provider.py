"""The one Lambda function that starts export jobs and waits for them, shared by every export of a stack.

It is not a CDK provider framework: the function answers CloudFormation itself, and hands over to itself before its 15
minutes end. See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsii
from aws_cdk import Duration, IStableAnyProducer, Lazy, Names, RemovalPolicy
from constructs import Construct

from cdk_personalize_export import _checks, _findings, _permissions
from cdk_personalize_export._home import Home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_ec2 as ec2
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_logs as logs
    from aws_cdk import aws_sqs as sqs
    from aws_cdk.aws_iam import CfnManagedPolicy
    from constructs import IConstruct

_STACK_CHILD_ID = "PersonalizeExportProvider"
_HANDLER_FOLDER = Path(__file__).with_name("handler")
_RUNTIMES = ("PYTHON_3_14", "PYTHON_3_13", "PYTHON_3_12")  # those the handler is tested on, newest first
_MEMORY_MB = 128
_TIMEOUT_MINUTES = 15
_UNIQUE_CHARACTERS = _checks.FUNCTION_NAME_CHARACTERS - _checks.FUNCTION_NAME_PREFIX_CHARACTERS - 1
_TRACING_MODES = {"ACTIVE": "Active", "PASS_THROUGH": "PassThrough"}


class ExportProvider(Construct):
    """The Lambda function behind `DatasetExport`, with its role, its policy and its log group.

    One is made per stack by itself. Make one yourself to change what is below, and pass it to every export that shall
    use it. To put a permissions boundary on its role, use `PermissionsBoundary.of(provider).apply(...)`.

    In a VPC the function must reach Amazon Personalize (interface endpoint `personalize`), AWS Lambda, to hand over to
    itself (interface endpoint `lambda`), and Amazon S3, where CloudFormation awaits its answer (gateway endpoint `s3`,
    whose policy must allow `s3:PutObject` on `arn:aws:s3:::cloudformation-custom-resource-response-*`); or the internet
    through a NAT gateway. Without the first the export fails with `ConnectTimeoutError` once its waiting time is over.
    Without the last CloudFormation is never answered and reports a timeout: the function's log says why.

    Args:
        scope: The construct this belongs to.
        construct_id: Its name within `scope`.
        log_group: Where the function logs. Default: a log group of its own. Pass one to encrypt it with your key, or to
            collect logs in one place.
        log_retention: How long log events are kept. Default: one year, because the log is the only record of who
            exported what and when beyond the job itself, and a deployment writes a few kilobytes. Not with `log_group`.
        log_removal_policy: What becomes of the log group with the stack. Default: RETAIN, because a first deployment
            that fails is removed by CloudFormation, and its error message points to this log. Not with `log_group`.
        runtime: The Python runtime. Default: the newest of 3.14, 3.13 and 3.12 that the installed aws-cdk-lib knows.
            Choose an older one where your Region or your rules lack it.
        reserved_concurrent_executions: How many exports may be watched at once. Default: unreserved. Each running
            export occupies one execution; new AWS accounts have 10 in all.
        vpc: The VPC the function runs in. Default: none, which is enough: the function only calls AWS. Pass one where
            your rules demand it.
        vpc_subnets: Which subnets of `vpc`. Default: the private ones with a way out, if any.
        security_groups: The security groups in `vpc`; they must let HTTPS out. Default: one is made.
        dead_letter_queue: Where Lambda puts a request it gave up on after its retries. Default: none, because
            CloudFormation notices by itself. A request holds the URL CloudFormation waits at, which is a credential for
            two hours: encrypt the queue, and let few read it.
        environment_encryption: The KMS key environment variables are encrypted with. Default: Lambda's own key. The
            function has no variables of its own; pass a key if you add some, or where your rules demand one.
        tracing: Whether AWS X-Ray traces the function. Default: no.
        function_name_prefix: What the function's name begins with, at most 32 letters, digits, hyphens and
            underscores. Default: the name CloudFormation makes. Set it where your rules or policies go by names.

    Raises:
        ValueError: when options contradict each other; when the exports need more permissions than one role can hold.

    See https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html.
    """

    def __init__(  # noqa: PLR0913 - options, all but two by keyword
        self,
        scope: Construct,
        construct_id: str,
        *,
        log_group: logs.ILogGroup | None = None,
        log_retention: logs.RetentionDays | None = None,
        log_removal_policy: RemovalPolicy | None = None,
        runtime: lambda_.Runtime | None = None,
        reserved_concurrent_executions: int | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        dead_letter_queue: sqs.IQueue | None = None,
        environment_encryption: kms.IKey | None = None,
        tracing: lambda_.Tracing | None = None,
        function_name_prefix: str | None = None,
    ) -> None:
        if log_group is not None and (log_retention is not None or log_removal_policy is not None):
            raise ValueError(
                "log_group is given together with log_retention or log_removal_policy, which describe the log group "
                "that is made without it: set them on your log group instead."
            )
        if vpc is None and (vpc_subnets is not None or security_groups is not None):
            raise ValueError("vpc_subnets or security_groups is given without vpc, to which they belong: pass it too.")
        if function_name_prefix is not None:
            _checks.check_function_name_prefix(function_name_prefix)
        super().__init__(scope, construct_id)
        self.home = Home.of(scope)
        self._policies: list[tuple[_LazyPolicy, CfnManagedPolicy]] = []
        self._room = _permissions.POLICIES_PER_ROLE
        log_group = log_group or _log_group(self, log_retention, log_removal_policy)
        options = {
            "function_name": function_name_prefix and _function_name(self, function_name_prefix),
            "runtime": runtime or _newest_runtime(),
            "reserved_concurrent_executions": reserved_concurrent_executions,
            "vpc": vpc,
            "vpc_subnets": vpc_subnets,
            "security_groups": security_groups,
            "environment_encryption": environment_encryption,
        }
        self._function, self._role_name = _function(self, log_group, options)
        self.service_token: str = self._function.function_arn
        """The ARN custom resources are sent to."""
        self._base = _permissions.function_statements(self.service_token, log_group.log_group_arn)
        self._configure(vpc, dead_letter_queue, environment_encryption, tracing)

    def _configure(
        self,
        vpc: ec2.IVpc | None,
        dead_letter_queue: sqs.IQueue | None,
        environment_encryption: kms.IKey | None,
        tracing: lambda_.Tracing | None,
    ) -> None:
        """Set what Lambda itself needs permissions for; it checks them when the function is created."""
        statements: list[_permissions.Statement] = []
        if vpc is not None:
            statements.append(_permissions.network_statement())
            self._base.append(_permissions.no_network_for_code_statement(self.service_token))
        if environment_encryption is not None:
            statements.append(_permissions.allow("kms:Decrypt", environment_encryption.key_arn))
        # Set on the resource: the Function would write what it needs into an inline policy.
        if dead_letter_queue is not None:
            key = dead_letter_queue.encryption_master_key
            statements += _permissions.queue_statements(
                dead_letter_queue.queue_arn, None if key is None else key.key_arn
            )
            _set(self._function, "dead_letter_config", {"targetArn": dead_letter_queue.queue_arn})
        if tracing is not None and tracing.name != "DISABLED":
            statements.append(_permissions.tracing_statement())
            _set(self._function, "tracing_config", {"mode": _TRACING_MODES[tracing.name]})
        if statements:
            self._add_lambda_policy(statements)

    def _add_lambda_policy(self, statements: list[_permissions.Statement]) -> None:
        from aws_cdk.aws_iam import CfnManagedPolicy  # noqa: PLC0415 - not at import: it costs start-up time

        policy = CfnManagedPolicy(
            self,
            "LambdaPolicy",
            description="What AWS Lambda needs to run the function of the dataset exports",
            policy_document=_permissions.document(statements),
            roles=[self._role_name],
        )
        self._room -= 1
        self._function.node.add_dependency(policy)
        if any(statement["Resource"] == "*" for statement in statements):
            _findings.acknowledge(policy, self.home.stack, "*", _findings.NO_RESOURCE)

    @property
    def function(self) -> lambda_.Function:
        """The function, for metrics, alarms and the like."""
        return self._function

    @classmethod
    def for_stack(cls, scope: IConstruct) -> ExportProvider:
        """Return the provider of the stack `scope` is in, made on first use.

        A nested stack and every stack of a Stage have their own.
        """
        stack = Home.of(scope).stack
        known = vars(stack).get(_STACK_CHILD_ID)
        if not isinstance(known, ExportProvider):
            known = cls(stack, _STACK_CHILD_ID)
            # Remembered here, because asking the stack for its child would be three jsii calls per export.
            setattr(stack, _STACK_CHILD_ID, known)
        return known

    def _allow(self, needs: _permissions.Needs) -> CfnManagedPolicy:
        """Let the function do what an export needs; return the policy that export has to wait for."""
        for lazy, resource in self._policies:
            if lazy.policy.covers(needs):
                return resource
        if self._policies:
            lazy, resource = self._policies[-1]
            grown = lazy.policy.with_(needs)
            if grown.characters() <= _permissions.POLICY_CHARACTERS:
                if needs.job_arn not in lazy.policy.jobs:
                    self._acknowledge_jobs(resource, needs)
                lazy.policy = grown
                if lazy.read:  # and kept: somebody has resolved or synthesised before the last export was added
                    lazy.read = False
                    resource.policy_document = Lazy.any(lazy)
                return resource
        return self._add_policy(needs)

    def _add_policy(self, needs: _permissions.Needs) -> CfnManagedPolicy:
        from aws_cdk.aws_iam import CfnManagedPolicy  # noqa: PLC0415 - not at import: it costs start-up time

        number = len(self._policies) + 1
        if number > self._room:
            raise ValueError(
                f"ExportProvider {self.node.path!r} has too many exports: its permissions fill {self._room} managed "
                f"policies of {_permissions.POLICY_CHARACTERS} characters, and its role has no room for more. Give the "
                "further exports a function of their own with "
                'provider=ExportProvider(self, "Another").'
            )
        base = [] if self._policies else self._base
        lazy = _LazyPolicy(_permissions.FunctionPolicy(base=base).with_(needs))
        # A resource of its own, on which the function does not depend: it names the function, so that would be a cycle.
        resource = CfnManagedPolicy(
            self,
            "Policy" if number == 1 else f"Policy{number}",
            description="What the dataset exports of this stack call",
            policy_document=Lazy.any(lazy),
            roles=[self._role_name],
        )
        self._policies.append((lazy, resource))
        self._acknowledge_jobs(resource, needs)
        return resource

    def _acknowledge_jobs(self, policy: CfnManagedPolicy, needs: _permissions.Needs) -> None:
        _findings.acknowledge(policy, self.home.stack, needs.job_arn, _findings.JOBS)


@jsii.implements(IStableAnyProducer)
class _LazyPolicy:
    """A policy document that is read at synthesis, when every export has added to it."""

    def __init__(self, policy: _permissions.FunctionPolicy) -> None:
        self.policy = policy
        self.read = False

    def produce(self) -> Any:  # noqa: ANN401 - the signature of the CDK
        self.read = True
        return self.policy.document()


def _log_group(
    scope: Construct, retention: logs.RetentionDays | None, removal_policy: RemovalPolicy | None
) -> logs.LogGroup:
    from aws_cdk import aws_logs  # noqa: PLC0415 - not at import: it costs start-up time

    return aws_logs.LogGroup(
        scope,
        "Logs",
        retention=retention or aws_logs.RetentionDays.ONE_YEAR,
        removal_policy=removal_policy or RemovalPolicy.RETAIN,
    )


def _function(scope: Construct, log_group: logs.ILogGroup, options: dict[str, Any]) -> tuple[lambda_.Function, str]:
    from aws_cdk import aws_iam, aws_lambda  # noqa: PLC0415 - not at import: it costs start-up time

    role = aws_iam.Role(
        scope,
        "Role",
        assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com"),
        description="Starts Amazon Personalize dataset exports and waits for them",
    )
    function = aws_lambda.Function(
        scope,
        "Function",
        description="Starts Amazon Personalize dataset exports and waits for them",
        code=aws_lambda.Code.from_asset(str(_HANDLER_FOLDER), exclude=["__pycache__", "*.pyc"]),
        handler="index.handler",
        architecture=aws_lambda.Architecture.ARM_64,
        memory_size=_MEMORY_MB,
        timeout=Duration.minutes(_TIMEOUT_MINUTES),
        log_group=log_group,
        role=role,
        **{name: value for name, value in options.items() if value is not None},
    )
    return function, role.role_name


def _function_name(scope: Construct, prefix: str) -> str:
    return f"{prefix}-{Names.unique_resource_name(scope, max_length=_UNIQUE_CHARACTERS)}"


def _set(function: lambda_.Function, name: str, value: dict[str, str]) -> None:
    setattr(function.node.default_child, name, value)


def _newest_runtime() -> lambda_.Runtime:
    from aws_cdk.aws_lambda import Runtime  # noqa: PLC0415 - not at import: it costs start-up time

    for name in _RUNTIMES:
        runtime = getattr(Runtime, name, None)
        if isinstance(runtime, Runtime):
            return runtime
    raise ValueError(f"aws-cdk-lib is too old: it knows none of {', '.join(_RUNTIMES)}. Upgrade it.")
