"""Stack updates as CloudFormation does them, where ministack does more, less, or in another order.

- The service token of a custom resource can not be changed: the resource fails, and no function is invoked
  (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-customresource.html;
  the text is the one users report).
- A resource whose properties do not change is not touched: it has no events, and keeps its status and time. One that
  the update adds is created, not updated.
- What an update removes or replaces is deleted at its end, while the stack is UPDATE_COMPLETE_CLEANUP_IN_PROGRESS, a
  dependent before what it depends on:
  https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-update-behaviors.html.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches
from personalize_local.extension.failures import is_custom

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger("personalize_local")

STACK = "AWS::CloudFormation::Stack"
CHANGED_SERVICE_TOKEN = "Modifying service token is not allowed."  # noqa: S105 - a text, not a token
FORWARD = "UPDATE_IN_PROGRESS"
CLEANING_UP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"


@dataclass(frozen=True)
class Removal:
    """A resource to delete at the end of an update; a replacement of its physical id may have its events.

    Args:
        logical_id: Its logical id.
        resource_type: Its type.
        physical_id: Its physical id; empty when the deletion has no events, as the successor bears the same id.
        delete: What deletes it.
    """

    logical_id: str
    resource_type: str
    physical_id: str
    delete: Callable[[], None]


@dataclass
class Update:
    """One running update: what is begun, what to delete at its end.

    Args:
        stack: The stack's record.
        known: The logical ids the stack had before.
    """

    stack: dict[str, Any]
    known: frozenset[str]
    begun: tuple[str, str] = ("", "")  # logical id and type of a resource whose first event is not shown yet
    untouched: bool = False
    updating: tuple[str, str] = ("", "")  # logical id and type of the one whose handler runs

    def __post_init__(self) -> None:
        """Nothing to delete yet."""
        self.removals: list[Removal] = []

    @property
    def forward(self) -> bool:
        """Whether it still goes forward; a rollback runs in the same context."""
        return bool(self.stack["StackStatus"] == FORWARD)


_running: ContextVar[Update | None] = ContextVar("personalize_local_running_update", default=None)


def _going_forward() -> Update | None:
    """Return the update that goes forward in this context, if one does."""
    update = _running.get()
    return update if update is not None and update.forward else None


class Updates:
    """Wraps ministack's update."""

    def __init__(self) -> None:
        """Keep what the clean-up needs."""
        self._stacks = patches.load(patches.STACKS)
        self._add_event = self._stacks._add_event  # noqa: SLF001 - ministack has no public interface

    def register(self) -> None:
        """Wrap everything."""
        for module in (patches.STACKS, patches.PROVISIONERS):
            patches.wrap(module, "_custom_named_replacement_error", _refuse_changed_service_token)
        for module in (patches.STACKS, patches.CLOUDFORMATION_HANDLERS, patches.CHANGE_SETS):
            patches.wrap(module, "_deploy_stack_async", self._deploy)
        patches.wrap(patches.STACKS, "_add_event", lambda _original: self._event)
        patches.wrap(patches.STACKS, "_update_resource", self._update)
        patches.wrap(patches.STACKS, "_delete_resource", _put_off)
        patches.wrap(patches.PROVISIONERS, "_delete_predecessor", _put_off_predecessor)

    def _deploy(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def deploy(stack_name: str, stack_id: str, *args: Any, **options: Any) -> None:
            previous = options.get("previous_stack")
            if not options.get("is_update") or not previous:
                await original(stack_name, stack_id, *args, **options)
                return
            stack = patches.load(patches.CLOUDFORMATION)._stacks[stack_name]  # noqa: SLF001 - no public interface
            update = Update(stack, frozenset(previous["_resources"]))
            token = _running.set(update)
            try:
                await original(stack_name, stack_id, *args, **options)
            finally:
                _running.reset(token)
            if stack["StackStatus"] == "UPDATE_COMPLETE":
                await self._clean_up(stack_name, stack_id, update, previous)

        return deploy

    def _event(  # noqa: PLR0913, PLR0917 - the signature of ministack's function
        self,
        stack_id: str,
        stack_name: str,
        logical_id: str,
        resource_type: str,
        status: str,
        reason: str = "",
        physical_id: str = "",
        detailed_status: str = "",
    ) -> None:
        """Add an event, named as CloudFormation names it, or none for a resource that is not touched."""
        update = _running.get()
        if update is None or update.stack["StackId"] != stack_id:
            self._add_event(
                stack_id, stack_name, logical_id, resource_type, status, reason, physical_id, detailed_status
            )
            return
        if logical_id == stack_name and status == "UPDATE_COMPLETE":
            status = CLEANING_UP
        elif update.forward and status.startswith("UPDATE_") and logical_id != stack_name:
            if logical_id not in update.known:
                status = status.replace("UPDATE_", "CREATE_")
            elif status == FORWARD and not reason:
                update.begun, update.untouched = (logical_id, resource_type), False
                return
            elif status == "UPDATE_COMPLETE" and update.untouched:
                update.begun = ("", "")
                return
            else:
                self._show_begun(update, stack_name)
                physical_id = physical_id or _physical_id(update, logical_id)
        self._add_event(stack_id, stack_name, logical_id, resource_type, status, reason, physical_id, detailed_status)

    def _show_begun(self, update: Update, stack_name: str) -> None:
        """Show the first event of a resource that is really touched."""
        (logical_id, kind), update.begun = update.begun, ("", "")
        if logical_id:
            physical_id = _physical_id(update, logical_id)
            self._add_event(update.stack["StackId"], stack_name, logical_id, kind, FORWARD, physical_id=physical_id)

    def _update(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def update_resource(  # noqa: PLR0913, PLR0917 - the signature of ministack's function
            kind: str,
            physical_id: str,
            old: dict[str, Any],
            new: dict[str, Any],
            stack_name: str,
            logical_id: str,
            attributes: dict[str, Any] | None = None,
        ) -> Any:
            update = _going_forward()
            if update is not None:
                update.untouched = old == new
                update.updating = (logical_id, kind)
                if not update.untouched:
                    self._show_begun(update, stack_name)
            return original(kind, physical_id, old, new, stack_name, logical_id, attributes)

        return update_resource

    async def _clean_up(self, stack_name: str, stack_id: str, update: Update, previous: dict[str, Any]) -> None:
        """Delete what is not needed any more, and complete the update."""
        update.stack["StackStatus"] = CLEANING_UP
        for removal in self._dependents_first(update.removals, previous):
            await self._remove(stack_name, stack_id, removal, update, previous)
        update.stack["StackStatus"] = "UPDATE_COMPLETE"
        self._add_event(stack_id, stack_name, stack_name, STACK, "UPDATE_COMPLETE", physical_id=stack_id)

    def _dependents_first(self, removals: list[Removal], previous: dict[str, Any]) -> list[Removal]:
        """Order them by the template they come from."""
        definitions = (previous.get("_template") or {}).get("Resources", {})
        order = self._stacks._topological_sort(definitions, previous.get("_conditions") or {})  # noqa: SLF001
        position = {logical_id: index for index, logical_id in enumerate(order)}
        return sorted(removals, key=lambda removal: position.get(removal.logical_id, len(order)), reverse=True)

    async def _remove(
        self, stack_name: str, stack_id: str, removal: Removal, update: Update, previous: dict[str, Any]
    ) -> None:
        """Delete one resource; a failure leaves it behind and does not fail the update."""
        logical_id, kind, physical_id = removal.logical_id, removal.resource_type, removal.physical_id

        def event(status: str, reason: str = "") -> None:
            if physical_id:
                self._add_event(stack_id, stack_name, logical_id, kind, status, reason, physical_id)

        event("DELETE_IN_PROGRESS")
        try:
            if self._stacks._runs_on_worker_thread(kind):  # noqa: SLF001
                await self._stacks.run_reentrant(removal.delete)
            else:
                removal.delete()
        except Exception as error:  # noqa: BLE001 - whatever it was, the event tells
            logger.warning("the deletion of %s (%s) failed: %s", logical_id, physical_id, error)
            event("DELETE_FAILED", str(error))
            if logical_id not in update.stack["_resources"]:  # so that the next update or the deletion tries again
                failed = {"ResourceStatus": "DELETE_FAILED", "ResourceStatusReason": str(error)}
                update.stack["_resources"][logical_id] = {**previous["_resources"][logical_id], **failed}
            return
        event("DELETE_COMPLETE")


def _physical_id(update: Update, logical_id: str) -> str:
    """Return the physical id a resource has at this moment."""
    return str(update.stack["_resources"].get(logical_id, {}).get("PhysicalResourceId", ""))


def _refuse_changed_service_token(original: Callable[..., str | None]) -> Callable[..., str | None]:
    """Refuse it where ministack refuses to replace a named resource: nothing is invoked, nothing is sent back."""

    def refuse(kind: str, old: dict[str, Any], new: dict[str, Any], physical_id: str | None = None) -> str | None:
        if is_custom(kind) and old.get("ServiceToken") != new.get("ServiceToken"):
            return CHANGED_SERVICE_TOKEN
        return original(kind, old, new, physical_id)

    return refuse


def _put_off(original: Callable[..., None]) -> Callable[..., None]:
    """Put the deletion of what an update removes or replaces off to its end."""

    def delete(
        kind: str,
        physical_id: str,
        props: dict[str, Any],
        stack_name: str | None = None,
        logical_id: str | None = None,
    ) -> None:
        update = _going_forward()
        if update is None:
            original(kind, physical_id, props, stack_name, logical_id)
            return
        later = lambda: original(kind, physical_id, props, stack_name, logical_id)  # noqa: E731
        update.removals.append(Removal(logical_id or "", kind, physical_id, later))

    return delete


def _put_off_predecessor(original: Callable[..., None]) -> Callable[..., None]:
    """Put off what a type deletes itself once it has replaced a resource."""

    def delete_predecessor(delete: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        update = _going_forward()
        if update is None:
            original(delete, *args, **kwargs)
            return
        logical_id, kind = update.updating

        def put_off(*args: Any, **kwargs: Any) -> None:
            update.removals.append(Removal(logical_id, kind, "", lambda: delete(*args, **kwargs)))

        original(put_off, *args, **kwargs)

    return delete_predecessor
