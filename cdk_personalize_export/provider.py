"""The one Lambda function that starts export jobs and waits for them, shared by every export of a stack.

It is not a CDK provider framework: the function answers CloudFormation itself, and hands over to itself before its 15
minutes end. See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html.

The folder `handler` is its code, uploaded as it is; to keep it small, its comments only say what surprises. The rest:

- A request is read once and checked
  (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html). Unknown properties are
  ignored and missing optional ones have defaults, so that events of another release are understood.
- Create and Update are the same (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html):
  start the job or join it. A link, which makes a long wait longer, only goes on waiting. Delete only lets a running job
  finish, that its role and bucket are not pulled from under it.
- Running it again, from any point, does nothing twice. CloudFormation invokes it asynchronously, so Lambda repeats an
  invocation that dies after one and two minutes. A retry, a duplicate, a crash, a hand-over and a rollback all land on
  one job, because its name is derived from what shapes the export, and Personalize takes a name only once.
- A job is CREATE PENDING, CREATE IN_PROGRESS, ACTIVE or CREATE FAILED. The attempts of an export are looked at in
  order (id, id-2, ...); `decide` is a pure function of what was seen.
- Whoever pauses is woken by the request's deadline or by the end of the invocation, whichever comes first. IAM and
  bucket policies take a while to reach every server, and until then Personalize refuses what it will soon accept: such
  refusals get a bounded second chance, and are then quoted word for word. The errors it may answer with are listed in
  https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html and CommonErrors.html beside it.
- An invocation ends after 15 minutes at most (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html);
  its clients live as long as its container (https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html).
- The limit of an answer counts encoded bytes. The ResponseURL it is sent to is a credential: it is never logged.
- Only `outside.Outside` knows clock, chance, log, HTTP and AWS; tests replace it, and nothing else.
- Values are named tuples: immutable like frozen dataclasses, and several times faster to import. Patterns for errors
  are compiled when first needed, as most requests meet none.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jsii
from aws_cdk import IStableAnyProducer, Lazy, Names, RemovalPolicy
from constructs import Construct

from cdk_personalize_export import _checks, _findings, _function, _permissions, _unloaded
from cdk_personalize_export._home import Home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import Stack
    from aws_cdk import aws_ec2 as ec2
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_logs as logs
    from aws_cdk import aws_sqs as sqs
    from aws_cdk.aws_iam import CfnManagedPolicy
    from constructs import IConstruct, IDependable

    from cdk_personalize_export.destination import ExportDestination

_STACK_CHILD_ID = "PersonalizeExportProvider"
_UNIQUE_CHARACTERS = _checks.FUNCTION_NAME_CHARACTERS - _checks.FUNCTION_NAME_PREFIX_CHARACTERS - 1


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
        self._policies: list[_Policy] = []
        self._uses: Counter[tuple[ExportDestination, _Policy]] = Counter()
        self._room = _permissions.POLICIES_PER_ROLE
        settings = _function.Settings(
            {
                name: value
                for name, value in {
                    "functionName": function_name_prefix and _function_name(self, function_name_prefix),
                    "runtime": runtime and runtime.name,
                    "reservedConcurrentExecutions": reserved_concurrent_executions,
                }.items()
                if value is not None
            }
        )
        if environment_encryption is not None:
            settings.encrypt(environment_encryption)
        if dead_letter_queue is not None:
            settings.send_failures_to(dead_letter_queue)
        if tracing is not None:
            settings.trace(tracing)
        self._security_groups = list(security_groups or [])
        subnets = None if vpc is None else _function.select_subnets(vpc, vpc_subnets)
        if vpc is not None and subnets is not None:
            self._security_groups = self._security_groups or [_function.make_security_group(self, vpc)]
            settings.run_in(subnets, self._security_groups)
        logs_to = log_group or _make_log_group(self, log_retention, log_removal_policy)
        role = _make_role(self)
        self._role_name: str = role.ref
        self._role_arn: str = role.attr_arn
        function = _function.make_function(
            self, self.home.stack, self._role_arn, _unloaded.get(logs_to, "logGroupName"), settings.properties
        )
        self.service_token: str = _unloaded.get(function, "attrArn")
        """The ARN custom resources are sent to."""
        self._base = _permissions.function_statements(self.service_token, _unloaded.get(logs_to, "logGroupArn"))
        if subnets is not None:
            self._base.append(_permissions.no_network_for_code_statement(self.service_token))
            self._create_function_after(subnets.internet_connectivity_established)
        if settings.statements:
            self._add_lambda_policy(settings.statements)

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
        self._create_function_after(policy)  # because Lambda checks then that it has them
        if any(statement["Resource"] == "*" for statement in statements):
            _findings.acknowledge(policy, self.home.stack, "*", _findings.NO_RESOURCE)

    def _create_function_after(self, other: IDependable) -> None:
        self.node.find_child(_function.FUNCTION_ID).node.add_dependency(other)

    @cached_property
    def function(self) -> lambda_.IFunction:
        """The function, for metrics, alarms, grants and connections.

        Its resource, for escape hatches, is `provider.node.find_child("Function")`, a `CfnFunction`.
        """
        from aws_cdk import aws_iam, aws_lambda  # noqa: PLC0415 - not at import: it costs start-up time

        return aws_lambda.Function.from_function_attributes(
            self,
            "FunctionReference",
            function_arn=self.service_token,
            role=aws_iam.Role.from_role_arn(self, "RoleReference", self._role_arn),
            same_environment=True,
            security_group=next(iter(self._security_groups), None),
        )

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

    def _allow(
        self, needs: _permissions.Needs, destination: ExportDestination, stack: Stack
    ) -> tuple[str | None, list[IDependable]]:
        """Let the function do what an export needs.

        Returns:
            The ARN of the policy that permits it, which the export refers to, because CloudFormation then makes the
            policy first; and what else it depends on. A dependency would be one jsii call more for each export: of
            1.5 ms 0.3. In another stack it is one, because a reference would be an output of this stack.
        """
        policy = self._policy(needs)
        here = stack is self.home.stack
        arn = policy.arn if here else None
        others: list[IDependable] = [] if here else [policy.resource]
        self._uses[destination, policy] += 1
        uses = self._uses[destination, policy]
        # What the user owns is waited for by each export: its policies may speak of another export, a cycle otherwise.
        if uses == 1 or not destination._made or destination.home.stack is not self.home.stack:  # noqa: SLF001
            return arn, [*others, *destination._dependencies]  # noqa: SLF001
        if uses == 2:  # noqa: PLR2004 - shared, as it turns out: the policy waits for it from now on, once for all exports
            policy.resource.node.add_dependency(*destination._dependencies)  # noqa: SLF001
        return arn, others

    def _policy(self, needs: _permissions.Needs) -> _Policy:
        """Return the policy that allows what an export needs, grown or made for it."""
        for policy in self._policies:
            if policy.content.covers(needs):
                return policy
        if self._policies:
            policy = self._policies[-1]
            new_job = needs.job_arn not in policy.content.jobs
            if policy.grow(needs):
                if new_job:
                    self._acknowledge_jobs(policy.resource, needs)
                return policy
        return self._add_policy(needs)

    def _add_policy(self, needs: _permissions.Needs) -> _Policy:
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
        content = _permissions.FunctionPolicy(base=base).with_(needs)
        # A resource of its own, on which the function does not depend: it names the function, so that would be a cycle.
        resource = CfnManagedPolicy(
            self,
            "Policy" if number == 1 else f"Policy{number}",
            description="What the dataset exports of this stack call",
            policy_document=content.document(),  # lazy from the second export on: three jsii calls less for one
            roles=[self._role_name],
        )
        policy = _Policy(content, resource)
        self._policies.append(policy)
        self._acknowledge_jobs(resource, needs)
        return policy

    def _acknowledge_jobs(self, policy: CfnManagedPolicy, needs: _permissions.Needs) -> None:
        _findings.acknowledge(policy, self.home.stack, needs.job_arn, _findings.JOBS)


@jsii.implements(IStableAnyProducer)
class _Policy:
    """A policy of the function; its document is read at synthesis, when every export has added to it."""

    def __init__(self, content: _permissions.FunctionPolicy, resource: CfnManagedPolicy) -> None:
        self.content, self.resource = content, resource
        self.arn: str = resource.ref
        self._at_most = content.characters()
        """How long it is at most."""
        self._settled = True
        """Whether the resource holds what has been read, at synthesis or by whoever resolves it, or was given."""

    def grow(self, needs: _permissions.Needs) -> bool:
        """Allow `needs` as well, if there is room."""
        grown, at_most = self.content.with_(needs), self._at_most + needs.characters()
        if at_most > _permissions.POLICY_CHARACTERS:  # written down only now, and not for every export
            at_most = grown.characters()
        if at_most > _permissions.POLICY_CHARACTERS:
            return False
        self.content, self._at_most = grown, at_most
        if self._settled:
            self._settled = False
            self.resource.policy_document = Lazy.any(self)
        return True

    def produce(self) -> Any:  # noqa: ANN401 - the signature of the CDK
        self._settled = True
        return self.content.document()


def _make_log_group(
    scope: Construct, retention: logs.RetentionDays | None, removal_policy: RemovalPolicy | None
) -> _unloaded.Unloaded:
    options = {
        "retention": retention or _unloaded.member("aws_logs.RetentionDays", "ONE_YEAR"),
        "removalPolicy": removal_policy or RemovalPolicy.RETAIN,
    }
    return _unloaded.make("aws_logs.LogGroup", scope, "Logs", options)


def _make_role(scope: Construct) -> iam.CfnRole:
    from aws_cdk.aws_iam import CfnRole  # noqa: PLC0415 - not at import: it costs start-up time

    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    return CfnRole(
        scope,
        "Role",
        assume_role_policy_document=_permissions.document([statement]),
        description=_function.DESCRIPTION,
    )


def _function_name(scope: Construct, prefix: str) -> str:
    return f"{prefix}-{Names.unique_resource_name(scope, max_length=_UNIQUE_CHARACTERS)}"
