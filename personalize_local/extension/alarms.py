"""Alarms on metrics: how many data points breach, what a missing one counts as, and what a change of state sets off.

Rests on https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html. Unlike AWS, which looks
once a minute at periods of the clock, periods end now, so a state changes within a second. Unknown: how many data
points AWS looks at beyond the evaluation periods; its examples have two.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.session import Session

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from personalize_local.extension.clock import Clock

logger = logging.getLogger("personalize_local")

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
TICK_SECONDS = 0.5
UNCHECKED = "Unchecked: Initial alarm creation"
HOUR, DAY, WEEK = 3600, 86400, 604800
SHORT_PERIODS = (10, 20, 30)
TREATMENTS = ("breaching", "notBreaching", "ignore", "missing")
HOLD_SECONDS = 10.0
"""How long a state that SetAlarmState set stays; on AWS it stays until the next evaluation, up to a minute."""
POINTS_BEYOND = 2
WORDS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": ("greater than or equal to", lambda value, threshold: value >= threshold),
    "GreaterThanThreshold": ("greater than", lambda value, threshold: value > threshold),
    "LessThanThreshold": ("less than", lambda value, threshold: value < threshold),
    "LessThanOrEqualToThreshold": ("less than or equal to", lambda value, threshold: value <= threshold),
}
ACTIONS = {ALARM: "AlarmActions", OK: "OKActions", INSUFFICIENT_DATA: "InsufficientDataActions"}


@dataclass(frozen=True)
class Point:
    """One data point of an alarm's metric; the age counts periods, 0 is the latest."""

    age: int
    at: float
    value: float
    samples: float = 1.0


@dataclass(frozen=True)
class Rule:
    """When an alarm is one; it counts when it says how many of its data points must breach."""

    operator: str
    threshold: float
    periods: int
    to_alarm: int
    missing: str = "missing"
    counts: bool = False

    def breaches(self, point: Point) -> bool:
        """Tell whether a data point is beyond the threshold."""
        return WORDS[self.operator][1](point.value, self.threshold)


@dataclass(frozen=True)
class Verdict:
    """The state an alarm is in, and why."""

    state: str
    reason: str
    used: tuple[Point, ...] = ()


def evaluate(rule: Rule, points: Sequence[Point]) -> Verdict | None:
    """Return the state for the data points of the evaluation range, None when the alarm keeps the one it has.

    Args:
        rule: The alarm's.
        points: Those that are there, the latest first.
    """
    used = tuple(points[: rule.periods])
    filled = rule.periods - len(used)
    breaching = sum(rule.breaches(point) for point in used)
    if not used:
        return _without_data(rule)
    if filled and rule.missing == "breaching":
        breaching += filled
    elif filled and rule.missing != "notBreaching" and breaching == len(used) < rule.to_alarm:
        if rule.missing == "ignore" or used[-1].age + 1 < rule.to_alarm:
            return None
        breaching = rule.to_alarm  # the oldest one breaches long enough ago, and nothing since says otherwise
    state = ALARM if breaching >= rule.to_alarm else OK
    return Verdict(state, _reason(rule, used, state, filled), used)


def _without_data(rule: Rule) -> Verdict | None:
    """Return the state when no data point is there at all."""
    if rule.missing == "ignore":
        return None
    plural, were = ("", "was") if rule.periods == 1 else ("s", "were")
    if rule.missing == "missing":
        text = f"Insufficient Data: {rule.periods} datapoint{plural} {were} unknown."
        return Verdict(INSUFFICIENT_DATA, text)
    state, treated = (ALARM, "Breaching") if rule.missing == "breaching" else (OK, "NonBreaching")
    return Verdict(
        state,
        f"Threshold Crossed: no datapoints were received for {rule.periods} period{plural} and "
        f"{rule.periods} missing datapoint{plural} {were} treated as [{treated}].",
    )


def _reason(rule: Rule, used: Sequence[Point], state: str, filled: int) -> str:
    """Word the reason as CloudWatch does; the words for missing data points among others are (inferred)."""
    agreeing = [point for point in used if rule.breaches(point) is (state == ALARM)] or list(used)
    written = ", ".join(f"{point.value} ({_day_first(point.at)})" for point in agreeing)
    plural, was = ("", "was") if len(agreeing) == 1 else ("s", "were")
    count = f"{len(agreeing)} datapoint{plural}"
    if rule.counts:
        count = f"{len(agreeing)} out of the last {len(used)} datapoints"
    negation = "" if rule.breaches(agreeing[0]) else "not "
    text = f"Threshold Crossed: {count} [{written}] {was} {negation}{WORDS[rule.operator][0]} the threshold "
    text += f"({rule.threshold})"
    if filled and rule.missing in ("breaching", "notBreaching"):
        kind = "Breaching" if rule.missing == "breaching" else "NonBreaching"
        text += f" and {filled} missing datapoint{'' if filled == 1 else 's'} treated as [{kind}]"
    if rule.counts:
        change = "OK -> ALARM" if state == ALARM else "ALARM -> OK"
        least = rule.to_alarm if state == ALARM else rule.periods - rule.to_alarm + 1
        text += f" (minimum {least} datapoint{'' if least == 1 else 's'} for {change} transition)"
    return f"{text}."


