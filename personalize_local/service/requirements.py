"""Which fields the schema of a dataset needs, and how reserved ones must be defined.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/custom-datasets-and-schemas.html and its siblings
ECOMMERCE-datasets-and-schemas.html and VIDEO-ON-DEMAND-datasets-and-schemas.html: the tables below are theirs. Where
the guide has a sentence for a rule, the refusal says it; what the API answers word for word is (unknown).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from personalize_local.service.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from personalize_local.service.avro import Column, Schema
    from personalize_local.service.quotas import Quotas

INTERACTIONS, ITEMS, USERS = "INTERACTIONS", "ITEMS", "USERS"
ACTIONS, ACTION_INTERACTIONS = "ACTIONS", "ACTION_INTERACTIONS"
DATASET_TYPES = (INTERACTIONS, ITEMS, USERS, ACTIONS, ACTION_INTERACTIONS)
EXPORTABLE = (INTERACTIONS, ITEMS, USERS)
CUSTOM_ONLY = (ACTIONS, ACTION_INTERACTIONS)
"""The types a domain dataset group can not have."""
ID_FIELDS = {ITEMS: "ITEM_ID", USERS: "USER_ID", ACTIONS: "ACTION_ID"}
"""Dataset type → the field that identifies a record, where one does."""


@dataclass(frozen=True)
class Rule:
    """How a field must be defined.

    Args:
        type: Its Avro type.
        nullable: Whether it may also be null.
        attribute: ``categorical`` or ``textual`` when it must have that attribute.
    """

    type: str
    nullable: bool = False
    attribute: str = ""

    def __str__(self) -> str:
        """Describe it as the guide does."""
        return f"{self.attribute} {self.type}".strip() + (", optionally with null" if self.nullable else "")


Rules = dict[str, Rule]

_STRING, _LONG, _FLOAT = Rule("string"), Rule("long"), Rule("float")
_OPTIONAL_STRING, _OPTIONAL_LONG = Rule("string", nullable=True), Rule("long", nullable=True)
_OPTIONAL_FLOAT = Rule("float", nullable=True)
_CATEGORIES = Rule("string", attribute="categorical")
_OPTIONAL_CATEGORIES = Rule("string", nullable=True, attribute="categorical")
_OPTIONAL_TEXT = Rule("string", nullable=True, attribute="textual")

_INTERACTION = {"USER_ID": _STRING, "ITEM_ID": _STRING, "TIMESTAMP": _LONG}
_INTERACTION_KEYWORDS = {
    "EVENT_VALUE": _OPTIONAL_FLOAT,
    "IMPRESSION": _OPTIONAL_STRING,
    "RECOMMENDATION_ID": _OPTIONAL_STRING,
    "EVENT_ATTRIBUTION_SOURCE": _OPTIONAL_STRING,
}
_DOMAIN_INTERACTIONS = ({**_INTERACTION, "EVENT_TYPE": _STRING}, _INTERACTION_KEYWORDS)

_CUSTOM: Mapping[str, tuple[Rules, Rules]] = {
    INTERACTIONS: (_INTERACTION, {"EVENT_TYPE": _STRING, **_INTERACTION_KEYWORDS}),
    USERS: ({"USER_ID": _STRING}, {}),
    ITEMS: ({"ITEM_ID": _STRING}, {"CREATION_TIMESTAMP": _LONG}),
    ACTIONS: (
        {"ACTION_ID": _STRING},
        {
            "CREATION_TIMESTAMP": _LONG,
            "VALUE": _OPTIONAL_LONG,
            "TYPE": _OPTIONAL_STRING,
            "EXPIRATION_TIMESTAMP": _OPTIONAL_LONG,  # so the table of the guide, ACTION_… so its text
            "ACTION_EXPIRATION_TIMESTAMP": _OPTIONAL_LONG,
            "REPEAT_FREQUENCY": _OPTIONAL_LONG,
        },
    ),
    ACTION_INTERACTIONS: (
        {"USER_ID": _STRING, "ACTION_ID": _STRING, "EVENT_TYPE": _STRING, "TIMESTAMP": _LONG},
        {"IMPRESSION": _OPTIONAL_STRING, "RECOMMENDATION_ID": _OPTIONAL_STRING},
    ),
}
_FIELDS: Mapping[str, Mapping[str, tuple[Rules, Rules]]] = {
    "": _CUSTOM,
    "ECOMMERCE": {
        INTERACTIONS: _DOMAIN_INTERACTIONS,
        USERS: ({"USER_ID": _STRING}, {}),
        ITEMS: (
            {"ITEM_ID": _STRING, "PRICE": _FLOAT, "CATEGORY_L1": _CATEGORIES},
            {
                "CATEGORY_L2": _OPTIONAL_CATEGORIES,
                "CATEGORY_L3": _OPTIONAL_CATEGORIES,
                "PRODUCT_DESCRIPTION": _OPTIONAL_TEXT,
                "CREATION_TIMESTAMP": _LONG,
                "AGE_GROUP": _OPTIONAL_CATEGORIES,
                "ADULT": _OPTIONAL_CATEGORIES,
                "GENDER": _OPTIONAL_CATEGORIES,
            },
        ),
    },
    "VIDEO_ON_DEMAND": {
        INTERACTIONS: _DOMAIN_INTERACTIONS,
        USERS: ({"USER_ID": _STRING}, {"SUBSCRIPTION_MODEL": _OPTIONAL_CATEGORIES}),
        ITEMS: (
            {"ITEM_ID": _STRING, "CREATION_TIMESTAMP": _LONG, "GENRES": _CATEGORIES},
            {
                "PRICE": _OPTIONAL_FLOAT,
                "DURATION": _OPTIONAL_FLOAT,
                "GENRE_L2": _OPTIONAL_CATEGORIES,
                "GENRE_L3": _OPTIONAL_CATEGORIES,
                "AVERAGE_RATING": _OPTIONAL_FLOAT,
                "PRODUCT_DESCRIPTION": _OPTIONAL_TEXT,
                "CONTENT_OWNER": _OPTIONAL_CATEGORIES,
                "CONTENT_CLASSIFICATION": _OPTIONAL_CATEGORIES,
            },
        ),
    },
}
"""Domain (none for a custom dataset group) → dataset type → required fields, reserved keywords."""


def check(schema: Schema, dataset_type: str, domain: str, quotas: Quotas) -> None:
    """Check that a dataset of this type, in a group of this domain, can have the schema.

    Raises:
        ApiError: ``InvalidInputException`` naming the field that is missing or defined otherwise.
    """
    if schema.dataset_type != dataset_type.replace("_", ""):
        raise _invalid(f"The name of the schema, {schema.name}, does not match the dataset type {dataset_type}.")
    required, reserved = _FIELDS[domain][dataset_type]
    columns = {column.name: column for column in schema.columns}
    of_type = f"a dataset of type {dataset_type}" + (f" in the domain {domain}" if domain else "")
    for name, rule in required.items():
        if name not in columns:
            raise _invalid(f"The schema of {of_type} needs the field {name} of type {rule}.")
    for name, rule in {**reserved, **required}.items():
        if name in columns:
            _check_field(columns[name], rule, "required" if name in required else "reserved")
    ids = {*ID_FIELDS.values(), "CREATION_TIMESTAMP"}
    _check_metadata(schema, [column for column in schema.columns if column.name not in ids], of_type, dataset_type)
    metadata = metadata_fields(schema, dataset_type, domain)
    most = quotas.metadata_columns(dataset_type)
    if metadata > most:
        raise _invalid(f"The schema of {of_type} can have at most {most} metadata fields, it has {metadata}.")
    textual = sum(column.textual for column in schema.columns)
    if textual > quotas.textual_columns:
        most = quotas.textual_columns
        raise _invalid(f"The schema of {of_type} can have at most {most} textual field, it has {textual}.")


def keywords(dataset_type: str, domain: str) -> frozenset[str]:
    """Return the reserved keywords of a dataset type in a domain."""
    return frozenset(_FIELDS[domain][dataset_type][1])


def metadata_fields(schema: Schema, dataset_type: str, domain: str) -> int:
    """Return how many fields of a schema are neither required nor reserved."""
    required, reserved = _FIELDS[domain][dataset_type]
    return len({column.name for column in schema.columns} - required.keys() - reserved.keys())


def check_replacement(old: Schema, new: Schema) -> None:
    """Check that a schema can replace another, as UpdateDataset may.

    Raises:
        ApiError: ``InvalidInputException`` naming the field that is gone, changed, or new and never null.
    """
    new_columns = {column.name: column for column in new.columns}
    for column in old.columns:
        if new_columns.pop(column.name, None) != column:
            raise _invalid(
                "You must keep all fields in the previous schema and you can't change their data types or attributes: "
                f"{column.name}."
            )
    for column in new_columns.values():
        if not column.nullable:
            raise _invalid(f"Any new fields must support null data: {column.name}.")


def _check_field(column: Column, rule: Rule, what: str) -> None:
    """Check one required or reserved field."""
    if column.type != rule.type:
        raise _invalid(f"The {what} field {column.name} must be of type {rule}.")
    if column.nullable and not rule.nullable:
        raise _invalid(f"The {what} field {column.name} must be of type {rule}; it does not support null.")
    if rule.attribute == "categorical" and not column.categorical:
        raise _invalid(f"Reserved categorical string fields must have categorical set to true: {column.name}.")
    if rule.attribute == "textual" and not column.textual:
        raise _invalid(f"Textual fields must have textual set to true: {column.name}.")
    if column.categorical and rule.attribute != "categorical":
        raise _invalid(f"Reserved string fields can't be categorical: {column.name}.")


def _check_metadata(schema: Schema, others: list[Column], of_type: str, dataset_type: str) -> None:
    """Check the attributes of all fields, and that there is something but ids."""
    for column in schema.columns:
        if column.categorical and column.type != "string":
            raise _invalid(f"Categorical fields must be of the type string: {column.name}.")
        if column.textual and column.type != "string":
            raise _invalid(f"Textual fields must be of the type string: {column.name}.")
        if column.textual and dataset_type != ITEMS:
            raise _invalid(f"Only Items schemas support fields with the textual attribute: {column.name}.")
    # The default Users schema for VIDEO_ON_DEMAND has but a reserved field beside the id, so that counts here.
    if dataset_type in ID_FIELDS and not others:
        raise _invalid(f"The schema of {of_type} needs at least one metadata field.")


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidInputException", message)
