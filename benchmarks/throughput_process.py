"""How fast the local Personalize takes rows in and writes them out, and in how much memory.

Argument: how many rows. They come from and go to the disk, as objects of a few megabytes do on the local S3; the
service, its checks and its CSV are the real ones. Prints one JSON object.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from benchmarks import memory
from personalize_local.service import Caller, PersonalizeService, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Caller("000000000000", "us-east-1")
ROLE = "arn:aws:iam::000000000000:role/Personalize"
FILE_ROWS = 50_000
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [
        {"name": name, "type": kind}
        for name, kind in (("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long"))
    ],
    "version": "1.0",
}


class Disk:
    """The object store: rows made up as they are read, and written to a file."""

    def __init__(self, rows: int, target: Path) -> None:
        self.rows = rows
        self.target = target
        self.files = 0

    def read(self, **_: object) -> Iterable[tuple[str, BinaryIO]]:
        """Yield the files of an import."""
        for first in range(0, self.rows, FILE_ROWS):
            numbers = range(first, min(first + FILE_ROWS, self.rows))
            lines = [f"user-{n % 9973},item-{n % 1999},{1_600_000_000 + n}" for n in numbers]
            text = "\n".join(["USER_ID,ITEM_ID,TIMESTAMP", *lines])
            yield f"in/{first}.csv", io.BytesIO(text.encode())

    def write(self, *, body: Iterable[bytes] | BinaryIO, **_: object) -> None:
        """Write the files of an export, one after the other."""
        with self.target.open("ab") as file:
            before = file.tell()
            file.writelines(body)
            self.files += file.tell() > before

    def check_role(self, **_: object) -> None:
        """Let every role in."""


def main() -> None:
    """Import that many rows and export them."""
    rows = int(sys.argv[1])
    idle = memory.peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.csv"
        settings = Settings(job_seconds=0.0, resource_seconds=0.0)
        disk = Disk(rows, target)
        service = PersonalizeService(settings, disk, clock=time.time)
        dataset = _dataset(service)
        started = time.perf_counter()
        _job(service, "Import", datasetArn=dataset, dataSource={"dataLocation": "s3://b/in/"})
        imported, import_peak = time.perf_counter(), memory.peak_mb()
        _job(service, "Export", datasetArn=dataset, ingestionMode="ALL", jobOutput=_output())
        exported = time.perf_counter()
        with target.open("rb") as file:
            written = sum(1 for _ in file) - disk.files
    if written != rows:
        raise RuntimeError(f"{written} rows were exported, {rows} were imported")
    figures = {
        "rows": rows,
        "import_rows_per_s": rows / (imported - started),
        "export_rows_per_s": rows / (exported - imported),
        "idle_mb": idle,
        "import_peak_mb": import_peak,
        "peak_mb": memory.peak_mb(),
    }
    sys.stdout.write(json.dumps(figures))


def _dataset(service: PersonalizeService) -> str:
    schema = service.call("CreateSchema", {"name": "rows", "schema": json.dumps(SCHEMA)}, HERE)["schemaArn"]
    group = service.call("CreateDatasetGroup", {"name": "rows"}, HERE)["datasetGroupArn"]
    wanted = {"name": "rows", "schemaArn": schema, "datasetGroupArn": group, "datasetType": "Interactions"}
    dataset: str = service.call("CreateDataset", wanted, HERE)["datasetArn"]
    return dataset


def _job(service: PersonalizeService, kind: str, **wanted: Any) -> None:  # noqa: ANN401 - API parameters
    arn_field = f"dataset{kind}JobArn"
    call = f"Dataset{kind}Job"
    arn = service.call(f"Create{call}", {"jobName": f"rows-{kind}", "roleArn": ROLE, **wanted}, HERE)[arn_field]
    while True:
        service.tick()
        job = service.call(f"Describe{call}", {arn_field: arn}, HERE)[f"dataset{kind}Job"]
        if job["status"] == "ACTIVE":
            return
        if job["status"] == "CREATE FAILED":
            raise RuntimeError(job["failureReason"])
        time.sleep(0.01)


def _output() -> dict[str, Any]:
    return {"s3DataDestination": {"path": "s3://b/out/"}}


if __name__ == "__main__":
    main()
