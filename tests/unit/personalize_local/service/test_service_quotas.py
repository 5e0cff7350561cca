"""The documented quotas hold, and each of them can be set."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from personalize_local.service import Settings
from personalize_local.service.quotas import Quotas

HEADER = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\n"
EVENT = {"eventType": "view", "itemId": "i", "sentAt": 1}


def test_sixth_dataset_group_is_refused(world: Any) -> None:
    groups = [world.group(f"g{number}") for number in range(5)]
    refused = world.refusal("CreateDatasetGroup", name="more")
    assert (refused.code, refused.message) == (
        "LimitExceededException",
        "Cannot create a dataset group. More than 5 resources in ACTIVE state. Please delete some and try again.",
    )
    assert world.refusal("CreateDatasetGroup", name="g0").code == "ResourceAlreadyExistsException"
    world.call("DeleteDatasetGroup", datasetGroupArn=groups[0])
    assert world.group("more")


def test_schemas_have_a_quota(new_world: Any) -> None:
    world = new_world(active_schemas=2)
    world.schema("Items", "one")
    arn = world.schema("Items", "two")
    refused = world.refusal("CreateSchema", name="three", schema=world.schema_text("Items"))
    assert (refused.code, refused.message) == (
        "LimitExceededException",
        "Cannot create a schema. More than 2 resources in ACTIVE state. Please delete some and try again.",
    )
    world.call("DeleteSchema", schemaArn=arn)
    assert world.schema("Items", "three")


@pytest.mark.parametrize(("mode", "setting"), [("FULL", "full"), ("INCREMENTAL", "incremental")])
def test_import_reads_no_more_than_it_may(new_world: Any, mode: str, setting: str) -> None:
    row = "u,i,1,view,\n"
    size = len(HEADER + row)
    world = new_world(**{f"{setting}_import_bytes": size})
    dataset = world.dataset()
    assert world.import_file(dataset, HEADER + row, "first")["status"] == "ACTIVE"
    assert world.import_file(dataset, HEADER + row, "fits", importMode=mode)["status"] == "ACTIVE"
    job = world.import_file(dataset, HEADER + "u2,i,1,view,\n", "large", importMode=mode)
    assert job["failureReason"] == (
        f"The data location holds more than {size} bytes, the most an import job with {mode} import mode may read."
    )


def test_event_has_a_size_it_may_not_exceed(new_world: Any) -> None:
    world = new_world(event_bytes=200)
    group = world.group()
    world.dataset(group=group)
    tracker = world.tracker(group)
    large = {**EVENT, "eventId": "x" * 200}
    refused = world.refusal("PutEvents", trackingId=tracker, userId="u", sessionId="s", eventList=[EVENT, large])
    assert refused.code == "InvalidInputException"
    assert refused.message == "An event can have at most 200 bytes, this one has 264."
    assert world.call("PutEvents", trackingId=tracker, userId="u", sessionId="s", eventList=[EVENT]) == {}


def test_every_quota_can_be_set_from_the_environment() -> None:
    names = [field.name for field in fields(Quotas)]
    environment = {f"PERSONALIZE_LOCAL_{name.upper()}": "7" for name in names}
    settings = Settings.from_environment(environment)
    assert {getattr(settings, name) for name in names} == {7}


def test_bad_settings_are_refused_by_name() -> None:
    for name, text, message in (
        ("ACTIVE_SCHEMAS", "0", "must be a whole number, 1 or more"),
        ("EXPORT_CHECK_OBJECT", "maybe", "must be true or false"),
    ):
        with pytest.raises(ValueError, match=f"PERSONALIZE_LOCAL_{name}: {message}"):
            Settings.from_environment({f"PERSONALIZE_LOCAL_{name}": text})
    assert Settings.from_environment({"PERSONALIZE_LOCAL_EXPORT_CHECK_OBJECT": "False"}).export_check_object is False
