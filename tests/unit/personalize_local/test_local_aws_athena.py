"""Athena over tables of text: symlinks, partition projection, views, and whose permissions decide."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from personalize_local import LocalAws, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SYMLINKS = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"
OPEN_CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
COLUMNS = ("user_id", "value", "tags")
HEADER = b"USER_ID,VALUE,TAGS\n"
VIEW = (
    'SELECT "user_id" AS "user_id", CAST(NULLIF(NULLIF("value", \'\'), \'VALUE\') AS double) AS "value", '
    'split(NULLIF("tags", \'\'), \'|\') AS "tags" FROM "{name}_raw" '
    "WHERE NOT (\"user_id\" = 'USER_ID' AND \"value\" = 'VALUE' AND \"tags\" = 'TAGS')"
)
VIEW_COLUMNS = {"user_id": "varchar", "value": "double", "tags": "array(varchar)"}


class Lake:
    """A bucket, a database of the same name, and queries on it."""

    def __init__(self, aws: LocalAws, name: str) -> None:
        self.name = name
        self.s3, self.glue, self.athena = aws.client("s3"), aws.client("glue"), aws.client("athena")
        self.s3.create_bucket(Bucket=name)
        self.glue.create_database(DatabaseInput={"Name": name})

    def put(self, key: str, content: bytes) -> str:
        self.s3.put_object(Bucket=self.name, Key=key, Body=content)
        return f"s3://{self.name}/{key}"

    def point(self, key: str, *contents: bytes, name: str = "part") -> None:
        """Write objects, and a symlink that names them."""
        paths = [self.put(f"data/{key}/{name}-{number}.csv", content) for number, content in enumerate(contents)]
        self.put(f"hive/{key}/symlink.txt", "".join(f"{path}\n" for path in paths).encode())

    def table(self, name: str = "t_raw", *, folder: str = "hive/latest", days: bool = False, **changes: Any) -> None:
        parameters = {"EXTERNAL": "TRUE"}
        if days:
            parameters |= {
                "projection.enabled": "true",
                "projection.dt.type": "date",
                "projection.dt.format": "yyyy-MM-dd",
                "projection.dt.range": "2026-02-01,NOW",
                "storage.location.template": f"s3://{self.name}/{folder}/dt=${{dt}}/",
            }
        table = {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": parameters | changes.get("parameters", {}),
            "PartitionKeys": [{"Name": "dt", "Type": "string"}] if days else [],
            "StorageDescriptor": {
                "Columns": [{"Name": column, "Type": "string"} for column in COLUMNS],
                "Location": f"s3://{self.name}/{folder}/",
                "InputFormat": changes.get("input_format", SYMLINKS),
                "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                "SerdeInfo": {
                    "SerializationLibrary": changes.get("library", OPEN_CSV),
                    "Parameters": changes.get("serde", {}),
                },
            },
        }
        self.glue.create_table(DatabaseName=self.name, TableInput=table)

    def view(self, sql: str, columns: Mapping[str, str], name: str = "t") -> None:
        described = [{"name": column, "type": kind} for column, kind in columns.items()]
        text = {"originalSql": sql, "catalog": "awsdatacatalog", "schema": self.name, "columns": described}
        view = {
            "Name": name,
            "TableType": "VIRTUAL_VIEW",
            "Parameters": {"presto_view": "true", "comment": "Presto View"},
            "ViewOriginalText": f"/* Presto View: {base64.b64encode(json.dumps(text).encode()).decode()} */",
            "ViewExpandedText": "/* Presto View */",
            "StorageDescriptor": {"Columns": [{"Name": column, "Type": "string"} for column in columns]},
        }
        self.glue.create_table(DatabaseName=self.name, TableInput=view)

    def start(self, sql: str, athena: Any = None) -> dict[str, Any]:
        """Run a query to its end."""
        client = athena or self.athena
        started = client.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": self.name},
            ResultConfiguration={"OutputLocation": f"s3://{self.name}/results/"},
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            reply = client.get_query_execution(QueryExecutionId=started["QueryExecutionId"])
            found: dict[str, Any] = reply["QueryExecution"]
            if found["Status"]["State"] in {"SUCCEEDED", "FAILED"}:
                return found
            time.sleep(0.02)
        raise AssertionError("the query does not end")

    def rows(self, sql: str, athena: Any = None) -> list[tuple[str | None, ...]]:
        """Return what a query that succeeds returns, without the line of names."""
        client = athena or self.athena
        execution = self.start(sql, client)
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
        found = client.get_query_results(QueryExecutionId=execution["QueryExecutionId"])["ResultSet"]["Rows"]
        return [tuple(datum.get("VarCharValue") for datum in row["Data"]) for row in found[1:]]

    def failure(self, sql: str, athena: Any = None) -> str:
        status = self.start(sql, athena)["Status"]
        assert status["State"] == "FAILED", status
        reason: str = status["StateChangeReason"]
        return reason


@pytest.fixture
def lake(aws: LocalAws, world: Any) -> Lake:
    return Lake(aws, world.name)


@pytest.fixture(scope="module")
def skipping() -> Iterator[LocalAws]:
    with LocalAws(settings=Settings(athena_skips_symlink_headers=True)) as running:
        yield running


def test_table_shows_the_objects_that_the_symlink_names_and_no_others(lake: Lake) -> None:
    lake.point("latest", HEADER + b"u1,1.5,a|b\n", HEADER + b"u2,,\n")
    lake.put("data/latest/part-9.csv", HEADER + b"u9,9,z\n")
    lake.table()
    assert sorted(lake.rows("SELECT * FROM t_raw WHERE user_id <> 'USER_ID'")) == [("u1", "1.5", "a|b"), ("u2", "", "")]


def test_object_with_a_hidden_name_is_read_when_it_is_named(lake: Lake) -> None:
    lake.point("latest", b"u1,1,a\n", name="_part")
    lake.table()
    assert lake.rows("SELECT user_id FROM t_raw") == [("u1",)]


def test_symlink_that_changes_changes_the_table(lake: Lake) -> None:
    lake.table()
    assert lake.rows("SELECT * FROM t_raw") == []
    for user in (b"u1", b"u2"):
        lake.point("latest", user + b",1,a\n")
        assert lake.rows("SELECT user_id FROM t_raw") == [(user.decode(),)]


def test_object_that_is_gone_fails_the_query(lake: Lake) -> None:
    lake.table()
    lake.put("hive/latest/symlink.txt", f"s3://{lake.name}/gone.csv\n".encode())
    reason = lake.failure("SELECT * FROM t_raw")
    assert reason.startswith(f"HIVE_CANNOT_OPEN_SPLIT: Can not read s3://{lake.name}/gone.csv: NoSuchKey")


def test_header_lines_are_rows_where_the_engine_does_not_skip_them(lake: Lake) -> None:
    lake.point("latest", HEADER + b"u1,1,a\n", HEADER + b"u2,2,b\n")
    lake.table(parameters={"skip.header.line.count": "1"})
    assert sorted(lake.rows("SELECT user_id FROM t_raw")) == [("USER_ID",), ("USER_ID",), ("u1",), ("u2",)]


def test_header_lines_are_skipped_where_the_setting_and_the_table_say_so(skipping: LocalAws) -> None:
    lake = Lake(skipping, "skipping")
    lake.point("latest", HEADER + b"u1,1,a\n", HEADER + b"u2,2,b\n")
    lake.table("t_raw", parameters={"skip.header.line.count": "1"})
    lake.table("all_raw")
    assert sorted(lake.rows("SELECT user_id FROM t_raw")) == [("u1",), ("u2",)]
    assert len(lake.rows("SELECT user_id FROM all_raw")) == 4


def test_header_lines_of_objects_in_the_tables_own_folder_are_always_skipped(lake: Lake) -> None:
    lake.put("plain/part.csv", HEADER + b'"u""1",1,a\n')
    lake.put("plain/_CHECK", b"")
    text = "org.apache.hadoop.mapred.TextInputFormat"
    lake.table(folder="plain", input_format=text, parameters={"skip.header.line.count": "1"})
    assert lake.rows("SELECT user_id FROM t_raw") == [('u"1',)]


@pytest.mark.parametrize("header", [b"", HEADER])
def test_view_has_types_and_no_header_lines(lake: Lake, header: bytes) -> None:
    lake.point("latest", header + b"u1,1.5,a|b\n,12345678.9,\n", header + b"u2,,\n")
    lake.table()
    lake.view(VIEW.format(name="t"), VIEW_COLUMNS)
    expected = [("", "1.23456789E7", None), ("u1", "1.5", "[a, b]"), ("u2", None, None)]
    assert lake.rows("SELECT * FROM t ORDER BY user_id") == expected
    assert lake.rows("SELECT sum(value) FROM t WHERE contains(tags, 'a')") == [("1.5",)]


def test_view_whose_columns_are_not_those_of_its_query_is_stale(lake: Lake) -> None:
    lake.table()
    lake.view(VIEW.format(name="t"), {**VIEW_COLUMNS, "value": "bigint"})
    assert "is stale or in invalid state" in lake.failure("SELECT * FROM t")


def test_value_that_is_no_number_fails_a_cast(lake: Lake) -> None:
    lake.point("latest", b"u1,much,a\n")
    lake.table()
    lake.view(VIEW.format(name="t"), VIEW_COLUMNS)
    assert "much" in lake.failure("SELECT * FROM t")


@pytest.mark.parametrize("value", ["1.5", "1e3", " 1", "0x1"])
def test_text_that_is_no_whole_number_is_not_rounded(lake: Lake, value: str) -> None:
    lake.point("latest", f"u1,{value},a\nu2,+2,b\nu3,,c\n".encode())
    lake.table()
    assert f"Cannot cast '{value}'" in lake.failure("SELECT CAST(NULLIF(value, '') AS bigint) FROM t_raw")
    tried = "SELECT user_id, TRY_CAST(value AS integer) FROM t_raw ORDER BY user_id"
    assert lake.rows(tried) == [("u1", None), ("u2", "2"), ("u3", None)]
    assert lake.rows("SELECT CAST(1.5 AS bigint) FROM t_raw LIMIT 1") == [("2",)]


def test_view_of_a_view_and_a_join_with_a_table_of_another_kind(lake: Lake) -> None:
    lake.point("latest", b"u1,1,a\nu2,2,b\n")
    lake.table()
    lake.view(VIEW.format(name="t"), VIEW_COLUMNS)
    lake.view('SELECT "user_id" FROM "t" WHERE "value" > 1', {"user_id": "varchar"}, "upper")
    lake.put("names/names.json", b'{"user_id": "u2", "name": "Zo\xc3\xab"}\n')
    lake.glue.create_table(
        DatabaseName=lake.name,
        TableInput={
            "Name": "names",
            "Parameters": {"classification": "json"},
            "StorageDescriptor": {
                "Columns": [{"Name": "user_id", "Type": "string"}, {"Name": "name", "Type": "string"}],
                "Location": f"s3://{lake.name}/names/",
            },
        },
    )
    assert lake.rows("SELECT n.name FROM upper u JOIN names n ON n.user_id = u.user_id") == [("Zoë",)]


def test_history_has_every_day_up_to_now_and_none_before_the_first(lake: Lake) -> None:
    for day in ("2026-01-31", "2026-02-01", "2026-02-02", "2999-01-01", "latest"):
        lake.point(f"daily/dt={day}", f"{day},1,a\n".encode())
    lake.table(folder="hive/daily", days=True)
    assert lake.rows("SELECT user_id, dt FROM t_raw ORDER BY dt") == [("2026-02-01",) * 2, ("2026-02-02",) * 2]
    assert lake.rows("SELECT user_id FROM t_raw WHERE dt = '2026-02-02'") == [("2026-02-02",)]


def test_history_reaches_as_far_as_the_clock_that_was_moved(skipping: LocalAws) -> None:
    lake = Lake(skipping, "moved")
    day = time.strftime("%Y-%m-%d", time.gmtime(skipping.advance_clock(0) + 10 * 86400))
    lake.point(f"daily/dt={day}", b"u1,1,a\n")
    lake.table(folder="hive/daily", days=True)
    assert lake.rows("SELECT dt FROM t_raw") == []
    skipping.advance_clock(10 * 86400)
    assert lake.rows("SELECT dt FROM t_raw") == [(day,)]


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"projection.dt.type": "enum"}, "projects partitions of type date only, not dt of type 'enum'"),
        ({"projection.dt.range": "2026-02-01"}, "projection.dt.range must be two dates or NOW, got '2026-02-01'"),
        ({"projection.dt.format": "QQ"}, "does not know projection.dt.format 'QQ'"),
        ({"storage.location.template": "s3://b/x/"}, "storage.location.template lacks ${dt}: s3://b/x/"),
    ],
)
def test_projection_that_is_not_understood_fails_the_query(lake: Lake, parameters: dict[str, str], reason: str) -> None:
    lake.table(folder="hive/daily", days=True, parameters=parameters)
    assert reason in lake.failure("SELECT * FROM t_raw")


def test_registered_partitions_are_read_without_projection(lake: Lake) -> None:
    lake.point("daily/dt=any", b"u1,1,a\n")
    lake.table(folder="hive/daily", days=True, parameters={"projection.enabled": "false"})
    assert lake.rows("SELECT * FROM t_raw") == []
    location = {"Location": f"s3://{lake.name}/hive/daily/dt=any/"}
    partition = {"Values": ["any"], "StorageDescriptor": location}
    lake.glue.create_partition(DatabaseName=lake.name, TableName="t_raw", PartitionInput=partition)
    assert lake.rows("SELECT user_id, dt FROM t_raw") == [("u1", "any")]


def test_table_that_is_not_there_fails_the_query(lake: Lake) -> None:
    lake.table()
    reason = lake.failure("SELECT * FROM t_raw JOIN other.gone USING (user_id)")
    assert reason == "TABLE_NOT_FOUND: Table 'awsdatacatalog.other.gone' does not exist"


def test_serde_that_can_not_be_followed_fails_the_query(lake: Lake) -> None:
    lake.table(serde={"separatorChar": ";", "quoteChar": ";"})
    assert "separatorChar, quoteChar and escapeChar" in lake.failure("SELECT * FROM t_raw")
    lake.table("simple_raw", library="org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe")
    assert f"reads {SYMLINKS} with {OPEN_CSV} only" in lake.failure("SELECT * FROM simple_raw")


def test_query_reads_no_file_of_this_machine(lake: Lake) -> None:
    lake.table()
    assert "Permission Error" in lake.failure("SELECT * FROM t_raw, read_text('/etc/hostname')")


def test_query_on_other_tables_is_answered_as_before(lake: Lake) -> None:
    assert lake.rows("SELECT 1 + 1") == [("2",)]


def test_result_is_a_file_where_the_caller_wants_it(lake: Lake) -> None:
    lake.point("latest", b'"u""1",,a\n')
    lake.table()
    execution = lake.start("SELECT user_id, NULLIF(value, '') AS value FROM t_raw")
    key = execution["ResultConfiguration"]["OutputLocation"].removeprefix(f"s3://{lake.name}/")
    assert key.startswith("results/")
    assert lake.s3.get_object(Bucket=lake.name, Key=key)["Body"].read() == b'"user_id","value"\n"u""1",\n'


def test_result_goes_to_the_bucket_itself_where_no_folder_is_named(lake: Lake) -> None:
    started = lake.athena.start_query_execution(
        QueryString="SELECT 1 AS one", ResultConfiguration={"OutputLocation": f"s3://{lake.name}"}
    )
    key = f"{started['QueryExecutionId']}.csv"
    lake.s3.get_waiter("object_exists").wait(Bucket=lake.name, Key=key, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert lake.s3.get_object(Bucket=lake.name, Key=key)["Body"].read() == b'"one"\n"1"\n'


def grants(name: str, *, tables: Sequence[str] = ("t", "t_raw")) -> list[tuple[str, str]]:
    glue = "arn:aws:glue:us-east-1:000000000000"
    athena = "arn:aws:athena:us-east-1:000000000000:workgroup/primary"
    resources = [f"{glue}:catalog", f"{glue}:database/{name}", *(f"{glue}:table/{name}/{table}" for table in tables)]
    return [
        *((f"athena:{action}", athena) for action in ("StartQueryExecution", "GetQueryExecution", "GetQueryResults")),
        *(("glue:GetTable", resource) for resource in resources),
        ("s3:ListBucket", f"arn:aws:s3:::{name}"),
        ("s3:GetObject", f"arn:aws:s3:::{name}/hive/*"),
        ("s3:GetObject", f"arn:aws:s3:::{name}/data/*"),
        ("s3:GetBucketLocation", f"arn:aws:s3:::{name}"),
        ("s3:PutObject", f"arn:aws:s3:::{name}/results/*"),
    ]


def test_caller_needs_permission_for_catalog_data_and_result_and_nothing_else(lake: Lake, acting_as: Any) -> None:
    lake.point("latest", b"u1,1,a\n")
    lake.table()
    lake.view(VIEW.format(name="t"), VIEW_COLUMNS)
    needed = grants(lake.name)
    assert lake.rows("SELECT user_id FROM t", acting_as(*needed, service="athena")) == [("u1",)]
    for left_out in needed[3:]:
        client = acting_as(*(grant for grant in needed if grant != left_out), service="athena")
        assert left_out[0] in lake.failure("SELECT user_id FROM t", client)
