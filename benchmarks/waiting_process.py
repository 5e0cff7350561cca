"""How the real handler waits: calls, Lambda time, dollars, and how soon after its end a job is answered.

The clock is counted, so that an hour takes a moment: the handler, its clients and its HTTP are real, and only sleeping
and AWS are the tests' own way out. Every call is given 0.1 s. Prints one JSON object.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import gmtime, strftime
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import prices  # noqa: E402 - after the path
from tests.unit.handler.world import AnswerServer, FakeOutbound, answer_server, event, run  # noqa: E402

CALL_SECONDS = 0.1
COLD_START_SECONDS = 0.5  # assumed, and paid for in every invocation
LINK_SECONDS = 3360
JOBS = {"10 s": 10.0, "45 s": 45.0, "20 min": 1200.0, "60 min": 3600.0}
SAMPLES = 60


@dataclass
class Waited:
    """One job, waited for."""

    late: float
    lambda_ms: float
    invocations: int
    calls: Counter[str]


def main() -> None:
    """Measure."""
    with answer_server() as server:
        jobs = {name: _figures(seconds, _wait(seconds, 0.5, server)) for name, seconds in JOBS.items()}
        dice = random.Random(1)  # noqa: S311 - plays dice, protects nothing
        short = [_wait(dice.uniform(1, 59), dice.random(), server).late for _ in range(SAMPLES)]
        long = [_wait(dice.uniform(61, 3600), dice.random(), server).late for _ in range(SAMPLES)]
    late = {
        "jobs under a minute": {"median_s": statistics.median(short), "longest_s": max(short)},
        "longer jobs": {"median_s": statistics.median(long), "longest_s": max(long)},
    }
    modelled = {name: prices.rivals(seconds) for name, seconds in JOBS.items()}
    figures = {"ours": jobs, "active_to_answer": late, "rivals_modelled_dollars": modelled, "prices": prices.PRICES}
    sys.stdout.write(json.dumps(figures))


def _wait(seconds: float, luck: float, server: AnswerServer) -> Waited:
    """Run the requests of one export to their end: a link when the job takes longer than one resource may wait."""
    outbound = FakeOutbound()
    outbound.luck = luck
    outbound.personalize.seconds = seconds
    calls: Counter[str] = Counter()

    def take_time(when: str) -> None:
        if when.startswith("before"):
            outbound.time += CALL_SECONDS

    outbound.effect = take_time
    started, invocations, arn = outbound.time, 0, ""
    answer: dict[str, Any] = {}
    for name in ("create", "link"):
        more = {"MoreLinks": "true"} if name == "create" else {"JobArn": arn}
        signed = strftime("%Y%m%dT%H%M%SZ", gmtime(outbound.time))
        url = server.url.replace("20260102T030405Z", signed)
        invocations += run(outbound, event(name, url, MaxWaitSeconds=str(LINK_SECONDS), **more))
        answer = server.answers[-1]
        calls["answers to CloudFormation"] += 1
        if answer["Status"] != "SUCCESS":
            raise RuntimeError(f"the function answered {answer}")
        if answer["Data"]["Status"] == "ACTIVE":
            break
        arn = answer["Data"]["DatasetExportJobArn"]
    calls.update(operation for operation, _ in outbound.personalize.calls)
    calls["DescribeStackResource"] = len(outbound.stack.asked)
    calls["Invoke"] = invocations - calls["answers to CloudFormation"]
    (job,) = outbound.personalize.jobs.values()
    billed = outbound.time - started + invocations * COLD_START_SECONDS
    return Waited(outbound.time - job["created"] - seconds, billed * 1000, invocations, calls)


def _figures(seconds: float, waited: Waited) -> dict[str, Any]:
    minutes = seconds / 60
    total = sum(waited.calls.values())
    return {
        "api_calls": total,
        "by_call": dict(waited.calls),
        "invocations": waited.invocations,
        "lambda_ms": round(waited.lambda_ms),
        "api_calls_per_minute": round(total / minutes, 2),
        "lambda_ms_per_minute": round(waited.lambda_ms / minutes),
        "dollars": prices.sleeping(waited.lambda_ms / 1000, waited.invocations),
        "late_s": round(waited.late, 2),
    }


if __name__ == "__main__":
    main()
