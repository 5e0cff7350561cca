"""The record of who did what: every call that a permission decided, for tests that hold policies against it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_CALLS_KEPT = 20_000
LONGEST_TEXT = 2048  # as long as an ARN can be; what a caller made up may be as long as its request


@dataclass(frozen=True)
class Call:
    """One call of an API, as the permission check saw it.

    Args:
        service: The service that was called, such as ``personalize``.
        action: The IAM action, such as ``personalize:CreateDatasetExportJob``.
        resources: The ARNs it was checked against; ``*`` where the action takes none.
        principal: The ARN of the caller.
        allowed: Whether it was let through.
        context: The condition keys that came with it, in lower case.
        time: When, in seconds since the epoch.
    """

    service: str
    action: str
    resources: tuple[str, ...]
    principal: str
    allowed: bool
    context: Mapping[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time.time)


def _cut(value: Any) -> Any:
    """Cut a text, or each of a list."""
    return [_cut(item) for item in value[:LONGEST_TEXT]] if isinstance(value, list) else str(value)[:LONGEST_TEXT]


class CallLog:
    """The last calls, oldest first; safe to write from any thread."""

    def __init__(self) -> None:
        """Start empty."""
        self._calls: deque[Call] = deque(maxlen=MOST_CALLS_KEPT)
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Keep a call, each text of it cut to what is reasonable."""
        resources = tuple(resource[:LONGEST_TEXT] for resource in call.resources)
        context = {key[:LONGEST_TEXT]: _cut(value) for key, value in call.context.items()}
        with self._lock:
            self._calls.append(replace(call, resources=resources, context=context))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._calls.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """Return the calls as JSON values."""
        with self._lock:
            return [asdict(call) for call in self._calls]
