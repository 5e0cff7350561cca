"""An export as tables to query: the newest, and the last of every day.

The tables read the text of the objects that the export's pointers name, as Amazon Athena reads an S3 Inventory:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-athena-query.html, with the SerDe of
https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html and, for the history, the partitions of
https://docs.aws.amazon.com/athena/latest/ug/partition-projection.html. Views above them carry the types.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Fn
from constructs import Construct

from cdk_personalize_export import _checks, _columns, _options, _views
from cdk_personalize_export._environment import StackEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import aws_glue as glue
    from aws_cdk import aws_iam as iam
    from aws_cdk.aws_personalize import CfnSchema

    from cdk_personalize_export.dataset_export import DatasetExport
    from cdk_personalize_export.dataset_group_export import DatasetGroupExport
    from cdk_personalize_export.scheduled_dataset_export import ScheduledDatasetExport
    from cdk_personalize_export.scheduled_dataset_group_export import ScheduledDatasetGroupExport

FIRST_DAY = "2026-01-01"
"""Before any export of this library. A query of the history that names no day looks for each day since."""

_BACKSLASH = "\\"
_NAME_CHARACTERS = 255  # docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html
_DAILY, _RAW = "_daily", "_raw"
_TABLE_NAME_CHARACTERS = _NAME_CHARACTERS - len(_DAILY + _RAW)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_EXISTING_NAME = re.compile(r"[a-z0-9_\-]+")
_DATABASES = "PersonalizeExportDatabases"  # what those of a stack are in
_SERDE = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
_INPUT_FORMAT = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"
_OUTPUT_FORMAT = "org.apache.hadoop.hive.ql.io.IgnoreKeyTextOutputFormat"
_NO_SERDE = "-"  # a view has none, but some readers of the catalog want one
_QUERIES = ("glue:GetDatabase", "glue:GetTable", "glue:GetPartitions")

# Which tables there are in a database, as far as one app knows; kept for the life of the process, as constructs are.
_TAKEN: dict[tuple[object, str], dict[str, str]] = {}


class ExportTable(Construct):
    """The tables of one export: `<table_name>` is the newest, `<table_name>_daily` the last of every day.

    Both are views with types over tables of text, `<table_name>_raw` and `<table_name>_daily_raw`. Each export that
    succeeds is in them at once: no crawler runs, and no partition is registered. The export is made to write a
    manifest, see `ExportDestination`.

    What is text in a CSV file gets the type that the schema says: `int` and `long` become whole numbers, `float` and
    `double` become `double` (which holds every digit of a float's text), categories become a list of text. No value
    is `NULL`. An empty text of a field that allows `null` is `NULL` too. A value that is not of its type makes a query
    fail. Values with line breaks are not read rightly: a record is one line.

    The column `dt` of the daily table is a text such as `2026-11-26`, a day in UTC: of the scheduled time, or of the
    job's creation. Name days in your queries, `WHERE dt >= '2026-11-01'`: Athena then looks for those only.

    Not checked on AWS: the order of the columns in an export is inferred to be that of the schema; whether Athena skips
    header lines is unknown, and the views are right either way.

    Args:
        scope: The construct this belongs to.
        construct_id: Its name within `scope`.
        export: The export: a `DatasetExport` that waits, or a `ScheduledDatasetExport`.
        table_name: What queries call the newest export, unique in the database: at most 245 small letters, digits and
            underscores, the first a letter.
        database: The database the tables are in: a `glue.CfnDatabase` of this app, or the name of one that is there.
            Either this, or `database_name`.
        database_name: The name of a database to make: small letters, digits and underscores, the first a letter. All
            tables of the stack that give the same name share it. It goes with the last of them, and takes with it what
            else was put in it, but no data.
        schema: The schema of the dataset: a `CfnSchema`, the Avro JSON as text, or a dict of it. Either this, or
            `columns`.
        columns: The types of the columns by their names in the header line, in its order, when the schema is not known
            at synthesis or an export has its columns in another order: `string`, `int`, `bigint`, `double`, `boolean`
            or `array<string>`, which is text with `|` between its parts. Empty text is `NULL` in all of them.
        escape_character: What comes before quotes in quotes, and before itself. Default: a backslash, as in the files
            that Personalize imports. Doubled quotes are read as one with any. If exports turn out to double quotes and
            to leave backslashes alone, a backslash in a value is lost, and one at its end takes the next value along:
            then choose a character that is in none of your values.

    Raises:
        ValueError: when an option could only fail later; the message says what is allowed.
    """

    def __init__(  # noqa: PLR0913 - options, all but two by keyword
        self,
        scope: Construct,
        construct_id: str,
        *,
        export: DatasetExport | ScheduledDatasetExport,
        table_name: str,
        database: glue.CfnDatabase | str | None = None,
        database_name: str | None = None,
        schema: CfnSchema | Mapping[str, Any] | str | None = None,
        columns: Mapping[str, str] | None = None,
        escape_character: str = _BACKSLASH,
    ) -> None:
        given = _Given.checked(
            scope,
            export=export,
            table_name=table_name,
            database=database,
            database_name=database_name,
            schema=schema,
            columns=columns,
            escape_character=escape_character,
        )
        export._record()  # noqa: SLF001 - one of ours
        super().__init__(scope, construct_id)
        given.take(str(self.node.path))
        self._given, self._environment = given, given.environment
        self.export: DatasetExport | ScheduledDatasetExport = export
        """The export that is queried."""
        self.table_name, self.daily_table_name, self.raw_table_name, self.daily_raw_table_name = given.names
        self.database_name: str = _database(given.environment, database, database_name)
        """The name of the database."""
        self._text_table(self.raw_table_name, str(export.latest_path), {})
        self._text_table(self.daily_raw_table_name, str(export.daily_path), _projection(str(export.daily_path)))
        self._view(self.table_name, self.raw_table_name)
        self._view(self.daily_table_name, self.daily_raw_table_name, also=_columns.DAY)

    @classmethod
    def for_group(  # noqa: PLR0913 - options, all but two by keyword
        cls,
        scope: Construct,
        construct_id: str,
        *,
        exports: DatasetGroupExport | ScheduledDatasetGroupExport,
        schemas: Mapping[str, CfnSchema | Mapping[str, Any] | str],
        database: glue.CfnDatabase | str | None = None,
        database_name: str | None = None,
        table_name_prefix: str = "",
        escape_character: str = _BACKSLASH,
    ) -> dict[str, ExportTable]:
        """Make the tables of a dataset group: `interactions`, `items` and `users`, whichever have a schema here.

        Args:
            scope: The construct they belong to.
            construct_id: The name, within `scope`, of what they are in.
            exports: The `DatasetGroupExport` or `ScheduledDatasetGroupExport`.
            schemas: The schemas by the type of the dataset, in any case: see `schema`. Make the table of a type whose
                schema is not known at synthesis by itself, with `export=exports.exports["ITEMS"]` and `columns`.
            database: See `ExportTable`.
            database_name: See `ExportTable`.
            table_name_prefix: What comes before the names. Default: nothing. Give one where a database has tables of
                several groups.
            escape_character: See `ExportTable`.

        Returns:
            The tables by the type of the dataset, as `exports.exports` has them.

        Raises:
            ValueError: when an option could only fail later; the message says what is allowed.
        """
        _options.check(exports=exports, schemas=schemas, table_name_prefix=table_name_prefix)
        options: dict[str, dict[str, Any]] = {
            dataset_type: {
                "export": exports.exports[dataset_type],
                "table_name": f"{table_name_prefix}{dataset_type.lower()}",
                "database": database,
                "database_name": database_name,
                "schema": schema,
                "escape_character": escape_character,
            }
            for dataset_type, schema in _by_type(schemas, list(exports.exports)).items()
        }
        for one in options.values():  # all of them first, so that what is refused leaves nothing behind
            _Given.checked(scope, **one, columns=None)
        for one in options.values():
            one["export"]._record()  # noqa: SLF001 - one of ours
        parent = Construct(scope, construct_id)
        return {dataset_type: cls(parent, dataset_type.title(), **one) for dataset_type, one in options.items()}

    def grant_query(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` read these four tables' definitions, and list, read and decrypt what is exported.

        To query, Athena wants more, which is yours to allow: `athena:StartQueryExecution`, `GetQueryExecution` and
        `GetQueryResults` on a workgroup, reading and writing where that puts results, and in an account where AWS Lake
        Formation manages the catalog, its grants. See https://docs.aws.amazon.com/athena/latest/ug/security-iam-athena.html.

        Args:
            grantee: The role, user or function that queries.

        Returns:
            Both grants, as one.
        """
        from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

        database = self.database_name
        tables = (self.table_name, self.daily_table_name, self.raw_table_name, self.daily_raw_table_name)
        within = ("catalog", f"database/{database}", *(f"table/{database}/{table}" for table in tables))
        arns = [self._environment.glue_arn(resource) for resource in within]
        reading = aws_iam.Grant.add_to_principal(grantee=grantee, actions=list(_QUERIES), resource_arns=arns)
        return reading.combine(self.export.destination.grant_read(grantee))

    def _text_table(self, name: str, location: str, projection: Mapping[str, str]) -> None:
        from aws_cdk.aws_glue import CfnTable  # noqa: PLC0415 - not at import: it costs start-up time

        serde = {"separatorChar": ",", "quoteChar": '"', "escapeChar": self._given.escape_character}
        storage = CfnTable.StorageDescriptorProperty(
            columns=[CfnTable.ColumnProperty(name=column.name, type="string") for column in self._given.columns],
            input_format=_INPUT_FORMAT,
            location=location,
            output_format=_OUTPUT_FORMAT,
            serde_info=CfnTable.SerdeInfoProperty(parameters=serde, serialization_library=_SERDE),
        )
        self._table(
            CfnTable.TableInputProperty(
                name=name,
                description=f"The text of the exports of {self.export.node.path}",
                parameters={"EXTERNAL": "TRUE", **projection},
                partition_keys=[CfnTable.ColumnProperty(name=_columns.DAY, type="string")] if projection else [],
                storage_descriptor=storage,
                table_type="EXTERNAL_TABLE",
            )
        )

    def _view(self, name: str, table: str, *, also: str | None = None) -> None:
        from aws_cdk.aws_glue import CfnTable  # noqa: PLC0415 - not at import: it costs start-up time

        sql = _views.select(self._given.columns, table, also=also)
        types = [(column.name, column.type) for column in self._given.columns]
        if also is not None:
            types.append((also, "string"))
        storage = CfnTable.StorageDescriptorProperty(
            columns=[CfnTable.ColumnProperty(name=name, type=kind) for name, kind in types],
            serde_info=CfnTable.SerdeInfoProperty(name=_NO_SERDE, serialization_library=_NO_SERDE),
        )
        what = "The newest export" if also is None else "The last export of every day"
        database = self._given.known_database or self.database_name
        text = _encoded(_views.definition(sql, database, self._given.columns, also=also))
        self._table(
            CfnTable.TableInputProperty(
                name=name,
                description=f"{what} of {self.export.node.path}",
                parameters={"comment": "Presto View", "presto_view": "true"},
                partition_keys=[],
                storage_descriptor=storage,
                table_type="VIRTUAL_VIEW",
                view_expanded_text=_views.EXPANDED,
                view_original_text=f"{_views.PREFIX}{text}{_views.SUFFIX}",
            )
        )

    def _table(self, definition: glue.CfnTable.TableInputProperty) -> None:
        from aws_cdk.aws_glue import CfnTable  # noqa: PLC0415 - not at import: it costs start-up time

        # Named like the table: another name is another table, so CloudFormation never has to rename one.
        CfnTable(
            self,
            str(definition.name),
            catalog_id=self._environment.account,
            database_name=self.database_name,
            table_input=definition,
        )


@dataclass(frozen=True)
class _Given:
    """The options of a table, checked."""

    environment: StackEnvironment
    columns: list[_columns.Column]
    escape_character: str
    names: list[str]
    """The newest export, the history, and the text of each."""
    known_database: str | None
    taken: dict[str, str]
    """The tables of the database, with who makes them."""

    @classmethod
    def checked(  # noqa: PLR0913 - options, all but one by keyword
        cls,
        scope: Construct,
        *,
        export: DatasetExport | ScheduledDatasetExport,
        table_name: str,
        database: glue.CfnDatabase | str | None,
        database_name: str | None,
        schema: CfnSchema | Mapping[str, Any] | str | None,
        columns: Mapping[str, str] | None,
        escape_character: str,
    ) -> _Given:
        """Check them.

        Raises:
            ValueError: One of them could only fail later.
        """
        _options.check(
            export=export,
            table_name=table_name,
            database=database,
            database_name=database_name,
            schema=schema,
            columns=columns,
            escape_character=escape_character,
        )
        _check_name("table_name", table_name, _TABLE_NAME_CHARACTERS)
        _check_escape_character(escape_character)
        environment = StackEnvironment.of(scope)
        known_database = _known_name(environment, database, database_name)
        names = [table_name, table_name + _DAILY, table_name + _RAW, table_name + _DAILY + _RAW]
        taken = _taken(environment, scope, known_database or str(getattr(database, "ref", database)))
        _check_not_taken(names, taken)
        listed = _given_columns(schema, columns)
        return cls(environment, listed, escape_character, names, known_database, taken)

    def take(self, path: str) -> None:
        """Let no other table have these names."""
        self.taken.update(dict.fromkeys(self.names, path))


def _projection(daily_path: str) -> dict[str, str]:
    """Say which partitions there are: Athena makes them up, none is registered."""
    day = f"projection.{_columns.DAY}"
    return {
        "projection.enabled": "true",
        f"{day}.type": "date",
        f"{day}.format": "yyyy-MM-dd",
        f"{day}.range": f"{FIRST_DAY},NOW",
        f"{day}.interval": "1",
        f"{day}.interval.unit": "DAYS",
        "storage.location.template": f"{daily_path}{_columns.DAY}=${{{_columns.DAY}}}/",
    }


def _encoded(text: str) -> str:
    # What is only known at deployment is encoded there.
    return Fn.base64(text) if _checks.is_unknown(text) else base64.b64encode(text.encode()).decode()


def _database(here: StackEnvironment, given: glue.CfnDatabase | str | None, made_name: str | None) -> str:
    """Return the name of the database, and make it where it is ours to make."""
    if isinstance(given, str):
        return given
    if given is not None:
        return str(given.ref)
    from aws_cdk.aws_glue import CfnDatabase  # noqa: PLC0415 - not at import: it costs start-up time

    databases: Any = here.stack.node.try_find_child(_DATABASES) or Construct(here.stack, _DATABASES)
    made: Any = databases.node.try_find_child(str(made_name))
    if made is None:
        named = CfnDatabase.DatabaseInputProperty(name=made_name, description="Exports of Amazon Personalize")
        made = CfnDatabase(databases, str(made_name), catalog_id=here.account, database_input=named)
    return str(made.ref)


def _known_name(
    environment: StackEnvironment, database: glue.CfnDatabase | str | None, made_name: str | None
) -> str | None:
    """Return the name of the database, if it is known here.

    Raises:
        ValueError: There is no database, there are two, or it cannot be called so.
    """
    if (database is None) == (made_name is None):
        raise ValueError(
            "database and database_name do not say where the tables are. Give either database, a glue.CfnDatabase or "
            "the name of one that is there, or database_name, the name of one to make."
        )
    if made_name is not None:
        _check_name("database_name", made_name, _NAME_CHARACTERS)
        return made_name
    if database is None or isinstance(database, str):
        name: Any = database
    else:
        described = environment.stack.resolve(database.database_input)
        name = database.database_name or (described or {}).get("name")
    if not isinstance(name, str) or _checks.is_unknown(name):
        return None
    if not _is_name(name, _EXISTING_NAME, _NAME_CHARACTERS):
        raise ValueError(
            f"database {name!r} is not the name of a database that Athena can query. Allowed are 1 to "
            f"{_NAME_CHARACTERS} small letters, digits, underscores and hyphens: give the name alone, not its ARN."
        )
    return name


def _is_name(text: str, form: re.Pattern[str], characters: int) -> bool:
    return bool(form.fullmatch(text)) and len(text) <= characters


def _check_name(option: str, name: str, characters: int) -> None:
    if not _is_name(name, _NAME, characters):
        raise ValueError(
            f"{option} {name!r} cannot be used. Allowed are 1 to {characters} small letters, digits and underscores, "
            "the first a letter: write it like 'movie_exports'. It has to be known at synthesis."
        )


def _check_escape_character(character: str) -> None:
    if len(character) != 1 or not character.isprintable() or character in ' ,"':
        raise ValueError(
            f"escape_character is {character!r}. Allowed is one character that can be seen, neither a comma nor a "
            "quote, with which the SerDe would read a backslash: leave it out, or choose one that is in none of your "
            "values, such as '~'."
        )


def _given_columns(
    schema: CfnSchema | Mapping[str, Any] | str | None, columns: Mapping[str, str] | None
) -> list[_columns.Column]:
    if schema is not None and columns is None:
        return _columns.from_schema(schema)
    if columns is not None and schema is None:
        return _columns.from_types(columns)
    raise ValueError(
        "schema and columns do not say which columns there are. Give either schema, the schema of the dataset, or "
        "columns, such as {'USER_ID': 'string', 'TIMESTAMP': 'bigint'}."
    )


def _taken(environment: StackEnvironment, scope: Construct, database: str) -> dict[str, str]:
    """Return the names that are taken in a database, with who has them."""
    region, account = environment.region, environment.account
    known = not _checks.is_unknown(region) and not _checks.is_unknown(account)
    place = (scope.node.root, region, account) if known else environment.stack
    return _TAKEN.setdefault((place, database), {})


def _check_not_taken(names: Sequence[str], taken: Mapping[str, str]) -> None:
    for name in names:
        if name in taken:
            raise ValueError(
                f"the table {name!r} is there already: {taken[name]} makes it in the same database. A table_name also "
                f"takes the names that end in {_DAILY}, {_RAW} and {_DAILY}{_RAW}: choose another one."
            )


def _by_type(schemas: Mapping[str, Any], exported: Sequence[str]) -> dict[str, Any]:
    """Return the schemas by the type of the dataset, in the order of the exports."""
    given = {dataset_type.upper(): schema for dataset_type, schema in schemas.items()}
    for dataset_type in schemas:
        if dataset_type.upper() not in exported:
            raise ValueError(
                f"schemas has a schema for {dataset_type!r}, which is not exported. Exported are "
                f"{', '.join(exported)}: leave it out, or export it too."
            )
    _checks.check_not_empty("schemas", list(given))
    return {dataset_type: given[dataset_type] for dataset_type in exported if dataset_type in given}
