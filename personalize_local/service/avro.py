"""The schema of a dataset: an Avro record whose fields are the columns of the CSV files.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html and limits.html: the types a
field may have and how long its values may be. What is Avro is for the `avro` package to say; which fields a dataset
needs is in `requirements`. The texts of refusals are (unknown) but for the one about lengths.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from personalize_local.service.errors import ApiError

if TYPE_CHECKING:
    from avro.schema import Field, RecordSchema

TYPES = ("string", "int", "long", "float", "double", "boolean")
ID_LIMIT_CHARACTERS = 256
VALUE_LIMIT_CHARACTERS = 1000
"""Of categories, impressions, and any text of an item that is not textual."""
TEXTUAL_LIMIT_CHARACTERS = 20_000
CHINESE_AND_JAPANESE_LIMIT_CHARACTERS = 7_000
TOO_LONG = (
    "Length cannot be more than {limit} characters for {name}. If no values exceed the character limit, make sure your "
    "data follows the formatting guidelines listed in "
    "https://docs.aws.amazon.com/personalize/latest/dg/data-prep-formatting.html"
)
"""Documented in https://docs.aws.amazon.com/personalize/latest/dg/error-messages.html."""

_IDS = ("USER_ID", "ITEM_ID", "ACTION_ID")
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER_BITS = {"int": 31, "long": 63}
_CHINESE_OR_JAPANESE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
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
        textual: Whether the field holds unstructured text.
        of_item: Whether the schema is one of items, any text of which has a limit.
    """

    name: str
    type: str
    nullable: bool = False
    categorical: bool = False
    textual: bool = False
    of_item: bool = False

    @cached_property
    def limit(self) -> int | None:
        """The longest value, in characters."""
        if self.name in _IDS:
            return ID_LIMIT_CHARACTERS
        if self.textual:
            return TEXTUAL_LIMIT_CHARACTERS
        return VALUE_LIMIT_CHARACTERS if self.categorical or self.name == "IMPRESSION" or self.of_item else None

    @cached_property
    def fast_pattern(self) -> str:
        """A regular expression for values that are certainly right; what it does not match needs `problem`."""
        if self.type == "string":
            return f"{_PLAIN}{{{0 if self.nullable else 1},{self.limit or ''}}}"
        pattern = r"[0-9]{1,18}" if self.name == "TIMESTAMP" else _FAST[self.type]
        return f"(?:{pattern})?" if self.nullable else pattern

    def kept(self, text: str) -> str:
        """Return what is kept of a value: Personalize cuts text fields at their limit.

        What it takes for Chinese or Japanese is (unknown); here it is text with any character of theirs.
        """
        if not self.textual:
            return text
        short = _CHINESE_OR_JAPANESE.search(text)
        return text[: CHINESE_AND_JAPANESE_LIMIT_CHARACTERS if short else TEXTUAL_LIMIT_CHARACTERS]

    def problem(self, text: str) -> str | None:
        """Return what is wrong with the value, or ``None``."""
        if not text:
            return None if self.nullable else "the value is empty but the schema does not allow null"
        if self.type == "string":
            too_long = self.limit is not None and len(text) > self.limit
            return TOO_LONG.format(limit=self.limit, name=self.name) if too_long else None
        if not self._is_of_type(text):
            return f"{text[:100]!r} is not of type {self.type}"
        if self.name == "TIMESTAMP" and text.startswith("-"):
            return f"{text!r} is not a Unix time in seconds"
        return None

    def _is_of_type(self, text: str) -> bool:
        if self.type == "boolean":  # in lower case, said the guide until 2023; today it is silent
            return text in ("true", "false")
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
    def dataset_type(self) -> str:
        """The dataset type the name stands for, in upper case and without underscores."""
        return _folded(self.name)

    @cached_property
    def by_key(self) -> dict[str, Column]:
        """The columns by the form in which ``NUMBER_OF_RATINGS`` and ``numberOfRatings`` are the same."""
        return {_folded(column.name): column for column in self.columns}

    def column_of(self, key: str) -> Column | None:
        """Return the column a property key in camel case (or the column's own name) stands for."""
        return self.by_key.get(_folded(key))

    def position(self, name: str) -> int:
        """Return the index of the column."""
        return [column.name for column in self.columns].index(name)

    @classmethod
    def parse(cls, text: str) -> Schema:
        """Read an Avro record.

        Raises:
            ApiError: ``InvalidInputException`` saying what is wrong with it.
        """
        record = _avro_record(text)
        columns = tuple(_column(field, of_item=_folded(record.name) == "ITEMS") for field in record.fields)
        if len({_folded(column.name) for column in columns}) != len(columns):
            raise _refused("field names must be unique, also without their underscores and in any case")
        return cls(record.name, columns)


def _avro_record(text: str) -> RecordSchema:
    """Return the record, if it is Avro at all."""
    # Not fastavro (1.13): its parser takes names like "A-b" or 5, the same name twice, and unions of nothing.
    from avro.errors import AvroException  # noqa: PLC0415 - a start need not wait for it
    from avro.schema import RecordSchema, parse  # noqa: PLC0415

    try:
        record = parse(text)
    except AvroException as error:
        raise _refused(f"it is not Avro: {error}") from None
    except TypeError as error:  # a list or a map where the package expects a name
        raise _refused(f"it is not Avro: {error}") from None
    except RecursionError:
        raise _refused("it is nested too deeply") from None
    if not isinstance(record, RecordSchema):
        raise _refused("it is not an Avro record")
    return record


def _column(field: Field, *, of_item: bool) -> Column:
    union = field.type.to_json()
    types = union if isinstance(union, list) else [union]
    named = [kind for kind in types if kind != "null"]
    if len(named) != 1 or named[0] not in TYPES:
        raise _refused(f"the field {field.name} must be one of {', '.join(TYPES)}, optionally with null")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", field.name):
        raise _refused(f"the field name {field.name!r} is not alphanumeric")
    return Column(
        field.name,
        named[0],
        nullable="null" in types,
        categorical=field.other_props.get("categorical") is True,
        textual=field.other_props.get("textual") is True,
        of_item=of_item,
    )


def _refused(reason: str) -> ApiError:
    return ApiError("InvalidInputException", f"The schema is not valid: {reason}.")


def _folded(name: str) -> str:
    return name.replace("_", "").upper()
