"""The one Lambda function that starts export jobs and waits for them, shared by every export of a stack.

It is not a CDK provider framework: the function answers CloudFormation itself, and hands over to itself before its 15
minutes end. See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import TYPE_CHECKING

from aws_cdk import Annotations, CfnOutput, Names, RemovalPolicy
from constructs import Construct

from cdk_personalize_export import _checks, _findings, _function, _options, _permissions, _references, _roles
from cdk_personalize_export._environment import StackEnvironment
from cdk_personalize_export._function_policies import FunctionPolicies
from cdk_personalize_export._schedule_role import ScheduleRole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import CfnResource, Stack
    from aws_cdk import aws_ec2 as ec2
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_logs as logs
    from aws_cdk import aws_sqs as sqs
    from constructs import IConstruct

_STACK_CHILD_ID = "PersonalizeExportProvider"
_LAMBDA = "lambda.amazonaws.com"
_KEY_CHARACTERS = 8
DEFAULT_MAX_CONCURRENCY = 5  # pending or running jobs: documented for import jobs, not published for exports
_UNIQUE_CHARACTERS = _checks.FUNCTION_NAME_CHARACTERS - _checks.FUNCTION_NAME_PREFIX_CHARACTERS - 1


class ExportProvider(Construct):
    """The Lambda function behind `DatasetExport`, with its role, its policy and its log group.

    One is made per stack by itself. Make one yourself to change what is below, and pass it to every export that shall
    use it. To put a permissions boundary on its role, use `PermissionsBoundary.of(provider).apply(...)`.

    In a VPC the function must reach Amazon Personalize (interface endpoint `personalize`), AWS Lambda, to hand over to
    itself (interface endpoint `lambda`), AWS CloudFormation, to ask how old a request is and whether it still waits
    (interface endpoint `cloudformation`; without it the function asks in vain, which costs 10 s of each request),
    Amazon EventBridge, where somebody listens to events (interface endpoint `events`), and Amazon S3, where
    CloudFormation awaits its answer (gateway endpoint `s3`, whose policy must allow `s3:PutObject` on
    `arn:aws:s3:::cloudformation-custom-resource-response-*`, and where exports have manifests, what those take in the
    bucket of the exports); or the internet through a NAT gateway. Without the first the export fails with
    `ConnectTimeoutError` once its waiting time is over. Without the last CloudFormation is never answered and reports a
    timeout: the function's log says why.

    Args:
        scope: The construct this belongs to.
        construct_id: Its name within `scope`.
        log_group: Where the function logs. Default: a log group of its own. Pass one to encrypt it with your key, or to
            collect logs in one place.
        log_retention: How long log events are kept. Default: one year, because the log is the only record of who
            exported what and when beyond the job itself, and a deployment writes a few kilobytes. Not with `log_group`.
        log_removal_policy: What becomes of the log group with the stack. Default: RETAIN, because a first deployment
            that fails is removed by CloudFormation, and its error message points to this log. Not with `log_group`.
        runtime: The Python runtime. Default: Python 3.14. Choose 3.13 or 3.12 where your Region or your rules lack it.
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
        role: The role of the function; `lambda.amazonaws.com` must be trusted to assume it. Default: one that is made.
            Pass one where roles are made centrally. What this app cannot add to it (an imported role with
            `mutable=False`) is shown: synthesis warns, and an output of the stack carries the statements as JSON.
        max_concurrency: How many exports of one stack run at a time; the others are created after them, one after
            another. Default: 5, the documented quota of import jobs that are pending or running at a time; that of
            exports is not published. Choose less to leave some of the quota, and of Lambda's concurrency, to others;
            more where your quota is higher. Exports with `wait=False` are not counted.

    A function cannot be exchanged under a resource: CloudFormation refuses a changed service token. So an export that
    gets another provider, or whose provider gets another `function_name_prefix`, becomes a resource with another
    logical id. It joins the finished job; nothing is exported again. An escape hatch that changes the function's
    logical id or name must come before the provider's first export.

    Raises:
        ValueError: when an option is of a wrong type, or options contradict each other; when the exports need more
            permissions than one role can hold.

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
        role: iam.IRole | None = None,
        max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
    ) -> None:
        _options.check(
            log_group=log_group,
            log_retention=log_retention,
            log_removal_policy=log_removal_policy,
            runtime=runtime,
            reserved_concurrent_executions=reserved_concurrent_executions,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_groups=security_groups,
            dead_letter_queue=dead_letter_queue,
            environment_encryption=environment_encryption,
            tracing=tracing,
            function_name_prefix=function_name_prefix,
            role=role,
            max_concurrency=max_concurrency,
        )
        if log_group is not None and (log_retention is not None or log_removal_policy is not None):
            raise ValueError(
                "log_group is given together with log_retention or log_removal_policy, which describe the log group "
                "that is made without it: set them on your log group instead."
            )
        if vpc is None and (vpc_subnets is not None or security_groups is not None):
            raise ValueError("vpc_subnets or security_groups is given without vpc, to which they belong: pass it too.")
        if function_name_prefix is not None:
            _checks.check_function_name_prefix(function_name_prefix)
        if dead_letter_queue is not None:
            _checks.check_queue("AWS Lambda", fifo=bool(dead_letter_queue.fifo))
        if vpc is not None:
            _function.check_subnets(vpc, vpc_subnets)
        super().__init__(scope, construct_id)
        self.environment = StackEnvironment.of(scope)
        self.max_concurrency = max_concurrency
        """How many exports of one stack run at a time."""
        self._policies: dict[str, FunctionPolicies] = {}  # by the path of the stack
        self._awaited: dict[str, list[CfnResource]] = {}  # the same
        self._schedule_roles: dict[str, ScheduleRole] = {}  # the same
        logs_to = log_group or _make_log_group(self, log_retention, log_removal_policy)
        self.role: iam.IRole = _make_role(self) if role is None else _given_role(self, role)
        """The role of the function."""
        self.function: lambda_.Function = _function.make_function(
            self,
            runtime,
            function_name=function_name_prefix and _function_name(self, function_name_prefix),
            log_group=logs_to,
            reserved_concurrent_executions=reserved_concurrent_executions,
            role=self.role,
            security_groups=security_groups and list(security_groups),
            vpc=vpc,
            vpc_subnets=vpc_subnets,
        )
        """The function, for metrics, alarms, grants and connections; its resource is `function.node.default_child`."""
        self.service_token: str = self.function.function_arn
        """The ARN custom resources are sent to."""
        self._base = _permissions.function_statements(self.service_token, logs_to.log_group_arn)
        if vpc is not None:
            self._base.append(_permissions.no_network_for_code_statement(self.service_token))
        self._let_lambda(vpc, environment_encryption, dead_letter_queue, tracing)

    def _let_lambda(
        self,
        vpc: ec2.IVpc | None,
        environment_encryption: kms.IKey | None,
        dead_letter_queue: sqs.IQueue | None,
        tracing: lambda_.Tracing | None,
    ) -> None:
        """Set the options for which Lambda itself needs permissions when the function is created."""
        needs = _function.LambdaNeeds(self.function)
        if environment_encryption is not None:
            option = "environment_encryption"
            needs.encrypt(_references.key(self, "EnvironmentKeyReference", option, environment_encryption))
        if dead_letter_queue is not None:
            needs.send_failures_to(dead_letter_queue)
        if tracing is not None:
            needs.trace(tracing)
        if vpc is not None:
            needs.run_in_vpc()
        if needs.statements:
            self._add_lambda_policy(needs.statements)

    def _add_lambda_policy(self, statements: list[_permissions.Statement]) -> None:
        policy: IConstruct | None
        if _roles.takes_managed_policies(self.role):
            description = "What AWS Lambda needs to run the function of the dataset exports"
            policy = _roles.managed_policy(self, "LambdaPolicy", description, statements, self.role)
        else:
            policy = _roles.add_to_role(self.role, statements)
        if policy is None:
            self._show("LambdaStatements", _roles.policy_document(statements), self.environment)
            return
        self.function.node.add_dependency(policy)  # because Lambda checks then that it has them
        if any(statement["Resource"] == "*" for statement in statements):
            _findings.acknowledge(policy, self.environment.stack, "*", _findings.NO_RESOURCE)

    @classmethod
    def for_stack(cls, scope: IConstruct) -> ExportProvider:
        """Return the provider of the stack `scope` is in, made on first use.

        A nested stack and every stack of a Stage have their own.
        """
        stack = StackEnvironment.of(scope).stack
        known = _OF_STACKS.get(stack)
        if known is None:
            # jsii makes a new Python object of a stack that Node made each time it is asked for it; of a child that
            # Python made it returns that one.
            found = stack.node.try_find_child(_STACK_CHILD_ID)
            known = found if isinstance(found, ExportProvider) else cls(stack, _STACK_CHILD_ID)
            _OF_STACKS[stack] = known
        return known

    def resource_id(self, environment: StackEnvironment) -> str:
        """Return what tells the function from others, as part of the logical ids of the exports of a stack."""
        here = self.environment
        identity = self._function_identity
        parts = [identity] if environment.path == here.path else [here.address, identity]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_KEY_CHARACTERS]

    @cached_property
    def _function_identity(self) -> object:
        """What the function's ARN is made of: CloudFormation makes another function when one of them changes."""
        resource = _function.resource_of(self.function)
        return self.environment.stack.resolve([resource.logical_id, resource.function_name])

    def _permissions_in(self, environment: StackEnvironment) -> FunctionPolicies:
        """Return the policies for the exports of a stack."""
        known = self._policies.get(environment.path)
        if known is None:
            here = environment.path == self.environment.path
            scope = self if here else environment.stack
            suffix = "" if here else self.resource_id(environment)
            known = FunctionPolicies(
                scope,
                "Policy" if here else f"PersonalizeExportPolicy{suffix}",
                environment=environment,
                role=self.role,
                base=self._base if here else [],
                show=lambda document: self._show(f"RoleStatements{suffix}", document, environment),
            )
            self._policies[environment.path] = known
            if not here:  # the stack may be removed, and others need the function
                self._permissions_in(self.environment).permit_base()
        return known

    def _schedule_role_in(self, environment: StackEnvironment, group_arn: str) -> ScheduleRole:
        """Return the role EventBridge Scheduler has for the schedules of a stack, which are in some groups."""
        known = self._schedule_roles.get(environment.path)
        if known is None:
            here = environment.path == self.environment.path
            known = ScheduleRole(
                self if here else environment.stack,
                "Schedule" if here else f"PersonalizeExportSchedule{self.resource_id(environment)}",
                environment=environment,
                provider_path=str(self.node.path),
                function_arn=self.service_token,
                group_arn=group_arn,
            )
            self._schedule_roles[environment.path] = known
            _function.let_call_itself(self.function)
        known.serve(group_arn)
        return known

    def _turn(self, environment: StackEnvironment, last: CfnResource) -> CfnResource | None:
        """Return what an export, which ends with `last`, is created after."""
        awaited = self._awaited.setdefault(environment.path, [])
        awaited.append(last)
        return awaited[-1 - self.max_concurrency] if len(awaited) > self.max_concurrency else None

    def _show(self, name: str, document: iam.PolicyDocument, environment: StackEnvironment) -> None:
        """Show what a role that may not be changed must be allowed, in an output: it grows with the exports."""
        scope = self if environment.path == self.environment.path else environment.stack
        Annotations.of(scope).add_warning_v2(
            f"cdk-personalize-export:{name}",
            f"This app cannot change role {_permissions.readable(self.role.role_arn, environment.known_partition)} of "
            f"the function. Exports fail unless its policies say what the output {name} of the stack says.",
        )
        CfnOutput(
            scope,
            name,
            description="What the policies of the function's role must say, for exports to succeed",
            value=environment.stack.to_json_string(document),
        )


