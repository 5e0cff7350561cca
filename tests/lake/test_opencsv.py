"""The local Athena reads a line as Hive's OpenCSVSerde does, which Spark runs here: the SerDe itself, not its model."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest
from spark import Spark

from personalize_local.athena import opencsv

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lake
COLUMNS = ("a", "b", "c")
DIALECTS = {
    "plain": {},
    "said": {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"},
    "doubled": {"escapeChar": '"'},
    "other": {"separatorChar": ";", "quoteChar": "'", "escapeChar": "^"},
}
SPECIAL = "ab ,;\"'\\^"
SHORT, LONGEST, RANDOM_LINES = 4, 24, 4000


def awkward_lines(seed: int) -> list[str]:
    """Return every short line of the special characters, and many longer ones."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    short = ["".join(line) for size in range(SHORT) for line in itertools.product(SPECIAL, repeat=size)]
    sizes = [chance.randint(SHORT, LONGEST) for _ in range(RANDOM_LINES)]
    return [*short, *("".join(chance.choices([*SPECIAL, "é", "\U0001f600"], k=size)) for size in sizes)]


def test_local_athena_reads_every_awkward_line_as_hive_does(tmp_path: Path) -> None:
    spark, lines = Spark(tmp_path), {name: awkward_lines(seed) for seed, name in enumerate(DIALECTS)}
    for name, parameters in DIALECTS.items():
        spark.table(name, COLUMNS, ["\n".join([*lines[name], ""]).encode()], serde_parameters=parameters)
    found = spark.rows(**{name: f"SELECT * FROM {name}" for name in DIALECTS})  # noqa: S608 - our own names
    for name, parameters in DIALECTS.items():
        dialect = opencsv.Dialect.of(parameters)
        assert len(found[name]) == len(lines[name])
        wrong = [
            (line, by_hive, ours)
            for line, by_hive in zip(lines[name], found[name], strict=True)
            if (ours := tuple(opencsv.fields(line, dialect, len(COLUMNS)))) != by_hive
        ]
        assert wrong == [], f"{name}: {len(wrong)} lines"


def test_lines_end_where_hadoop_ends_them(tmp_path: Path) -> None:
    contents = {
        "none": b"",
        "one": b"a",
        "ends": b"a\nb\r\nc\rd\n\ne\r",
        "open": b'"a\nb",c\n',
        "utf8": b"\xff\xc3\xa9\n",
    }
    spark = Spark(tmp_path)
    for name, content in contents.items():
        spark.table(name, COLUMNS[:1], [content])
    found = spark.rows(**{name: f"SELECT a FROM {name}" for name in contents})  # noqa: S608 - our own names
    dialect = opencsv.Dialect()
    for name, content in contents.items():
        assert found[name] == [tuple(opencsv.fields(line, dialect, 1)) for line in opencsv.lines(content)], name
