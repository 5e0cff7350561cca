"""The work of import and export jobs, which runs outside the lock.

What a job reads and writes goes through the object store with the job's role; what goes wrong there becomes ``CREATE
FAILED`` with a reason, in the words of https://docs.aws.amazon.com/personalize/latest/dg/error-messages.html where it
has them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from personalize_local.service.avro import ID_FIELDS, INTERACTIONS, Schema
from personalize_local.service.csvfiles import ImportRefused, read_files, write_file
from personalize_local.service.deduplication import distinct, newest
from personalize_local.service.errors import AccessRefused, ApiError
from personalize_local.service.rows import ALL, id_reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from personalize_local.service.blocks import Block
    from personalize_local.service.ports import ObjectStore
    from personalize_local.service.state import Resource

INSUFFICIENT_PRIVILEGES = (
    "Insufficient privileges for accessing data in S3. Please look at https://docs.aws.amazon.com/personalize/latest/dg/"
    "granting-personalize-s3-access.html#attach-bucket-policy and fix bucket policy on {bucket}."
)
# The names of exported objects are undocumented: list the prefix of a job, never build a key.
OBJECT_NAME = "{job_name}/part-00000.csv"

Result = TypeVar("Result")

_LOG = logging.getLogger(__name__)


class JobFailed(Exception):  # noqa: N818 - an outcome of a job, not an error of the program
    """The job ends as ``CREATE FAILED``; the text is its ``failureReason``."""


def read_import(job: Resource, schema: Schema, objects: ObjectStore) -> list[Block]:
    """Read and check what the job imports.

    Raises:
        JobFailed: With the reason.
    """
    location = job.values["dataSource"]["dataLocation"]

    def read() -> list[Block]:
        files = objects.read(role_arn=job.values["roleArn"], location=location, caller=job.caller, source_arn=job.arn)
        return read_files(files, schema)

    return _attempt(read, location)


def write_export(job: Resource, schema: Schema, dataset_type: str, objects: ObjectStore) -> None:
    """Write what the job exports: the snapshot it took when it began.

    Raises:
        JobFailed: With the reason.
    """
    destination = job.values["jobOutput"]["s3DataDestination"]
    id_field = ID_FIELDS.get(dataset_type)
    if job.values["ingestionMode"] == ALL and id_field:
        records = newest(job.snapshot, id_reader(position(schema, id_field)))
    else:
        records = distinct(job.snapshot)

    def write() -> None:
        objects.write(
            role_arn=job.values["roleArn"],
            location=destination["path"],
            name=OBJECT_NAME.format(job_name=job.values["jobName"]),
            body=write_file(schema, records),
            kms_key_arn=destination.get("kmsKeyArn"),
            caller=job.caller,
            source_arn=job.arn,
        )

    _attempt(write, destination["path"])


def check_minimum(dataset_type: str, rows: int, minimum: int) -> None:
    """Check that an import has enough interactions.

    Raises:
        JobFailed: It has not.
    """
    if dataset_type == INTERACTIONS and rows < minimum:
        raise JobFailed(f"Dataset has fewer than {minimum} interactions: the data location holds {rows}.")


def position(schema: Schema, name: str) -> int:
    """Return the index of the column."""
    return [column.name for column in schema.columns].index(name)


def bucket_of(location: str) -> str:
    """Return the bucket of ``s3://bucket/prefix``; empty for anything else."""
    parts = urlsplit(location)
    return parts.netloc if parts.scheme == "s3" else ""


def _attempt(work: Callable[[], Result], location: str) -> Result:
    """Do the work; whatever goes wrong is the reason of a failed job, never a traceback for the caller."""
    try:
        return work()
    except ImportRefused as refused:
        raise JobFailed(str(refused)) from None
    except AccessRefused as refused:
        _LOG.info("access to %s refused: %s", location, refused.reason)
        raise JobFailed(INSUFFICIENT_PRIVILEGES.format(bucket=bucket_of(location))) from None
    except ApiError as error:
        raise JobFailed(error.message) from None
    except Exception as error:  # noqa: BLE001 - a job must end in a state, whatever its store does
        _LOG.exception("job failed unexpectedly at %s", location)
        raise JobFailed(f"Internal failure while accessing {location}: {error}") from None
