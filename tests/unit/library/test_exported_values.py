"""Values, from an export to a query: the local service writes them, the SerDe's rules split them, the views type them.

The rules of the SerDe are those of opencsv 2.3, which Hive's OpenCSVSerde uses and Trino repeats "bug for bug"; they
are told again here, apart from those of the local AWS. DuckDB runs the SQL of the views. What Amazon Personalize writes
is unknown, so both ways to write quotes are tried.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdk_personalize_export import _columns, _views
from personalize_local.service.avro import Schema
from personalize_local.service.csvfiles import write_files
from personalize_local.service.rows import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cdk_personalize_export._columns import Column

BACKSLASH, TILDE = "\\", "~"
_LINE_END = re.compile(r"\r\n|\r|\n")  # what ends a record for Hadoop's text input

FIELDS = {
    "USER_ID": ("string", "string"),
    "EVENT_TYPE": (["null", "string"], "string"),
    "TIMESTAMP": ("long", "long"),
    "AGE": (["int", "null"], "int"),
    "EVENT_VALUE": (["null", "float"], "float"),
    "PRICE": ("double", "double"),
    "ACTIVE": (["null", "boolean"], "boolean"),
    "GENRES": (["null", "string"], "categories"),
}
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [
        {"name": name, "type": kind, **({"categorical": True} if values == "categories" else {})}
        for name, (kind, values) in FIELDS.items()
    ],
    "version": "1.0",
}
COLUMNS = _columns.from_schema(SCHEMA)
ENGINE = duckdb.connect(config={"threads": 1})


class Unquoted:
    """One line, split as opencsv 2.3 splits it."""

    def __init__(self, line: str, escape: str) -> None:
        self.line, self.escape = line, escape
        self.fields: list[str] = []
        self.field = ""
        self.in_quotes = self.in_field = False
        self.at = 0
        while self.at < len(line):
            self.take(line[self.at])
            self.at += 1
        if not self.in_quotes:  # the rest of a line whose quotes never end is lost
            self.fields.append(self.field)

    def take(self, character: str) -> None:
        inside = self.in_quotes or self.in_field
        following = self.line[self.at + 1 : self.at + 2]
        if character == self.escape:
            if inside and following and following in ('"', self.escape):
                self.keep_next(following)
        elif character == '"':
            if inside and following == '"':
                self.keep_next(following)
            else:
                self.quote(following)
            self.in_field = not self.in_field
        elif character == "," and not self.in_quotes:
            self.fields.append(self.field)
            self.field, self.in_field = "", False
        else:
            self.field += character
            self.in_field = True

    def keep_next(self, character: str) -> None:
        self.field += character
        self.at += 1

    def quote(self, following: str) -> None:
        """Begin or end quotes; quotes within a text that has none around it are part of it."""
        within = self.at > 2 and self.line[self.at - 1] != "," and following not in ("", ",")
        if within:
            self.field = "" if self.field and self.field.isspace() else self.field + '"'
        self.in_quotes = not self.in_quotes


def as_text(value: Any) -> str:
    """Write a value as a record holds it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "|".join(value)
    return str(value)


def exported(rows: Sequence[Sequence[Any]], *, backslashes: bool, parts: int = 1) -> list[str]:
    """Return the objects the local service writes for these rows."""
    records = [b"\n".join(encode(map(as_text, row)) for row in rows)] if rows else []
    schema = Schema.parse(json.dumps(SCHEMA))
    written = write_files(schema, records, len(rows), parts=parts, backslashes=backslashes)
    return [b"".join(lines).decode() for lines in written]


