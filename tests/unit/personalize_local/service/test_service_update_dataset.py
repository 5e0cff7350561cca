"""UpdateDataset gives Items and Users another schema with new columns."""

from __future__ import annotations

from typing import Any

import pytest

HEADER = "ITEM_ID,GENRES,NUMBER_OF_RATINGS\n"
GENRES = {"name": "GENRES", "type": ["null", "string"], "categorical": True}
RATINGS = {"name": "NUMBER_OF_RATINGS", "type": ["null", "int"]}
ITEM = {"name": "ITEM_ID", "type": "string"}
YEAR = {"name": "YEAR", "type": ["int", "null"]}


@pytest.fixture
def items(world: Any) -> str:
    return str(world.dataset("Items"))


def schema(world: Any, *fields: dict[str, Any], kind: str = "Items") -> str:
    text = world.schema_text(kind, *fields)
    return str(world.call("CreateSchema", name=f"{kind}-new", schema=text)["schemaArn"])


def test_records_get_the_new_columns_empty(world: Any, items: str) -> None:
    world.import_file(items, HEADER + 'a,"x, ""y""",1\n', "one")
    world.call("PutItems", datasetArn=items, items=[{"itemId": "b", "properties": '{"genres": "z"}'}])
    new = schema(world, GENRES, YEAR, ITEM, RATINGS)
    assert world.call("UpdateDataset", datasetArn=items, schemaArn=new) == {"datasetArn": items}
    world.wait()
    world.call("PutItems", datasetArn=items, items=[{"itemId": "c", "properties": '{"year": 1999}'}])
    assert world.export(items) == [
        {"GENRES": 'x, "y"', "YEAR": "", "ITEM_ID": "a", "NUMBER_OF_RATINGS": "1"},
        {"GENRES": "z", "YEAR": "", "ITEM_ID": "b", "NUMBER_OF_RATINGS": ""},
        {"GENRES": "", "YEAR": "1999", "ITEM_ID": "c", "NUMBER_OF_RATINGS": ""},
    ]


def test_update_moves_through_states_of_its_own(world: Any, items: str) -> None:
    old = world.call("DescribeDataset", datasetArn=items)["dataset"]["schemaArn"]
    new = schema(world, ITEM, GENRES, RATINGS, YEAR)
    world.call("UpdateDataset", datasetArn=items, schemaArn=new)
    began = world.now
    seen = []
    for _ in range(3):
        dataset = world.call("DescribeDataset", datasetArn=items)["dataset"]
        update = dataset["latestDatasetUpdate"]
        seen.append((dataset["status"], dataset["schemaArn"], update["status"], update["lastUpdatedDateTime"] - began))
        world.now += 2.5
    assert seen == [
        ("ACTIVE", old, "CREATE PENDING", 0),
        ("ACTIVE", old, "CREATE IN_PROGRESS", 1),
        ("ACTIVE", new, "ACTIVE", 5),
    ]
    assert (update["schemaArn"], update["creationDateTime"]) == (new, began)


def test_export_that_began_before_has_the_old_columns(world: Any, items: str) -> None:
    world.import_file(items, HEADER + "a,x,1\n")
    world.start_export(items, ingestionMode="ALL")
    world.now += 2
    world.call("UpdateDataset", datasetArn=items, schemaArn=schema(world, YEAR, ITEM, GENRES, RATINGS))
    world.wait()
    assert world.exported_text() == HEADER + "a,x,1\n"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            [ITEM, GENRES],
            (
                "You must keep all fields in the previous schema and you can't change their data types or attributes: "
                "NUMBER_OF_RATINGS."
            ),
        ),
        (
            [ITEM, {**GENRES, "categorical": False}, RATINGS],
            (
                "You must keep all fields in the previous schema and you can't change their data types or attributes: "
                "GENRES."
            ),
        ),
        ([ITEM, GENRES, RATINGS, {"name": "YEAR", "type": "int"}], "Any new fields must support null data: YEAR."),
    ],
)
def test_new_schema_must_hold_the_old_one(world: Any, items: str, fields: list[dict[str, Any]], reason: str) -> None:
    refused = world.refusal("UpdateDataset", datasetArn=items, schemaArn=schema(world, *fields))
    assert (refused.code, refused.message) == ("InvalidInputException", reason)


def test_schema_of_interactions_can_not_be_replaced(world: Any, interactions: str) -> None:
    new = schema(world, *[{"name": "X", "type": "int"}], kind="Interactions")
    refused = world.refusal("UpdateDataset", datasetArn=interactions, schemaArn=new)
    assert refused.message == "You can't replace the schema of a dataset of type INTERACTIONS."


def test_dataset_takes_one_change_at_a_time(world: Any, items: str) -> None:
    new = schema(world, ITEM, GENRES, RATINGS, YEAR)
    job = world.start_import(items, world.put_file(HEADER))
    refused = world.refusal("UpdateDataset", datasetArn=items, schemaArn=new)
    assert (refused.code, refused.message) == (
        "ResourceInUseException",
        f"Resource Arn {items} is in use by {job}, its status is CREATE PENDING.",
    )
    world.wait()
    world.call("UpdateDataset", datasetArn=items, schemaArn=new)
    text = f"Resource Arn {items} is being updated, the status is CREATE PENDING."
    assert world.refusal("UpdateDataset", datasetArn=items, schemaArn=new).message == text
    assert world.refusal("DeleteSchema", schemaArn=new).message == f"Resource Arn {new} is in use by {items}."
    refused = world.refusal(
        "CreateDatasetImportJob",
        jobName="second",
        datasetArn=items,
        roleArn=world.ROLE,
        dataSource={"dataLocation": "s3://source/x"},
    )
    assert refused.message == text
