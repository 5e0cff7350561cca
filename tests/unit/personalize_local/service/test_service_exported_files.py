"""What an export writes by default asks the most of a reader; settings make it tidy."""

from __future__ import annotations

import csv
import io
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_local.service import rows
from personalize_local.service.csvfiles import with_backslashes

HEADER = "ITEM_ID,GENRES,NUMBER_OF_RATINGS\n"
TIDY = {"export_parts": 1, "export_check_object": False, "export_backslash_escapes": False}
ROWS = 'a,"Crime, ""noir""",1\nb,x\\\\y,2\nc,plain,3\nd,,\n'  # as they are imported: the backslash escaped


def exported(world: Any, text: str) -> dict[str, str]:
    items = world.dataset("Items")
    assert world.import_file(items, HEADER + text)["status"] == "ACTIVE"
    world.export(items)
    out = "s3://target/out/"
    return {k.removeprefix(out): v.decode() for k, v in world.bucket.objects.items() if k.startswith(out)}


def test_export_is_several_files_each_with_a_header_and_an_empty_check_object(world: Any) -> None:
    assert exported(world, ROWS) == {
        "_CHECK": "",
        "export/part-00000.csv": HEADER + 'a,"Crime, \\"noir\\"",1\nb,"x\\\\y",2\n',
        "export/part-00001.csv": HEADER + "c,plain,3\nd,,\n",
    }


def test_rows_are_spread_over_as_many_files_as_set(new_world: Any) -> None:
    found = exported(new_world(export_parts=4, export_check_object=False), "".join(f"{n},,\n" for n in range(10)))
    assert [text.count("\n") - 1 for text in found.values()] == [3, 3, 3, 1]
    assert "".join(text.removeprefix(HEADER) for text in found.values()) == "".join(f"{n},,\n" for n in range(10))


def test_export_can_be_one_file_of_standard_csv(new_world: Any) -> None:
    assert exported(new_world(**TIDY), ROWS) == {
        "export/part-00000.csv": HEADER + 'a,"Crime, ""noir""",1\nb,x\\y,2\nc,plain,3\nd,,\n'
    }


def test_export_can_be_imported_again_as_it_is(world: Any) -> None:
    items = world.dataset("Items")
    world.import_file(items, HEADER + ROWS)
    before = world.export(items)
    world.start_import(items, "s3://target/out/export/", "again")
    world.wait()
    assert world.call("ListDatasetImportJobs")["datasetImportJobs"][-1]["status"] == "ACTIVE"
    assert world.export(items, name="after") == before


FIELD = st.text(st.sampled_from('ab",\\|é '), max_size=6)


@settings(deadline=None)
@given(st.lists(st.lists(FIELD, min_size=2, max_size=4), max_size=5))
def test_backslashes_change_the_spelling_and_not_the_values(records: list[list[str]]) -> None:
    text = with_backslashes(b"\n".join(rows.encode(record) for record in records)).decode()
    assert list(csv.reader(io.StringIO(text), escapechar="\\", doublequote=False)) == records