def queried(
    objects: Sequence[str],
    *,
    escape: str = BACKSLASH,
    skips_header: bool = False,
    columns: Sequence[Column] = COLUMNS,
    where: str = "true",
) -> list[tuple[Any, ...]]:
    """Return what the view shows of these objects."""
    rows = []
    for text in objects:
        lines = _LINE_END.split(text)[1 if skips_header else 0 : -1]
        rows += [split(line, escape, len(columns)) for line in lines]
    listed = ", ".join(f'"{column.name}" varchar' for column in columns)
    ENGINE.execute(f'CREATE OR REPLACE TABLE "raw" ({listed})')
    if rows:
        marks = ", ".join("?" * len(columns))
        ENGINE.executemany(f'INSERT INTO "raw" VALUES ({marks})', rows)  # noqa: S608 - question marks
    ENGINE.execute(f"CREATE OR REPLACE VIEW typed AS {_views.select(columns, 'raw')}")
    found: list[tuple[Any, ...]] = ENGINE.execute(f"SELECT * FROM typed WHERE {where}").fetchall()  # noqa: S608 - ours
    return found


def split(line: str, escape: str, width: int) -> list[str | None]:
    """Return as many values as the table has columns; a line that is too short, or blank, has none for the rest."""
    fields: list[str | None] = list(Unquoted(line, escape).fields) if line else []
    return (fields + [None] * width)[:width]


def text_without(*characters: str) -> st.SearchStrategy[str]:
    """Return texts on one line; no format of text carries NUL."""
    return st.text(st.characters(exclude_characters=["\0", "\r", "\n", *characters], exclude_categories=["Cs"]))


