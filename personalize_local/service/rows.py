"""The records of a dataset, kept compactly, and what an export job makes of them.

A record is one line of CSV in the order of the schema, in one canonical spelling, so that two records are equal in
all fields when their lines are equal. Lines are kept in compressed blocks that never change: some ten bytes per
record, and a snapshot is a list of references. De-duplication rests on
https://docs.aws.amazon.com/personalize/latest/dg/export-data.html.
"""

from __future__ import annotations

import csv
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

BULK = "BULK"
PUT = "PUT"
ALL = "ALL"

_BLOCK_BYTES = 1 << 18
_SLOTS_PER_ROW = 4
_SMALLEST_SLOT_BITS = 10


@dataclass(frozen=True)
class Block:
    """Some records of one origin, in the order they arrived."""

    origin: str
    rows: int
    data: bytes

    def lines(self) -> list[bytes]:
        """Return the records."""
        return zlib.decompress(self.data).split(b"\n")


class BlockBuilder:
    """Turns lines into blocks while they arrive."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._lines: list[bytes] = []
        self._size = 0
        self._blocks: list[Block] = []
        self.rows = 0

    def add(self, line: bytes) -> None:
        """Add one record."""
        self._lines.append(line)
        self._size += len(line)
        self.rows += 1
        if self._size >= _BLOCK_BYTES:
            self._seal()

    def blocks(self) -> list[Block]:
        """Return every block so far; what is still open is closed."""
        self._seal()
        return self._blocks

    def take(self) -> list[Block]:
        """Return every block so far and start anew."""
        blocks = self.blocks()
        self._blocks = []
        return blocks

    def _seal(self) -> None:
        if self._lines:
            self._blocks.append(Block(self._origin, len(self._lines), zlib.compress(b"\n".join(self._lines), 1)))
            self._lines = []
            self._size = 0


class RowLog:
    """Every record of one dataset, oldest first. Guarded by the lock of the service; snapshots need no lock."""

    def __init__(self) -> None:
        self._sealed: list[Block] = []
        self._open = BlockBuilder(PUT)

    def put(self, lines: Iterable[bytes]) -> None:
        """Append records that arrived one by one."""
        for line in lines:
            self._open.add(line)

    def replace_bulk(self, blocks: Iterable[Block]) -> None:
        """Replace what was imported in bulk before; records that arrived one by one stay."""
        self._seal()
        self._sealed = [block for block in self._sealed if block.origin == PUT]
        self._sealed.extend(blocks)

    def append_bulk(self, blocks: Sequence[Block], id_of: Callable[[bytes], bytes] | None) -> None:
        """Append to what was imported in bulk; with ``id_of``, bulk records with the id of a new one go."""
        self._seal()
        if id_of is not None:
            new = {id_of(line) for block in blocks for line in block.lines()}
            self._sealed = [kept for block in self._sealed for kept in _without(block, new, id_of)]
        self._sealed.extend(blocks)

    def snapshot(self, mode: str) -> tuple[Block, ...]:
        """Return the records an ingestion mode selects, as they are now."""
        self._seal()
        return tuple(block for block in self._sealed if mode in (ALL, block.origin))

    def _seal(self) -> None:
        self._sealed.extend(self._open.take())


def _without(block: Block, ids: set[bytes], id_of: Callable[[bytes], bytes]) -> list[Block]:
    """Return the block without the records that have one of the ids."""
    if block.origin != BULK:
        return [block]
    kept = BlockBuilder(BULK)
    for line in block.lines():
        if id_of(line) not in ids:
            kept.add(line)
    return [block] if kept.rows == block.rows else kept.blocks()


def id_reader(index: int) -> Callable[[bytes], bytes]:
    """Return a function that reads the field at ``index`` from a canonical line."""

    def read(line: bytes) -> bytes:
        if b'"' not in line:
            return line.split(b",", index + 1)[index]
        return next(csv.reader([line.decode()]))[index].encode()

    return read


def encode(fields: Iterable[str]) -> bytes:
    """Return the canonical line: quotes only where needed, and doubled inside (quoting of exports is unknown)."""
    return ",".join(_quoted(field) for field in fields).encode()


def _quoted(field: str) -> str:
    if '"' in field or "," in field or "\r" in field:
        return '"' + field.replace('"', '""') + '"'
    return field


def distinct(blocks: Sequence[Block]) -> Iterator[list[bytes]]:
    """Yield the records, those equal in all fields once: the first of them.

    Two passes keep the memory flat: the first notes the hashes that occur more than once (or collide in a small table),
    the second compares only those records in full.
    """
    repeated = _repeated(blocks, hash)
    seen: set[bytes] = set()

    def is_first(line: bytes) -> bool:
        if line in seen:
            return False
        seen.add(line)
        return True

    for block in blocks:
        lines = block.lines()
        if repeated:
            lines = [line for line in lines if hash(line) not in repeated or is_first(line)]
        if lines:
            yield lines


def newest(blocks: Sequence[Block], id_of: Callable[[bytes], bytes]) -> Iterator[list[bytes]]:
    """Yield the records, of those with equal ids only the newest."""
    repeated = _repeated(blocks, lambda line: hash(id_of(line)))
    last: dict[bytes, int] = {}
    number = 0
    for block in blocks if repeated else ():
        for line in block.lines():
            number += 1
            identity = id_of(line)
            if hash(identity) in repeated:
                last[identity] = number
    number = 0
    for block in blocks:
        lines = []
        for line in block.lines():
            number += 1
            if last.get(id_of(line), number) == number:
                lines.append(line)
        if lines:
            yield lines


def _repeated(blocks: Sequence[Block], key: Callable[[bytes], int]) -> set[int]:
    """Return every hash that occurs more than once, and a few that do not."""
    rows = sum(block.rows for block in blocks)
    mask = (1 << max(_SMALLEST_SLOT_BITS, (rows * _SLOTS_PER_ROW).bit_length())) - 1
    slots = bytearray(mask + 1)
    repeated = set()
    for block in blocks:
        for line in block.lines():
            value = key(line)
            slot = value & mask
            if slots[slot]:
                repeated.add(value)
            else:
                slots[slot] = 1
    return repeated
