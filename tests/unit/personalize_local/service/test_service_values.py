"""Values have lengths: most that are longer fail the job, unstructured text is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

HEADER = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\n"
TOO_LONG = (
    "Length cannot be more than 1000 characters for {name}. If no values exceed the character limit, make sure your "
    "data follows the formatting guidelines listed in "
    "https://docs.aws.amazon.com/personalize/latest/dg/data-prep-formatting.html."
)
FIELDS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "IMPRESSION": (
        [
            {"name": "USER_ID", "type": "string"},
            {"name": "ITEM_ID", "type": "string"},
            {"name": "TIMESTAMP", "type": "long"},
            {"name": "IMPRESSION", "type": ["null", "string"]},
        ],
        "u,i,1,",
    ),
    "TITLE": ([{"name": "ITEM_ID", "type": "string"}, {"name": "TITLE", "type": "string"}], "i,"),
    "NICKNAME": ([{"name": "USER_ID", "type": "string"}, {"name": "NICKNAME", "type": "string"}], "u,"),
    "PLOT": ([{"name": "ITEM_ID", "type": "string"}, {"name": "PLOT", "type": "string", "textual": True}], "i,"),
}
KINDS = {"IMPRESSION": "Interactions", "TITLE": "Items", "NICKNAME": "Users", "PLOT": "Items"}


def dataset_with(world: Any, name: str) -> str:
    fields, _ = FIELDS[name]
    text = world.schema_text(KINDS[name], *fields)
    schema = world.call("CreateSchema", name=name, schema=text)["schemaArn"]
    return str(world.dataset(KINDS[name], schema=schema))


def import_value(world: Any, dataset: str, name: str, value: str, job: str) -> dict[str, Any]:
    fields, before = FIELDS[name]
    header = ",".join(field["name"] for field in fields)
    return dict(world.import_file(dataset, f'{header}\n{before}"{value}"\n', job))


@pytest.mark.parametrize("name", ["IMPRESSION", "TITLE"])
@pytest.mark.parametrize("character", ["x", "é"])
def test_impressions_and_strings_of_items_have_at_most_a_thousand_characters(
    world: Any, name: str, character: str
) -> None:
    dataset = dataset_with(world, name)
    assert import_value(world, dataset, name, character * 1000, "fits")["status"] == "ACTIVE"
    assert import_value(world, dataset, name, character * 1001, "long")["failureReason"] == (
        f"s3://source/long.csv, line 2, column {name}: {TOO_LONG.format(name=name)}"
    )


def test_other_strings_have_no_limit(world: Any) -> None:
    assert import_value(world, dataset_with(world, "NICKNAME"), "NICKNAME", "x" * 30_000, "job")["status"] == "ACTIVE"


@pytest.mark.parametrize(("character", "kept"), [("x", 20_000), ("é", 20_000), ("映", 7_000), ("カ", 7_000)])
def test_unstructured_text_is_cut_at_its_limit(world: Any, character: str, kept: int) -> None:
    dataset = dataset_with(world, "PLOT")
    assert import_value(world, dataset, "PLOT", character * 20_001, "job")["status"] == "ACTIVE"
    properties = json.dumps({"plot": character * 20_001}, ensure_ascii=False)
    world.call("PutItems", datasetArn=dataset, items=[{"itemId": "put", "properties": properties}])
    assert {row["ITEM_ID"]: row["PLOT"] for row in world.export(dataset)} == {
        "i": character * kept,
        "put": character * kept,
    }


def test_values_stay_as_they_were_written(world: Any, interactions: str) -> None:
    world.import_file(interactions, HEADER + "u,i,007,view,1.50\nu,i,7,view,1.5\nu,i,7,view,+15e-1\n")
    assert [(row["TIMESTAMP"], row["EVENT_VALUE"]) for row in world.export(interactions)] == [
        ("007", "1.50"),
        ("7", "1.5"),
        ("7", "+15e-1"),
    ]


def test_incremental_import_needs_as_many_interactions_as_a_full_one(new_world: Any) -> None:
    world = new_world(minimum_interactions=2)
    dataset = world.dataset()
    rows = "u,i,1,view,\nu,i,2,view,\n"
    assert world.import_file(dataset, HEADER + rows, "full")["status"] == "ACTIVE"
    job = world.import_file(dataset, HEADER + "u,i,3,view,\n", "few", importMode="INCREMENTAL")
    assert job["failureReason"] == "Dataset has fewer than 2 interactions: the data location holds 1."
    assert world.import_file(dataset, HEADER + rows, "enough", importMode="INCREMENTAL")["status"] == "ACTIVE"
