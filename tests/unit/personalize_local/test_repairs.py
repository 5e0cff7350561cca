"""What is mended in ministack and can be seen without a server."""

from __future__ import annotations

import queue
import threading
from types import SimpleNamespace

from ministack.core.lambda_runtime import Worker

from personalize_local.extension import repairs


def test_last_line_of_a_log_is_waited_for() -> None:
    for drain, log in (
        (Worker._drain_stderr_bounded, "first"),
        (repairs.patiently(Worker._drain_stderr_bounded), "first\nlast"),
    ):
        lines: queue.Queue[str] = queue.Queue()
        lines.put("first")
        late = threading.Timer(0.05, lines.put, ["last"])
        late.start()
        assert drain(SimpleNamespace(_stderr_queue=lines)) == log
        late.join()
