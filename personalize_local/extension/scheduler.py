"""EventBridge Scheduler: its API, its CloudFormation types, and its schedules at work.

Rests on https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html. Requests are read and checked
by botocore's service model. ministack keeps what there is, so that its tagging and its reset know it; it runs none of
it any more. Texts are AWS's where they are known from public reports; the others are marked.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import uuid
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from botocore.loaders import Loader
from botocore.model import ServiceModel

from personalize_local.extension import patches, schedule_targets
from personalize_local.extension.iam import Check
from personalize_local.extension.schedule_expressions import At, InvalidExpressionError, parse
from personalize_local.extension.schedule_runner import ScheduleRunner, group_arn
from personalize_local.extension.schedule_targets import InvalidTargetError
from personalize_local.extension.service_roles import ServiceRoles, Source
from personalize_local.service import ApiError
from personalize_local.service.validation import validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from personalize_local.extension.calls import CallLog
    from personalize_local.extension.clock import Clock
    from personalize_local.extension.iam import Authoriser

logger = logging.getLogger("personalize_local")

SERVICE = "scheduler"
PRINCIPAL = "scheduler.amazonaws.com"
SESSION_NAME = "AmazonEventBridgeScheduler"
SCHEDULE, SCHEDULE_GROUP = "AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup"
DEFAULT_GROUP = "default"
EARLIEST_START_SECONDS = 300
PAGE_SIZE = 100
TYPES: Mapping[str, type] = {"integer": int, "float": float, "double": float}
NOT_ASSUMABLE = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."

Params = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]


class HandlerError(Exception):
    """What a stack event says about a schedule that failed."""


class Scheduler:
    """The service.

    Args:
        endpoint: Where this server listens.
        log: The record of calls.
        authoriser: What decides who may pass a role.
        clock: The time.
        deliveries: How often each tick is delivered.
    """

    def __init__(self, endpoint: str, log: CallLog, authoriser: Authoriser, clock: Clock, deliveries: int) -> None:
        """Keep them."""
        self._authoriser = authoriser
        self._clock = clock
        self._roles = ServiceRoles(PRINCIPAL, SESSION_NAME, endpoint, log)
        self._store = patches.load(patches.SCHEDULER)
        self._responses = patches.load(patches.RESPONSES)
        self._router = patches.load(patches.ROUTER)
        self._runner = ScheduleRunner(self._all, self._remove, self._roles, clock, deliveries)
        self._operations = {
            "CreateSchedule": self.create,
            "UpdateSchedule": self.update,
            "GetSchedule": self._get,
            "DeleteSchedule": self.delete,
            "ListSchedules": self._list,
            "ListScheduleGroups": self._list_groups,
        }

    def register(self) -> None:
        """Take the place of ministack's scheduler and of its CloudFormation types, and start."""
        patches.wrap(patches.SCHEDULER, "_tick_schedules", lambda _original: lambda: None)
        patches.load(patches.APP).SERVICE_HANDLERS[SERVICE] = self.handle
        handlers = patches.load(patches.PROVISIONERS)._RESOURCE_HANDLERS  # noqa: SLF001 - no public interface
        handlers[SCHEDULE] = {
            "create": self._provision,
            "update": self._reprovision,
            "update_with_logical_id": True,
            "delete": self._deprovision,
        }
        patches.wrap(patches.ACTIONS, "extract_resource_arn", _name_the_group)
        create = handlers[SCHEDULE_GROUP]["create"]
        handlers[SCHEDULE_GROUP]["create"] = lambda *args: self._provision_group(create, *args)
        self._runner.start()

    # -- the API ---------------------------------------------------------------------------------------------------

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> Response:
        """Answer one request."""
        try:
            operation, params = _read(method, path, body, query_params)
            params = _checked(operation, params)
            self._check_pass_role(params, headers, query_params)
            handler = self._operations.get(operation)
            if handler is None:  # groups and tags, which ministack answers as AWS does
                response: Response = await self._store.handle_request(method, path, headers, body, query_params)
                return response
            reply = handler(params)
        except ApiError as error:
            headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
            return error.status, headers, json.dumps({"Message": error.message}).encode()
        return 200, {"Content-Type": "application/json"}, json.dumps(reply).encode()

    def _check_pass_role(self, params: Params, headers: dict[str, str], query_params: dict[str, Any]) -> None:
        """Let the caller pass the role of the target to Scheduler, or refuse."""
        role = (params.get("Target") or {}).get("RoleArn")
        if not role:
            return
        access_key = self._router.extract_access_key_id(headers, query_params)
        check = Check("iam:PassRole", (role,), {"iam:PassedToService": PRINCIPAL})
        denial = self._authoriser.refuse(access_key, check, self._responses.get_region())
        if denial is not None:
            raise ApiError("AccessDeniedException", denial.message, 403)

    def create(self, params: Params) -> Params:
        """Create a schedule; the same request with the same token again is answered as the first was."""
        key, group = _key(params), params.get("GroupName", DEFAULT_GROUP)
        self._require_group(group)
        existing = self._store._schedules.get(key)  # noqa: SLF001 - ministack has no public interface
        if existing is not None:
            if params.get("ClientToken") and existing["ClientToken"] == params["ClientToken"]:
                return {"ScheduleArn": existing["Arn"]}
            raise ApiError("ConflictException", f"Schedule {params['Name']} already exists.", 409)
        self._check(params)
        now = self._clock.now()
        arn = self._store._schedule_arn(group, params["Name"])  # noqa: SLF001 - as above
        self._store._schedules[key] = _record(params, arn, created=now, modified=now)  # noqa: SLF001
        return {"ScheduleArn": arn}

    def update(self, params: Params) -> Params:
        """Replace a schedule: what the request leaves out has its default again."""
        existing = self._existing(params)
        self._check(params)
        record = _record(params, existing["Arn"], created=existing["CreationDate"], modified=self._clock.now())
        self._store._schedules[_key(params)] = record  # noqa: SLF001 - ministack has no public interface
        return {"ScheduleArn": existing["Arn"]}

    def delete(self, params: Params) -> Params:
        """Delete a schedule; what it could not deliver is not tried again."""
        self._existing(params)
        del self._store._schedules[_key(params)]  # noqa: SLF001 - ministack has no public interface
        return {}

    def _get(self, params: Params) -> Params:
        return _project(self._existing(params), "GetScheduleOutput")

    def _list(self, params: Params) -> Params:
        """Answer a page, by group and name."""
        if "GroupName" in params:
            self._require_group(params["GroupName"])
        found = [
            {**_project(record, "ScheduleSummary"), "Target": {"Arn": record["Target"]["Arn"]}}
            for record in self._store._schedules.values()  # noqa: SLF001 - ministack has no public interface
            if record["GroupName"] == params.get("GroupName", record["GroupName"])
            and record["Name"].startswith(params.get("NamePrefix", ""))
            and record["State"] == params.get("State", record["State"])
        ]
        return _page("Schedules", sorted(found, key=lambda item: (item["GroupName"], item["Name"])), params)

    def _list_groups(self, params: Params) -> Params:
        self._store._ensure_default_group()  # noqa: SLF001 - ministack has no public interface
        prefix = params.get("NamePrefix", "")
        groups = self._store._schedule_groups.values()  # noqa: SLF001 - as above
        found = [dict(group) for group in groups if group["Name"].startswith(prefix)]
        return _page("ScheduleGroups", sorted(found, key=lambda item: str(item["Name"])), params)

    def _existing(self, params: Params) -> Params:
        """Return the schedule a request names."""
        record: Params | None = self._store._schedules.get(_key(params))  # noqa: SLF001 - no public interface
        if record is None:
            raise ApiError("ResourceNotFoundException", f"Schedule {params['Name']} does not exist.", 404)
        return record

    def _require_group(self, name: str) -> None:
        self._store._ensure_default_group()  # noqa: SLF001 - ministack has no public interface
        if name not in self._store._schedule_groups:  # noqa: SLF001
            raise ApiError("ResourceNotFoundException", f"Schedule group {name} does not exist.", 404)

    def _check(self, params: Params) -> None:
        """Refuse what is well formed and still can not be."""
        try:
            expression = parse(params["ScheduleExpression"], params.get("ScheduleExpressionTimezone", "UTC"))
            schedule_targets.check(params["Target"])
        except (InvalidExpressionError, InvalidTargetError) as error:
            raise _invalid(str(error)) from None
        _check_window(params["FlexibleTimeWindow"])
        if not isinstance(expression, At):
            self._check_dates(params.get("StartDate"), params.get("EndDate"))
        account, region = self._responses.get_account_id(), self._responses.get_region()
        source = Source(account, region, group_arn(account, region, params.get("GroupName", DEFAULT_GROUP)))
        if not self._roles.trusts(params["Target"]["RoleArn"], source):
            raise _invalid(NOT_ASSUMABLE)

    def _check_dates(self, start: float | None, end: float | None) -> None:
        """Refuse a start of the past and an end before the start or now (the texts for the end are inferred)."""
        now = self._clock.now()
        if start is not None and start < now - EARLIEST_START_SECONDS:
            raise _invalid("The StartDate you specify cannot be earlier than 5 minutes ago.")
        if end is not None and end <= now:
            raise _invalid("The EndDate you specify cannot be in the past.")
        if start is not None and end is not None and start >= end:
            raise _invalid("The StartDate you specify must come before the EndDate.")

    # -- the schedules at work -------------------------------------------------------------------------------------

    def _all(self) -> Iterator[tuple[tuple[str, str, str], Params]]:
        """Yield every schedule of every account and Region, with its key."""
        yield from list(self._store._schedules._data.items())  # noqa: SLF001 - ministack has no public interface

    def _remove(self, key: tuple[str, str, str]) -> None:
        """Delete a schedule that is over."""
        self._store._schedules._data.pop(key, None)  # noqa: SLF001 - as above

    # -- CloudFormation --------------------------------------------------------------------------------------------

    def _provision(self, logical_id: str, props: Params, stack_name: str) -> tuple[str, Params]:
        """Create the schedule of a template."""
        params = self._params(logical_id, props, stack_name)
        arn = _as_handler(lambda: self.create(_checked("CreateSchedule", params)))["ScheduleArn"]
        return params["Name"], {"Arn": arn}

    def _reprovision(
        self, physical_id: str, old: Params, new: Params, stack_name: str, logical_id: str
    ) -> tuple[str, Params]:
        """Update it in place; another name makes another schedule, and CloudFormation deletes the old one."""
        params = self._params(logical_id, new, stack_name)
        before = self._params(logical_id, {**old, "Name": physical_id}, stack_name)
        if _key(params) == _key(before):
            arn = _as_handler(lambda: self.update(_checked("UpdateSchedule", params)))["ScheduleArn"]
            return physical_id, {"Arn": arn}
        created = self._provision(logical_id, new, stack_name)
        if created[0] == physical_id:  # another group: the physical id is the same, so nobody else deletes the old one
            self._deprovision(physical_id, old)
        return created

    def _deprovision(self, physical_id: str, props: Params) -> None:
        """Delete it; gone already is as good."""
        self._store._schedules.pop(_key({**props, "Name": physical_id}), None)  # noqa: SLF001 - no public interface

    def _provision_group(self, create: Any, logical_id: str, props: Params, stack_name: str) -> Any:
        """Create the schedule group of a template, if it may have its name."""
        provisioners = patches.load(patches.PROVISIONERS)
        name = props.get("Name") or provisioners._physical_name(stack_name, logical_id, max_len=64)  # noqa: SLF001

        def check() -> Params:
            params = _checked("CreateScheduleGroup", {"Name": name, "Tags": props.get("Tags")})
            if name in self._store._schedule_groups or name == DEFAULT_GROUP:  # noqa: SLF001 - as above
                raise ApiError("ConflictException", f"Schedule group {name} already exists.", 409)
            return params

        _as_handler(check)
        return create(logical_id, {**props, "Name": name}, stack_name)

    def _params(self, logical_id: str, props: Params, stack_name: str) -> Params:
        """Return the request for the properties of a template, where numbers may be text."""
        provisioners = patches.load(patches.PROVISIONERS)
        name = props.get("Name") or provisioners._physical_name(stack_name, logical_id, max_len=64)  # noqa: SLF001
        return {**_typed(_model().shape_for("CreateScheduleInput"), props), "Name": name}


