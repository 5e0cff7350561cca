"""The SQL of the views over an export's text, and how AWS Glue keeps a view for Athena.

The text has a header line for each object, which Athena may or may not skip where a table consists of symbolic links
(unknown). So no table property asks it to skip one, which would lose a row if an object had no header; the views leave
header lines out by what they say. The SQL is what Athena (Trino) and DuckDB have in common.

How a view is kept is not documented, but the same in every catalog: the SQL and the types as JSON, in Base64, in a
comment. See https://docs.aws.amazon.com/athena/latest/ug/views.html.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cdk_personalize_export._columns import Column

PREFIX, SUFFIX = "/* Presto View: ", " */"
EXPANDED = "/* Presto View */"
_CATALOG = "awsdatacatalog"
_SQL_TYPES = {"string": "varchar", "int": "integer", "array<string>": "array(varchar)"}
"""Of Athena's types, those that have another name in queries than in tables."""


def select(columns: Sequence[Column], table: str, *, also: str | None = None) -> str:
    """Return the SQL that reads the text columns of `table` with types, and without header lines.

    Args:
        columns: The columns of the export.
        table: The table of text.
        also: One more column of the table, passed on as it is.
    """
    values = [f'{_value(column)} AS "{column.name}"' for column in columns]
    if also is not None:
        values.append(f'"{also}"')
    listed = ", ".join(values)
    return f'SELECT {listed} FROM "{table}" WHERE NOT COALESCE({_is_header(columns)}, false)'  # noqa: S608 - names without quotes


def definition(sql: str, database: str, columns: Sequence[Column], *, also: str | None = None) -> str:
    """Return the view as JSON; `database` may be a token, which is kept."""
    types = [(column.name, sql_type(column.type)) for column in columns]
    if also is not None:
        types.append((also, "varchar"))
    described = [{"name": name, "type": kind} for name, kind in types]
    return json.dumps({"originalSql": sql, "catalog": _CATALOG, "schema": database, "columns": described})


def sql_type(table_type: str) -> str:
    """Return what queries call a type of a table."""
    return _SQL_TYPES.get(table_type, table_type)


def _value(column: Column) -> str:
    text = f'"{column.name}"'
    filled = f"NULLIF({text}, '')"
    if column.type == "string":
        return filled if column.optional else text
    if column.type == "array<string>":
        return f"split({filled}, '|')"
    # An engine may cast before it leaves the header line out, so the header's own text is no value here. Any other
    # text that is not of the type makes the query fail, as it should: the columns are not those of the export then.
    return f"CAST(NULLIF({filled}, '{column.header}') AS {sql_type(column.type)})"


def _is_header(columns: Sequence[Column]) -> str:
    """Return what is true of a header line: each column says its own name.

    So no row of data is taken for one, unless each of its values is the name of its column; a number never is. Of a
    line that the SerDe could not read there are no values, and this is neither true nor false: such a row is shown.
    """
    return " AND ".join(f"\"{column.name}\" = '{column.header}'" for column in columns)
