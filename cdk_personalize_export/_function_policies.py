"""What the function may do for the exports of one stack: policies that grow with every export.

They belong to the stack of the exports, also when the function is in another one: they can then name the exports'
datasets and roles without making the function's stack depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdk_personalize_export import _findings, _permissions, _roles

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_cdk import aws_iam as iam
    from constructs import Construct, IConstruct, IDependable

    from cdk_personalize_export._environment import StackEnvironment
    from cdk_personalize_export.destination import ExportDestination

_DESCRIPTION = "What the dataset exports of this stack call"


@dataclass(frozen=True)
class Permit:
    """Where an export is permitted, and what it waits for."""

    policy_arn: str | None
    """The ARN of the policy, if there is one: a resource that refers to it is made after it."""
    policy: IConstruct | None
    others: list[IDependable]
    """What else must be there before the export."""


class FunctionPolicies:
    """The policies for the exports of one stack; `show` tells what a role that may not be changed must be allowed."""

    def __init__(  # noqa: PLR0913 - parts of a provider
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: StackEnvironment,
        role: iam.IRole,
        base: list[_permissions.Statement],
        show: Callable[[iam.PolicyDocument], None],
    ) -> None:
        self._scope, self._construct_id, self._environment = scope, construct_id, environment
        self._role, self._base, self._show = role, base, show
        self._policies: list[_Policy] = []
        self._waiting: set[tuple[_Policy, ExportDestination]] = set()

    def permit_base(self) -> None:
        """Let the function do what it does whatever it exports, also when no export of this stack uses it."""
        if not self._policies:
            self._policies.append(self._make([]))

    def permit(self, needs: _permissions.Needs, destination: ExportDestination) -> Permit:
        """Let the function do what an export needs."""
        policy = self._policy(needs.grants())
        self._acknowledge(policy, needs.job_arn, _findings.JOBS)
        if needs.lists:
            self._acknowledge(policy, _permissions.EVERYTHING, _findings.NO_RESOURCE)
        permissions = destination._dependencies  # noqa: SLF001 - not the user's business
        if policy.arn is None:
            return Permit(None, policy.construct, permissions)
        # What the user owns is waited for by each export: its policies may speak of another export, a cycle otherwise.
        if not destination._made or destination.environment.path != self._environment.path:  # noqa: SLF001
            return Permit(policy.arn, policy.construct, permissions)
        if policy.construct is not None and (policy, destination) not in self._waiting:
            self._waiting.add((policy, destination))
            policy.construct.node.add_dependency(*permissions)
        return Permit(policy.arn, policy.construct, [])

    def permit_events(self, bus_arn: str) -> IConstruct | None:
        """Let the function send events to a bus; return the policy that permits it, if there is one to wait for."""
        return self._policy(_permissions.event_grants(bus_arn)).construct

    def permit_manifests(self, destination: ExportDestination) -> IConstruct | None:
        """Let the function write manifests to a destination; return the policy, as `permit_events` does."""
        place = destination._bucket_arn, destination.prefix  # noqa: SLF001 - not the user's business
        policy = self._policy(_permissions.manifest_grants(*place, destination._object_key_arn))  # noqa: SLF001
        for objects in _permissions.manifest_objects(*place):
            destination._when_named(  # noqa: SLF001
                lambda objects=objects: self._acknowledge(policy, objects, _findings.MANIFESTS),  # type: ignore[misc]
                self._environment.stack,
            )
        return policy.construct

    def _policy(self, grants: list[_permissions.Grant]) -> _Policy:
        """Return the policy that allows `grants`, grown or made for it."""
        for policy in self._policies:
            if not policy.content.missing(grants):
                return policy
        if not (self._policies and self._policies[-1].grow(grants)):
            self._policies.append(self._make(grants))
        return self._policies[-1]

    def _make(self, grants: list[_permissions.Grant]) -> _Policy:
        from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

        base = [] if self._policies else self._base
        content = _permissions.FunctionPolicy(base)
        growing = {
            action: aws_iam.PolicyStatement.from_json(_permissions.statement(action, arns))
            for action, arns in content.add(grants).items()
        }
        statements = [*map(aws_iam.PolicyStatement.from_json, base), *growing.values()]
        if _roles.takes_managed_policies(self._role):
            return self._make_managed(content, growing, statements)
        construct = _roles.add_to_role(self._role, statements)
        if construct is None:
            document = _roles.policy_document(statements)
            self._show(document)
            return _Policy(content, growing, document.add_statements)
        limit = _permissions.INLINE_POLICY_CHARACTERS
        return _Policy(content, growing, self._role.add_to_principal_policy, construct=construct, limit=limit)

    def _make_managed(
        self,
        content: _permissions.FunctionPolicy,
        growing: dict[_permissions.Action, iam.PolicyStatement],
        statements: list[iam.PolicyStatement],
    ) -> _Policy:
        number = len(self._policies) + 1
        if not _roles.has_room(self._role):
            raise ValueError(
                f"ExportProvider {self._scope.node.path!r} has too many exports: their permissions fill {number - 1} "
                f"managed policies of {_permissions.POLICY_CHARACTERS} characters, and its role has no room for more. "
                'Give the further exports a function of their own with provider=ExportProvider(self, "Another").'
            )
        child_id = self._construct_id if number == 1 else f"{self._construct_id}{number}"
        # A resource of its own, on which the function does not depend: it names the function, so that would be a cycle.
        managed = _roles.managed_policy(self._scope, child_id, _DESCRIPTION, statements, self._role)
        is_made = managed.node.default_child is not None  # it is not where `iam.Role.customize_roles` forbids it
        return _Policy(
            content,
            growing,
            managed.add_statements,
            construct=managed if is_made else None,
            arn=managed.managed_policy_arn if is_made else None,
            limit=_permissions.POLICY_CHARACTERS,
        )

    def _acknowledge(self, policy: _Policy, resource: str, reason: str) -> None:
        if policy.construct is not None and resource not in policy.acknowledged:
            policy.acknowledged.add(resource)
            _findings.acknowledge(policy.construct, self._environment.stack, resource, reason)


class _Policy:
    """A policy, and its statements, which the CDK lets grow until it writes them down."""

    def __init__(  # noqa: PLR0913 - what differs between managed, inline and printed ones
        self,
        content: _permissions.FunctionPolicy,
        statements: dict[_permissions.Action, iam.PolicyStatement],
        add_statement: Callable[[iam.PolicyStatement], object],
        *,
        construct: IConstruct | None = None,
        arn: str | None = None,
        limit: int | None = None,
    ) -> None:
        self.content, self._statements, self._add_statement = content, statements, add_statement
        self.construct, self.arn, self._limit = construct, arn, limit
        self.acknowledged: set[str] = set()

    def grow(self, grants: list[_permissions.Grant]) -> bool:
        """Allow `grants` as well, if there is room."""
        from aws_cdk.aws_iam import PolicyStatement  # noqa: PLC0415 - not at import: it costs start-up time

        missing = self.content.missing(grants)
        if self._limit is not None and self.content.characters + self.content.characters_of(missing) > self._limit:
            return False
        for action, arns in self.content.add(missing).items():
            if action in self._statements:
                try:
                    self._statements[action].add_resources(*arns)
                    continue
                except RuntimeError:  # a synthesis has written it down, after which it stays as it is
                    pass
            self._statements[action] = PolicyStatement.from_json(_permissions.statement(action, arns))
            self._add_statement(self._statements[action])
        return True
