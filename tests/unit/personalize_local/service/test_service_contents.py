"""No reserved keyword is a value, and there are no more event types than a dataset may have."""

from __future__ import annotations

from typing import Any

import pytest

HEADER = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\n"
TOO_MANY = (
    "An Item interactions dataset can have at most 10 distinct event types and metadata fields together: there would "
    "be at least {types} event types, and the schema has {fields} metadata fields."
)


def rows(*types: str) -> str:
    return HEADER + "".join(f"u{number},i,{number},{kind},\n" for number, kind in enumerate(types))


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"eventType": kind, "itemId": "i", "sentAt": 1, **more}


def put_events(tracker: str, *events: dict[str, Any]) -> dict[str, Any]:
    return {"trackingId": tracker, "userId": "u", "sessionId": "s", "eventList": list(events)}


def test_eleven_event_types_are_too_many_for_an_import(world: Any, interactions: str) -> None:
    kinds = [f"kind-{number}" for number in range(11)]
    assert world.import_file(interactions, rows(*kinds[:10]), "ten")["status"] == "ACTIVE"
    assert world.import_file(interactions, rows(*kinds), "eleven")["failureReason"] == TOO_MANY.format(
        types=11, fields=0
    )
    assert len(world.export(interactions, "BULK")) == 10


def test_metadata_fields_count_as_event_types_do(world: Any) -> None:
    named = ["USER_ID", "ITEM_ID", "EVENT_TYPE", "A", "B"]
    fields = [{"name": name, "type": "string"} for name in named] + [{"name": "TIMESTAMP", "type": "long"}]
    text = world.schema_text("Interactions", *fields)
    schema = world.call("CreateSchema", name="wide", schema=text)["schemaArn"]
    dataset = world.dataset(schema=schema)
    lines = [f'u,i,"kind {number}, quoted",a,b,{number}\n' for number in range(9)]
    header = ",".join([*named, "TIMESTAMP"]) + "\n"
    assert world.import_file(dataset, header + "".join(lines[:8]), "eight")["status"] == "ACTIVE"
    job = world.import_file(dataset, header + "".join(lines), "nine")
    assert job["failureReason"] == TOO_MANY.format(types=9, fields=2)


def test_types_of_events_and_of_earlier_imports_that_stay_count_too(new_world: Any) -> None:
    world = new_world(event_types=2)
    group = world.group()
    dataset = world.dataset(group=group)
    tracker = world.tracker(group)
    world.import_file(dataset, rows("bulk"), "first")
    world.call("PutEvents", **put_events(tracker, event("bulk"), event("put")))
    refused = world.refusal("PutEvents", **put_events(tracker, event("put"), event("third")))
    assert refused.code == "InvalidInputException"
    assert refused.message.startswith("An Item interactions dataset can have at most 2 distinct event types")
    assert len(world.export(dataset, "PUT")) == 2  # nothing of a refused call is kept
    assert world.import_file(dataset, rows("new"), "more", importMode="INCREMENTAL")["status"] == "CREATE FAILED"
    assert world.import_file(dataset, rows("new"), "instead")["status"] == "CREATE FAILED"  # put, bulk as an event, new
    assert world.import_file(dataset, rows("put"), "known")["status"] == "ACTIVE"


def test_event_types_that_the_schema_does_not_keep_do_not_count(new_world: Any) -> None:
    world = new_world(event_types=1)
    fields = [{"name": name, "type": "string"} for name in ("USER_ID", "ITEM_ID")]
    text = world.schema_text("Interactions", *fields, {"name": "TIMESTAMP", "type": "long"})
    group = world.group()
    world.dataset(group=group, schema=world.call("CreateSchema", name="s", schema=text)["schemaArn"])
    tracker = world.tracker(group)
    assert world.call("PutEvents", **put_events(tracker, event("one"), event("two"))) == {}


@pytest.mark.parametrize("line", ["u,i,1,EVENT_VALUE,\n", 'u,"i,""j""",1,IMPRESSION,\n'])
def test_import_with_a_reserved_keyword_as_a_value_fails(world: Any, interactions: str, line: str) -> None:
    job = world.import_file(interactions, HEADER + line)
    keyword = line.split(",")[-2]
    assert job["failureReason"] == f"The reserved keyword {keyword} can't be in the data, as a value."


def test_keyword_within_a_value_or_in_other_letters_is_none(world: Any, interactions: str) -> None:
    text = rows("EVENT_VALUES", "event_value", "an IMPRESSION")
    assert world.import_file(interactions, text)["status"] == "ACTIVE"


def test_events_and_records_with_a_reserved_keyword_as_a_value_are_refused(world: Any) -> None:
    group = world.group()
    world.dataset(group=group)
    items = world.dataset("Items", group)
    refused = world.refusal("PutEvents", **put_events(world.tracker(group), event("IMPRESSION")))
    assert refused.message == "The reserved keyword IMPRESSION can't be in the data, as a value."
    request = {"datasetArn": items, "items": [{"itemId": "i", "properties": '{"genres": "CREATION_TIMESTAMP"}'}]}
    assert world.refusal("PutItems", **request).code == "InvalidInputException"
    assert world.export(items) == []


def test_keywords_are_those_of_the_domain(world: Any) -> None:
    """Of a shop, `GENDER` of an item is one; of a custom dataset group it is not."""
    custom = world.dataset("Items")
    assert world.import_file(custom, "ITEM_ID,GENRES,NUMBER_OF_RATINGS\ni,GENDER,1\n", "a")["status"] == "ACTIVE"
    fields = [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "PRICE", "type": "float"},
        {"name": "CATEGORY_L1", "type": "string", "categorical": True},
    ]
    text = world.schema_text("Items", *fields)
    schema = world.call("CreateSchema", name="shop", domain="ECOMMERCE", schema=text)["schemaArn"]
    group = world.call("CreateDatasetGroup", name="shop", domain="ECOMMERCE")["datasetGroupArn"]
    world.wait()
    job = world.import_file(world.dataset("Items", group, schema), "ITEM_ID,PRICE,CATEGORY_L1\ni,1,GENDER\n", "b")
    assert job["failureReason"] == "The reserved keyword GENDER can't be in the data, as a value."
