"""Records that arrive one by one may come at the documented rates, for each operation of each dataset group."""

from __future__ import annotations

from typing import Any

from personalize_local.service.quotas import Quotas

EVENTS = {"userId": "u", "sessionId": "s", "eventList": [{"eventType": "view", "itemId": "i", "sentAt": 1}]}


def test_eleventh_put_items_in_a_second_is_refused_and_there_is_another_after_a_tenth_of_it(new_world: Any) -> None:
    world = new_world(record_requests_per_second=Quotas().record_requests_per_second)
    items = world.dataset("Items")
    request = {"datasetArn": items, "items": [{"itemId": "i"}]}
    for _ in range(10):
        world.call("PutItems", **request)
    refused = world.refusal("PutItems", **request)
    assert (refused.code, refused.message, refused.status) == ("ThrottlingException", "Rate exceeded", 400)
    world.now += 0.11
    world.call("PutItems", **request)
    assert world.refusal("PutItems", **request).code == "ThrottlingException"


def test_what_is_refused_is_not_kept(new_world: Any) -> None:
    world = new_world(record_requests_per_second=1)
    items = world.dataset("Items")
    world.call("PutItems", datasetArn=items, items=[{"itemId": "kept"}])
    world.refusal("PutItems", datasetArn=items, items=[{"itemId": "refused"}])
    assert [row["ITEM_ID"] for row in world.export(items)] == ["kept"]


def test_each_operation_of_each_dataset_group_has_a_rate_of_its_own(new_world: Any) -> None:
    world = new_world(record_requests_per_second=1)
    group = world.group()
    items, users = world.dataset("Items", group), world.dataset("Users", group)
    others = world.dataset("Users", world.group("other"), world.schema("Users", "others"))
    world.call("PutItems", datasetArn=items, items=[{"itemId": "i"}])
    world.call("PutUsers", datasetArn=users, users=[{"userId": "u"}])
    world.call("PutUsers", datasetArn=others, users=[{"userId": "u"}])
    assert world.refusal("PutUsers", datasetArn=users, users=[{"userId": "u"}]).code == "ThrottlingException"


def test_events_have_a_rate_that_can_be_set(new_world: Any) -> None:
    world = new_world(interaction_requests_per_second=2)
    group = world.group()
    world.dataset(group=group)
    tracker = world.tracker(group)
    for _ in range(2):
        world.call("PutEvents", trackingId=tracker, **EVENTS)
    assert world.refusal("PutEvents", trackingId=tracker, **EVENTS).code == "ThrottlingException"
    world.now -= 60  # a clock that is set back gives nothing and takes nothing
    assert world.refusal("PutEvents", trackingId=tracker, **EVENTS).code == "ThrottlingException"
    world.now += 61
    world.call("PutEvents", trackingId=tracker, **EVENTS)
