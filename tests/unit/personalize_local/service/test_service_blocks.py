"""Blocks give back what they were given, from memory and from the disk."""

from __future__ import annotations

import gc

import pytest

from personalize_local.service import blocks


@pytest.mark.parametrize("in_memory", [0, 1000, 1 << 20])
def test_lines_come_back_in_order_wherever_they_are(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(blocks, "SHELF_MEMORY_BYTES", in_memory)
    builder = blocks.BlockBuilder("BULK", block_bytes=700)
    lines = [b"%07d" % number for number in range(2_000)]
    for first in range(0, len(lines), 50):
        builder.add(lines[first : first + 50])
    kept = builder.take()
    places = [isinstance(block.kept, blocks.Place) for block in kept]
    assert (places[0], places[-1]) == (in_memory == 0, in_memory < 1 << 20)
    assert [line for block in kept for line in block.lines()] == lines
    assert blocks.rows_of(kept) == 2_000


def test_file_of_a_shelf_ends_with_the_last_place_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "SHELF_MEMORY_BYTES", 0)
    shelf = blocks.Shelf()
    one, other = shelf.keep(b"one"), shelf.keep(b"other")
    file = shelf._file
    assert file is not None
    del shelf, other
    gc.collect()
    assert isinstance(one, blocks.Place)
    assert one.read() == b"one"
    del one
    gc.collect()
    assert file.closed
