"""Measures everything, prints it, and writes `results.json` and its pictures beside this file.

Ratios within one run are what counts: timings depend on the machine and on what else it does, which is why the load
average is noted. `--quick` does two rounds and leaves the long parts out; `--only` repeats parts and keeps the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import deployments, goals, picture, report, schedules, synthesis
from benchmarks.processes import ROOT, environment, interleave, ratios, run, say, summaries, summary
from personalize_local import LocalAws

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
README = HERE / "README.md"
PARTS = ("counts", "synth", "imports", "waiting", "deployments", "schedules", "local")
ROWS = (50_000, 500_000, 5_000_000)
QUICK_ROUNDS = 2


def main() -> int:
    """Run the parts and write what came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=goals.ROUNDS, help="how often everything is timed")
    parser.add_argument("--quick", action="store_true", help="two rounds, 500,000 rows at most, to a folder in .cache")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="only these parts; the rest is kept")
    given = parser.parse_args()
    rounds = QUICK_ROUNDS if given.quick else given.rounds
    folder = ROOT / ".cache" / "benchmarks" if given.quick else HERE
    folder.mkdir(parents=True, exist_ok=True)
    results_path = folder / RESULTS.name
    kept = json.loads(results_path.read_text()) if results_path.exists() else {}
    results = measure(kept, given.only, rounds, quick=given.quick)
    results_path.write_text(json.dumps(results, indent=1) + "\n")
    if "growth" in results:
        for name, theme in picture.THEMES.items():
            drawn = picture.svg(results, {**synthesis.RIVALS, **synthesis.FLOORS}, theme)
            (folder / f"results-{name}.svg").write_text(drawn)
    if not given.quick:
        README.write_text(schedules.shown_in(goals.shown_in(README.read_text(), results), results))
    sys.stdout.write(report.text(results) + goals.table(results) + f"\nwritten to {folder}\n")
    return 0


def measure(kept: dict[str, Any], parts: tuple[str, ...], rounds: int, *, quick: bool) -> dict[str, Any]:
    """Return the results, those of other parts kept."""
    results = dict(kept)
    runs = dict(results.get("runs", {}))
    others: dict[str, Callable[[], dict[str, Any]]] = {
        "counts": synthesis.count,
        "imports": lambda: imports(rounds),
        "waiting": lambda: run("waiting_process.py"),
        "deployments": lambda: deployments.measure(rounds, quick=quick),
        "schedules": schedules.measure,
        "local": lambda: local(rounds, ROWS[:2] if quick else ROWS),
    }
    for part in parts:
        say(f"{part}:")
        load, began = os.getloadavg()[0], time.time()
        if part == "synth":
            timed = interleave(synthesis.cases(), rounds)
            timed |= interleave(synthesis.long_cases(), min(rounds, synthesis.LONG_ROUNDS))
            results["synth"], results["ratios"] = summaries(timed), ratios(timed, synthesis.RATIOS)
        else:
            results[part] = others[part]()
        runs[part] = {**machine(), "load_before": load, "load_after": os.getloadavg()[0]}
        runs[part]["minutes"] = round((time.time() - began) / 60, 1)
    if "counts" in results and "synth" in results:
        results["growth"] = synthesis.growth(results["counts"], results["synth"])
    return {**results, "runs": runs}


def imports(rounds: int) -> dict[str, Any]:
    """Return what importing the package and the function costs, and the size of the asset."""
    timed = interleave(
        {
            "package": lambda: run("import_process.py"),
            "handler": lambda: run("import_process.py", "handler"),
        },
        rounds,
    )
    figures = {name: summary([f[name] for f in rounds]) for rounds in timed.values() for name in rounds[0]}
    return {**figures, "asset_bytes": goals.asset_bytes()}


def local(rounds: int, rows: tuple[int, ...]) -> dict[str, Any]:
    """Return how fast the local AWS starts, and takes in and writes out rows."""

    def start() -> dict[str, float]:
        began = time.perf_counter()
        with LocalAws():
            return {"start_s": time.perf_counter() - began}

    started = interleave({"start": start}, rounds)["start"]
    found: dict[str, Any] = {"start_s": summary([f["start_s"] for f in started])}
    for number in rows:
        say(f"  {number:,} rows")
        found[f"{number} rows"] = run("throughput_process.py", str(number))
    return found


def machine() -> dict[str, Any]:
    """Return what the figures were taken on."""
    node = subprocess.run(["node", "--version"], env=environment(), capture_output=True, text=True, check=True)  # noqa: S607
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "node": node.stdout.strip(),
        "aws_cdk_lib": version("aws-cdk-lib"),
        "cpus": os.cpu_count(),
    }


if __name__ == "__main__":
    sys.exit(main())
