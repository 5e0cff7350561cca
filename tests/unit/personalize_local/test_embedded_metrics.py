"""A line in embedded metric format is read as its specification says, and refused where it breaks a limit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from personalize_local.extension.embedded_metrics import Datum, ParsingError, read

NOW = 1_790_000_000.0


def line(*, directive: dict[str, Any] | None = None, **members: Any) -> str:
    metrics = [{"Name": "Seconds", "Unit": "Seconds"}, {"Name": "Jobs"}]
    full = {"Namespace": "Exports", "Dimensions": [["Export"], []], "Metrics": metrics, **(directive or {})}
    document = {"_aws": {"Timestamp": NOW * 1000, "CloudWatchMetrics": [full]}, "Export": "nightly", "Seconds": 1.5}
    return json.dumps({**document, "Jobs": [1, 2], "note": {"any": "thing"}, **members})


def problems(**changes: Any) -> list[str]:
    found, wrong = read(line(**changes), NOW)
    assert found == []
    return wrong


def test_each_metric_is_there_with_each_set_of_dimensions() -> None:
    found, wrong = read(line(), NOW)
    assert wrong == []
    assert found == [
        Datum("Exports", "Seconds", {"Export": "nightly"}, NOW, "Seconds", (1.5,)),
        Datum("Exports", "Jobs", {"Export": "nightly"}, NOW, "None", (1.0, 2.0)),
        Datum("Exports", "Seconds", {}, NOW, "Seconds", (1.5,)),
        Datum("Exports", "Jobs", {}, NOW, "None", (1.0, 2.0)),
    ]


def test_directives_are_read_one_by_one() -> None:
    document = json.loads(line())
    document["_aws"]["CloudWatchMetrics"].append({"Namespace": "Other", "Dimensions": [[]], "Metrics": [{"Name": "x"}]})
    found, wrong = read(json.dumps(document), NOW)
    assert {datum.namespace for datum in found} == {"Exports"}
    assert wrong == ["x must be a number, or a list of at most 100 of them"]


@pytest.mark.parametrize(
    "text", ["", "START RequestId: 1", "{", '{"level": "info"}', "[1]", '{"_aws": {}}', '{"CloudWatchMetrics": []}']
)
def test_any_other_line_is_left_alone(text: str) -> None:
    assert read(text, NOW) == ([], [])


@pytest.mark.parametrize(
    "text",
    [
        line() + " and more",
        line()[:-1],
        line(Seconds=float("nan")),
        json.dumps({"_aws": {"CloudWatchMetrics": []}}),
        json.dumps({"_aws": {"CloudWatchMetrics": {}, "Timestamp": 1}}),
        line(note="x" * (1 << 20)),
    ],
)
def test_a_line_that_is_nearly_the_format_is_an_error(text: str) -> None:
    with pytest.raises(ParsingError):
        read(text, NOW)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Seconds": "1"}, "Seconds must be a number, or a list of at most 100 of them"),
        ({"Seconds": True}, "Seconds must be a number, or a list of at most 100 of them"),
        ({"Jobs": []}, "Jobs must be a number, or a list of at most 100 of them"),
        ({"Jobs": [1] * 101}, "Jobs must be a number, or a list of at most 100 of them"),
        ({"Jobs": 2.0**361}, "Jobs must be a number, or a list of at most 100 of them"),
        ({"Export": 5}, "the value of the dimension Export must be text of 1 to 1024 characters"),
        ({"Export": "x" * 1025}, "the value of the dimension Export must be text of 1 to 1024 characters"),
        ({"directive": {"Namespace": ""}}, "Namespace must be text of 1 to 1024 characters"),
        ({"directive": {"Dimensions": None}}, "Dimensions and Metrics must be lists"),
        (
            {"directive": {"Dimensions": [[str(number) for number in range(31)]]}},
            "a set of dimensions must be a list of at most 30 keys",
        ),
        (
            {"directive": {"Dimensions": [["Gone"]]}},
            "the value of the dimension Gone must be text of 1 to 1024 characters",
        ),
        ({"directive": {"Metrics": [{"Name": "Jobs"}] * 101}}, "more than 100 metrics in one directive"),
        ({"directive": {"Metrics": [{"Name": "Jobs", "Unit": "Pieces"}]}}, "Pieces is no unit"),
        (
            {"directive": {"Metrics": [{"Name": "Jobs", "StorageResolution": 5}]}},
            "StorageResolution must be 1 or 60",
        ),
    ],
)
def test_what_breaks_the_specification_makes_no_metric(changes: dict[str, Any], message: str) -> None:
    assert problems(**changes) == [message]


@pytest.mark.parametrize("days", [-15, 1])
def test_a_time_that_cloudwatch_does_not_take_makes_no_metric(days: int) -> None:
    found, wrong = read(line(), NOW - days * 86400)
    assert found == []
    assert wrong[0].endswith("is older than two weeks or more than two hours ahead")
