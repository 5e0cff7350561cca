"""What the library writes into a schedule is what the function reads from a tick, and both mean the same by it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, Stack
from aws_cdk.aws_scheduler import ScheduleExpression, TimeWindow

from cdk_personalize_export import (
    ScheduledDatasetExport,
    _checks,
    _permissions,
    _telling,
    scheduled_dataset_export,
)
from cdk_personalize_export.handler import events, identity, metrics, properties, schedule, telling
from cdk_personalize_export.handler.log import Log
from cdk_personalize_export.handler.outbound import Outbound

if TYPE_CHECKING:
    from tests.synth.conftest import Synthesise

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
SCHEDULED = "2026-11-25T03:00:00Z"
DEPLOYED = {
    "${AWS::StackId}": "arn:aws:cloudformation:us-east-1:123456789012:stack/Prod/1",
    "${AWS::Partition}": "aws",
    "${AWS::Region}": "us-east-1",
    "${AWS::AccountId}": "123456789012",
    "${NightlyDestinationRole.Arn}": "arn:aws:iam::123456789012:role/writer",
    "${NightlyDestinationBucket}": "exports",
    "<aws.scheduler.scheduled-time>": SCHEDULED,
    "<aws.scheduler.schedule-arn>": "arn:aws:scheduler:us-east-1:123456789012:schedule/default/Nightly",
}


def delivered(export: ScheduledDatasetExport, synth: Synthesise) -> dict[str, Any]:
    """What the function gets, once CloudFormation and Scheduler have put in what they know."""
    text = synth(export.resource.stack).the("AWS::Scheduler::Schedule")["Target"]["Input"]
    for unknown, known in DEPLOYED.items():
        text = text.replace(unknown, known)
    assert not re.search(r"\$\{|<aws", text)
    event: dict[str, Any] = json.loads(text)
    return event


def nightly(stack: Stack, **options: Any) -> ScheduledDatasetExport:
    expression = ScheduleExpression.rate(Duration.days(1))
    return ScheduledDatasetExport(stack, "Nightly", dataset=DATASET, schedule=expression, **options)


def test_tick_is_read_as_it_was_meant(stack: Stack, synth: Synthesise) -> None:
    export = nightly(
        stack,
        ingestion_mode="BULK",
        job_name_prefix="p" * 31,
        tags={"team": "data"},
        time_window=TimeWindow.flexible(Duration.minutes(10)),
        max_wait=Duration.hours(1),
        retry_attempts=10,
    )
    tick = schedule.read_tick(delivered(export, synth), schedule.read_time(SCHEDULED).timestamp())
    assert tick.scheduled_at == schedule.read_time(SCHEDULED)
    assert tick.deadline - tick.scheduled_at.timestamp() == 600 + 3600
    assert tick.export.physical_id.startswith("p" * 31 + "-20261125T0300-")
    assert (tick.export.dataset_arn, tick.export.ingestion_mode) == (DATASET, "BULK")
    assert (tick.export.role_arn, tick.export.destination) == (
        "arn:aws:iam::123456789012:role/writer",
        "s3://exports/personalize/",
    )
    assert tick.export.tags == [{"tagKey": "team", "tagValue": "data"}]
    assert tick.export.retry_attempts == 10
    longest = identity.attempt_name(tick.export.physical_id, identity.LAST_ATTEMPT)
    assert len(longest) == _checks.JOB_NAME_CHARACTERS


def test_tick_tells_what_was_asked_for(stack: Stack, synth: Synthesise) -> None:
    export = nightly(stack)
    export.on_started("Started")
    export.metric_failed()
    event = delivered(export, synth)
    read = telling.read_telling(schedule.read_tick(event, 0.0).export, event["Export"], Outbound(), Log(Outbound(), {}))
    assert read.bus_arn == "arn:aws:events:us-east-1:123456789012:event-bus/default"
    assert read.starts
    assert read.dimension == "Prod/Nightly"


def test_library_and_function_agree_on_what_they_both_write_down() -> None:
    assert _checks.job_name_prefix_characters(scheduled=True) == identity.LONGEST_TICK_PREFIX
    assert _checks.job_name_prefix_characters(scheduled=False) == identity.LONGEST_PREFIX
    assert _checks.MAX_WAIT_SECONDS == schedule.LONGEST_WAIT_SECONDS
    assert _checks.PATH_CHARACTERS == properties.LONGEST_OUTPUT_PATH
    assert (_permissions.EVENT_SOURCE, _permissions.EVENT_TYPE) == (events.SOURCE, events.DETAIL_TYPE)
    assert (_telling.NAMESPACE, _telling.DIMENSION) == (metrics.NAMESPACE, metrics.DIMENSION)
    assert (*_telling.STARTED, *_telling.SUCCEEDED, *_telling.NOT_SUCCEEDED) == (
        telling.STARTED,
        telling.SUCCEEDED,
        telling.FAILED,
        telling.TIMED_OUT,
    )
    assert int(schedule._RULES["RetryAttempts"].default) == scheduled_dataset_export.DEFAULT_RETRY_ATTEMPTS
