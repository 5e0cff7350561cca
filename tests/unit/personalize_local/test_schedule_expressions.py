"""When a schedule is due, to the second, in every form that AWS documents."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from personalize_local.extension.schedule_expressions import InvalidExpressionError, as_text, first, parse

NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def times(expression: str, *, after: str, zone: str = "UTC", number: int = 3) -> list[str]:
    parsed, moment, found = parse(expression, zone), seconds(after), []
    for _ in range(number):
        due = parsed.after(moment, seconds(after))
        if due is None:
            break
        found.append(as_text(due))
        moment = due
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(15 10 * * ? *)", ["2026-11-25T10:15", "2026-11-26T10:15", "2026-11-27T10:15"]),
        ("cron(15 10 ? * 6L 2026-2027)", ["2026-11-27T10:15", "2026-12-25T10:15", "2027-01-29T10:15"]),
        ("cron(0/20 8-9 ? * MON-FRI *)", ["2026-11-25T08:00", "2026-11-25T08:20", "2026-11-25T08:40"]),
        ("cron(0-15/5 8-8 ? * 2,3 *)", ["2026-11-30T08:00", "2026-11-30T08:05", "2026-11-30T08:10"]),
        ("cron(0 0 L * ? *)", ["2026-11-30T00:00", "2026-12-31T00:00", "2027-01-31T00:00"]),
        ("cron(0 0 LW * ? *)", ["2026-11-30T00:00", "2026-12-31T00:00", "2027-01-29T00:00"]),
        ("cron(0 0 15W * ? *)", ["2026-12-15T00:00", "2027-01-15T00:00", "2027-02-15T00:00"]),
        ("cron(0 0 1W MAY ? *)", ["2027-05-03T00:00", "2028-05-01T00:00", "2029-05-01T00:00"]),
        ("cron(0 0 ? * 2#1 *)", ["2026-12-07T00:00", "2027-01-04T00:00", "2027-02-01T00:00"]),
        ("cron(0 0 ? * FRI-SUN *)", ["2026-11-27T00:00", "2026-11-28T00:00", "2026-11-29T00:00"]),
        ("cron(0 0 ? * L *)", ["2026-11-28T00:00", "2026-12-05T00:00", "2026-12-12T00:00"]),
        ("cron(0 0 29 2 ? *)", ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]),
        ("cron(30 6 1 JAN ? 2100)", ["2100-01-01T06:30"]),
        ("cron(0 0 1 1 ? 2000)", []),
        ("rate(5 minutes)", ["2026-11-25T00:05", "2026-11-25T00:10", "2026-11-25T00:15"]),
        ("rate(1 hour)", ["2026-11-25T01:00", "2026-11-25T02:00", "2026-11-25T03:00"]),
        ("at(2026-11-25T00:00:01)", ["2026-11-25T00:00:01"]),
        ("at(2026-11-24T23:59:59)", []),
    ],
)
def test_an_expression_is_due(expression: str, expected: list[str]) -> None:
    complete = [text if text.count(":") == 2 else f"{text}:00" for text in expected]
    assert times(expression, after="2026-11-25T00:00:00") == [f"{text}Z" for text in complete]


def test_a_time_zone_moves_with_its_clock_changes() -> None:
    assert times("cron(0 2 * * ? *)", after="2026-10-24T12:00:00", zone=BERLIN, number=2) == [
        "2026-10-25T00:00:00Z",  # 02:00 in summer time, and not again an hour later
        "2026-10-26T01:00:00Z",
    ]
    assert times("cron(30 8 * * ? *)", after="2027-03-13T12:00:00", zone=NEW_YORK, number=2) == [
        "2027-03-13T13:30:00Z",
        "2027-03-14T12:30:00Z",
    ]


def test_a_local_time_that_does_not_exist_is_skipped() -> None:
    found = times("cron(30 2 * * ? *)", after="2027-03-12T12:00:00", zone=NEW_YORK)
    assert found == ["2027-03-13T07:30:00Z", "2027-03-15T06:30:00Z", "2027-03-16T06:30:00Z"]


def test_a_local_time_that_comes_twice_counts_once() -> None:
    found = times("cron(0/30 1 1 11 ? 2026)", after="2026-10-31T12:00:00", zone=NEW_YORK, number=9)
    assert found == ["2026-11-01T05:00:00Z", "2026-11-01T05:30:00Z"]
    assert times("cron(0/30 1 1 11 ? 2026)", after="2026-11-01T06:10:00", zone=NEW_YORK) == []


def test_a_day_of_a_rate_has_24_hours() -> None:
    found = times("rate(1 day)", after="2026-10-24T12:00:00", zone=BERLIN, number=2)
    assert found == ["2026-10-25T12:00:00Z", "2026-10-26T12:00:00Z"]


def test_a_one_time_schedule_is_in_its_time_zone() -> None:
    assert times("at(2026-07-01T09:00:00)", after="2026-06-01T00:00:00", zone=BERLIN) == ["2026-07-01T07:00:00Z"]


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("rate(10 minutes)", None, "2026-11-25T10:03:07Z"),  # at once
        ("rate(10 minutes)", "2026-11-25T12:00:00", "2026-11-25T12:00:00Z"),
        ("rate(10 minutes)", "2026-11-25T10:00:00", "2026-11-25T10:10:00Z"),
        ("cron(0 * * * ? *)", None, "2026-11-25T11:00:00Z"),
        ("cron(0 * * * ? *)", "2026-11-25T12:00:00", "2026-11-25T12:00:00Z"),
        ("at(2026-11-25T10:03:00)", "2026-11-25T12:00:00", "2026-11-25T10:03:00Z"),
    ],
)
def test_a_new_schedule_is_due_first(expression: str, start: str | None, expected: str) -> None:
    created = seconds("2026-11-25T10:03:07") + 0.4
    due = first(parse(expression), created, seconds(start) if start else None)
    assert due is not None
    assert as_text(due) == expected


def test_a_one_time_schedule_of_the_past_is_never_due() -> None:
    assert first(parse("at(2026-11-25T10:00:00)"), seconds("2026-11-25T10:03:07"), None) is None


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "rate(0 minutes)",
        "rate(10 seconds)",
        "rate(1.5 hours)",
        "rate(5)",
        "at(2026-11-25)",
        "at(2026-02-30T00:00:00)",
        "cron(0 0 * * ?)",
        "cron(60 0 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 0W * ? *)",
        "cron(0 0 1 13 ? *)",
        "cron(0 0 1 * 2 *)",
        "cron(0 0 ? * ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 ? * 2#6 *)",
        "cron(0 0 ? * XXX *)",
        "cron(0/0 0 * * ? *)",
        "cron(0 0 1 * ? 1969)",
        "Cron(0 0 * * ? *)",
        "cron(0 0 * * ? *) ",
    ],
)
def test_what_is_no_expression_is_refused_with_the_text_of_aws(expression: str) -> None:
    with pytest.raises(InvalidExpressionError) as caught:
        parse(expression)
    assert str(caught.value) == f"Invalid Schedule Expression {expression}."


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_a_time_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(InvalidExpressionError, match="Invalid ScheduleExpressionTimezone"):
        parse("rate(1 day)", zone)