def problem(alarm: Mapping[str, Any]) -> str:
    """Return why PutMetricAlarm refuses an alarm on one metric, empty when it does not.

    Args:
        alarm: Its members; of those that are left out, the defaults count.
    """
    period, periods = int(alarm.get("Period") or 60), int(alarm.get("EvaluationPeriods") or 1)
    limit, span = (DAY, "day") if period < HOUR else (WEEK, "week")
    if period not in SHORT_PERIODS and (period < 1 or period % 60):
        return "Period must be 10, 20, 30 or a multiple of 60"
    if int(alarm.get("DatapointsToAlarm") or 0) > periods:
        return "DatapointsToAlarm must be less than or equal to EvaluationPeriods."
    if period * periods > limit:
        return (
            f"Metrics cannot be checked across more than a {span} (EvaluationPeriods * Period must be <= {limit}) "
            f"for alarms using period {'<' if period < HOUR else '>='} {HOUR}"
        )
    if (alarm.get("TreatMissingData") or "missing") not in TREATMENTS:  # (text unknown)
        return f"TreatMissingData must be one of {', '.join(TREATMENTS)}, not {alarm['TreatMissingData']}"
    return ""


class Alarms:
    """Looks at every alarm of every account and Region.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        """Keep it."""
        self._clock = clock
        self._cloudwatch = patches.load(patches.CLOUDWATCH)
        self._scope = patches.load(patches.RESPONSES).request_scope
        self._reasons: dict[str, str] = {}

    def register(self) -> None:
        """Take the place of ministack's evaluation, which knows neither dimensions nor missing data, and start."""
        self._cloudwatch.time = _MovedTime(self._clock)
        patches.wrap(patches.CLOUDWATCH, "_evaluate_alarm", lambda _original: lambda _alarm: None)
        patches.wrap(patches.CLOUDWATCH, "_dispatch_alarm_actions", lambda _original: self._tell)
        patches.wrap(patches.CLOUDWATCH, "_put_metric_alarm", self._refuse_in_the_api)
        patches.wrap(patches.CLOUDWATCH, "cloudformation_put_metric_alarm", _refuse_in_a_stack)
        threading.Thread(target=self._loop, name="alarms", daemon=True).start()

    def _refuse_in_the_api(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def put(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Any:  # noqa: FBT001, FBT002 - ministack's
            names = ("Period", "EvaluationPeriods", "DatapointsToAlarm", "TreatMissingData")
            query = {name: self._cloudwatch._p(params, name) for name in names}  # noqa: SLF001 - no public interface
            refused = problem(data if is_cbor or is_json else query)
            if refused:
                error = self._cloudwatch._error  # noqa: SLF001 - as above
                return error("ValidationError", refused, 400, use_json=is_json, use_cbor=is_cbor)
            return original(params, data, is_cbor, is_json)

        return put

    def _loop(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            for (account, region, name), alarm in list(self._cloudwatch._alarms._data.items()):  # noqa: SLF001
                with self._scope(account, region):
                    self._look_and_go_on(name, alarm)

    def _look_and_go_on(self, name: str, alarm: dict[str, Any]) -> None:
        """Evaluate one alarm; a fault in it is logged and leaves the others alone."""
        try:
            self._look(alarm)
        except Exception:
            logger.exception("the alarm %s was not evaluated", name)

    def _look(self, alarm: dict[str, Any]) -> None:
        """Evaluate one alarm, and change its state when it is another."""
        if self._is_held(alarm) or alarm.get("ComparisonOperator") not in WORDS:
            return
        rule = rule_of(alarm)
        now = self._clock.now()
        verdict = evaluate(rule, self._points(alarm, rule.periods + POINTS_BEYOND, now))
        if verdict is None or verdict.state == alarm["StateValue"]:
            return
        old = alarm["StateValue"]
        previous = {key: alarm.get(key) for key in ("StateValue", "StateReason", "StateReasonData")}
        previous["StateUpdatedTimestamp"] = alarm.get("StateUpdatedTimestamp")
        data = _reason_data(alarm, rule, verdict, now)
        alarm.update(
            StateValue=verdict.state,
            StateReason=verdict.reason,
            StateReasonData=json.dumps(data),
            StateUpdatedTimestamp=now,
            StateTransitionedTimestamp=now,
        )
        self._reasons[alarm["AlarmArn"]] = verdict.reason
        record = self._cloudwatch._record_history  # noqa: SLF001 - ministack has no public interface
        record(alarm["AlarmName"], old, verdict.state, verdict.reason, reason_data=data)
        self._tell(alarm, old, verdict.state, verdict.reason, previous)
        self._cloudwatch._evaluate_parent_alarms(alarm)  # noqa: SLF001

    def _is_held(self, alarm: Mapping[str, Any]) -> bool:
        """Tell whether somebody else set the state a moment ago, whose state then stays for a while."""
        if alarm["StateReason"] in (UNCHECKED, self._reasons.get(alarm["AlarmArn"])):
            return False
        return self._clock.now() - float(alarm["StateUpdatedTimestamp"]) < HOLD_SECONDS

    def _points(self, alarm: Mapping[str, Any], number: int, now: float) -> list[Point]:
        """Return the data points of the last periods, the latest first, without the missing ones."""
        cloudwatch, period = self._cloudwatch, int(alarm.get("Period") or 60)
        dimensions = cloudwatch._dims_from_list(alarm.get("Dimensions") or [])  # noqa: SLF001 - no public interface
        key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))  # noqa: SLF001
        unit = alarm.get("Unit")
        by_age: dict[int, list[dict[str, Any]]] = {}
        for point in list(cloudwatch._metrics.get(key) or []):  # noqa: SLF001
            age = int(max(0.0, now - point["Timestamp"]) // period)
            if age < number and (not unit or point.get("Unit") == unit):
                by_age.setdefault(age, []).append(point)
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
        found = []
        for age, points in sorted(by_age.items()):
            statistics = cloudwatch._calc_stats(points)  # noqa: SLF001
            value = cloudwatch._stat_value(statistics, statistic, points) if statistics else None  # noqa: SLF001
            if value is not None:
                found.append(Point(age, now - (age + 1) * period, float(value), statistics["SampleCount"]))
        return found

    def _tell(
        self,
        alarm: Mapping[str, Any],
        old_state: str,
        new_state: str,
        reason: str,
        previous: Mapping[str, Any] | None = None,
    ) -> None:
        """Send the event of a change of state, and the notification of its actions."""
        responses = patches.load(patches.RESPONSES)
        account, region, now = responses.get_account_id(), responses.get_region(), self._clock.now()
        event = {
            "EventId": str(uuid.uuid4()),
            "Source": "aws.cloudwatch",
            "DetailType": "CloudWatch Alarm State Change",
            "Detail": json.dumps(_event_detail(alarm, previous or {"StateValue": old_state}, now)),
            "Time": now,
            "Resources": [alarm.get("AlarmArn", "")],
            "Account": account,
            "Region": region,
            "EventBusName": "default",
        }
        patches.load(patches.EVENTBRIDGE)._dispatch_event(event)  # noqa: SLF001 - ministack has no public interface
        if alarm.get("ActionsEnabled", True):
            self._act(alarm, old_state, new_state, reason)

    def _act(self, alarm: Mapping[str, Any], old_state: str, new_state: str, reason: str) -> None:
        """Notify the topics among the actions of a state; other actions are left out, and the log says so."""
        responses = patches.load(patches.RESPONSES)
        account, region, now = responses.get_account_id(), responses.get_region(), self._clock.now()
        actions = [str(action) for action in alarm.get(ACTIONS[new_state]) or []]
        topics = [action for action in actions if action.split(":")[2:3] == ["sns"]]
        for action in set(actions) - set(topics):
            logger.warning("%s: the local AWS has no action %s, only topics of SNS", alarm.get("AlarmArn"), action)
        place = _region_name(region)
        message = json.dumps(_notification(alarm, old_state, reason, account, place, now))
        subject = f'{new_state}: "{alarm.get("AlarmName", "")}" in {place}'[:100]
        for topic in topics:
            patches.load(patches.SNS)._fanout(topic, str(uuid.uuid4()), message, subject)  # noqa: SLF001 - as above


def _refuse_in_a_stack(original: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Let an alarm that PutMetricAlarm refuses fail its stack."""

    def put(alarm: dict[str, Any]) -> None:
        refused = problem(alarm)
        if refused:
            raise ValueError(
                f'Resource handler returned message: "{refused} (Service: CloudWatch, Status Code: 400, '
                f'Request ID: {uuid.uuid4()})" (RequestToken: {uuid.uuid4()}, HandlerErrorCode: InvalidRequest)'
            )
        original(alarm)

    return put


class _MovedTime:
    """The module ``time`` as ministack's CloudWatch sees it."""

    def __init__(self, clock: Clock) -> None:
        self.time = clock.now


def rule_of(alarm: Mapping[str, Any]) -> Rule:
    """Return when an alarm is one, from its record."""
    periods = int(alarm.get("EvaluationPeriods") or 1)
    to_alarm = int(alarm.get("DatapointsToAlarm") or periods)
    missing = alarm.get("TreatMissingData") or "missing"
    threshold, counts = float(alarm.get("Threshold") or 0), bool(alarm.get("DatapointsToAlarm"))
    return Rule(alarm["ComparisonOperator"], threshold, periods, to_alarm, missing, counts)


def _reason_data(alarm: Mapping[str, Any], rule: Rule, verdict: Verdict, now: float) -> dict[str, Any]:
    """Return what led to a state, as CloudWatch puts it in JSON."""
    evaluated = [
        {"timestamp": _precisely(point.at), "sampleCount": point.samples, "value": point.value}
        for point in verdict.used
    ]
    return {
        "version": "1.0",
        "queryDate": _precisely(now),
        **({"startDate": _precisely(verdict.used[-1].at)} if verdict.used else {}),
        "statistic": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
        "period": alarm.get("Period"),
        "recentDatapoints": [point.value for point in reversed(verdict.used)],
        "threshold": rule.threshold,
        "evaluatedDatapoints": evaluated,
    }


def _event_detail(alarm: Mapping[str, Any], previous: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return the detail of the event of a change of state."""
    dimensions = {item["Name"]: item["Value"] for item in alarm.get("Dimensions") or []}
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    metric = {"namespace": alarm.get("Namespace"), "name": alarm.get("MetricName"), "dimensions": dimensions}
    metric_stat = {"metric": metric, "period": alarm.get("Period"), "stat": statistic}
    metrics = [{"id": str(uuid.uuid4()), "metricStat": metric_stat, "returnData": True}]
    rule = {"alarmRule": alarm["AlarmRule"]} if "AlarmRule" in alarm else {"metrics": metrics}
    description = {"description": alarm["AlarmDescription"]} if alarm.get("AlarmDescription") else {}
    return {
        "alarmName": alarm.get("AlarmName"),
        "state": _event_state(alarm, now),
        "previousState": _event_state(previous, now),
        "configuration": {**rule, **description},
    }


def _event_state(alarm: Mapping[str, Any], now: float) -> dict[str, Any]:
    state = {
        "value": alarm["StateValue"],
        "reason": alarm.get("StateReason"),
        "reasonData": alarm.get("StateReasonData"),
        "timestamp": _precisely(alarm.get("StateUpdatedTimestamp") or now),
    }
    return {key: value for key, value in state.items() if value is not None}


def _notification(  # noqa: PLR0913, PLR0917 - what the message says
    alarm: Mapping[str, Any], old_state: str, reason: str, account: str, place: str, now: float
) -> dict[str, Any]:
    """Return the message to a topic."""
    trigger = {
        "MetricName": alarm.get("MetricName"),
        "Namespace": alarm.get("Namespace"),
        "StatisticType": "ExtendedStatistic" if alarm.get("ExtendedStatistic") else "Statistic",
        "Statistic": str(alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "").upper(),
        "Unit": alarm.get("Unit"),
        "Dimensions": [{"value": item["Value"], "name": item["Name"]} for item in alarm.get("Dimensions") or []],
        "Period": alarm.get("Period"),
        "EvaluationPeriods": alarm.get("EvaluationPeriods"),
        **({"DatapointsToAlarm": alarm["DatapointsToAlarm"]} if alarm.get("DatapointsToAlarm") else {}),
        "ComparisonOperator": alarm.get("ComparisonOperator"),
        "Threshold": alarm.get("Threshold"),
        "TreatMissingData": alarm.get("TreatMissingData") or "missing",
        "EvaluateLowSampleCountPercentile": "",
    }
    return {
        "AlarmName": alarm.get("AlarmName"),
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": _precisely(alarm.get("AlarmConfigurationUpdatedTimestamp") or now),
        "NewStateValue": alarm["StateValue"],
        "NewStateReason": reason,
        "StateChangeTime": _precisely(now),
        "Region": place,
        "AlarmArn": alarm.get("AlarmArn"),
        "OldStateValue": old_state,
        **{name: list(alarm.get(name) or []) for name in ("OKActions", "AlarmActions", "InsufficientDataActions")},
        **({"AlarmRule": alarm["AlarmRule"]} if "AlarmRule" in alarm else {"Trigger": trigger}),
    }


@cache
def _region_name(region: str) -> str:
    """Return a Region as notifications name it, such as ``US East (N. Virginia)``."""
    found = [partition["regions"] for partition in Session().get_data("endpoints")["partitions"]]
    names = {code: entry.get("description", code) for regions in found for code, entry in regions.items()}
    return str(names.get(region, region))


def _day_first(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%d/%m/%y %H:%M:%S")


def _precisely(moment: float) -> str:
    at = datetime.fromtimestamp(float(moment), timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000"
