"""What a table of the Glue Data Catalog says about its data: a view's SQL, partitions, symlinks, and the SerDe.

Rests on https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-athena-query.html (symlink tables),
https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html, and on the form in which Athena
and Trino keep views in Glue, which AWS does not document (inferred).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from personalize_local.athena import opencsv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

SYMLINKS = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"
TEXT = "org.apache.hadoop.mapred.TextInputFormat"
_VIEW = re.compile(r"/\* Presto View: (?P<text>\S+) \*/")
_DATE_PARTS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_RELATIVE = re.compile(r"NOW(?:\s*(?P<sign>[+-])\s*(?P<count>\d+)\s*(?P<unit>YEAR|MONTH|WEEK|DAY)S?)?")
_DAYS = {"YEAR": 365, "MONTH": 30, "WEEK": 7, "DAY": 1}


class QueryError(Exception):
    """Why a query fails; the text becomes the reason of its state."""


class Objects(Protocol):
    """How the objects of tables are reached, with the permissions of whoever queries."""

    def names(self, bucket: str, prefix: str) -> Sequence[str]:
        """Return the keys below a prefix."""

    def content(self, bucket: str, key: str) -> bytes:
        """Return an object."""


@dataclass(frozen=True)
class View:
    """A view: its SQL, the database that unqualified names are in, and its columns with their types."""

    sql: str
    database: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Partition:
    """Where some rows are, and the values that they have in the partition columns."""

    location: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table of the Glue Data Catalog.

    Args:
        database: The database it is in.
        record: What Glue keeps of it.
        partitions: What Glue keeps of its partitions.
    """

    database: str
    record: Mapping[str, Any]
    partitions: tuple[Mapping[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.record["Name"])

    @property
    def parameters(self) -> Mapping[str, str]:
        """Its table properties."""
        return self.record.get("Parameters") or {}

    @property
    def is_view(self) -> bool:
        """Whether it is a view of Athena."""
        return self.record.get("TableType") == "VIRTUAL_VIEW"

    @property
    def has_symlinks(self) -> bool:
        """Whether its location holds lists of objects, rather than the objects."""
        return self._storage.get("InputFormat") == SYMLINKS

    @property
    def is_csv(self) -> bool:
        """Whether its lines are read by OpenCSVSerde."""
        return self._serde.get("SerializationLibrary") == opencsv.SERDE

    @property
    def is_text(self) -> bool:
        """Whether its objects are text that OpenCSVSerde reads, listed in symlinks or not."""
        return self.has_symlinks or (self.is_csv and self._storage.get("InputFormat") == TEXT)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """The names and types of what is in a line."""
        return _columns(self._storage.get("Columns"))

    @property
    def partition_columns(self) -> list[tuple[str, str]]:
        """The names and types of the partition columns."""
        return _columns(self.record.get("PartitionKeys"))

    @property
    def dialect(self) -> opencsv.Dialect:
        """How its lines are read."""
        if not self.is_csv:
            raise QueryError(
                f"Table {self.database}.{self.name}: the local Athena reads {SYMLINKS} with {opencsv.SERDE} only."
            )
        try:
            return opencsv.Dialect.of(self._serde.get("Parameters") or {})
        except ValueError as error:
            raise QueryError(f"HIVE_INVALID_METADATA: Table {self.database}.{self.name}: {error}") from None

    @property
    def header_lines(self) -> int:
        """How many lines of each object are said to be no rows."""
        text = self.parameters.get("skip.header.line.count", "0")
        if not text.isdecimal():
            raise QueryError(f"HIVE_INVALID_METADATA: Invalid value for skip.header.line.count property: {text}")
        return int(text)

    @property
    def location(self) -> str:
        """Where its data or its symlinks are, ending with a slash."""
        return f"{str(self._storage.get('Location', '')).rstrip('/')}/"

    @property
    def _storage(self) -> Mapping[str, Any]:
        return self.record.get("StorageDescriptor") or {}

    @property
    def _serde(self) -> Mapping[str, Any]:
        return self._storage.get("SerdeInfo") or {}

    def view(self) -> View:
        """Return what the view says.

        Raises:
            QueryError: It is not kept as Athena keeps views.
        """
        found = _VIEW.fullmatch(str(self.record.get("ViewOriginalText") or "").strip())
        if self.parameters.get("presto_view") != "true" or found is None:
            raise QueryError(f"HIVE_UNSUPPORTED: View {self.database}.{self.name} is not one of Athena.")
        try:
            said = json.loads(base64.b64decode(found["text"], validate=True))
            columns = tuple((str(column["name"]), str(column["type"])) for column in said["columns"])
            return View(str(said["originalSql"]), str(said.get("schema") or self.database), columns)
        except (binascii.Error, ValueError, KeyError, TypeError) as error:
            raise QueryError(f"INVALID_VIEW: View {self.database}.{self.name} can not be read: {error!r}") from None

    def data(self, objects: Objects, now: datetime) -> Iterator[tuple[Partition, bytes]]:
        """Yield every object with rows, with the partition it belongs to.

        Args:
            objects: How S3 is reached.
            now: The time, in UTC, that partition projection ends with.
        """
        for partition in self._partitions(objects, now):
            for bucket, key in self._keys(partition.location, objects):
                yield partition, objects.content(bucket, key)

    def _keys(self, location: str, objects: Objects) -> Iterator[tuple[str, str]]:
        """Yield the objects of one location; a symlink may name any, also one that would be hidden otherwise."""
        bucket, prefix = split(location)
        found = [key for key in objects.names(bucket, prefix) if not _is_hidden(key.removeprefix(prefix))]
        if not self.has_symlinks:
            yield from ((bucket, key) for key in found)
            return
        for key in found:
            for line in opencsv.lines(objects.content(bucket, key)):
                if line.strip():
                    yield split(line.strip())

    def _partitions(self, objects: Objects, now: datetime) -> Iterable[Partition]:
        """Return where the rows are."""
        if not self.partition_columns:
            return [Partition(self.location)]
        if self.parameters.get("projection.enabled", "").lower() == "true":
            return self._projected(objects, now)
        return [
            Partition(f"{str(found['StorageDescriptor']['Location']).rstrip('/')}/", tuple(found["Values"]))
            for found in self.partitions
        ]

    def _projected(self, objects: Objects, now: datetime) -> list[Partition]:
        """Return the projected partitions that something is in: listed once, rather than asked for one by one."""
        names = [name for name, _ in self.partition_columns]
        default = self.location + "/".join(f"{name}=${{{name}}}" for name in names)
        template = f"{self.parameters.get('storage.location.template', default).rstrip('/')}/"
        missing = [name for name in names if f"${{{name}}}" not in template]
        if missing:
            raise QueryError(f"INVALID_TABLE_PROPERTY: storage.location.template lacks ${{{missing[0]}}}: {template}")
        start = template.partition("${")[0]
        bucket, prefix = split(start)
        pattern = re.compile(re.sub(r"\\\$\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template)))
        matches = (pattern.match(f"s3://{bucket}/{key}") for key in objects.names(bucket, prefix))
        found = {match[0]: match for match in matches if match}
        ranges = {name: _Dates.of(self.parameters, name, now) for name in names}
        return [
            Partition(location, tuple(match[name] for name in names))
            for location, match in found.items()
            if all(ranges[name].holds(match[name]) for name in names)
        ]


@dataclass(frozen=True)
class _Dates:
    """The values that a projected column of dates has."""

    layout: str
    first: datetime
    last: datetime

    @classmethod
    def of(cls, parameters: Mapping[str, str], column: str, now: datetime) -> _Dates:
        """Read the projection of one column."""
        kind = parameters.get(f"projection.{column}.type", "")
        if kind.lower() != "date":
            raise QueryError(f"The local Athena projects partitions of type date only, not {column} of type {kind!r}.")
        java = parameters.get(f"projection.{column}.format", "yyyy-MM-dd")
        layout = re.sub("|".join(_DATE_PARTS), lambda part: _DATE_PARTS[part[0]], java)
        if re.search("(?<!%)[A-Za-z]", layout):
            raise QueryError(f"The local Athena does not know projection.{column}.format {java!r}.")
        ends = parameters.get(f"projection.{column}.range", "").split(",")
        try:
            first, last = (_moment(end.strip(), layout, now) for end in ends)
        except ValueError:
            raise QueryError(
                f"INVALID_TABLE_PROPERTY: projection.{column}.range must be two dates or NOW, got {','.join(ends)!r}."
            ) from None
        return cls(layout, first, last)

    def holds(self, text: str) -> bool:
        """Tell whether a value is one of them."""
        try:
            return self.first <= datetime.strptime(text, self.layout) <= self.last  # noqa: DTZ007 - all are UTC
        except ValueError:
            return False


def _moment(text: str, layout: str, now: datetime) -> datetime:
    """Return one end of a range: a date, or one relative to now."""
    relative = _RELATIVE.fullmatch(text.upper())
    if relative is None:
        return datetime.strptime(text, layout)  # noqa: DTZ007 - all are UTC
    days = int(relative["count"] or 0) * _DAYS[relative["unit"] or "DAY"]
    return now.replace(tzinfo=None) + timedelta(days=-days if relative["sign"] == "-" else days)


def split(location: str) -> tuple[str, str]:
    """Return the bucket and the key of ``s3://bucket/key``.

    Raises:
        QueryError: It is none.
    """
    found = re.fullmatch(r"s3[an]?://([^/]+)/?(.*)", location, re.DOTALL)
    if found is None:
        raise QueryError(f"HIVE_INVALID_METADATA: not a location in Amazon S3: {location}")
    return found[1], found[2]


def _columns(found: Any) -> list[tuple[str, str]]:
    return [(str(column["Name"]), str(column.get("Type") or "string").lower()) for column in found or []]


def _is_hidden(name: str) -> bool:
    """Tell whether Hive leaves an object out: a folder's marker, or one with a name that says so."""
    return not name or name.endswith("/") or any(part.startswith(("_", ".")) for part in name.split("/"))
