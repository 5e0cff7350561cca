"""docs/query.md: what its Python makes is what its SQL asks, with objects below, as the local Athena reads them."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from personalize_local.athena.catalog import Table
from personalize_local.athena.engine import Query
from tests.pages import PRELUDE, Page
from tests.synth.conftest import readable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PAGE = Page("docs/query.md")
BY_USER, BY_DAY, GONE, WITHOUT_ATHENA = PAGE.blocks("sql")
HEADER = "USER_ID,ITEM_ID,EVENT_VALUE,TIMESTAMP\n"
DAYS = {
    "2026-11-25": f"{HEADER}u1,i1,0.5,1000\nu2,i1,,2000\n",
    "2026-11-26": f"{HEADER}u1,i1,0.5,1000\nu1,i2,0.25,4000\nu3,i1,,3000\n",
}
NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)


class Objects:
    """The objects of a bucket, for whoever may read all of them."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts

    def names(self, bucket: str, prefix: str) -> Sequence[str]:
        return sorted(
            key.removeprefix(f"s3://{bucket}/") for key in self.texts if key.startswith(f"s3://{bucket}/{prefix}")
        )

    def content(self, bucket: str, key: str) -> bytes:
        return self.texts[f"s3://{bucket}/{key}"].encode()


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    """Return the tables the page makes, by their names."""
    names: dict[str, Any] = {}
    exec(compile("\n".join([PRELUDE, *PAGE.fragments]), PAGE.path, "exec"), names)  # noqa: S102 - what a reader runs
    (stack,) = names["app"].synth().stacks
    made = [r["Properties"] for r in stack.template["Resources"].values() if r["Type"] == "AWS::Glue::Table"]
    texts = [json.dumps(readable(table["TableInput"])) for table in made]
    records = [json.loads(re.sub(r"\$\{(\w+Bucket)\}", r"\1", text)) for text in texts]  # as if the id were the name
    return {record["Name"]: Table("shop", record) for record in records}


@pytest.fixture
def objects(tables: dict[str, Table]) -> Objects:
    """Return two days of exports, and the pointers to them."""
    latest, daily = tables["clicks_raw"].location, tables["clicks_daily_raw"].location
    bucket = latest.partition("/personalize/")[0]
    texts = {f"{bucket}/personalize/job-of-{day}/part-0.csv": text for day, text in DAYS.items()}
    texts |= {f"{daily}dt={day}/symlink.txt": f"{bucket}/personalize/job-of-{day}/part-0.csv\n" for day in DAYS}
    texts[f"{latest}symlink.txt"] = texts[f"{daily}dt={max(DAYS)}/symlink.txt"]
    return Objects(texts)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        (BY_USER, [["u1", "2", "1970-01-01 01:06:40"], ["u3", "1", "1970-01-01 00:50:00"]]),
        (BY_DAY, [["2026-11-25", "2", "2"], ["2026-11-26", "3", "2"]]),
        (GONE, [["u3"]]),
    ],
)
def test_query_of_the_page_returns_what_was_exported(
    tables: dict[str, Table], objects: Objects, sql: str, rows: list[list[str]]
) -> None:
    found = Query(sql, "shop", lambda _, name: tables.get(name))
    result = found.run(objects, NOW, skips_symlink_headers=False, relation=lambda table: table.name)
    shown = [[str(value)[:19] for value in row] for row in result.rows]
    assert shown == rows


def test_objects_are_read_without_athena_too(tmp_path: Path) -> None:
    path = tmp_path / "part-0.csv"
    path.write_text(HEADER + '"a \\"b\\", c",i1,,1000\n', encoding="utf-8")
    sql = WITHOUT_ATHENA.replace("s3://bucket/personalize/job/part-0.csv", str(path))
    assert str(path) in sql
    assert duckdb.connect(config={"threads": 1}).execute(sql).fetchall() == [('a "b", c', "i1", None, "1000")]
