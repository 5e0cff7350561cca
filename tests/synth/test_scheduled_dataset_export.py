"""What a scheduled export synthesises, what its options change, and what is refused."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Environment, NestedStack, Stack, TimeZone, aws_iam, aws_kms, aws_sqs
from aws_cdk.aws_scheduler import ScheduleExpression, ScheduleGroup, TimeWindow

from cdk_personalize_export import (
    DatasetExport,
    ExportDestination,
    ExportProvider,
    IngestionMode,
    ScheduledDatasetExport,
    ScheduledDatasetGroupExport,
)
from tests.synth.conftest import name_of

if TYPE_CHECKING:
    from tests.synth.conftest import Synthesise, Synthesised

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
ITEMS = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/ITEMS"
JOBS = "arn:${AWS::Partition}:personalize:${AWS::Region}:${AWS::AccountId}:dataset-export-job"
GROUPS = "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group"
SCHEDULE = "AWS::Scheduler::Schedule"
SNAPSHOT = Path(__file__).with_name("snapshots") / "one_scheduled_export.json"
FUTURE = datetime(2100, 1, 1, tzinfo=timezone.utc)
TYPES = ["INTERACTIONS", "ITEMS", "USERS"]


def nightly() -> ScheduleExpression:
    return ScheduleExpression.cron(hour="3", minute="0", time_zone=TimeZone.EUROPE_BERLIN)


def scheduled(stack: Stack, construct_id: str = "Nightly", **options: Any) -> ScheduledDatasetExport:
    return ScheduledDatasetExport(stack, construct_id, **{"dataset": DATASET, "schedule": nightly(), **options})


def tick(schedule: dict[str, Any]) -> Any:
    """What the function gets."""
    return json.loads(schedule["Target"]["Input"])


def before(result: Synthesised) -> list[str]:
    (resource,) = [r for r in result.resources.values() if r["Type"] == SCHEDULE]
    return sorted(name_of(logical_id) for logical_id in resource["DependsOn"])


def test_scheduled_export_makes_these_eleven_resources_and_no_other(stack: Stack, synth: Synthesise) -> None:
    """The whole template; UPDATE_SNAPSHOTS=1 writes it anew after an intended change."""
    scheduled(stack)
    resources = synth(stack).resources
    for resource in resources.values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Code"] = "the handler"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(resources, indent=2) + "\n")
    assert len(resources) == 11
    assert resources == json.loads(SNAPSHOT.read_text())


def test_first_schedule_is_three_resources_and_each_further_one(stack: Stack, synth: Synthesise) -> None:
    first = DatasetExport(stack, "Now", dataset=DATASET)
    assert len(synth(stack).resources) == 9
    scheduled(stack, destination=first.destination)
    assert len(synth(stack).resources) == 12
    scheduled(stack, "Items", dataset=ITEMS, destination=first.destination)
    assert len(synth(stack).resources) == 13


def test_tick_says_when_and_what_to_export(stack: Stack, synth: Synthesise) -> None:
    scheduled(stack)
    assert tick(synth(stack).the(SCHEDULE)) == {
        "Tick": {
            "ScheduledTime": "<aws.scheduler.scheduled-time>",
            "ScheduleArn": "<aws.scheduler.schedule-arn>",
            "WindowSeconds": "0",
        },
        "StackId": "${AWS::StackId}",
        "Export": {
            "ExportId": "Nightly",
            "JobNamePrefix": "Prod-5f5635-Nightly",
            "DatasetArn": DATASET,
            "IngestionMode": "ALL",
            "RoleArn": "${NightlyDestinationRole.Arn}",
            "Bucket": "${NightlyDestinationBucket}",
            "Prefix": "personalize/",
            "MaxWaitSeconds": "43200",
            "RetryAttempts": "2",
        },
    }


def test_a_deployment_and_a_tick_are_told_the_same_of_an_export(stack: Stack, synth: Synthesise) -> None:
    destination = ExportDestination(stack, "Exports", encryption_key=aws_kms.Key(stack, "Key"))
    options: dict[str, Any] = {
        "dataset": DATASET,
        "destination": destination,
        "ingestion_mode": IngestionMode.BULK,
        "job_name_prefix": "nightly",
        "tags": {"b": "2", "a": "1"},
    }
    DatasetExport(stack, "Now", **options)
    scheduled(stack, **options)
    result = synth(stack)
    told = tick(result.the(SCHEDULE))["Export"]
    requested = {**result.export, "ExportId": "Nightly", "MaxWaitSeconds": "43200", "RetryAttempts": "2"}
    assert told == {k: v for k, v in requested.items() if k not in {"ServiceToken", "PolicyArn"}}


def test_every_option_reaches_schedule_or_tick(stack: Stack, synth: Synthesise) -> None:
    queue = aws_sqs.Queue(stack, "Undelivered")
    export = scheduled(
        stack,
        schedule=ScheduleExpression.rate(Duration.hours(12)),
        time_window=TimeWindow.flexible(Duration.minutes(30)),
        start=datetime(2099, 1, 1, 3, tzinfo=timezone(timedelta(hours=1))),
        end=FUTURE,
        enabled=False,
        schedule_group=ScheduleGroup(stack, "Group", schedule_group_name="nightly"),
        retry_attempts=0,
        max_wait=Duration.hours(2),
        dead_letter_queue=queue,
    )
    schedule = synth(stack).the(SCHEDULE)
    sent = tick(schedule)
    assert (sent["Tick"]["WindowSeconds"], sent["Export"]["MaxWaitSeconds"]) == ("1800", "7200")
    assert sent["Export"]["RetryAttempts"] == "0"
    del schedule["Target"]["Input"]
    assert schedule == {
        "Description": "Exports Prod/Nightly",
        "EndDate": "2100-01-01T00:00:00Z",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 30},
        "GroupName": "nightly",
        "ScheduleExpression": "rate(12 hours)",
        "ScheduleExpressionTimezone": "Etc/UTC",
        "StartDate": "2099-01-01T02:00:00Z",
        "State": "DISABLED",
        "Target": {
            "Arn": "${PersonalizeExportProviderFunction.Arn}",
            "RoleArn": "${PersonalizeExportProviderScheduleRole.Arn}",
            "DeadLetterConfig": {"Arn": "${Undelivered.Arn}"},
            "RetryPolicy": {"MaximumEventAgeInSeconds": 9000},
        },
    }
    assert export.schedule_name != export.schedule_arn
    assert export.resource.ref == export.schedule_name


def test_time_zone_goes_with_the_expression(stack: Stack, synth: Synthesise) -> None:
    scheduled(stack)
    schedule = synth(stack).the(SCHEDULE)
    assert schedule["ScheduleExpression"] == "cron(0 3 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Europe/Berlin"


def test_window_that_is_off_is_none(stack: Stack, synth: Synthesise) -> None:
    scheduled(stack, time_window=TimeWindow.off())
    assert synth(stack).the(SCHEDULE)["FlexibleTimeWindow"] == {"Mode": "OFF"}


def test_tick_is_delivered_for_no_longer_than_a_day(stack: Stack, synth: Synthesise) -> None:
    window = TimeWindow.flexible(Duration.days(1))
    scheduled(stack, schedule=ScheduleExpression.rate(Duration.days(7)), time_window=window)
    assert synth(stack).the(SCHEDULE)["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400}


def test_scheduler_may_start_this_function_for_schedules_of_this_group_and_nothing_else(
    stack: Stack, synth: Synthesise
) -> None:
    scheduled(stack)
    result = synth(stack)
    assert result.statements("PersonalizeExportProviderSchedulePolicy") == [
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "${PersonalizeExportProviderFunction.Arn}"}
    ]
    assert trust(result) == [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Condition": {
                "StringEquals": {"aws:SourceAccount": "${AWS::AccountId}", "aws:SourceArn": f"{GROUPS}/default"}
            },
        }
    ]


def trust(result: Synthesised) -> Any:
    (role,) = [r for r in result.of_type("AWS::IAM::Role") if "scheduler" in str(r)]
    return role["AssumeRolePolicyDocument"]["Statement"]


def test_every_group_and_queue_is_permitted_once(stack: Stack, synth: Synthesise) -> None:
    key = aws_kms.Key(stack, "Key")
    queue = aws_sqs.Queue(stack, "Undelivered", encryption=aws_sqs.QueueEncryption.KMS, encryption_master_key=key)
    group, destination = ScheduleGroup(stack, "Group"), ExportDestination(stack, "Exports")
    more: dict[str, Any] = {"dead_letter_queue": queue, "destination": destination}
    for number, options in enumerate([{}, {}, {"schedule_group": group}, {"schedule_group": group}]):
        scheduled(stack, f"Nightly{number}", **options, **more)
    result = synth(stack)
    first, second = trust(result)
    assert first["Condition"]["StringEquals"]["aws:SourceArn"] == f"{GROUPS}/default"
    arns = {"aws:SourceAccount": "${AWS::AccountId}", "aws:SourceArn": "${Group.Arn}"}
    assert second == {**first, "Condition": {"StringEquals": arns}}
    assert result.statements("PersonalizeExportProviderSchedulePolicy")[1:] == [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "${Undelivered.Arn}"},
        {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "${Key.Arn}"},
    ]


def test_function_may_look_for_jobs_and_does_not_ask_cloudformation(stack: Stack, synth: Synthesise) -> None:
    scheduled(stack)
    assert synth(stack).statements("PersonalizeExportProviderPolicy")[2:] == [
        {
            "Effect": "Allow",
            "Action": "personalize:CreateDatasetExportJob",
            "Resource": [DATASET, f"{JOBS}/Prod-5f5635-*"],
        },
        {"Effect": "Allow", "Action": "personalize:DescribeDatasetExportJob", "Resource": f"{JOBS}/Prod-5f5635-*"},
        {"Effect": "Allow", "Action": "personalize:ListDatasetExportJobs", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": "${NightlyDestinationRole.Arn}",
            "Condition": {"StringEquals": {"iam:PassedToService": "personalize.amazonaws.com"}},
        },
    ]


def test_function_may_call_itself_for_hours_only_where_a_schedule_uses_it(stack: Stack, synth: Synthesise) -> None:
    mine = ExportProvider(stack, "Mine")
    DatasetExport(stack, "Now", dataset=DATASET)
    scheduled(stack, provider=mine)
    functions = {name_of(k): r for k, r in synth(stack).resources.items() if r["Type"] == "AWS::Lambda::Function"}
    assert functions["MineFunction"]["Properties"]["RecursiveLoop"] == "Allow"
    assert "RecursiveLoop" not in functions["PersonalizeExportProviderFunction"]["Properties"]


def test_schedule_begins_after_every_permission(stack: Stack, synth: Synthesise) -> None:
    scheduled(stack)
    assert before(synth(stack)) == ["PersonalizeExportProviderPolicy", "PersonalizeExportProviderSchedulePolicy"]


def test_schedule_waits_for_a_destination_of_the_user_too(stack: Stack, synth: Synthesise) -> None:
    role = aws_iam.Role(stack, "Writer", assumed_by=aws_iam.ServicePrincipal("personalize.amazonaws.com"))
    scheduled(stack, destination=ExportDestination(stack, "Exports", role=role))
    assert before(synth(stack)) == [
        "ExportsBucketPolicy",
        "ExportsRolePolicy",
        "PersonalizeExportProviderPolicy",
        "PersonalizeExportProviderSchedulePolicy",
    ]


def test_function_of_another_stack_gets_its_schedules_a_role_in_theirs(app: App, synth: Synthesise) -> None:
    provider = ExportProvider(Stack(app, "Shared"), "Provider")
    stack = Stack(app, "Exports")
    scheduled(stack, provider=provider, schedule_group=ScheduleGroup(stack, "Group"))
    scheduled(stack, "Items", dataset=ITEMS, provider=provider)
    shared = provider.environment.stack
    assert "AWS::Scheduler::Schedule" not in synth(shared).types
    assert len([r for r in synth(shared).of_type("AWS::IAM::Role") if "scheduler" in str(r)]) == 0
    assert synth(shared).the("AWS::Lambda::Function")["RecursiveLoop"] == "Allow"
    assert len(trust(synth(stack))) == 2
    assert synth(stack).types.count(SCHEDULE) == 2
    assert stack.dependencies == [shared]


def test_nested_stack_may_use_the_function_of_its_parent(stack: Stack, synth: Synthesise) -> None:
    outer = scheduled(stack)
    nested = NestedStack(stack, "Nested")
    inner = scheduled(nested, "Inner", destination=outer.destination, provider=outer.provider)
    assert len(synth(stack).of_type(SCHEDULE)) == 1
    assert inner.resource.stack is nested


def test_prefix_of_a_job_name_leaves_room_for_the_time(stack: Stack, synth: Synthesise) -> None:
    scheduled(stack, "A-rather-long-name-of-an-export")
    prefix = tick(synth(stack).the(SCHEDULE))["Export"]["JobNamePrefix"]
    assert prefix == "Prod-5f5635-A-rather-long-name"
    assert len(f"{prefix}-20261125T0300-{'h' * 12}-9999") <= 63


def test_default_prefix_of_a_long_stack_still_names_the_export(app: App, synth: Synthesise) -> None:
    stack = Stack(app, "Recommendations-For-The-Shop-In-Production")
    scheduled(stack)
    prefix = tick(synth(stack).the(SCHEDULE))["Export"]["JobNamePrefix"]
    assert prefix == "Recommendations-Fo-d2e47b-Night"
    assert len(prefix) == 31


def test_values_known_only_at_deployment_pass_every_check(stack: Stack, synth: Synthesise) -> None:
    unknown = CfnParameter(stack, "Unknown").value_as_string
    scheduled(stack, schedule=ScheduleExpression.expression(unknown), job_name_prefix=unknown * 5)
    scheduled(stack, "Zone", schedule=ScheduleExpression.expression("rate(1 day)", TimeZone.of(unknown)))
    first, second = synth(stack).of_type(SCHEDULE)
    assert first["ScheduleExpression"] == second["ScheduleExpressionTimezone"] == "${Unknown}"


def test_text_with_quotes_reaches_the_function_as_it_is(stack: Stack, synth: Synthesise) -> None:
    scheduled(stack, tags={'say "what"': "a\nb\\c"})
    assert tick(synth(stack).the(SCHEDULE))["Export"]["Tags"] == [{"Key": 'say "what"', "Value": "a\nb\\c"}]


def test_group_is_one_schedule_for_each_dataset(stack: Stack, synth: Synthesise) -> None:
    group = ScheduledDatasetGroupExport(
        stack, "Nightly", dataset_group="movies", dataset_types=TYPES, schedule=nightly(), retry_attempts=1
    )
    result = synth(stack)
    assert len(result.resources) == 13
    told = [tick(schedule)["Export"] for schedule in result.of_type(SCHEDULE)]
    assert [(e["ExportId"], e["JobNamePrefix"], e["RetryAttempts"]) for e in told] == [
        ("Nightly/Interactions", "Prod-5f5635-Interactions", "1"),
        ("Nightly/Items", "Prod-5f5635-Items", "1"),
        ("Nightly/Users", "Prod-5f5635-Users", "1"),
    ]
    assert {e["Bucket"] for e in told} == {"${NightlyDestinationBucket}"}
    assert list(group.exports) == TYPES
    assert stack.resolve(group.exports["ITEMS"].schedule_name)["Ref"].startswith("NightlyItemsSchedule")


def test_reader_may_read_what_the_schedule_exports(stack: Stack, synth: Synthesise) -> None:
    reader = aws_iam.Role(stack, "Reader", assumed_by=aws_iam.AccountRootPrincipal())
    scheduled(stack).grant_read(reader).assert_success()
    (statement,) = synth(stack).statements("ReaderDefaultPolicy")
    assert "${NightlyDestinationBucket.Arn}/personalize/*" in statement["Resource"]


def refusal(stack: Stack, **options: Any) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        scheduled(stack, **options)
    assert stack.node.try_find_child("Nightly") is None, "a refused export leaves nothing behind"
    return str(refused.value)


def test_expression_that_scheduler_would_refuse(stack: Stack) -> None:
    expression = ScheduleExpression.expression("rate(30 seconds)")
    assert refusal(stack, schedule=expression).startswith("schedule 'rate(30 seconds)' is no schedule. Allowed are")
    past = ScheduleExpression.at(datetime(2020, 1, 1, tzinfo=timezone.utc))
    assert refusal(stack, schedule=past).startswith("schedule 'at(2020-01-01T00:00:00)' is in the past")
    zone = ScheduleExpression.cron(time_zone=TimeZone.of("Europe/Atlantis"))
    assert refusal(stack, schedule=zone).startswith("the time zone of the schedule is 'Europe/Atlantis'.")


def test_window_longer_than_the_interval(stack: Stack) -> None:
    hourly = ScheduleExpression.rate(Duration.hours(1))
    assert refusal(stack, schedule=hourly, time_window=TimeWindow.flexible(Duration.minutes(61))) == (
        "time_window is 3660 seconds long, but the schedule comes again after 3600 seconds, so one export could begin "
        "after the next. Allowed is a window no longer than the interval: shorten it."
    )
    scheduled(stack, schedule=hourly, time_window=TimeWindow.flexible(Duration.hours(1)))


def test_end_before_start(stack: Stack) -> None:
    earlier = FUTURE - timedelta(days=1)
    assert refusal(stack, start=FUTURE, end=earlier) == (
        "end is 2099-12-31T00:00:00+00:00, which is not after start, 2100-01-01T00:00:00+00:00: nothing would be "
        "exported. Exchange them, or leave one out."
    )


def test_end_in_the_past(stack: Stack) -> None:
    assert refusal(stack, end=datetime(2020, 1, 1, tzinfo=timezone.utc)) == (
        "end is 2020-01-01T00:00:00+00:00, which is in the past: nothing would be exported. Give a moment to come, or "
        "remove this export."
    )


@pytest.mark.parametrize("option", ["start", "end"])
def test_moment_without_a_time_zone(stack: Stack, option: str) -> None:
    moment = datetime(2100, 1, 1)  # noqa: DTZ001 - what is refused
    assert refusal(stack, **{option: moment}) == (
        f"{option} is 2100-01-01T00:00:00, which has no time zone. Write datetime(..., tzinfo=timezone.utc)."
    )


@pytest.mark.parametrize("max_wait", [Duration.seconds(59), Duration.hours(13)])
def test_waiting_time_nobody_can_keep(stack: Stack, max_wait: Duration) -> None:
    assert refusal(stack, max_wait=max_wait) == (
        f"max_wait is {max_wait.to_seconds():g} seconds. Allowed are 1 minute to 12 hours from the scheduled time on: "
        "write Duration.hours(6), or leave it out for 12 hours."
    )


def test_waiting_time_known_only_at_deployment(stack: Stack) -> None:
    unknown = Duration.seconds(CfnParameter(stack, "Seconds", type="Number").value_as_number)
    assert refusal(stack, max_wait=unknown).startswith("max_wait is only known at deployment. Allowed are 1 minute")


def test_fifo_queue_for_ticks(stack: Stack) -> None:
    assert refusal(stack, dead_letter_queue=aws_sqs.Queue(stack, "Queue", fifo=True)) == (
        "dead_letter_queue is a FIFO queue, to which Amazon EventBridge Scheduler cannot send what it gave up on: pass "
        "a standard queue."
    )


@pytest.mark.parametrize("prefix", ["p" * 32, "a b", ""])
def test_prefix_without_room_for_the_time(stack: Stack, prefix: str) -> None:
    assert refusal(stack, job_name_prefix=prefix) == (
        f"job_name_prefix {prefix!r} has {len(prefix)} characters. Allowed are 1 to 31 letters, digits, hyphens and "
        "underscores, the first a letter or digit: a job name has at most 63 characters, which are this prefix, a "
        "hyphen, 13 for the scheduled time, a hyphen, 12 that identify the export, a hyphen and up to 4 that number "
        "the attempt."
    )


def test_what_is_refused_of_a_deployment_is_refused_of_a_schedule(app: App) -> None:
    stack = Stack(app, "Prod", env=Environment(account="123456789012", region="eu-west-1"))
    assert "is in Region us-east-1, but stack 'Prod' deploys to Region eu-west-1." in refusal(stack)


def test_exports_that_expire_before_two_of_them_can_fail(stack: Stack) -> None:
    destination = ExportDestination(stack, "Exports", expire_after=Duration.days(13))
    weekly = ScheduleExpression.cron(hour="3", minute="0", week_day="SUN")
    assert refusal(stack, destination=destination, schedule=weekly) == (
        "expire_after is 13 days, but the schedule exports every 7 days: after one export that fails, nothing would be "
        "left. Allowed are two intervals or more: raise expire_after of the ExportDestination."
    )
    longer = ExportDestination(stack, "Longer", expire_after=Duration.days(14))
    scheduled(stack, destination=longer, schedule=weekly)


def test_exports_that_may_expire_before_the_next_one_is_made(stack: Stack, synth: Synthesise) -> None:
    destination = ExportDestination(stack, "Exports", expire_after=Duration.days(30))
    scheduled(stack, destination=destination, schedule=ScheduleExpression.cron(day="L", hour="3", minute="0"))
    (warning,) = [text for text in synth(stack).warnings if "expire" in text]
    assert warning.startswith(
        "expire_after is 30 days, and how far apart the exports of this schedule are is not known here. Exports that "
        "fail for so long leave nothing: let it be two intervals at least."
    )


@pytest.mark.parametrize("expression", ["rate(1 day)", "at(2100-01-01T00:00:00)"])
def test_exports_that_expire_late_enough_or_come_once_are_no_reason_to_warn(
    stack: Stack, synth: Synthesise, expression: str
) -> None:
    destination = ExportDestination(stack, "Exports", expire_after=Duration.days(2))
    scheduled(stack, destination=destination, schedule=ScheduleExpression.expression(expression))
    assert synth(stack).warnings == []


def test_more_schedule_groups_than_a_trust_policy_can_name(stack: Stack) -> None:
    destination = ExportDestination(stack, "Exports")
    for number in range(6):
        group = ScheduleGroup(stack, f"Group{number}")
        scheduled(stack, f"E{number}", destination=destination, schedule_group=group)
    with pytest.raises(ValueError, match=r".") as refused:
        scheduled(stack, destination=destination)
    assert str(refused.value) == (
        "the schedules of ExportProvider 'Prod/PersonalizeExportProvider' are in more than 6 schedule groups, which is "
        "as many as the trust policy of their role can name: share groups, or give some of the schedules another "
        "provider."
    )
