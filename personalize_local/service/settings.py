"""The knobs of the local Personalize, and the failures it is told to have.

Everything is deterministic: how long a job takes is configured and measured with the clock the service is given, and
a fault strikes by count, never by chance. Each field of `Settings` has an environment twin,
``PERSONALIZE_LOCAL_<FIELD>``.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from personalize_local.service.quotas import Quotas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

ENVIRONMENT_PREFIX = "PERSONALIZE_LOCAL_"
JOB_OUTCOME = "Job"
"""The `Fault.operation` that stands for the outcome of an export job rather than for a call."""


@dataclass(frozen=True)
class Fault:
    """One failure to have.

    Args:
        operation: The operation that fails (``CreateDatasetExportJob``, ...), or ``Job``: the outcome of an export job.
        match: A regular expression searched in the names and ARNs of the request; empty matches all.
        error: The error code of a failing call. Not used for ``Job``.
        message: The text of the error, or the ``failureReason`` of the job.
        times: How often it strikes; 0 is always.
        after: How many matching calls or jobs pass first.
        seconds: The job lasts this long instead, and fails only when ``message`` or ``error`` is there too.
    """

    operation: str
    match: str = ""
    error: str = ""
    message: str = ""
    times: int = 1
    after: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse a pattern that can never be searched, here and not in the middle of a call."""
        try:
            re.compile(self.match)
        except re.error as error:
            raise ValueError(f"fault: match is not a regular expression: {self.match!r} ({error})") from None

    @property
    def fails(self) -> bool:
        """Whether it makes something fail, rather than only last."""
        return self.seconds is None or bool(self.error or self.message)

    def matches(self, names: Iterable[str]) -> bool:
        """Whether its pattern occurs in one of the names."""
        return any(re.search(self.match, name) for name in names)

    @classmethod
    def from_json(cls, value: object) -> Fault:
        """Read one fault from what JSON holds.

        Raises:
            ValueError: The value is no object, lacks ``operation``, or has an unknown or wrongly typed field.
        """
        if not isinstance(value, dict) or "operation" not in value:
            raise ValueError(f"fault: expected an object with an operation, got {value!r}")
        for name, item in value.items():
            if name not in _FAULT_FIELDS:
                raise ValueError(f"fault: unknown field {name}")
            allowed, meaning = _FAULT_FIELDS[name]
            if isinstance(item, bool) or not isinstance(item, allowed) or (isinstance(item, (int, float)) and item < 0):
                raise ValueError(f"fault: {name} must be {meaning}, got {item!r}")
        return cls(**value)


_TEXT = (str, "a string")
_COUNT = (int, "a whole number, 0 or more")
_FAULT_FIELDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "operation": _TEXT,
    "match": _TEXT,
    "error": _TEXT,
    "message": _TEXT,
    "times": _COUNT,
    "after": _COUNT,
    "seconds": ((int, float, type(None)), "a number, 0 or more"),
}


def faults_from_json(text: str) -> tuple[Fault, ...]:
    """Read a JSON list of faults.

    Raises:
        ValueError: The text is not such a list.
    """
    values = json.loads(text)
    if not isinstance(values, list):
        raise ValueError("expected a JSON list of faults")  # noqa: TRY004 - one error type for whatever the user wrote
    return tuple(Fault.from_json(value) for value in values)


@dataclass(frozen=True, kw_only=True)
class Settings(Quotas):
    """How the local Personalize behaves; every quota of `Quotas` is a setting too.

    What an export writes is documented only in part: the defaults are the plausible form that asks most of a reader.

    Args:
        job_seconds: How long an import or export job takes in all: pending for the first fifth, then in progress.
        resource_seconds: How long a dataset group, dataset or event tracker takes to become active, and to go.
        export_parts: Over how many files an export is spread, each with a header.
        export_check_object: Whether an empty object ``_CHECK`` is left beside the export.
        export_backslash_escapes: Whether quotes and backslashes in an export are escaped with a backslash, as in
            imports, rather than quotes doubled.
        schedule_deliveries: How often EventBridge Scheduler delivers each tick: AWS promises at least once.
        athena_skips_symlink_headers: Whether Athena heeds `skip.header.line.count` for the objects that symlinks name,
            which is unknown.
        faults: The failures to have.
    """

    job_seconds: float = 1.0
    resource_seconds: float = 0.2
    export_parts: int = 3
    export_check_object: bool = True
    export_backslash_escapes: bool = True
    schedule_deliveries: int = 1
    athena_skips_symlink_headers: bool = False
    faults: tuple[Fault, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings from environment variables; what is not there keeps its default.

        Raises:
            ValueError: A variable does not hold what its field needs; the message names it.
        """
        values: dict[str, object] = {}
        for field in fields(cls):
            name = ENVIRONMENT_PREFIX + field.name.upper()
            text = environment.get(name, "")
            if text:
                try:
                    values[field.name] = _READERS.get(field.name, _count)(text)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return cls(**values)  # type: ignore[arg-type]  # each value came from the reader of its field


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError("must be a number, 0 or more")
    return seconds


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError("must be a whole number, 1 or more")
    return count


def _switch(text: str) -> bool:
    switches = {"true": True, "false": False, "1": True, "0": False}
    if text.lower() not in switches:
        raise ValueError("must be true or false")
    return switches[text.lower()]


def _interactions(text: str) -> int:
    interactions = int(text)
    if interactions < 0:
        raise ValueError("must be a whole number, 0 or more")
    return interactions


_READERS: dict[str, Callable[[str], object]] = {
    "job_seconds": _seconds,
    "resource_seconds": _seconds,
    "export_check_object": _switch,
    "export_backslash_escapes": _switch,
    "athena_skips_symlink_headers": _switch,
    "minimum_interactions": _interactions,
    "faults": faults_from_json,
}


class FaultPlan:
    """Which fault strikes next. The list may be changed while the service runs; the counts follow the faults in it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        self._seen: dict[int, tuple[Fault, int]] = {}

    def replace(self, faults: Iterable[Fault]) -> None:
        """Replace the faults and forget what has been counted."""
        self.faults = list(faults)
        self._seen = {}

    def strike(self, operation: str, names: Iterable[str], *, failing: bool) -> Fault | None:
        """Return the first fault that strikes; every matching one up to it counts this occasion.

        Args:
            operation: The operation, or `JOB_OUTCOME`.
            names: The names and ARNs to search.
            failing: Whether faults that make something fail are asked for, or those that only make a job last.
        """
        searched = list(names) or [""]
        for fault in self.faults:
            if (
                fault.operation == operation
                and fault.fails is failing
                and fault.matches(searched)
                and self._counts(fault)
            ):
                return fault
        return None

    def _counts(self, fault: Fault) -> bool:
        """Count an occasion and return whether the fault strikes on it."""
        known, seen = self._seen.get(id(fault), (fault, 0))
        self._seen[id(fault)] = (known, seen + 1)  # holding the fault keeps its id from being reused
        return seen >= fault.after and (fault.times == 0 or seen < fault.after + fault.times)


def texts(value: Any) -> Iterator[str]:
    """Yield every string in a request: what `Fault.match` is searched in."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
