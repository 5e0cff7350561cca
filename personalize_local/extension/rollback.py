"""Rollbacks as CloudFormation does them, where ministack does less.

A resource whose create failed is deleted. A custom resource that was replaced is updated again with its old
properties, then the replacement is deleted:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes-update.html.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches
from personalize_local.extension.failures import is_custom

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from personalize_local.extension.failures import FailedCreates

logger = logging.getLogger("personalize_local")


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
        self._announced: set[str] = set()  # the stacks whose rollback has its first event already
        self._update_resource = stacks._update_resource  # noqa: SLF001
        self._run = stacks.run_reentrant

    def register(self) -> None:
        """Wrap them where they are defined, and where they were imported."""
        patches.wrap(patches.STACKS, "_add_event", self._add_once)
        for module in (patches.STACKS, patches.CLOUDFORMATION_HANDLERS):
            patches.wrap(module, "_roll_back_operation", self._roll_back)
            patches.wrap(module, "_delete_stack_async", self._delete)

    def _roll_back(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def roll_back(
            stack_name: str, stack_id: str, stack: dict[str, Any], operation: dict[str, Any], reason: str = ""
        ) -> None:
            self._adopt_failed_creates(stack_name, stack, operation["created"])
            if stack.pop("_cancel_requested", False):
                operation["cancelled"] = True
                patches.load(patches.STACKS).CLIENT_REQUEST_TOKEN.set(stack.pop("_cancel_token", ""))
            self._announce(stack_name, stack_id, stack, operation, reason)
            stuck = await self._send_back_replaced(stack_name, stack_id, stack, operation)
            await original(stack_name, stack_id, stack, operation, reason)
            if stuck:
                self._fail(stack_name, stack_id, stack, stuck)

        return roll_back

    def _announce(
        self, stack_name: str, stack_id: str, stack: dict[str, Any], operation: dict[str, Any], reason: str
    ) -> None:
        """Let the stack roll back before its resources do: ministack says so after what is sent back here."""
        status = "UPDATE_ROLLBACK_IN_PROGRESS" if operation["is_update"] else "ROLLBACK_IN_PROGRESS"
        failed = operation.get("failed_logical_id")
        if not reason and operation.get("cancelled"):
            reason = "User Initiated"
        elif not reason and operation["is_update"] and failed:
            verb = "update" if operation.get("failed_update") is not None else "create"
            reason = f"The following resource(s) failed to {verb}: [{failed}]. "
        stack["StackStatus"] = status
        kind = "AWS::CloudFormation::Stack"
        self._add_event(stack_id, stack_name, stack_name, kind, status, reason or "Rollback requested", stack_id)
        self._announced.add(stack_id)

    def _add_once(self, original: Callable[..., None]) -> Callable[..., None]:
        def add(
            stack_id: str, stack_name: str, logical_id: str, kind: str, status: str, *rest: Any, **more: Any
        ) -> None:
            if logical_id == stack_name and status.endswith("ROLLBACK_IN_PROGRESS") and stack_id in self._announced:
                self._announced.remove(stack_id)
                return
            original(stack_id, stack_name, logical_id, kind, status, *rest, **more)

        return add

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
            if not then or not is_custom(str(now.get("ResourceType", ""))):
                continue
            if now["PhysicalResourceId"] == then["PhysicalResourceId"]:
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
