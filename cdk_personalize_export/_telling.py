"""Who hears of exports, and how: the rules, alarms and widgets that rest on what the function tells.

Amazon Personalize has neither events nor metrics of export jobs, so the function sends an event and writes metrics
itself, for the exports somebody listens to. See
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration

from cdk_personalize_export import _permissions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_events as events
    from constructs import Construct

NAMESPACE = "cdk-personalize-export"
DIMENSION = "Export"
STARTED, NOT_SUCCEEDED = ("STARTED",), ("FAILED", "TIMED_OUT")
SUCCEEDED: Sequence[str] = ("SUCCEEDED",)
ANY: Sequence[str] = ()
COUNTS = ("Succeeded", "Failed", "TimedOut")
METRICS = (*COUNTS, "Duration", "Attempts")
_HALF = 12  # of the 24 columns of a dashboard


def rule(  # noqa: PLR0913 - what a rule is made of
    scope: Construct,
    construct_id: str,
    *,
    stack_id: str,
    export_ids: list[str],
    outcomes: Sequence[str],
    event_bus: events.IEventBus | None,
    **options: Any,  # noqa: ANN401 - of `events.Rule`
) -> events.Rule:
    """Make a rule for the events of exports."""
    from aws_cdk import aws_events  # noqa: PLC0415 - not at import: it costs start-up time

    target = options.pop("target")
    detail: dict[str, Any] = {"stackId": [stack_id], "exportId": export_ids}
    if outcomes:
        detail["outcome"] = list(outcomes)
    pattern = aws_events.EventPattern(
        source=[_permissions.EVENT_SOURCE], detail_type=[_permissions.EVENT_TYPE], detail=detail
    )
    targets = [] if target is None else [target]
    return aws_events.Rule(scope, construct_id, event_bus=event_bus, event_pattern=pattern, targets=targets, **options)


def metric(dimension: str, name: str, **options: Any) -> cloudwatch.Metric:  # noqa: ANN401 - of `cloudwatch.Metric`
    """Return a metric of an export."""
    from aws_cdk import aws_cloudwatch  # noqa: PLC0415 - not at import: it costs start-up time

    statistic = "Sum" if name in COUNTS else "Maximum"
    given = {"statistic": statistic, "dimensions_map": {DIMENSION: dimension}, **options}
    return aws_cloudwatch.Metric(namespace=NAMESPACE, metric_name=name, **given)


def metric_of_all(name: str, metrics: Sequence[cloudwatch.Metric], **options: Any) -> cloudwatch.MathExpression:  # noqa: ANN401 - of `cloudwatch.MathExpression`
    """Return counts of several exports together, or the highest of anything else."""
    from aws_cdk import aws_cloudwatch  # noqa: PLC0415 - not at import: it costs start-up time

    used = {f"m{number}": one for number, one in enumerate(metrics)}
    together = " + ".join(f"FILL({key}, 0)" for key in used)  # a sum has a value only where all its terms have one
    expression = together if name in COUNTS else f"MAX([{', '.join(used)}])"
    given = {"label": name, **options}
    return aws_cloudwatch.MathExpression(expression=expression, using_metrics=used, **given)


def alarm_when_failed(scope: Construct, construct_id: str, succeeded: cloudwatch.Metric, name: str) -> cloudwatch.Alarm:
    """Make an alarm for an export that did not succeed: the metric has a zero then."""
    return _alarm(
        scope,
        construct_id,
        succeeded.with_(statistic="Minimum", period=Duration.minutes(5)),
        periods=1,
        missing="NOT_BREACHING",
        description=f"Export {name} failed, or was not done in time",
    )


def alarm_when_silent(
    scope: Construct, construct_id: str, succeeded: cloudwatch.Metric, name: str, hours: int
) -> cloudwatch.Alarm:
    """Make an alarm for the lack of a successful export: an hour without any data is one without success."""
    return _alarm(
        scope,
        construct_id,
        succeeded.with_(statistic="Sum", period=Duration.hours(1)),
        periods=hours,
        missing="BREACHING",
        description=f"Export {name} has not succeeded for {hours} hours",
    )


def _alarm(  # noqa: PLR0913 - what differs between alarms
    scope: Construct, construct_id: str, watched: cloudwatch.Metric, *, periods: int, missing: str, description: str
) -> cloudwatch.Alarm:
    from aws_cdk import aws_cloudwatch  # noqa: PLC0415 - not at import: it costs start-up time

    return aws_cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_description=description,
        comparison_operator=aws_cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        evaluation_periods=periods,
        metric=watched,
        threshold=1,
        treat_missing_data=aws_cloudwatch.TreatMissingData[missing],
    )


def widgets(
    title: str, metrics: Mapping[str, Mapping[str, cloudwatch.Metric]], alarms: list[cloudwatch.Alarm]
) -> list[cloudwatch.IWidget]:
    """Return widgets about exports, whose metrics are given by export and by metric."""
    from aws_cdk import aws_cloudwatch  # noqa: PLC0415 - not at import: it costs start-up time

    def lines(*names: str) -> list[cloudwatch.IMetric]:
        hour, several = Duration.hours(1), len(names) > 1
        return [
            of_export[name].with_(label=f"{export} {name}" if several else export, period=hour)
            for export, of_export in metrics.items()
            for name in names
        ]

    last_day = Duration.days(1)
    found: list[cloudwatch.IWidget] = [
        aws_cloudwatch.SingleValueWidget(
            title=f"{title}: succeeded in the last day",
            metrics=[m["Succeeded"].with_(label=export, period=last_day) for export, m in metrics.items()],
            width=_HALF,
        ),
        aws_cloudwatch.GraphWidget(title=f"{title}: seconds", left=lines("Duration"), width=_HALF),
        aws_cloudwatch.GraphWidget(title=f"{title}: not succeeded", left=lines("Failed", "TimedOut"), width=_HALF),
    ]
    if alarms:
        found.append(aws_cloudwatch.AlarmStatusWidget(title=f"{title}: alarms", alarms=list(alarms), width=_HALF))
    return found
