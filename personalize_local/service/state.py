"""What exists: resources per account and Region, and the clockwork that moves them through their states.

The states are those of the API reference (``CREATE PENDING`` > ``CREATE IN_PROGRESS`` > ``ACTIVE`` or ``CREATE
FAILED``, and ``DELETE PENDING`` > ``DELETE IN_PROGRESS`` until the resource is gone). Steps are due at a time and run
in the order of their times, so equal clocks give equal runs.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from personalize_local.service.errors import ApiError
from personalize_local.service.rows import RowLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from personalize_local.service.avro import Schema
    from personalize_local.service.blocks import Block
    from personalize_local.service.ports import Caller
    from personalize_local.service.rates import Left
    from personalize_local.service.settings import Fault

CREATE_PENDING = "CREATE PENDING"
CREATE_IN_PROGRESS = "CREATE IN_PROGRESS"
ACTIVE = "ACTIVE"
CREATE_FAILED = "CREATE FAILED"
DELETE_PENDING = "DELETE PENDING"
DELETE_IN_PROGRESS = "DELETE IN_PROGRESS"
GONE = ""


class Course(NamedTuple):
    """The states of what is created or run, from the first to the last, which is one of two."""

    pending: str
    running: str
    done: str
    failed: str


CREATION = Course(CREATE_PENDING, CREATE_IN_PROGRESS, ACTIVE, CREATE_FAILED)
DELETION = Course("PENDING", "IN_PROGRESS", "COMPLETED", "FAILED")
"""Of a data deletion job, the only one whose states have other names."""
UNFINISHED = (*CREATION[:2], *DELETION[:2])

PENDING_SHARE = 0.2
"""The share of its time that a resource is pending; for the rest it is in progress."""


@dataclass(frozen=True)
class Kind:
    """One kind of resource, named as the operations name it (``Create<name>``)."""

    name: str
    plural: str
    member: str
    arn_field: str
    arn_type: str
    name_field: str = "name"
    filter_field: str = ""
    course: Course = CREATION
    newest_first: bool = False


SCHEMA = Kind("Schema", "Schemas", "schema", "schemaArn", "schema")
DATASET_GROUP = Kind("DatasetGroup", "DatasetGroups", "datasetGroup", "datasetGroupArn", "dataset-group")
DATASET = Kind("Dataset", "Datasets", "dataset", "datasetArn", "dataset", filter_field="datasetGroupArn")
EVENT_TRACKER = Kind(
    "EventTracker", "EventTrackers", "eventTracker", "eventTrackerArn", "event-tracker", filter_field="datasetGroupArn"
)
IMPORT_JOB = Kind(
    "DatasetImportJob",
    "DatasetImportJobs",
    "datasetImportJob",
    "datasetImportJobArn",
    "dataset-import-job",
    "jobName",
    "datasetArn",
)
EXPORT_JOB = Kind(
    "DatasetExportJob",
    "DatasetExportJobs",
    "datasetExportJob",
    "datasetExportJobArn",
    "dataset-export-job",
    "jobName",
    "datasetArn",
)
DELETION_JOB = Kind(
    "DataDeletionJob",
    "DataDeletionJobs",
    "dataDeletionJob",
    "dataDeletionJobArn",
    "data-deletion-job",
    "jobName",
    "datasetGroupArn",
    course=DELETION,
    newest_first=True,
)
KINDS = (SCHEMA, DATASET_GROUP, DATASET, EVENT_TRACKER, IMPORT_JOB, EXPORT_JOB, DELETION_JOB)


@dataclass(eq=False)
class Resource:
    """One resource: what the API shows of it, and what it holds."""

    kind: Kind
    arn: str
    caller: Caller
    values: dict[str, Any]
    created: float
    sequence: int
    updated: float = 0.0
    status: str = GONE
    failure_reason: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    schema: Schema | None = None
    rows: RowLog = field(default_factory=RowLog)
    anonymous: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    fault: Fault | None = None
    snapshot: tuple[Block, ...] = ()
    requests: dict[str, Left] = field(default_factory=dict)
    event_types: dict[str, set[str]] = field(default_factory=dict)

    def view(self) -> dict[str, Any]:
        """Return every member the API may show."""
        return {
            **self.values,
            self.kind.arn_field: self.arn,
            "status": self.status or None,
            "failureReason": self.failure_reason,
            "creationDateTime": round(self.created, 3),
            "lastUpdatedDateTime": round(self.updated, 3),
        }

    def its_schema(self) -> Schema:
        """Return the schema of a dataset, or the one an export was begun with."""
        assert self.schema is not None  # noqa: S101 - each of them has one
        return self.schema

    def moved(self, status: str, at: float, failure_reason: str | None = None) -> None:
        """Enter a state."""
        self.status = status
        self.updated = at
        self.failure_reason = failure_reason


class Region:
    """The resources of one account in one Region, in the order they were created."""

    def __init__(self) -> None:
        self._resources: dict[str, Resource] = {}

    def add(self, resource: Resource) -> None:
        """Add a resource.

        Raises:
            ApiError: ``ResourceAlreadyExistsException`` when its ARN is taken.
        """
        if resource.arn in self._resources:
            raise already_exists(resource.arn)
        self._resources[resource.arn] = resource

    def remove(self, resource: Resource) -> None:
        """Forget a resource."""
        del self._resources[resource.arn]

    def find(self, arn: str) -> Resource | None:
        """Return the resource of any kind with this ARN."""
        return self._resources.get(arn)

    def tagged(self) -> dict[str, dict[str, str]]:
        """Return the tags of every resource that has some, by its ARN."""
        return {arn: resource.tags for arn, resource in self._resources.items() if resource.tags}

    def get(self, kind: Kind, arn: str) -> Resource:
        """Return the resource of this kind.

        Raises:
            ApiError: ``ResourceNotFoundException``.
        """
        resource = self.find(arn)
        if resource is None or resource.kind is not kind:
            raise not_found(arn)
        return resource

    def get_active(self, kind: Kind, arn: str) -> Resource:
        """Return the resource of this kind, which must be active.

        Raises:
            ApiError: ``ResourceNotFoundException`` or ``ResourceInUseException``.
        """
        resource = self.get(kind, arn)
        if resource.status != ACTIVE:
            raise in_use(f"Resource Arn {arn} is not ACTIVE, its status is {resource.status}.")
        return resource

    def of(self, kind: Kind, **values: str) -> Iterator[Resource]:
        """Yield the resources of a kind that have these values."""
        for resource in self._resources.values():
            if resource.kind is kind and all(resource.values.get(name) == value for name, value in values.items()):
                yield resource


def not_found(arn: str) -> ApiError:
    """Return the error for an ARN that does not exist (text inferred)."""
    return ApiError("ResourceNotFoundException", f"Resource Arn {arn} does not exist.")


def already_exists(arn: str) -> ApiError:
    """Return the error for an ARN that is taken."""
    return ApiError("ResourceAlreadyExistsException", f"Another resource with Arn {arn} already exists.")


def in_use(message: str) -> ApiError:
    """Return the error for a resource in a state that does not allow it (texts unknown)."""
    return ApiError("ResourceInUseException", message)


@dataclass(frozen=True, order=True)
class Step:
    """A change of state that is due at a time."""

    at: float
    number: int
    resource: Resource = field(compare=False)
    run: Callable[[Resource, float], None] = field(compare=False)
    outside_lock: bool = field(compare=False, default=False)


class Schedule:
    """The steps to come, by time and then by the order they were planned."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._numbers = itertools.count()

    def plan(
        self,
        at: float,
        resource: Resource,
        run: Callable[[Resource, float], None],
        *,
        outside_lock: bool = False,
    ) -> None:
        """Plan a step."""
        heapq.heappush(self._steps, Step(at, next(self._numbers), resource, run, outside_lock))

    def due(self, now: float) -> Step | None:
        """Take the next step if it is due."""
        return heapq.heappop(self._steps) if self._steps and self._steps[0].at <= now else None
