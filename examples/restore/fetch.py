"""Brings exports to this machine, as app.py restores them: what their manifests name, and the schemas.

    python3 examples/restore/fetch.py s3://BUCKET/PREFIX/_manifests/ exported

Each argument but the last is a manifest, or a folder of them, of which the newest manifest of each export is taken.
Written is `<type>/manifest.json`, `<type>/schema.json` and `<type>/data/`: the objects side by side, whatever folders
they were in. An object that is not what the manifest says any more is refused. The schema is asked of Personalize,
because no export holds it: https://docs.aws.amazon.com/personalize/latest/dg/API_DescribeSchema.html.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

NO_SCHEMA = "the dataset is gone, and its schema with it: write the Avro schema into it yourself"


def manifests_at(session: boto3.Session, location: str) -> list[tuple[str, str]]:
    """Return bucket and key of the manifests a location means.

    Args:
        session: Who asks.
        location: `s3://bucket/key.json`, or `s3://bucket/folder/` for the newest of each folder in it.

    Raises:
        ValueError: It is no location, or there is no manifest.
    """
    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not location.startswith("s3://") or not bucket:
        raise ValueError(f"{location} is no location: write s3://BUCKET/FOLDER/, or s3://BUCKET/KEY.json")
    if key.endswith(".json"):
        return [(bucket, key)]
    folder = f"{key.rstrip('/')}/" if key else ""
    newest: dict[str, dict[str, Any]] = {}
    pages = session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
    for page in pages:
        for found in page.get("Contents", []):
            export = found["Key"].rpartition("/")[0]
            if found["Key"].endswith(".json") and _age(found) > _age(newest.get(export)):
                newest[export] = found
    if not newest:
        raise ValueError(f"There is no manifest below {location}: does the destination have manifest=True?")
    return [(bucket, found["Key"]) for found in newest.values()]


def _age(found: dict[str, Any] | None) -> tuple[Any, ...]:
    return (found["LastModified"].timestamp(), found["Key"]) if found else (0.0, "")


def fetch(session: boto3.Session, bucket: str, key: str, folder: Path, *, data: bool) -> None:
    """Write one export into `folder/<type>`.

    Args:
        session: Who reads.
        bucket: The bucket of the manifest.
        key: Its key.
        folder: Where to.
        data: Whether the objects are wanted too.

    Raises:
        ValueError: The folder holds an export of that type already.
    """
    s3 = session.client("s3")
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    manifest = json.loads(text)
    dataset_arn = manifest["job"]["datasetArn"]
    target = folder / dataset_arn.rpartition("/")[2].lower()
    if target.exists():
        raise ValueError(f"{target} exists: name a new folder, and one manifest for each type of dataset")
    (target / "data").mkdir(parents=True)
    (target / "manifest.json").write_bytes(text)
    _write_schema(session, dataset_arn, target / "schema.json")
    for number, item in enumerate(manifest["objects"] if data else []):
        name = item["key"].rpartition("/")[2]
        found = s3.get_object(Bucket=manifest["bucket"], Key=item["key"], IfMatch=f'"{item["etag"]}"')
        with (target / "data" / f"{number:05}-{name}").open("wb") as file:
            file.writelines(found["Body"].iter_chunks())
    print(
        f"{target}: {manifest['job']['jobName']}, objects: {manifest['totalObjects']}, bytes: {manifest['totalBytes']}"
    )


def _write_schema(session: boto3.Session, dataset_arn: str, path: Path) -> None:
    """Write the schema of a dataset, and its domain; say so when there is none any more."""
    personalize = session.client("personalize")
    try:
        dataset = personalize.describe_dataset(datasetArn=dataset_arn)["dataset"]
    except personalize.exceptions.ResourceNotFoundException:
        print(f"{path} is missing: {NO_SCHEMA}", file=sys.stderr)
        return
    schema = personalize.describe_schema(schemaArn=dataset["schemaArn"])["schema"]
    kept = {name: schema[name] for name in ("name", "schema", "domain") if name in schema}
    path.write_text(json.dumps({"schema": kept}, indent=2), encoding="utf-8")


def main() -> None:
    """Fetch, or say in one line what is wrong."""
    parser = argparse.ArgumentParser(description="Bring exports to this machine.")
    parser.add_argument("manifests", nargs="+", help="s3://BUCKET/KEY.json, or s3://BUCKET/FOLDER/ for the newest")
    parser.add_argument("folder", type=Path, help="where to write them")
    parser.add_argument("--without-data", action="store_true", help="manifests and schemas only")
    given = parser.parse_args()
    session = boto3.Session()
    try:
        for location in given.manifests:
            for bucket, key in manifests_at(session, location):
                fetch(session, bucket, key, given.folder, data=not given.without_data)
    except (ValueError, BotoCoreError, ClientError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