def _name_the_group(original: Any) -> Any:
    """Let IAM check a schedule by its own ARN, in which its group is; ministack knows the default group only."""

    def resource_arn(  # noqa: PLR0913, PLR0917 - the signature of ministack's function
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: dict[str, Any],
        *place: str,
        **named: Any,
    ) -> str:
        arn = str(original(service, method, path, headers, body, query, *place, **named))
        if service != SERVICE or f":schedule/{DEFAULT_GROUP}/" not in arn:
            return arn
        try:
            _, params = _read(method, path, body, query)
        except ApiError:
            return arn
        group = params.get("GroupName") or DEFAULT_GROUP
        return arn.replace(f":schedule/{DEFAULT_GROUP}/", f":schedule/{group}/", 1)

    return resource_arn


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def _key(params: Params) -> str:
    """Return what a schedule is stored under."""
    return f"{params.get('GroupName') or DEFAULT_GROUP}/{params['Name']}"


def _record(params: Params, arn: str, *, created: float, modified: float) -> Params:
    """Return a schedule as it is stored, with the documented defaults."""
    defaults = {
        "GroupName": DEFAULT_GROUP,
        "ScheduleExpressionTimezone": "UTC",
        "State": "ENABLED",
        "ActionAfterCompletion": "NONE",
        "ClientToken": "",
    }
    target = {
        **params["Target"],
        "RetryPolicy": {
            "MaximumEventAgeInSeconds": 86400,
            "MaximumRetryAttempts": 185,
            **params["Target"].get("RetryPolicy", {}),
        },
    }
    return {
        **defaults,
        **params,
        "Target": target,
        "Arn": arn,
        "CreationDate": created,
        "LastModificationDate": modified,
    }


