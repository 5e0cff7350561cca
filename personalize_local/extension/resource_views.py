"""What CloudFormation says about the resources of a stack, at every moment of an operation.

ministack keeps a record of what is there; the last event of a resource tells how it is. `DescribeStackResource`,
`DescribeStackResources` and `ListStackResources` therefore answer from both:
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResource.html. The texts of errors,
and that a removed resource is unknown, are as recorded on AWS in the tests of others.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Handler = "Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]]"

ACTIONS = ("DescribeStackResource", "DescribeStackResources", "ListStackResources")
ABSENT = b"<PhysicalResourceId></PhysicalResourceId>"  # a resource that has no id yet has no such element

_views_wanted: ContextVar[bool] = ContextVar("personalize_local_resource_views", default=False)


def register() -> None:
    """Wrap the operations, and name the stack itself where a policy decides."""
    handlers = patches.load(patches.CLOUDFORMATION_HANDLERS)
    for action in ACTIONS:
        table = handlers._ACTION_HANDLERS  # noqa: SLF001 - ministack has no public interface
        table[action] = _answering(action, table[action])
    patches.wrap(patches.CLOUDFORMATION_HANDLERS, "_resolve_stack", _with_views)
    patches.wrap(patches.ACTIONS, "extract_resource_arn", _name_the_stack)


def _answering(action: str, original: Any) -> Any:
    """Answer an operation from the views; errors are worded as CloudFormation words them."""

    def answer(params: dict[str, Any]) -> Any:
        handlers = patches.load(patches.CLOUDFORMATION_HANDLERS)
        name, logical_id = handlers._p(params, "StackName"), handlers._p(params, "LogicalResourceId")  # noqa: SLF001
        stack = _find(name)
        if name and stack is None:
            text = f"Stack '{name}' does not exist" if action == ACTIONS[0] else f"Stack with id {name} does not exist"
            return handlers._error("ValidationError", text)  # noqa: SLF001
        if stack is not None and logical_id and logical_id not in views(stack):
            return handlers._error("ValidationError", f"Resource {logical_id} does not exist for stack {name}")  # noqa: SLF001
        token = _views_wanted.set(True)
        try:
            status, headers, body = original(params)
        finally:
            _views_wanted.reset(token)
        return status, headers, body.replace(ABSENT, b"")

    return answer


def _with_views(original: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let the operations see the views in place of the records."""

    def resolve(name: str) -> Any:
        stack = original(name)
        return {**stack, "_resources": views(stack)} if stack is not None and _views_wanted.get() else stack

    return resolve


def _find(name: str) -> dict[str, Any] | None:
    """Return a stack by its id, or by the name of one that is not deleted."""
    stacks: Mapping[str, dict[str, Any]] = patches.load(patches.CLOUDFORMATION)._stacks  # noqa: SLF001
    stack = stacks.get(name)
    if stack is not None:
        return stack if stack["StackStatus"] != "DELETE_COMPLETE" else None
    return next((stack for stack in stacks.values() if stack["StackId"] == name), None)


def views(stack: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the resources of a stack as they are described, by logical id."""
    events = patches.load(patches.CLOUDFORMATION)._stack_events.get(stack["StackId"], [])  # noqa: SLF001
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        logical_id = event["LogicalResourceId"]
        if event["PhysicalResourceId"] == stack["StackId"]:
            continue  # the stack's own
        if not _is_predecessors(event, found.get(logical_id)):
            found[logical_id] = _after(event, found.get(logical_id), stack)
    for logical_id, record in stack.get("_resources", {}).items():
        view = found.get(logical_id)
        if view is None or view["ResourceStatus"] == "DELETE_COMPLETE":
            found[logical_id] = record  # a replacement that was rolled back has no event of its own
    return {logical_id: view for logical_id, view in found.items() if not _is_gone(view, stack)}


def _is_predecessors(event: Mapping[str, Any], view: Mapping[str, Any] | None) -> bool:
    """Tell whether an event is about the deletion of what the resource replaced, or was replaced with."""
    return (
        view is not None
        and event["ResourceStatus"].startswith("DELETE_")
        and view["PhysicalResourceId"] not in {"", event["PhysicalResourceId"]}
    )


def _after(event: Mapping[str, Any], view: Mapping[str, Any] | None, stack: Mapping[str, Any]) -> dict[str, Any]:
    """Return the view of a resource after an event."""
    record = stack.get("_resources", {}).get(event["LogicalResourceId"], {})
    return {
        **record,
        "LogicalResourceId": event["LogicalResourceId"],
        "PhysicalResourceId": event["PhysicalResourceId"] or (view or {}).get("PhysicalResourceId", ""),
        "ResourceType": event["ResourceType"],
        "ResourceStatus": event["ResourceStatus"],
        "ResourceStatusReason": event["ResourceStatusReason"],
        "Timestamp": event["Timestamp"],
    }


def _is_gone(view: Mapping[str, Any], stack: Mapping[str, Any]) -> bool:
    """Tell whether a resource is none of the stack's any more; those of a deleted stack are still described."""
    if stack["StackStatus"] == "DELETE_COMPLETE":
        return False
    if view["ResourceStatus"] == "CREATE_FAILED":
        return bool(stack["StackStatus"].endswith("ROLLBACK_COMPLETE"))
    return view["ResourceStatus"] in {"DELETE_COMPLETE", "DELETE_SKIPPED"}


def _name_the_stack(original: Callable[..., str]) -> Callable[..., str]:
    """Let the resource a policy is asked about be the stack's own ARN, with the id at its end, where there is one."""

    def extract(service: str, *args: Any, **kwargs: Any) -> str:
        arn = original(service, *args, **kwargs)
        if service != "cloudformation" or not arn.endswith("/*"):
            return arn
        stack = _find(arn.split("/")[1])
        return str(stack["StackId"]) if stack is not None else arn

    return extract
