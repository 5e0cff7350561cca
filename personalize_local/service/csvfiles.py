"""The CSV files of import, export and data deletion jobs.

Checks a file against the schema as https://docs.aws.amazon.com/personalize/latest/dg/preparing-training-data.html
asks for: a header with every column of the schema in its order, one record per line, values of the right type,
nothing empty unless the schema allows null. Which dialect an export writes is (unknown); by default it is the one the
guide prescribes for imports (items-datasets.html): a backslash before quotes and backslashes, in double quotes.
"""

from __future__ import annotations

import csv
import itertools
import re
from typing import TYPE_CHECKING, BinaryIO

from personalize_local.service.blocks import BlockBuilder
from personalize_local.service.rows import BULK, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from personalize_local.service.avro import Schema
    from personalize_local.service.blocks import Block

_SPECIAL = re.compile(r'["\\]')
_NEEDS_QUOTES = re.compile(r'["\\,\r]')
_ESCAPED = re.compile(r'\\(["\\])')
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NO_FILE = "Invalid Data location. There is no file at the data location."
_CHUNK_BYTES = 1 << 17  # what is read, checked and added at once


class ImportRefused(Exception):  # noqa: N818 - the outcome of a job, not an error of the program
    """The data does not match the schema; the text becomes the ``failureReason``."""


class Allowance:
    """How many bytes a job may read; the text of what ends it is (unknown).

    Args:
        size: The quota.
        job: What kind of job it is, for the reason.
    """

    def __init__(self, size: int, job: str) -> None:
        """Begin with all of it."""
        self._size = self._left = size
        self._job = job

    def use(self, size: int) -> None:
        """Take that many bytes.

        Raises:
            ImportRefused: There are not so many left.
        """
        self._left -= size
        if self._left < 0:
            raise ImportRefused(f"The data location holds more than {self._size} bytes, the most {self._job} may read.")


def read_files(
    files: Iterable[tuple[str, BinaryIO]],
    schema: Schema,
    allowance: Allowance,
    look: Callable[[bytes], object] = len,
) -> list[Block]:
    """Check every file and return its records.

    Args:
        files: Their keys and bodies.
        schema: What each record must be like.
        allowance: How much there may be.
        look: What to do with every text of many records.

    Raises:
        ImportRefused: Naming the file, line and column of the first problem.
    """
    records = BlockBuilder(BULK, look=look)
    found = False
    for key, file in files:
        with file:
            header = file.readline()
            if key.endswith("/") and not header:
                continue  # the marker of a folder
            found = True
            allowance.use(len(header))
            _read_file(key, header.removeprefix(_BYTE_ORDER_MARK), file, schema, records, allowance)
    if not found:
        raise ImportRefused(NO_FILE)
    return records.take()


def read_users(files: Iterable[tuple[str, BinaryIO]], allowance: Allowance) -> set[bytes]:
    """Return the users listed in files with the single column ``USER_ID``.

    Raises:
        ImportRefused: There is no file, or one of them has other columns.
    """
    users: set[bytes] = set()
    found = False
    for key, file in files:
        with file:
            found = True
            header = file.readline()
            allowance.use(len(header))
            if _fields(header.removeprefix(_BYTE_ORDER_MARK).rstrip(b"\r\n"), f"{key}, line 1") != ["USER_ID"]:
                raise ImportRefused(f"{key}, line 1: Input CSV must have a single USER_ID column.")
            for number, line in enumerate(file, 2):
                allowance.use(len(line))
                fields = _fields(line.rstrip(b"\r\n"), f"{key}, line {number}")
                if len(fields) > 1:
                    raise ImportRefused(f"{key}, line {number}: expected a user id, found {len(fields)} fields.")
                users.update(field.encode() for field in fields)
    if not found:
        raise ImportRefused(NO_FILE)
    return users - {b""}


def _read_file(  # noqa: PLR0913, PLR0917 - one file, and what is shared by all
    key: str, first: bytes, rest: BinaryIO, schema: Schema, records: BlockBuilder, allowance: Allowance
) -> None:
    header = _fields(first.rstrip(b"\r\n"), f"{key}, line 1")
    positions = _positions(key, header, schema)
    certainly_right = _fast_check(header, schema)
    number = 2
    while chunk := rest.readlines(_CHUNK_BYTES):
        allowance.use(sum(map(len, chunk)))
        lines = [raw.rstrip(b"\r\n") for raw in chunk]
        if not all(map(certainly_right, lines)):
            lines = [
                line if certainly_right(line) else _checked(line, f"{key}, line {n}", len(header), positions, schema)
                for n, line in enumerate(lines, number)
                if line.strip()
            ]
        records.add(lines)
        number += len(chunk)


