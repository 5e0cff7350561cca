"""The control plane and the event operations: what each call does to the resources.

One method per operation, called under the lock with a request that is already well formed. Which resources must
exist, be active or be gone first is documented with each operation of
https://docs.aws.amazon.com/personalize/latest/dg/API_Operations.html; the texts of these refusals are (unknown).
"""

from __future__ import annotations

import functools
import itertools
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from personalize_local.service import reading
from personalize_local.service.avro import EXPORTABLE, ID_FIELDS, INTERACTIONS, REQUIRED_FIELDS, Schema
from personalize_local.service.blocks import rows_of
from personalize_local.service.errors import ApiError
from personalize_local.service.events import encode_values, event_values, record_values
from personalize_local.service.jobs import JobFailed, bucket_of, check_minimum, position, read_import, write_export
from personalize_local.service.ports import Caller, ObjectStore
from personalize_local.service.rows import PUT, id_reader
from personalize_local.service.settings import JOB_OUTCOME, FaultPlan, Settings, texts
from personalize_local.service.state import (
    ACTIVE,
    CREATE_FAILED,
    CREATE_IN_PROGRESS,
    CREATE_PENDING,
    DATASET,
    DATASET_GROUP,
    DELETE_IN_PROGRESS,
    DELETE_PENDING,
    EVENT_TRACKER,
    EXPORT_JOB,
    IMPORT_JOB,
    KINDS,
    PENDING_SHARE,
    SCHEMA,
    UNFINISHED,
    Kind,
    Region,
    Resource,
    Schedule,
    already_exists,
    in_use,
)
from personalize_local.service.validation import missing, violation

if TYPE_CHECKING:
    import threading

FULL = "FULL"
INCREMENTAL = "INCREMENTAL"

Params = dict[str, Any]
Handler = Callable[[Params, Caller], dict[str, Any]]


