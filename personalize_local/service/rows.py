"""The records of a dataset, kept compactly, and how they are written.

A record is one line of CSV in the order of the schema, in one canonical spelling, so that two records are equal in
all fields when their lines are equal.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from personalize_local.service.blocks import Block, BlockBuilder, Shelf, rows_of
from personalize_local.service.deduplication import without

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

BULK = "BULK"
PUT = "PUT"
ALL = "ALL"


class RowLog:
    """Every record of one dataset, oldest first. Guarded by the lock of the service; snapshots need no lock."""

    def __init__(self) -> None:
        self._sealed: list[Block] = []
        self._open = BlockBuilder(PUT)

    def put(self, lines: Sequence[bytes]) -> None:
        """Append records that arrived one by one."""
        self._open.add(lines)

    def replace_bulk(self, blocks: Iterable[Block]) -> None:
        """Replace what was imported in bulk before; records that arrived one by one stay."""
        self._seal()
        self._sealed = [block for block in self._sealed if block.origin == PUT]
        self._sealed.extend(blocks)

    def append_bulk(self, blocks: Sequence[Block], id_of: Callable[[bytes], bytes] | None) -> None:
        """Append to what was imported in bulk; with ``id_of``, bulk records with the id of a new one go."""
        self._seal()
        if id_of is not None:
            self._remove_bulk(blocks, id_of)
        self._sealed.extend(blocks)

    def remove(self, ids: Collection[bytes], id_of: Callable[[bytes], bytes]) -> int:
        """Remove the records that have one of the ids, however they came, and return how many there were."""
        self._seal()
        shelf, before = Shelf(), rows_of(self._sealed)
        self._sealed = [
            kept
            for block in self._sealed
            for kept in _shortened(block, [line for line in block.lines() if id_of(line) not in ids], shelf)
        ]
        return before - rows_of(self._sealed)

    def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """Replace every record by a changed one."""
        self._seal()
        shelf = Shelf()
        self._sealed = [
            kept for block in self._sealed for kept in _built(block.origin, [change(x) for x in block.lines()], shelf)
        ]

    def snapshot(self, mode: str) -> tuple[Block, ...]:
        """Return the records an ingestion mode selects, as they are now."""
        self._seal()
        return tuple(block for block in self._sealed if mode in (ALL, block.origin))

    def _remove_bulk(self, replaced_by: Sequence[Block], id_of: Callable[[bytes], bytes]) -> None:
        bulk = [block for block in self._sealed if block.origin == BULK]
        shelf = Shelf()
        kept = {
            id(block): _shortened(block, lines, shelf)
            for block, lines in zip(bulk, without(bulk, replaced_by, id_of), strict=True)
        }
        self._sealed = [found for block in self._sealed for found in kept.get(id(block), [block])]

    def _seal(self) -> None:
        self._sealed.extend(self._open.take())


def _shortened(block: Block, lines: list[bytes], shelf: Shelf) -> list[Block]:
    """Return the block with these of its lines only; none when nothing is left."""
    if len(lines) == block.rows:
        return [block]
    return _built(block.origin, lines, shelf)


def _built(origin: str, lines: list[bytes], shelf: Shelf) -> list[Block]:
    builder = BlockBuilder(origin, shelf)
    builder.add(lines)
    return builder.take()


def id_reader(index: int) -> Callable[[bytes], bytes]:
    """Return a function that reads the field at ``index`` from a canonical line."""

    def read(line: bytes) -> bytes:
        if b'"' not in line:
            return line.split(b",", index + 1)[index]
        return next(csv.reader([line.decode()]))[index].encode()

    return read


def decode(line: bytes) -> list[str]:
    """Return the fields of a canonical line."""
    return next(csv.reader([line.decode()])) if line else [""]


def encode(fields: Iterable[str]) -> bytes:
    """Return the canonical line: quotes only where needed, and doubled inside (quoting of exports is unknown)."""
    return ",".join(_quoted(field) for field in fields).encode()


def _quoted(field: str) -> str:
    if '"' in field or "," in field or "\r" in field:
        return '"' + field.replace('"', '""') + '"'
    return field
