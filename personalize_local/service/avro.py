"""The schema of a dataset: an Avro record whose fields are the columns of the CSV files.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html and
custom-datasets-and-schemas.html: the types a field may have, the fields each dataset type needs, and the reserved
names whose type is fixed. The texts of refusals are (unknown).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from personalize_local.service.errors import ApiError

TYPES = ("string", "int", "long", "float", "double", "boolean")
INTERACTIONS = "INTERACTIONS"
ID_LIMIT_CHARACTERS = 256
CATEGORY_LIMIT_CHARACTERS = 1000

REQUIRED_FIELDS = {
    "INTERACTIONS": {"USER_ID": "string", "ITEM_ID": "string", "TIMESTAMP": "long"},
    "ITEMS": {"ITEM_ID": "string"},
    "USERS": {"USER_ID": "string"},
    "ACTIONS": {"ACTION_ID": "string"},
    "ACTION_INTERACTIONS": {"USER_ID": "string", "ACTION_ID": "string", "EVENT_TYPE": "string", "TIMESTAMP": "long"},
}
"""Dataset type → the fields it can not do without, and their types."""
ID_FIELDS = {"ITEMS": "ITEM_ID", "USERS": "USER_ID"}
"""Dataset type → the field that identifies a record, where one does."""
EXPORTABLE = ("INTERACTIONS", "ITEMS", "USERS")
RESERVED_FIELDS = {
    "EVENT_TYPE": "string",
    "EVENT_VALUE": "float",
    "IMPRESSION": "string",
    "RECOMMENDATION_ID": "string",
    "EVENT_ATTRIBUTION_SOURCE": "string",
    "CREATION_TIMESTAMP": "long",
}

_IDS = ("USER_ID", "ITEM_ID", "ACTION_ID")
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER_BITS = {"int": 31, "long": 63}
_PLAIN = r"[ !#-+\--\[\]-~]"  # printable ASCII but quote, comma and backslash: a field that needs no second look
_FAST = {
    "int": r"-?[0-9]{1,9}",
    "long": r"-?[0-9]{1,18}",
    "float": r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?",
    "double": r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?",
    "boolean": r"(?:true|false)",
}


@dataclass(frozen=True)
class Column:
    """One field of a schema.

    Args:
        name: The header of the column.
        type: One of `TYPES`.
        nullable: Whether the field may be empty.
        categorical: Whether the field holds categories, separated by ``|``.
    """

    name: str
    type: str
    nullable: bool = False
    categorical: bool = False

    @cached_property
    def limit(self) -> int | None:
        """The longest value, in characters."""
        if self.name in _IDS:
            return ID_LIMIT_CHARACTERS
        return CATEGORY_LIMIT_CHARACTERS if self.categorical else None

    @cached_property
    def fast_pattern(self) -> str:
        """A regular expression for values that are certainly right; what it does not match needs `problem`."""
        if self.type == "string":
            return f"{_PLAIN}{{{0 if self.nullable else 1},{self.limit or ''}}}"
        pattern = r"[0-9]{1,18}" if self.name == "TIMESTAMP" else _FAST[self.type]
        return f"(?:{pattern})?" if self.nullable else pattern

    def problem(self, text: str) -> str | None:
        """Return what is wrong with the value, or ``None``."""
        if not text:
            return None if self.nullable else "the value is empty but the schema does not allow null"
        if self.type == "string":
            if self.limit is not None and len(text) > self.limit:
                return f"the value has {len(text)} characters, at most {self.limit} are allowed"
            return None
        if not self._is_of_type(text):
            return f"{text[:100]!r} is not of type {self.type}"
        if self.name == "TIMESTAMP" and text.startswith("-"):
            return f"{text!r} is not a Unix time in seconds"
        return None

    def _is_of_type(self, text: str) -> bool:
        if self.type == "boolean":
            return text.lower() in ("true", "false")
        bits = _INTEGER_BITS.get(self.type)
        if bits is not None:
            return bool(_INTEGER.fullmatch(text)) and -(1 << bits) <= int(text) < 1 << bits
        return bool(_NUMBER.fullmatch(text)) and math.isfinite(float(text))


@dataclass(frozen=True)
class Schema:
    """A parsed schema: the name of the record and its columns in order."""

    name: str
    columns: tuple[Column, ...]

    @cached_property
    def by_key(self) -> dict[str, Column]:
        """The columns by the form in which ``NUMBER_OF_RATINGS`` and ``numberOfRatings`` are the same."""
        return {_folded(column.name): column for column in self.columns}

    def column_of(self, key: str) -> Column | None:
        """Return the column a property key in camel case (or the column's own name) stands for."""
        return self.by_key.get(_folded(key))

    @classmethod
    def parse(cls, text: str) -> Schema:
        """Read an Avro record.

        Raises:
            ApiError: ``InvalidInputException`` saying what is wrong with it.
        """
        try:
            record = json.loads(text)
        except ValueError:
            raise _refused("it is not valid JSON") from None
        if not isinstance(record, dict) or record.get("type") != "record":
            raise _refused("it is not an Avro record")
        if not isinstance(record.get("name"), str) or not isinstance(record.get("fields"), list):
            raise _refused("an Avro record needs a name and a list of fields")
        columns = tuple(_column(field) for field in record["fields"])
        if len({_folded(column.name) for column in columns}) != len(columns):
            raise _refused("field names must be unique, also without their underscores and in any case")
        return cls(record["name"], columns)

    def check_for(self, dataset_type: str) -> None:
        """Check that a dataset of this type can have this schema.

        Raises:
            ApiError: ``InvalidInputException`` naming the field that is missing or has another type.
        """
        if _folded(self.name) != _folded(dataset_type):
            raise ApiError(
                "InvalidInputException",
                f"The name of the schema, {self.name}, does not match the dataset type {dataset_type}.",
            )
        required = REQUIRED_FIELDS[dataset_type]
        types = {column.name: column.type for column in self.columns}
        for name, kind in required.items():
            if types.get(name) != kind:
                raise ApiError(
                    "InvalidInputException",
                    f"The schema of a dataset of type {dataset_type} needs the field {name} of type {kind}.",
                )
        for name, kind in RESERVED_FIELDS.items():
            if types.get(name, kind) != kind:
                raise ApiError("InvalidInputException", f"The reserved field {name} must be of type {kind}.")
        if "TIMESTAMP" not in required and not set(types) - set(required) - {"CREATION_TIMESTAMP"}:
            raise ApiError(
                "InvalidInputException",
                f"The schema of a dataset of type {dataset_type} needs at least one metadata field.",
            )


def _column(field: Any) -> Column:
    if not isinstance(field, dict) or not isinstance(field.get("name"), str):
        raise _refused("every field needs a name and a type")
    name = field["name"]
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise _refused(f"the field name {name!r} is not alphanumeric")
    union = field.get("type")
    types = union if isinstance(union, list) else [union]
    named = [kind for kind in types if kind != "null"]
    if len(named) != 1 or named[0] not in TYPES:
        raise _refused(f"the field {name} must be one of {', '.join(TYPES)}, optionally with null")
    return Column(name, named[0], nullable="null" in types, categorical=field.get("categorical") is True)


def _refused(reason: str) -> ApiError:
    return ApiError("InvalidInputException", f"The schema is not valid: {reason}.")


def _folded(name: str) -> str:
    return name.replace("_", "").upper()
