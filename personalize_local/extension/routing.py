"""The HTTP side of Personalize and personalize-events: routing, authorisation, errors as the two protocols write them.

Personalize speaks AWS JSON 1.1 (`X-Amz-Target: AmazonPersonalize.<Operation>`), personalize-events REST-JSON on fixed
paths; both sign with the scope `personalize` (https://docs.aws.amazon.com/personalize/latest/dg/API_Operations.html).
"""

from __future__ import annotations

import json
import logging
import uuid
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from personalize_local.extension import iam, patches
from personalize_local.service import ApiError, Caller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from personalize_local.extension.clock import Clock
    from personalize_local.service import PersonalizeService

logger = logging.getLogger("personalize_local")

Response = tuple[int, dict[str, str], bytes]

TARGET_PREFIX = "AmazonPersonalize."
EVENT_PATHS: Mapping[str, str] = {
    "/events": "PutEvents",
    "/items": "PutItems",
    "/users": "PutUsers",
    "/actions": "PutActions",
    "/action-interactions": "PutActionInteractions",
}
JSON_1_1 = "application/x-amz-json-1.1"
REST_JSON = "application/json"


class PersonalizeApi:
    """Answers the requests of both APIs.

    Args:
        service: What does the work.
        authoriser: What decides who may.
        clock: The time that each answer names in its Date.
    """

    def __init__(self, service: PersonalizeService, authoriser: iam.Authoriser, clock: Clock) -> None:
        """Keep them."""
        self._service = service
        self._authoriser = authoriser
        self._clock = clock
        self._responses = patches.load(patches.RESPONSES)
        self._router = patches.load(patches.ROUTER)
        self._reentrant = patches.load(patches.CONCURRENCY).run_reentrant

    def register(self) -> None:
        """Make ministack route both APIs here, without an action of its own: `handle` authorises."""
        patterns = {
            "target_prefixes": [TARGET_PREFIX],
            "host_patterns": [r"personalize\.", r"personalize-events\."],
            "credential_scope": iam.SERVICE,
        }
        self._router.SERVICE_PATTERNS[iam.SERVICE] = patterns
        patches.load(patches.APP).SERVICE_HANDLERS[iam.SERVICE] = self.handle

    async def handle(
        self, _method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> Response:
        """Answer one request, by the clock of the service."""
        status, reply_headers, reply = await self._answer(path, headers, body, query_params)
        return status, {**reply_headers, "Date": formatdate(self._clock.now(), usegmt=True)}, reply

    async def _answer(self, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]) -> Response:
        """Do the work on a thread, since jobs call back into this server for S3."""
        target = headers.get("x-amz-target", "")
        rest = not target.startswith(TARGET_PREFIX)
        operation = EVENT_PATHS.get(path.rstrip("/"), "") if rest else target.removeprefix(TARGET_PREFIX)
        try:
            params = self._service.deserialised(operation, _parse(operation, body))
            access_key = self._router.extract_access_key_id(headers, query_params)
            region = self._router.extract_region(headers, query_params)
            caller = Caller.of(self._responses.get_account_id(), region, self._authoriser.caller_arn(access_key))
            for check in iam.checks(operation, params, caller):
                denial = self._authoriser.refuse(access_key, check, region)
                if denial is not None:
                    return _refused(denial, headers, rest=rest)
            reply = await self._reentrant(self._service.call, operation, params, caller)
        except ApiError as error:
            return _error(error.code, error.message, error.status, rest=rest)
        except Exception:
            logger.exception("%s failed", operation)
            return _error("InternalServerException", "An internal server error occurred.", 500, rest=rest)
        return 200, {"Content-Type": REST_JSON if rest else JSON_1_1}, json.dumps(reply).encode()


def _parse(operation: str, body: bytes) -> dict[str, Any]:
    """Return the parameters of a request.

    Raises:
        ApiError: There is no such operation, or the body is no JSON object.
    """
    if not operation:
        raise ApiError("UnknownOperationException", "", 404)
    try:
        params = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        params = None
    if not isinstance(params, dict):
        raise ApiError("SerializationException", "The request body is not a JSON object.")
    return params


def _refused(denial: iam.Denial, headers: dict[str, str], *, rest: bool) -> Response:
    """Answer a refused call: as ministack does for unknown credentials, as AWS words it for a policy."""
    if denial.authentication is not None and rest:
        return _error(denial.authentication.code, denial.message, 403, rest=True)
    if denial.authentication is not None:
        failure = patches.load(patches.APP)._credential_failure  # noqa: SLF001 - ministack has no public interface
        status, reply_headers, body = failure(iam.SERVICE, "", str(uuid.uuid4()), denial.authentication, headers)
        return status, reply_headers, body
    return _error("AccessDeniedException", denial.message, 403 if rest else 400, rest=rest)


def _error(code: str, message: str, status: int, *, rest: bool) -> Response:
    """Write an error: in the body for JSON 1.1, its code in a header too for REST-JSON."""
    body = json.dumps({"__type": code, "message": message}).encode()
    # In lower case ministack leaves the type alone, which it takes for that of JSON 1.1 in every error of the service.
    content_type = {"content-type": REST_JSON} if rest else {"Content-Type": JSON_1_1}
    return status, {**content_type, "x-amzn-ErrorType": code}, body