_OF_STACKS: dict[Stack, ExportProvider] = {}  # kept for the life of the process, as jsii keeps every construct too


def _make_log_group(
    scope: Construct, retention: logs.RetentionDays | None, removal_policy: RemovalPolicy | None
) -> logs.LogGroup:
    from aws_cdk import aws_logs  # noqa: PLC0415 - not at import: it costs start-up time

    return aws_logs.LogGroup(
        scope,
        "Logs",
        removal_policy=removal_policy or RemovalPolicy.RETAIN,
        retention=retention or aws_logs.RetentionDays.ONE_YEAR,
    )


def _make_role(scope: Construct) -> iam.Role:
    from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

    trusted = aws_iam.ServicePrincipal(_LAMBDA)
    return aws_iam.Role(scope, "Role", assumed_by=trusted, description=_function.DESCRIPTION)


def _given_role(scope: Construct, given: iam.IRole) -> iam.IRole:
    role = _references.role(scope, "RoleReference", given)
    _roles.require_trust(role, _LAMBDA)
    return role


def _function_name(scope: Construct, prefix: str) -> str | None:
    if _checks.is_looked_up(prefix):  # the CDK refuses the placeholder, and synthesises once more with the value
        return None
    return f"{prefix}-{Names.unique_resource_name(scope, max_length=_UNIQUE_CHARACTERS)}"
