"""Exports on a schedule, deployed with IAM enforced: nights pass by moving the clock, and somebody is told.

The schedule fires by itself, Scheduler's role invokes the function, a rule hands its event to a queue, and alarms
change their state.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from account import wait_for

from personalize_local import Fault, Settings

if TYPE_CHECKING:
    from account import Account

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
APP = "tests/e2e/apps/schedules.py"
SCHEMA = json.loads((ROOT / "docs" / "event.schema.json").read_text(encoding="utf-8"))
DAY = 86400


def deployed(account: Account, *context: str) -> dict[str, str]:
    """Deploy the app and return its outputs."""
    done = account.deploy(*context, app=APP)
    assert done.returncode == 0, done.stderr
    return account.outputs("Backup")


def told(account: Account, url: str) -> dict[str, Any]:
    """Wait for the next event."""
    sqs, found = account.aws.client("sqs"), []

    def received() -> bool:
        found.extend(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1).get("Messages", []))
        return bool(found)

    wait_for(received, seconds=60)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])
    event: dict[str, Any] = json.loads(found[0]["Body"])
    jsonschema.validate(event["detail"], SCHEMA)
    return event


def alarms(account: Account) -> dict[str, str]:
    """Return the state of each alarm, by what it watches."""
    found = account.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {("Silent" if "Silent" in alarm["AlarmName"] else "Failed"): alarm["StateValue"] for alarm in found}


def ended(account: Account) -> list[str]:
    """Return how the jobs that are over ended, oldest first."""
    return [job["status"] for job in account.jobs() if job["status"] in {"ACTIVE", "CREATE FAILED"}]


def test_a_night_exports_tells_and_ends_the_silence_and_nights_without_one_begin_it_again(account: Account) -> None:
    outputs = deployed(account)
    wait_for(lambda: alarms(account) == {"Silent": "ALARM", "Failed": "OK"})

    account.aws.advance_clock(DAY)
    event = told(account, outputs["ToldUrl"])
    detail = event["detail"]
    (job,) = account.jobs()
    assert (detail["outcome"], detail["attempt"]) == ("SUCCEEDED", 1)
    assert detail["scheduledTime"][10:] in {"T01:00:00Z", "T02:00:00Z"}  # 3:00 in Berlin, in summer and in winter
    assert event["resources"] == [job["datasetExportJobArn"], account.dataset_arn]
    night = detail["scheduledTime"].replace("-", "").replace(":", "")[:13]
    assert f"-{night}-" in job["jobName"]
    parts = account.objects(job["jobOutput"]["s3DataDestination"]["path"])
    assert sum(text.count("\n") - 1 for key, text in parts.items() if key.endswith(".csv")) == 3
    wait_for(lambda: alarms(account) == {"Silent": "OK", "Failed": "OK"})

    invoked = [call for call in account.aws.calls() if call["action"] == "lambda:InvokeFunction"]
    assert [call["allowed"] for call in invoked] == [True]
    assert "ScheduleRole" in invoked[0]["principal"]
    (put,) = [call for call in account.aws.calls() if call["action"] == "events:PutEvents"]
    assert put["context"]["events:source"] == "cdk-personalize-export"

    scheduler = account.aws.client("scheduler")
    (schedule,) = scheduler.list_schedules()["Schedules"]
    scheduler.delete_schedule(Name=schedule["Name"])  # whoever does this, the silence is heard
    account.aws.advance_clock(30 * 3600)
    wait_for(lambda: alarms(account) == {"Silent": "ALARM", "Failed": "OK"})
    assert len(account.jobs()) == 1


def test_a_job_that_fails_is_tried_again_and_the_last_failure_is_told(account: Account) -> None:
    outputs = deployed(account, "--context", "timeout=10")
    reason = 'It said "no".\nTwice.'
    account.aws.set_faults([Fault("Job", message=reason, times=3)])

    account.aws.advance_clock(DAY)
    for attempt, pause in ((1, 300), (2, 900)):
        wait_for(lambda number=attempt: ended(account) == ["CREATE FAILED"] * number, seconds=60)
        account.aws.advance_clock(pause)
    detail = told(account, outputs["ToldUrl"])["detail"]

    assert (detail["outcome"], detail["attempt"], detail["reason"]) == ("FAILED", 3, reason)
    assert [job["jobName"][-2:] for job in account.jobs()][1:] == ["-2", "-3"]
    wait_for(lambda: alarms(account)["Failed"] == "ALARM")
    assert sum("is tried again" in line for line in account.log_lines()) >= 2


@pytest.mark.parametrize(
    "account", [Settings(job_seconds=0.5, resource_seconds=0.0, schedule_deliveries=2)], indirect=True
)
def test_a_tick_delivered_twice_makes_one_job(account: Account) -> None:
    outputs = deployed(account)
    account.aws.advance_clock(DAY)
    times = {told(account, outputs["ToldUrl"])["detail"]["scheduledTime"] for _ in range(2)}
    assert len(times) == len(account.jobs()) == 1
