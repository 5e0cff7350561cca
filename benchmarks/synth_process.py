"""One synthesis in a process of its own, as `cdk synth` starts one: imports a rival, builds it, and says what it took.

Arguments: module, count, "shared", "own" (a destination for each export) or "app" (in an app with a VPC and a function
of its own), output folder, "plain" or "counted". Prints one JSON object. A counted run
also counts the messages to the jsii kernel, which costs a little: it is not timed.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import importlib  # noqa: E402 - the clock starts first
import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

from benchmarks import memory  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Synthesise once."""
    name, count, setting, output, kind = sys.argv[1:]
    calls = _count_jsii_calls() if kind == "counted" else None
    import aws_cdk  # noqa: PLC0415 - timed

    base = time.perf_counter()
    build: Callable[..., None] = importlib.import_module(f"benchmarks.rivals.{name}").build
    before = importlib.import_module("benchmarks.rivals.existing_app").build if setting == "app" else None
    imported = time.perf_counter()
    # 100 exports with a destination each are more than the 500 resources a stack may have, whoever writes them.
    app = aws_cdk.App(outdir=output, context={"@aws-cdk/core:stackResourceLimit": 0})
    stack = aws_cdk.Stack(app, "Bench")
    if before is not None:
        before(stack)
    build(stack, int(count), own=setting == "own")
    constructed = time.perf_counter()
    app.synth()
    synthesised = time.perf_counter()
    result: dict[str, Any] = {
        "import_ms": (imported - STARTED) * 1000,
        "import_beyond_cdk_ms": (imported - base) * 1000,
        "construct_ms": (constructed - imported) * 1000,
        "synth_ms": (synthesised - constructed) * 1000,
        "python_mb": memory.peak_mb(),
        "node_mb": _node_mb(),
    }
    if calls is not None:
        text = (Path(output) / "Bench.template.json").read_text()
        result |= {
            "jsii_calls": len(calls),
            "template_bytes": len(text.encode()),
            "resources": len(json.loads(text).get("Resources", {})),
        }
    sys.stdout.write(json.dumps(result))


def _count_jsii_calls() -> list[None]:
    """Count every message to the kernel from now on."""
    from jsii._kernel.providers.process import _NodeProcess  # noqa: PLC0415 - only when counting

    calls: list[None] = []
    send = _NodeProcess.send

    def counted(self: _NodeProcess, *arguments: Any) -> Any:  # noqa: ANN401 - passed on as it is
        calls.append(None)
        return send(self, *arguments)

    _NodeProcess.send = counted  # type: ignore[method-assign, assignment]
    return calls


def _node_mb() -> float:
    """Return the peak memory of the Node processes of jsii, where the system tells it (Linux)."""
    peaks = []
    for children in Path("/proc/self/task").glob("*/children"):
        pids = children.read_text().split()
        while pids:
            pid = pids.pop()
            peaks.append(memory.peak_mb(pid))
            pids += [p for path in Path(f"/proc/{pid}/task").glob("*/children") for p in path.read_text().split()]
    return max(peaks, default=0.0)


if __name__ == "__main__":
    main()
