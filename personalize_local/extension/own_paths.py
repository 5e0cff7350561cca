"""The server's own paths, and the ResponseURL of custom resources.

``GET /_personalize_local/calls`` lists every call a permission decided, ``DELETE`` forgets them; ``POST
/_personalize_local/faults`` replaces the failures the local Personalize is told to have; ``POST
/_personalize_local/clock`` moves the clock of schedules, alarms and Personalize ahead, by the seconds in its body.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from personalize_local.extension import custom_resources, patches
from personalize_local.service import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from personalize_local.extension.calls import CallLog
    from personalize_local.extension.clock import Clock
    from personalize_local.extension.custom_resources import CustomResources
    from personalize_local.extension.routing import Response
    from personalize_local.service import PersonalizeService

CALLS_PATH = "/_personalize_local/calls"
FAULTS_PATH = "/_personalize_local/faults"
CLOCK_PATH = "/_personalize_local/clock"
JSON = {"Content-Type": "application/json"}


class OwnPaths:
    """Answers them before ministack routes a request.

    Args:
        service: The local Personalize.
        log: The record of calls.
        resources: What waits for answers.
        clock: The time of schedules, alarms and Personalize.
    """

    def __init__(self, service: PersonalizeService, log: CallLog, resources: CustomResources, clock: Clock) -> None:
        """Keep them."""
        self._clock = clock
        self._service = service
        self._log = log
        self._resources = resources

    def register(self) -> None:
        """Come first."""

        def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def handle(  # noqa: PLR0913, PLR0917 - the signature of ministack's function
                method: str,
                path: str,
                headers: dict[str, str],
                body: bytes,
                query: dict[str, list[str]],
                request_id: str,
            ) -> Any:
                response = self._answer(method, path, body, query)
                return response or await original(method, path, headers, body, query, request_id)

            return handle

        patches.wrap(patches.APP, "_handle_post_body_shortcuts", make)

    def _answer(self, method: str, path: str, body: bytes, query: dict[str, list[str]]) -> Response | None:
        """Return the response of one of our paths, or None."""
        if method == "PUT" and path.startswith(custom_resources.PATH_PREFIX):
            return self._receive(path.removeprefix(custom_resources.PATH_PREFIX), body, query)
        if path == CALLS_PATH and method == "GET":
            return 200, dict(JSON), json.dumps(self._log.as_json()).encode()
        if path == CALLS_PATH and method == "DELETE":
            self._log.clear()
            return 204, {}, b""
        if path == FAULTS_PATH and method == "POST":
            return self._set_faults(body)
        if path == CLOCK_PATH and method == "POST":
            return self._advance_clock(body)
        return None

    def _receive(self, token: str, body: bytes, query: dict[str, list[str]]) -> Response:
        """Take the answer of a custom resource as S3 takes an object."""
        status, code = self._resources.receive(token, query, body)
        error = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>' if code else ""
        return status, {"Content-Type": "application/xml"}, error.encode()

    def _set_faults(self, body: bytes) -> Response:
        """Replace the faults by those in the body."""
        try:
            values = json.loads(body)
            faults = [Fault.from_json(value) for value in values]
        except (TypeError, ValueError) as error:
            return 400, dict(JSON), json.dumps({"message": f"faults: {error}"}).encode()
        self._service.faults[:] = faults
        return 204, {}, b""

    def _advance_clock(self, body: bytes) -> Response:
        """Move the clock by the seconds in the body, and answer what time it is."""
        try:
            now = self._clock.advance(float(json.loads(body)))
        except (TypeError, ValueError) as error:
            return 400, dict(JSON), json.dumps({"message": f"clock: {error}"}).encode()
        return 200, dict(JSON), json.dumps({"now": now}).encode()
