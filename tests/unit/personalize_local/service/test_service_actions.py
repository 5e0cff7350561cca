"""Actions and action interactions are taken, and are not exported."""

from __future__ import annotations

from typing import Any

import pytest

from personalize_local.service.state import DATASET

INTERACTION = {"actionId": "enroll", "userId": "u", "sessionId": "s", "timestamp": 1, "eventType": "Taken"}


@pytest.fixture
def tracker(world: Any) -> str:
    group = world.group()
    world.dataset("Action_Interactions", group=group)
    return str(world.tracker(group))


def kept(world: Any) -> list[str]:
    """Return the action interactions of the only dataset, which no operation of the API shows."""
    [dataset] = world.service._control.region(world.caller).of(DATASET, datasetType="ACTION_INTERACTIONS")
    return [line.decode() for block in dataset.rows.snapshot("ALL") for line in block.lines()]


def test_actions_are_taken_and_checked(world: Any) -> None:
    actions = world.dataset("Actions")
    good = {"actionId": "enroll", "properties": '{"value": 10, "level": "gold"}'}
    assert world.call("PutActions", datasetArn=actions, actions=[good]) == {}
    refused = world.refusal("PutActions", datasetArn=actions, actions=[{"actionId": "x", "properties": '{"value": 1}'}])
    assert refused.message == (
        "The value of LEVEL does not match the schema: the value is empty but the schema does not allow null."
    )
    users = world.dataset("Users", group=world.group("other"))
    refused = world.refusal("PutActions", datasetArn=users, actions=[good])
    assert refused.message == f"The dataset {users} is not of type ACTIONS."


def test_actions_can_be_imported_in_bulk(world: Any) -> None:
    actions = world.dataset("Actions")
    header = "ACTION_ID,VALUE,LEVEL\n"
    assert world.import_file(actions, header + "a,1,gold\n", "one")["status"] == "ACTIVE"
    assert world.import_file(actions, header + "a,2,gold\n", "two", importMode="INCREMENTAL")["status"] == "ACTIVE"


def test_action_interactions_are_kept_with_the_event_types_of_bulk_data(world: Any, tracker: str) -> None:
    interactions = [
        INTERACTION,
        {**INTERACTION, "eventType": "Not Taken", "properties": '{"device": "phone"}'},
        {**INTERACTION, "eventType": "viewed", "timestamp": 2},
    ]
    assert world.call("PutActionInteractions", trackingId=tracker, actionInteractions=interactions) == {}
    assert kept(world) == ["u,enroll,TAKEN,1,", "u,enroll,NOT_TAKEN,1,phone", "u,enroll,VIEWED,2,"]


def test_action_interactions_without_a_user_wait_for_one(world: Any, tracker: str) -> None:
    anonymous = {name: value for name, value in INTERACTION.items() if name != "userId"}
    world.call("PutActionInteractions", trackingId=tracker, actionInteractions=[anonymous])
    assert kept(world) == []
    later = {**INTERACTION, "timestamp": 2}
    world.call("PutActionInteractions", trackingId=tracker, actionInteractions=[{**later, "sessionId": "other"}])
    assert kept(world) == ["u,enroll,TAKEN,2,"]
    world.call("PutActionInteractions", trackingId=tracker, actionInteractions=[later])
    assert kept(world) == ["u,enroll,TAKEN,2,", "u,enroll,TAKEN,1,", "u,enroll,TAKEN,2,"]


def test_action_interactions_are_kept_all_or_none(world: Any, tracker: str) -> None:
    wrong = {**INTERACTION, "eventType": "Ignored"}
    refused = world.refusal("PutActionInteractions", trackingId=tracker, actionInteractions=[INTERACTION, wrong])
    assert refused.message == "The event type Ignored is not one of Taken, Not Taken, Viewed."
    assert kept(world) == []


def test_tracker_without_the_dataset_takes_no_action_interactions(world: Any) -> None:
    group = world.group()
    refused = world.refusal("PutActionInteractions", trackingId=world.tracker(group), actionInteractions=[INTERACTION])
    assert refused.message == f"The dataset group {group} has no active Action interactions dataset."


@pytest.mark.parametrize("kind", ["Actions", "Action_Interactions"])
def test_neither_can_be_exported(world: Any, kind: str) -> None:
    dataset = world.dataset(kind)
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(dataset))
    assert refused.message == f"A dataset of type {kind.upper()} can not be exported."
