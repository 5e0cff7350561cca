"""A location is a file or a folder."""

from __future__ import annotations

from typing import Any

import pytest

from personalize_local.service.locations import keys_at

KEYS = ["a.csv", "a.csv.old", "day/", "day/1.csv", "day/2.csv", "day/more/3.csv", "day/notes.txt", "days/4.csv"]
HEADER = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\n"


@pytest.mark.parametrize(
    ("key", "first_level", "csv_below"),
    [
        ("a.csv", ["a.csv"], ["a.csv"]),
        ("day/", ["day/", "day/1.csv", "day/2.csv", "day/notes.txt"], ["day/1.csv", "day/2.csv", "day/more/3.csv"]),
        ("day", ["day/", "day/1.csv", "day/2.csv", "day/notes.txt"], ["day/1.csv", "day/2.csv", "day/more/3.csv"]),
        ("", ["a.csv", "a.csv.old"], ["a.csv", "day/1.csv", "day/2.csv", "day/more/3.csv", "days/4.csv"]),
        ("a.cs", [], []),
    ],
)
def test_file_is_that_object_and_folder_what_is_in_it(key: str, first_level: list[str], csv_below: list[str]) -> None:
    found = [name for name in KEYS if name.startswith(key)]
    assert keys_at(key, found, subfolders=False) == first_level
    assert keys_at(key, found, subfolders=True) == csv_below


def test_import_of_a_file_leaves_its_neighbours_alone(world: Any, interactions: str) -> None:
    world.put_file("not the same at all", "import.csv.old")
    world.put_file("nor this", "import.csv/1.csv")
    assert world.import_file(interactions, HEADER + "u,i,1,view,\n")["status"] == "ACTIVE"
    assert len(world.export(interactions)) == 1
