"""Rollbacks as CloudFormation does them, where ministack does less.

A resource whose create failed is deleted. A custom resource that was replaced is updated again with its old
properties, then the replacement is deleted:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes-update.html.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from personalize_local.extension.failures import FailedCreates

logger = logging.getLogger("personalize_local")

CUSTOM_RESOURCE = "AWS::CloudFormation::CustomResource"


class Rollbacks:
    """Wraps ministack's rollback and stack deletion.

    Args:
        failed_creates: The creates that failed.
    """

    def __init__(self, failed_creates: FailedCreates) -> None:
        """Keep them."""
        self._failed_creates = failed_creates
        stacks = patches.load(patches.STACKS)
        self._add_event = stacks._add_event  # noqa: SLF001 - ministack has no public interface
        self._update_resource = stacks._update_resource  # noqa: SLF001
        self._run = stacks.run_reentrant

    def register(self) -> None:
        """Wrap both."""
        patches.wrap(patches.STACKS, "_roll_back_operation", self._roll_back)
        patches.wrap(patches.STACKS, "_delete_stack_async", self._delete)

    def _roll_back(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def roll_back(
            stack_name: str, stack_id: str, stack: dict[str, Any], operation: dict[str, Any], reason: str = ""
        ) -> None:
            self._adopt_failed_creates(stack_name, stack, operation["created"])
            stuck = await self._send_back_replaced(stack_name, stack_id, stack, operation)
            await original(stack_name, stack_id, stack, operation, reason)
            if stuck:
                self._fail(stack_name, stack_id, stack, stuck)

        return roll_back

    def _delete(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def delete(stack_name: str, stack_id: str, *args: Any, **kwargs: Any) -> None:
            stacks = patches.load(patches.CLOUDFORMATION)._stacks  # noqa: SLF001 - no public interface
            if stack := stacks.get(stack_name):
                self._adopt_failed_creates(stack_name, stack, [])
            await original(stack_name, stack_id, *args, **kwargs)

        return delete

    def _adopt_failed_creates(self, stack_name: str, stack: dict[str, Any], created: list[str]) -> None:
        """Make failed creates resources of the stack, so that the rollback deletes them first."""
        resources = stack.setdefault("_resources", {})
        for logical_id, failed in self._failed_creates.take(stack_name).items():
            if logical_id in resources:
                continue  # a replacement that failed: the predecessor stays as it is
            resources[logical_id] = {
                "PhysicalResourceId": failed.physical_id,
                "ResourceType": failed.resource_type,
                "ResourceStatus": "CREATE_FAILED",
                "LogicalResourceId": logical_id,
                "Properties": failed.properties,
                "Attributes": {},
            }
            created.append(logical_id)

    async def _send_back_replaced(
        self, stack_name: str, stack_id: str, stack: dict[str, Any], operation: dict[str, Any]
    ) -> dict[str, Any]:
        """Send each replaced custom resource an Update with its old properties; return those that failed."""
        before = (operation.get("previous_stack") or {}).get("_resources", {})
        stuck = {}
        for logical_id in reversed(list(operation["created"])):
            now, then = stack["_resources"].get(logical_id, {}), before.get(logical_id)
            if not then or not _is_custom(now) or now["PhysicalResourceId"] == then["PhysicalResourceId"]:
                continue
            sent_back = await self._send_back(stack_name, stack_id, logical_id, now, then)
            if not sent_back:
                stuck[logical_id] = _to_retry(now, then)
            if not sent_back or then["PhysicalResourceId"] == now["PhysicalResourceId"]:
                operation["created"].remove(logical_id)  # so that the clean-up does not delete the replacement
        return stuck

    async def _send_back(
        self, stack_name: str, stack_id: str, logical_id: str, now: dict[str, Any], then: dict[str, Any]
    ) -> bool:
        """Update one custom resource back; the id it answers is the one the stack keeps."""
        kind, replacement = now["ResourceType"], now["PhysicalResourceId"]

        def event(status: str, reason: str, physical_id: str) -> None:
            self._add_event(stack_id, stack_name, logical_id, kind, status, reason, physical_id)

        event("UPDATE_IN_PROGRESS", "", replacement)
        arguments = (kind, replacement, now["Properties"], then["Properties"], stack_name, logical_id)
        try:
            physical_id, attributes = await self._run(self._update_resource, *arguments, now.get("Attributes"))
        except Exception as error:  # noqa: BLE001 - whatever it was, the event tells
            logger.warning("the rollback update of %s failed: %s", logical_id, error)
            event("UPDATE_FAILED", str(error), replacement)
            return False
        event("UPDATE_COMPLETE", "", physical_id)
        then["PhysicalResourceId"] = physical_id
        then["Attributes"] = attributes or then.get("Attributes", {})
        return True

    def _fail(self, stack_name: str, stack_id: str, stack: dict[str, Any], stuck: dict[str, Any]) -> None:
        """Leave the stack as CloudFormation does when it can not send a resource back."""
        events = patches.load(patches.CLOUDFORMATION)._stack_events[stack_id]  # noqa: SLF001 - no public interface
        if events[-1]["ResourceStatus"] == "UPDATE_ROLLBACK_COMPLETE":
            events.pop()
        reason = f"The following resource(s) failed to update: [{', '.join(sorted(stuck))}]. "
        stack["StackStatus"] = "UPDATE_ROLLBACK_FAILED"
        stack["StackStatusReason"] = reason
        stack["_rollback_failed"] = {**stack.get("_rollback_failed", {}), **stuck}
        kind = "AWS::CloudFormation::Stack"
        self._add_event(stack_id, stack_name, stack_name, kind, stack["StackStatus"], reason, stack_id)


def _to_retry(now: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """Return what ContinueUpdateRollback needs to send a resource back once more."""
    return {
        "PhysicalResourceId": now["PhysicalResourceId"],
        "ResourceType": now["ResourceType"],
        "RevertFrom": now["Properties"],
        "RevertTo": then["Properties"],
        "Attributes": now.get("Attributes", {}),
    }


def _is_custom(resource: dict[str, Any]) -> bool:
    """Tell whether a resource is a custom one."""
    kind = str(resource.get("ResourceType", ""))
    return kind.startswith("Custom::") or kind == CUSTOM_RESOURCE
