"""CloudWatch embedded metric format: a line of a log that says which of its members are metrics becomes metrics.

Rests on https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html.
What does not follow it is counted in ``EMFParsingErrors`` and ``EMFValidationErrors`` of the namespace ``AWS/Logs``, as
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html describes.
Inferred: one fault in a directive costs that directive only.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from personalize_local.extension.clock import Clock

logger = logging.getLogger("personalize_local")

MOST_BYTES = 1 << 20
MOST_METRICS = 100
MOST_VALUES = 100
MOST_DIMENSIONS = 30
MOST_CHARACTERS = 1024
LARGEST_VALUE = 2.0**360
OLDEST_SECONDS = 14 * 86400
NEWEST_SECONDS = 2 * 3600
RESOLUTIONS = (1, 60)
UNITS = frozenset({
    "Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes", "Bits",
    "Kilobits", "Megabits", "Gigabits", "Terabits", "Percent", "Count", "Bytes/Second", "Kilobytes/Second",
    "Megabytes/Second", "Gigabytes/Second", "Terabytes/Second", "Bits/Second", "Kilobits/Second", "Megabits/Second",
    "Gigabits/Second", "Terabits/Second", "Count/Second", "None",
})  # fmt: skip


@dataclass(frozen=True)
class Datum:
    """The values of one metric at one time."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    timestamp: float
    unit: str
    values: tuple[float, ...]


class ParsingError(ValueError):
    """The line is meant as embedded metric format, and is not."""


class ValidationError(ValueError):
    """A part of the line does not follow the specification."""


def read(line: str, now: float) -> tuple[list[Datum], list[str]]:
    """Return the metrics of a line of a log, and what is wrong with it; nothing of either in any other line.

    Args:
        line: The message of a log event.
        now: The time, in seconds since the epoch.

    Raises:
        ParsingError: The line is no JSON though it looks like embedded metric format, or its metadata has no form.
    """
    document = _document(line)
    if document is None:
        return [], []
    metadata = document["_aws"]
    directives, timestamp = metadata["CloudWatchMetrics"], metadata.get("Timestamp")
    if not isinstance(directives, list) or isinstance(timestamp, bool) or not isinstance(timestamp, (int, float)):
        raise ParsingError("_aws must have a list CloudWatchMetrics and a number Timestamp")
    at = timestamp / 1000
    if not now - OLDEST_SECONDS <= at <= now + NEWEST_SECONDS:
        return [], [f"Timestamp {timestamp} is older than two weeks or more than two hours ahead"]
    outcomes = [_outcome(directive, document, at) for directive in directives]
    found = [datum for data, _ in outcomes for datum in data]
    return found, [problem for _, problem in outcomes if problem]


def _outcome(directive: Any, document: Mapping[str, Any], at: float) -> tuple[list[Datum], str]:
    """Return the metrics of a directive, or what is wrong with it."""
    try:
        return list(_metrics(directive, document, at)), ""
    except ValidationError as error:
        return [], str(error)


def _document(line: str) -> dict[str, Any] | None:
    """Return the JSON object of a line if it is embedded metric format."""
    if not line.lstrip().startswith("{") or '"CloudWatchMetrics"' not in line:
        return None
    if len(line.encode()) > MOST_BYTES:
        raise ParsingError(f"longer than {MOST_BYTES} bytes")
    try:
        document = json.loads(line, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ParsingError(str(error)) from None
    metadata = document.get("_aws")
    return document if isinstance(metadata, dict) and "CloudWatchMetrics" in metadata else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _metrics(directive: Any, document: Mapping[str, Any], at: float) -> Iterator[Datum]:
    """Yield the metrics of one directive: each of its metrics with each of its sets of dimensions."""
    if not isinstance(directive, dict):
        raise ValidationError("a directive must be an object")
    namespace, sets, definitions = (directive.get(name) for name in ("Namespace", "Dimensions", "Metrics"))
    _require_text(namespace, "Namespace")
    if not isinstance(sets, list) or not isinstance(definitions, list):
        raise ValidationError("Dimensions and Metrics must be lists")
    if len(definitions) > MOST_METRICS:
        raise ValidationError(f"more than {MOST_METRICS} metrics in one directive")
    all_dimensions = [_dimensions(keys, document) for keys in sets]
    metrics = [_metric(definition, document) for definition in definitions]
    for dimensions in all_dimensions:
        for name, unit, values in metrics:
            yield Datum(str(namespace), name, dimensions, at, unit, values)


def _dimensions(keys: Any, document: Mapping[str, Any]) -> dict[str, str]:
    """Return one set of dimensions with its values."""
    if not isinstance(keys, list) or len(keys) > MOST_DIMENSIONS:
        raise ValidationError(f"a set of dimensions must be a list of at most {MOST_DIMENSIONS} keys")
    for key in keys:
        _require_text(key, "a dimension")
        _require_text(document.get(key), f"the value of the dimension {key}")
    return {key: document[key] for key in keys}


def _metric(definition: Any, document: Mapping[str, Any]) -> tuple[str, str, tuple[float, ...]]:
    """Return name, unit and values of one metric."""
    if not isinstance(definition, dict):
        raise ValidationError("a metric must be an object")
    name, unit = definition.get("Name"), definition.get("Unit", "None")
    _require_text(name, "the name of a metric")
    if unit not in UNITS:
        raise ValidationError(f"{unit} is no unit")
    if definition.get("StorageResolution", 60) not in RESOLUTIONS:
        raise ValidationError("StorageResolution must be 1 or 60")
    target = document.get(str(name))
    values: list[Any] = target if isinstance(target, list) else [target]
    if not 0 < len(values) <= MOST_VALUES or not all(_is_value(value) for value in values):
        raise ValidationError(f"{name} must be a number, or a list of at most {MOST_VALUES} of them")
    return str(name), str(unit), tuple(float(value) for value in values)


def _is_value(value: Any) -> bool:
    """Tell whether CloudWatch takes a value."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and abs(value) <= LARGEST_VALUE


def _require_text(value: Any, what: str) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= MOST_CHARACTERS:
        raise ValidationError(f"{what} must be text of 1 to {MOST_CHARACTERS} characters")


def register(clock: Clock) -> None:
    """Look at every line that comes into a log: what a function prints, and what PutLogEvents brings."""

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def fan_out(group: str, stream: str, events: list[dict[str, Any]]) -> None:
            original(group, stream, events)
            for event in events:
                _take(str(event.get("message", "")), group, clock)

        return fan_out

    patches.wrap(patches.LOGS, "_fanout_to_subscription_filters", make)


def _take(line: str, group: str, clock: Clock) -> None:
    """Store the metrics of a line; its time moves with the clock."""
    cloudwatch = patches.load(patches.CLOUDWATCH)
    try:
        found, problems = read(line, clock.now() - clock.ahead)
    except ParsingError as error:
        logger.warning("%s: embedded metric format: %s", group, error)
        cloudwatch.record_metric("AWS/Logs", "EMFParsingErrors", 1, "Count", {"LogGroupName": group})
        return
    for datum in found:
        at, values = datum.timestamp + clock.ahead, list(datum.values)
        cloudwatch._store_datum(  # noqa: SLF001 - ministack has no public interface
            datum.namespace, datum.name, dict(datum.dimensions), at, datum.unit, None, values, None, None
        )
    for problem in problems:
        logger.warning("%s: embedded metric format: %s", group, problem)
        cloudwatch.record_metric("AWS/Logs", "EMFValidationErrors", 1, "Count", {"LogGroupName": group})
