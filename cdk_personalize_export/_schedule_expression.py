"""The text of a schedule: what EventBridge Scheduler would refuse, and how far apart its ticks are.

`ScheduleExpression` of the CDK lets any text through. What is allowed is on
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from itertools import pairwise

MINUTE, HOUR, DAY = 60, 3600, 86400

_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_UNITS = {"minute": MINUTE, "hour": HOUR, "day": DAY}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAYS_OF_EVERY_MONTH = 28
_LONGEST_MONTH = 31
_WEEK = 7
_MINUTES_OF_A_DAY = 24 * 60


@dataclass(frozen=True)
class Intervals:
    """How many seconds lie between two ticks, at least and at most; None is unknown, or no other comes."""

    shortest: int | None
    longest: int | None
    once: bool = False


UNKNOWN = Intervals(None, None)


def intervals(expression: str, zone: str | None, now: datetime) -> Intervals:
    """Return how far apart the ticks of a schedule are.

    Raises:
        ValueError: Scheduler would refuse it; the message says what is allowed.
    """
    place = _zone(zone)
    if rate := _RATE.fullmatch(expression):
        seconds = int(rate[1]) * _UNITS[rate[2]]
        return Intervals(seconds, seconds)
    if at := _AT.fullmatch(expression):
        _check_at(expression, at[1], place, now)
        return Intervals(None, None, once=True)
    if cron := _CRON.fullmatch(expression):
        return _cron(expression, *cron.groups())
    raise ValueError(
        f"schedule {expression!r} is no schedule. Allowed are rate(<whole number> minutes|hours|days), cron(<minute> "
        "<hour> <day of the month> <month> <day of the week> <year>) and at(<yyyy-mm-ddThh:mm:ss>): write "
        "ScheduleExpression.cron(hour='3', minute='0')."
    )


def _zone(name: str | None) -> tzinfo:
    """Return the time zone; UTC stands for one this machine cannot know, as it has no time zones at all."""
    import zoneinfo  # noqa: PLC0415 - not at import: it costs start-up time

    try:
        return zoneinfo.ZoneInfo(name or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        if not zoneinfo.available_timezones():
            return timezone.utc
    raise ValueError(
        f"the time zone of the schedule is {name!r}. Allowed are the names of the IANA database: write "
        "time_zone=TimeZone.EUROPE_BERLIN."
    )


def _check_at(expression: str, text: str, place: tzinfo, now: datetime) -> None:
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=place)
    except ValueError:
        raise ValueError(
            f"schedule {expression!r} names no moment. Allowed is at(<yyyy-mm-ddThh:mm:ss>) of a day and a time that "
            "exist: correct it."
        ) from None
    if moment <= now:
        raise ValueError(
            f"schedule {expression!r} is in the past, so nothing would be exported. Allowed is a moment to come: give "
            "one, or remove this export."
        )


def _cron(  # noqa: PLR0913, PLR0917 - a cron expression has six fields
    expression: str, minute: str, hour: str, day: str, month: str, weekday: str, year: str
) -> Intervals:
    if (day == "?") == (weekday == "?"):
        raise ValueError(
            f"schedule {expression!r} has {'no day' if day == '?' else 'two days'}. Allowed is ? for exactly one of "
            "day of the month (the third field) and day of the week (the fifth): write cron(0 3 * * ? *) for every day."
        )
    minutes, hours = _field(expression, "minute", minute), _field(expression, "hour", hour)
    for name, text in (("day", day), ("month", month), ("weekday", weekday), ("year", year)):
        if text != "?" or name not in {"day", "weekday"}:
            _field(expression, name, text)
    nearest, farthest = _days_apart(expression, day, weekday)
    times = sorted(clock * 60 + past for clock in hours for past in minutes)
    within = [later - earlier for earlier, later in pairwise(times)]
    span = times[-1] - times[0]
    shortest = min([*within, nearest * _MINUTES_OF_A_DAY - span]) * MINUTE
    if farthest is None or month != "*" or year != "*":
        return Intervals(shortest, None)
    return Intervals(shortest, max([*within, farthest * _MINUTES_OF_A_DAY - span]) * MINUTE)


@dataclass(frozen=True)
class _Field:
    """What a field of a cron expression may be."""

    low: int
    high: int
    allowed: str
    names: tuple[str, ...] = ()
    special: str = "(?!)"  # what stands for days only the calendar knows


_FIELDS = {
    "minute": _Field(0, 59, "0 to 59"),
    "hour": _Field(0, 23, "0 to 23"),
    "day": _Field(1, 31, "1 to 31, L, LW and such as 15W", special=r"L|LW|([1-9]|[12]\d|3[01])W"),
    "month": _Field(1, 12, "1 to 12, JAN to DEC", _MONTHS),
    "weekday": _Field(
        1,
        7,
        "1 to 7, SUN to SAT, L, and such as 6L and 2#1",
        _WEEKDAYS,
        rf"L|([1-7]|{'|'.join(_WEEKDAYS)})(L|#[1-5])",
    ),
    "year": _Field(1970, 2199, "1970 to 2199"),
}


def _field(expression: str, name: str, text: str) -> frozenset[int]:
    """Return the numbers of a field; those of days that only the calendar knows are left out."""
    field = _FIELDS[name]
    found: set[int] = set()
    for part in text.upper().split(","):
        if re.fullmatch(field.special, part) is None:
            numbers = _numbers(field, part)
            if not numbers:
                raise ValueError(
                    f"schedule {expression!r} has {text!r} as its {name}. Allowed are {field.allowed}, *, lists with "
                    "commas, ranges with - and steps with /: correct it."
                )
            found |= numbers
    return frozenset(found)


def _numbers(field: _Field, part: str) -> set[int]:
    """Return the numbers of `*`, a value, a range, which may go around the end, or one of these with a step."""
    span, slash, step = part.partition("/")
    first, dash, last = span.partition("-")
    if slash and not re.fullmatch(r"[1-9]\d*", step):
        return set()
    if span == "*":
        begin, end = field.low, field.high
    else:
        begin, end = _number(field, first), _number(field, last if dash else first)
        if -1 in {begin, end}:
            return set()
        if slash and not dash:
            end = field.high
    size = field.high - field.low + 1
    steps = range(0, (end - begin) % size + 1, int(step or 1))
    return {(begin - field.low + number) % size + field.low for number in steps}


def _number(field: _Field, text: str) -> int:
    """Return a number or the number of a name; -1 when it is none that the field may have."""
    if text in field.names:
        return field.names.index(text) + field.low
    return int(text) if re.fullmatch(r"\d{1,4}", text) and field.low <= int(text) <= field.high else -1


def _days_apart(expression: str, day: str, weekday: str) -> tuple[int, int | None]:
    """Return how many days lie between two days of the schedule, at least and at most; None is unknown."""
    if "*" in {day, weekday}:
        return 1, 1
    name, text = ("day", day) if weekday == "?" else ("weekday", weekday)
    numbers = sorted(_field(expression, name, text))
    if re.search("[LW#]", re.sub("[A-Z]{3}", "", text.upper())):
        return 1, None
    within = [later - earlier for earlier, later in pairwise(numbers)]
    across = numbers[0] - numbers[-1]  # to the next week or month
    if name == "weekday":
        return min([*within, _WEEK + across]), max([*within, _WEEK + across])
    shortest = max(1, min([*within, _DAYS_OF_EVERY_MONTH + across]))
    longest = max([*within, _LONGEST_MONTH + across]) if numbers[-1] <= _DAYS_OF_EVERY_MONTH else None
    return shortest, longest
