"""An alarm's state for the data points that are there: the tables of AWS's user guide, and the words of its reasons."""

from __future__ import annotations

import pytest

from personalize_local.extension.alarms import ALARM, INSUFFICIENT_DATA, OK, Point, Rule, evaluate

KEEP = None
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


def points(drawn: str) -> list[Point]:
    """Read a row as the guide draws it: the latest on the right, X breaches, - is missing."""
    values = {"X": 5.0, "0": 0.0}
    ages = enumerate(reversed(drawn.split()))
    return [Point(age, 1_600_000_000 - 60 * age, values[sign]) for age, sign in ages if sign != "-"]


def state(drawn: str, *, to_alarm: int, periods: int = 3, missing: str = "missing") -> str | None:
    verdict = evaluate(Rule("GreaterThanThreshold", 1.0, periods, to_alarm, missing), points(drawn))
    return verdict.state if verdict else None


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("0 - X - X", (OK, OK, OK, OK)),
        ("0 - - - -", (OK, OK, OK, OK)),
        ("- - - - -", (INSUFFICIENT_DATA, KEEP, ALARM, OK)),
        ("0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
        ("- - X - -", (ALARM, KEEP, ALARM, OK)),
    ],
)
def test_three_of_three_as_the_user_guide_has_it(drawn: str, expected: tuple[str | None, ...]) -> None:
    assert tuple(state(drawn, to_alarm=3, missing=missing) for missing in TREATMENTS) == expected


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
        ("0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
        ("0 - X - -", (OK, OK, ALARM, OK)),
        ("- - - - 0", (OK, OK, ALARM, OK)),
        ("- - - X -", (ALARM, KEEP, ALARM, OK)),
    ],
)
def test_two_of_three_as_the_user_guide_has_it(drawn: str, expected: tuple[str | None, ...]) -> None:
    assert tuple(state(drawn, to_alarm=2, missing=missing) for missing in TREATMENTS) == expected


def test_one_breaching_point_among_missing_ones_is_not_yet_an_alarm() -> None:
    assert state("- - - - X", to_alarm=3) is KEEP


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("GreaterThanThreshold", 1.0, OK),
        ("GreaterThanOrEqualToThreshold", 1.0, ALARM),
        ("LessThanThreshold", 1.0, OK),
        ("LessThanOrEqualToThreshold", 1.0, ALARM),
        ("LessThanThreshold", 0.5, ALARM),
        ("GreaterThanThreshold", 1.5, ALARM),
    ],
)
def test_every_operator_compares(operator: str, value: float, expected: str) -> None:
    verdict = evaluate(Rule(operator, 1.0, 1, 1), [Point(0, 0, value)])
    assert verdict is not None
    assert verdict.state == expected


@pytest.mark.parametrize(
    ("rule", "drawn", "reason"),
    [
        (
            Rule("GreaterThanThreshold", 1.0, 1, 1),
            "X",
            "Threshold Crossed: 1 datapoint [5.0 (13/09/20 12:26:40)] was greater than the threshold (1.0).",
        ),
        (
            Rule("LessThanThreshold", 1.0, 1, 1),
            "X",
            "Threshold Crossed: 1 datapoint [5.0 (13/09/20 12:26:40)] was not less than the threshold (1.0).",
        ),
        (
            Rule("GreaterThanThreshold", 1.0, 3, 2, counts=True),
            "X 0 X",
            (
                "Threshold Crossed: 2 out of the last 3 datapoints [5.0 (13/09/20 12:26:40), "
                "5.0 (13/09/20 12:24:40)] were greater than the threshold (1.0) "
                "(minimum 2 datapoints for OK -> ALARM transition)."
            ),
        ),
        (
            Rule("LessThanThreshold", 1.0, 1, 1, "breaching"),
            "-",
            (
                "Threshold Crossed: no datapoints were received for 1 period and "
                "1 missing datapoint was treated as [Breaching]."
            ),
        ),
        (
            Rule("LessThanThreshold", 1.0, 2, 2, "notBreaching"),
            "- -",
            (
                "Threshold Crossed: no datapoints were received for 2 periods and "
                "2 missing datapoints were treated as [NonBreaching]."
            ),
        ),
        (Rule("LessThanThreshold", 1.0, 1, 1), "-", "Insufficient Data: 1 datapoint was unknown."),
    ],
)
def test_the_reason_is_worded_as_cloudwatch_does(rule: Rule, drawn: str, reason: str) -> None:
    verdict = evaluate(rule, points(drawn))
    assert verdict is not None
    assert verdict.reason == reason
