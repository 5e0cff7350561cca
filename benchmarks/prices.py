"""What waiting costs, from the list prices of us-east-1 (x86 and arm64 Lambda, standard workflows).

Kept here as a table, because prices change and the figures must be traceable. Calls to Amazon Personalize, IAM and
CloudFormation are free.
"""

from __future__ import annotations

PRICES = {
    "Lambda, arm64, per GB-second": 0.0000133334,
    "Lambda, x86, per GB-second": 0.0000166667,
    "Lambda, per request": 0.0000002,
    "Step Functions, per state transition": 0.000025,
    "EventBridge, per rule invocation of Lambda": 0.0,
    "EventBridge, per custom event": 0.000001,
    "EventBridge Scheduler, per invocation": 0.000001,
    "CloudWatch, per custom metric and month, by the hour": 0.30,
    "CloudWatch, per alarm and month": 0.10,
}
MEMORY_GB = 0.125  # 128 MB, the least Lambda has and what everybody here uses
CALL_SECONDS = 0.15  # a warm function that makes one call (assumed, for the rivals that only look and end)


def sleeping(seconds: float, invocations: int) -> float:
    """Return the dollars of a function on arm64 that runs all that time."""
    running = seconds * MEMORY_GB * PRICES["Lambda, arm64, per GB-second"]
    return running + invocations * PRICES["Lambda, per request"]


def looking(functions: int, transitions: int, polls: int) -> float:
    """Return the dollars of polls that each start functions on x86 and take steps of a state machine."""
    one = CALL_SECONDS * MEMORY_GB * PRICES["Lambda, x86, per GB-second"] + PRICES["Lambda, per request"]
    return polls * (functions * one + transitions * PRICES["Step Functions, per state transition"])


def rivals(seconds: float) -> dict[str, float]:
    """Return what the rivals' designs cost for a wait: modelled from their poll rate, not measured."""
    return {
        "A provider framework, its own 5 s": looking(2, 1, int(seconds / 5)),
        "A provider framework, 30 s": looking(2, 1, int(seconds / 30)),
        "C Step Functions, 30 s": looking(0, 3, int(seconds / 30)),
        "E sleeping Lambda (15 min at most)": sleeping(min(seconds, 900), 1),
        "F crhelper, 2 min": looking(1, 0, int(seconds / 120)),
    }


NIGHTS, NIGHTLY_JOB_SECONDS, HOURS_A_MONTH = 30, 1200, 720
RUNS_PER_JOB = 2  # ours hands over once in 20 minutes
METRICS = 5


def nightly(datasets: int) -> dict[str, float]:
    """Return what a month of nightly exports costs whom, and what telling costs ours: free tiers left out."""
    ticks = NIGHTS * datasets
    scheduler = ticks * PRICES["EventBridge Scheduler, per invocation"]
    starting = CALL_SECONDS * MEMORY_GB * PRICES["Lambda, arm64, per GB-second"] + PRICES["Lambda, per request"]
    events = ticks * PRICES["EventBridge, per custom event"]
    hours = NIGHTS / HOURS_A_MONTH  # a metric costs in the hours that have data
    metrics = METRICS * datasets * PRICES["CloudWatch, per custom metric and month, by the hour"] * hours
    return {
        "scheduled_ours": scheduler + ticks * sleeping(NIGHTLY_JOB_SECONDS, RUNS_PER_JOB),
        "scheduler_target": scheduler,
        "scheduled_lambda": scheduler + ticks * starting,
        "events": events,
        "metrics": metrics,
        "silence alarms": datasets * PRICES["CloudWatch, per alarm and month"],
    }
