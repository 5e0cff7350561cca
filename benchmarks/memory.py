"""How much memory a process has used."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_mb(pid: int | str = "self") -> float:
    """Return the peak of a process, where the system tells it (Linux), and elsewhere that of this process.

    Not ru_maxrss where it can be helped: a new process begins with the peak of the one that started it.
    """
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return float(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
