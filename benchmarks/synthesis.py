"""Synthesis: what is counted once, and what is timed in rounds."""

from __future__ import annotations

import shutil
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from benchmarks.processes import ROOT, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.processes import Figures

RIVALS = {
    "ours": "this library",
    "provider_framework": "A provider framework",
    "aws_custom_resource": "B AwsCustomResource",
    "step_functions": "C Step Functions",
    "sleeping_lambda": "E sleeping Lambda",
    "crhelper_lambda": "F crhelper",
}
FLOORS = {
    "empty": "empty app",
    "empty_s3": "empty app, aws_s3",
    "one_function": "bucket and function",
}
OWN = "100 own"
"""Exports that have a destination each; the others share one."""
IN_AN_APP = ("1 app", "100 app")
"""The headline: exports in an app with a VPC and a function of its own; the others are a toy app with nothing else."""
GROWTH = ("1", "10", "50", "100", "200", "450")
LONG_ROUNDS = 3
RATIOS = ("process_ms", "cpu_ms")
OUTPUT = ROOT / ".cache" / "benchmarks" / "synthesis"


def count() -> dict[str, Figures]:
    """Return resources, template bytes and jsii calls of every rival at every size."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    wanted = [(name, size) for name in RIVALS for size in (*IN_AN_APP, "1", "100", OWN)]
    wanted += [("ours", size) for size in GROWTH if size not in ("1", "100")]
    wanted += [(name, "1") for name in FLOORS] + [("empty", IN_AN_APP[0])]
    return {f"{name},{size}": _one(name, size, kind="counted") for name, size in wanted}


def cases() -> dict[Any, Callable[[], Figures]]:
    """Return what to time in each round: everybody, without validation."""
    wanted = [(name, size, False) for size in (*IN_AN_APP, "1", "100") for name in RIVALS]
    wanted += [(name, "1", False) for name in FLOORS] + [("empty", IN_AN_APP[0], False)]
    wanted += [("ours", size, False) for size in GROWTH if size not in ("1", "100")]
    return _runs(wanted)


def long_cases() -> dict[Any, Callable[[], Figures]]:
    """Return what to time in a few rounds, because it takes long: a destination for each export, and validation."""
    wanted = [(name, OWN, False) for name in RIVALS]
    wanted += [(name, size, True) for name in ("ours", "provider_framework") for size in ("1", "100")]
    wanted += [("empty_s3", "1", True)]
    return _runs(wanted)


def _runs(wanted: list[tuple[str, str, bool]]) -> dict[Any, Callable[[], Figures]]:
    return {
        f"{name},{size}{',validated' * on}": lambda name=name, size=size, on=on: _one(name, size, validated=on)  # type: ignore[misc]
        for name, size, on in wanted
    }


def growth(counts: dict[str, Figures], timed: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each further export costs between two sizes."""
    steps = []
    for few, many in pairwise(GROWTH):
        more = int(many) - int(few)
        low, high = counts[f"ours,{few}"], counts[f"ours,{many}"]
        step: dict[str, Any] = {"sizes": f"{few}–{many}"}  # noqa: RUF001 - a range
        for metric in ("jsii_calls", "template_bytes", "resources"):
            step[metric] = (high[metric] - low[metric]) / more
        took = [
            timed[f"ours,{size}"]["construct_ms"]["median"] + timed[f"ours,{size}"]["synth_ms"]["median"]
            for size in (few, many)
        ]
        step["ms"] = (took[1] - took[0]) / more
        steps.append(step)
    return steps


def _one(name: str, size: str, *, kind: str = "plain", validated: bool = False) -> Figures:
    number, _, setting = size.partition(" ")
    output = OUTPUT / f"{name}-{number}{setting}"
    variables = {"CDK_VALIDATION": "true" if validated else "false"}
    return run("synth_process.py", name, number, setting or "shared", str(output), kind, variables=variables)
