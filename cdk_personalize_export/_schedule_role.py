"""What EventBridge Scheduler may do for the schedules of one stack: a role and a policy for all that share a function.

See https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html#setting-up-execution-role. Both belong to the
stack of the schedules, so that they can name its schedule groups and queues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cdk_personalize_export import _permissions, _roles

if TYPE_CHECKING:
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct, IDependable

    from cdk_personalize_export._environment import StackEnvironment

_DESCRIPTION = "What Amazon EventBridge Scheduler needs to start the scheduled dataset exports"

_MOST_GROUPS = 6  # each takes some 300 of the 2048 characters of a trust policy


class ScheduleRole:
    """The role, made for a schedule group; it grows with every further group and queue."""

    def __init__(  # noqa: PLR0913 - parts of a provider
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: StackEnvironment,
        provider_path: str,
        function_arn: str,
        group_arn: str,
    ) -> None:
        from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

        self._provider_path = provider_path
        self._account, self._groups, self._queues = environment.account, {group_arn}, set[str]()
        trusted = aws_iam.ServicePrincipal(
            _permissions.SCHEDULER, conditions=_permissions.schedule_group_conditions(self._account, group_arn)
        )
        self._role = aws_iam.Role(scope, f"{construct_id}Role", assumed_by=trusted, description=_DESCRIPTION)
        statements = [_permissions.allow("lambda:InvokeFunction", function_arn)]
        self._policy = _roles.managed_policy(scope, f"{construct_id}Policy", _DESCRIPTION, statements, self._role)
        self.role_arn: str = self._role.role_arn

    @property
    def dependency(self) -> IDependable:
        """What a schedule waits for: the policy."""
        return self._policy

    def serve(self, group_arn: str) -> None:
        """Let Scheduler act for the schedules of a group.

        Raises:
            ValueError: There are too many.
        """
        if group_arn not in self._groups:
            if len(self._groups) == _MOST_GROUPS:
                raise ValueError(
                    f"the schedules of ExportProvider {self._provider_path!r} are in more than {_MOST_GROUPS} schedule "
                    "groups, which is as many as the trust policy of their role can name: share groups, or give some "
                    "of the schedules another provider."
                )
            self._groups.add(group_arn)
            policy = cast("iam.PolicyDocument", self._role.assume_role_policy)  # every role that is made has one
            policy.add_statements(*_roles.parsed([_permissions.scheduler_trust_statement(self._account, group_arn)]))

    def send_to(self, queue: sqs.IQueue) -> str:
        """Let Scheduler put what it could not deliver into `queue`; return its ARN."""
        queue_arn = str(queue.queue_arn)
        if queue_arn not in self._queues:
            self._queues.add(queue_arn)
            key = queue.encryption_master_key
            statements = _permissions.queue_statements(queue_arn, None if key is None else key.key_arn)
            self._policy.add_statements(*_roles.parsed(statements))
        return queue_arn
