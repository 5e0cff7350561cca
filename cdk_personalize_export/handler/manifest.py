"""Manifests: which objects an export is, said in its bucket once the job is ACTIVE; and which export is the newest.

AWS does not say what a job writes, so what is below its prefix is listed. The pointers are laid out as those of S3
Inventory (https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html), for tables:

    <prefix>_manifests/<folder>/<job name>.json       written last
    <prefix>hive/<folder>/latest/symlink.txt          the objects of the newest export
    <prefix>hive/<folder>/daily/dt=<day>/symlink.txt  those of the last export of a day in UTC

An export that ends late replaces no newer one, as every write has a condition
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from . import identity
from .errors import RefusedError, ServiceErrors, code_of
from .events import job_fields, known
from .jobs import Job, shown
from .properties import Export
from .waiting import TimeBudget


def write(job: Job, export: Export, time: TimeBudget) -> str:
    """Write the pointers to a job, and its manifest; give the S3 URI of that."""
    while True:
        try:
            uri = _write(job, export, Bucket(export, time))
        except ServiceErrors as error:
            time.wait_out(error)
            continue
        time.succeeded()
        return uri


class Bucket:
    """The bucket of an export."""

    def __init__(self, export: Export, time: TimeBudget) -> None:
        self.name, _, self.prefix = export.destination.removeprefix("s3://").partition("/")
        region, key = identity.region_in(export.dataset_arn), export.kms_key_arn
        self._call = partial(time.outbound.call, "s3", region=region, Bucket=self.name)
        self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        self._time = time

    def listed(self, prefix: str) -> Iterator[dict[str, Any]]:
        """List the objects below a prefix, in the order of their keys."""
        more: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **more)
            for item in page.get("Contents", []):
                yield {"key": item["Key"], "size": item["Size"], "etag": item["ETag"].strip('"')}
            if not page["IsTruncated"]:
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}
            self._time.pause(0)  # ends it when the time is over

    def put(self, key: str, body: str, **options: Any) -> bool:
        """Write an object; say whether its condition was met."""
        try:
            self._call("put_object", Key=key, Body=body.encode(), **self._encryption, **options)
        except ClientError as error:
            if code_of(error) in {"PreconditionFailed", "NoSuchKey"}:
                return False
            raise
        return True

    def point(self, key: str, body: str, age: dict[str, str]) -> None:
        """Write a pointer, unless there is one of the same job or a newer one."""
        condition = {"IfNoneMatch": "*"}
        while not self.put(key, body, Metadata=age, **condition):
            there = self._call("head_object", Key=key)
            if [there["Metadata"].get(name, "") for name in age] >= [*age.values()]:
                return
            condition = {"IfMatch": there["ETag"]}


def _write(job: Job, export: Export, bucket: Bucket) -> str:
    if job.created is None:
        raise RefusedError("Personalize does not say when the job was created")
    objects: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for item in bucket.listed(f"{bucket.prefix}{job.name}/"):
        objects[item["size"] > 0 and not item["key"].rpartition("/")[2].startswith("_")].append(item)
    data = objects[True]
    lines = "".join(f"s3://{bucket.name}/{item['key']}\n" for item in data)
    age = {"job-created": f"{job.created.timestamp():.3f}", "job-name": job.name}  # compared in this order
    day = (export.about.get("scheduledTime") or shown(job.created))[:10]
    for pointer in ("latest", f"daily/dt={day}"):
        bucket.point(f"{bucket.prefix}hive/{export.manifest}/{pointer}/symlink.txt", lines, age)
    manifest = {
        "version": 1,
        "job": job_fields(job),
        **known(export.about),
        "completedAt": shown(job.updated),
        "bucket": bucket.name,
        "objects": data,
        "notData": objects[False],
        "totalObjects": len(data),
        "totalBytes": sum(item["size"] for item in data),
    }
    key = f"{bucket.prefix}_manifests/{export.manifest}/{job.name}.json"
    bucket.put(key, json.dumps(manifest), ContentType="application/json", IfNoneMatch="*")
    return f"s3://{bucket.name}/{key}"
