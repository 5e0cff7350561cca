"""De-duplication, against the sentences of the developer guide written down as plain Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_local.service import blocks, deduplication, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

IDS = st.sampled_from(["a", "b", "c,", 'd"e', "ü"])
RECORDS = st.lists(st.tuples(IDS, st.sampled_from(["", "x", "y|z"]), st.sampled_from(["", "1"])), max_size=12)
STEP = st.tuples(st.sampled_from(["FULL", "INCREMENTAL", "PUT"]), RECORDS)
Record = tuple[str, str, str]


class Model:
    """What the guide says, record by record: (origin, record) from old to new."""

    def __init__(self, *, identified: bool) -> None:
        self.identified = identified
        self.log: list[tuple[str, Record]] = []

    def apply(self, step: str, records: list[Record]) -> None:
        if step == "FULL":
            self.log = [entry for entry in self.log if entry[0] == "PUT"]
        if step == "INCREMENTAL" and self.identified:
            new = {record[0] for record in records}
            self.log = [entry for entry in self.log if entry[0] == "PUT" or entry[1][0] not in new]
        origin = "PUT" if step == "PUT" else "BULK"
        self.log += [(origin, record) for record in records]

    def exported(self, mode: str) -> list[Record]:
        records = [record for origin, record in self.log if mode in ("ALL", origin)]
        if mode == "ALL" and self.identified:
            return [record for n, record in enumerate(records) if record[0] not in {r[0] for r in records[n + 1 :]}]
        return list(dict.fromkeys(records))


def line(record: Record) -> str:
    return rows.encode(record).decode()


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, max_size=5), kind=st.sampled_from(["Items", "Interactions"]))
def test_service_exports_what_the_guide_says(new_world: Any, steps: list[tuple[str, list[Record]]], kind: str) -> None:
    world = new_world(minimum_interactions=0, export_backslash_escapes=False)
    group = world.group()
    dataset = world.dataset(kind, group=group)
    tracking_id = world.tracker(group) if kind == "Interactions" else None
    header = "ITEM_ID,GENRES,NUMBER_OF_RATINGS\n"
    if kind == "Interactions":
        header = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\n"
    model = Model(identified=kind == "Items")
    for number, (step, given_records) in enumerate(steps):
        records = given_records
        if kind == "Interactions":  # the same three fields: user, event type and value
            records = [(user, kind_of_event or "view", value and "1.0") for user, kind_of_event, value in records]
        if step == "PUT":
            for record in records:
                put(world, dataset, tracking_id, record)
        else:
            if not any(origin == "BULK" for origin, _ in model.log):
                step = "FULL"  # noqa: PLW2901 - an import into nothing can only be full
            text = header + "".join(f"{full_line(kind, record)}\n" for record in records)
            job = world.import_file(dataset, text, f"import{number}", importMode=step)
            assert job["status"] == "ACTIVE"
        model.apply(step, records)
    for mode in ("BULK", "PUT", "ALL"):
        world.export(dataset, mode, mode)
        expected = "".join(f"{full_line(kind, record)}\n" for record in model.exported(mode))
        assert world.exported_text(mode) == header + expected


def full_line(kind: str, record: Record) -> str:
    if kind == "Items":
        return line(record)
    user, event_type, value = record
    return rows.encode([user, "i", "7", event_type, value]).decode()


def put(world: Any, dataset: str, tracking_id: str | None, record: Record) -> None:
    if tracking_id is None:
        properties = f'{{"genres": "{record[1]}", "numberOfRatings": "{record[2]}"}}'
        world.call("PutItems", datasetArn=dataset, items=[{"itemId": record[0], "properties": properties}])
        return
    event = {"eventType": record[1], "itemId": "i", "sentAt": 7, **({"eventValue": 1.0} if record[2] else {})}
    world.call("PutEvents", trackingId=tracking_id, userId=record[0], sessionId="s", eventList=[event])


LINES = st.lists(st.binary(min_size=1, max_size=2).filter(lambda text: b"\n" not in text), max_size=400)
IN_PARTS = mock.patch.multiple(deduplication, PART_ROWS=50)


def blocks_of(chunks: list[list[bytes]]) -> list[blocks.Block]:
    return [block for chunk in chunks for block in built(chunk)]


def built(chunk: list[bytes]) -> list[blocks.Block]:
    builder = blocks.BlockBuilder(rows.BULK)
    builder.add(chunk)
    return builder.take()


def lines_of(texts: Iterable[bytes]) -> list[bytes]:
    return [line for text in texts for line in text.split(b"\n")]


@IN_PARTS
@given(st.lists(LINES, max_size=4))
def test_distinct_keeps_the_first_of_equal_lines(chunks: list[list[bytes]]) -> None:
    found = lines_of(deduplication.distinct(blocks_of(chunks)))
    assert found == list(dict.fromkeys(text for chunk in chunks for text in chunk))


@IN_PARTS
@given(st.lists(LINES, max_size=4))
def test_newest_keeps_the_last_of_equal_ids(chunks: list[list[bytes]]) -> None:
    found = lines_of(deduplication.newest(blocks_of(chunks), lambda text: text[:1]))
    everything = [text for chunk in chunks for text in chunk]
    expected = [t for n, t in enumerate(everything) if t[:1] not in {later[:1] for later in everything[n + 1 :]}]
    assert found == expected


@IN_PARTS
@given(st.lists(LINES, max_size=4), LINES)
def test_without_drops_from_each_block_what_has_a_new_id(chunks: list[list[bytes]], new: list[bytes]) -> None:
    old = blocks_of(chunks)
    found = list(deduplication.without(old, built(new), lambda text: text[:1]))
    assert found == [[t for t in block.lines() if t[:1] not in {n[:1] for n in new}] for block in old]


def test_large_data_is_kept_in_several_blocks() -> None:
    lines = [b"%07d" % number for number in range(100_000)]
    builder = blocks.BlockBuilder(rows.BULK)
    for first in range(0, len(lines), 1000):
        builder.add(lines[first : first + 1000])
    kept = builder.take()
    assert len(kept) > 1
    assert sum(len(block.data) for block in kept) < 10 * len(lines)
    assert lines_of(deduplication.distinct(kept)) == lines
