"""A schema must have the fields its dataset type and domain ask for, defined as the guide says."""

from __future__ import annotations

import json
from typing import Any

import pytest

ID = {"ITEMS": "ITEM_ID", "USERS": "USER_ID", "ACTIONS": "ACTION_ID"}
Fields = list[dict[str, Any]]


def field(name: str, kind: Any = "string", **more: bool) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


INTERACTION = [field("USER_ID"), field("ITEM_ID"), field("TIMESTAMP", "long")]
CATEGORIES: Any = {"categorical": True}
TEXT: Any = {"textual": True}
NULL_STRING = ["null", "string"]


def refusal(world: Any, kind: str, fields: Fields, domain: str = "") -> str | None:
    """Return why a dataset can not have the schema, or nothing."""
    of_domain = {"domain": domain} if domain else {}
    name = "Action_Interactions" if kind == "ACTION_INTERACTIONS" else kind.title()
    text = json.dumps({"type": "record", "name": name, "fields": fields})
    schema = world.call("CreateSchema", name="s", schema=text, **of_domain)["schemaArn"]
    group = world.call("CreateDatasetGroup", name="g", **of_domain)["datasetGroupArn"]
    world.wait()
    request = {"name": "d", "schemaArn": schema, "datasetGroupArn": group, "datasetType": kind}
    try:
        world.call("CreateDataset", **request)
    except Exception as error:  # noqa: BLE001 - its text is what is looked at
        return str(error).removeprefix("InvalidInputException: ")
    return None


@pytest.mark.parametrize(
    ("kind", "fields", "domain"),
    [
        ("INTERACTIONS", INTERACTION, ""),
        ("INTERACTIONS", [*INTERACTION, field("EVENT_TYPE"), field("IMPRESSION", NULL_STRING)], "ECOMMERCE"),
        ("ITEMS", [field("ITEM_ID"), field("TEXT", NULL_STRING, **TEXT)], ""),
        ("ITEMS", [field("ITEM_ID"), field("PRICE", "float"), field("CATEGORY_L1", **CATEGORIES)], "ECOMMERCE"),
        (
            "ITEMS",
            [field("ITEM_ID"), field("CREATION_TIMESTAMP", "long"), field("GENRES", **CATEGORIES)],
            "VIDEO_ON_DEMAND",
        ),
        ("USERS", [field("USER_ID"), field("SUBSCRIPTION_MODEL", NULL_STRING, **CATEGORIES)], "VIDEO_ON_DEMAND"),
        ("ACTIONS", [field("ACTION_ID"), field("VALUE", ["null", "long"])], ""),
        (
            "ACTION_INTERACTIONS",
            [field("USER_ID"), field("ACTION_ID"), field("EVENT_TYPE"), field("TIMESTAMP", "long")],
            "",
        ),
    ],
)
def test_schema_with_what_is_required_is_taken(world: Any, kind: str, fields: Fields, domain: str) -> None:
    assert refusal(world, kind, fields, domain) is None


