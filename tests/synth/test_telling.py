"""What an export tells once somebody listens: events, metrics, alarms and widgets, and nothing before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Stack, TimeZone, aws_cloudwatch, aws_events, aws_sns
from aws_cdk.aws_cloudwatch_actions import SnsAction
from aws_cdk.aws_events_targets import SnsTopic
from aws_cdk.aws_scheduler import ScheduleExpression

from cdk_personalize_export import (
    DatasetExport,
    DatasetGroupExport,
    ExportDestination,
    ExportProvider,
    ScheduledDatasetExport,
    ScheduledDatasetGroupExport,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.synth.conftest import Synthesise, Synthesised

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
DEFAULT_BUS = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"
RULE, ALARM, SCHEDULE = "AWS::Events::Rule", "AWS::CloudWatch::Alarm", "AWS::Scheduler::Schedule"
TYPES = ["ITEMS", "USERS"]
TELLING = {"EventBus", "ConstructPath", "TellStarted", "Metrics"}

Export = DatasetExport | ScheduledDatasetExport


def nightly() -> ScheduleExpression:
    return ScheduleExpression.cron(hour="3", minute="0", time_zone=TimeZone.EUROPE_BERLIN)


def deployed(stack: Stack, **options: Any) -> DatasetExport:
    return DatasetExport(stack, "Export", dataset=DATASET, **options)


def scheduled(stack: Stack, **options: Any) -> ScheduledDatasetExport:
    return ScheduledDatasetExport(stack, "Export", **{"dataset": DATASET, "schedule": nightly(), **options})


def group(stack: Stack, **options: Any) -> ScheduledDatasetGroupExport:
    named = {"dataset_group": "movies", "dataset_types": TYPES}
    return ScheduledDatasetGroupExport(stack, "Group", schedule=nightly(), **named, **options)  # type: ignore[arg-type]


EITHER = pytest.mark.parametrize("make", [deployed, scheduled])
Make = "Callable[..., Export]"


def told(result: Synthesised) -> list[dict[str, str]]:
    """What each export is told to tell."""
    ticks = [json.loads(schedule["Target"]["Input"])["Export"] for schedule in result.of_type(SCHEDULE)]
    return [{k: v for k, v in one.items() if k in TELLING} for one in [*result.exports, *result.links, *ticks]]


def pattern(rule: dict[str, Any]) -> Any:
    return rule["EventPattern"]


@EITHER
def test_nobody_listens_nothing_is_told(stack: Stack, synth: Synthesise, make: Callable[..., Export]) -> None:
    make(stack)
    result = synth(stack)
    assert told(result) == [{}]
    assert result.allowed("events:PutEvents") == []


@EITHER
@pytest.mark.parametrize(
    ("listen", "outcomes"),
    [
        ("on_event", {}),
        ("on_succeeded", {"outcome": ["SUCCEEDED"]}),
        ("on_failed", {"outcome": ["FAILED", "TIMED_OUT"]}),
    ],
)
def test_rule_is_for_the_events_of_this_export(
    stack: Stack, synth: Synthesise, make: Callable[..., Export], listen: str, outcomes: dict[str, Any]
) -> None:
    rule = getattr(make(stack), listen)(
        "Tell", target=SnsTopic(aws_sns.Topic(stack, "Topic")), description="for people", rule_name="tell"
    )
    assert isinstance(rule, aws_events.Rule)
    result = synth(stack)
    made = result.the(RULE)
    assert pattern(made) == {
        "source": ["cdk-personalize-export"],
        "detail-type": ["Personalize Dataset Export Job State Change"],
        "detail": {"stackId": ["${AWS::StackId}"], "exportId": ["Export"], **outcomes},
    }
    assert (made["Description"], made["Name"], len(made["Targets"])) == ("for people", "tell", 1)
    assert "EventBusName" not in made
    assert told(result) == [{"EventBus": DEFAULT_BUS, "ConstructPath": "Prod/Export"}]


@EITHER
def test_start_is_told_only_where_somebody_asks_for_it(
    stack: Stack, synth: Synthesise, make: Callable[..., Export]
) -> None:
    make(stack).on_started("Tell")
    result = synth(stack)
    assert pattern(result.the(RULE))["detail"]["outcome"] == ["STARTED"]
    assert told(result) == [{"EventBus": DEFAULT_BUS, "ConstructPath": "Prod/Export", "TellStarted": "true"}]


@EITHER
def test_function_may_send_these_events_to_this_bus_and_no_others(
    stack: Stack, synth: Synthesise, make: Callable[..., Export]
) -> None:
    export = make(stack)
    export.on_failed("Failed")
    export.on_succeeded("Succeeded")
    statements = synth(stack).statements("PersonalizeExportProviderPolicy")
    assert [s for s in statements if "events:PutEvents" in s["Action"]] == [
        {
            "Effect": "Allow",
            "Action": "events:PutEvents",
            "Resource": DEFAULT_BUS,
            "Condition": {
                "ForAllValues:StringEquals": {
                    "events:source": "cdk-personalize-export",
                    "events:detail-type": "Personalize Dataset Export Job State Change",
                },
                "Null": {"events:source": "false", "events:detail-type": "false"},
            },
        }
    ]


@EITHER
def test_bus_that_is_given_gets_events_whoever_listens(
    stack: Stack, synth: Synthesise, make: Callable[..., Export]
) -> None:
    bus = aws_events.EventBus(stack, "Bus")
    export = make(stack, event_bus=bus)
    assert told(synth(stack)) == [{"EventBus": "${Bus.Arn}", "ConstructPath": "Prod/Export"}]
    export.on_failed("Tell")
    result = synth(stack)
    assert result.the(RULE)["EventBusName"] == "${Bus}"
    assert result.allowed("events:PutEvents") == ["${Bus.Arn}"]


def test_every_link_of_an_export_tells(stack: Stack, synth: Synthesise) -> None:
    deployed(stack, max_wait=Duration.hours(2)).on_failed("Tell")
    assert told(synth(stack)) == [{"EventBus": DEFAULT_BUS, "ConstructPath": "Prod/Export"}] * 3


def test_export_waits_for_the_permission_to_tell_also_when_it_is_in_a_policy_of_its_own(
    stack: Stack, synth: Synthesise
) -> None:
    first = deployed(stack)
    for number in range(60):
        arn = f"arn:aws:personalize:us-east-1:123456789012:dataset/{'m' * 50}{number}/ITEMS"
        DatasetExport(stack, f"Export{number}", dataset=arn, destination=first.destination)
    first.on_failed("Tell")
    result = synth(stack)
    (policy,) = [key for key, r in result.resources.items() if "events:PutEvents" in json.dumps(r)]
    assert policy.startswith("PersonalizeExportProviderPolicy2")
    (export,) = [r for key, r in result.resources.items() if key.startswith("ExportResource")]
    assert policy in export["DependsOn"]


def test_group_has_one_rule_for_all_its_exports(stack: Stack, synth: Synthesise) -> None:
    group(stack).on_failed("Tell")
    result = synth(stack)
    assert pattern(result.the(RULE))["detail"] == {
        "stackId": ["${AWS::StackId}"],
        "exportId": ["Group/Items", "Group/Users"],
        "outcome": ["FAILED", "TIMED_OUT"],
    }
    assert [one["ConstructPath"] for one in told(result)] == ["Prod/Group/Items", "Prod/Group/Users"]


def test_bus_of_a_group_is_that_of_its_exports(stack: Stack, synth: Synthesise) -> None:
    bus = aws_events.EventBus(stack, "Bus")
    DatasetGroupExport(stack, "Shop", dataset_group="movies", dataset_types=TYPES, event_bus=bus).on_event("Tell")
    result = synth(stack)
    assert result.the(RULE)["EventBusName"] == "${Bus}"
    assert [one["EventBus"] for one in told(result)] == ["${Bus.Arn}"] * 2


def test_rule_is_in_the_stack_of_the_export_and_events_are_permitted_there(app: App, synth: Synthesise) -> None:
    provider = ExportProvider(Stack(app, "Shared"), "Provider")
    stack = Stack(app, "Exports")
    scheduled(stack, provider=provider).on_failed("Tell")
    assert "events:PutEvents" in json.dumps(synth(stack).of_type("AWS::IAM::ManagedPolicy"))
    assert "events:PutEvents" not in json.dumps(synth(provider.environment.stack).template)


@EITHER
@pytest.mark.parametrize(
    ("metric", "name", "statistic"),
    [
        ("metric_succeeded", "Succeeded", "Sum"),
        ("metric_failed", "Failed", "Sum"),
        ("metric_timed_out", "TimedOut", "Sum"),
        ("metric_duration", "Duration", "Maximum"),
        ("metric_attempts", "Attempts", "Maximum"),
    ],
)
def test_metric_is_of_this_export_and_is_written_from_then_on(  # noqa: PLR0913, PLR0917 - one row of a table
    stack: Stack, synth: Synthesise, make: Callable[..., Export], metric: str, name: str, statistic: str
) -> None:
    found = getattr(make(stack), metric)(period=Duration.hours(1), label="mine")
    assert (found.namespace, found.metric_name, found.statistic) == ("cdk-personalize-export", name, statistic)
    assert (found.period.to_hours(), found.label) == (1, "mine")
    assert stack.resolve(found.dimensions) == {"Export": "Prod/Export"}
    assert told(synth(stack)) == [{"Metrics": "Prod/Export"}]


@pytest.mark.parametrize("make", [deployed, scheduled, group])
def test_metric_the_function_does_not_write(stack: Stack, make: Callable[..., Any]) -> None:
    export = make(stack)
    assert refusal(lambda: export.metric("failed")) == (
        "metric 'failed' is none the function writes. Allowed are Succeeded, Failed, TimedOut, Duration, Attempts; "
        "write one of these, or use metric_failed and the like."
    )


def test_metrics_need_no_permission(stack: Stack, synth: Synthesise) -> None:
    scheduled(stack)
    without = synth(stack).of_type("AWS::IAM::ManagedPolicy")
    other = Stack(App(), "Prod")
    scheduled(other).metric_failed()
    assert synth(other).of_type("AWS::IAM::ManagedPolicy") == without


def test_statistic_is_the_users_to_choose(stack: Stack) -> None:
    assert scheduled(stack).metric("Duration", statistic="Average").statistic == "Average"


@pytest.mark.parametrize(
    ("metric", "expression"),
    [("metric_failed", "FILL(m0, 0) + FILL(m1, 0)"), ("metric_duration", "MAX([m0, m1])")],
)
def test_metric_of_a_group_is_that_of_all_its_exports(
    stack: Stack, synth: Synthesise, metric: str, expression: str
) -> None:
    found = getattr(group(stack), metric)(period=Duration.hours(1), color="#d13212")
    assert isinstance(found, aws_cloudwatch.MathExpression)
    assert (found.expression, found.period.to_hours(), found.color) == (expression, 1, "#d13212")
    used: list[Any] = list(found.using_metrics.values())
    assert [one.dimensions["Export"].rpartition("/")[2] for one in used] == ["Items", "Users"]
    assert [one["Metrics"] for one in told(synth(stack))] == ["Prod/Group/Items", "Prod/Group/Users"]


def test_metric_of_a_group_is_called_what_it_is(stack: Stack) -> None:
    export = group(stack)
    assert export.metric_failed().label == "Failed"
    assert export.metric_failed(label="Broken").label == "Broken"


@EITHER
def test_alarm_goes_off_when_an_export_did_not_succeed(
    stack: Stack, synth: Synthesise, make: Callable[..., Export]
) -> None:
    alarm = make(stack).alarm_when_failed("Failed")
    alarm.add_alarm_action(SnsAction(aws_sns.Topic(stack, "Topic")))
    assert synth(stack).the(ALARM) == {
        "AlarmActions": ["${Topic}"],
        "AlarmDescription": "Export Prod/Export failed, or was not done in time",
        "ComparisonOperator": "LessThanThreshold",
        "Dimensions": [{"Name": "Export", "Value": "Prod/Export"}],
        "EvaluationPeriods": 1,
        "MetricName": "Succeeded",
        "Namespace": "cdk-personalize-export",
        "Period": 300,
        "Statistic": "Minimum",
        "Threshold": 1,
        "TreatMissingData": "notBreaching",
    }


@EITHER
def test_alarm_goes_off_when_nothing_has_succeeded_for_a_time(
    stack: Stack, synth: Synthesise, make: Callable[..., Export]
) -> None:
    make(stack).alarm_when_silent("Silent", for_=Duration.hours(26))
    assert synth(stack).the(ALARM) == {
        "AlarmDescription": "Export Prod/Export has not succeeded for 26 hours",
        "ComparisonOperator": "LessThanThreshold",
        "Dimensions": [{"Name": "Export", "Value": "Prod/Export"}],
        "EvaluationPeriods": 26,
        "MetricName": "Succeeded",
        "Namespace": "cdk-personalize-export",
        "Period": 3600,
        "Statistic": "Sum",
        "Threshold": 1,
        "TreatMissingData": "breaching",
    }


def test_group_has_an_alarm_for_each_export_and_one_action_for_all(stack: Stack, synth: Synthesise) -> None:
    export, action = group(stack), SnsAction(aws_sns.Topic(stack, "Topic"))
    silent = export.alarm_when_silent("Silent", for_=Duration.hours(26))
    silent.add_alarm_action(action)
    export.alarm_when_failed("Failed").add_ok_action(action)
    result = synth(stack).of_type(ALARM)
    assert list(silent.alarms) == TYPES
    assert [a["AlarmDescription"] for a in result if "AlarmActions" in a] == [
        "Export Prod/Group/Items has not succeeded for 26 hours",
        "Export Prod/Group/Users has not succeeded for 26 hours",
    ]
    assert len([a for a in result if "OKActions" in a]) == 2
    assert len(result) == 4


def test_widgets_show_outcomes_durations_failures_and_alarms(stack: Stack, synth: Synthesise) -> None:
    export = group(stack)
    export.alarm_when_silent("Silent", for_=Duration.hours(26))
    export.alarm_when_failed("Failed")
    aws_cloudwatch.Dashboard(stack, "Board", widgets=[export.widgets()])
    result = synth(stack)
    body = json.loads(result.the("AWS::CloudWatch::Dashboard")["DashboardBody"])
    assert [(w["type"], w["properties"]["title"]) for w in body["widgets"]] == [
        ("metric", "Group: succeeded in the last day"),
        ("metric", "Group: seconds"),
        ("metric", "Group: not succeeded"),
        ("alarm", "Group: alarms"),
    ]
    last, seconds, failures, alarms = (w["properties"] for w in body["widgets"])
    assert [m[-1]["label"] for m in last["metrics"]] == TYPES
    assert [(m[1], m[-1]["label"]) for m in seconds["metrics"]] == [("Duration", "ITEMS"), ("Duration", "USERS")]
    assert [m[-1]["label"] for m in failures["metrics"]] == [
        "ITEMS Failed",
        "ITEMS TimedOut",
        "USERS Failed",
        "USERS TimedOut",
    ]
    assert len(alarms["alarms"]) == 4
    assert all("Metrics" in one for one in told(result))


@EITHER
def test_widgets_of_an_export_without_alarms_show_none(
    stack: Stack, synth: Synthesise, make: Callable[..., Export]
) -> None:
    aws_cloudwatch.Dashboard(stack, "Board", widgets=[make(stack).widgets()])
    body = json.loads(synth(stack).the("AWS::CloudWatch::Dashboard")["DashboardBody"])
    assert [w["properties"]["title"] for w in body["widgets"]] == [
        "Export: succeeded in the last day",
        "Export: seconds",
        "Export: not succeeded",
    ]


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        make()
    return str(refused.value)


WITHOUT_WAITING = (
    "{} is used with wait=False, which waits for nothing, so nobody learns how the job ends. Leave wait out, or use "
    "on_started."
)


def test_outcome_of_an_export_nobody_waits_for(stack: Stack, synth: Synthesise) -> None:
    export = deployed(stack, wait=False)
    for listen in (export.on_event, export.on_failed, export.on_succeeded):
        assert refusal(lambda listen=listen: listen("Tell")) == WITHOUT_WAITING.format(  # type: ignore[misc]
            "on_event, on_succeeded or on_failed"
        )
    assert refusal(export.metric_failed) == WITHOUT_WAITING.format("a metric")
    assert refusal(lambda: export.alarm_when_failed("Failed")) == WITHOUT_WAITING.format("a metric")
    assert refusal(export.widgets) == WITHOUT_WAITING.format("a metric")
    bus = aws_events.EventBus(stack, "Bus")
    assert refusal(
        lambda: DatasetExport(stack, "Other", dataset=DATASET, wait=False, event_bus=bus)
    ) == WITHOUT_WAITING.format("event_bus")
    export.on_started("Started")
    assert told(synth(stack))[0]["TellStarted"] == "true"


@pytest.mark.parametrize("silence", [Duration.minutes(90), Duration.hours(169), Duration.seconds(0)])
def test_silence_that_cloudwatch_cannot_watch(stack: Stack, silence: Duration) -> None:
    assert refusal(lambda: deployed(stack).alarm_when_silent("Silent", for_=silence)) == (
        f"for_ is {silence.to_seconds():g} seconds. Allowed are whole hours, 1 to 168, because a CloudWatch alarm "
        "looks back 7 days at most: write Duration.hours(26)."
    )


def test_silence_known_only_at_deployment(stack: Stack) -> None:
    unknown = Duration.seconds(CfnParameter(stack, "Seconds", type="Number").value_as_number)
    assert refusal(lambda: deployed(stack).alarm_when_silent("Silent", for_=unknown)).startswith(
        "for_ is only known at deployment. Allowed are whole hours, 1 to 168"
    )


def test_silence_that_every_night_brings(stack: Stack) -> None:
    assert refusal(lambda: scheduled(stack).alarm_when_silent("Silent", for_=Duration.hours(24))) == (
        "for_ is 24 hours, but the schedule exports every 24 hours, so the alarm would go off between two exports. "
        "Allowed is what is longer than the interval: add the time an export takes, and some."
    )


def test_silence_of_what_comes_once_a_week(stack: Stack) -> None:
    weekly = ScheduleExpression.cron(week_day="SUN", hour="3", minute="0")
    assert refusal(lambda: scheduled(stack, schedule=weekly).alarm_when_silent("Silent", for_=Duration.days(7))) == (
        "the schedule exports every 7 days, and a CloudWatch alarm looks back 7 days at most, so it would go off "
        "between two exports, whatever for_ is. Use alarm_when_failed, or export more often."
    )


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("target", "topic", "'topic'. It must be an events.IRuleTarget: write aws_events_targets.SnsTopic(topic)."),
        ("description", 7, "7. It must be a string"),
        ("rule_name", 7, "7. It must be a string"),
    ],
)
def test_rule_of_a_wrong_type(stack: Stack, option: str, value: Any, message: str) -> None:
    export = scheduled(stack)
    assert refusal(lambda: export.on_failed("Tell", **{option: value})).startswith(f"{option} is {message}")


def test_silence_of_a_wrong_type(stack: Stack) -> None:
    export: Any = scheduled(stack)
    for value in (26, None):
        assert refusal(lambda value=value: export.alarm_when_silent("Silent", for_=value)) == (  # type: ignore[misc]
            f"for_ is {value}. It must be a Duration of the CDK: write Duration.hours(26)."
        )


def test_destination_and_provider_of_the_user_serve_ticks(stack: Stack, synth: Synthesise) -> None:
    provider, destination = ExportProvider(stack, "Mine"), ExportDestination(stack, "Exports", prefix="")
    export = scheduled(stack, provider=provider, destination=destination)
    assert export.provider is provider
    assert export.destination is destination
    sent = json.loads(synth(stack).the(SCHEDULE)["Target"]["Input"])["Export"]
    assert "Prefix" not in sent
