"""The CSV files of import and export jobs.

Checks a file against the schema as https://docs.aws.amazon.com/personalize/latest/dg/preparing-training-data.html
asks for: a header with every column of the schema in its order, one record per line, values of the right type,
nothing empty unless the schema allows null.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, BinaryIO

from personalize_local.service.blocks import BlockBuilder
from personalize_local.service.rows import BULK, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from personalize_local.service.avro import Schema
    from personalize_local.service.blocks import Block

_ESCAPED = re.compile(r'\\(["\\])')
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHUNK_BYTES = 1 << 17  # what is read, checked and added at once


class ImportRefused(Exception):  # noqa: N818 - the outcome of a job, not an error of the program
    """The data does not match the schema; the text becomes the ``failureReason``."""


def read_files(files: Iterable[tuple[str, BinaryIO]], schema: Schema) -> list[Block]:
    """Check every file and return its records.

    Raises:
        ImportRefused: Naming the file, line and column of the first problem.
    """
    records = BlockBuilder(BULK)
    found = False
    for key, file in files:
        with file:
            header = file.readline()
            if key.endswith("/") and not header:
                continue  # the marker of a folder
            found = True
            _read_file(key, header.removeprefix(_BYTE_ORDER_MARK), file, schema, records)
    if not found:
        raise ImportRefused("Invalid Data location. There is no file at the data location.")
    return records.take()


def _read_file(key: str, first: bytes, rest: BinaryIO, schema: Schema, records: BlockBuilder) -> None:
    header = _fields(first.rstrip(b"\r\n"), f"{key}, line 1")
    positions = _positions(key, header, schema)
    certainly_right = _fast_check(header, schema)
    number = 2
    while chunk := rest.readlines(_CHUNK_BYTES):
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
    values = [fields[position] for position in positions]
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


def write_file(schema: Schema, records: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the file: a header with the names of the schema, then the records, many at a time."""
    yield encode(column.name for column in schema.columns) + b"\n"
    for text in records:
        yield text + b"\n"
