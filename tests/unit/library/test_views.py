"""The SQL of the views, and how AWS Glue keeps it. What it reads is in test_exported_values.py."""

from __future__ import annotations

import json

from cdk_personalize_export import _views
from cdk_personalize_export._columns import Column

COLUMNS = [
    Column("USER_ID", "string", optional=False),
    Column("EVENT_TYPE", "string"),
    Column("TIMESTAMP", "bigint", optional=False),
    Column("GENRES", "array<string>"),
    Column("AGE", "int"),
]


def test_each_type_is_read_from_text_and_lines_of_names_are_left_out() -> None:
    assert _views.select(COLUMNS, "movies_raw") == (
        'SELECT "user_id" AS "user_id", '
        'NULLIF("event_type", \'\') AS "event_type", '
        "CAST(NULLIF(NULLIF(\"timestamp\", ''), 'TIMESTAMP') AS bigint) AS \"timestamp\", "
        "split(NULLIF(\"genres\", ''), '|') AS \"genres\", "
        "CAST(NULLIF(NULLIF(\"age\", ''), 'AGE') AS integer) AS \"age\" "
        'FROM "movies_raw" '
        "WHERE NOT COALESCE(\"user_id\" = 'USER_ID' AND \"event_type\" = 'EVENT_TYPE' AND \"timestamp\" = 'TIMESTAMP' "
        "AND \"genres\" = 'GENRES' AND \"age\" = 'AGE', false)"
    )


def test_the_day_is_passed_on_as_it_is() -> None:
    sql = _views.select(COLUMNS[:1], "movies_daily_raw", also="dt")
    assert sql == (
        'SELECT "user_id" AS "user_id", "dt" FROM "movies_daily_raw" WHERE NOT COALESCE("user_id" = \'USER_ID\', false)'
    )


def test_a_view_is_kept_with_the_types_of_queries() -> None:
    kept = json.loads(_views.definition("SELECT 1", "shop", COLUMNS, also="dt"))
    assert kept == {
        "originalSql": "SELECT 1",
        "catalog": "awsdatacatalog",
        "schema": "shop",
        "columns": [
            {"name": "user_id", "type": "varchar"},
            {"name": "event_type", "type": "varchar"},
            {"name": "timestamp", "type": "bigint"},
            {"name": "genres", "type": "array(varchar)"},
            {"name": "age", "type": "integer"},
            {"name": "dt", "type": "varchar"},
        ],
    }


def test_a_token_for_the_database_stays_whole() -> None:
    assert '"schema": "${Token[TOKEN.7]}"' in _views.definition("SELECT 1", "${Token[TOKEN.7]}", COLUMNS)
