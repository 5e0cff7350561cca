"""The columns of an export: what a Personalize schema, or its user, says of them.

A schema is an Avro record whose fields are the columns of the CSV files, in this order (inferred):
https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html. A type is one of Athena:
https://docs.aws.amazon.com/athena/latest/ug/data-types.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdk_personalize_export._checks import is_unknown

DAY = "dt"
"""The column of the history that says of which day a row is."""
TYPES = ("string", "int", "bigint", "double", "boolean", "array<string>")
NAME_CHARACTERS = 255  # docs.aws.amazon.com/glue/latest/webapi/API_Column.html

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A float is text in CSV, of which a double keeps every digit: 0.1 stays equal to 0.1.
_AVRO_TYPES = {
    "string": "string",
    "int": "int",
    "long": "bigint",
    "float": "double",
    "double": "double",
    "boolean": "boolean",
}
_FORM = (
    '{"type": "record", "name": "Interactions", "fields": [{"name": "USER_ID", "type": "string"}, ...], "version": '
    '"1.0"}'
)
_GIVE_COLUMNS = "give columns={'USER_ID': 'string', ...} instead"


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        header: Its name in the header line of an export.
        type: One of `TYPES`.
        optional: Whether an empty value is no value.
    """

    header: str
    type: str
    optional: bool = True

    @property
    def name(self) -> str:
        """Its name in tables, where names have no capitals."""
        return self.header.lower()


def from_schema(schema: object) -> list[Column]:
    """Read an Avro record: JSON text, what such text holds, or a `CfnSchema` that has it.

    Raises:
        ValueError: It is only known at deployment, or no schema that Personalize takes.
    """
    given = schema if isinstance(schema, str | Mapping) else str(getattr(schema, "schema", schema))
    record = _parsed(given) if isinstance(given, str) else given
    fields = record.get("fields") if isinstance(record, Mapping) and record.get("type") == "record" else None
    if not isinstance(fields, list | tuple) or not fields:
        raise ValueError(
            f"schema is no Avro record with fields, it begins {_begin(given)}. It must be the schema of the dataset, "
            f"{_FORM}; `aws personalize describe-schema` prints it."
        )
    return _checked("schema", [_column(field) for field in fields])


def from_types(columns: Mapping[str, str]) -> list[Column]:
    """Read what the user says: types by the names of the header line, in its order.

    Raises:
        ValueError: There is none, or a type is unknown.
    """
    if not columns:
        raise ValueError("columns is empty. Name every column of the export, in the order of its header line.")
    for name, given in columns.items():
        if given not in TYPES:
            raise ValueError(f"the type of column {name!r} is {given!r}. Allowed are {', '.join(TYPES)}.")
    return _checked("columns", [Column(name, given) for name, given in columns.items()])


def _parsed(text: str) -> Any:  # noqa: ANN401 - open JSON
    if is_unknown(text):
        raise ValueError(f"schema is only known at deployment, and the tables are made of its fields: {_GIVE_COLUMNS}.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"schema is not JSON ({error}), it begins {_begin(text)}. It must be the schema of the dataset, {_FORM}; "
            "`aws personalize describe-schema` prints it."
        ) from None


def _begin(given: object) -> str:
    return repr(str(given)[:60])


def _column(field: object) -> Column:
    name = field.get("name") if isinstance(field, Mapping) else None
    if not isinstance(field, Mapping) or not isinstance(name, str):
        raise ValueError(  # noqa: TRY004 - every wrong option raises ValueError
            f'schema has a field {_begin(field)}, which has no name. Write {{"name": "USER_ID", "type": "string"}}.'
        )
    given = field.get("type")
    union = list(given) if isinstance(given, list | tuple) else [given]
    named = [one for one in union if one != "null"]
    if len(named) != 1 or not isinstance(named[0], str) or named[0] not in _AVRO_TYPES:
        raise ValueError(
            f"field {name!r} of schema is of type {given!r}. Allowed are {', '.join(_AVRO_TYPES)}, each alone or in a "
            f'list with "null": correct it, or {_GIVE_COLUMNS}.'
        )
    is_list = named[0] == "string" and field.get("categorical") is True
    return Column(name, "array<string>" if is_list else _AVRO_TYPES[named[0]], optional="null" in union)


def _checked(option: str, columns: list[Column]) -> list[Column]:
    headers: dict[str, str] = {}
    for column in columns:
        if not _NAME.fullmatch(column.header) or len(column.header) > NAME_CHARACTERS:
            raise ValueError(
                f"{option} has a column {column.header!r}. Allowed are 1 to {NAME_CHARACTERS} letters, digits and "
                "underscores, the first no digit, as in the fields of a Personalize schema."
            )
        if column.name in headers:
            raise ValueError(
                f"{option} has the columns {headers[column.name]!r} and {column.header!r}, which are one: names in AWS "
                "Glue have no capitals. Make a table of your own for this export, on its latest_path."
            )
        if column.name == DAY:
            raise ValueError(
                f"{option} has a column {column.header!r}, the name of the column that says of which day a row of the "
                "history is. Make a table of your own for this export, on its latest_path."
            )
        headers[column.name] = column.header
    return columns
