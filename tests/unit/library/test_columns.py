"""What a Personalize schema, or its user, says of the columns of an export."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from cdk_personalize_export import _columns
from cdk_personalize_export._columns import Column

FORM = (
    "It must be the schema of the dataset, "
    '{"type": "record", "name": "Interactions", "fields": [{"name": "USER_ID", "type": "string"}, ...], '
    '"version": "1.0"}; `aws personalize describe-schema` prints it.'
)


def schema(*fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Items", "namespace": "n", "fields": list(fields), "version": "1.0"}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def test_each_avro_type_has_its_athena_type() -> None:
    kinds = ("string", "int", "long", "float", "double", "boolean")
    columns = _columns.from_schema(schema(*(field(kind.upper(), kind) for kind in kinds)))
    assert [column.type for column in columns] == ["string", "int", "bigint", "double", "double", "boolean"]
    assert not any(column.optional for column in columns)


def test_columns_have_the_order_of_the_fields_and_no_capitals() -> None:
    columns = _columns.from_schema(schema(field("USER_ID", "string"), field("Age_2", "int")))
    assert [(column.header, column.name) for column in columns] == [("USER_ID", "user_id"), ("Age_2", "age_2")]


@pytest.mark.parametrize("union", [["null", "float"], ["float", "null"], ["float"]])
def test_a_field_is_optional_when_null_is_one_of_its_types(union: list[str]) -> None:
    assert _columns.from_schema(schema(field("A", union))) == [Column("A", "double", optional="null" in union)]


def test_categories_are_lists_and_other_text_is_text() -> None:
    columns = _columns.from_schema(
        schema(
            field("GENRES", ["null", "string"], categorical=True),
            field("TITLE", "string", categorical=False),
            field("DESCRIPTION", "string", textual=True),
            field("YEAR", "int", categorical=True),
        )
    )
    assert [column.type for column in columns] == ["array<string>", "string", "string", "int"]


def test_schema_is_a_dict_or_its_text_or_a_resource_that_has_it() -> None:
    one = schema(field("A", "int"))
    read = [_columns.from_schema(given) for given in (one, json.dumps(one), SimpleNamespace(schema=json.dumps(one)))]
    assert read == [[Column("A", "int", optional=False)]] * 3


def test_types_are_what_the_user_says_and_empty_text_is_no_value() -> None:
    given = {"USER_ID": "string", "GENRES": "array<string>", "TIMESTAMP": "bigint"}
    assert _columns.from_types(given) == [Column(name, kind, optional=True) for name, kind in given.items()]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"type": "enum", "fields": [field("A", "int")]},
        {"type": "record"},
        {"type": "record", "fields": []},
        {"type": "record", "fields": "A"},
    ],
)
def test_what_is_no_record_with_fields(given: dict[str, Any]) -> None:
    beginning = f"schema is no Avro record with fields, it begins {str(given)[:60]!r}. {FORM}"
    assert refusal(given) == beginning
    assert "schema is no Avro record with fields" in refusal(json.dumps(given))
    assert "schema is no Avro record with fields" in refusal("[1]")


def test_what_is_no_json() -> None:
    assert refusal("record Items {}") == (
        "schema is not JSON (Expecting value: line 1 column 1 (char 0)), it begins 'record Items {}'. " + FORM
    )
    assert refusal("[" * 100_000).startswith("schema is not JSON (maximum recursion depth exceeded")


def test_what_is_only_known_at_deployment() -> None:
    message = (
        "schema is only known at deployment, and the tables are made of its fields: give columns={'USER_ID': 'string', "
        "...} instead."
    )
    assert refusal("${Token[TOKEN.1]}") == message
    assert refusal(SimpleNamespace(schema="${Token[TOKEN.1]}")) == message


@pytest.mark.parametrize("nameless", [{"type": "int"}, {"name": 1, "type": "int"}, "A", None])
def test_field_without_a_name(nameless: Any) -> None:
    assert refusal(schema(nameless)) == (
        f'schema has a field {str(nameless)[:60]!r}, which has no name. Write {{"name": "USER_ID", "type": "string"}}.'
    )


@pytest.mark.parametrize(
    "kind",
    [
        "bytes",
        "null",
        ["null"],
        ["int", "long"],
        None,
        {"type": "int"},
        {"type": "array", "items": "string"},
        [["int"]],
    ],
)
def test_field_of_a_type_personalize_has_not(kind: Any) -> None:
    assert refusal(schema(field("A", kind))) == (
        f"field 'A' of schema is of type {kind!r}. Allowed are string, int, long, float, double, boolean, each alone "
        "or in a list with \"null\": correct it, or give columns={'USER_ID': 'string', ...} instead."
    )


@pytest.mark.parametrize("name", ["", "2A", "A-B", "A B", 'A"', "É", "A" * 256])
def test_name_that_glue_or_a_schema_refuses(name: str) -> None:
    allowed = (
        "Allowed are 1 to 255 letters, digits and underscores, the first no digit, as in the fields of a Personalize "
        "schema."
    )
    assert refusal(schema(field(name, "int"))) == f"schema has a column {name!r}. {allowed}"
    assert refusal(columns={name: "int"}) == f"columns has a column {name!r}. {allowed}"


def test_names_that_are_one_without_capitals() -> None:
    assert refusal(schema(field("Age", "int"), field("AGE", "int"))) == (
        "schema has the columns 'Age' and 'AGE', which are one: names in AWS Glue have no capitals. Make a table of "
        "your own for this export, on its latest_path."
    )
    assert "columns has the columns 'a' and 'A'" in refusal(columns={"a": "int", "A": "int"})


def test_name_that_the_history_has_itself() -> None:
    assert refusal(columns={"DT": "int"}) == (
        "columns has a column 'DT', the name of the column that says of which day a row of the history is. Make a "
        "table of your own for this export, on its latest_path."
    )


def test_types_that_are_none_and_no_columns_at_all() -> None:
    assert refusal(columns={"A": "float"}) == (
        "the type of column 'A' is 'float'. Allowed are string, int, bigint, double, boolean, array<string>."
    )
    assert refusal(columns={}) == (
        "columns is empty. Name every column of the export, in the order of its header line."
    )


def refusal(given: Any = None, *, columns: dict[str, str] | None = None) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        _columns.from_schema(given) if columns is None else _columns.from_types(columns)
    return str(refused.value)
