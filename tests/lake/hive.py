"""Tables of text read by Spark with Hive's own SerDe and input format: JSON in, JSON out, one Spark for all of it.

Runs with the Python of .cache/lake. It reads ``{"statements": [...], "queries": {name: SQL}}`` from standard input and
writes ``{name: rows}`` to the file that its argument names, since Spark itself prints.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession


def main() -> None:
    """Run every statement, then every query."""
    asked = json.load(sys.stdin)
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", str(Path("warehouse").absolute()))
        .config("spark.hadoop.javax.jdo.option.ConnectionURL", "jdbc:derby:memory:lake;create=true")
        .enableHiveSupport()
        .getOrCreate()
    )
    for statement in asked["statements"]:
        spark.sql(statement)
    rows = {name: [list(row) for row in spark.sql(query).collect()] for name, query in asked["queries"].items()}
    Path(sys.argv[1]).write_text(json.dumps(rows), encoding="utf-8")
    spark.stop()


if __name__ == "__main__":
    main()