@pytest.mark.parametrize(
    ("kind", "fields", "domain", "reason"),
    [
        (
            "INTERACTIONS",
            INTERACTION,
            "ECOMMERCE",
            (
                "The schema of a dataset of type INTERACTIONS in the domain ECOMMERCE "
                "needs the field EVENT_TYPE of type string."
            ),
        ),
        (
            "ITEMS",
            [field("ITEM_ID"), field("PRICE", "float")],
            "ECOMMERCE",
            (
                "The schema of a dataset of type ITEMS in the domain ECOMMERCE needs the field CATEGORY_L1 of type "
                "categorical string."
            ),
        ),
        (
            "ITEMS",
            [field("ITEM_ID"), field("GENRES", **CATEGORIES)],
            "VIDEO_ON_DEMAND",
            (
                "The schema of a dataset of type ITEMS in the domain VIDEO_ON_DEMAND "
                "needs the field CREATION_TIMESTAMP of type long."
            ),
        ),
        (
            "ITEMS",
            [field("ITEM_ID"), field("PRICE", ["null", "float"]), field("CATEGORY_L1", **CATEGORIES)],
            "ECOMMERCE",
            "The required field PRICE must be of type float; it does not support null.",
        ),
        (
            "USERS",
            [field("USER_ID", NULL_STRING), field("AGE", "int")],
            "",
            "The required field USER_ID must be of type string; it does not support null.",
        ),
        (
            "INTERACTIONS",
            [*INTERACTION, field("EVENT_TYPE", NULL_STRING)],
            "",
            "The reserved field EVENT_TYPE must be of type string; it does not support null.",
        ),
        (
            "INTERACTIONS",
            [*INTERACTION, field("EVENT_TYPE", **CATEGORIES)],
            "",
            "Reserved string fields can't be categorical: EVENT_TYPE.",
        ),
        (
            "USERS",
            [field("USER_ID"), field("SUBSCRIPTION_MODEL")],
            "VIDEO_ON_DEMAND",
            "Reserved categorical string fields must have categorical set to true: SUBSCRIPTION_MODEL.",
        ),
        (
            "ITEMS",
            [
                field("ITEM_ID"),
                field("PRICE", "float"),
                field("CATEGORY_L1", **CATEGORIES),
                field("PRODUCT_DESCRIPTION"),
            ],
            "ECOMMERCE",
            "Textual fields must have textual set to true: PRODUCT_DESCRIPTION.",
        ),
        (
            "USERS",
            [field("USER_ID"), field("AGE", "int", **CATEGORIES)],
            "",
            "Categorical fields must be of the type string: AGE.",
        ),
        (
            "ITEMS",
            [field("ITEM_ID"), field("LENGTH", "int", **TEXT)],
            "",
            "Textual fields must be of the type string: LENGTH.",
        ),
        (
            "USERS",
            [field("USER_ID"), field("ABOUT", **TEXT)],
            "",
            "Only Items schemas support fields with the textual attribute: ABOUT.",
        ),
        (
            "ITEMS",
            [field("ITEM_ID"), field("A", **TEXT), field("B", **TEXT)],
            "",
            "The schema of a dataset of type ITEMS can have at most 1 textual field, it has 2.",
        ),
        ("USERS", [field("USER_ID")], "", "The schema of a dataset of type USERS needs at least one metadata field."),
        (
            "ACTIONS",
            [field("ACTION_ID"), field("VALUE", "int")],
            "",
            "The reserved field VALUE must be of type long, optionally with null.",
        ),
        (
            "ACTIONS",
            [field("ACTION_ID"), field("LEVEL", **CATEGORIES)],
            "ECOMMERCE",
            "A dataset of type ACTIONS can't be in a domain dataset group.",
        ),
    ],
)
def test_schema_that_is_not_as_the_guide_says_is_refused(
    world: Any, kind: str, fields: Fields, domain: str, reason: str
) -> None:
    assert refusal(world, kind, fields, domain) == reason


@pytest.mark.parametrize(
    ("kind", "most"), [("INTERACTIONS", 5), ("USERS", 25), ("ITEMS", 100), ("ACTIONS", 10), ("ACTION_INTERACTIONS", 5)]
)
def test_metadata_fields_have_a_number_they_may_not_exceed(new_world: Any, kind: str, most: int) -> None:
    reserved = {
        "INTERACTIONS": [*INTERACTION, field("EVENT_VALUE", "float")],
        "ITEMS": [field("ITEM_ID"), field("CREATION_TIMESTAMP", "long")],
        "ACTION_INTERACTIONS": [field("USER_ID"), field("ACTION_ID"), field("EVENT_TYPE"), field("TIMESTAMP", "long")],
    }.get(kind, [field(ID.get(kind, ""))])
    metadata = [field(f"FIELD_{number}", "int") for number in range(most + 1)]
    assert refusal(new_world(), kind, [*reserved, *metadata[:-1]]) is None
    assert refusal(new_world(), kind, [*reserved, *metadata]) == (
        f"The schema of a dataset of type {kind} can have at most {most} metadata fields, it has {most + 1}."
    )
