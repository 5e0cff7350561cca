"""What Scheduler would refuse, and how far apart ticks are, held against the schedules of the local AWS."""

from __future__ import annotations

import sys
import zoneinfo
from datetime import datetime, timezone
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdk_personalize_export._schedule_expression import DAY, HOUR, MINUTE, Intervals, intervals
from personalize_local.extension.schedule_expressions import InvalidExpressionError, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=timezone.utc)


def refusal(expression: str, zone: str | None = None) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        intervals(expression, zone, NOW)
    return str(refused.value)


@pytest.mark.parametrize(
    ("expression", "shortest", "longest"),
    [
        ("rate(1 minute)", MINUTE, MINUTE),
        ("rate(12 hours)", 12 * HOUR, 12 * HOUR),
        ("rate(7 days)", 7 * DAY, 7 * DAY),
        ("cron(0 3 * * ? *)", DAY, DAY),
        ("cron(0 3 ? * * *)", DAY, DAY),
        ("cron(0/15 * * * ? *)", 15 * MINUTE, 15 * MINUTE),
        ("cron(0 3,15 * * ? *)", 12 * HOUR, 12 * HOUR),
        ("cron(0 3,6 * * ? *)", 3 * HOUR, 21 * HOUR),
        ("cron(0 3 ? * SUN *)", 7 * DAY, 7 * DAY),
        ("cron(0 3 ? * MON-FRI *)", DAY, 3 * DAY),
        ("cron(0 3 ? * FRI-MON *)", DAY, 4 * DAY),
        ("cron(0 3 ? * 2,4 *)", 2 * DAY, 5 * DAY),
        ("cron(0 3 1 * ? *)", 28 * DAY, 31 * DAY),
        ("cron(0 3 1,15 * ? *)", 14 * DAY, 17 * DAY),
        ("cron(0 3 31 * ? *)", 28 * DAY, None),
        ("cron(0 3 L * ? *)", DAY, None),
        ("cron(0 3 15W * ? *)", DAY, None),
        ("cron(0 3 ? * 6L *)", DAY, None),
        ("cron(0 3 ? * MON#1 *)", DAY, None),
        ("cron(0 3 1 JAN,JUL ? *)", 28 * DAY, None),
        ("cron(0 3 * * ? 2027-2030)", DAY, None),
    ],
)
def test_how_far_apart_ticks_are(expression: str, shortest: int | None, longest: int | None) -> None:
    assert intervals(expression, "UTC", NOW) == Intervals(shortest, longest)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "every night",
        "rate(0 minutes)",
        "rate(-1 hours)",
        "rate(1.5 hours)",
        "rate(30 seconds)",
        "rate(1 week)",
        "rate(5minutes)",
        "cron(0 3 * * ?)",
        "at(2027-01-01)",
        "at(2027-01-01T03:00:00Z)",
    ],
)
def test_text_that_is_no_schedule(expression: str) -> None:
    assert refusal(expression) == (
        f"schedule {expression!r} is no schedule. Allowed are rate(<whole number> minutes|hours|days), cron(<minute> "
        "<hour> <day of the month> <month> <day of the week> <year>) and at(<yyyy-mm-ddThh:mm:ss>): write "
        "ScheduleExpression.cron(hour='3', minute='0')."
    )


@pytest.mark.parametrize(("expression", "days"), [("cron(0 3 * * * *)", "two days"), ("cron(0 3 ? * ? *)", "no day")])
def test_cron_with_no_day_or_with_two(expression: str, days: str) -> None:
    assert refusal(expression) == (
        f"schedule {expression!r} has {days}. Allowed is ? for exactly one of day of the month (the third field) and "
        "day of the week (the fifth): write cron(0 3 * * ? *) for every day."
    )


@pytest.mark.parametrize(
    ("expression", "field", "text", "allowed"),
    [
        ("cron(60 3 * * ? *)", "minute", "60", "0 to 59"),
        ("cron(? 3 * * ? *)", "minute", "?", "0 to 59"),
        ("cron(0/0 3 * * ? *)", "minute", "0/0", "0 to 59"),
        ("cron(0/x 3 * * ? *)", "minute", "0/x", "0 to 59"),
        ("cron(5, 3 * * ? *)", "minute", "5,", "0 to 59"),
        ("cron(0 24 * * ? *)", "hour", "24", "0 to 23"),
        ("cron(0 20-24 * * ? *)", "hour", "20-24", "0 to 23"),
        ("cron(0 3 0 * ? *)", "day", "0", "1 to 31, L, LW and such as 15W"),
        ("cron(0 3 32W * ? *)", "day", "32W", "1 to 31, L, LW and such as 15W"),
        ("cron(0 3 * 13 ? *)", "month", "13", "1 to 12, JAN to DEC"),
        ("cron(0 3 * MON ? *)", "month", "MON", "1 to 12, JAN to DEC"),
        ("cron(0 3 ? * 0 *)", "weekday", "0", "1 to 7, SUN to SAT, L, and such as 6L and 2#1"),
        ("cron(0 3 ? * MON#6 *)", "weekday", "MON#6", "1 to 7, SUN to SAT, L, and such as 6L and 2#1"),
        ("cron(0 3 ? * ABCL *)", "weekday", "ABCL", "1 to 7, SUN to SAT, L, and such as 6L and 2#1"),
        ("cron(0 3 * * ? 1969)", "year", "1969", "1970 to 2199"),
    ],
)
def test_field_of_cron_that_scheduler_refuses(expression: str, field: str, text: str, allowed: str) -> None:
    assert refusal(expression) == (
        f"schedule {expression!r} has {text!r} as its {field}. Allowed are {allowed}, *, lists with commas, ranges "
        "with - and steps with /: correct it."
    )


