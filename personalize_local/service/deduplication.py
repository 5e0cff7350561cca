"""Which of many records stay, in memory that does not grow with them.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/export-data.html. The keys by which records are compared
are spread over parts, by their hash: equal keys share a part, in the order of the records, and each part is small
enough to be looked at in memory, one after the other. What is found is a byte for each record, whether it stays; the
records are then read once more and find their byte the same way. Hashes only choose the part: keys are compared in
full.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from personalize_local.service.blocks import BlockBuilder, Shelf, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from personalize_local.service.blocks import Block

    Key = Callable[[bytes], bytes]
    KeysOf = Callable[[list[bytes]], Iterable[bytes]]
    Part = list[Block]

PART_ROWS = 1 << 16
"""About how many keys are in memory at once."""


def distinct(blocks: Sequence[Block]) -> Iterator[bytes]:
    """Yield the text of each block, of records equal in all fields only the first."""
    return _choose(blocks, _themselves, _first)


def newest(blocks: Sequence[Block], id_of: Key) -> Iterator[bytes]:
    """Yield the text of each block, of records with equal ids only the newest."""
    return _choose(blocks, _by(id_of), _last)


def without(blocks: Sequence[Block], replaced_by: Sequence[Block], id_of: Key) -> Iterator[list[bytes]]:
    """Yield the records of each block but those that have the id of a new one."""
    keys_of, number = _by(id_of), _number_of_parts([*blocks, *replaced_by])
    new = _spread(replaced_by, keys_of, number)
    marks = [_absent(part, taken) for part, taken in zip(_spread(blocks, keys_of, number), new, strict=True)]
    return _marked(blocks, keys_of, marks)


def _choose(blocks: Sequence[Block], keys_of: KeysOf, mark: Callable[[Part], bytearray]) -> Iterator[bytes]:
    """Yield the text of each block, marked records only; begins when it is first asked, as the work of the job."""
    parts = _spread(blocks, keys_of, _number_of_parts(blocks))
    marks = [mark(part) if _has_equal_keys(part) else bytearray() for part in parts]
    if any(marks):
        yield from (b"\n".join(lines) for lines in _marked(blocks, keys_of, marks) if lines)
    else:
        yield from (block.text() for block in blocks)


def _marked(blocks: Sequence[Block], keys_of: KeysOf, marks: Sequence[bytearray]) -> Iterator[list[bytes]]:
    """Yield the records of each block that are marked; a part without marks stays as it is."""
    stays = [iter(found or itertools.repeat(1)).__next__ for found in marks]
    number = len(stays)
    for block in blocks:
        lines = block.lines()
        yield list(itertools.compress(lines, [stays[hash(key) % number]() for key in keys_of(lines)]))


def _spread(blocks: Sequence[Block], keys_of: KeysOf, number: int) -> Iterator[Part]:
    """Yield the parts."""
    shelf = Shelf()
    builders = [BlockBuilder("", shelf, block_bytes=0, compression=0) for _ in range(number)]
    waiting: list[list[bytes]] = [[] for _ in builders]
    put = [keys.append for keys in waiting]
    rows = 0

    def write() -> None:
        for builder, keys in zip(builders, waiting, strict=True):
            builder.add(keys)
            keys.clear()

    for block in blocks:
        keys = keys_of(block.lines())
        if number == 1:
            waiting[0].extend(keys)
        else:
            for key in keys:
                put[hash(key) % number](key)
        rows += block.rows
        if rows >= PART_ROWS:
            write()
            rows = 0
    write()
    for builder in builders:
        yield builder.take()


def _number_of_parts(blocks: Sequence[Block]) -> int:
    return 1 + rows_of(blocks) // PART_ROWS


def _has_equal_keys(part: Part) -> bool:
    seen: set[bytes] = set()
    for block in part:
        seen.update(block.lines())
    return len(seen) < rows_of(part)


def _first(part: Part) -> bytearray:
    """Mark each key that has not been there before."""
    return _not_seen(key for block in part for key in block.lines())


def _last(part: Part) -> bytearray:
    """Mark each key that does not come again."""
    marks = _not_seen(key for block in reversed(part) for key in reversed(block.lines()))
    marks.reverse()
    return marks


def _not_seen(keys: Iterable[bytes]) -> bytearray:
    marks = bytearray()
    seen: set[bytes] = set()
    for key in keys:
        marks.append(key not in seen)
        seen.add(key)
    return marks


def _absent(part: Part, others: Part) -> bytearray:
    """Mark each key that is not among the others."""
    taken = {key for block in others for key in block.lines()}
    return bytearray(key not in taken for block in part for key in block.lines())


def _themselves(lines: list[bytes]) -> list[bytes]:
    return lines


def _by(id_of: Key) -> KeysOf:
    return lambda lines: map(id_of, lines)
