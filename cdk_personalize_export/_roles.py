"""Permissions for a role: added where the app may change it, told where it may not.

A role made in this app gets managed policies of ours: some rules forbid inline ones. `iam.Role.customize_roles`, which
keeps the CDK from making any role, reports both. An imported role gets what the CDK makes of it, an inline policy or
nothing: https://docs.aws.amazon.com/cdk/v2/guide/define-iam-l2.html.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, cast

import jsii
from constructs import DependencyGroup, IValidation

from cdk_personalize_export import _permissions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_iam as iam
    from constructs import Construct, IConstruct

    Given = _permissions.Statement | iam.PolicyStatement

_policies: Counter[iam.IRole] = Counter()  # of ours, by role


def takes_managed_policies(role: iam.IRole) -> bool:
    """Say whether the role is made in this app and may be changed."""
    from aws_cdk.aws_iam import Role  # noqa: PLC0415 - not at import: it costs start-up time

    return isinstance(role, Role)


def has_room(role: iam.IRole) -> bool:
    """Say whether the role has room for one more managed policy."""
    return _policies[role] < _permissions.POLICIES_PER_ROLE


def policy_document(statements: Sequence[Given]) -> iam.PolicyDocument:
    """Return a document of the statements, to print."""
    from aws_cdk.aws_iam import PolicyDocument  # noqa: PLC0415 - not at import: it costs start-up time

    return PolicyDocument(statements=parsed(statements))


def parsed(statements: Sequence[Given]) -> list[iam.PolicyStatement]:
    """Return the statements as the CDK's own objects."""
    from aws_cdk.aws_iam import PolicyStatement  # noqa: PLC0415 - not at import: it costs start-up time

    return [PolicyStatement.from_json(given) if isinstance(given, dict) else given for given in statements]


def managed_policy(
    scope: Construct,
    construct_id: str,
    description: str,
    statements: Sequence[Given],
    role: iam.IRole,
) -> iam.ManagedPolicy:
    """Make a managed policy of the role.

    Raises:
        ValueError: The role has no room for it.
    """
    from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

    if not has_room(role):
        raise ValueError(
            f"role {role.node.path!r} is given to so many constructs that they attach more than the "
            f"{_permissions.POLICIES_PER_ROLE} managed policies a role has room for: share one ExportDestination and "
            "one ExportProvider between exports, or give some a role of their own."
        )
    _policies[role] += 1
    return aws_iam.ManagedPolicy(
        scope, construct_id, description=description, statements=parsed(statements), roles=[role]
    )


def add_to_role(role: iam.IRole, statements: Sequence[Given]) -> IConstruct | None:
    """Let the CDK add to a role that was imported; return the policy it made, or None when it may not."""
    added = [role.add_to_principal_policy(statement) for statement in parsed(statements)]
    policy = added[-1].policy_dependable
    # A role that may not be changed says it was: it only differs in having nothing of its own to wait for.
    return None if policy is None or isinstance(policy, DependencyGroup) else cast("IConstruct", policy)


def require_trust(role: iam.IRole, service: str) -> None:
    """Refuse, at synthesis, a role of this app that `service` cannot assume; of an imported one nothing is known."""
    if takes_managed_policies(role):
        role.node.add_validation(_Trust(cast("iam.Role", role), service))


@jsii.implements(IValidation)
class _Trust:
    def __init__(self, role: iam.Role, service: str) -> None:
        self._role, self._service = role, service

    def validate(self) -> list[str]:
        """Look at the trust policy when nothing is added to it any more."""
        policy = self._role.assume_role_policy
        if policy is None or self._service in json.dumps(policy.to_json()):
            return []
        fix = f"make it with assumed_by=iam.ServicePrincipal({self._service!r})"
        return [
            f"role {self._role.node.path!r} does not trust {self._service}, which must be able to assume it: {fix}."
        ]
