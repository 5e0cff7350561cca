"""The work on an export: start a job or join it, wait for its end, hand over before the invocation ends.

It knows neither who asked for the export nor how the outcome is told. Lambda ends an invocation after 15 minutes at
most (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), so the function invokes itself
asynchronously and goes on there (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .errors import PASSING, RefusedError, ServiceErrors, text_of, verdict
from .invocation import Invocation
from .jobs import ACTIVE as JOB_ACTIVE
from .jobs import Job, Jobs
from .properties import Export
from .waiting import DeadlineReachedError, InvocationEndingError, OutOfTimeError, TimeBudget, retry_pause

LAST_LOOK_SECONDS = 30.0
MOST_ERRORS = 6  # of looks at a job that is only let finish
MOST_INVOKES = 5

# What came of it.
ACTIVE = "the job is ACTIVE"
RUNNING = "the job is accepted and not over, and nobody waits any longer"
FAILED = "the job failed"
MISSING = "there is no job"
REFUSED = "the job is refused"
STRANDED = "the job could not be followed any longer"
HANDED_OVER = "another invocation goes on"


class Outcome(NamedTuple):
    """What came of the work: one of the constants above, the job if there is one, and why, word for word."""

    kind: str
    job: Job | None = None
    why: str = ""


class Work(NamedTuple):
    """An export to work on."""

    invocation: Invocation
    time: TimeBudget
    requested_at: float
    jobs: Jobs
    run: Callable[[], Job]
    look: Callable[[], Job | None]  # starts nothing


def export_work(export: Export, invocation: Invocation, time: TimeBudget, requested_at: float) -> Work:
    """Prepare to start or join the job of an export."""
    jobs = Jobs(time, export.dataset_arn)

    def run() -> Job:
        job = jobs.start_or_join(export, requested_at)
        return jobs.follow(job) if export.wait else job

    def look() -> Job | None:
        found = jobs.find(export, requested_at)
        return found if isinstance(found, Job) else None

    return Work(invocation, time, requested_at, jobs, run, look)


def link_work(job_arn: str, invocation: Invocation, time: TimeBudget, requested_at: float) -> Work:
    """Prepare to go on waiting for the job of another resource."""
    jobs = Jobs(time, job_arn)
    return Work(
        invocation,
        time,
        requested_at,
        jobs,
        run=lambda: jobs.follow(jobs.visible(job_arn)),
        look=lambda: jobs.describe(job_arn),
    )


def bring_to_end(work: Work) -> Outcome:
    """Work until the job is over, or until the time is."""
    try:
        job = _run(work)
    except InvocationEndingError:
        why = hand_over(work.invocation, work.time)
        return Outcome(STRANDED, _ours(work), why) if why else Outcome(HANDED_OVER)
    except RefusedError as error:
        return Outcome(REFUSED, _ours(work), str(error))
    if job is None:
        return Outcome(MISSING, None, work.time.last_error)
    if not job.over:
        return Outcome(RUNNING, job)
    return Outcome(ACTIVE, job) if job.status == JOB_ACTIVE else Outcome(FAILED, job, job.failure_reason)


def let_finish(physical_ids: list[str], neighbour_arn: str, time: TimeBudget) -> None:
    """Wait for the jobs of these exports that still run, if there are any; start nothing.

    Raises:
        OutOfTimeError: One still runs.
    """
    jobs = Jobs(time, neighbour_arn)
    for physical_id in physical_ids:
        _let_finish(jobs, physical_id, time)


def hand_over(invocation: Invocation, time: TimeBudget) -> str:
    """Invoke this function again to go on; give why that was not possible, or nothing.

    Lambda stops a chain of 16 by itself (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html); the
    longest wait takes 4.
    """
    payload = json.dumps({**invocation.event, "HandOver": {"Deadline": time.deadline}})
    why = ""
    for attempt in range(MOST_INVOKES):
        try:
            client = invocation.outbound.client("lambda")
            client.invoke(FunctionName=invocation.function_arn, InvocationType="Event", Payload=payload)
        except ServiceErrors as error:
            why = text_of(error)
        else:
            time.log.write("INFO", "Handed over to the next invocation")
            return ""
        if time.remaining() < time.margin / 2:
            break  # what is left is for the answer
        invocation.outbound.sleep(min(2.0**attempt, time.margin / 10))
    return why


def handed_over(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what the invocation before handed over with the event."""
    found = event.get("HandOver")
    return found if isinstance(found, Mapping) else {}


def _run(work: Work) -> Job | None:
    if not work.time.over():
        try:
            return work.run()
        except DeadlineReachedError:
            work.time.log.write("WARNING", "The deadline has passed")
    last = work.time.extended(LAST_LOOK_SECONDS)
    try:
        while True:
            try:
                return work.look()
            except ServiceErrors as error:  # noqa: PERF203 - the loop is for errors
                last.wait_out(error)
    except OutOfTimeError:
        work.time.last_error = work.time.last_error or last.last_error
        return _ours(work)


def _ours(work: Work) -> Job | None:
    """Give the job last seen, unless it failed before this request."""
    job = work.jobs.seen
    return None if job is None or job.failed_before(work.requested_at) else job


def _let_finish(jobs: Jobs, physical_id: str, time: TimeBudget) -> None:
    errors = 0
    while errors < MOST_ERRORS and not time.over():
        try:
            attempts = list(jobs.attempts(physical_id))
        except ServiceErrors as error:
            if verdict(error) != PASSING:
                raise
            time.pause(retry_pause(errors, time.outbound.chance()))
            errors += 1
            continue
        if not attempts or attempts[-1].over:
            return
        errors = 0
        created = attempts[-1].created
        time.poll(created.timestamp() if created else time.outbound.now())
