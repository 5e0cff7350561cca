"""Change sets that change outputs alone: CloudFormation executes them, ministack says that nothing changed.

Such a change set is CREATE_COMPLETE and lists no changes:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ACTION = "CreateChangeSet"


def register() -> None:
    """Look at the outputs once a change set is created."""
    handlers = patches.load(patches.CLOUDFORMATION_HANDLERS)._ACTION_HANDLERS  # noqa: SLF001 - no public interface
    handlers[ACTION] = _looking_at_outputs(handlers[ACTION])


def _looking_at_outputs(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def create(params: dict[str, Any]) -> Any:
        cloudformation = patches.load(patches.CLOUDFORMATION)
        before = set(cloudformation._change_sets)  # noqa: SLF001 - ministack has no public interface
        response = original(params)
        for identifier in set(cloudformation._change_sets) - before:  # noqa: SLF001
            change_set = cloudformation._change_sets[identifier]  # noqa: SLF001
            stack = cloudformation._stacks[change_set["StackName"]]  # noqa: SLF001
            if _found_nothing(change_set) and _changes_outputs(change_set, stack):
                change_set.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")
        return response

    return create


def _found_nothing(change_set: Mapping[str, Any]) -> bool:
    """Tell whether ministack found no change of a resource."""
    is_failed = change_set["ChangeSetType"] == "UPDATE" and change_set["Status"] == "FAILED"
    return is_failed and str(change_set["StatusReason"]).startswith("The submitted information didn't contain changes.")


def _changes_outputs(change_set: Mapping[str, Any], stack: Mapping[str, Any]) -> bool:
    """Tell whether the outputs would be others; what can not be resolved is a change, and fails when executed."""
    stacks = patches.load(patches.STACKS)
    template, parameters = change_set["_template"], change_set["_resolved_params"]
    conditions = stacks._evaluate_conditions(template, parameters)  # noqa: SLF001 - ministack has no public interface
    try:
        outputs, _exports = stacks._resolve_stack_outputs(  # noqa: SLF001
            template.get("Outputs", {}),
            conditions,
            stack["_resources"],
            parameters,
            template.get("Mappings", {}),
            stack["StackName"],
            stack["StackId"],
        )
    except Exception:  # noqa: BLE001 - a template's mistake; its words come with the execution
        return True
    return bool(outputs != stack["Outputs"])
