"""The time as schedules, alarms and Personalize have it: tests move it, so that a night passes in a moment.

S3, Lambda and the rest keep the real time: a function that sleeps is not woken.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Real time, and what it was moved ahead by.

    Args:
        real: The real time in seconds since the epoch.
    """

    def __init__(self, real: Callable[[], float] = time.time) -> None:
        """Start with the real time."""
        self._real = real
        self._lock = threading.Lock()
        self.ahead = 0.0

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._real() + self.ahead

    def advance(self, seconds: float) -> float:
        """Move ahead and return the new time; it never goes back.

        Raises:
            ValueError: The number is negative.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"seconds must be a number, 0 or more, got {seconds}")
        with self._lock:
            self.ahead += seconds
        return self.now()
