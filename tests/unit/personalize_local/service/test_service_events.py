"""Records that come one by one: events, items and users."""

from __future__ import annotations

import json
from typing import Any

import pytest


class Shop:
    """A dataset group with every dataset that takes records."""

    def __init__(self, world: Any) -> None:
        self.world = world
        group = world.group()
        fields = [
            {"name": "USER_ID", "type": "string"},
            {"name": "ITEM_ID", "type": "string"},
            {"name": "TIMESTAMP", "type": "long"},
            {"name": "EVENT_TYPE", "type": "string"},
            {"name": "EVENT_VALUE", "type": ["float", "null"]},
            {"name": "NUM_RATINGS", "type": ["null", "int"]},
            {"name": "IMPRESSION", "type": ["null", "string"]},
            {"name": "RECOMMENDATION_ID", "type": ["null", "string"]},
            {"name": "EVENT_ATTRIBUTION_SOURCE", "type": ["null", "string"]},
        ]
        text = world.schema_text("Interactions", *fields)
        schema = world.call("CreateSchema", name="Interactions", schema=text)["schemaArn"]
        self.group = group
        self.interactions = world.dataset(group=group, schema=schema)
        self.items = world.dataset("Items", group=group)
        self.users = world.dataset("Users", group=group)
        self.tracking_id = world.tracker(group)

    def events(self, *events: dict[str, Any], user: str | None = "u", session: str = "s") -> None:
        params = {"trackingId": self.tracking_id, "sessionId": session, "eventList": list(events)}
        assert self.world.call("PutEvents", **params, **({"userId": user} if user else {})) == {}

    def exported(self, dataset: str, name: str = "export") -> list[dict[str, str]]:
        rows: list[dict[str, str]] = self.world.export(dataset, "PUT", name)
        return rows


@pytest.fixture
def shop(world: Any) -> Shop:
    return Shop(world)


def event(**more: Any) -> dict[str, Any]:
    return {"eventType": "view", "sentAt": 1553631760, "itemId": "i", **more}


def test_event_becomes_an_interaction(shop: Shop) -> None:
    shop.events(
        event(
            eventId="e1",
            eventValue=4.5,
            properties='{"numRatings": "12"}',
            impression=["i", "j"],
            recommendationId="r",
            metricAttribution={"eventAttributionSource": "mail"},
        )
    )
    assert shop.exported(shop.interactions) == [
        {
            "USER_ID": "u",
            "ITEM_ID": "i",
            "TIMESTAMP": "1553631760",
            "EVENT_TYPE": "view",
            "EVENT_VALUE": "4.5",
            "NUM_RATINGS": "12",
            "IMPRESSION": "i|j",
            "RECOMMENDATION_ID": "r",
            "EVENT_ATTRIBUTION_SOURCE": "mail",
        }
    ]


def test_item_and_value_may_come_as_properties(shop: Shop) -> None:
    properties = json.dumps({"itemId": "choc-panama", "eventValue": 4, "numRatings": 0})
    shop.events({"eventType": "like", "sentAt": 1, "properties": properties})
    [row] = shop.exported(shop.interactions)
    assert (row["ITEM_ID"], row["EVENT_VALUE"], row["NUM_RATINGS"]) == ("choc-panama", "4", "0")


def test_what_the_schema_does_not_have_is_not_kept(world: Any) -> None:
    group = world.group()
    fields = [{"name": name, "type": kind} for name, kind in (("USER_ID", "string"), ("ITEM_ID", "string"))]
    text = world.schema_text("Interactions", *fields, {"name": "TIMESTAMP", "type": "long"})
    schema = world.call("CreateSchema", name="s", schema=text)["schemaArn"]
    dataset = world.dataset(group=group, schema=schema)
    world.call(
        "PutEvents",
        trackingId=world.tracker(group),
        userId="u",
        sessionId="s",
        eventList=[event(eventValue=1.0, properties='{"eventValue": 1}')],
    )
    assert world.export(dataset) == [{"USER_ID": "u", "ITEM_ID": "i", "TIMESTAMP": "1553631760"}]