def rows_of(text: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    filled = text.filter(bool)
    part = filled.map(lambda value: value.replace("|", "")).filter(bool)
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    values = {
        "string": filled,
        "long": st.integers(0, 2**63 - 1),
        "int": st.integers(-(2**31), 2**31 - 1),
        "float": numbers,
        "double": numbers,
        "boolean": st.booleans(),
        "categories": st.lists(part, min_size=1, max_size=4),
    }
    optional = {name for name, (kind, _) in FIELDS.items() if isinstance(kind, list)}
    row = st.tuples(
        *(st.none() | values[kind] if name in optional else values[kind] for name, (_, kind) in FIELDS.items())
    )
    return st.lists(row, max_size=4)


@settings(deadline=None, max_examples=50)
@given(rows=rows_of(text_without()), parts=st.integers(1, 3), skips_header=st.booleans())
def test_every_value_comes_back_when_backslashes_come_before_quotes(
    rows: list[tuple[Any, ...]], parts: int, *, skips_header: bool
) -> None:
    objects = exported(rows, backslashes=True, parts=parts)
    assert queried(objects, skips_header=skips_header) == rows


@settings(deadline=None, max_examples=50)
@given(rows=rows_of(text_without(BACKSLASH)), skips_header=st.booleans())
def test_every_value_without_a_backslash_comes_back_when_quotes_are_doubled(
    rows: list[tuple[Any, ...]], *, skips_header: bool
) -> None:
    assert queried(exported(rows, backslashes=False), skips_header=skips_header) == rows


@settings(deadline=None, max_examples=50)
@given(rows=rows_of(text_without(TILDE)))
def test_every_value_without_the_escape_character_comes_back_when_quotes_are_doubled(
    rows: list[tuple[Any, ...]],
) -> None:
    assert queried(exported(rows, backslashes=False), escape=TILDE) == rows


ROW: tuple[Any, ...] = ("u1", "click", 17, 30, 0.1, 2.5, True, ["Action", "Sci-Fi"])


def with_user(user: str) -> list[tuple[Any, ...]]:
    return [(user, *ROW[1:])]


def test_awkward_values_come_back() -> None:
    users = [
        '"',
        '""',
        ',"',
        '",',
        "\\",
        '\\"',
        "\\\\",
        ' "a" ',
        " ",
        "'",
        "a\tb",
        "Zoë",
        "映画",
        "🎬",
        "{}",
        "#",
        "$1",
    ]
    rows = [row for user in users for row in with_user(user)]
    assert queried(exported(rows, backslashes=True)) == rows


def test_a_backslash_is_lost_when_quotes_are_doubled_and_backslashes_left_alone() -> None:
    assert queried(exported(with_user("C:\\new"), backslashes=False)) == with_user("C:new")


def test_a_backslash_at_the_end_takes_what_follows_along_when_quotes_are_doubled() -> None:
    rows = [("u1", "a,b\\", *ROW[2:]), ROW]
    assert queried(exported(rows, backslashes=False)) == [("u1", *[None] * 7), ROW]
    assert queried(exported(with_user("a,b\\"), backslashes=False)) == [(None,) * 8]


def test_a_record_with_a_line_break_in_a_text_is_two_rows_that_lack_what_follows_it() -> None:
    (text,) = exported([ROW], backslashes=True)
    rows = queried([text.replace("u1,click", '"u1","cl\nick, twice"')])
    assert rows == [("u1", *[None] * 7), ("ick", *[None] * 7)]


def test_an_empty_text_is_no_value_where_the_schema_allows_null_and_text_elsewhere() -> None:
    ((user, event_type, *_),) = queried(exported([("", "", *ROW[2:])], backslashes=True))
    assert (user, event_type) == ("", None)


def test_no_value_is_no_value_in_every_type() -> None:
    row = ("u1", None, 17, None, None, 2.5, None, None)
    assert queried(exported([row], backslashes=True)) == [row]


def test_numbers_keep_every_digit() -> None:
    rows = [
        ("u1", None, 2**63 - 1, -(2**31), 0.1, 1e-300, None, None),
        ("u2", None, 0, 0, 16777217.0, 1e22, None, None),
    ]
    assert queried(exported(rows, backslashes=True)) == rows


def test_the_header_of_every_part_is_left_out_and_of_an_empty_export_too() -> None:
    rows = [("u1", *ROW[1:]), ("u2", *ROW[1:]), ("u3", *ROW[1:])]
    objects = exported(rows, backslashes=True, parts=3)
    assert len(objects) == 3
    assert queried(objects) == rows
    assert queried(exported([], backslashes=True)) == []


def test_no_row_is_lost_when_parts_have_no_header() -> None:
    (text,) = exported([ROW, ROW], backslashes=True)
    assert queried([text.partition("\n")[2]]) == [ROW, ROW]


def test_a_row_that_has_the_names_of_columns_in_its_text_is_no_header() -> None:
    row = ("USER_ID", "EVENT_TYPE", *ROW[2:-1], ["GENRES"])
    assert queried(exported([row], backslashes=True)) == [row]


def test_a_blank_line_is_a_row_without_values() -> None:
    (text,) = exported([ROW], backslashes=True)
    assert queried([text + "\n"]) == [ROW, (None,) * 8]


def test_columns_in_another_order_than_the_schema_s_make_the_query_fail() -> None:
    (text,) = exported([ROW], backslashes=True)
    columns = [COLUMNS[2], *COLUMNS[:2], *COLUMNS[3:]]
    with pytest.raises(duckdb.ConversionException, match="USER_ID"):
        queried([text], columns=columns)


def test_columns_in_another_order_of_text_show_the_header_line_as_a_row() -> None:
    (text,) = exported([ROW], backslashes=True)
    columns = [COLUMNS[1], COLUMNS[0], *COLUMNS[2:]]
    header, row = queried([text], columns=columns)
    assert header[:2] == ("USER_ID", "EVENT_TYPE")
    assert row[:2] == ("u1", "click")


def test_a_value_that_is_not_of_its_type_makes_the_query_fail() -> None:
    (text,) = exported([ROW], backslashes=True)
    with pytest.raises(duckdb.ConversionException, match=r"12\.5x"):
        queried([text.replace(",17,", ",12.5x,")])


def test_a_query_that_asks_for_values_does_not_meet_the_text_of_the_header() -> None:
    rows = [ROW, ("u2", None, 18, None, None, 2.5, None, None)]
    conditions = '"timestamp" > 17 AND "price" = 2.5 AND "age" IS NULL AND "active" IS NULL'
    assert queried(exported(rows, backslashes=True), where=conditions) == rows[1:]