class ControlPlane:
    """Every resource of every account, and what the operations do to them."""

    def __init__(
        self,
        settings: Settings,
        objects: ObjectStore,
        clock: Callable[[], float],
        lock: threading.RLock,
        faults: FaultPlan,
    ) -> None:
        self._settings = settings
        self._objects = objects
        self._clock = clock
        self._lock = lock
        self._faults = faults
        self._schedule = Schedule()
        self._regions: dict[tuple[str, str], Region] = {}
        self._sequence = itertools.count(1)
        self.handlers = self._handlers()

    def _handlers(self) -> dict[str, Handler]:
        handlers: dict[str, Handler] = {
            "CreateSchema": self._create_schema,
            "CreateDatasetGroup": self._create_dataset_group,
            "CreateDataset": self._create_dataset,
            "CreateEventTracker": self._create_event_tracker,
            "CreateDatasetImportJob": self._create_import_job,
            "CreateDatasetExportJob": self._create_export_job,
            "DeleteSchema": self._delete_schema,
            "DeleteDatasetGroup": self._delete_dataset_group,
            "DeleteDataset": self._delete_dataset,
            "DeleteEventTracker": self._delete_event_tracker,
            "PutEvents": self._put_events,
            "PutItems": functools.partial(self._put_records, "ITEMS", "items", "itemId"),
            "PutUsers": functools.partial(self._put_records, "USERS", "users", "userId"),
            "ListTagsForResource": lambda params, caller: reading.list_tags(self._region(caller), params),
            "TagResource": lambda params, caller: reading.tag(self._region(caller), params),
            "UntagResource": lambda params, caller: reading.untag(self._region(caller), params),
        }
        for kind in KINDS:
            handlers[f"Describe{kind.name}"] = functools.partial(self._read, reading.describe, kind)
            handlers[f"List{kind.plural}"] = functools.partial(self._read, reading.list_page, kind)
        return handlers

    def tick(self) -> None:
        """Run every step that is due, in order; the work of jobs without the lock."""
        while True:
            with self._lock:
                step = self._schedule.due(self._clock())
                if step is None:
                    return
                if not step.outside_lock:
                    step.run(step.resource, step.at)
            if step.outside_lock:
                step.run(step.resource, step.at)

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource; none when there is no such resource."""
        for region in self._regions.values():
            resource = region.find(arn)
            if resource is not None:
                return dict(resource.tags)
        return {}

    def resources(self, account: str, region: str) -> dict[str, dict[str, str]]:
        """Return the tags of every taggable resource in an account and Region, by ARN."""
        found = self._regions.get((account, region), Region())
        return {resource.arn: dict(resource.tags) for resource in found if resource.kind is not SCHEMA}

    # -- create ----------------------------------------------------------------------------------------------------

    def _create_schema(self, params: Params, caller: Caller) -> dict[str, Any]:
        arn = _arn(caller, SCHEMA, params["name"])
        schema = Schema.parse(params["schema"])
        resource = self._add(SCHEMA, arn, params, caller)
        resource.schema = schema
        return {"schemaArn": arn}

    def _create_dataset_group(self, params: Params, caller: Caller) -> dict[str, Any]:
        if ("kmsKeyArn" in params) != ("roleArn" in params):
            raise ApiError("InvalidInputException", "A KMS key and a role with access to it must be given together.")
        arn = _arn(caller, DATASET_GROUP, params["name"])
        resource = self._add(DATASET_GROUP, arn, params, caller)
        self._plan_creation(resource, self._settings.resource_seconds)
        answer = {"datasetGroupArn": arn}
        return {**answer, "domain": params["domain"]} if "domain" in params else answer

    def _create_dataset(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self._region(caller)
        dataset_type = params["datasetType"].upper()
        if dataset_type not in REQUIRED_FIELDS:
            allowed = ", ".join(REQUIRED_FIELDS)
            raise ApiError("InvalidInputException", f"The dataset type must be one of {allowed} (in any case).")
        schema = region.get(SCHEMA, params["schemaArn"])
        group = region.get_active(DATASET_GROUP, params["datasetGroupArn"])
        assert schema.schema is not None  # noqa: S101 - every schema resource has one
        if schema.values.get("domain") != group.values.get("domain"):
            raise ApiError("InvalidInputException", "The schema and the dataset group must have the same domain.")
        schema.schema.check_for(dataset_type)
        arn = _arn(caller, DATASET, f"{group.values['name']}/{dataset_type}")
        resource = self._add(DATASET, arn, {**params, "datasetType": dataset_type}, caller)
        resource.schema = schema.schema
        self._plan_creation(resource, self._settings.resource_seconds)
        return {"datasetArn": arn}

    def _create_event_tracker(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self._region(caller)
        group = region.get_active(DATASET_GROUP, params["datasetGroupArn"])
        for tracker in region.of(EVENT_TRACKER):
            if tracker.values["name"] == params["name"] or tracker.values["datasetGroupArn"] == group.arn:
                raise already_exists(tracker.arn)  # one tracker per group is documented, its error is (unknown)
        seed = f"{caller.account}/{caller.region}/{params['name']}/{next(self._sequence)}"
        tracking_id = str(uuid.uuid5(uuid.NAMESPACE_URL, seed))
        arn = _arn(caller, EVENT_TRACKER, tracking_id.partition("-")[0])
        values = {**params, "trackingId": tracking_id, "accountId": caller.account}
        resource = self._add(EVENT_TRACKER, arn, values, caller)
        self._plan_creation(resource, self._settings.resource_seconds)
        return {"eventTrackerArn": arn, "trackingId": tracking_id}

    def _create_import_job(self, params: Params, caller: Caller) -> dict[str, Any]:
        source = params["dataSource"]
        if "roleArn" not in params:  # not required by the model, but nothing can be read without it (inferred)
            raise ApiError("InvalidInputException", violation([missing("roleArn")]))
        if not bucket_of(source.get("dataLocation", "")):
            raise ApiError("InvalidInputException", "Invalid Data location.")
        dataset = self._region(caller).get_active(DATASET, params["datasetArn"])
        values = {"importMode": FULL, "publishAttributionMetricsToS3": False, **params}
        if values["importMode"] == INCREMENTAL and not dataset.rows.snapshot("BULK"):
            raise ApiError(
                "InvalidInputException",
                "No bulk records have been imported into the dataset before: the import mode can only be FULL.",
            )
        return self._create_job(IMPORT_JOB, values, caller, self._finish_import)

    def _create_export_job(self, params: Params, caller: Caller) -> dict[str, Any]:
        dataset = self._region(caller).get(DATASET, params["datasetArn"])
        dataset_type = dataset.values["datasetType"]
        if dataset_type not in EXPORTABLE:
            raise ApiError("InvalidInputException", f"A dataset of type {dataset_type} can not be exported.")
        if not bucket_of(params["jobOutput"]["s3DataDestination"]["path"]):
            raise ApiError("InvalidInputException", "Invalid S3 output path.")
        self._region(caller).get_active(DATASET, dataset.arn)
        values = {"ingestionMode": PUT, **params}
        return self._create_job(EXPORT_JOB, values, caller, self._finish_export)

    def _create_job(
        self, kind: Kind, values: Params, caller: Caller, finish: Callable[[Resource, float], None]
    ) -> dict[str, Any]:
        region = self._region(caller)
        arn = _arn(caller, kind, values["jobName"])
        if region.find(arn) is not None:
            raise already_exists(arn)
        limit = self._settings.concurrent_jobs
        if sum(job.status in UNFINISHED for job in region.of(kind)) >= limit:
            raise ApiError("LimitExceededException", f"More than {limit} resources with PENDING or IN_PROGRESS status.")
        self._objects.check_role(role_arn=values["roleArn"], caller=caller)
        job = self._add(kind, arn, values, caller)
        self._plan_creation(job, self._job_seconds(job), begin=self._begin_job, finish=finish)
        return {kind.arn_field: arn}

    def _job_seconds(self, job: Resource) -> float:
        """Return how long the job lasts, and note the fault that will be its outcome."""
        names = [job.arn, *texts(job.values)]
        create = f"Create{job.kind.name}"
        lasting = self._faults.strike(create, names, failing=False)
        if job.kind is EXPORT_JOB:
            job.fault = self._faults.strike(JOB_OUTCOME, names, failing=True)
            lasting = lasting or self._faults.strike(JOB_OUTCOME, names, failing=False)
        for fault in (job.fault, lasting):
            if fault is not None and fault.seconds is not None:
                return fault.seconds
        return self._settings.job_seconds

    def _add(self, kind: Kind, arn: str, params: Params, caller: Caller) -> Resource:
        now = self._clock()
        tags = reading.tags_of(params)
        values = {name: value for name, value in params.items() if name != "tags"}
        resource = Resource(kind, arn, caller, values, now, next(self._sequence), updated=now, tags=tags)
        self._region(caller).add(resource)
        return resource

    def _plan_creation(
        self,
        resource: Resource,
        seconds: float,
        begin: Callable[[Resource, float], None] | None = None,
        finish: Callable[[Resource, float], None] | None = None,
    ) -> None:
        resource.moved(CREATE_PENDING, resource.created)
        begins, ends = resource.created + seconds * PENDING_SHARE, resource.created + seconds
        self._schedule.plan(begins, resource, begin or _enter(CREATE_IN_PROGRESS))
        self._schedule.plan(ends, resource, finish or _enter(ACTIVE), outside_lock=finish is not None)

    # -- the work of jobs ------------------------------------------------------------------------------------------

    def _begin_job(self, job: Resource, at: float) -> None:
        job.moved(CREATE_IN_PROGRESS, at)
        if job.kind is EXPORT_JOB:
            # An export holds what is there when it begins to run; the moment AWS takes is (unknown).
            dataset = self._region(job.caller).get(DATASET, job.values["datasetArn"])
            job.snapshot = dataset.rows.snapshot(job.values["ingestionMode"])

    def _finish_import(self, job: Resource, at: float) -> None:
        def work() -> None:
            dataset, schema = self._dataset_of(job)
            blocks = read_import(job, schema, self._objects)
            dataset_type = dataset.values["datasetType"]
            incremental = job.values["importMode"] == INCREMENTAL
            if not incremental:
                check_minimum(dataset_type, rows_of(blocks), self._settings.minimum_interactions)
            with self._lock:
                if not incremental:
                    dataset.rows.replace_bulk(blocks)
                elif dataset_type in ID_FIELDS:
                    dataset.rows.append_bulk(blocks, id_reader(position(schema, ID_FIELDS[dataset_type])))
                else:
                    dataset.rows.append_bulk(blocks, None)

        self._finish(job, at, work)

    def _finish_export(self, job: Resource, at: float) -> None:
        def work() -> None:
            if job.fault is not None:
                raise JobFailed(job.fault.message or job.fault.error)
            dataset, schema = self._dataset_of(job)
            write_export(job, schema, dataset.values["datasetType"], self._objects)

        self._finish(job, at, work)
        job.snapshot = ()

    def _finish(self, job: Resource, at: float, work: Callable[[], None]) -> None:
        """Do the work and enter the final state: at the time it was due, or later by what the work took."""
        started = self._clock()
        status, reason = ACTIVE, None
        try:
            work()
        except JobFailed as failed:
            status, reason = CREATE_FAILED, str(failed)
        with self._lock:
            job.moved(status, at + self._clock() - started, reason)

    def _dataset_of(self, job: Resource) -> tuple[Resource, Schema]:
        """Return the dataset of a job; it can not be deleted while the job is unfinished."""
        with self._lock:
            dataset = self._region(job.caller).get(DATASET, job.values["datasetArn"])
        assert dataset.schema is not None  # noqa: S101 - every dataset has one
        return dataset, dataset.schema

    # -- delete ----------------------------------------------------------------------------------------------------

    def _delete_schema(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self._region(caller)
        schema = region.get(SCHEMA, params["schemaArn"])
        self._refuse_if_used(schema, region, DATASET, schemaArn=schema.arn)
        region.remove(schema)
        return {}

    def _delete_dataset_group(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self._region(caller)
        group = self._deletable(region, DATASET_GROUP, params["datasetGroupArn"])
        for kind in (EVENT_TRACKER, DATASET):
            self._refuse_if_used(group, region, kind, datasetGroupArn=group.arn)
        return self._plan_deletion(group, region)

    def _delete_dataset(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self._region(caller)
        dataset = self._deletable(region, DATASET, params["datasetArn"])
        for kind in (IMPORT_JOB, EXPORT_JOB):  # documented for import jobs, (inferred) for export jobs
            for job in region.of(kind, datasetArn=dataset.arn):
                if job.status in UNFINISHED:
                    raise in_use(f"Resource Arn {dataset.arn} is in use by {job.arn}, its status is {job.status}.")
        return self._plan_deletion(dataset, region)

    def _delete_event_tracker(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self._region(caller)
        return self._plan_deletion(self._deletable(region, EVENT_TRACKER, params["eventTrackerArn"]), region)

    def _deletable(self, region: Region, kind: Kind, arn: str) -> Resource:
        resource = region.get(kind, arn)
        if resource.status not in (ACTIVE, CREATE_FAILED):
            raise in_use(f"Resource Arn {arn} can not be deleted, its status is {resource.status}.")
        return resource

    def _refuse_if_used(self, resource: Resource, region: Region, kind: Kind, **values: str) -> None:
        user = next(region.of(kind, **values), None)
        if user is not None:
            raise in_use(f"Resource Arn {resource.arn} is in use by {user.arn}.")

    def _plan_deletion(self, resource: Resource, region: Region) -> dict[str, Any]:
        now = self._clock()
        seconds = self._settings.resource_seconds
        resource.moved(DELETE_PENDING, now)
        if resource.kind is not DATASET_GROUP:  # a group is documented with DELETE PENDING only
            self._schedule.plan(now + seconds * PENDING_SHARE, resource, _enter(DELETE_IN_PROGRESS))
        self._schedule.plan(now + seconds, resource, lambda gone, _at: region.remove(gone))
        return {}

    # -- personalize-events ----------------------------------------------------------------------------------------

    def _put_events(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self._region(caller)
        tracker = next(region.of(EVENT_TRACKER, trackingId=params["trackingId"]), None)
        if tracker is None or tracker.status != ACTIVE:
            raise ApiError(
                "InvalidInputException", f"No active event tracker has the tracking id {params['trackingId']}."
            )
        group = tracker.values["datasetGroupArn"]
        dataset = next(region.of(DATASET, datasetGroupArn=group, datasetType=INTERACTIONS), None)
        if dataset is None or dataset.status != ACTIVE or dataset.schema is None:
            raise ApiError("InvalidInputException", f"The dataset group {group} has no active Interactions dataset.")
        schema = dataset.schema
        user = params.get("userId")
        # Without a user the events wait for one with the same session, as documented; encoding checks them now.
        events = [event_values(event, schema) for event in params["eventList"]]
        lines = [encode_values({**values, "USER_ID": user or "anonymous"}, schema) for values in events]
        if user is None:
            tracker.anonymous.setdefault(params["sessionId"], []).extend(events)
            return {}
        waiting = tracker.anonymous.pop(params["sessionId"], [])
        dataset.rows.put([encode_values({**values, "USER_ID": user}, schema) for values in waiting] + lines)
        return {}

    def _put_records(
        self, dataset_type: str, member: str, id_member: str, params: Params, caller: Caller
    ) -> dict[str, Any]:
        region = self._region(caller)
        dataset = region.get(DATASET, params["datasetArn"])
        if dataset.values["datasetType"] != dataset_type:
            raise ApiError("InvalidInputException", f"The dataset {dataset.arn} is not of type {dataset_type}.")
        region.get_active(DATASET, dataset.arn)
        assert dataset.schema is not None  # noqa: S101 - every dataset has one
        schema = dataset.schema
        records = [
            record_values(ID_FIELDS[dataset_type], record[id_member], record.get("properties"), schema)
            for record in params[member]
        ]
        dataset.rows.put([encode_values(values, schema) for values in records])
        return {}

    # -- common ----------------------------------------------------------------------------------------------------

    def _read(
        self,
        answer: Callable[[Region, Kind, Params], dict[str, Any]],
        kind: Kind,
        params: Params,
        caller: Caller,
    ) -> dict[str, Any]:
        return answer(self._region(caller), kind, params)

    def _region(self, caller: Caller) -> Region:
        return self._regions.setdefault((caller.account, caller.region), Region())


def _arn(caller: Caller, kind: Kind, name: str) -> str:
    return f"arn:{caller.partition}:personalize:{caller.region}:{caller.account}:{kind.arn_type}/{name}"


def _enter(status: str) -> Callable[[Resource, float], None]:
    return lambda resource, at: resource.moved(status, at)
