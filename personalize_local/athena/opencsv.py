"""How OpenCSVSerde reads a line of text: every column is text, and quotes and escapes have rules of their own.

The options and their defaults are those of https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html. The rules are
those of opencsv 2.3, which Hive's SerDe calls and which Trino, that Athena's engine 3 is made from, follows bug for
bug; that Athena reads the same is (inferred):

- A quote begins or ends quoting wherever it stands. In quotes, or after the first character of a field, two quotes
  are one.
- There too, the escape character before a quote or another escape character makes it a plain one. Everywhere else
  the escape character is dropped, and what follows it stays.
- A record ends with its line, whatever is quoted. A field whose quotes are not closed is null.
- Fields too many are dropped, fields too few are null, and of an empty line all are.

`make lake` holds this against Hive's SerDe itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERDE = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
_LINE_END = re.compile(r"\r\n|\n|\r")
_LAST_OF_ONE_UNIT = 0xFFFF
_LAST_PLACE_OF_A_BARE_QUOTE = 2  # a quote in the first three characters of a line is never part of a value


@dataclass(frozen=True)
class Dialect:
    """The three characters that mean something.

    Args:
        separator: What is between two fields.
        quote: What encloses a field.
        escape: What makes a quote or itself a plain character.
    """

    separator: str = ","
    quote: str = '"'
    escape: str = "\\"

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Dialect:
        """Return the dialect of a table's SerDe parameters.

        Raises:
            ValueError: One of them is empty, or two are the same.
        """
        names = {"separator": "separatorChar", "quote": "quoteChar", "escape": "escapeChar"}
        given = {field: parameters[name] for field, name in names.items() if name in parameters}
        for field, value in given.items():
            if not value:
                raise ValueError(f"{names[field]} of {SERDE} is empty: give one character, or leave it out.")
        dialect = cls(**{field: value[0] for field, value in given.items()})
        if dialect.escape == '"':  # Hive takes a double quote for the default, which is a backslash when it reads
            dialect = cls(dialect.separator, dialect.quote)
        if len({dialect.separator, dialect.quote, dialect.escape}) < len(names):
            raise ValueError(f"separatorChar, quoteChar and escapeChar of {SERDE} must differ, got {dialect}.")
        return dialect


def lines(content: bytes) -> Iterator[str]:
    """Yield the lines of an object, as Hadoop splits text."""
    found = _LINE_END.split(content.decode(errors="replace"))
    yield from found if found[-1] else found[:-1]


def fields(line: str, dialect: Dialect, width: int) -> list[str | None]:
    """Return so many fields of a line; null is None."""
    found: list[str | None] = []
    if line:
        special = dialect.quote in line or dialect.escape in line
        found.extend(_fields(line, dialect) if special else line.split(dialect.separator))
    return (found + [None] * width)[:width]


def _fields(line: str, dialect: Dialect) -> Iterator[str]:
    """Yield the fields of a line with quotes or escapes in it."""
    text: list[str] = []
    quoted = begun = False
    place = 0
    while place < len(line):
        character, following = line[place], line[place + 1 : place + 2]
        if character == dialect.escape:
            if (quoted or begun) and following and following in {dialect.quote, dialect.escape}:
                text.append(following)
                place += 1
        elif character == dialect.quote:
            if (quoted or begun) and following == dialect.quote:
                text.append(following)
                place += 1
            else:
                _take_bare_quote(line, place, dialect, text)
                quoted = not quoted
            begun = not begun
        elif character == dialect.separator and not quoted:
            yield "".join(text)
            text.clear()
            begun = False
        else:
            text.append(character)
            begun = True
        place += 1
    if not quoted:
        yield "".join(text)


def _take_bare_quote(line: str, place: int, dialect: Dialect, text: list[str]) -> None:
    """Keep a quote in the middle of a field; one that only blanks precede opens the field, without them."""
    beside = line[place - 1 : place], line[place + 1 : place + 2]
    units = place + sum(ord(character) > _LAST_OF_ONE_UNIT for character in line[:place])  # Java's, of UTF-16
    if units <= _LAST_PLACE_OF_A_BARE_QUOTE or dialect.separator in beside or not beside[1]:
        return
    if "".join(text).isspace():
        text.clear()
    else:
        text.append(dialect.quote)
