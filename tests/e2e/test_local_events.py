"""A schedule, a function, its metric and an alarm on it, deployed by the CDK with IAM enforced, in one night."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from account import wait_for

if TYPE_CHECKING:
    from account import Account

pytestmark = pytest.mark.e2e
APP = "tests/e2e/apps/events.py"


def messages(account: Account, url: str) -> list[dict[str, Any]]:
    """Wait for the messages of a queue."""
    sqs, found = account.aws.client("sqs"), []

    def received() -> bool:
        found.extend(sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages", []))
        return bool(found)

    wait_for(received)
    return found


def test_a_night_fires_the_function_once_and_the_alarm_tells_of_it(account: Account) -> None:
    deployed = account.deploy(app=APP)
    assert deployed.returncode == 0, deployed.stderr
    outputs = account.outputs("Events")
    cloudwatch = account.aws.client("cloudwatch")
    wait_for(lambda: cloudwatch.describe_alarms()["MetricAlarms"][0]["StateValue"] == "OK")

    account.aws.advance_clock(86400)
    (told,) = messages(account, outputs["ToldOutput"])
    alarm = json.loads(told["Body"])
    assert (alarm["OldStateValue"], alarm["NewStateValue"]) == ("OK", "ALARM")
    assert alarm["Trigger"]["Dimensions"] == [{"value": "backup", "name": "Schedule"}]

    logs = account.aws.client("logs")
    events = logs.filter_log_events(logGroupName=outputs["LogGroup"], filterPattern='"Fired"')["events"]
    (event,) = [json.loads(item["message"])["event"] for item in events]
    assert event["schedule-arn"] == outputs["ScheduleOutput"]
    assert event["scheduled-time"][10:] in {"T00:00:00Z", "T01:00:00Z"}  # 02:00 in Berlin, in summer and in winter
    assert event["attempt-number"] == "1"
    invoked = [call for call in account.aws.calls() if call["action"] == "lambda:InvokeFunction"]
    assert [call["allowed"] for call in invoked] == [True]
    assert invoked[0]["principal"].endswith("/AmazonEventBridgeScheduler")


def test_a_role_that_may_not_invoke_leaves_a_dead_letter(account: Account) -> None:
    deployed = account.deploy("--context", "may_invoke=false", app=APP)
    assert deployed.returncode == 0, deployed.stderr
    outputs = account.outputs("Events")

    account.aws.advance_clock(86400)
    (letter,) = messages(account, outputs["DeadOutput"])
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == "AccessDeniedException"
    assert "is not authorized to perform: lambda:InvokeFunction" in attributes["ERROR_MESSAGE"]
    assert attributes["SCHEDULE_ARN"] == outputs["ScheduleOutput"]
    assert attributes["SCHEDULED_TIME"] == json.loads(letter["Body"])["scheduled-time"]
