"""Custom resources as CloudFormation runs them: asynchronous calls, presigned ResponseURLs, timeouts, checked answers.

Rests on https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html. Lambda retries a
failed asynchronous invocation twice, after 1 and 2 minutes on AWS and 1 and 2 seconds here.
"""

from __future__ import annotations

import json
import secrets
import threading
import uuid
from collections import deque
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from personalize_local.extension import patches
from personalize_local.extension.failures import made_up_physical_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from personalize_local.extension.failures import FailedCreates

PATH_PREFIX = "/_ministack/cfn-response/"
LONGEST_TIMEOUT_SECONDS = 3600
LARGEST_ANSWER_BYTES = 4096
ECHOED = ("RequestId", "LogicalResourceId", "StackId")
URL_VALID_SECONDS = 7200
URLS_KEPT = 1000  # of those whose answer is not waited for any more
SIGNATURE = "X-Amz-Signature"


class CustomResourceError(Exception):
    """Why a custom resource failed, as a stack event words it."""


class CustomResources:
    """Sends the events and waits for the answers.

    Args:
        endpoint: Where this server listens.
        failed_creates: Where a failed Create is kept for the rollback.
    """

    def __init__(self, endpoint: str, failed_creates: FailedCreates) -> None:
        """Keep both."""
        self._endpoint = endpoint
        self._failed_creates = failed_creates
        self._module = patches.load(patches.CUSTOM_RESOURCE)
        self._events: dict[str, tuple[dict[str, Any], str]] = {}
        self._given_up: set[str] = set()
        self._over: deque[tuple[str, str]] = deque(maxlen=URLS_KEPT)
        self._lock = threading.Lock()

    def register(self) -> None:
        """Take ministack's place, and let a cancelled update wait no longer."""
        patches.wrap(patches.CUSTOM_RESOURCE, "invoke_custom_resource", lambda _original: self.invoke)
        handlers = patches.load(patches.CLOUDFORMATION_HANDLERS)
        table = handlers._ACTION_HANDLERS  # noqa: SLF001 - ministack has no public interface
        cancel = table["CancelUpdateStack"]

        def cancel_update(params: dict[str, Any]) -> Any:
            response = cancel(params)
            stack = handlers._resolve_stack(handlers._p(params, "StackName"))  # noqa: SLF001
            if stack is not None and stack.get("_cancel_requested"):
                self.give_up(stack["StackId"])
            return response

        table["CancelUpdateStack"] = cancel_update

    def give_up(self, stack_id: str) -> None:
        """Wait no longer for the answers of a stack; whoever gives one is not heard."""
        with self._lock:
            waiting = [token for token, (event, _signature) in self._events.items() if event["StackId"] == stack_id]
            self._given_up.update(waiting)
        for token in waiting:
            self._module.deliver_response(token, {})

    def invoke(  # noqa: PLR0913, PLR0917 - the signature of ministack's function
        self,
        request_type: str,
        logical_id: str,
        props: dict[str, Any],
        stack_name: str,
        stack_id: str,
        resource_type: str,
        physical_id: str | None = None,
        old_props: dict[str, Any] | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """Send one event and wait for its answer; returns the physical id and the attributes."""
        event = self._event(request_type, logical_id, props, stack_id, resource_type, physical_id, old_props)
        answer: dict[str, Any] = {}
        try:
            answer = self._exchange(event, _timeout_seconds(props))
            _require_success(answer)
        except CustomResourceError:
            if request_type == "Create":
                made = answer.get("PhysicalResourceId") or made_up_physical_id(stack_name, logical_id)
                self._failed_creates.add(stack_name, logical_id, resource_type, made, props)
            raise
        return str(answer["PhysicalResourceId"]), answer.get("Data") or {}

    def receive(self, token: str, query_params: Mapping[str, list[str]], body: bytes) -> tuple[int, str]:
        """Take the answer that was PUT to a ResponseURL; returns the status and the error code of S3."""
        with self._lock:
            known = self._events.get(token)
            over = (token, (query_params.get(SIGNATURE) or [""])[0]) in self._over
        if over:
            return 200, ""  # S3 takes it, and nobody reads it
        if known is None:
            return 403, "AccessDenied"
        event, signature = known
        if query_params.get(SIGNATURE) != [signature]:
            return 403, "SignatureDoesNotMatch"
        self._module.deliver_response(token, _checked(event, body))
        return 200, ""

    def _event(  # noqa: PLR0913, PLR0917 - one argument per member of the event
        self,
        request_type: str,
        logical_id: str,
        props: dict[str, Any],
        stack_id: str,
        resource_type: str,
        physical_id: str | None,
        old_props: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Return the event, all but its ResponseURL."""
        as_sent = self._module._normalise_resource_properties  # noqa: SLF001 - ministack has no public interface
        event = {
            "RequestType": request_type,
            "RequestId": str(uuid.uuid4()),
            "StackId": stack_id,
            "ResourceType": resource_type,
            "LogicalResourceId": logical_id,
            "ResourceProperties": as_sent(props),
            "ServiceToken": props.get("ServiceToken", ""),
        }
        if physical_id is not None:
            event["PhysicalResourceId"] = physical_id
        if old_props is not None:
            event["OldResourceProperties"] = as_sent(old_props)
        return event

    def _exchange(self, event: dict[str, Any], timeout_seconds: int) -> dict[str, Any]:
        """Invoke the function and wait for what it PUTs."""
        functions = patches.load(patches.LAMBDA)
        function, config, _name = functions._get_func_record_for_ref(event["ServiceToken"])  # noqa: SLF001
        if function is None or config is None:
            raise CustomResourceError(f"Invalid ServiceToken: there is no function {event['ServiceToken']}")
        token = str(uuid.uuid4())
        url, signature = self._response_url(token)
        with self._lock:
            self._events[token] = (event, signature)
        answered = self._module.register_token(token)
        try:
            record = functions._execution_record_for_config(function, config)  # noqa: SLF001
            functions.invoke_async_with_retry(record, {**event, "ResponseURL": url})
            answered.wait(timeout_seconds)
        finally:
            with self._module._lock:  # noqa: SLF001
                pending = self._module._pending.pop(token, None)  # noqa: SLF001
            with self._lock:
                del self._events[token]
                self._over.append((token, signature))
                given_up = token in self._given_up
                self._given_up.discard(token)
        if given_up:
            verb = "creation" if event["RequestType"] == "Create" else "update"
            raise CustomResourceError(f"Resource {verb} cancelled")
        if not pending or pending["result"] is None:
            raise CustomResourceError(
                "CloudFormation did not receive a response from your Custom Resource. Please check your logs for "
                f"requestId [{event['RequestId']}]. If you are using the Python cfn-response module, you may need to "
                "update your Lambda function code so that CloudFormation can attach the updated version."
            )
        answer: dict[str, Any] = pending["result"]
        return answer

    def _response_url(self, token: str) -> tuple[str, str]:
        """Return a URL presigned as those of S3 are, and its signature."""
        now = datetime.now(timezone.utc)
        signature = secrets.token_hex(32)
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Date": now.strftime("%Y%m%dT%H%M%SZ"),
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Expires": str(URL_VALID_SECONDS),
            "X-Amz-Credential": f"test/{now:%Y%m%d}/us-east-1/s3/aws4_request",
            SIGNATURE: signature,
        }
        return f"{self._endpoint}{PATH_PREFIX}{token}?{urlencode(query)}", signature


def _timeout_seconds(props: Mapping[str, Any]) -> int:
    """Return the ServiceTimeout of a resource, an hour unless it says less."""
    try:
        return max(1, min(LONGEST_TIMEOUT_SECONDS, int(props.get("ServiceTimeout", LONGEST_TIMEOUT_SECONDS))))
    except (TypeError, ValueError):
        return LONGEST_TIMEOUT_SECONDS


def _checked(event: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """Return the answer, or a FAILED one that says what is wrong with it."""
    if len(body) > LARGEST_ANSWER_BYTES:
        return {"Status": "FAILED", "Malformed": "Response object is too long."}
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return {"Status": "FAILED", "Malformed": "Response is not a JSON object."}
    if answer.get("Status") not in {"SUCCESS", "FAILED"}:
        return {**answer, "Status": "FAILED", "Malformed": "Invalid Status."}
    for name in ECHOED:
        if answer.get(name) != event[name]:
            return {**answer, "Status": "FAILED", "Malformed": f"Invalid {name}."}
    physical_id = answer.get("PhysicalResourceId")
    if not isinstance(physical_id, str) or not 1 <= len(physical_id.encode()) <= 1024:  # noqa: PLR2004 - documented: 1 KB
        return {**answer, "PhysicalResourceId": None, "Status": "FAILED", "Malformed": "Invalid PhysicalResourceId"}
    return answer


def _require_success(answer: Mapping[str, Any]) -> None:
    """Raise for a FAILED answer, worded as CloudFormation does."""
    if answer["Status"] == "SUCCESS":
        return
    if "Malformed" in answer:
        raise CustomResourceError(str(answer["Malformed"]))
    raise CustomResourceError(
        "Received response status [FAILED] from custom resource. Message returned: "
        f"{answer.get('Reason', '')} (RequestId: {answer.get('RequestId', '')})"
    )
