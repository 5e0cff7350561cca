"""Stack updates, and what CloudFormation says about a resource while one runs."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.personalize_local.stacks import Stack, custom

if TYPE_CHECKING:
    from collections.abc import Callable

    from personalize_local import LocalAws

WITHOUT_CHANGES = "The submitted information didn't contain changes."


@pytest.fixture
def stack(aws: LocalAws, world: Any) -> Stack:
    return Stack(aws, world.name)


def second_function(stack: Stack, name: str = "") -> dict[str, Any]:
    """The same function again, under another logical id and name."""
    function: dict[str, Any] = stack.base["Function"]
    properties = {**function["Properties"], "FunctionName": name or f"{stack.name}-b"}
    return {**function, "Properties": properties}


def served_by(logical_id: str, identifier: str = "id", kind: str = "Custom::Test") -> dict[str, Any]:
    resource = custom(identifier)
    resource["Properties"]["ServiceToken"] = {"Fn::GetAtt": [logical_id, "Arn"]}
    return {**resource, "Type": kind}


def events_of(stack: Stack, logical_id: str) -> list[str]:
    """The statuses of a resource, oldest first."""
    events = stack.cloudformation.describe_stack_events(StackName=stack.id())["StackEvents"]
    return [event["ResourceStatus"] for event in reversed(events) if event["LogicalResourceId"] == logical_id]


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("kind", ["Custom::Test", "AWS::CloudFormation::CustomResource"])
def test_a_changed_service_token_is_refused_and_no_function_is_invoked(stack: Stack, kind: str) -> None:
    other = second_function(stack)
    assert stack.deploy({"B": other, "A": served_by("Function", kind=kind)}) == "CREATE_COMPLETE"
    assert stack.deploy({"B": other, "A": served_by("B", "new", kind=kind)}) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Modifying service token is not allowed." in stack.reasons()
    assert events_of(stack, "A") == [
        "CREATE_IN_PROGRESS",
        "CREATE_COMPLETE",
        "UPDATE_IN_PROGRESS",
        "UPDATE_FAILED",
        "UPDATE_COMPLETE",
    ]
    harmless = served_by("Function", kind=kind)
    harmless["Properties"]["More"] = "yes"
    assert stack.deploy({"B": other, "A": harmless}) == "UPDATE_COMPLETE"
    assert stack.received(2) == [("Create", None), ("Update", "id")]  # the refused update invoked nothing


def test_a_function_that_is_replaced_changes_the_service_token(stack: Stack) -> None:
    assert stack.deploy({"B": second_function(stack), "A": served_by("B")}) == "CREATE_COMPLETE"
    renamed = second_function(stack, f"{stack.name}-c")
    assert stack.deploy({"B": renamed, "A": served_by("B")}) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Modifying service token is not allowed." in stack.reasons()
    names = {found["FunctionName"] for found in stack.aws.client("lambda").list_functions()["Functions"]}
    assert f"{stack.name}-b" in names
    assert f"{stack.name}-c" not in names


def test_a_resource_under_a_new_logical_id_is_created_before_the_old_one_and_its_function_go(stack: Stack) -> None:
    assert stack.deploy({"B": second_function(stack), "A": served_by("B", "old")}) == "CREATE_COMPLETE"
    renamed = second_function(stack, f"{stack.name}-c")
    assert stack.deploy({"B": renamed, "A2": served_by("B", "new")}) == "UPDATE_COMPLETE"
    events = stack.cloudformation.describe_stack_events(StackName=stack.name)["StackEvents"]
    told = [(event["LogicalResourceId"], event["ResourceStatus"]) for event in reversed(events)]
    clean_up = told.index((stack.name, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"))
    assert told.index(("A2", "CREATE_COMPLETE")) < clean_up
    assert told[clean_up + 1 :] == [
        ("A", "DELETE_IN_PROGRESS"),
        ("A", "DELETE_COMPLETE"),
        ("B", "DELETE_IN_PROGRESS"),
        ("B", "DELETE_COMPLETE"),
        (stack.name, "UPDATE_COMPLETE"),
    ]
    assert stack.received(3) == [("Create", None), ("Create", None), ("Delete", "old")]


def test_a_removed_resource_and_its_removed_function_go_in_that_order(stack: Stack) -> None:
    assert stack.deploy({"B": second_function(stack), "A": served_by("B", "old")}) == "CREATE_COMPLETE"
    assert stack.deploy({}) == "UPDATE_COMPLETE"
    assert stack.received(2) == [("Create", None), ("Delete", "old")]
    assert events_of(stack, "B")[-1] == "DELETE_COMPLETE"


def test_the_stack_says_that_it_cleans_up_while_a_removed_resource_is_deleted(stack: Stack) -> None:
    assert stack.deploy({"A": custom("a", Seconds="2", Slow="Delete")}) == "CREATE_COMPLETE"
    stack.update({})
    until(lambda: stack.status() == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    assert stack.resource("A")["ResourceStatus"] == "DELETE_IN_PROGRESS"
    assert stack.settled() == "UPDATE_COMPLETE"


def test_a_failed_clean_up_completes_the_update_and_is_tried_again(stack: Stack) -> None:
    assert stack.deploy({"A": custom("a", Fail="Delete")}) == "CREATE_COMPLETE"
    assert stack.deploy({}) == "UPDATE_COMPLETE"
    assert events_of(stack, "A")[-2:] == ["DELETE_IN_PROGRESS", "DELETE_FAILED"]
    assert "as asked" in stack.resource("A")["ResourceStatusReason"]
    assert stack.deploy({"B": custom("b")}) == "UPDATE_COMPLETE"
    assert stack.received(4).count(("Delete", "a")) == 2


@pytest.mark.parametrize("how", ["update", "change set"])
def test_an_update_of_outputs_alone_is_deployed(stack: Stack, how: str) -> None:
    resources = {"A": custom("a")}
    assert stack.deploy(resources) == "CREATE_COMPLETE"
    for value in ("one", {"Fn::GetAtt": ["A", "Echo"]}):
        outputs = {"Said": value}
        if how == "update":
            assert stack.deploy(resources, outputs) == "UPDATE_COMPLETE"
        else:
            assert stack.execute_change_set(resources, outputs) == "UPDATE_COMPLETE"
        assert stack.outputs() == {"Said": "one" if value == "one" else "a"}
    assert events_of(stack, "A") == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    assert stack.received(1) == [("Create", None)]


def test_a_change_set_without_changes_is_still_refused(stack: Stack) -> None:
    resources, outputs = {"A": custom("a")}, {"Said": {"Ref": "A"}}
    assert stack.deploy(resources, outputs) == "CREATE_COMPLETE"
    described = stack.change_set(resources, outputs)
    assert described["Status"] == "FAILED"
    assert described["StatusReason"].startswith(WITHOUT_CHANGES)


def test_a_resource_is_described_while_it_is_created(stack: Stack) -> None:
    slow = {"A": custom("a", Seconds="1.5", Slow="Create"), "B": custom("b", after="A")}
    stack.create(slow)
    until(lambda: events_of(stack, "A"))
    described = stack.resource("A")
    assert described["ResourceStatus"] == "CREATE_IN_PROGRESS"
    assert "PhysicalResourceId" not in described
    assert abs((datetime.now(timezone.utc) - described["LastUpdatedTimestamp"]).total_seconds()) < 5
    with pytest.raises(ClientError, match=f"Resource B does not exist for stack {stack.name}"):
        stack.resource("B")
    assert stack.settled() == "CREATE_COMPLETE"
    completed = stack.resource("A")
    assert (completed["ResourceStatus"], completed["PhysicalResourceId"]) == ("CREATE_COMPLETE", "a")
    assert completed["LastUpdatedTimestamp"] > described["LastUpdatedTimestamp"]


def test_a_resource_is_described_while_it_is_updated_and_one_that_is_not_touched_keeps_its_time(stack: Stack) -> None:
    assert stack.deploy({"A": custom("a"), "B": custom("b")}) == "CREATE_COMPLETE"
    before = {name: stack.resource(name) for name in ("A", "B")}
    stack.update({"A": custom("a", Seconds="1.5", Slow="Update"), "B": custom("b"), "C": custom("c", after="A")})
    during = until(lambda: (found := stack.resource("A"))["ResourceStatus"] == "UPDATE_IN_PROGRESS" and found)
    assert during["PhysicalResourceId"] == "a"
    assert during["LastUpdatedTimestamp"] > before["A"]["LastUpdatedTimestamp"]
    assert stack.settled() == "UPDATE_COMPLETE"
    assert stack.resource("A")["ResourceStatus"] == "UPDATE_COMPLETE"
    assert stack.resource("B")["ResourceStatus"] == "CREATE_COMPLETE"
    assert stack.resource("B")["LastUpdatedTimestamp"] == before["B"]["LastUpdatedTimestamp"]
    assert stack.resource("C")["ResourceStatus"] == "CREATE_COMPLETE"  # created, though in an update
    listed = stack.cloudformation.list_stack_resources(StackName=stack.name)["StackResourceSummaries"]
    described = stack.cloudformation.describe_stack_resources(StackName=stack.name)["StackResources"]
    statuses = {"A": "UPDATE_COMPLETE", "B": "CREATE_COMPLETE", "C": "CREATE_COMPLETE", "Function": "CREATE_COMPLETE"}
    for found in (listed, described):
        assert {item["LogicalResourceId"]: item["ResourceStatus"] for item in found} == statuses


def test_a_cancelled_update_gives_the_running_resource_up_at_once(stack: Stack) -> None:
    assert stack.deploy({"A": custom("a")}) == "CREATE_COMPLETE"
    stack.update({"A": custom("a", Seconds="6", Slow="Update")})
    until(lambda: stack.resource("A")["ResourceStatus"] == "UPDATE_IN_PROGRESS")
    begun = time.monotonic()
    stack.cloudformation.cancel_update_stack(StackName=stack.name)
    until(lambda: "UPDATE_FAILED" in events_of(stack, "A"))
    assert time.monotonic() - begun < 4
    assert stack.settled() == "UPDATE_ROLLBACK_COMPLETE"
    assert "Resource update cancelled" in stack.reasons()
    events = stack.cloudformation.describe_stack_events(StackName=stack.name)["StackEvents"]
    (rollback,) = [event for event in events if event["ResourceStatus"] == "UPDATE_ROLLBACK_IN_PROGRESS"]
    assert rollback["ResourceStatusReason"] == "User Initiated"
    described = stack.resource("A")
    assert (described["ResourceStatus"], described["PhysicalResourceId"]) == ("UPDATE_COMPLETE", "a")
    assert "ResourceStatusReason" not in described
    received = stack.received(3)
    assert received.count(("Update", "a")) == 2  # the one that was given up, and the one back


def test_a_cancelled_create_gets_its_delete_and_its_late_answer_is_taken_and_not_heard(stack: Stack) -> None:
    assert stack.deploy({"A": custom("a")}) == "CREATE_COMPLETE"
    stack.update({"A": custom("a"), "B": custom("b", Seconds="3", Slow="Create")})
    until(lambda: events_of(stack, "B"))
    stack.cloudformation.cancel_update_stack(StackName=stack.name)
    until(lambda: "CREATE_FAILED" in events_of(stack, "B"))
    assert stack.settled() == "UPDATE_ROLLBACK_COMPLETE"
    assert "Resource creation cancelled" in stack.reasons()
    with pytest.raises(ClientError, match=f"Resource B does not exist for stack {stack.name}"):
        stack.resource("B")
    kinds = [kind for kind, _ in stack.received(3)]
    assert sorted(kinds) == ["Create", "Create", "Delete"]
    assert stack.answers(3) == [200, 200, 200]


def test_a_resource_is_described_while_its_update_is_rolled_back(stack: Stack) -> None:
    assert stack.deploy({"A": custom("old")}) == "CREATE_COMPLETE"
    new = {"A": custom("new"), "B": custom("b", after="A", Fail="Create", Seconds="1.5", Slow="Delete")}
    stack.update(new)
    until(lambda: stack.status() == "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
    described = stack.resource("A")
    assert (described["ResourceStatus"], described["PhysicalResourceId"]) == ("UPDATE_COMPLETE", "old")
    assert stack.resource("B")["ResourceStatus"] == "DELETE_IN_PROGRESS"
    assert stack.settled() == "UPDATE_ROLLBACK_COMPLETE"
    told = [(event["LogicalResourceId"], event["ResourceStatus"]) for event in stack.events()]
    back = told.index((stack.name, "UPDATE_ROLLBACK_IN_PROGRESS"))
    assert told.index(("B", "CREATE_FAILED")) < back < told.index(("A", "UPDATE_COMPLETE"), back)


def test_what_is_not_there_is_named_as_cloudformation_names_it(stack: Stack) -> None:
    describe = stack.cloudformation.describe_stack_resource
    with pytest.raises(ClientError, match="Stack 'nowhere' does not exist") as error:
        describe(StackName="nowhere", LogicalResourceId="A")
    assert error.value.response["Error"]["Code"] == "ValidationError"
    assert stack.deploy({"A": custom("a")}) == "CREATE_COMPLETE"
    identifier = stack.id()
    with pytest.raises(ClientError, match=f"Resource Z does not exist for stack {identifier}"):
        describe(StackName=identifier, LogicalResourceId="Z")
    assert stack.deploy({"B": custom("b")}) == "UPDATE_COMPLETE"
    with pytest.raises(ClientError, match=f"Resource A does not exist for stack {stack.name}"):
        describe(StackName=stack.name, LogicalResourceId="A")
    assert stack.delete() == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match=f"Stack '{stack.name}' does not exist"):
        describe(StackName=stack.name, LogicalResourceId="B")
    described = describe(StackName=identifier, LogicalResourceId="B")["StackResourceDetail"]
    assert described["ResourceStatus"] == "DELETE_COMPLETE"


def test_describing_a_resource_is_allowed_by_the_arn_of_the_stack(stack: Stack, acting_as: Any) -> None:
    assert stack.deploy({"A": custom("a")}) == "CREATE_COMPLETE"
    own, action = stack.id(), "cloudformation:DescribeStackResource"
    allowed = acting_as((action, own), service="cloudformation")
    refused = acting_as((action, own.replace(stack.name, "Other")), service="cloudformation")
    for name in (stack.name, own):
        assert allowed.describe_stack_resource(StackName=name, LogicalResourceId="A")["StackResourceDetail"]
        with pytest.raises(ClientError, match=f"not authorized to perform: {action}"):
            refused.describe_stack_resource(StackName=name, LogicalResourceId="A")