def test_anonymous_events_wait_for_the_user_of_their_session(shop: Shop) -> None:
    shop.events(event(itemId="before"), user=None, session="mine")
    shop.events(event(itemId="other"), user=None, session="other")
    assert shop.exported(shop.interactions, "none") == []
    shop.events(event(itemId="after"), session="mine")
    rows = shop.exported(shop.interactions)
    assert [(row["USER_ID"], row["ITEM_ID"]) for row in rows] == [("u", "before"), ("u", "after")]


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ("{", "The properties are not valid JSON."),
        ("[]", "The properties are not a JSON map."),
        ('{"userID": 1}', "The keyword userID can not be included in the properties of an event."),
        ('{"colour": 1}', "The property colour does not match a field of the schema Interactions."),
        (
            '{"numRatings": "many"}',
            "The value of NUM_RATINGS does not match the schema: 'many' is not of type int.",
        ),
        ('{"numRatings": [1]}', "The value of NUM_RATINGS must not be a map or a list."),
    ],
)
def test_properties_must_fit_the_schema(shop: Shop, properties: str, text: str) -> None:
    for user in ("u", None):
        params = {"trackingId": shop.tracking_id, "sessionId": "s", **({"userId": user} if user else {})}
        refused = shop.world.refusal("PutEvents", **params, eventList=[event(), event(properties=properties)])
        assert (refused.code, refused.status, refused.message) == ("InvalidInputException", 400, text)
    assert shop.exported(shop.interactions) == []


def test_event_without_an_item_the_schema_asks_for_is_refused(shop: Shop) -> None:
    params = {"trackingId": shop.tracking_id, "sessionId": "s", "userId": "u"}
    refused = shop.world.refusal("PutEvents", **params, eventList=[{"eventType": "view", "sentAt": 1}])
    assert refused.message == (
        "The value of ITEM_ID does not match the schema: the value is empty but the schema does not allow null."
    )


def test_events_need_an_active_tracker(shop: Shop) -> None:
    request = {"sessionId": "s", "userId": "u", "eventList": [event()]}
    refused = shop.world.refusal("PutEvents", trackingId="nobody", **request)
    assert (refused.code, refused.message) == (
        "InvalidInputException",
        "No active event tracker has the tracking id nobody.",
    )
    [tracker] = shop.world.call("ListEventTrackers")["eventTrackers"]
    shop.world.call("DeleteEventTracker", eventTrackerArn=tracker["eventTrackerArn"])
    assert shop.world.refusal("PutEvents", trackingId=shop.tracking_id, **request).message == (
        f"No active event tracker has the tracking id {shop.tracking_id}."
    )


def test_events_need_an_interactions_dataset(world: Any) -> None:
    group = world.group()
    request = {"sessionId": "s", "userId": "u", "eventList": [event()]}
    refused = world.refusal("PutEvents", trackingId=world.tracker(group), **request)
    assert refused.message == f"The dataset group {group} has no active Interactions dataset."


def test_at_most_ten_events_come_in_one_call(shop: Shop) -> None:
    request = {"trackingId": shop.tracking_id, "sessionId": "s", "eventList": [event()] * 11}
    refused = shop.world.refusal("PutEvents", **request)
    assert "at 'eventList' failed to satisfy constraint: Member must have length less than or equal to 10" in (
        refused.message
    )


def test_items_and_users_take_properties_in_camel_case(shop: Shop) -> None:
    shop.world.call(
        "PutItems",
        datasetArn=shop.items,
        items=[
            {"itemId": "a", "properties": '{"numberOfRatings": "12", "genres": "x|y"}'},
            {"itemId": "b", "properties": '{"NUMBER_OF_RATINGS": 3.0, "GENRES": null}'},
            {"itemId": "c"},
        ],
    )
    shop.world.call(
        "PutUsers", datasetArn=shop.users, users=[{"userId": "u", "properties": '{"age": 3, "member": true}'}]
    )
    assert [list(row.values()) for row in shop.exported(shop.items, "items")] == [
        ["a", "x|y", "12"],
        ["b", "", "3"],
        ["c", "", ""],
    ]
    assert [list(row.values()) for row in shop.exported(shop.users, "users")] == [["u", "3", "true"]]


def test_errors_of_the_events_api_have_their_own_statuses(shop: Shop) -> None:
    items = [{"itemId": "a"}]
    missing = shop.items.replace("/ITEMS", "x/ITEMS")
    assert shop.world.refusal("PutItems", datasetArn=missing, items=items).status == 404
    refused = shop.world.refusal("PutItems", datasetArn=shop.users, items=items)
    assert (refused.status, refused.message) == (400, f"The dataset {shop.users} is not of type ITEMS.")
    shop.world.call("DeleteDataset", datasetArn=shop.items)
    refused = shop.world.refusal("PutItems", datasetArn=shop.items, items=items)
    assert (refused.status, refused.code) == (409, "ResourceInUseException")


def test_record_must_be_on_one_line(shop: Shop) -> None:
    refused = shop.world.refusal(
        "PutItems", datasetArn=shop.items, items=[{"itemId": "a", "properties": '{"genres": "x\\ny"}'}]
    )
    assert refused.message == ("The value of GENRES does not match the schema: the value must be on a single line.")
