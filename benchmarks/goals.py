"""What the library must reach, and whether it does: one row per goal, read from the results."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.processes import ROOT
from benchmarks.synthesis import IN_AN_APP

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[dict[str, Any]], float]

MARKERS = ("<!-- measured -->", "<!-- /measured -->")
TIMES = "\N{MULTIPLICATION SIGN}"
ROUNDS = 9
"""How often everything is timed that a goal compares, at least."""
SIZES = (*IN_AN_APP, "1", "100")
HANDLER = ROOT / "cdk_personalize_export" / "handler"


class Goal(NamedTuple):
    """A figure and the most it may be; one without a goal is shown to compare."""

    what: str
    most: float | None
    unit: str
    read: Read


def _ratio(other: str, kind: str, metric: str = "process_ms") -> Read:
    return lambda results: float(results["ratios"][f"ours / {other}, {kind}"][metric]["median"])


def _beyond_the_app(case: str, what: str) -> Read:
    return lambda results: float(results["counts"][case][what] - results["counts"]["empty,1 app"][what])


def _dearest_step(what: str) -> Read:
    return lambda results: max(float(step[what]) for step in results["growth"])


def _import(name: str) -> Read:
    return lambda results: float(results["imports"][name]["median"])


def _late(kind: str) -> Read:
    return lambda results: float(results["waiting"]["active_to_answer"][kind]["longest_s"])


def _deployment(metric: str) -> Read:
    return lambda results: float(results["deployments"]["ours / provider_framework, 1"][metric]["median"])


def _hour(name: str) -> Read:
    return lambda results: float(results["waiting"]["ours"]["60 min"][name])


GOALS = (
    Goal("whole process against A, 1 export", 0.95, TIMES, _ratio("provider_framework", "1 app")),
    Goal("whole process against A, 100 exports", 0.90, TIMES, _ratio("provider_framework", "100 app")),
    Goal("the same in the toy app, 1 export", None, TIMES, _ratio("provider_framework", "1")),
    Goal("the same in the toy app, 100 exports", None, TIMES, _ratio("provider_framework", "100")),
    Goal("resources beyond the app's own, 1 export", 9, "", _beyond_the_app("ours,1 app", "resources")),
    Goal("resources beyond the app's own, 100 exports", 109, "", _beyond_the_app("ours,100 app", "resources")),
    Goal("jsii calls, each further export, the dearest step up to 450", 4, "", _dearest_step("jsii_calls")),
    Goal("template, each further export, the dearest step up to 450", 900, "bytes", _dearest_step("template_bytes")),
    Goal("importing the package beyond aws_cdk", 60, "ms", _import("package_import_ms")),
    Goal("asset, zipped", 40, "KB", lambda results: float(results["imports"]["asset_bytes"]) / 1000),
    Goal("importing the function beyond boto3", 10, "ms", _import("handler_import_ms")),
    Goal("ACTIVE to answer, jobs under a minute, at most", 5, "s", _late("jobs under a minute")),
    Goal("ACTIVE to answer, longer jobs, at most (one poll)", 39, "s", _late("longer jobs")),
    Goal("stack beyond a job of 1 s against A, on the local AWS", 0.7, TIMES, _deployment("stack_beyond_job_s")),
    Goal("the same with the CDK CLI and synthesis", 0.7, TIMES, _deployment("deploy_beyond_job_s")),
    Goal(
        "stack beyond jobs of 1 to 20 s against A",
        0.7,
        TIMES,
        lambda found: float(found["deployments"]["by length"]["ratio"]),
    ),
    Goal("60 min of waiting", 0.008, "$", _hour("dollars")),
    Goal("API calls in 60 min of waiting", 130, "", _hour("api_calls")),
)


def table(results: dict[str, Any]) -> str:
    """Return the goals that were measured, as a Markdown table."""
    lines = ["| | goal | measured | |", "|---|---|---|---|"]
    for goal in GOALS:
        try:
            value = goal.read(results)
        except KeyError:  # that part has not been measured
            continue
        lines.append(f"| {goal.what} | {_judged(goal, value)} |")
    return "\n".join(lines)


def _judged(goal: Goal, value: float) -> str:
    if goal.most is None:
        return f"none | {_shown(value, goal.unit)} | "
    met = "met" if value <= goal.most else "**not met**"
    return f"≤ {_shown(goal.most, goal.unit)} | {_shown(value, goal.unit)} | {met}"


def warning(results: dict[str, Any]) -> str:
    """Return what to say above results that were timed in too few rounds; nothing above others."""
    synthesised = [results["ratios"][f"ours / provider_framework, {size}"]["process_ms"] for size in SIZES]
    deployed = results["deployments"]["ours / provider_framework, 1"]["stack_beyond_job_s"]
    rounds = min(int(found["rounds"]) for found in (*synthesised, deployed))
    return "" if rounds >= ROUNDS else f"**Preliminary**: timed in {rounds} rounds instead of {ROUNDS}.\n\n"


def shown_in(readme: str, results: dict[str, Any]) -> str:
    """Return the README of the benchmark with the table in its place."""
    begin, end = MARKERS
    head, _, rest = readme.partition(begin)
    return f"{head}{begin}\n{warning(results)}{table(results)}\n{end}{rest.partition(end)[2]}"


def asset_bytes() -> int:
    """Return the size of the function's asset as a zip file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(HANDLER.glob("*.py")):
            archive.write(path, f"{HANDLER.name}/{path.name}")
    return len(packed.getvalue())


def _shown(value: float, unit: str) -> str:
    number = f"{value:.3g}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - where commas begin to help
    return f"${number}" if unit == "$" else f"{number} {unit}".strip()
