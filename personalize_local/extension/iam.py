"""Permissions: what each Personalize call is checked against, the check itself, and the record of every check.

Rests on https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonpersonalize.html and
https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-s3-access.html. `CreateDatasetExportJob` needs
the dataset and the job to come, `iam:PassRole` on the role, and `TagResource` when it sends tags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches
from personalize_local.extension.calls import Call, CallLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from personalize_local.service import Caller

SERVICE = "personalize"
PRINCIPAL = "personalize.amazonaws.com"

_NAME_MEMBER = {"DatasetImportJob": "jobName", "DatasetExportJob": "jobName", "DataDeletionJob": "jobName"}
# (unknown) whether AWS resolves the tracker from its tracking id
_NO_RESOURCE = frozenset({"PutEvents", "PutActionInteractions"})


@dataclass(frozen=True)
class Check:
    """One action on some resources, with the condition keys that come with it."""

    action: str
    resources: tuple[str, ...]
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Denial:
    """Why a call is refused: a failed authentication carries ministack's own error, a policy decision a message."""

    message: str
    authentication: Any = None


def checks(operation: str, params: Mapping[str, Any], caller: Caller) -> list[Check]:
    """Return what a call of Personalize or personalize-events is checked for, in order."""
    resources = _resources(operation, params, caller)
    found = [Check(f"{SERVICE}:{operation}", resources, _tag_context(params))]
    if operation.startswith("Create") and params.get("tags"):
        found.append(Check(f"{SERVICE}:TagResource", resources[-1:], _tag_context(params)))
    if operation.startswith("Create") and params.get("roleArn"):
        found.append(Check("iam:PassRole", (str(params["roleArn"]),), {"iam:PassedToService": PRINCIPAL}))
    return found


def _resources(operation: str, params: Mapping[str, Any], caller: Caller) -> tuple[str, ...]:
    """Return the ARNs an operation works on; the one it creates comes last."""
    verb, noun = _split(operation)
    if verb == "Create":
        return (*_sources(noun, params), _created(noun, params, caller))
    arns = [str(value) for member, value in params.items() if member.lower().endswith("arn")]
    if verb == "List" and noun != "TagsForResource":
        return ("*",)
    return tuple(arns) if arns and operation not in _NO_RESOURCE else ("*",)


def _split(operation: str) -> tuple[str, str]:
    """Split an operation into its verb and what it is done to."""
    words = re.findall("[A-Z][a-z0-9]*", operation)
    return (words[0], "".join(words[1:])) if words else ("", "")


def _sources(noun: str, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ARNs a create reads from and is checked against too."""
    return (str(params.get("datasetArn", "*")),) if noun == "DatasetExportJob" else ()


def _created(noun: str, params: Mapping[str, Any], caller: Caller) -> str:
    """Return the ARN of what a create makes; an event tracker's is drawn by the service, so any matches."""
    prefix = f"arn:{caller.partition}:{SERVICE}:{caller.region}:{caller.account}"
    kind = re.sub("(?<!^)([A-Z])", r"-\1", noun).lower()
    if noun == "EventTracker":
        return f"{prefix}:{kind}/*"
    if noun == "Dataset":
        group = str(params.get("datasetGroupArn", "")).rsplit("/", 1)[-1]
        return f"{prefix}:{kind}/{group}/{str(params.get('datasetType', '')).upper()}"
    return f"{prefix}:{kind}/{params.get(_NAME_MEMBER.get(noun, 'name'), '')}"


def _tag_context(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the condition keys of the tags in a request."""
    tags = [tag for tag in params.get("tags") or [] if isinstance(tag, dict) and "tagKey" in tag]
    keys = [str(tag["tagKey"]) for tag in tags] + [str(key) for key in params.get("tagKeys") or []]
    context: dict[str, Any] = {f"aws:RequestTag/{tag['tagKey']}": str(tag.get("tagValue", "")) for tag in tags}
    return {**context, "aws:TagKeys": keys} if keys else context


class Authoriser:
    """Checks calls with ministack's evaluator, and keeps a record of every check, whoever asked for it.

    Args:
        log: Where the record goes.
    """

    def __init__(self, log: CallLog) -> None:
        """Wrap the evaluator, so that checks of other services are recorded as well."""
        self._log = log
        self._evaluator = patches.load(patches.EVALUATOR)
        self._responses = patches.load(patches.RESPONSES)
        self._enforce = self._evaluator.enforce
        self.enabled = bool(patches.load(patches.APP).AUTH)
        patches.wrap(patches.EVALUATOR, "enforce", lambda _original: self._recorded)

    def caller_arn(self, access_key: str) -> str:
        """Return the ARN of whoever owns the key, the account's root when nobody does."""
        account = self._responses.get_account_id()
        credential = self._evaluator.resolve_credential(access_key, account)
        return str(getattr(credential, "principal_arn", f"arn:aws:iam::{account}:root"))

    def refuse(self, access_key: str, check: Check, region: str) -> Denial | None:
        """Return why a check fails, or None; record it either way."""
        denied = None
        resource = check.resources[0]
        if self.enabled:
            for resource in check.resources:
                denied = self._enforce(access_key, check.action, SERVICE, region, resource, dict(check.context))
                if denied:
                    break
        self._record(access_key, check, denied, check.action.partition(":")[0])
        if denied is None:
            return None
        if isinstance(denied, self._evaluator.AuthError):
            return Denial(denied.message, denied)
        describe = patches.load(patches.ACTIONS).identity_denial_message
        return Denial(describe(check.action, denied.principal_arn, resource, denied.decision == "Deny"))

    def _recorded(  # noqa: PLR0913, PLR0917 - the signature of ministack's enforce
        self,
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        """Check as ministack does, and record it."""
        denied = self._enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
        self._record(access_key_id, Check(iam_action, (resource_arn,), service_context or {}), denied, service)
        return denied

    def _record(self, access_key: str, check: Check, denied: Any, service: str) -> None:
        """Keep one check."""
        principal = getattr(denied, "principal_arn", "") or self.caller_arn(access_key)
        context = {key.lower(): value for key, value in check.context.items() if isinstance(value, (str, list))}
        self._log.add(Call(service, check.action, check.resources, principal, denied is None, context))
