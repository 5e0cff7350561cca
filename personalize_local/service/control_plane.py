"""What each call does to the resources, but for what only reads them and for records that arrive one by one.

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

from personalize_local.service import individual, reading, recipes, requirements
from personalize_local.service.avro import Schema
from personalize_local.service.blocks import rows_of
from personalize_local.service.contents import Rules
from personalize_local.service.errors import ApiError
from personalize_local.service.jobs import (
    FULL,
    INCREMENTAL,
    JobFailed,
    check_event_types,
    check_minimum,
    read_deletion,
    read_import,
    write_export,
)
from personalize_local.service.locations import bucket_of
from personalize_local.service.ports import Caller, ObjectStore
from personalize_local.service.requirements import CUSTOM_ONLY, DATASET_TYPES, EXPORTABLE, ID_FIELDS, ITEMS, USERS
from personalize_local.service.rows import BULK, PUT, decode, encode, id_reader
from personalize_local.service.settings import JOB_OUTCOME, FaultPlan, Settings, texts
from personalize_local.service.state import (
    ACTIVE,
    CREATE_FAILED,
    CREATION,
    DATASET,
    DATASET_GROUP,
    DELETE_IN_PROGRESS,
    DELETE_PENDING,
    DELETION,
    DELETION_JOB,
    EVENT_TRACKER,
    EXPORT_JOB,
    GONE,
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

Params = dict[str, Any]
Handler = Callable[[Params, Caller], dict[str, Any]]


_PUT_INTERACTIONS = {
    "PutEvents": individual.put_events,
    "PutActionInteractions": individual.put_action_interactions,
}
_PUT_RECORDS = {
    "PutItems": ("ITEMS", ("items", "itemId")),
    "PutUsers": ("USERS", ("users", "userId")),
    "PutActions": ("ACTIONS", ("actions", "actionId")),
}


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
            "CreateDataDeletionJob": self._create_deletion_job,
            "UpdateDataset": self._update_dataset,
            "DeleteSchema": self._delete_schema,
            "DeleteDatasetGroup": self._delete_dataset_group,
            "DeleteDataset": self._delete_dataset,
            "DeleteEventTracker": self._delete_event_tracker,
            "ListRecipes": recipes.list_recipes,
            "DescribeRecipe": recipes.describe_recipe,
            "ListTagsForResource": lambda params, caller: reading.list_tags(self.region(caller), params),
            "TagResource": lambda params, caller: reading.tag(self.region(caller), params),
            "UntagResource": lambda params, caller: reading.untag(self.region(caller), params),
        }
        for kind in KINDS:
            handlers[f"Describe{kind.name}"] = functools.partial(self._read, reading.describe, kind)
            handlers[f"List{kind.plural}"] = functools.partial(self._read, reading.list_page, kind)
        for name, put in _PUT_INTERACTIONS.items():
            handlers[name] = functools.partial(self._put, put)
        for name, (dataset_type, members) in _PUT_RECORDS.items():
            handlers[name] = functools.partial(
                self._put, individual.put_records, operation=name, dataset_type=dataset_type, members=members
            )
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

    # -- create ----------------------------------------------------------------------------------------------------

    def _create_schema(self, params: Params, caller: Caller) -> dict[str, Any]:
        arn = _arn(caller, SCHEMA, params["name"])
        schema = Schema.parse(params["schema"])
        self._check_quota(SCHEMA, arn, self._settings.active_schemas, "a schema", caller)
        resource = self._add(SCHEMA, arn, params, caller)
        resource.schema = schema
        return {"schemaArn": arn}

    def _create_dataset_group(self, params: Params, caller: Caller) -> dict[str, Any]:
        if ("kmsKeyArn" in params) != ("roleArn" in params):
            raise ApiError("InvalidInputException", "A KMS key and a role with access to it must be given together.")
        arn = _arn(caller, DATASET_GROUP, params["name"])
        self._check_quota(DATASET_GROUP, arn, self._settings.active_dataset_groups, "a dataset group", caller)
        resource = self._add(DATASET_GROUP, arn, params, caller)
        self._plan_creation(resource, self._settings.resource_seconds)
        answer = {"datasetGroupArn": arn}
        return {**answer, "domain": params["domain"]} if "domain" in params else answer

    def _create_dataset(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self.region(caller)
        dataset_type = params["datasetType"].upper()
        if dataset_type not in DATASET_TYPES:
            allowed = ", ".join(DATASET_TYPES)
            raise ApiError("InvalidInputException", f"The dataset type must be one of {allowed} (in any case).")
        schema = region.get(SCHEMA, params["schemaArn"])
        group = region.get_active(DATASET_GROUP, params["datasetGroupArn"])
        domain = group.values.get("domain", "")
        if domain and dataset_type in CUSTOM_ONLY:
            raise ApiError(
                "InvalidInputException", f"A dataset of type {dataset_type} can't be in a domain dataset group."
            )
        self._check_schema(schema, dataset_type, domain)
        arn = _arn(caller, DATASET, f"{group.values['name']}/{dataset_type}")
        resource = self._add(DATASET, arn, {**params, "datasetType": dataset_type}, caller)
        resource.schema = schema.schema
        self._plan_creation(resource, self._settings.resource_seconds)
        return {"datasetArn": arn}

    def _check_schema(self, schema: Resource, dataset_type: str, domain: str) -> None:
        if schema.values.get("domain", "") != domain:
            raise ApiError("InvalidInputException", "The schema and the dataset group must have the same domain.")
        requirements.check(schema.its_schema(), dataset_type, domain, self._settings)

    def _check_quota(self, kind: Kind, arn: str, most: int, what: str, caller: Caller) -> None:
        """Check that there can be one more; worded as what the guide has for campaigns."""
        region = self.region(caller)
        if region.find(arn) is not None:
            raise already_exists(arn)
        if sum(resource.status in (ACTIVE, GONE, *UNFINISHED) for resource in region.of(kind)) >= most:
            raise ApiError(
                "LimitExceededException",
                f"Cannot create {what}. More than {most} resources in ACTIVE state. Please delete some and try again.",
            )

    def _create_event_tracker(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self.region(caller)
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
        dataset = self.region(caller).get_active(DATASET, params["datasetArn"])
        self._refuse_while_updated(dataset)
        values = {"importMode": FULL, "publishAttributionMetricsToS3": False, **params}
        if values["importMode"] == INCREMENTAL and not dataset.rows.snapshot("BULK"):
            raise ApiError(
                "InvalidInputException",
                "No bulk records have been imported into the dataset before: the import mode can only be FULL.",
            )
        self._check_concurrent(IMPORT_JOB, values, caller)
        return self._create_job(IMPORT_JOB, values, caller, self._finish_import)

    def _create_export_job(self, params: Params, caller: Caller) -> dict[str, Any]:
        dataset = self.region(caller).get(DATASET, params["datasetArn"])
        dataset_type = dataset.values["datasetType"]
        if dataset_type not in EXPORTABLE:
            raise ApiError("InvalidInputException", f"A dataset of type {dataset_type} can not be exported.")
        if not bucket_of(params["jobOutput"]["s3DataDestination"]["path"]):
            raise ApiError("InvalidInputException", "Invalid S3 output path.")
        self.region(caller).get_active(DATASET, dataset.arn)
        values = {"ingestionMode": PUT, **params}
        self._check_concurrent(EXPORT_JOB, values, caller)
        return self._create_job(EXPORT_JOB, values, caller, self._finish_export)

    def _create_deletion_job(self, params: Params, caller: Caller) -> dict[str, Any]:
        if not bucket_of(params["dataSource"].get("dataLocation", "")):
            raise ApiError("InvalidInputException", "Invalid Data location.")
        region = self.region(caller)
        group = region.get_active(DATASET_GROUP, params["datasetGroupArn"])
        self._check_name(DELETION_JOB, params, caller)
        most = self._settings.pending_deletion_jobs
        if sum(job.status == DELETION.pending for job in region.of(DELETION_JOB, datasetGroupArn=group.arn)) >= most:
            raise ApiError("LimitExceededException", f"More than {most} resources with PENDING status.")
        return self._create_job(DELETION_JOB, dict(params), caller, self._finish_deletion)

    def _check_name(self, kind: Kind, values: Params, caller: Caller) -> None:
        arn = _arn(caller, kind, values["jobName"])
        if self.region(caller).find(arn) is not None:
            raise already_exists(arn)

    def _check_concurrent(self, kind: Kind, values: Params, caller: Caller) -> None:
        self._check_name(kind, values, caller)
        most = self._settings.concurrent_jobs
        if sum(job.status in UNFINISHED for job in self.region(caller).of(kind)) >= most:
            raise ApiError("LimitExceededException", f"More than {most} resources with PENDING or IN_PROGRESS status.")

    def _create_job(
        self, kind: Kind, values: Params, caller: Caller, finish: Callable[[Resource, float], None]
    ) -> dict[str, Any]:
        arn = _arn(caller, kind, values["jobName"])
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
        self.region(caller).add(resource)
        return resource

    def _plan_creation(
        self,
        resource: Resource,
        seconds: float,
        begin: Callable[[Resource, float], None] | None = None,
        finish: Callable[[Resource, float], None] | None = None,
    ) -> None:
        course = resource.kind.course
        resource.moved(course.pending, resource.created)
        begins, ends = resource.created + seconds * PENDING_SHARE, resource.created + seconds
        self._schedule.plan(begins, resource, begin or _enter(course.running))
        self._schedule.plan(ends, resource, finish or _enter(course.done), outside_lock=finish is not None)

    # -- update ----------------------------------------------------------------------------------------------------

    def _update_dataset(self, params: Params, caller: Caller) -> dict[str, Any]:
        """Replace the schema, as https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html."""
        region = self.region(caller)
        dataset = region.get(DATASET, params["datasetArn"])
        schema = region.get(SCHEMA, params["schemaArn"])
        dataset_type = dataset.values["datasetType"]
        if dataset_type not in (ITEMS, USERS):
            raise ApiError(
                "InvalidInputException", f"You can't replace the schema of a dataset of type {dataset_type}."
            )
        region.get_active(DATASET, dataset.arn)
        self._refuse_while_updated(dataset)
        for job in region.of(IMPORT_JOB, datasetArn=dataset.arn):  # (inferred)
            if job.status in UNFINISHED:
                raise in_use(f"Resource Arn {dataset.arn} is in use by {job.arn}, its status is {job.status}.")
        self._check_schema(schema, dataset_type, self._domain_of(dataset))
        requirements.check_replacement(dataset.its_schema(), schema.its_schema())
        now, seconds = self._clock(), self._settings.resource_seconds
        dataset.values["latestDatasetUpdate"] = {"schemaArn": schema.arn, "creationDateTime": round(now, 3)}
        _update_entered(CREATION.pending)(dataset, now)
        self._schedule.plan(now + seconds * PENDING_SHARE, dataset, _update_entered(CREATION.running))
        self._schedule.plan(now + seconds, dataset, functools.partial(_replace_schema, schema))
        return {"datasetArn": dataset.arn}

    def _refuse_while_updated(self, dataset: Resource) -> None:
        update = dataset.values.get("latestDatasetUpdate", {})
        if update.get("status") in UNFINISHED:
            raise in_use(f"Resource Arn {dataset.arn} is being updated, the status is {update['status']}.")

    # -- the work of jobs ------------------------------------------------------------------------------------------

    def _begin_job(self, job: Resource, at: float) -> None:
        job.moved(job.kind.course.running, at)
        if job.kind is EXPORT_JOB:
            # An export holds what is there when it begins to run; the moment AWS takes is (unknown).
            dataset = self.region(job.caller).get(DATASET, job.values["datasetArn"])
            job.schema = dataset.schema
            job.snapshot = dataset.rows.snapshot(job.values["ingestionMode"])

    def _finish_import(self, job: Resource, at: float) -> None:
        def work() -> None:
            dataset = self._dataset_of(job)
            schema, dataset_type = dataset.its_schema(), dataset.values["datasetType"]
            rules = Rules.of(schema, dataset_type, self._domain_of(dataset), self._settings)
            full = job.values["importMode"] == FULL
            types = set() if full else set(dataset.event_types.get(BULK, ()))
            blocks = read_import(job, rules, types, self._objects, self._settings)
            check_minimum(dataset_type, rows_of(blocks), self._settings.minimum_interactions)
            check_event_types(rules, types | dataset.event_types.get(PUT, set()))
            with self._lock:
                dataset.event_types[BULK] = types
                if full:
                    dataset.rows.replace_bulk(blocks)
                elif dataset_type in ID_FIELDS:
                    dataset.rows.append_bulk(blocks, id_reader(schema.position(ID_FIELDS[dataset_type])))
                else:
                    dataset.rows.append_bulk(blocks, None)

        self._finish(job, at, work)

    def _finish_export(self, job: Resource, at: float) -> None:
        def work() -> None:
            if job.fault is not None:
                raise JobFailed(job.fault.message or job.fault.error)
            write_export(job, self._dataset_of(job).values["datasetType"], self._objects, self._settings)

        self._finish(job, at, work)
        job.snapshot = ()

    def _finish_deletion(self, job: Resource, at: float) -> None:
        def work() -> None:
            users = read_deletion(job, self._objects, self._settings)
            with self._lock:
                datasets = self.region(job.caller).of(DATASET, datasetGroupArn=job.values["datasetGroupArn"])
                job.values["numDeleted"] = sum(_delete_users(dataset, users) for dataset in datasets)

        self._finish(job, at, work)

    def _finish(self, job: Resource, at: float, work: Callable[[], None]) -> None:
        """Do the work and enter the final state: at the time it was due, or later by what the work took."""
        started = self._clock()
        status, reason = job.kind.course.done, None
        try:
            work()
        except JobFailed as failed:
            status, reason = job.kind.course.failed, str(failed)
        with self._lock:
            job.moved(status, at + self._clock() - started, reason)

    def _domain_of(self, dataset: Resource) -> str:
        """Return the domain of a dataset's group; empty for a custom one."""
        with self._lock:
            group = self.region(dataset.caller).get(DATASET_GROUP, dataset.values["datasetGroupArn"])
        return str(group.values.get("domain", ""))

    def _dataset_of(self, job: Resource) -> Resource:
        """Return the dataset of a job; it can not be deleted while the job is unfinished."""
        with self._lock:
            return self.region(job.caller).get(DATASET, job.values["datasetArn"])

    # -- delete ----------------------------------------------------------------------------------------------------

    def _delete_schema(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self.region(caller)
        schema = region.get(SCHEMA, params["schemaArn"])
        self._refuse_if_used(schema, region, DATASET, schemaArn=schema.arn)
        for dataset in region.of(DATASET):
            update = dataset.values.get("latestDatasetUpdate", {})
            if update.get("schemaArn") == schema.arn and update["status"] in UNFINISHED:
                raise in_use(f"Resource Arn {schema.arn} is in use by {dataset.arn}.")
        region.remove(schema)
        return {}

    def _delete_dataset_group(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self.region(caller)
        group = self._deletable(region, DATASET_GROUP, params["datasetGroupArn"])
        for kind in (EVENT_TRACKER, DATASET):
            self._refuse_if_used(group, region, kind, datasetGroupArn=group.arn)
        return self._plan_deletion(group, region)

    def _delete_dataset(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self.region(caller)
        dataset = self._deletable(region, DATASET, params["datasetArn"])
        for kind in (IMPORT_JOB, EXPORT_JOB):  # documented for import jobs, (inferred) for export jobs
            for job in region.of(kind, datasetArn=dataset.arn):
                if job.status in UNFINISHED:
                    raise in_use(f"Resource Arn {dataset.arn} is in use by {job.arn}, its status is {job.status}.")
        return self._plan_deletion(dataset, region)

    def _delete_event_tracker(self, params: Params, caller: Caller) -> dict[str, Any]:
        region = self.region(caller)
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

    # -- common ----------------------------------------------------------------------------------------------------

    def _read(
        self,
        answer: Callable[[Region, Kind, Params], dict[str, Any]],
        kind: Kind,
        params: Params,
        caller: Caller,
    ) -> dict[str, Any]:
        return answer(self.region(caller), kind, params)

    def _put(self, put: Callable[..., dict[str, Any]], params: Params, caller: Caller, **more: Any) -> dict[str, Any]:
        return put(self.region(caller), params, self._settings, self._clock(), **more)

    def region(self, caller: Caller) -> Region:
        """Return the resources of the caller's account and Region."""
        return self._regions.setdefault((caller.account, caller.region), Region())


def _arn(caller: Caller, kind: Kind, name: str) -> str:
    return f"arn:{caller.partition}:personalize:{caller.region}:{caller.account}:{kind.arn_type}/{name}"


def _delete_users(dataset: Resource, users: set[bytes]) -> int:
    """Remove the records of the users, and return how many there were."""
    schema = dataset.its_schema()
    if all(column.name != "USER_ID" for column in schema.columns):
        return 0
    return dataset.rows.remove(users, id_reader(schema.position("USER_ID")))


def _replace_schema(schema: Resource, dataset: Resource, at: float) -> None:
    """Give the dataset another schema and its records the new columns, which are empty."""
    old, new = dataset.its_schema(), schema.its_schema()
    names = [column.name for column in old.columns]
    places = [names.index(column.name) if column.name in names else None for column in new.columns]

    def change(line: bytes) -> bytes:
        fields = decode(line)
        return encode("" if place is None else fields[place] for place in places)

    dataset.rows.rewrite(change)
    dataset.schema = new
    dataset.values["schemaArn"] = schema.arn
    _update_entered(CREATION.done)(dataset, at)


def _update_entered(status: str) -> Callable[[Resource, float], None]:
    """Return the step in which an update enters a state (its names are inferred from those of a campaign's update)."""

    def enter(dataset: Resource, at: float) -> None:
        dataset.updated = at
        dataset.values["latestDatasetUpdate"].update(status=status, lastUpdatedDateTime=round(at, 3))

    return enter


def _enter(status: str) -> Callable[[Resource, float], None]:
    return lambda resource, at: resource.moved(status, at)
