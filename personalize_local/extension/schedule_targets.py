"""What a schedule invokes: templated targets and, by any operation botocore knows, universal targets.

Rests on https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html,
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html. Each invocation is a
request to this server, signed with a session of the schedule's role, so that IAM decides and every service answers.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from personalize_local.extension.schedule_expressions import as_text
from personalize_local.extension.service_roles import NotAssumableError, ServiceRoles, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNIVERSAL = re.compile(r"arn:aws[a-z-]*:scheduler:::aws-sdk:([a-z0-9-]+):([a-zA-Z0-9]+)")
_ARN = re.compile(r"arn:aws[a-z-]*:([a-z0-9-]+):([a-z0-9-]*):(\d*):(.+)")
READ_ONLY = ("get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read", "lookup",
             "discover", "validate", "batchget", "batchdescribe", "batchread", "transactget", "adminget", "adminlist",
             "testmigration", "retrieve", "testconnection", "translatedocument", "isauthorized",
             "invokemodel")  # fmt: skip
"""The prefixes of operations that no schedule may call."""
SDK_NAMES: Mapping[str, str] = {
    "cloudwatch": "cloudwatch",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "personalizeevents": "personalize-events",
    "sfn": "stepfunctions",
}
"""Services whose name in an ARN of a universal target is not botocore's."""
TEMPLATED = ("lambda", "sqs", "sns", "states", "events")
NOT_HERE = ("codebuild", "codepipeline", "ecs", "firehose", "inspector", "kinesis", "sagemaker")
"""Services of templated targets that the local AWS does not invoke."""
JSON_INPUT = ("lambda", "states", "events")
_AUTHORITY = "aws.scheduler."


class InvalidTargetError(ValueError):
    """The target is not one that a schedule can have; the text is the API's where it is known."""


