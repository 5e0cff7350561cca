"""Lines as OpenCSVSerde reads them; `make lake` holds many more against the SerDe itself."""

from __future__ import annotations

import pytest

from personalize_local.athena.opencsv import Dialect, fields, lines

DEFAULT = Dialect()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a,b", ["a", "b"]),
        ("a,,", ["a", ""]),
        (r'"a \"b\" c","d\\e"', ['a "b" c', r"d\e"]),
        ('"a ""b"" c","""d"""', ['a "b" c', '"d"']),
        ('"a,b","c|d"', ["a,b", "c|d"]),
        ('"",x', ["", "x"]),
        ("é,\U0001f600", ["é", "\U0001f600"]),
    ],
)
def test_value_that_either_form_of_quotes_carries_is_read(line: str, expected: list[str]) -> None:
    assert fields(line, DEFAULT, 2) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (r"C:\new,b", ["C:new", "b"]),
        (r'"a\",b', [None, None]),
        (r'"C:\",b,c"', ['C:",b,c', None]),
        ('\\"a,b', [None, None]),
    ],
)
def test_backslash_that_escapes_nothing_is_lost_and_one_before_a_quote_takes_the_next_value_along(
    line: str, expected: list[str | None]
) -> None:
    assert fields(line, DEFAULT, 2) == expected


def test_fields_too_few_are_null_and_fields_too_many_are_dropped() -> None:
    assert fields("a", DEFAULT, 2) == ["a", None]
    assert fields("", DEFAULT, 2) == [None, None]
    assert fields("a,b,c", DEFAULT, 2) == ["a", "b"]
    assert fields('a,"b,c', DEFAULT, 2) == ["a", None]


def test_lines_end_whatever_is_quoted() -> None:
    assert list(lines(b'a\n"b\r\nc"\rd')) == ["a", '"b', 'c"', "d"]
    assert list(lines(b"a\n\n")) == ["a", ""]
    assert list(lines(b"")) == []


def test_escape_that_is_a_double_quote_is_a_backslash() -> None:
    assert Dialect.of({"escapeChar": '"'}) == DEFAULT


def test_other_characters_mean_what_the_table_says() -> None:
    dialect = Dialect.of({"separatorChar": ";", "quoteChar": "'", "escapeChar": "^"})
    assert fields("'a;^'b^''; \"c\"", dialect, 2) == ["a;'b'", ' "c"']


@pytest.mark.parametrize("parameters", [{"quoteChar": ","}, {"separatorChar": "\\"}, {"escapeChar": ""}])
def test_characters_that_are_the_same_or_none_are_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"must differ|is empty"):
        Dialect.of(parameters)
