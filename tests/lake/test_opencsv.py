"""The local Athena reads a line as Hive's OpenCSVSerde does, which Spark runs here: the SerDe itself, not its model."""

from __future__ import annotations

import itertools
import random

import pytest
from spark import Rows, Spark

from personalize_local.athena import opencsv

pytestmark = pytest.mark.lake
COLUMNS = ("a", "b", "c")
DIALECTS: dict[str, dict[str, str]] = {
    "plain": {},
    "said": {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"},
    "doubled": {"escapeChar": '"'},
    "other": {"separatorChar": ";", "quoteChar": "'", "escapeChar": "^"},
}
CONTENTS = {
    "none": b"",
    "one": b"a",
    "ends": b"a\nb\r\nc\rd\n\ne\r",
    "open": b'"a\nb",c\n',
    "utf8": b"\xff\xc3\xa9\n",
}
SPECIAL = "ab ,;\"'\\^"
SHORT, LONGEST, RANDOM_LINES = 4, 24, 4000


def awkward_lines(seed: int) -> list[str]:
    """Return every short line of the special characters, and many longer ones."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    short = ["".join(line) for size in range(SHORT) for line in itertools.product(SPECIAL, repeat=size)]
    sizes = [chance.randint(SHORT, LONGEST) for _ in range(RANDOM_LINES)]
    return [*short, *("".join(chance.choices([*SPECIAL, "é", "\U0001f600"], k=size)) for size in sizes)]


LINES = {name: awkward_lines(seed) for seed, name in enumerate(DIALECTS)}


@pytest.fixture(scope="module")
def by_hive(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """Return what Hive reads in the tables of both tests: starting Spark takes longer than all it does."""
    spark = Spark(tmp_path_factory.mktemp("hive"))
    for name, parameters in DIALECTS.items():
        spark.table(name, COLUMNS, ["\n".join([*LINES[name], ""]).encode()], serde_parameters=parameters)
    for name, content in CONTENTS.items():
        spark.table(name, COLUMNS[:1], [content])
    return spark.rows(**{name: f"SELECT * FROM {name}" for name in (*DIALECTS, *CONTENTS)})  # noqa: S608 - our own names


@pytest.mark.parametrize("name", DIALECTS)
def test_local_athena_reads_every_awkward_line_as_hive_does(by_hive: dict[str, Rows], name: str) -> None:
    dialect = opencsv.Dialect.of(DIALECTS[name])
    ours = [tuple(opencsv.fields(line, dialect, len(COLUMNS))) for line in LINES[name]]
    assert len(ours) == len(by_hive[name])
    read = zip(LINES[name], by_hive[name], ours, strict=True)
    assert [line_and_fields for line_and_fields in read if line_and_fields[1] != line_and_fields[2]] == []


@pytest.mark.parametrize("name", CONTENTS)
def test_lines_end_where_hadoop_ends_them(by_hive: dict[str, Rows], name: str) -> None:
    ours = [tuple(opencsv.fields(line, opencsv.Dialect(), 1)) for line in opencsv.lines(CONTENTS[name])]
    assert ours == by_hive[name]
