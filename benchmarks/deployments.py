"""Real deployments on the local AWS: what comes on top of the job itself.

Every case deploys a stack of its own with the CDK CLI, synthesis included, on one local AWS with IAM enforced. The
assets are there from the warm-up on. What the provider framework finds preinstalled in Lambda is put on NODE_PATH.
"""

from __future__ import annotations

import contextlib
import itertools
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.processes import ROOT, environment, interleave, ratios, say, summaries
from personalize_local import LocalAws, Settings

sys.path.append(str(ROOT / "tests" / "e2e"))
from account import make_dataset  # the end-to-end tests' own dataset, a module in their folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from benchmarks.processes import Figures

JOB_SECONDS = 1.0
LENGTHS = tuple(1 + 19 * number / 9 for number in range(10))  # of jobs, in seconds: who looks when decides a single one
COMPARED = ("ours", "provider_framework")
SLOW_ROUNDS = 3
MANY = 20
RATIOS = ("deploy_beyond_job_s", "stack_beyond_job_s")
NODE_MODULES = ROOT / ".cache" / "benchmarks" / "node_modules"
OUTPUT = ROOT / ".cache" / "benchmarks" / "deployments"


class BenchmarkAws(LocalAws):
    """A local AWS whose Node functions find what AWS preinstalls."""

    def _server_environment(self) -> dict[str, str]:
        programs = self._node_environment().get("PATH")  # Lambda's Node is the CDK's
        more = {"PATH": programs} if programs else {}
        return {**super()._server_environment(), **more, "NODE_PATH": str(NODE_MODULES)}


@dataclass(frozen=True)
class Target:
    """The local AWS, and what to export."""

    aws: LocalAws
    dataset_arn: str
    numbers: Iterator[int]


@contextlib.contextmanager
def target(job_seconds: float = JOB_SECONDS, settings: Settings | None = None) -> Iterator[Target]:
    """Start a local AWS with a dataset, on which every job takes as long."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    settings = settings or Settings(job_seconds=job_seconds, resource_seconds=0.0)
    with BenchmarkAws(iam=True, settings=settings) as aws:
        aws.bootstrap()
        yield Target(aws, make_dataset(aws), itertools.count())


def measure(rounds: int, *, quick: bool) -> dict[str, Any]:
    """Return how much longer than their jobs deployments take."""
    with target() as on:
        timed = interleave(_cases(on, COMPARED, 1), rounds)
        # Once, as the local AWS makes one resource after the other: minutes.
        timed |= interleave(_cases(on, COMPARED[:1] if quick else COMPARED, MANY), 1, warm_up=False)
        # It looks every 10 s, so it takes as long as both others: few rounds, compared by the medians only.
        slow = interleave(_cases(on, ("sleeping_lambda",), 1), min(rounds, SLOW_ROUNDS))
    lengths = _by_length(LENGTHS[:2] if quick else LENGTHS)
    return {**summaries({**timed, **slow}), **ratios(timed, RATIOS), "by length": lengths}


def _cases(on: Target, names: Sequence[str], count: int) -> dict[str, Callable[[], Figures]]:
    return {f"{name},{count}": lambda name=name: deploy(on, name, count) for name in names}  # type: ignore[misc]


def _by_length(lengths: Sequence[float]) -> dict[str, Any]:
    """Return how much longer than its job a stack takes, for jobs of each length, and ours against A over all."""
    found: dict[str, list[float]] = {"ours": [], "provider_framework": []}
    for number, seconds in enumerate(lengths):
        say(f"  a job of {seconds:.1f} s")
        with target(seconds) as on:
            for name in list(found)[:: -1 if number % 2 else 1]:
                found[name].append(deploy(on, name, 1)["stack_beyond_job_s"])
    return {"job_s": list(lengths), **found, "ratio": sum(found["ours"]) / sum(found["provider_framework"])}


def deploy(on: Target, rival: str, count: int) -> Figures:
    """Deploy once; return how much longer than its jobs that took.

    Raises:
        RuntimeError: It failed; the message has what the CLI said.
    """
    stack = f"Bench{next(on.numbers)}"
    before = {job["datasetExportJobArn"] for job in jobs_of(on.aws)}
    started = time.perf_counter()
    run_cdk(on, rival, count, stack)
    seconds = time.perf_counter() - started
    jobs = [job for job in jobs_of(on.aws) if job["datasetExportJobArn"] not in before]
    if len(jobs) != count:
        raise RuntimeError(f"deploying {rival} started {len(jobs)} jobs instead of {count}")
    return _figures(on.aws, stack, jobs, seconds)


def run_cdk(on: Target, rival: str, count: int, stack: str) -> None:
    """Deploy with the CDK CLI.

    Raises:
        RuntimeError: It failed; the message has what the CLI said.
    """
    output = OUTPUT / stack
    app = f"{shlex.quote(sys.executable)} benchmarks/deploy_app.py {rival} {count} {stack}"
    command = [
        "node", str(ROOT / "node_modules/aws-cdk/bin/cdk"), "deploy", "--require-approval", "never", "--ci",
        "--app", app, "--output", str(output),
    ]  # fmt: skip
    variables = {**environment(), **on.aws.environment(), "PYTHONPATH": str(ROOT), "CDK_VALIDATION": "false"}
    variables["BENCHMARK_DATASET"] = on.dataset_arn
    done = subprocess.run(  # noqa: S603 - the project's own CLI
        command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"deploying {rival} failed:\n{done.stdout}{done.stderr}")


def _figures(aws: LocalAws, stack: str, jobs: list[dict[str, Any]], deploy_seconds: float) -> Figures:
    cloudformation = aws.client("cloudformation")
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    events = [event for page in pages for event in page["StackEvents"]]
    answered = sorted(_moments(events, "Custom::", "CREATE_COMPLETE"))
    ended = sorted(job["lastUpdatedDateTime"].timestamp() for job in jobs)
    whole = _moments(events, "AWS::CloudFormation::Stack", "CREATE_COMPLETE")[0]
    began = min(event["Timestamp"].timestamp() for event in events)
    late = [answer - end for answer, end in zip(answered, ended, strict=True)]
    job_seconds = sum(end["lastUpdatedDateTime"].timestamp() - end["creationDateTime"].timestamp() for end in jobs)
    return {
        "deploy_beyond_job_s": deploy_seconds - job_seconds,
        "stack_beyond_job_s": whole - began - job_seconds,
        "active_to_answer_s": max(late),
    }


def _moments(events: list[dict[str, Any]], kind: str, status: str) -> list[float]:
    moments: list[datetime] = [
        event["Timestamp"]
        for event in events
        if event["ResourceType"].startswith(kind) and event["ResourceStatus"] == status
    ]
    return [moment.timestamp() for moment in moments]


def jobs_of(aws: LocalAws) -> list[dict[str, Any]]:
    """Return the export jobs there are."""
    personalize = aws.client("personalize")
    pages = personalize.get_paginator("list_dataset_export_jobs").paginate()
    return [job for page in pages for job in page["datasetExportJobs"]]
