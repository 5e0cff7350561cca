"""SQL of Athena on tables of the Glue Data Catalog, run by DuckDB: SQLGlot translates from the SQL of Trino.

Tables of text become tables of DuckDB, views its views; a view must fit its SQL, as in Trino, or it is stale. What is
more lenient than Athena (inferred): casts of text to other types than whole numbers, where DuckDB takes a few more
spellings, and functions that SQLGlot passes on because DuckDB has one of that name.
"""

from __future__ import annotations

import ctypes
import json
import math
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from personalize_local.athena import opencsv
from personalize_local.athena.catalog import QueryError, Table, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from personalize_local.athena.catalog import Objects

CATALOG = "awsdatacatalog"
_ATHENA, _DUCKDB = "athena", "duckdb"
_TYPE_NAMES = {  # of DuckDB, as Athena's API names them
    "BOOLEAN": "boolean",
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "bigint",
    "FLOAT": "float",
    "DOUBLE": "double",
    "VARCHAR": "varchar",
    "BLOB": "varbinary",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
}
_WHOLE, _WHOLE_OR_NULL = "trino_whole_number", "trino_whole_number_or_null"
_MACROS = f"""
CREATE MACRO {_WHOLE_OR_NULL}(x) AS
    CASE WHEN typeof(x) <> 'VARCHAR' OR regexp_full_match(CAST(x AS VARCHAR), '[+-]?[0-9]+') THEN x END;
CREATE MACRO {_WHOLE}(x) AS
    CASE WHEN x IS NULL OR {_WHOLE_OR_NULL}(x) IS NOT NULL THEN x
    ELSE error(format('INVALID_CAST_ARGUMENT: Cannot cast ''{{}}'' to a whole number', CAST(x AS VARCHAR))) END;
"""
"""Text that is no whole number, which DuckDB rounds and Trino refuses."""
_PLAIN_FROM, _PLAIN_BELOW = 1e-3, 1e7  # outside, Java writes a double with an exponent


@dataclass(frozen=True)
class Result:
    """What a query returned: texts, as Athena's API has them, and null as None."""

    columns: list[str]
    types: list[str]
    rows: list[list[str | None]]


class Query:
    """One query, and the tables it needs.

    Args:
        sql: What was asked.
        database: The database that names without one are in.
        find: Returns a table of the Glue Data Catalog, or None; both names are in lower case.
    """

    def __init__(self, sql: str, database: str, find: Callable[[str, str], Table | None]) -> None:
        """Find the tables, also those that views are made of, in the order they depend on each other."""
        self._find = find
        self.tables: dict[tuple[str, str], Table] = {}
        self._views: dict[tuple[str, str], tuple[View, exp.Query]] = {}
        self._missing: list[str] = []
        self._query = _parsed(sql)
        if self._query is not None:
            self._collect(self._query, database, ())

    @property
    def is_ours(self) -> bool:
        """Whether it reads a view, or a table of text that OpenCSVSerde reads."""
        return any(table.is_view or table.is_text for table in self.tables.values())

    def run(
        self,
        objects: Objects,
        now: datetime,
        *,
        skips_symlink_headers: bool,
        relation: Callable[[Table], str],
    ) -> Result:
        """Return what it returns.

        Args:
            objects: How S3 is reached.
            now: The time, in UTC.
            skips_symlink_headers: Whether `skip.header.line.count` counts for objects that symlinks name.
            relation: Returns DuckDB's SQL for a table of another kind.

        Raises:
            QueryError: It fails.
        """
        if self._missing:
            raise QueryError(f"TABLE_NOT_FOUND: Table '{CATALOG}.{self._missing[0]}' does not exist")
        connection = duckdb.connect(":memory:", config={"python_enable_replacements": "false"})
        try:
            connection.execute(_MACROS)
            for place, table in self.tables.items():
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(place[0])}")
                if table.is_view:
                    _make_view(connection, place, *self._views[place])
                elif table.is_text:
                    _load(connection, place, table, _rows(table, objects, now, skips_headers=skips_symlink_headers))
                else:
                    connection.execute(f"CREATE TABLE {_name(place)} AS FROM {relation(table)}")
            connection.execute("SET enable_external_access = false")  # a query reads tables, not files of this machine
            assert self._query is not None  # noqa: S101 - otherwise there are no tables
            return _result(connection.execute(self._query.sql(_DUCKDB)))
        except duckdb.Error as error:
            raise QueryError(str(error)) from None
        finally:
            connection.close()

    def _collect(self, query: exp.Query, database: str, within: tuple[tuple[str, str], ...]) -> None:
        """Give the tables of a query their database and collect them, those that a view needs before it."""
        for reference in _references(query):
            place = (reference.db.lower() or database.lower(), reference.name.lower())
            reference.set("catalog", None)
            reference.set("db", exp.to_identifier(place[0], quoted=True))
            reference.set("this", exp.to_identifier(place[1], quoted=True))
            if place in within:
                raise QueryError(f"INVALID_VIEW: View {'.'.join(place)} is recursive")
            if place in self.tables:
                continue
            table = self._find(*place)
            if table is None:
                self._missing.append(".".join(place))
                continue
            if table.is_view:
                self._collect_view(place, table, within)
            self.tables[place] = table

    def _collect_view(self, place: tuple[str, str], table: Table, within: tuple[tuple[str, str], ...]) -> None:
        """Collect what a view is made of."""
        view = table.view()
        query = _parsed(view.sql)
        if query is None:
            raise QueryError(f"INVALID_VIEW: View {'.'.join(place)} is no query of Athena: {view.sql}")
        self._collect(query, view.database, (*within, place))
        self._views[place] = (view, query)


