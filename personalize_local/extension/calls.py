"""The record of who did what: every call that a permission decided, for tests that hold policies against it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_CALLS_KEPT = 20_000


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


class CallLog:
    """The last calls, oldest first; safe to write from any thread."""

    def __init__(self) -> None:
        """Start empty."""
        self._calls: deque[Call] = deque(maxlen=MOST_CALLS_KEPT)
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Keep a call."""
        with self._lock:
            self._calls.append(call)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._calls.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """Return the calls as JSON values."""
        with self._lock:
            return [asdict(call) for call in self._calls]
