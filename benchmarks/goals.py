"""What the library must reach, and whether it does: one row per goal, read from the results."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[dict[str, Any]], float]

MARKERS = ("<!-- measured -->", "<!-- /measured -->")
TIMES = "\N{MULTIPLICATION SIGN}"
HANDLER = ROOT / "cdk_personalize_export" / "handler"


class Goal(NamedTuple):
    """A figure and the most it may be."""

    what: str
    most: float
    unit: str
    read: Read


def _ratio(other: str, kind: str, metric: str = "process_ms") -> Read:
    return lambda results: float(results["ratios"][f"ours / {other}, {kind}"][metric]["median"])


def _count(case: str, what: str) -> Read:
    return lambda results: float(results["counts"][case][what])


def _first_calls(results: dict[str, Any]) -> float:
    counts = results["counts"]
    return float(counts["ours,1"]["jsii_calls"] - counts["empty,1"]["jsii_calls"])


def _further_calls(results: dict[str, Any]) -> float:
    counts = results["counts"]
    return float(counts["ours,100"]["jsii_calls"] - counts["ours,1"]["jsii_calls"]) / 99


def _import(name: str) -> Read:
    return lambda results: float(results["imports"][name]["median"])


def _late(kind: str) -> Read:
    return lambda results: float(results["waiting"]["active_to_answer"][kind]["longest_s"])


def _deployment(metric: str) -> Read:
    return lambda results: float(results["deployments"]["ours / provider_framework, 1"][metric]["median"])


def _hour(name: str) -> Read:
    return lambda results: float(results["waiting"]["ours"]["60 min"][name])


GOALS = (
    Goal("whole process against A, 1 export", 0.80, TIMES, _ratio("provider_framework", "1")),
    Goal("whole process against A, 100 exports", 0.75, TIMES, _ratio("provider_framework", "100")),
    Goal("whole process against an empty app that imports aws_s3", 1.35, TIMES, _ratio("empty_s3", "1")),
    Goal("resources, 1 export", 9, "", _count("ours,1", "resources")),
    Goal("resources, 100 exports sharing a destination", 108, "", _count("ours,100", "resources")),
    Goal("jsii calls, first export", 42, "", _first_calls),
    Goal("jsii calls, each further export", 4, "", _further_calls),
    Goal("template of 100 exports", 70, "KB", lambda results: _count("ours,100", "template_bytes")(results) / 1000),
    Goal("importing the package beyond aws_cdk", 60, "ms", _import("package_import_ms")),
    Goal("asset, zipped", 15, "KB", lambda results: float(results["imports"]["asset_bytes"]) / 1000),
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
        met = "met" if value <= goal.most else "**not met**"
        lines.append(f"| {goal.what} | ≤ {_shown(goal.most, goal.unit)} | {_shown(value, goal.unit)} | {met} |")
    return "\n".join(lines)


def shown_in(readme: str, results: dict[str, Any]) -> str:
    """Return the README of the benchmark with the table in its place."""
    begin, end = MARKERS
    head, _, rest = readme.partition(begin)
    return f"{head}{begin}\n{table(results)}\n{end}{rest.partition(end)[2]}"


def asset_bytes() -> int:
    """Return the size of the function's asset as a zip file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(HANDLER.glob("*.py")):
            archive.write(path, path.name)
    return len(packed.getvalue())


def _shown(value: float, unit: str) -> str:
    number = f"{value:.3g}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - where commas begin to help
    return f"${number}" if unit == "$" else f"{number} {unit}".strip()
