"""Exports are fetched as their manifests say, whichever account and folder they are in."""

from __future__ import annotations

import io
import json
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from examples.restore import fetch

if TYPE_CHECKING:
    from pathlib import Path

MANIFESTS = "personalize/_manifests"
NIGHT = datetime(2026, 11, 25, 3, tzinfo=timezone.utc)


class NotFoundError(Exception):
    pass


class Account:
    """A session, and the clients of S3 and Personalize, of an account with a bucket `lake`."""

    class exceptions:  # noqa: N801 - as boto3 calls it
        ResourceNotFoundException = NotFoundError

    def __init__(self, *, dataset_exists: bool = True) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.dataset_exists = dataset_exists

    def export(self, export: str, job: str, dataset_type: str, texts: dict[str, bytes], hours: int = 0) -> None:
        """Put the objects of a job, and its manifest so many hours after the night began."""
        objects = [
            {"key": f"personalize/{job}/{name}", "size": len(text), "etag": f"{len(text)}"}
            for name, text in texts.items()
        ]
        manifest = {
            "bucket": "lake",
            "job": {"jobName": job, "datasetArn": f"arn:aws:personalize:us-east-1:1:dataset/shop/{dataset_type}"},
            "objects": objects,
            "totalObjects": len(objects),
            "totalBytes": sum(map(len, texts.values())),
        }
        when = NIGHT + timedelta(hours=hours)
        self.objects |= {f"personalize/{job}/{name}": (text, when) for name, text in texts.items()}
        self.objects[f"{MANIFESTS}/{export}/{job}.json"] = (json.dumps(manifest).encode(), when)

    def client(self, service: str) -> Account:
        assert service in {"s3", "personalize"}
        return self

    def get_paginator(self, operation: str) -> Account:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803 - the API's own names
        assert Bucket == "lake"
        found = [(key, when) for key, (_, when) in self.objects.items() if key.startswith(Prefix)]
        return [{"Contents": [{"Key": key, "LastModified": when}]} for key, when in found] or [{}]

    def get_object(self, *, Bucket: str, Key: str, IfMatch: str = "") -> dict[str, Any]:  # noqa: N803 - as above
        assert Bucket == "lake"
        text, _ = self.objects[Key]
        assert IfMatch in {"", f'"{len(text)}"'}
        return {"Body": Body(text)}

    def describe_dataset(self, *, datasetArn: str) -> dict[str, Any]:  # noqa: N803 - as above
        if not self.dataset_exists:
            raise NotFoundError(datasetArn)
        return {"dataset": {"schemaArn": "the schema"}}

    def describe_schema(self, *, schemaArn: str) -> dict[str, Any]:  # noqa: N803 - as above
        assert schemaArn == "the schema"
        return {"schema": {"name": "items", "schema": "{}", "domain": "ECOMMERCE", "creationDateTime": NIGHT}}


class Body(io.BytesIO):
    def iter_chunks(self) -> list[bytes]:
        return [self.read()]


def run(account: Account, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(boto3, "Session", lambda: account)
    monkeypatch.setattr(sys, "argv", ["fetch.py", *arguments])
    fetch.main()


def test_newest_export_of_each_dataset_is_fetched_its_objects_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account = Account()
    account.export("Items", "items-1", "ITEMS", {"a.csv": b"old"})
    account.export("Items", "items-2", "ITEMS", {"1/a.csv": b"one", "2/a.csv": b"two"}, hours=24)
    account.export("Users", "users-1", "USERS", {"a.csv": b"users"})
    run(account, monkeypatch, f"s3://lake/{MANIFESTS}/", str(tmp_path / "new"))
    items, users = tmp_path / "new" / "items", tmp_path / "new" / "users"
    assert {path.name: path.read_bytes() for path in (items / "data").iterdir()} == {
        "00000-a.csv": b"one",
        "00001-a.csv": b"two",
    }
    assert json.loads((items / "manifest.json").read_bytes())["job"]["jobName"] == "items-2"
    assert json.loads((items / "schema.json").read_bytes()) == {
        "schema": {"name": "items", "schema": "{}", "domain": "ECOMMERCE"}
    }
    assert [path.name for path in (users / "data").iterdir()] == ["00000-a.csv"]
    assert capsys.readouterr().out.splitlines() == [
        f"{items}: items-2, objects: 2, bytes: 6",
        f"{users}: users-1, objects: 1, bytes: 5",
    ]


def test_one_manifest_is_fetched_by_its_name_and_without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account()
    account.export("Items", "items-1", "ITEMS", {"a.csv": b"old"})
    account.export("Items", "items-2", "ITEMS", {"a.csv": b"new"}, hours=24)
    run(account, monkeypatch, "--without-data", f"s3://lake/{MANIFESTS}/Items/items-1.json", str(tmp_path))
    assert json.loads((tmp_path / "items" / "manifest.json").read_bytes())["job"]["jobName"] == "items-1"
    assert not list((tmp_path / "items" / "data").iterdir())


def test_schema_of_a_dataset_that_is_gone_is_asked_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account = Account(dataset_exists=False)
    account.export("Items", "items-1", "ITEMS", {"a.csv": b"data"})
    run(account, monkeypatch, f"s3://lake/{MANIFESTS}/", str(tmp_path))
    assert (tmp_path / "items" / "data" / "00000-a.csv").read_bytes() == b"data"
    assert capsys.readouterr().err == f"{tmp_path}/items/schema.json is missing: {fetch.NO_SCHEMA}\n"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("lake/x", "error: lake/x is no location: write s3://BUCKET/FOLDER/, or s3://BUCKET/KEY.json"),
        ("s3:///x", "error: s3:///x is no location: write s3://BUCKET/FOLDER/, or s3://BUCKET/KEY.json"),
        (
            "s3://lake/other/",
            "error: There is no manifest below s3://lake/other/: does the destination have manifest=True?",
        ),
    ],
)
def test_location_without_a_manifest_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str, message: str
) -> None:
    account = Account()
    account.export("Items", "items-1", "ITEMS", {"a.csv": b"data"})
    with pytest.raises(SystemExit) as refused:
        run(account, monkeypatch, location, str(tmp_path))
    assert refused.value.code == message


def test_export_is_not_mixed_with_one_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account()
    account.export("Items", "items-1", "ITEMS", {"a.csv": b"data"})
    run(account, monkeypatch, f"s3://lake/{MANIFESTS}/", str(tmp_path))
    with pytest.raises(SystemExit, match=f"error: {tmp_path}/items exists: name a new folder"):
        run(account, monkeypatch, f"s3://lake/{MANIFESTS}/", str(tmp_path))
