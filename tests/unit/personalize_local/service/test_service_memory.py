"""Imports and exports need no more memory for more rows."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from personalize_local.service import blocks, deduplication

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FILE_ROWS = 2_000
PART_ROWS = 8_192
FEW, MANY = 2 * PART_ROWS, 5 * PART_ROWS
MARGIN_BYTES = 5 * (MANY - FEW)  # less than a pointer for each further row, or its text when compressed
ITEMS_HEADER = "ITEM_ID,GENRES,NUMBER_OF_RATINGS\n"


def digest(number: int) -> str:
    """Return a text that can not be compressed to less than half its length."""
    return hashlib.sha256(b"%d" % number).hexdigest()[:32]


ROWS: dict[str, Callable[[int], str]] = {
    "distinct": lambda n: f"{digest(n)},drama,7\n",
    "in pairs": lambda n: f"{digest(n // 2)},drama,7\n",
    "of few ids": lambda n: f"item-{n % 100},{digest(n)},7\n",
}


@pytest.fixture(autouse=True)
def _flat_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is in memory at once be less, so that few rows are many."""
    monkeypatch.setattr(deduplication, "PART_ROWS", PART_ROWS)
    monkeypatch.setattr(blocks, "SHELF_MEMORY_BYTES", 1 << 16)


class Rows:
    """An object store that makes up what is read, and counts the rows that are written."""

    def __init__(self, row: Callable[[int], str]) -> None:
        self.row = row
        self.rows = 0
        self.written = 0

    def read(self, **_: Any) -> Iterator[tuple[str, io.BytesIO]]:
        for first in range(0, self.rows, FILE_ROWS):
            text = "".join(self.row(n) for n in range(first, min(first + FILE_ROWS, self.rows)))
            yield f"{first}.csv", io.BytesIO(f"{ITEMS_HEADER}{text}".encode())

    def write(self, *, body: Iterable[bytes], **_: Any) -> None:
        self.written += sum(text.count(b"\n") for text in body) - 1

    def check_role(self, **_: Any) -> None:
        pass


def peak_bytes(world: Any, rows: int, *, incremental: bool, expected: dict[str, int]) -> int:
    store: Rows = world.bucket
    store.rows = rows
    dataset = world.dataset("Items")
    tracemalloc.start()
    try:
        for mode in ("FULL", "INCREMENTAL") if incremental else ("FULL",):
            arn = world.start_import(dataset, "s3://source/", mode, importMode=mode)
            world.wait()
            job = world.call("DescribeDatasetImportJob", datasetImportJobArn=arn)["datasetImportJob"]
            assert job["status"] == "ACTIVE"
        for mode, written in expected.items():
            store.written = 0
            arn = world.start_export(dataset, mode, ingestionMode=mode)
            world.wait()
            assert world.export_job(arn)["status"] == "ACTIVE"
            assert store.written == written
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("kind", "share"), [("distinct", (1, 1)), ("in pairs", (2, 2)), ("of few ids", (1, 0))])
def test_memory_of_an_export_does_not_grow_with_the_rows(new_world: Any, kind: str, share: tuple[int, int]) -> None:
    peaks = []
    for rows in (FEW, MANY):
        expected = {"BULK": rows // share[0], "ALL": rows // share[1] if share[1] else 100}
        peaks.append(
            peak_bytes(
                new_world(store=Rows(ROWS[kind]), export_check_object=False), rows, incremental=False, expected=expected
            )
        )
    assert peaks[1] < peaks[0] + MARGIN_BYTES


def test_memory_of_an_incremental_import_does_not_grow_with_the_rows(new_world: Any) -> None:
    few, many = (
        peak_bytes(
            new_world(store=Rows(ROWS["distinct"]), export_check_object=False),
            rows,
            incremental=True,
            expected={"BULK": rows},
        )
        for rows in (FEW, MANY)
    )
    assert many < few + MARGIN_BYTES
