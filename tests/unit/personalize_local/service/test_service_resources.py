"""Schemas, dataset groups, datasets and event trackers come, are shown, and go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from personalize_local.service import Caller

PREFIX = "arn:aws:personalize:us-east-1:000000000000:"


def test_schema_is_there_at_once(world: Any) -> None:
    arn = world.schema("Interactions", "films")
    assert arn == f"{PREFIX}schema/films"
    assert world.call("DescribeSchema", schemaArn=arn)["schema"] == {
        "name": "films",
        "schemaArn": arn,
        "schema": world.schema_text("Interactions"),
        "creationDateTime": 1000.0,
        "lastUpdatedDateTime": 1000.0,
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "{",
            (
                "it is not Avro: Error parsing JSON: {, error = Expecting property name enclosed in double quotes: "
                "line 1 column 2 (char 1)"
            ),
        ),
        ("[" * 15_000, "it is nested too deeply"),
        (
            '{"type": "record", "name": "Items", "fields": [], "logicalType": [1]}',
            "it is not Avro: unhashable type: 'list'",
        ),
        ("[]", "it is not an Avro record"),
        (
            '{"type": "record", "fields": []}',
            "it is not Avro: Name None must be a string, but it is <class 'NoneType'>.",
        ),
        ('{"type": "record", "name": "Items", "fields": [1]}', "it is not Avro: Not a valid field: 1"),
        (
            '{"type": "record", "name": "Items", "fields": [{"name": "a b", "type": "int"}]}',
            "the field name 'a b' is not alphanumeric",
        ),
        (
            '{"type": "record", "name": "Items", "fields": [{"name": "A", "type": "sting"}]}',
            (
                'it is not Avro: Type property "sting" not a valid Avro schema: '
                "Could not make an Avro Schema object from sting"
            ),
        ),
        (
            '{"type": "record", "name": "Items", "fields": [{"name": "A", "type": {"type": "map", "values": "int"}}]}',
            "the field A must be one of string, int, long, float, double, boolean, optionally with null",
        ),
        (
            (
                '{"type": "record", "name": "Items", "fields": [{"name": "A_1", "type": "int"}, '
                '{"name": "A1", "type": "int"}]}'
            ),
            "field names must be unique, also without their underscores and in any case",
        ),
    ],
)
def test_schema_that_is_no_flat_avro_record_is_refused(world: Any, text: str, reason: str) -> None:
    refused = world.refusal("CreateSchema", name="s", schema=text)
    assert (refused.code, refused.message) == ("InvalidInputException", f"The schema is not valid: {reason}.")


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("Users", {}, "The name of the schema, Interactions, does not match the dataset type USERS."),
        (
            "Interactions",
            {"USER_ID": "string", "ITEM_ID": "string", "TIMESTAMP": "int"},
            "The required field TIMESTAMP must be of type long.",
        ),
        (
            "Interactions",
            {"USER_ID": "string", "ITEM_ID": "string", "TIMESTAMP": "long", "EVENT_VALUE": "double"},
            "The reserved field EVENT_VALUE must be of type float, optionally with null.",
        ),
        (
            "Items",
            {"ITEM_ID": "string", "CREATION_TIMESTAMP": "long"},
            "The schema of a dataset of type ITEMS needs at least one metadata field.",
        ),
        ("Films", {}, "The dataset type must be one of"),
    ],
)
def test_schema_must_suit_the_dataset(world: Any, kind: str, fields: dict[str, str], reason: str) -> None:
    text = world.schema_text(kind, *({"name": name, "type": kind} for name, kind in fields.items())) if fields else None
    schema = world.call("CreateSchema", name="s", schema=text)["schemaArn"] if text else world.schema("Interactions")
    group = world.group()
    refused = world.refusal("CreateDataset", name="d", schemaArn=schema, datasetGroupArn=group, datasetType=kind)
    assert refused.code == "InvalidInputException"
    assert refused.message.startswith(reason)


def test_dataset_and_group_must_have_one_domain(world: Any) -> None:
    answer = world.call("CreateDatasetGroup", name="shop", domain="ECOMMERCE")
    assert answer == {"datasetGroupArn": f"{PREFIX}dataset-group/shop", "domain": "ECOMMERCE"}
    world.wait()
    request = {"name": "d", "datasetGroupArn": answer["datasetGroupArn"], "datasetType": "INTERACTIONS"}
    refused = world.refusal("CreateDataset", schemaArn=world.schema("Interactions"), **request)
    assert refused.message == "The schema and the dataset group must have the same domain."
    fitting = world.schema("Interactions", "shop", domain="ECOMMERCE")
    assert world.call("CreateDataset", schemaArn=fitting, **request)


def test_group_becomes_active_by_the_clock(world: Any) -> None:
    arn = world.call("CreateDatasetGroup", name="g")["datasetGroupArn"]

    def status() -> tuple[str, float]:
        group = world.call("DescribeDatasetGroup", datasetGroupArn=arn)["datasetGroup"]
        return group["status"], group["lastUpdatedDateTime"]

    assert status() == ("CREATE PENDING", 1000)
    world.now += 0.9
    assert status() == ("CREATE PENDING", 1000)
    world.now += 0.1
    assert status() == ("CREATE IN_PROGRESS", 1001)
    world.now += 3.9
    assert status() == ("CREATE IN_PROGRESS", 1001)
    world.now += 100
    assert status() == ("ACTIVE", 1005)


@pytest.mark.parametrize("given", [{"kmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1"}, {"roleArn": "ROLE"}])
def test_key_and_role_of_a_group_come_together(world: Any, given: dict[str, str]) -> None:
    given = {name: value.replace("ROLE", world.ROLE) for name, value in given.items()}
    refused = world.refusal("CreateDatasetGroup", name="g", **given)
    assert refused.message == "A KMS key and a role with access to it must be given together."


def test_dataset_arn_is_made_of_group_and_type(world: Any) -> None:
    group = world.group("films")
    schema = world.schema("Interactions")
    arn = world.dataset(group=group, schema=schema)
    assert arn == f"{PREFIX}dataset/films/INTERACTIONS"
    assert world.call("DescribeDataset", datasetArn=arn)["dataset"] == {
        "name": "Interactions",
        "datasetArn": arn,
        "datasetGroupArn": group,
        "datasetType": "INTERACTIONS",
        "schemaArn": schema,
        "status": "ACTIVE",
        "creationDateTime": 2000.0,
        "lastUpdatedDateTime": 2005.0,
    }


def test_event_tracker_has_a_tracking_id(world: Any) -> None:
    group = world.group()
    answer = world.call("CreateEventTracker", name="t", datasetGroupArn=group)
    assert answer["eventTrackerArn"] == f"{PREFIX}event-tracker/{answer['trackingId'][:8]}"
    world.wait()
    tracker = world.call("DescribeEventTracker", eventTrackerArn=answer["eventTrackerArn"])["eventTracker"]
    assert tracker["accountId"] == "000000000000"
    assert (tracker["trackingId"], tracker["status"]) == (answer["trackingId"], "ACTIVE")


def test_group_has_one_event_tracker(world: Any) -> None:
    group = world.group()
    arn = world.call("CreateEventTracker", name="one", datasetGroupArn=group)["eventTrackerArn"]
    refused = world.refusal("CreateEventTracker", name="two", datasetGroupArn=group)
    assert refused.code == "ResourceAlreadyExistsException"
    assert refused.message == f"Another resource with Arn {arn} already exists."


def test_groups_each_have_their_own_tracker(world: Any) -> None:
    first, second = world.group("first"), world.group("second")
    names = {"one": first, "two": second}
    ids = {
        world.call("CreateEventTracker", name=name, datasetGroupArn=arn)["trackingId"] for name, arn in names.items()
    }
    assert len(ids) == 2
    refused = world.refusal("CreateEventTracker", name="one", datasetGroupArn=world.group("third"))
    assert refused.code == "ResourceAlreadyExistsException"


def test_taken_name_is_refused_with_its_arn(world: Any) -> None:
    arn = world.schema("Items")
    refused = world.refusal("CreateSchema", name="Items", schema=world.schema_text("Items"))
    assert refused.code == "ResourceAlreadyExistsException"
    assert refused.message == f"Another resource with Arn {arn} already exists."
    group = world.group()
    assert world.refusal("CreateDatasetGroup", name="group").message == (
        f"Another resource with Arn {group} already exists."
    )
    dataset = world.dataset("Items", group=group, schema=arn)
    request = {"name": "other", "schemaArn": arn, "datasetGroupArn": group, "datasetType": "ITEMS"}
    assert world.refusal("CreateDataset", **request).message == f"Another resource with Arn {dataset} already exists."


def test_accounts_and_regions_do_not_see_each_other(world: Any) -> None:
    arn = world.schema("Items")
    for caller in (Caller("111111111111", "us-east-1"), Caller("000000000000", "eu-west-1")):
        assert world.call("ListSchemas", caller) == {"schemas": []}
        text = json.dumps(json.loads(world.schema_text("Items")))
        other = world.call("CreateSchema", caller, name="Items", schema=text)["schemaArn"]
        assert other == f"arn:aws:personalize:{caller.region}:{caller.account}:schema/Items"
    assert world.call("DescribeSchema", schemaArn=arn)


def test_arns_have_the_partition_of_the_caller(world: Any) -> None:
    china = Caller("000000000000", "cn-north-1", partition="aws-cn")
    answer = world.call("CreateDatasetGroup", china, name="g")
    assert answer["datasetGroupArn"] == "arn:aws-cn:personalize:cn-north-1:000000000000:dataset-group/g"


@pytest.mark.parametrize(
    ("operation", "member", "path"),
    [
        ("DescribeSchema", "schemaArn", "schema/x"),
        ("DeleteSchema", "schemaArn", "schema/x"),
        ("DescribeDatasetGroup", "datasetGroupArn", "dataset-group/x"),
        ("DeleteDatasetGroup", "datasetGroupArn", "dataset-group/x"),
        ("DescribeDataset", "datasetArn", "dataset/x/ITEMS"),
        ("DeleteDataset", "datasetArn", "dataset/x/ITEMS"),
        ("DescribeEventTracker", "eventTrackerArn", "event-tracker/x"),
        ("DeleteEventTracker", "eventTrackerArn", "event-tracker/x"),
        ("DescribeDatasetImportJob", "datasetImportJobArn", "dataset-import-job/x"),
        ("DescribeDatasetExportJob", "datasetExportJobArn", "dataset-export-job/x"),
        ("ListTagsForResource", "resourceArn", "dataset/x/ITEMS"),
    ],
)
def test_what_does_not_exist_is_not_found(world: Any, operation: str, member: str, path: str) -> None:
    refused = world.refusal(operation, **{member: PREFIX + path})
    assert (refused.code, refused.status) == ("ResourceNotFoundException", 400)
    assert refused.message == f"Resource Arn {PREFIX}{path} does not exist."


def test_arn_of_another_kind_is_not_found(world: Any) -> None:
    group = world.group()
    assert world.refusal("DescribeDataset", datasetArn=group).code == "ResourceNotFoundException"


def test_group_must_be_active_for_what_goes_into_it(world: Any) -> None:
    schema = world.schema("Items")
    group = world.call("CreateDatasetGroup", name="g")["datasetGroupArn"]
    request = {"name": "d", "schemaArn": schema, "datasetGroupArn": group, "datasetType": "Items"}
    refused = world.refusal("CreateDataset", **request)
    assert refused.code == "ResourceInUseException"
    assert refused.message == f"Resource Arn {group} is not ACTIVE, its status is CREATE PENDING."
    assert world.refusal("CreateEventTracker", name="t", datasetGroupArn=group).code == "ResourceInUseException"


def test_what_others_depend_on_is_not_deleted(world: Any) -> None:
    group = world.group()
    schema = world.schema("Interactions")
    dataset = world.dataset(group=group, schema=schema)
    refused = world.refusal("DeleteSchema", schemaArn=schema)
    assert refused.code == "ResourceInUseException"
    assert refused.message == f"Resource Arn {schema} is in use by {dataset}."
    assert world.refusal("DeleteDatasetGroup", datasetGroupArn=group).message == (
        f"Resource Arn {group} is in use by {dataset}."
    )
    tracking_id = world.tracker(group)
    [tracker] = world.call("ListEventTrackers")["eventTrackers"]
    assert tracking_id.startswith(tracker["eventTrackerArn"].rpartition("/")[2])
    assert world.refusal("DeleteDatasetGroup", datasetGroupArn=group).message == (
        f"Resource Arn {group} is in use by {tracker['eventTrackerArn']}."
    )


def test_everything_can_be_deleted_from_the_leaves_up(world: Any) -> None:
    group = world.group()
    schema = world.schema("Interactions")
    dataset = world.dataset(group=group, schema=schema)
    world.tracker(group)
    [tracker] = world.call("ListEventTrackers")["eventTrackers"]
    assert world.call("DeleteEventTracker", eventTrackerArn=tracker["eventTrackerArn"]) == {}
    assert world.call("DeleteDataset", datasetArn=dataset) == {}
    assert world.call("DescribeDataset", datasetArn=dataset)["dataset"]["status"] == "DELETE PENDING"
    world.now += 1
    assert world.call("DescribeDataset", datasetArn=dataset)["dataset"]["status"] == "DELETE IN_PROGRESS"
    world.now += 4
    assert world.refusal("DescribeDataset", datasetArn=dataset).code == "ResourceNotFoundException"
    assert world.call("DeleteDatasetGroup", datasetGroupArn=group) == {}
    world.now += 4
    assert world.call("DescribeDatasetGroup", datasetGroupArn=group)["datasetGroup"]["status"] == "DELETE PENDING"
    assert world.refusal("DeleteDatasetGroup", datasetGroupArn=group).message == (
        f"Resource Arn {group} can not be deleted, its status is DELETE PENDING."
    )
    assert world.call("DeleteSchema", schemaArn=schema) == {}
    world.wait()
    for operation, member in (
        ("ListSchemas", "schemas"),
        ("ListDatasetGroups", "datasetGroups"),
        ("ListDatasets", "datasets"),
        ("ListEventTrackers", "eventTrackers"),
    ):
        assert world.call(operation) == {member: []}


def test_dataset_with_an_unfinished_job_is_not_deleted(world: Any, interactions: str) -> None:
    job = world.start_export(interactions)
    refused = world.refusal("DeleteDataset", datasetArn=interactions)
    assert refused.code == "ResourceInUseException"
    assert refused.message == (f"Resource Arn {interactions} is in use by {job}, its status is CREATE PENDING.")
    world.wait()
    assert world.call("DeleteDataset", datasetArn=interactions) == {}


def test_recreated_dataset_is_empty(world: Any) -> None:
    group, schema = world.group(), world.schema("Interactions")
    dataset = world.dataset(group=group, schema=schema)
    world.import_file(dataset, "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\nu,i,1,view,\n")
    world.call("DeleteDataset", datasetArn=dataset)
    world.wait()
    assert world.dataset(group=group, schema=schema) == dataset
    assert world.export(dataset) == []
