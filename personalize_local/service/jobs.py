"""The work of import, export and data deletion jobs, which runs outside the lock.

What a job reads and writes goes through the object store with the job's role; what goes wrong there becomes ``CREATE
FAILED`` with a reason, in the words of https://docs.aws.amazon.com/personalize/latest/dg/error-messages.html where it
has them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from personalize_local.service.blocks import rows_of
from personalize_local.service.contents import NotAllowedError
from personalize_local.service.csvfiles import Allowance, ImportRefused, read_files, read_users, write_files
from personalize_local.service.deduplication import distinct, newest
from personalize_local.service.errors import AccessRefused, ApiError
from personalize_local.service.locations import bucket_of
from personalize_local.service.requirements import ID_FIELDS, INTERACTIONS
from personalize_local.service.rows import ALL, id_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from personalize_local.service.blocks import Block
    from personalize_local.service.contents import Rules
    from personalize_local.service.ports import ObjectStore
    from personalize_local.service.settings import Settings
    from personalize_local.service.state import Resource

INSUFFICIENT_PRIVILEGES = (
    "Insufficient privileges for accessing data in S3. Please look at https://docs.aws.amazon.com/personalize/latest/dg/"
    "granting-personalize-s3-access.html#attach-bucket-policy and fix bucket policy on {bucket}."
)
INSUFFICIENT_PRIVILEGES_ON_KEY = (
    "Insufficient privileges for using the KMS key {key_arn}: {reason} Please look at "
    "https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-key-access.html"
)
"""The text is (unknown); the guide has but the one above, for buckets and keys alike."""
# The names of exported objects are undocumented: list the prefix of a job, never build a key.
OBJECT_NAME = "{job_name}/part-{number:05}.csv"
CHECK_OBJECT = "_CHECK"
"""What sibling jobs of Personalize leave beside their output (inferred for exports)."""

FULL = "FULL"
INCREMENTAL = "INCREMENTAL"

Result = TypeVar("Result")

_LOG = logging.getLogger(__name__)


class JobFailed(Exception):  # noqa: N818 - an outcome of a job, not an error of the program
    """The job ends as ``CREATE FAILED``; the text is its ``failureReason``."""


def read_import(job: Resource, rules: Rules, types: set[str], objects: ObjectStore, settings: Settings) -> list[Block]:
    """Read and check what the job imports.

    Args:
        job: The job.
        rules: The rules for its dataset.
        types: Where the event types go.
        objects: Where the files are.
        settings: With the quotas.

    Raises:
        JobFailed: With the reason.
    """
    mode = job.values["importMode"]
    size = settings.full_import_bytes if mode == FULL else settings.incremental_import_bytes
    allowance = Allowance(size, f"an import job with {mode} import mode")
    return _attempt(
        lambda: read_files(
            _files(job, objects, subfolders=False), rules.schema, allowance, lambda text: rules.look(text, types)
        ),
        job.values["dataSource"]["dataLocation"],
    )


def read_deletion(job: Resource, objects: ObjectStore, settings: Settings) -> set[bytes]:
    """Read which users the job deletes.

    Raises:
        JobFailed: With the reason.
    """
    allowance = Allowance(settings.deletion_bytes, "a data deletion job")
    return _attempt(
        lambda: read_users(_files(job, objects, subfolders=True), allowance), job.values["dataSource"]["dataLocation"]
    )


def _files(job: Resource, objects: ObjectStore, *, subfolders: bool) -> Iterable[tuple[str, BinaryIO]]:
    return objects.read(
        role_arn=job.values["roleArn"],
        location=job.values["dataSource"]["dataLocation"],
        caller=job.caller,
        source_arn=job.arn,
        subfolders=subfolders,
    )


def write_export(job: Resource, dataset_type: str, objects: ObjectStore, settings: Settings) -> None:
    """Write what the job exports: the snapshot it took when it began.

    Raises:
        JobFailed: With the reason.
    """
    destination = job.values["jobOutput"]["s3DataDestination"]
    schema = job.its_schema()
    id_field = ID_FIELDS.get(dataset_type)
    if job.values["ingestionMode"] == ALL and id_field:
        records = newest(job.snapshot, id_reader(schema.position(id_field)))
    else:
        records = distinct(job.snapshot)

    files = write_files(
        schema,
        records,
        rows_of(job.snapshot),
        parts=settings.export_parts,
        backslashes=settings.export_backslash_escapes,
    )

    def write(name: str, body: Iterable[bytes]) -> None:
        objects.write(
            role_arn=job.values["roleArn"],
            location=destination["path"],
            name=name,
            body=body,
            kms_key_arn=destination.get("kmsKeyArn"),
            caller=job.caller,
            source_arn=job.arn,
        )

    def write_all() -> None:
        if settings.export_check_object:
            write(CHECK_OBJECT, [])
        for number, body in enumerate(files):
            write(OBJECT_NAME.format(job_name=job.values["jobName"], number=number), body)

    _attempt(write_all, destination["path"])


def check_minimum(dataset_type: str, rows: int, minimum: int) -> None:
    """Check that an import has enough interactions.

    Raises:
        JobFailed: It has not.
    """
    if dataset_type == INTERACTIONS and rows < minimum:
        raise JobFailed(f"Dataset has fewer than {minimum} interactions: the data location holds {rows}.")


def check_event_types(rules: Rules, types: set[str]) -> None:
    """Check that an import does not bring too many event types.

    Raises:
        JobFailed: It does.
    """
    try:
        rules.check_event_types(types)
    except NotAllowedError as refused:
        raise JobFailed(f"{refused}.") from None


def _attempt(work: Callable[[], Result], location: str) -> Result:
    """Do the work; whatever goes wrong is the reason of a failed job, never a traceback for the caller."""
    try:
        return work()
    except ImportRefused as refused:
        raise JobFailed(str(refused)) from None
    except NotAllowedError as refused:
        raise JobFailed(f"{refused}.") from None
    except AccessRefused as refused:
        _LOG.info("access to %s refused: %s", location, refused.reason)
        if refused.key_arn:
            reason = INSUFFICIENT_PRIVILEGES_ON_KEY.format(key_arn=refused.key_arn, reason=refused.reason)
        else:
            reason = INSUFFICIENT_PRIVILEGES.format(bucket=bucket_of(location))
        raise JobFailed(reason) from None
    except ApiError as error:
        raise JobFailed(error.message) from None
    except Exception as error:  # noqa: BLE001 - a job must end in a state, whatever its store does
        _LOG.exception("job failed unexpectedly at %s", location)
        raise JobFailed(f"Internal failure while accessing {location}: {error}") from None