class DeliveryError(Exception):
    """An invocation that failed.

    Args:
        code: The error code of the target's service.
        message: Its text.
    """

    def __init__(self, code: str, message: str) -> None:
        """Keep both."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Attempt:
    """One attempt to invoke a target."""

    schedule_arn: str
    scheduled_at: float
    number: int
    execution_id: str

    def fill(self, text: str) -> str:
        """Replace the context attributes in an input."""
        values = {
            "schedule-arn": self.schedule_arn,
            "scheduled-time": as_text(self.scheduled_at),
            "execution-id": self.execution_id,
            "attempt-number": str(self.number),
        }
        for name, value in values.items():
            text = text.replace(f"<{_AUTHORITY}{name}>", value)
        return text


def check(target: Mapping[str, Any]) -> None:
    """Refuse a target that can not be.

    Raises:
        InvalidTargetError: Its ARN names nothing a schedule can invoke, or its input is not what it takes.
    """
    universal = _UNIVERSAL.fullmatch(target["Arn"])
    if universal:
        _operation(universal[1], universal[2])
        _read_json(target.get("Input", "{}"))
        return
    arn = _ARN.fullmatch(target["Arn"])
    if arn is not None and arn[1] in NOT_HERE:
        raise InvalidTargetError(f"The local AWS does not invoke {arn[1]}, only {', '.join(TEMPLATED)}.")
    if arn is None or arn[1] not in TEMPLATED:
        raise InvalidTargetError("Provided Arn is not in correct format.")
    if arn[1] in JSON_INPUT and "Input" in target:
        _read_json(target["Input"])
    if arn[1] == "events" and "EventBridgeParameters" not in target:
        raise InvalidTargetError("EventBridgeParameters is required for an event bus.")  # (text unknown)


def payload(target: Mapping[str, Any], attempt: Attempt, source: Source) -> str:
    """Return what a target is given: its input, or the notification that a target without one gets."""
    if "Input" in target:
        return attempt.fill(str(target["Input"]))
    if _UNIVERSAL.fullmatch(target["Arn"]):
        return "{}"
    return json.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": source.account,
            "time": as_text(attempt.scheduled_at),
            "region": source.region,
            "resources": [attempt.schedule_arn],
            "detail": "{}",
        }
    )


def invoke(target: Mapping[str, Any], text: str, roles: ServiceRoles, source: Source) -> None:
    """Invoke a target once.

    Raises:
        DeliveryError: It was not invoked.
    """
    try:
        service, operation, params = _request(target, text)
        client = roles.client(service, target["RoleArn"], source)
        try:
            reply = getattr(client, xform_name(operation))(**params)
        finally:
            client.close()
    except NotAssumableError as error:  # (code unknown)
        message = f"The execution role {error} does not allow AWS EventBridge Scheduler to assume it."
        raise DeliveryError("AccessDeniedException", message) from error
    except ClientError as error:
        raise DeliveryError(error.response["Error"]["Code"], error.response["Error"].get("Message", "")) from error
    except (BotoCoreError, InvalidTargetError, ValueError) as error:
        raise DeliveryError("ValidationException", str(error)) from error
    if operation == "PutEvents" and reply.get("FailedEntryCount"):
        entry = reply["Entries"][0]
        raise DeliveryError(entry.get("ErrorCode", "InternalFailure"), entry.get("ErrorMessage", ""))


def dead_letter(
    target: Mapping[str, Any], text: str, attributes: Mapping[str, str], roles: ServiceRoles, source: Source
) -> None:
    """Send what could not be delivered to the target's dead-letter queue, with the role of the schedule.

    Raises:
        DeliveryError: The queue does not take it: then it is lost.
    """
    written = {name: {"DataType": "String", "StringValue": value or " "} for name, value in attributes.items()}
    queue = {"Arn": target["DeadLetterConfig"]["Arn"], "RoleArn": target["RoleArn"]}
    service, operation, params = _request(queue, text or "{}")
    try:
        client = roles.client(service, queue["RoleArn"], source)
        getattr(client, xform_name(operation))(**params, MessageAttributes=written)
        client.close()
    except NotAssumableError as error:
        raise DeliveryError("AccessDeniedException", f"{error} can not be assumed") from error
    except (BotoCoreError, ClientError) as error:
        raise DeliveryError(type(error).__name__, str(error)) from error


def _request(target: Mapping[str, Any], text: str) -> tuple[str, str, dict[str, Any]]:
    """Return the service, operation and parameters of an invocation."""
    universal = _UNIVERSAL.fullmatch(target["Arn"])
    if universal:
        service, operation, shape = _operation(universal[1], universal[2])
        return service, operation, _adapted(_read_json(text), shape)
    arn = _ARN.fullmatch(target["Arn"])
    if arn is None:
        raise InvalidTargetError("Provided Arn is not in correct format.")
    kind, _region, account, resource = arn.groups()
    if kind == "lambda":
        return kind, "Invoke", {"FunctionName": target["Arn"], "InvocationType": "Event", "Payload": text.encode()}
    if kind == "sqs":
        group = (target.get("SqsParameters") or {}).get("MessageGroupId")
        url = f"http://localhost/{account}/{resource}"
        return (
            kind,
            "SendMessage",
            {"QueueUrl": url, "MessageBody": text, **({"MessageGroupId": group} if group else {})},
        )
    if kind == "sns":
        return kind, "Publish", {"TopicArn": target["Arn"], "Message": text}
    if kind == "states":
        return "stepfunctions", "StartExecution", {"stateMachineArn": target["Arn"], "input": text}
    details = target["EventBridgeParameters"]
    entry = {"EventBusName": target["Arn"], "Source": details["Source"], "DetailType": details["DetailType"]}
    return "events", "PutEvents", {"Entries": [{**entry, "Detail": text}]}


@cache
def _model(service: str) -> Any:
    """Return botocore's model of the service of a universal target."""
    session = botocore.session.Session()
    name = SDK_NAMES.get(service, service)
    if name not in session.get_available_services():
        raise InvalidTargetError(f"Invalid RequestJson provided. Reason The service {service} is not supported.")
    return session.get_service_model(name)


def _operation(service: str, action: str) -> tuple[str, str, Any]:
    """Return botocore's names of a universal target, and the shape of its input (texts inferred)."""
    model = _model(service)
    found = [name for name in model.operation_names if name.lower() == action.lower()]
    if not found:
        raise InvalidTargetError(f"{action} is not an operation of {service}.")
    if xform_name(found[0]).replace("_", "").startswith(READ_ONLY):
        raise InvalidTargetError(f"{action} of {service} only reads, which no schedule may do.")
    return str(model.service_name), str(found[0]), model.operation_model(found[0]).input_shape


def _adapted(value: Any, shape: Any) -> Any:
    """Name the members of a request as the API does: Scheduler writes them with a capital, as its SDK for Java."""
    if shape is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {name.lower(): name for name in shape.members}
        return {
            names.get(key.lower(), key): _adapted(item, shape.members.get(names.get(key.lower(), "")))
            for key, item in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_adapted(item, shape.member) for item in value]
    if shape.type_name == "blob" and isinstance(value, str):
        return value.encode()
    return value


def _read_json(text: str) -> Any:
    """Read an input that must be JSON (text partly inferred)."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidTargetError(f"Invalid RequestJson provided. Reason {error}") from None
