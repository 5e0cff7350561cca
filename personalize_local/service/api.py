"""The local Amazon Personalize: takes a call, answers as the API does.

Every call first lets the time pass that has passed (`PersonalizeService.tick`), then is validated, then handled under
one lock. The order of checks is: well formed, exists, state, name, quota (inferred). Operations:
https://docs.aws.amazon.com/personalize/latest/dg/API_Operations.html.
"""

from __future__ import annotations

import copy
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from personalize_local.service.control_plane import ControlPlane
from personalize_local.service.errors import ApiError
from personalize_local.service.model import BAD_REQUEST, Operation, operations
from personalize_local.service.settings import Fault, FaultPlan, Settings, texts
from personalize_local.service.validation import typed, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from personalize_local.service.ports import Caller, ObjectStore

ACCEPTED = "ok"
DEFAULT_FAULT_CODE = "InternalFailure"
_COMMON_STATUSES = {"InternalFailure": 500, "InternalServerException": 500, "ServiceUnavailableException": 503}


class Call(NamedTuple):
    """One call the service received; ``outcome`` is ``ok`` or the error code."""

    operation: str
    params: dict[str, Any]
    caller: Caller
    outcome: str


class PersonalizeService:
    """The service of every account and Region.

    Args:
        settings: How it behaves.
        objects: How jobs reach Amazon S3.
        clock: The time in seconds; tests pass their own.
        record: What to do with every call that was answered; nothing is kept here.
    """

    def __init__(
        self,
        settings: Settings,
        objects: ObjectStore,
        clock: Callable[[], float] = time.time,
        record: Callable[[Call], None] | None = None,
    ) -> None:
        self.settings = settings
        self._record = record
        self._lock = threading.RLock()
        self._plan = FaultPlan(settings.faults)
        self._control = ControlPlane(settings, objects, clock, self._lock, self._plan)

    @property
    def faults(self) -> list[Fault]:
        """The failures to have; may be changed at any time. Assigning a list starts its counts anew."""
        return self._plan.faults

    @faults.setter
    def faults(self, faults: Iterable[Fault]) -> None:
        with self._lock:
            self._plan.replace(faults)

    def call(self, operation: str, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Answer one call.

        Args:
            operation: Its name, such as ``CreateDatasetExportJob``.
            params: The request, with the member names of the API.
            caller: Who calls, in which account and Region.

        Returns:
            The answer, ready for JSON; times are epoch seconds.

        Raises:
            ApiError: What the API answers instead.
        """
        self.tick()
        received = copy.deepcopy(params) if self._record else {}
        outcome = ACCEPTED
        try:
            with self._lock:
                return self._handle(operation, params, caller)
        except ApiError as error:
            outcome = error.code
            raise
        finally:
            if self._record:
                self._record(Call(operation, received, caller, outcome))

    def deserialised(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the members of a request that the model knows, each of the right type.

        Raises:
            ApiError: ``SerializationException``, or ``UnknownOperationException`` when the API has no such operation.
        """
        model = operations().get(operation)
        if model is None:
            raise ApiError("UnknownOperationException", f"The API has no operation {operation}.")
        found: dict[str, Any] = typed(model.input, params)
        return found

    def tick(self) -> None:
        """Run every change of state that is due; the work of jobs runs in this thread, outside the lock."""
        self._control.tick()

    def tags_of(self, arn: str, caller: Caller) -> dict[str, str] | None:
        """Return the tags of a resource, None when there is no such resource."""
        with self._lock:
            resource = self._control.region(caller).find(arn)
            return None if resource is None else resource.tags

    def tagged(self, caller: Caller) -> dict[str, dict[str, str]]:
        """Return the tags of every resource that has some, by its ARN."""
        with self._lock:
            return self._control.region(caller).tagged()

    def _handle(self, operation: str, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        model = operations().get(operation)
        handler = self._control.handlers.get(operation)
        if model is None or handler is None:
            raise ApiError(
                "UnknownOperationException",
                f"{operation} is not in the local Personalize, which has datasets, their jobs and their events only.",
            )
        fault = self._plan.strike(operation, texts(params), failing=True)
        if fault is not None:
            raise _with_status(ApiError(fault.error or DEFAULT_FAULT_CODE, fault.message), model)
        try:
            return handler(validate(model.input, params), caller)
        except ApiError as error:
            raise _with_status(error, model) from None


def _with_status(error: ApiError, model: Operation) -> ApiError:
    """Give the error the HTTP status the model has for it."""
    status = model.statuses.get(error.code, _COMMON_STATUSES.get(error.code, BAD_REQUEST))
    return ApiError(error.code, error.message, status)
