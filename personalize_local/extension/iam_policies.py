"""What ministack's IAM leaves out of policies: variables, boundaries of roles made by CloudFormation, a managed policy.

Rests on https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html and
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonPersonalizeFullAccess.html. A variable that the
request has no value for makes its statement match nothing. Not modelled: policies of version 2008-10-17, where
variables are plain text.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ROLE = "AWS::IAM::Role"
FULL_ACCESS = "service-role/AmazonPersonalizeFullAccess"
FULL_ACCESS_STATEMENTS: tuple[Mapping[str, Any], ...] = (
    {"Effect": "Allow", "Action": ["personalize:*"], "Resource": "*"},
    {"Effect": "Allow", "Action": ["cloudwatch:PutMetricData", "cloudwatch:ListMetrics"], "Resource": "*"},
    {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::*Personalize*", "arn:aws:s3:::*personalize*"],
    },
    {
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": "*",
        "Condition": {"StringEquals": {"iam:PassedToService": "personalize.amazonaws.com"}},
    },
)
_FULL_ACCESS_DESCRIPTION = (
    "Provides full access to Amazon Personalize via the AWS Management Console and SDK. "
    "Also provides select access to related services (e.g., S3, CloudWatch)."
)
_VARIABLE = re.compile(r"\$\{\s*([^},]+?)\s*(?:,\s*'([^']*)'\s*)?\}")
_LITERALS = frozenset("*?$")  # ${*} and its like stand for the character; here a * or ? stays a wildcard


class UnknownVariableError(Exception):
    """A policy variable that the request has no value for."""


def register() -> None:
    """Put all three in place."""
    patches.wrap(patches.EVALUATOR, "_first_match", _substitute_variables)
    _add_full_access()
    _keep_boundaries()


def substitute(text: str, value_of: Callable[[str], Any]) -> str:
    """Return a text of a policy with its variables replaced.

    Args:
        text: Such as ``arn:aws:s3:::bucket/${aws:username}``.
        value_of: Returns the value of a condition key, None when the request has none.

    Raises:
        UnknownVariableError: There is neither a value nor a default.
    """

    def replace(match: re.Match[str]) -> str:
        key, default = match[1], match[2]
        value = key if key in _LITERALS else value_of(key)
        if value is None or isinstance(value, list):  # a key with several values is no variable
            value = default
        if value is None:
            raise UnknownVariableError(key)
        return str(value)

    return _VARIABLE.sub(replace, text)


def _substitute_variables(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let a statement be matched with the values its variables have in this request."""
    evaluator = patches.load(patches.EVALUATOR)

    def first_match(context: Any, statements: Iterable[Any], effect: str) -> Any:
        value_of = lambda key: evaluator._resolve_condition_key(key, context)  # noqa: E731, SLF001 - no public interface
        return original(context, [found for one in statements if (found := _filled(one, value_of))], effect)

    return first_match


def _filled(statement: Any, value_of: Callable[[str], Any]) -> Any:
    """Return a statement without variables, None when one has no value."""
    places = (statement.resources, statement.not_resources, statement.conditions)
    if not any("${" in str(place) for place in places):
        return statement
    try:
        resources, not_resources, conditions = (_fill(place, value_of) for place in places)
    except UnknownVariableError:
        return None
    return dataclasses.replace(statement, resources=resources, not_resources=not_resources, conditions=conditions)


def _fill(value: Any, value_of: Callable[[str], Any]) -> Any:
    """Replace the variables in every text of a JSON value; keys stay as they are."""
    if isinstance(value, str):
        return substitute(value, value_of)
    if isinstance(value, list):
        return [_fill(item, value_of) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, value_of) for key, item in value.items()}
    return value


def _add_full_access() -> None:
    """Let the managed policy be what AWS publishes, after a reset too."""
    iam = patches.load(patches.IAM)
    document = json.dumps({"Version": "2012-10-17", "Statement": FULL_ACCESS_STATEMENTS})

    def make(original: Callable[[], None]) -> Callable[[], None]:
        def seed() -> None:
            original()
            record = iam._make_aws_managed_record(FULL_ACCESS, document, _FULL_ACCESS_DESCRIPTION)  # noqa: SLF001
            iam._aws_managed_policies[record["Arn"]] = record  # noqa: SLF001 - ministack has no public interface

        return seed

    patches.wrap(patches.IAM, "_seed_aws_managed_policies", make)
    iam._seed_aws_managed_policies()  # noqa: SLF001


def _keep_boundaries() -> None:
    """Let a role of a template have its boundary; one that IAM refuses fails the resource."""
    handlers = patches.load(patches.PROVISIONERS)._RESOURCE_HANDLERS[ROLE]  # noqa: SLF001 - no public interface
    iam = patches.load(patches.IAM)
    create, update = handlers["create"], handlers["update"]

    def bound(provisioned: Any, props: Mapping[str, Any]) -> Any:
        iam._roles[provisioned[0]]["PermissionsBoundary"] = props.get("PermissionsBoundary") or ""  # noqa: SLF001
        return provisioned

    def created(logical_id: str, props: Mapping[str, Any], stack_name: str) -> Any:
        _check_boundary(iam, props)
        return bound(create(logical_id, props, stack_name), props)

    def updated(physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        _check_boundary(iam, new)
        provisioned = update(physical_id, old, new, *args, **kwargs)
        unchanged = old.get("PermissionsBoundary") == new.get("PermissionsBoundary")
        return provisioned if unchanged and provisioned[0] == physical_id else bound(provisioned, new)

    handlers.update(create=created, update=updated)


def _check_boundary(iam: Any, props: Mapping[str, Any]) -> None:
    """Refuse what IAM would."""
    arn = props.get("PermissionsBoundary")
    error = iam._boundary_policy_error(arn) if arn else None  # noqa: SLF001 - as above
    if error:
        message = re.search("<Message>(.*?)</Message>", error[2].decode(), re.DOTALL)
        raise ValueError(message[1] if message else f"the permissions boundary {arn} is refused")
