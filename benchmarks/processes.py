"""Runs processes one after the other, in rounds, and keeps what each of them took.

Interleaved: a round runs every case once, so that a busy moment of the machine meets them all. Every second round goes
through the cases backwards, so that none always profits from the one before it.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personalize_local import node

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
Figures = dict[str, float]


def environment(**more: str) -> dict[str, str]:
    """Return what a benchmarked process gets: compiled files are kept, as for a user; Node is the project's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_", "CDK_"))}
    found = node.find()
    programs = os.pathsep.join([str(found.parent), os.environ["PATH"]]) if found else os.environ["PATH"]
    return {**kept, "PATH": programs, "PYTHONPATH": str(ROOT), **({"JSII_NODE": str(found)} if found else {}), **more}


def run(script: str, *arguments: str, variables: Mapping[str, str] | None = None) -> Figures:
    """Run one of our scripts; return what it prints, its wall time, and its CPU time with that of its children.

    Raises:
        RuntimeError: It failed; the message has what it said.
    """
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(  # noqa: S603 - this interpreter and our own script
        command, env=environment(**(variables or {})), capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{script} {' '.join(arguments)} failed:\n{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return {"process_ms": wall * 1000, "cpu_ms": cpu * 1000, **figures}


def interleave(
    cases: Mapping[str, Callable[[], Figures]], rounds: int, *, warm_up: bool = True
) -> dict[str, list[Figures]]:
    """Run every case once to warm up, unless it is warm already, and then once in each round."""
    results: dict[str, list[Figures]] = {case: [] for case in cases}
    for number in range(0 if warm_up else 1, rounds + 1):
        say(f"  round {number} of {rounds}" if number else "  warming up")
        for case in list(cases)[:: -1 if number % 2 else 1]:
            figures = cases[case]()
            if number:
                results[case].append(figures)
    return results


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the spread, which is half the distance between the quartiles."""
    median = statistics.median(values)
    if len(values) < 2:  # noqa: PLR2004 - one value has no spread
        return {"median": _short(median), "spread": 0.0, "rounds": len(values)}
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": _short(median), "spread": _short((high - low) / 2), "rounds": len(values)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return the median of the ratios of each round, which a slow moment of the machine does not move."""
    return summary([mine / other for mine, other in zip(ours, theirs, strict=True)])


def summaries(timed: Mapping[str, list[Figures]]) -> dict[str, Any]:
    """Return medians with their spread for each case."""
    return {
        case: {metric: summary([figures[metric] for figures in rounds]) for metric in rounds[0]}
        for case, rounds in timed.items()
    }


def ratios(timed: Mapping[str, list[Figures]], metrics: Sequence[str]) -> dict[str, Any]:
    """Return ours against every other case of the same kind; a case is called by its name, a comma and its kind."""
    found = {}
    for case, theirs in timed.items():
        name, _, kind = case.partition(",")
        mine = timed.get(f"ours,{kind}")
        if name != "ours" and mine is not None:
            found[f"ours / {name}, {kind}"] = {
                metric: ratio([f[metric] for f in mine], [f[metric] for f in theirs]) for metric in metrics
            }
    return found


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    sys.stderr.write(text + "\n")


def _short(value: float) -> float:
    return float(f"{value:.4g}")