def _positions(key: str, header: list[str], schema: Schema) -> list[int]:
    """Return where each column of the schema is; further columns are ignored (inferred)."""
    names = [column.name for column in schema.columns]
    absent = [name for name in names if name not in header]
    if absent:
        raise ImportRefused(f"{key}, line 1: Input CSV is missing the following columns: [{', '.join(absent)}].")
    positions = [header.index(name) for name in names]
    if positions != sorted(positions):
        raise ImportRefused(
            f"{key}, line 1: the columns must have the order of the fields of the schema: [{', '.join(names)}]."
        )
    return positions


def _fast_check(header: list[str], schema: Schema) -> Callable[[bytes], object]:
    """Return a check that is true for lines that are certainly right and canonical as they are."""
    if header != [column.name for column in schema.columns]:
        return lambda _line: None
    return re.compile(",".join(column.fast_pattern for column in schema.columns).encode()).fullmatch


def _checked(line: bytes, where: str, width: int, positions: Sequence[int], schema: Schema) -> bytes:
    """Check one line field by field and return it in canonical form."""
    fields = _fields(line, where)
    if len(fields) != width:
        raise ImportRefused(f"{where}: expected {width} fields as in the header, found {len(fields)}.")
    values = [c.kept(fields[place]) for c, place in zip(schema.columns, positions, strict=True)]
    for column, value in zip(schema.columns, values, strict=True):
        problem = column.problem(value)
        if problem:
            raise ImportRefused(f"{where}, column {column.name}: {problem}.")
    return encode(values)


def _fields(line: bytes, where: str) -> list[str]:
    """Split a line; a quote inside a field is doubled or, as the guide asks, escaped with a backslash."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ImportRefused(f"{where}: the file is not encoded in UTF-8.") from None
    if "\\" in text:
        text = _ESCAPED.sub(lambda match: '""' if match[1] == '"' else "\\", text)
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise ImportRefused(f"{where}: not a CSV record on a single line ({error}).") from None


def write_files(
    schema: Schema, records: Iterable[bytes], rows: int, *, parts: int, backslashes: bool
) -> Iterator[Iterator[bytes]]:
    """Yield at least one file and at most ``parts``, each a header and about as many records; read one before the next.

    Args:
        schema: Whose names make the header.
        records: Texts of many records each.
        rows: How many records there are, or more.
        parts: How many files to spread them over.
        backslashes: Whether quotes and backslashes are escaped with a backslash, rather than quotes doubled.
    """
    rest = _Rest(map(with_backslashes, records) if backslashes else records)
    header = encode(column.name for column in schema.columns) + b"\n"
    in_each = max(1, -(-rows // parts))
    yield itertools.chain([header], rest.take(in_each))
    while rest.more():
        yield itertools.chain([header], rest.take(in_each))


class _Rest:
    """Records that have not been taken yet."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._texts = iter(texts)
        self._text = b""

    def more(self) -> bool:
        """Tell whether there is any."""
        while not self._text:
            text = next(self._texts, None)
            if text is None:
                return False
            self._text = text
        return True

    def take(self, rows: int) -> Iterator[bytes]:
        """Yield so many of them, lines with their ends."""
        while rows and self.more():
            there = self._text.count(b"\n") + 1
            if there <= rows:
                text, self._text = self._text, b""
            else:
                *lines, self._text = self._text.split(b"\n", rows)
                text = b"\n".join(lines)
            yield text + b"\n"
            rows -= min(rows, there)


def with_backslashes(text: bytes) -> bytes:
    """Return canonical lines with a backslash before each quote and backslash, and quotes around what holds any."""
    if b'"' not in text and b"\\" not in text:
        return text
    return b"\n".join(_with_backslashes(line) if b'"' in line or b"\\" in line else line for line in text.split(b"\n"))


def _with_backslashes(line: bytes) -> bytes:
    fields = [_SPECIAL.sub(r"\\\g<0>", field) for field in decode(line)]
    return ",".join(f'"{field}"' if _NEEDS_QUOTES.search(field) else field for field in fields).encode()
