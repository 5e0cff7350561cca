"""The chat message of the nightly example arrives whatever the reason holds: the local EventBridge inserts values."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sns as sns

from examples.nightly.app import chat_message
from personalize_local import LocalAws

if TYPE_CHECKING:
    from collections.abc import Iterator

REASONS = [
    "plain",
    'He said "no".\nThen he left.',
    '\\ \\n \\" {json: [1]} <detail-reason> <aws.events.event.json>',
    "tab\there, carriage\r\nreturn, é, 🎬, \u2028",
]
DETAIL = {"outcome": "FAILED", "exportId": "Export/Items", "scheduledTime": "2026-11-25T02:00:00Z"}
ARN = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/ITEMS"


@pytest.fixture(scope="module")
def transformer() -> dict[str, Any]:
    """Return the input transformer as it is in the template."""
    stack = Stack(App(), "Chat")
    rule = events.Rule(stack, "Rule", event_pattern=events.EventPattern(source=["shop"]))
    rule.add_target(targets.SnsTopic(sns.Topic(stack, "Topic"), message=chat_message()))
    resources = stack.node.root.synth().get_stack_by_name("Chat").template["Resources"]  # type: ignore[attr-defined]
    (found,) = [resource for resource in resources.values() if resource["Type"] == "AWS::Events::Rule"]
    made: dict[str, Any] = found["Properties"]["Targets"][0]["InputTransformer"]
    return made


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws(iam=False) as local:
        yield local


def sent(aws: LocalAws, transformer: dict[str, Any], reason: str) -> str:
    """Return what a target gets of an event."""
    client, sqs = aws.client("events"), aws.client("sqs")
    url = sqs.create_queue(QueueName=f"chat-{time.monotonic_ns()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = arn.rpartition(":")[2]
    client.put_rule(Name=rule, EventPattern=json.dumps({"source": [rule]}))
    client.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": arn, "InputTransformer": transformer}])
    detail = json.dumps({**DETAIL, "reason": reason})
    client.put_events(Entries=[{"Source": rule, "DetailType": "Told", "Detail": detail, "Resources": [ARN]}])
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    body: str = message["Body"]
    return body


@pytest.mark.parametrize("reason", REASONS)
def test_reason_survives_the_input_transformer(aws: LocalAws, transformer: dict[str, Any], reason: str) -> None:
    message = json.loads(sent(aws, transformer, reason))
    assert (message["version"], message["source"]) == ("1.0", "custom")
    assert message["content"]["description"] == reason
    assert message["content"]["keywords"] == ["FAILED", "Export/Items", "2026-11-25T02:00:00Z"]
    assert message["metadata"]["relatedResources"] == [ARN]


def test_reason_inside_a_text_would_not_survive(aws: LocalAws, transformer: dict[str, Any]) -> None:
    template = transformer["InputTemplate"].replace("<detail-reason>", '"Failed: <detail-reason>"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(sent(aws, {**transformer, "InputTemplate": template}, REASONS[1]))