def test_moment_in_the_past_by_the_clock_of_its_zone() -> None:
    assert refusal("at(2026-11-25T03:59:00)", "Europe/Berlin") == (
        "schedule 'at(2026-11-25T03:59:00)' is in the past, so nothing would be exported. Allowed is a moment to come: "
        "give one, or remove this export."
    )
    assert intervals("at(2026-11-25T04:01:00)", "Europe/Berlin", NOW) == Intervals(None, None, once=True)


@pytest.mark.parametrize("expression", ["at(2027-02-30T03:00:00)", "at(2027-01-01T24:00:00)"])
def test_moment_that_does_not_exist(expression: str) -> None:
    assert refusal(expression) == (
        f"schedule {expression!r} names no moment. Allowed is at(<yyyy-mm-ddThh:mm:ss>) of a day and a time that "
        "exist: correct it."
    )


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../etc/passwd", "CEST!"])
def test_time_zone_that_does_not_exist(zone: str) -> None:
    assert refusal("rate(1 hour)", zone) == (
        f"the time zone of the schedule is {zone!r}. Allowed are the names of the IANA database: write "
        "time_zone=TimeZone.EUROPE_BERLIN."
    )


def test_time_zone_cannot_be_checked_on_a_machine_without_any(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    for name in ["tzdata", *(name for name in sys.modules if name.startswith("tzdata."))]:
        monkeypatch.setitem(sys.modules, name, None)  # the package that stands in for the machine's files
    zoneinfo.reset_tzpath([])
    request.addfinalizer(zoneinfo.reset_tzpath)
    zoneinfo.ZoneInfo.clear_cache()
    assert zoneinfo.available_timezones() == set()
    assert intervals("rate(1 hour)", "Europe/Berlin", NOW) == Intervals(HOUR, HOUR)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high).map(str)
    span = st.tuples(number, number).map("-".join)
    start = st.one_of(st.just("*"), number, span)
    step = st.tuples(start, st.integers(1, 20).map(str)).map("/".join)
    return st.lists(st.one_of(number, span, step), min_size=1, max_size=3).map(",".join)


EVERY = st.just("*")
MINUTES, HOURS = field(0, 59), st.one_of(EVERY, field(0, 23))
DAYS = st.one_of(
    st.tuples(st.one_of(EVERY, field(1, 31), st.sampled_from(["L", "LW", "1W", "15W"])), st.just("?")),
    st.tuples(st.just("?"), st.one_of(EVERY, field(1, 7), st.sampled_from(["MON-FRI", "SAT,SUN", "6L", "2#1", "L"]))),
)
MONTHS = st.one_of(EVERY, field(1, 12), st.sampled_from(["JAN", "MAR-MAY"]))


def ticks(expression: str, count: int) -> Iterator[float]:
    schedule, moment = parse(expression), NOW.timestamp()
    for _ in range(count):
        due = schedule.after(moment, moment)
        if due is None:
            return
        yield due
        moment = due


@settings(deadline=None, max_examples=60)
@given(minute=MINUTES, hour=HOURS, days=DAYS, month=MONTHS)
def test_no_two_ticks_of_the_local_scheduler_are_nearer_or_farther(
    minute: str, hour: str, days: tuple[str, str], month: str
) -> None:
    expression = f"cron({minute} {hour} {days[0]} {month} {days[1]} *)"
    apart = intervals(expression, "UTC", NOW)
    assert apart.shortest is not None
    for earlier, later in pairwise(ticks(expression, 12)):
        assert apart.shortest <= later - earlier
        assert apart.longest is None or later - earlier <= apart.longest


TEXT = st.text(alphabet="0123456789*/-,?LW#ABJNSUMO", min_size=1, max_size=4)


@given(st.tuples(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT))
def test_what_the_local_scheduler_refuses_is_refused_and_nothing_else(fields: tuple[str, ...]) -> None:
    expression = f"cron({' '.join(fields)})"
    assert accepts(expression) == accepts_locally(expression)


@given(TEXT, st.integers(0, 5))
def test_one_odd_field_is_judged_as_the_local_scheduler_does(text: str, place: int) -> None:
    fields = ["0", "3", "*", "*", "?", "*"] if place != 4 else ["0", "3", "?", "*", "*", "*"]
    fields[place] = text
    expression = f"cron({' '.join(fields)})"
    assert accepts(expression) == accepts_locally(expression)


def accepts(expression: str) -> bool:
    try:
        intervals(expression, None, NOW)
    except ValueError:
        return False
    return True


def accepts_locally(expression: str) -> bool:
    try:
        parse(expression)
    except InvalidExpressionError:
        return False
    return True
