"""The CloudFormation types of Personalize that an export builds on: schema, dataset group, dataset, event tracker.

Rests on https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Personalize.html. A create waits
until the resource is ACTIVE and fails the stack with Personalize's own reason; a failed create leaves what it made to
the rollback, as on AWS.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches
from personalize_local.service import ApiError, Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from personalize_local.extension.failures import FailedCreates
    from personalize_local.service import PersonalizeService

POLL_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 7200
LONGEST_IN_USE_SECONDS = 10
TYPE_PREFIX = "AWS::Personalize::"

Properties = dict[str, Any]
Provisioned = tuple[str, dict[str, Any]]

_HANDLER_ERRORS: Mapping[str, str] = {
    "InvalidInputException": "InvalidRequest",
    "LimitExceededException": "ServiceLimitExceeded",
    "ResourceAlreadyExistsException": "AlreadyExists",
    "ResourceInUseException": "ResourceConflict",
    "ResourceNotFoundException": "NotFound",
    "NotStabilized": "NotStabilized",
}


class HandlerError(Exception):
    """What a stack event says about a resource that failed."""


@dataclass(frozen=True)
class Kind:
    """One resource type: how it is called, and what of it CloudFormation shows.

    Args:
        name: The noun in the operations and the type, such as ``DatasetGroup``.
        attribute: The ``Fn::GetAtt`` attribute with its ARN.
        create_only: The properties whose change replaces the resource.
        parameters: Request member by property.
    """

    name: str
    attribute: str
    create_only: tuple[str, ...]
    parameters: Mapping[str, str]

    @property
    def member(self) -> str:
        """The noun as the members of requests and replies write it."""
        return self.name[0].lower() + self.name[1:]

    @property
    def type(self) -> str:
        """The CloudFormation type."""
        return TYPE_PREFIX + self.name


SCHEMA = Kind(
    "Schema",
    "SchemaArn",
    ("Name", "Schema", "Domain"),
    {"Name": "name", "Schema": "schema", "Domain": "domain"},
)
DATASET_GROUP = Kind(
    "DatasetGroup",
    "DatasetGroupArn",
    ("Name", "Domain", "KmsKeyArn", "RoleArn"),
    {"Name": "name", "Domain": "domain", "KmsKeyArn": "kmsKeyArn", "RoleArn": "roleArn"},
)
DATASET = Kind(
    "Dataset",
    "DatasetArn",
    ("Name", "DatasetGroupArn", "DatasetType", "SchemaArn"),
    {"Name": "name", "DatasetGroupArn": "datasetGroupArn", "DatasetType": "datasetType", "SchemaArn": "schemaArn"},
)
EVENT_TRACKER = Kind(
    "EventTracker",
    "EventTrackerArn",
    ("Name", "DatasetGroupArn"),
    {"Name": "name", "DatasetGroupArn": "datasetGroupArn"},
)
KINDS = (SCHEMA, DATASET_GROUP, DATASET, EVENT_TRACKER)


class PersonalizeTypes:
    """Provisions the types by calling the service itself: CloudFormation's own calls bypass IAM, as ministack's do.

    Args:
        service: The local Personalize.
        failed_creates: Where a create that failed half-way is kept for the rollback.
    """

    def __init__(self, service: PersonalizeService, failed_creates: FailedCreates) -> None:
        """Keep both, and remember the ARN of what was made: the physical id is a name."""
        self._service = service
        self._failed_creates = failed_creates
        self._arns: dict[tuple[str, str], str] = {}
        self._responses = patches.load(patches.RESPONSES)

    def register(self) -> None:
        """Add the handlers, and let them wait on threads of their own rather than on the event loop."""
        provisioners = patches.load(patches.PROVISIONERS)
        for kind in KINDS:
            provisioners._RESOURCE_HANDLERS[kind.type] = {  # noqa: SLF001 - ministack has no public interface
                "create": self._creator(kind),
                "update": self._updater(kind),
                "update_with_logical_id": True,
                "delete": self._deleter(kind),
            }
        wait_on_threads = lambda original: lambda kind: kind.startswith(TYPE_PREFIX) or original(kind)  # noqa: E731
        patches.wrap(patches.STACKS, "_runs_on_worker_thread", wait_on_threads)

    def _creator(self, kind: Kind) -> Callable[[str, Properties, str], Provisioned]:
        def create(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
            return self._create(kind, logical_id, props, stack_name)

        return create

    def _updater(self, kind: Kind) -> Callable[[str, Properties, Properties, str, str], Provisioned]:
        def update(physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Provisioned:
            return self._update(kind, physical_id, old, new, stack_name, logical_id)

        return update

    def _deleter(self, kind: Kind) -> Callable[[str, Properties], None]:
        def delete(physical_id: str, props: Properties) -> None:
            self._delete(kind, physical_id, props)

        return delete

    def _create(
        self, kind: Kind, logical_id: str, props: Properties, stack_name: str, *, replacing: bool = False
    ) -> Provisioned:
        """Create a resource, wait until it is ACTIVE, and import into a dataset that asks for it."""
        params = {member: props[name] for name, member in kind.parameters.items() if props.get(name) is not None}
        if props.get("Tags"):
            params["tags"] = [{"tagKey": tag["Key"], "tagValue": tag["Value"]} for tag in props["Tags"]]
        arn = self._call(f"Create{kind.name}", params)[f"{kind.member}Arn"]
        physical_id = arn if kind is EVENT_TRACKER else str(params["name"])
        self._arns[kind.name, physical_id] = arn
        try:
            described = self._wait_until_active(kind, arn)
            if props.get("DatasetImportJob"):
                self._import(arn, props["DatasetImportJob"])
        except HandlerError:
            if replacing:
                self._delete_arn(kind, arn)  # the stack keeps the predecessor, so nothing else would delete this
            else:
                self._failed_creates.add(stack_name, logical_id, kind.type, physical_id, props)
            raise
        attributes = {kind.attribute: arn}
        if kind is EVENT_TRACKER:
            attributes["TrackingId"] = described.get("trackingId", "")
        return physical_id, attributes

    def _update(  # noqa: PLR0913, PLR0917 - the signature of ministack's update handlers
        self, kind: Kind, physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str
    ) -> Provisioned:
        """Replace a resource whose create-only properties changed; import again when only the import did."""
        if any(old.get(name) != new.get(name) for name in kind.create_only):
            arn = self._arn(kind, physical_id)
            created = self._create(kind, logical_id, new, stack_name, replacing=True)
            if created[0] == physical_id:  # two datasets of different groups may share a name
                provisioners = patches.load(patches.PROVISIONERS)
                provisioners._delete_predecessor(self._delete_in_background, kind, arn)  # noqa: SLF001
            return created
        arn = self._arn(kind, physical_id)
        if new.get("DatasetImportJob") and new["DatasetImportJob"] != old.get("DatasetImportJob"):
            self._import(arn, new["DatasetImportJob"])
        described = self._call(f"Describe{kind.name}", {f"{kind.member}Arn": arn})[kind.member]
        attributes = {kind.attribute: arn}
        if kind is EVENT_TRACKER:
            attributes["TrackingId"] = described.get("trackingId", "")
        return physical_id, attributes

    def _delete(self, kind: Kind, physical_id: str, _props: Properties) -> None:
        """Delete a resource and wait until it is gone; gone already is as good."""
        self._delete_arn(kind, self._arn(kind, physical_id))
        self._arns.pop((kind.name, physical_id), None)

    def _delete_in_background(self, kind: Kind, arn: str) -> None:
        """Delete without blocking the event loop, on which ministack runs what a replacement leaves behind."""
        patches.load(patches.CONCURRENCY).spawn_background(self._delete_arn, kind, arn)

    def _delete_arn(self, kind: Kind, arn: str) -> None:
        """Delete by ARN, waiting for what still uses it."""
        member = f"{kind.member}Arn"
        try:
            self._delete_once_unused(kind, arn)
            while True:
                self._service.call(f"Describe{kind.name}", {member: arn}, self._caller())
                time.sleep(POLL_SECONDS)
        except ApiError as error:
            if error.code != "ResourceNotFoundException":
                raise HandlerError(_handler_text(error.code, error.message)) from error

    def _delete_once_unused(self, kind: Kind, arn: str) -> None:
        """Ask for the deletion; what still uses the resource is being deleted too, and soon gone."""
        deadline = time.monotonic() + LONGEST_IN_USE_SECONDS
        while self._is_in_use(kind, arn, refuse=time.monotonic() > deadline):
            time.sleep(POLL_SECONDS)

    def _is_in_use(self, kind: Kind, arn: str, *, refuse: bool) -> bool:
        """Try to delete; tell whether it is in use, or raise that when there was time enough."""
        try:
            self._service.call(f"Delete{kind.name}", {f"{kind.member}Arn": arn}, self._caller())
        except ApiError as error:
            if error.code != "ResourceInUseException" or refuse:
                raise
            return True
        return False

    def _import(self, dataset_arn: str, job: Properties) -> None:
        """Run the import job of a dataset to its end."""
        params = {
            "jobName": job.get("JobName"),
            "datasetArn": dataset_arn,
            "dataSource": {"dataLocation": (job.get("DataSource") or {}).get("DataLocation")},
            "roleArn": job.get("RoleArn"),
        }
        arn = self._call("CreateDatasetImportJob", params)["datasetImportJobArn"]
        import_job = Kind("DatasetImportJob", "", (), {})
        self._wait_until_active(import_job, arn)

    def _wait_until_active(self, kind: Kind, arn: str) -> dict[str, Any]:
        """Poll until the resource is ACTIVE; a schema has no status and is ready at once."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while time.monotonic() < deadline:
            described: dict[str, Any] = self._call(f"Describe{kind.name}", {f"{kind.member}Arn": arn})[kind.member]
            status = described.get("status", "ACTIVE")
            if status == "ACTIVE":
                return described
            if status == "CREATE FAILED":
                reason = described.get("failureReason") or f"{kind.name} {arn} is CREATE FAILED."
                raise HandlerError(_handler_text("NotStabilized", reason))
            time.sleep(POLL_SECONDS)
        raise HandlerError(_handler_text("NotStabilized", f"{arn} did not become ACTIVE."))

    def _call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Call the service; what it refuses becomes the reason of a stack event."""
        try:
            return self._service.call(operation, params, self._caller())
        except ApiError as error:
            raise HandlerError(_handler_text(error.code, error.message)) from error

    def _caller(self) -> Caller:
        """Return the stack's account and Region; ministack keeps them in context variables."""
        account = self._responses.get_account_id()
        return Caller.of(account, self._responses.get_region())

    def _arn(self, kind: Kind, physical_id: str) -> str:
        """Return the ARN behind a physical id."""
        return self._arns.get((kind.name, physical_id), physical_id)


def _handler_text(code: str, message: str) -> str:
    """Word a failure as CloudFormation's resource handlers do."""
    service = (
        "" if code == "NotStabilized" else f" (Service: Personalize, Status Code: 400, Request ID: {uuid.uuid4()})"
    )
    return (
        f'Resource handler returned message: "{message}{service}" '
        f"(RequestToken: {uuid.uuid4()}, HandlerErrorCode: {_HANDLER_ERRORS.get(code, 'GeneralServiceException')})"
    )
