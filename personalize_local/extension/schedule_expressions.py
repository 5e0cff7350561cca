"""When a schedule is due: ``at(...)``, ``rate(...)`` and ``cron(...)`` in a time zone.

Rests on https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html: a local time that a clock change
leaves out is skipped, one that it repeats counts once, and a day of a rate is 24 hours. Own code, since pyawscron
1.0.7 knows no ``LW`` and does not come back from a step of 0, and ministack's parser takes a minute 61.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_UNIT_SECONDS: Mapping[str, int] = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_FRIDAY = 5  # in Python's count from Monday as 1
_LONGEST_SEARCH_DAYS = 366 * 8 + 2  # a 29 February may be 8 years away
LATE_SECONDS = 60
"""How late a one-time schedule may be made: schedules have a precision of 60 seconds. (inferred)"""


class InvalidExpressionError(ValueError):
    """The expression or its time zone is not valid; the text is the API's."""


@dataclass(frozen=True)
class At:
    """Once."""

    moment: datetime
    zone: ZoneInfo

    def after(self, moment: float, _anchor: float) -> float | None:
        """Return when it is due after a moment, None when it is not any more."""
        due = self.moment.replace(tzinfo=self.zone).timestamp()
        return due if due > moment else None


@dataclass(frozen=True)
class Rate:
    """Every so many seconds, from an anchor on."""

    seconds: int

    def after(self, moment: float, anchor: float) -> float | None:
        """Return when it is due after a moment; first at the anchor."""
        if moment < anchor:
            return anchor
        return anchor + (int((moment - anchor) // self.seconds) + 1) * self.seconds


@dataclass(frozen=True)
class Cron:
    """At times of the day, on days, in a zone."""

    minutes: frozenset[int]
    hours: frozenset[int]
    day_of_month: str
    months: frozenset[int]
    day_of_week: str
    years: frozenset[int]
    zone: ZoneInfo

    def after(self, moment: float, _anchor: float) -> float | None:
        """Return when it is due after a moment, None when it is not any more."""
        local = datetime.fromtimestamp(moment, self.zone)
        for day in self._days_from(local.date() - timedelta(days=1)):
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    wanted = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                    due = wanted.timestamp()
                    exists = datetime.fromtimestamp(due, self.zone).replace(tzinfo=None) == wanted.replace(tzinfo=None)
                    if exists and due > moment:
                        return due
        return None

    def _days_from(self, first: date) -> Iterator[date]:
        """Yield the days it is due on, in their order."""
        years = [year for year in self.years if year >= first.year]
        start = max(first, date(min(years), 1, 1)) if years else first
        for number in range(_LONGEST_SEARCH_DAYS if years else 0):
            day = start + timedelta(days=number)
            if day.year in self.years and day.month in self.months and self._is_due_on(day):
                yield day

    def _is_due_on(self, day: date) -> bool:
        """Tell whether the one of the two day fields that is not ``?`` has this day."""
        if self.day_of_week == "?":
            return day.day in _days_of_month(self.day_of_month, day.year, day.month)
        return day.day in _days_of_week(self.day_of_week, day.year, day.month)


Expression = At | Rate | Cron


def parse(expression: str, zone_name: str = "UTC") -> Expression:
    """Read a schedule expression.

    Raises:
        InvalidExpressionError: It is not valid, or the time zone does not exist.
    """
    zone = _zone(zone_name)
    try:
        if match := _AT.fullmatch(expression):
            return At(datetime.fromisoformat(match[1]), zone)
        if match := _RATE.fullmatch(expression):
            return Rate(int(match[1]) * _UNIT_SECONDS[match[2]])
        if match := _CRON.fullmatch(expression):
            return _cron(*match.groups(), zone=zone)
    except (ValueError, KeyError):
        pass
    raise InvalidExpressionError(f"Invalid Schedule Expression {expression}.")


def first(expression: Expression, created: float, start: float | None) -> float | None:
    """Return when a schedule is due first; a one-time schedule ignores the start."""
    if isinstance(expression, At):
        return expression.after(created - LATE_SECONDS, created)
    anchor = float(int(created)) if start is None else start
    return expression.after(max(float(int(created)), anchor) - 0.001, anchor)


def _zone(name: str) -> ZoneInfo:
    """Return a zone of the IANA database (text unknown)."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # LookupError: ZoneInfoNotFoundError
        raise InvalidExpressionError(f"Invalid ScheduleExpressionTimezone {name}.") from None


def _cron(  # noqa: PLR0913, PLR0917 - a cron expression has six fields
    minute: str, hour: str, day: str, month: str, weekday: str, year: str, *, zone: ZoneInfo
) -> Cron:
    """Check and read the six fields; one of the two day fields must be ``?``."""
    if (day == "?") == (weekday == "?"):
        raise ValueError("one of the two day fields must be ?")
    day, weekday = day.upper(), weekday.upper()
    _days_of_month(day, 2000, 1)
    _days_of_week(weekday, 2000, 1)
    minutes, hours = _numbers(minute, 0, 59), _numbers(hour, 0, 23)
    months, years = _numbers(month, 1, 12, _MONTHS), _numbers(year, 1970, 2199)
    return Cron(minutes, hours, day, months, weekday, years, zone)


def _numbers(field: str, low: int, high: int, names: Mapping[str, int] | None = None) -> frozenset[int]:
    """Return the numbers of a field: ``*``, values, ranges (which may go around the end), and steps."""

    def number(text: str) -> int:
        value = (names or {}).get(text.upper()) or int(text)
        if not low <= value <= high:
            raise ValueError(f"{text} is not between {low} and {high}")
        return value

    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        begin, dash, end = span.partition("-")
        if span == "*":
            values = list(range(low, high + 1))
        elif dash:
            first_value, last_value = number(begin), number(end)
            values = list(range(first_value, last_value + 1)) or [
                *range(first_value, high + 1),
                *range(low, last_value + 1),
            ]
        else:
            values = list(range(number(begin), high + 1 if slash else number(begin) + 1))
        if slash and int(step) < 1:
            raise ValueError("a step must be 1 or more")
        found.update(values[:: int(step)] if slash else values)
    return frozenset(found)


def _days_of_month(field: str, year: int, month: int) -> set[int]:
    """Return the days of a month that a day-of-month field has: ``L`` the last, ``3W`` the weekday nearest the 3rd."""
    last = calendar.monthrange(year, month)[1]
    found: set[int] = set()
    for part in [] if field == "?" else field.split(","):
        if part == "L":
            found.add(last)
        elif part == "LW":
            found.add(_nearest_weekday(year, month, last))
        elif part.endswith("W"):
            (day,) = _numbers(part[:-1], 1, 31)
            if day <= last:
                found.add(_nearest_weekday(year, month, day))
        else:
            found |= _numbers(part, 1, 31)
    return found


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """Return the Monday to Friday of the month that is nearest a day."""
    last = calendar.monthrange(year, month)[1]
    candidates = range(max(1, day - 2), min(last, day + 2) + 1)
    weekdays = [number for number in candidates if date(year, month, number).isoweekday() <= _FRIDAY]
    return min(weekdays, key=lambda number: abs(number - day))


def _days_of_week(field: str, year: int, month: int) -> set[int]:
    """Return the days of a month that a day-of-week field has: ``5L`` the last Thursday, ``2#1`` the first Monday."""
    days_by_weekday: dict[int, list[int]] = {number: [] for number in range(1, 8)}
    for day in range(1, calendar.monthrange(year, month)[1] + 1):
        days_by_weekday[date(year, month, day).isoweekday() % 7 + 1].append(day)
    found: set[int] = set()
    for part in [] if field == "?" else field.split(","):
        weekday, hash_sign, nth = part.partition("#")
        if hash_sign:
            (number,), (position,) = _numbers(weekday, 1, 7, _DAYS), _numbers(nth, 1, 5)
            found.update(days_by_weekday[number][position - 1 : position])
        elif part == "L":
            found.update(days_by_weekday[7])
        elif part.endswith("L"):
            (number,) = _numbers(part[:-1], 1, 7, _DAYS)
            found.add(days_by_weekday[number][-1])
        else:
            found.update(day for number in _numbers(part, 1, 7, _DAYS) for day in days_by_weekday[number])
    return found


def as_text(moment: float) -> str:
    """Write a time as Scheduler does, to the second."""
    return datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
