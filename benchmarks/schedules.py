"""Exports on a schedule: ours, a universal target of EventBridge Scheduler (G), and the CDK's own constructs (H).

Three datasets each. What is deployed is deployed on the local AWS, IAM enforced, where Scheduler delivers each tick
twice: AWS promises at least once, and delivers again when an answer gets lost.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

from benchmarks import deployments, prices
from benchmarks.processes import ROOT, interleave, run, say, summaries, summary
from personalize_local import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.processes import Figures

RIVALS = {
    "scheduled_ours": "this library",
    "scheduler_target": "G a universal target",
    "scheduled_lambda": "H `Schedule` and `LambdaInvoke`",
}
DATASETS = 3
ROUNDS = 3
DELIVERIES = 2
QUIET_SECONDS = 15  # in which no further job has come
OUTPUT = ROOT / ".cache" / "benchmarks" / "schedules"
MARKERS = ("<!-- schedules -->", "<!-- /schedules -->")


def measure() -> dict[str, Any]:
    """Return what each costs to build, to run, and what it makes of a tick that is delivered twice."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    counts = {name: _synthesise(name, "counted") for name in RIVALS}
    findings = {name: run("nag_process.py", name, str(DATASETS), str(OUTPUT / f"{name}-nag")) for name in RIVALS}
    timed = summaries(interleave({name: _timed(name) for name in RIVALS}, ROUNDS))
    found: dict[str, Any] = {
        name: {
            "resources": counts[name]["resources"],
            "findings": findings[name]["findings"],
            "process_ms": timed[name]["process_ms"],
            **_deployed(name),
        }
        for name in RIVALS
    }
    return {**found, "dollars a month": prices.nightly(DATASETS)}


def _synthesise(name: str, kind: str) -> Figures:
    variables = {"CDK_VALIDATION": "false"}
    output = str(OUTPUT / name)
    return run("synth_process.py", name, str(DATASETS), "shared", output, kind, variables=variables)


def _timed(name: str) -> Callable[[], Figures]:
    return lambda: _synthesise(name, "plain")


def _deployed(name: str) -> dict[str, Any]:
    """Deploy one schedule, which fires when it is made; return its jobs, and how late the first is."""
    starts, jobs = [], 0
    for number in range(ROUNDS):
        say(f"  {name}, deployment {number + 1} of {ROUNDS}")
        settings = Settings(job_seconds=1.0, resource_seconds=0.0, schedule_deliveries=DELIVERIES)
        with deployments.target(settings=settings) as on:
            deployments.run_cdk(on, name, 1, "Bench")
            scheduler = on.aws.client("scheduler")
            (listed,) = scheduler.list_schedules()["Schedules"]
            made = scheduler.get_schedule(Name=listed["Name"], GroupName=listed["GroupName"])["CreationDate"]
            found = _jobs_of_the_first_tick(on)
        jobs = max(jobs, len(found))
        starts.append(min(job["creationDateTime"] for job in found).timestamp() - made.timestamp())
    return {"jobs": jobs, "start_s": summary(starts)}


def _jobs_of_the_first_tick(on: deployments.Target) -> list[dict[str, Any]]:
    """Return the jobs there are once no other comes; the next tick is a minute away."""
    deadline = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.5)
    return deployments.jobs_of(on.aws)


def table(found: dict[str, Any]) -> str:
    """Return the figures as a Markdown table."""
    dollars = found["dollars a month"]
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "resources": lambda one: f"{one['resources']:.0f}",
        "rules of cdk-nag's five packs that find something": lambda one: f"{one['findings']:.0f}",
        "synthesis, whole process": lambda one: f"{one['process_ms']['median'] / 1000:.2f} s",
        "jobs of one scheduled time that is delivered twice": lambda one: f"{one['jobs']}",
        "scheduled time to the job's start, local AWS": lambda one: f"{one['start_s']['median']:.2f} s",
    }
    lines = ["| | " + " | ".join(RIVALS.values()) + " |", "|---" * (len(RIVALS) + 1) + "|"]
    lines += [f"| {what} | " + " | ".join(show(found[name]) for name in RIVALS) + " |" for what, show in rows.items()]
    costs = " | ".join(f"${dollars[name]:.4f}" for name in RIVALS)
    return "\n".join([*lines, f"| a month of nights, three datasets, jobs of 20 min | {costs} |"])


def shown_in(readme: str, results: dict[str, Any]) -> str:
    """Return the README of the benchmark with the table in its place, once there is one."""
    begin, end = MARKERS
    if "schedules" not in results:
        return readme
    head, _, rest = readme.partition(begin)
    return f"{head}{begin}\n{table(results['schedules'])}\n{end}{rest.partition(end)[2]}"
