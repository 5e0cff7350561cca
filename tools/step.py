"""Runs one step of the Makefile so that Ctrl-C ends it, and all it started, with one line and no traceback.

The command gets a session of its own: Ctrl-C, which a terminal sends to every process of a session, reaches this
process alone, which ends the command as `kill` does, whatever it is doing. It also gets a folder of its own for
temporary files, which is removed unless the command fails. `--or TEXT` before the command is a line to end with when it
fails by itself. Nothing but the standard library is used, because the steps
that install everything else run through it as well.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

POLL_SECONDS = 0.2
GRACE_SECONDS = 10  # for the command to stop what it started
OTHERS_SECONDS = 2  # for what the command started and left
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNAL_OFFSET = 128
STOPPED = "stopped: nothing is left running, and the same command starts again"


def main(command: list[str]) -> int:
    """Run the command; returns its exit status, or that of the signal that ended it."""
    explanation = None
    if command[0] == "--or":
        _, explanation, *command = command
    received: list[int] = []
    for asking in ASKING:
        signal.signal(asking, lambda number, _frame: received.append(number))
    folder = Path(tempfile.mkdtemp(prefix="make-"))
    process = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(folder)}, start_new_session=True)  # noqa: S603 - from the Makefile
    while process.poll() is None and not received:
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
    if received:
        _end(process)
        _remove(folder)
        with suppress(OSError):  # the terminal may be gone
            print(("\n" if sys.stderr.isatty() else "") + STOPPED, file=sys.stderr)
        return SIGNAL_OFFSET + received[0]
    status = process.returncode
    if status == 0 or not any(folder.iterdir()):
        _remove(folder)
    if status and explanation:
        print(explanation, file=sys.stderr)
    return status if status >= 0 else SIGNAL_OFFSET - status


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it started, gently first."""
    _signal(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    deadline = time.monotonic() + OTHERS_SECONDS
    while _signal(process.pid, 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process group; tells whether there is one."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _remove(folder: Path) -> None:
    """Remove a folder, which a server that is about to end may still write to."""
    deadline = time.monotonic() + OTHERS_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
