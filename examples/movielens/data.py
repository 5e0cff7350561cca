"""MovieLens-100K as Amazon Personalize takes it: three CSV files.

The ratings were collected by GroupLens (https://grouplens.org/datasets/movielens/100k/). They may not be redistributed
and are for non-commercial use, so they are fetched when needed, from the recbole package on PyPI, read in place and
never committed.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = "recbole==1.2.1"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "movielens"

FIELDS: dict[str, list[dict[str, object]]] = json.loads(
    Path(__file__).with_name("fields.json").read_text(encoding="utf-8")
)

Row = tuple[str, ...]


def fetch() -> Path:
    """Download the package that carries the data, once, and return its wheel."""
    wheels = sorted(CACHE.glob("recbole-*.whl"))
    if not wheels:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--dest", str(CACHE), PACKAGE]
        subprocess.run(command, check=True)  # noqa: S603 - this interpreter's own pip, with constant arguments
        wheels = sorted(CACHE.glob("recbole-*.whl"))
    return wheels[0]


def interactions(wheel: Path) -> list[Row]:
    """Return one row for each of the 100,000 ratings."""
    return [
        (row["user_id:token"], row["item_id:token"], row["timestamp:float"], "rating", row["rating:float"])
        for row in _table(wheel, "inter")
    ]


def items(wheel: Path) -> list[Row]:
    """Return one row for each of the 1,682 films; genres are joined by ``|`` as Personalize wants categories."""
    return [
        (row["item_id:token"], row["class:token_seq"].replace(" ", "|"), _year(row["release_year:token"]))
        for row in _table(wheel, "item")
    ]


def users(wheel: Path) -> list[Row]:
    """Return one row for each of the 943 people."""
    return [
        (row["user_id:token"], row["age:token"], row["gender:token"], row["occupation:token"])
        for row in _table(wheel, "user")
    ]


TABLES: dict[str, Callable[[Path], list[Row]]] = {"Interactions": interactions, "Items": items, "Users": users}


def columns(dataset_type: str) -> Row:
    """Return the names of the schema's fields, in its order, which is also the order of the rows' values."""
    return tuple(str(field["name"]) for field in FIELDS[dataset_type])


def as_csv(dataset_type: str, rows: list[Row]) -> bytes:
    """Return the file that is put into S3 for the import."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns(dataset_type))
    writer.writerows(rows)
    return text.getvalue().encode()


def _year(text: str) -> str:
    """Return the year, or nothing for the two films whose year the source garbles."""
    return text if text.isdigit() else ""


def _table(wheel: Path, ending: str) -> Iterator[dict[str, str]]:
    with zipfile.ZipFile(wheel) as archive, archive.open(f"recbole/dataset_example/ml-100k/ml-100k.{ending}") as file:
        yield from csv.DictReader(io.TextIOWrapper(file, encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE)