def _check_window(window: Params) -> None:
    """Refuse a flexible window without its length, and a length without a flexible window (texts unknown)."""
    flexible, minutes = window["Mode"] == "FLEXIBLE", window.get("MaximumWindowInMinutes")
    if flexible and minutes is None:
        raise _invalid("MaximumWindowInMinutes is required when the mode of the flexible time window is FLEXIBLE.")
    if not flexible and minutes is not None:
        raise _invalid("MaximumWindowInMinutes cannot be set when the mode of the flexible time window is OFF.")


@cache
def _model() -> Any:
    """Return the service model that every SDK is made from."""
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model(SERVICE, "service-2"), SERVICE)


@cache
def _routes() -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """Return method, path and name of every operation."""
    found = []
    for name in _model().operation_names:
        http = _model().operation_model(name).http
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(http["requestUri"]))
        found.append((http["method"], re.compile(pattern), str(name)))
    return tuple(found)


def _read(method: str, path: str, body: bytes, query: Mapping[str, Any]) -> tuple[str, Params]:
    """Return the operation of a request and its parameters.

    Raises:
        ApiError: There is no such operation, or the body is no JSON object.
    """
    quoted = re.sub("(?<=^/tags/).*", lambda arn: arn[0].replace("/", "%2F"), path)
    matches = [(name, pattern.fullmatch(quoted)) for verb, pattern, name in _routes() if verb == method]
    operation, match = next(((name, match) for name, match in matches if match), ("", None))
    if match is None:
        raise ApiError("UnknownOperationException", "", 404)
    try:
        params = json.loads(body or b"{}")
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise ApiError("SerializationException", "The request body is not a JSON object.")
    located: Params = {name: unquote(value) for name, value in match.groupdict().items()}
    for name, shape in _model().operation_model(operation).input_shape.members.items():
        values = query.get(shape.serialization.get("name", name))
        if shape.serialization.get("location") == "querystring" and values:
            values = values if isinstance(values, list) else [values]
            located[name] = values if shape.type_name == "list" else values[0]
    return operation, {**params, **_typed(_model().operation_model(operation).input_shape, located)}


