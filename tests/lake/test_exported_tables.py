"""What was exported, read by others than the local Athena: DuckDB by the manifest, Spark by what Glue says of tables.

Spark runs Hive's SerDe and input format. It shows header lines, which is one of the two things Athena may do.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from account import Account, make_dataset
from queries import Queries, Rows
from shop import DATABASE, INTERACTIONS, ITEMS, SCHEMAS, USERS, make_shop
from spark import Spark

from personalize_local import LocalAws, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lake
WORKGROUP = "personalize-exports"
PARTS = 3
DUCKDB_TYPES = {"string": "VARCHAR", "int": "INTEGER", "long": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN"}
EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "INTERACTIONS": [(user, item, int(time)) for user, item, time in INTERACTIONS],
    "ITEMS": [(item, genres and "|".join(genres), *rest) for item, genres, *rest in ITEMS],
    "USERS": list(USERS),
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Return an account with the stack of examples/athena and one export of each dataset."""
    settings = Settings(job_seconds=0.5, resource_seconds=0.0, export_parts=PARTS)
    with LocalAws(iam=True, settings=settings) as aws:
        aws.bootstrap()
        account = Account(aws, make_dataset(aws), tmp_path_factory.mktemp("account"))
        make_shop(account, tmp_path_factory.mktemp("schemas")).deploy()
        yield account


def content(account: Account, path: str) -> bytes:
    bucket, _, key = path.removeprefix("s3://").partition("/")
    found: bytes = account.aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return found


def manifests(account: Account) -> dict[str, dict[str, Any]]:
    """Return the manifests of the account by the type of the dataset."""
    s3, found = account.aws.client("s3"), {}
    for bucket in s3.list_buckets()["Buckets"]:
        for each in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            if "_manifests/" in each["Key"]:
                manifest = json.loads(content(account, f"s3://{bucket['Name']}/{each['Key']}"))
                found[manifest["job"]["datasetArn"].rsplit("/", 1)[-1]] = manifest
    return found


@pytest.mark.parametrize("dataset_type", EXPECTED)
def test_duckdb_reads_every_value_in_the_objects_that_the_manifest_names(
    account: Account, tmp_path: Path, dataset_type: str
) -> None:
    manifest = manifests(account)[dataset_type]
    for number, each in enumerate(manifest["objects"]):
        data = content(account, f"s3://{manifest['bucket']}/{each['key']}")
        assert len(data) == each["size"]
        (tmp_path / f"{number}.csv").write_bytes(data)
    kinds = [field["type"] if isinstance(field["type"], str) else field["type"][1] for field in SCHEMAS[dataset_type]]
    columns = {field["name"]: DUCKDB_TYPES[kind] for field, kind in zip(SCHEMAS[dataset_type], kinds, strict=True)}
    read = f"FROM read_csv('{tmp_path}/*.csv', header = true, quote = '\"', escape = '\\', columns = {columns})"
    assert sorted(duckdb.sql(read).fetchall()) == sorted(EXPECTED[dataset_type])


def test_spark_reads_the_table_of_text_as_the_local_athena_does(account: Account, tmp_path: Path) -> None:
    glue, spark = account.aws.client("glue"), Spark(tmp_path)
    athena = Queries(account.aws.client("athena"), DATABASE, WORKGROUP)
    names = [f"{dataset_type.lower()}_raw" for dataset_type in EXPECTED]
    for name in names:
        table = glue.get_table(DatabaseName=DATABASE, Name=name)["Table"]
        storage = table["StorageDescriptor"]
        assert {column["Type"] for column in storage["Columns"]} == {"string"}
        symlink = content(account, f"{storage['Location']}symlink.txt").decode()
        spark.table(
            name,
            [column["Name"] for column in storage["Columns"]],
            [content(account, path) for path in symlink.split()],
            serde=storage["SerdeInfo"]["SerializationLibrary"],
            serde_parameters=storage["SerdeInfo"]["Parameters"],
            input_format=storage["InputFormat"],
            parameters=table["Parameters"],
        )
    found = spark.rows(**{name: f"SELECT * FROM {name}" for name in names})  # noqa: S608 - our own names
    for name, dataset_type in zip(names, EXPECTED, strict=True):
        by_athena: Rows = athena.rows(f"SELECT * FROM {name}")  # noqa: S608 - our own names
        assert sorted(found[name], key=repr) == sorted(by_athena, key=repr)
        header = tuple(field["name"] for field in SCHEMAS[dataset_type])
        headers = found[name].count(header)
        assert headers >= 1
        assert len(found[name]) - headers == len(EXPECTED[dataset_type])
