"""An export as tables: what is made for one, what its options change, and what is refused."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnParameter, Environment, Stack, aws_iam, aws_kms, aws_personalize, aws_s3
from aws_cdk.aws_glue import CfnDatabase
from aws_cdk.aws_scheduler import ScheduleExpression

from cdk_personalize_export import (
    DatasetExport,
    DatasetGroupExport,
    ExportDestination,
    ExportTable,
    ScheduledDatasetExport,
    ScheduledDatasetGroupExport,
)

if TYPE_CHECKING:
    from constructs import Construct

    from tests.synth.conftest import Synthesise, Synthesised

GROUP = "arn:aws:personalize:us-east-1:123456789012:dataset/movies"
DATASET = f"{GROUP}/INTERACTIONS"
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "EVENT_VALUE", "type": ["float", "null"]},
        {"name": "TIMESTAMP", "type": "long"},
        {"name": "GENRES", "type": ["null", "string"], "categorical": True},
    ],
    "version": "1.0",
}
COLUMNS = {"USER_ID": "string", "TIMESTAMP": "bigint"}
TABLE, DATABASE = "AWS::Glue::Table", "AWS::Glue::Database"
OURS = ["clicks", "clicks_daily", "clicks_daily_raw", "clicks_raw"]
PATH = "s3://${ClicksDestinationBucket}/personalize/hive/Prod-5f5635-Clicks"


def exported(scope: Construct, construct_id: str = "Clicks", **options: Any) -> DatasetExport:
    return DatasetExport(scope, construct_id, dataset=DATASET, **options)


def tables(result: Synthesised) -> dict[str, dict[str, Any]]:
    """The definitions of all tables by their names."""
    return {table["TableInput"]["Name"]: table["TableInput"] for table in result.of_type(TABLE)}


def view(table: dict[str, Any]) -> dict[str, Any]:
    """What a view says, decoded."""
    text: str = table["ViewOriginalText"]
    assert text.startswith("/* Presto View: ")
    assert text.endswith(" */")
    decoded: dict[str, Any] = json.loads(base64.b64decode(text[len("/* Presto View: ") : -len(" */")]))
    return decoded


# -- what is made -----------------------------------------------------------------------------------------------------


def test_a_table_makes_four_resources_beside_its_database(stack: Stack, synth: Synthesise) -> None:
    export = exported(stack)
    before = synth(stack).types
    ExportTable(stack, "Table", export=export, table_name="clicks", database_name="movies", schema=SCHEMA)
    result = synth(stack)
    more = result.types
    for kind in before:
        more.remove(kind)
    assert more == [DATABASE, *[TABLE] * 4]
    assert sorted(tables(result)) == OURS
    assert {table["DatabaseName"] for table in result.of_type(TABLE)} == {"${PersonalizeExportDatabasesmovies}"}
    assert {table["CatalogId"] for table in result.of_type(TABLE)} == {"${AWS::AccountId}"}
    assert result.the(DATABASE)["DatabaseInput"]["Name"] == "movies"


def test_logical_ids_of_tables_are_pinned_because_they_are_part_of_the_api(stack: Stack, synth: Synthesise) -> None:
    ExportTable(stack, "Table", export=exported(stack), table_name="clicks", database_name="movies", schema=SCHEMA)
    ids = [key for key, resource in synth(stack).resources.items() if resource["Type"] in {TABLE, DATABASE}]
    assert ids == [
        "Tableclicksraw32143563",
        "Tableclicksdailyraw36734370",
        "Tableclicks71AB734C",
        "TableclicksdailyC7A6F70E",
        "PersonalizeExportDatabasesmoviesFE01948F",
    ]


def test_newest_export_is_text_that_the_pointer_names(stack: Stack, synth: Synthesise) -> None:
    ExportTable(stack, "Table", export=exported(stack), table_name="clicks", database="shop", schema=SCHEMA)
    assert tables(synth(stack))["clicks_raw"] == {
        "Name": "clicks_raw",
        "Description": "The text of the exports of Prod/Clicks",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE"},
        "PartitionKeys": [],
        "StorageDescriptor": {
            "Columns": [{"Name": name, "Type": "string"} for name in ("user_id", "event_value", "timestamp", "genres")],
            "InputFormat": "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.IgnoreKeyTextOutputFormat",
            "Location": f"{PATH}/latest/",
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde",
                "Parameters": {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"},
            },
        },
    }


def test_history_is_the_same_text_by_days_that_nobody_registers(stack: Stack, synth: Synthesise) -> None:
    ExportTable(stack, "Table", export=exported(stack), table_name="clicks", database="shop", schema=SCHEMA)
    made = tables(synth(stack))
    daily, latest = made["clicks_daily_raw"], made["clicks_raw"]
    assert daily["PartitionKeys"] == [{"Name": "dt", "Type": "string"}]
    assert daily["Parameters"] == {
        "EXTERNAL": "TRUE",
        "projection.enabled": "true",
        "projection.dt.type": "date",
        "projection.dt.format": "yyyy-MM-dd",
        "projection.dt.range": "2026-01-01,NOW",
        "projection.dt.interval": "1",
        "projection.dt.interval.unit": "DAYS",
        "storage.location.template": f"{PATH}/daily/dt=${{dt}}/",
    }
    assert daily["StorageDescriptor"] == {**latest["StorageDescriptor"], "Location": f"{PATH}/daily/"}


def test_views_carry_the_types(stack: Stack, synth: Synthesise) -> None:
    ExportTable(stack, "Table", export=exported(stack), table_name="clicks", database="shop", schema=SCHEMA)
    made = tables(synth(stack))
    for name, more in (("clicks", []), ("clicks_daily", [("dt", "string", "varchar")])):
        table = made[name]
        assert (table["TableType"], table["ViewExpandedText"]) == ("VIRTUAL_VIEW", "/* Presto View */")
        assert table["Parameters"] == {"comment": "Presto View", "presto_view": "true"}
        assert table["PartitionKeys"] == []
        types = [
            ("user_id", "string", "varchar"),
            ("event_value", "double", "double"),
            ("timestamp", "bigint", "bigint"),
            ("genres", "array<string>", "array(varchar)"),
            *more,
        ]
        assert table["StorageDescriptor"]["Columns"] == [{"Name": name, "Type": kind} for name, kind, _ in types]
        said = view(table)
        assert said["columns"] == [{"name": name, "type": kind} for name, _, kind in types]
        assert (said["catalog"], said["schema"]) == ("awsdatacatalog", "shop")
        assert f'FROM "{name}_raw"' in said["originalSql"]


def test_manifests_are_written_from_the_first_table_on(stack: Stack, synth: Synthesise) -> None:
    export = exported(stack)
    assert "Manifest" not in synth(stack).export
    ExportTable(stack, "Table", export=export, table_name="clicks", database="shop", schema=SCHEMA)
    assert synth(stack).export["Manifest"] == "Prod-5f5635-Clicks"


def test_scheduled_export_has_tables_too(stack: Stack, synth: Synthesise) -> None:
    export = ScheduledDatasetExport(stack, "Clicks", dataset=DATASET, schedule=ScheduleExpression.cron(hour="3"))
    ExportTable(stack, "Table", export=export, table_name="clicks", database="shop", schema=SCHEMA)
    result = synth(stack)
    assert sorted(tables(result)) == OURS
    assert '"Manifest":"Prod-5f5635-Clicks"' in result.the("AWS::Scheduler::Schedule")["Target"]["Input"]


def test_names_are_there_for_those_who_query(stack: Stack) -> None:
    export = exported(stack)
    table = ExportTable(stack, "Table", export=export, table_name="clicks", database="shop", columns=COLUMNS)
    names = (table.table_name, table.daily_table_name, table.raw_table_name, table.daily_raw_table_name)
    assert names == ("clicks", "clicks_daily", "clicks_raw", "clicks_daily_raw")
    assert (table.database_name, table.export) == ("shop", export)


def test_a_new_name_is_a_new_table_and_not_one_renamed(app: App, synth: Synthesise) -> None:
    ids = []
    for stack, name in ((Stack(app, "One"), "clicks"), (Stack(app, "Two"), "views")):
        ExportTable(stack, "Table", export=exported(stack), table_name=name, database="shop", columns=COLUMNS)
        ids.append({key for key, resource in synth(stack).resources.items() if resource["Type"] == TABLE})
    assert not ids[0] & ids[1]


# -- the options ------------------------------------------------------------------------------------------------------


def test_schema_may_be_a_resource_or_its_text(stack: Stack, synth: Synthesise) -> None:
    text = json.dumps(SCHEMA)
    resource = aws_personalize.CfnSchema(stack, "Schema", name="clicks", schema=text)
    for name, schema in (("a", SCHEMA), ("b", text), ("c", resource)):
        ExportTable(
            stack, name, export=exported(stack, f"{name}Export"), table_name=name, database="shop", schema=schema
        )
    made = tables(synth(stack))
    assert len({json.dumps(made[name]["StorageDescriptor"]["Columns"]) for name in "abc"}) == 1


def test_columns_may_be_said_instead_of_a_schema(stack: Stack, synth: Synthesise) -> None:
    ExportTable(stack, "Table", export=exported(stack), table_name="clicks", database="shop", columns=COLUMNS)
    said = view(tables(synth(stack))["clicks"])
    assert said["columns"] == [{"name": "user_id", "type": "varchar"}, {"name": "timestamp", "type": "bigint"}]


def test_escape_character_reaches_both_tables_of_text(stack: Stack, synth: Synthesise) -> None:
    ExportTable(
        stack,
        "Table",
        export=exported(stack),
        table_name="clicks",
        database="shop",
        columns=COLUMNS,
        escape_character="~",
    )
    made = tables(synth(stack))
    for name in ("clicks_raw", "clicks_daily_raw"):
        assert made[name]["StorageDescriptor"]["SerdeInfo"]["Parameters"]["escapeChar"] == "~"


def test_tables_of_a_stack_share_the_database_they_name(stack: Stack, synth: Synthesise) -> None:
    for name in ("clicks", "views"):
        ExportTable(
            stack, name, export=exported(stack, f"{name}Export"), table_name=name, database_name="movies", schema=SCHEMA
        )
    result = synth(stack)
    assert len(result.of_type(DATABASE)) == 1
    assert len(result.of_type(TABLE)) == 8


def test_database_of_this_app_is_referred_to_and_its_name_is_in_the_views(stack: Stack, synth: Synthesise) -> None:
    named = CfnDatabase.DatabaseInputProperty(name="shop")
    database = CfnDatabase(stack, "Database", catalog_id=stack.account, database_input=named)
    table = ExportTable(stack, "Table", export=exported(stack), table_name="clicks", database=database, columns=COLUMNS)
    result = synth(stack)
    assert {table["DatabaseName"] for table in result.of_type(TABLE)} == {"${Database}"}
    assert stack.resolve(table.database_name) == {"Ref": "Database"}
    assert view(tables(result)["clicks_daily"])["schema"] == "shop"


@pytest.mark.parametrize("named", [False, True])
def test_database_whose_name_is_known_at_deployment_only_is_encoded_there(
    stack: Stack, synth: Synthesise, *, named: bool
) -> None:
    name = CfnParameter(stack, "Name").value_as_string if named else None
    database = CfnDatabase(
        stack, "Database", catalog_id=stack.account, database_input=CfnDatabase.DatabaseInputProperty(name=name)
    )
    ExportTable(stack, "Table", export=exported(stack), table_name="clicks", database=database, columns=COLUMNS)
    (text,) = [
        resource["Properties"]["TableInput"]["ViewOriginalText"]["Fn::Join"][1]
        for resource in synth(stack).resources.values()
        if resource["Properties"].get("TableInput", {}).get("Name") == "clicks"
    ]
    beginning, encoded, end = text
    assert (beginning, end) == ("/* Presto View: ", " */")
    before, reference, after = encoded["Fn::Base64"]["Fn::Join"][1]
    assert reference == {"Ref": "Database"}
    assert json.loads(f"{before}shop{after}")["schema"] == "shop"


def test_database_may_be_described_by_a_plain_dict_or_its_own_name(stack: Stack, synth: Synthesise) -> None:
    described: Any = {"name": "shop"}
    first = CfnDatabase(stack, "First", catalog_id=stack.account, database_input=described)
    second = CfnDatabase(stack, "Second", catalog_id=stack.account, database_input={}, database_name="store")
    for name, database in (("a", first), ("b", second)):
        ExportTable(
            stack, name, export=exported(stack, f"{name}Export"), table_name=name, database=database, columns=COLUMNS
        )
    made = tables(synth(stack))
    assert [view(made[name])["schema"] for name in "ab"] == ["shop", "store"]


def test_table_may_be_in_another_stack_than_its_export(app: App, synth: Synthesise) -> None:
    exports, queries = Stack(app, "Prod"), Stack(app, "Queries")
    ExportTable(queries, "Table", export=exported(exports), table_name="clicks", database="shop", columns=COLUMNS)
    assert synth(queries).types == [TABLE] * 4
    assert queries.dependencies == [exports]
    assert synth(exports).export["Manifest"] == "Prod-5f5635-Clicks"


# -- groups -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheduled", [False, True])
def test_one_call_makes_the_tables_of_a_group(stack: Stack, synth: Synthesise, *, scheduled: bool) -> None:
    types = ["INTERACTIONS", "ITEMS", "USERS"]
    exports = (
        ScheduledDatasetGroupExport(
            stack, "Movies", dataset_group="movies", dataset_types=types, schedule=ScheduleExpression.cron(hour="3")
        )
        if scheduled
        else DatasetGroupExport(stack, "Movies", dataset_group="movies", dataset_types=types)
    )
    schemas: dict[str, Any] = {"users": SCHEMA, "Interactions": json.dumps(SCHEMA), "ITEMS": SCHEMA}
    made = ExportTable.for_group(stack, "Tables", exports=exports, schemas=schemas, database_name="movies")
    assert {kind: table.table_name for kind, table in made.items()} == {
        "INTERACTIONS": "interactions",
        "ITEMS": "items",
        "USERS": "users",
    }
    assert list(made) == types
    result = synth(stack)
    assert len(result.of_type(TABLE)) == 12
    assert len(result.of_type(DATABASE)) == 1
    assert tables(result)["items_raw"]["StorageDescriptor"]["Location"].endswith("Movies-Items-dbaa3c0d/latest/")


def test_options_reach_every_table_of_a_group(stack: Stack, synth: Synthesise) -> None:
    exports = DatasetGroupExport(stack, "Movies", dataset_group="movies", dataset_types=["ITEMS", "USERS"])
    ExportTable.for_group(
        stack,
        "Tables",
        exports=exports,
        schemas={"ITEMS": SCHEMA},
        database="shop",
        table_name_prefix="movies_",
        escape_character="~",
    )
    made = tables(synth(stack))
    assert sorted(made) == ["movies_items", "movies_items_daily", "movies_items_daily_raw", "movies_items_raw"]
    assert made["movies_items_raw"]["StorageDescriptor"]["SerdeInfo"]["Parameters"]["escapeChar"] == "~"


# -- who may query ----------------------------------------------------------------------------------------------------


def test_reader_may_read_exactly_these_tables_and_what_is_exported(stack: Stack, synth: Synthesise) -> None:
    reader = aws_iam.Role(stack, "Reader", assumed_by=aws_iam.AccountRootPrincipal())
    table = ExportTable(
        stack, "Table", export=exported(stack), table_name="clicks", database_name="movies", columns=COLUMNS
    )
    table.grant_query(reader).assert_success()
    catalog, objects = synth(stack).statements("ReaderDefaultPolicy")
    glue = "arn:${AWS::Partition}:glue:${AWS::Region}:${AWS::AccountId}"
    assert catalog["Action"] == ["glue:GetDatabase", "glue:GetTable", "glue:GetPartitions"]
    assert catalog["Resource"] == [
        f"{glue}:catalog",
        f"{glue}:database/${{PersonalizeExportDatabasesmovies}}",
        *(
            f"{glue}:table/${{PersonalizeExportDatabasesmovies}}/{name}"
            for name in ("clicks", "clicks_daily", "clicks_raw", "clicks_daily_raw")
        ),
    ]
    assert objects["Action"] == ["s3:GetObject*", "s3:GetBucket*", "s3:List*"]
    assert objects["Resource"] == ["${ClicksDestinationBucket.Arn}", "${ClicksDestinationBucket.Arn}/personalize/*"]


def test_reader_may_decrypt_what_is_encrypted_with_a_key(stack: Stack, synth: Synthesise) -> None:
    reader = aws_iam.Role(stack, "Reader", assumed_by=aws_iam.AccountRootPrincipal())
    destination = ExportDestination(stack, "Exports", encryption_key=aws_kms.Key(stack, "Key"))
    export = exported(stack, destination=destination)
    table = ExportTable(stack, "Table", export=export, table_name="clicks", database="shop", columns=COLUMNS)
    table.grant_query(reader).assert_success()
    (decrypting,) = [s for s in synth(stack).statements("ReaderDefaultPolicy") if s["Action"] == "kms:Decrypt"]
    assert decrypting["Resource"] == "${Key.Arn}"


# -- what is refused --------------------------------------------------------------------------------------------------


def refusal(stack: Stack, **options: Any) -> str:
    """What is said about options that cannot work; the export is left as it was."""
    export = stack.node.try_find_child("Clicks") or exported(stack)
    given = {"export": export, "table_name": "clicks", "database": "shop", "schema": SCHEMA, **options}
    with pytest.raises(ValueError, match=r".") as refused:
        ExportTable(stack, "Refused", **given)
    assert stack.node.try_find_child("Refused") is None, "a refused table leaves nothing behind"
    if isinstance(export, DatasetExport):
        assert "Manifest" not in export._told
    return str(refused.value)


NAMES = (
    "small letters, digits and underscores, the first a letter: write it like 'movie_exports'. It has to be known at "
    "synthesis."
)


@pytest.mark.parametrize("name", ["", "Clicks", "2clicks", "_clicks", "my-clicks", "a.b", 'a"b', "é", "c" * 246])
def test_name_that_athena_does_not_take_as_it_is(stack: Stack, name: str) -> None:
    assert refusal(stack, table_name=name) == f"table_name {name!r} cannot be used. Allowed are 1 to 245 {NAMES}"


@pytest.mark.parametrize("name", ["", "Movies", "my-movies", "m" * 256])
def test_database_that_athena_does_not_take_as_it_is(stack: Stack, name: str) -> None:
    options = {"database": None, "database_name": name}
    assert refusal(stack, **options) == f"database_name {name!r} cannot be used. Allowed are 1 to 255 {NAMES}"


def test_names_that_are_only_known_at_deployment(stack: Stack) -> None:
    token = CfnParameter(stack, "Name").value_as_string
    assert "It has to be known at synthesis" in refusal(stack, table_name=token)
    assert "It has to be known at synthesis" in refusal(stack, database=None, database_name=token)


@pytest.mark.parametrize("name", ["", "Shop", "arn:aws:glue:us-east-1:123456789012:database/shop", "s" * 256])
def test_what_names_no_database(stack: Stack, name: str) -> None:
    assert refusal(stack, database=name) == (
        f"database {name!r} is not the name of a database that Athena can query. Allowed are 1 to 255 small letters, "
        "digits, underscores and hyphens: give the name alone, not its ARN."
    )


def test_no_database_and_two(stack: Stack) -> None:
    message = (
        "database and database_name do not say where the tables are. Give either database, a glue.CfnDatabase or the "
        "name of one that is there, or database_name, the name of one to make."
    )
    assert refusal(stack, database=None) == message
    assert refusal(stack, database="shop", database_name="movies") == message


def test_no_columns_and_twice(stack: Stack) -> None:
    message = (
        "schema and columns do not say which columns there are. Give either schema, the schema of the dataset, or "
        "columns, such as {'USER_ID': 'string', 'TIMESTAMP': 'bigint'}."
    )
    assert refusal(stack, schema=None) == message
    assert refusal(stack, columns=COLUMNS) == message


def test_schema_that_is_none_or_only_known_at_deployment(stack: Stack) -> None:
    assert "schema is no Avro record with fields" in refusal(stack, schema={"type": "array"})
    token = CfnParameter(stack, "Schema").value_as_string
    resource = aws_personalize.CfnSchema(stack, "Resource", name="clicks", schema=token)
    assert "schema is only known at deployment" in refusal(stack, schema=token)
    assert "schema is only known at deployment" in refusal(stack, schema=resource)


@pytest.mark.parametrize("character", ["", "\\\\", '"', ",", " ", "\t", "\0"])
def test_character_that_cannot_escape(stack: Stack, character: str) -> None:
    assert refusal(stack, escape_character=character) == (
        f"escape_character is {character!r}. Allowed is one character that can be seen, neither a comma nor a quote, "
        "with which the SerDe would read a backslash: leave it out, or choose one that is in none of your values, such "
        "as '~'."
    )


@pytest.mark.parametrize("name", ["clicks", "clicks_raw", "clicks_daily"])
def test_two_tables_of_one_name_in_one_database(stack: Stack, name: str) -> None:
    ExportTable(stack, "Table", export=exported(stack, "Other"), table_name="clicks", database="shop", schema=SCHEMA)
    assert refusal(stack, table_name=name) == (
        f"the table {name!r} is there already: Prod/Table makes it in the same database. A table_name also takes the "
        "names that end in _daily, _raw and _daily_raw: choose another one."
    )


def test_two_stacks_of_one_environment_share_their_databases(app: App) -> None:
    here = Environment(account="123456789012", region="us-east-1")
    for name in ("One", "Two"):
        stack = Stack(app, name, env=here)
        database = CfnDatabase(stack, "Db", catalog_id=stack.account, database_input={}, database_name="shop")
        if name == "One":
            ExportTable(stack, "T", export=exported(stack), table_name="clicks", database=database, schema=SCHEMA)
        else:
            assert "the table 'clicks' is there already: One/T makes it" in refusal(stack)


def test_one_name_in_two_databases_or_two_environments_is_two_tables(app: App, synth: Synthesise) -> None:
    one, two = Stack(app, "One"), Stack(app, "Two")
    for stack in (one, two):
        ExportTable(stack, "A", export=exported(stack), table_name="clicks", database="shop", schema=SCHEMA)
    ExportTable(one, "B", export=exported(one, "Other"), table_name="clicks", database="store", schema=SCHEMA)
    assert [len(synth(stack).of_type(TABLE)) for stack in (one, two)] == [8, 4]


def test_export_that_nobody_waits_for(stack: Stack) -> None:
    exported(stack, wait=False)
    assert refusal(stack).startswith("a manifest is wanted together with wait=False, which waits for nothing")


def test_bucket_of_another_account(app: App) -> None:
    stack = Stack(app, "Prod", env=Environment(account="123456789012", region="us-east-1"))
    bucket = aws_s3.Bucket.from_bucket_attributes(stack, "Lake", bucket_name="lake", account="444455556666")
    exported(stack, destination=ExportDestination(stack, "Exports", bucket=bucket))
    assert refusal(stack).startswith("a manifest is wanted in bucket 'lake' of another account")


def test_values_of_other_types_are_refused_by_name(stack: Stack) -> None:
    group = DatasetGroupExport(stack, "Movies", datasets=[DATASET])
    given = {
        "export": (group, "export is of type DatasetGroupExport. It must be a DatasetExport or a Scheduled"),
        "table_name": (None, "table_name is None. It must be a string"),
        "database": (1, "database is 1. It must be a glue.CfnDatabase or the name of a database"),
        "database_name": (1, "database_name is 1. It must be a string"),
        "schema": ([1], "schema is of type list. It must be a CfnSchema, a dict or text"),
        "columns": (["A"], "columns is of type list. It must be a dict of types by the names of columns"),
        "escape_character": (None, "escape_character is None. It must be a string"),
    }
    for option, (value, message) in given.items():
        assert refusal(stack, **{option: value}).startswith(message)


def group_refusal(stack: Stack, **options: Any) -> str:
    exports = DatasetGroupExport(stack, "Movies", datasets=[DATASET])
    given = {"exports": exports, "schemas": {"INTERACTIONS": SCHEMA}, "database": "shop", **options}
    with pytest.raises(ValueError, match=r".") as refused:
        ExportTable.for_group(stack, "Refused", **given)
    assert stack.node.try_find_child("Refused") is None, "a refused group leaves nothing behind"
    stack.node.try_remove_child("Movies")
    return str(refused.value)


def test_schemas_that_are_not_those_of_the_group(stack: Stack) -> None:
    assert group_refusal(stack, schemas={"ITEMS": SCHEMA}) == (
        "schemas has a schema for 'ITEMS', which is not exported. Exported are INTERACTIONS: leave it out, or export "
        "it too."
    )
    assert group_refusal(stack, schemas={}).startswith("schemas is empty. Name at least one")
    assert group_refusal(stack, schemas=[SCHEMA]).startswith("schemas is of type list. It must be a dict of schemas by")
    assert group_refusal(stack, exports=None).startswith("exports is None. It must be a DatasetGroupExport or a")
    assert group_refusal(stack, table_name_prefix=None).startswith("table_name_prefix is None. It must be a string")


def test_tables_of_a_group_leave_nothing_behind_when_one_is_refused(stack: Stack) -> None:
    assert "schema is no Avro record" in group_refusal(stack, schemas={"INTERACTIONS": {}})
    assert "table_name 'My-interactions' cannot be used" in group_refusal(stack, table_name_prefix="My-")