def _parsed(sql: str) -> exp.Query | None:
    """Return a query that returns rows; None when it is anything else."""
    try:
        found = sqlglot.parse_one(sql, dialect=_ATHENA)
    except sqlglot.errors.SqlglotError:
        return None
    if not isinstance(found, exp.Query):
        return None
    for cast in found.find_all(exp.Cast):
        if cast.to.is_type(*exp.DataType.INTEGER_TYPES):
            check = _WHOLE_OR_NULL if isinstance(cast, exp.TryCast) else _WHOLE
            cast.set("this", exp.Anonymous(this=check, expressions=[cast.this]))
    return found


def _references(query: exp.Query) -> list[exp.Table]:
    """Return where a query names tables, which common table expressions and functions are not."""
    sources = (source for scope in traverse_scope(query) for source in scope.sources.values())
    tables = [source for source in sources if isinstance(source, exp.Table)]
    return [table for table in tables if isinstance(table.this, exp.Identifier)]


def _make_view(connection: duckdb.DuckDBPyConnection, place: tuple[str, str], view: View, query: exp.Query) -> None:
    """Make a view, unless its columns are not those of its SQL."""
    connection.execute(f"CREATE VIEW {_name(place)} AS {query.sql(_DUCKDB)}")
    found = [tuple(row[:2]) for row in connection.execute(f"DESCRIBE {_name(place)}").fetchall()]
    wanted = [(name, _type_of(connection, kind)) for name, kind in view.columns]
    if found != wanted:
        raise QueryError(
            f"VIEW_IS_STALE: View '{CATALOG}.{'.'.join(place)}' is stale or in invalid state: "
            f"its SQL returns {found}, its columns are {wanted}"
        )


def _type_of(connection: duckdb.DuckDBPyConnection, athena: str) -> str:
    """Return what DuckDB calls a type of Athena."""
    try:
        kind = exp.DataType.build(athena, dialect=_ATHENA).sql(_DUCKDB)
    except sqlglot.errors.SqlglotError as error:
        raise QueryError(f"INVALID_VIEW: unknown type {athena}: {error}") from None
    row = connection.execute(f"SELECT typeof(CAST(NULL AS {kind}))").fetchone()
    return str(row[0]) if row else ""


def _rows(table: Table, objects: Objects, now: datetime, *, skips_headers: bool) -> Iterator[list[str | None]]:
    """Yield the rows of a table of text, the values of the partition last."""
    dialect, width = table.dialect, len(table.columns)
    skipped = table.header_lines if skips_headers or not table.has_symlinks else 0
    for partition, content in table.data(objects, now):
        for number, line in enumerate(opencsv.lines(content)):
            if number >= skipped:
                yield [*opencsv.fields(line, dialect, width), *partition.values]


def _load(
    connection: duckdb.DuckDBPyConnection, place: tuple[str, str], table: Table, rows: Iterator[list[str | None]]
) -> None:
    """Make a table of the rows; JSON brings them over without any dialect's rules."""
    columns = [*table.columns, *table.partition_columns]
    keys = [f"c{number}" for number in range(len(columns))]
    typed = ", ".join(
        f"CAST({key} AS {_type_of(connection, kind)}) AS {_quoted(name)}"
        for key, (name, kind) in zip(keys, columns, strict=True)
    )
    read = ", ".join(f"{key}: 'VARCHAR'" for key in keys)
    with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".ndjson") as file:
        file.writelines(f"{json.dumps(dict(zip(keys, row, strict=True)))}\n" for row in rows)
        file.flush()
        source = f"read_json('{file.name}', format = 'newline_delimited', columns = {{{read}}})"
        connection.execute(f"CREATE TABLE {_name(place)} AS SELECT {typed} FROM {source}")  # noqa: S608 - quoted


def _result(done: duckdb.DuckDBPyConnection) -> Result:
    """Return the result as text."""
    described = done.description or []
    kinds = [str(column[1]) for column in described]
    rows = [[_text(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in done.fetchall()]
    return Result([str(column[0]) for column in described], [_type_name(kind) for kind in kinds], rows)


def _type_name(kind: str) -> str:
    """Return what Athena's API calls a type of DuckDB."""
    if kind.endswith("[]"):
        return "array"
    return _TYPE_NAMES.get(kind, kind.partition("(")[0].lower())


def _text(value: Any, kind: str) -> str | None:
    """Write a value as Athena does."""
    if value is None:
        return None
    if isinstance(value, list):
        texts = (_text(item, kind.removesuffix("[]")) for item in value)
        return f"[{', '.join('null' if text is None else text for text in texts)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _number(value, single=kind == "FLOAT") if isinstance(value, float) else str(value)


def _number(value: float, *, single: bool) -> str:
    """Write a number as Java does: the fewest digits that say it, with an exponent when it is very large or small."""
    if not math.isfinite(value):
        return str(value).replace("nan", "NaN").replace("inf", "Infinity")
    if single:
        nearby = (float(f"{value:.{digits}g}") for digits in range(1, 10))
        value = next(near for near in nearby if ctypes.c_float(near).value == value)
    if value == 0 or _PLAIN_FROM <= abs(value) < _PLAIN_BELOW:
        return repr(value)
    shortest = next(text for size in range(17) if float(text := f"{value:.{size}e}") == value)
    digits, _, exponent = shortest.partition("e")
    return f"{digits if '.' in digits else f'{digits}.0'}E{int(exponent)}"


def _quoted(name: str) -> str:
    """Write a name for DuckDB."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _name(place: Sequence[str]) -> str:
    return ".".join(map(_quoted, place))