def _checked(operation: str, params: Params) -> Params:
    """Return the parameters if they are well formed, worded as services of this protocol do."""
    try:
        return validate(_model().operation_model(operation).input_shape, params)
    except ApiError as error:
        if error.code != "InvalidInputException":
            raise
        lowered = re.sub(
            r"(?<= at ')[^']+",
            lambda path: ".".join(part[:1].lower() + part[1:] for part in path[0].split(".")),
            error.message,
        )
        raise _invalid(lowered) from None


def _typed(shape: Any, value: Any) -> Any:
    """Read numbers and times that are written as text: in a query, and in a template."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            name: _typed(shape.members[name], item) if name in shape.members else item for name, item in value.items()
        }
    if not isinstance(value, str):
        return value
    try:
        if shape.type_name == "timestamp":
            return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
        return TYPES.get(shape.type_name, str)(value)
    except ValueError:
        return value  # the check of the request says what is wrong with it


def _project(record: Params, shape: str) -> Params:
    """Return what the API shows of a record."""
    return {name: record[name] for name in _model().shape_for(shape).members if record.get(name) is not None}


def _page(member: str, found: list[Params], params: Params) -> Params:
    """Return a page of a list; a token says how many were shown before."""
    try:
        start = int(base64.b64decode(params.get("NextToken", "MA==")))
    except ValueError:
        raise _invalid("Invalid NextToken provided.") from None  # (text unknown)
    end = start + params.get("MaxResults", PAGE_SIZE)
    more = {"NextToken": base64.b64encode(str(end).encode()).decode()} if end < len(found) else {}
    return {member: found[start:end], **more}


def _as_handler(call: Any) -> Params:
    """Make a call for a stack; what is refused becomes the reason of a stack event."""
    try:
        reply: Params = call()
    except ApiError as error:
        code = {"ConflictException": "AlreadyExists", "ResourceNotFoundException": "NotFound"}
        raise HandlerError(
            f'Resource handler returned message: "{error.message} (Service: Scheduler, Status Code: {error.status}, '
            f'Request ID: {uuid.uuid4()})" (RequestToken: {uuid.uuid4()}, '
            f"HandlerErrorCode: {code.get(error.code, 'InvalidRequest')})"
        ) from error
    return reply
