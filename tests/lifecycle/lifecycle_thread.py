"""Work that takes turns: each piece has a thread of its own and runs only while it is resumed.

The handler is plain blocking code, so two invocations at once need two stacks. Only one thread ever runs, and who is
next is decided by the controlled clock alone: equal scenarios give equal runs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_current = threading.local()


class ControlledThread:
    """A piece of work that can be parked in the middle, resumed, and ended from outside."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.over = False
        self.error: BaseException | None = None
        self._work = work
        self._wake_with: BaseException | None = None
        self._go = threading.Lock()
        self._back = threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self, error: BaseException | None = None) -> None:
        """Lets it run until it parks or ends; with an error, that is raised where it was parked."""
        self._wake_with = error
        self._go.release()
        self._back.acquire()
        if self.over:
            self._thread.join()

    def park(self) -> None:
        """Gives the turn back; called from within the work."""
        self._back.release()
        self._go.acquire()
        if self._wake_with is not None:
            raise self._wake_with

    def _run(self) -> None:
        self._go.acquire()
        try:
            if self._wake_with is None:
                self._work()
        except BaseException as error:  # noqa: BLE001 - how an invocation dies is what the model looks at
            self.error = error
        self.over = True
        self._back.release()
