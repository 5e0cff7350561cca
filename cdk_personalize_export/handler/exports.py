"""The work on an export: start a job or join it, wait for its end, hand over before the invocation ends.

It knows neither who asked for the export nor how the outcome is told. Lambda ends an invocation after 15 minutes at
most (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), so the function invokes itself
asynchronously and goes on there (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html).
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import identity, manifest
from .errors import PASSING, RefusedError, ServiceErrors, may_have_been_heard, text_of, verdict
from .invocation import Invocation
from .jobs import ACTIVE as JOB_ACTIVE
from .jobs import FAILED as JOB_FAILED
from .jobs import VISIBLE_POLL_SECONDS, VISIBLE_SECONDS, Job, Jobs
from .properties import Export
from .waiting import (
    POLL_SECONDS,
    DeadlineReachedError,
    GivenUpError,
    InvocationEndingError,
    OutOfTimeError,
    TimeBudget,
    retry_pause,
)

LAST_LOOK_SECONDS = 30.0
MOST_ERRORS = 6  # of looks at a job that is only let finish
MOST_INVOKES = 5
FIRST_RETRY_SECONDS, RETRY_GROWTH, LONGEST_RETRY_SECONDS = 300.0, 3.0, 3600.0  # after a job that failed
LINK_GAP_SECONDS = 120.0  # between the last look of a link and the request to the next

# What came of it.
ACTIVE = "the job is ACTIVE"
ACCEPTED = "the job was accepted, and nobody asked for more"
RUNNING = "the job was not over when the time was"
FAILED = "the job failed"
MISSING = "no job has been seen"
REFUSED = "the job is refused"
STRANDED = "the job could not be followed any longer"
GIVEN_UP = "nobody waits any longer"
HANDED_OVER = "another invocation goes on"


class Progress(NamedTuple):
    """What an invocation tells the one that goes on."""

    deadline: float
    refused_since: float | None = None
    started: str = ""  # the name of the job this request has started
    may_repeat: bool = True  # a hand-over whose answer got lost
    announced: str = ""  # the name of the job whose start has been told

    def payload(self) -> dict[str, object]:
        """Write it as JSON; what is as usual is left out."""
        fields = {
            "Deadline": self.deadline,
            "RefusedSince": self.refused_since,
            "Started": self.started or None,
            "MayRepeat": None if self.may_repeat else False,
            "Announced": self.announced or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


class Outcome(NamedTuple):
    """What came of the work: one of the constants above, the job as far as it is known, and why, word for word."""

    kind: str
    job: Job | None = None
    why: str = ""
    job_arn: str = ""
    manifest: str = ""  # the S3 URI of what was written


class Work(NamedTuple):
    """An export to work on, for whom, and what it takes."""

    export: Export
    invocation: Invocation
    time: TimeBudget
    progress: Progress
    jobs: Jobs
    rejoins: bool  # whatever has become of the job, it is as good as asked for
    announce: Callable[[Job], None] | None = None  # to whom it is told that a job runs

    @property
    def since(self) -> float:
        """From when on a failure belongs to this request.

        To a later link also belongs what failed between the last look of the link before and its own request: it is the
        same deployment, which must not start the job again.
        """
        return self.time.demand.requested_at - (LINK_GAP_SECONDS if self.export.later_link else 0)


def prepare(
    export: Export, invocation: Invocation, time: TimeBudget, progress: Progress, *, updates: bool = False
) -> Work:
    """Prepare to bring an export to its end.

    Who does not wait for the end was promised no more than that Personalize accepts the job. So an update of such an
    export joins its job whatever has become of it: the update may be a rollback, and a rollback starts nothing.
    """
    time.refused_since = progress.refused_since
    jobs = Jobs(time, export.dataset_arn, progress.started)
    return Work(export, invocation, time, progress, jobs, rejoins=updates and not export.wait)


def bring_to_end(work: Work) -> Outcome:
    """Work until the job is over, or until the time is."""
    try:
        job = _run(work)
        written = _record(work, job)
    except InvocationEndingError:
        why = hand_over(work.invocation, work.time, _progress_of(work))
        return Outcome(STRANDED, _ours(work), why, _arn(work)) if why else Outcome(HANDED_OVER)
    except RefusedError as error:
        return Outcome(REFUSED, _ours(work), str(error), _arn(work))
    except GivenUpError:
        work.time.log.write("WARNING", "Nobody waits for this export any longer, so nothing is started")
        return Outcome(GIVEN_UP, _ours(work), "", _arn(work))
    if job is None:
        return Outcome(MISSING, None, work.time.last_error, _arn(work))
    return Outcome(_kind(job, work), job, job.failure_reason, job.arn, written)


def let_finish(physical_ids: list[str], neighbour_arn: str, time: TimeBudget, requested_at: float) -> None:
    """Wait for the jobs of these exports that still run, if there are any; start nothing.

    Raises:
        OutOfTimeError: One still runs.
    """
    jobs = Jobs(time, neighbour_arn)
    for physical_id in physical_ids:
        _let_finish(jobs, physical_id, time, requested_at + VISIBLE_SECONDS)


def hand_over(invocation: Invocation, time: TimeBudget, progress: Progress) -> str:
    """Invoke this function again to go on; give why that was not possible, or nothing.

    Lambda stops a chain of 16 by itself unless the function's `RecursiveLoop` is `Allow`: the longest wait of a
    deployment takes 4, the 12 hours of a tick 52. A call whose answer got lost may have been heard, and is repeated
    once; the invocation it makes may not repeat one. So lost answers add one invocation to each of the chain, and do
    not multiply them.
    """
    why, unheard = "", 0
    for attempt in range(MOST_INVOKES):
        passed_on = progress._replace(may_repeat=progress.may_repeat and not unheard).payload()
        payload = json.dumps({**invocation.event, "HandOver": passed_on}, ensure_ascii=False, separators=(",", ":"))
        try:
            invocation.outbound.call(
                "lambda",
                "invoke",
                FunctionName=invocation.function_arn,
                InvocationType="Event",
                Payload=payload.encode("utf-8", "backslashreplace"),  # JSON's own way to write half a surrogate pair
            )
        except ServiceErrors as error:
            why = text_of(error)
            unheard += may_have_been_heard(error)
        else:
            time.log.write("INFO", "Handed over to the next invocation")
            return ""
        if unheard > progress.may_repeat or time.remaining() < time.margin / 2:
            break  # what is left is for the answer
        invocation.outbound.sleep(min(2.0**attempt, time.margin / 10))
    return why


def read_progress(event: Mapping[str, Any], latest_deadline: float, now: float) -> Progress | None:
    """Read what the invocation before handed over with the event; nothing when there is none, or it makes no sense."""
    passed_on = event.get("HandOver")
    if not isinstance(passed_on, Mapping):
        return None
    end = _number(passed_on.get("Deadline"))
    if end is None:
        return None
    refused = _number(passed_on.get("RefusedSince"))
    started, announced = passed_on.get("Started"), passed_on.get("Announced")
    return Progress(
        deadline=min(end, latest_deadline),
        refused_since=None if refused is None else min(refused, now),
        started=started if isinstance(started, str) else "",
        may_repeat=passed_on.get("MayRepeat") is not False,
        announced=announced if isinstance(announced, str) else "",
    )


def _kind(job: Job, work: Work) -> str:
    if job.status == JOB_ACTIVE:
        return ACTIVE
    if job.over and not work.rejoins:
        return FAILED
    return RUNNING if work.export.wait else ACCEPTED


def _run(work: Work) -> Job | None:
    if not work.time.over():
        try:
            return _attempts(work)
        except DeadlineReachedError:
            work.time.log.write("WARNING", "The deadline has passed")
    work.jobs.retried = ""  # it is too late for another attempt
    last = work.time.extended(LAST_LOOK_SECONDS)
    try:
        while True:
            try:
                found = work.jobs.find(work.export, work.since, rejoin=work.rejoins)
                return found if isinstance(found, Job) else None
            except ServiceErrors as error:  # noqa: PERF203 - the loop is for errors
                last.wait_out(error)
    except OutOfTimeError:
        work.time.last_error = work.time.last_error or last.last_error
        return _ours(work)


def _record(work: Work, job: Job | None) -> str:
    """Write the manifest of a job that is ACTIVE, where somebody wants one; give its S3 URI."""
    if job is None or job.status != JOB_ACTIVE or not work.export.manifest:
        return ""
    time = work.time.extended(LAST_LOOK_SECONDS) if work.time.over() else work.time
    try:
        return manifest.write(job, work.export, time)
    except (RefusedError, DeadlineReachedError) as error:
        why = str(error) or time.last_error or "no time was left"
        raise RefusedError(f"The job is ACTIVE, its manifest could not be written: {why}") from error


def _attempts(work: Work) -> Job:
    while True:
        job = work.jobs.start_or_join(work.export, work.since, rejoin=work.rejoins)
        if work.announce and not job.over and job.name != work.progress.announced:
            work.announce(job)
        if not work.export.wait:
            return job
        job = work.jobs.follow(job)
        if not _tries_again(job, work):
            return job


def _tries_again(job: Job, work: Work) -> bool:
    """Wait until a failed job may be followed by another; say whether there will be one.

    Everything is counted from what Personalize says of the job, so that whoever goes on after a crash counts the same.
    """
    attempt = identity.attempt_of(work.export.physical_id, job.name)
    if job.status != JOB_FAILED or attempt > work.export.retry_attempts:
        return False
    pause = max(0.0, retry_seconds(attempt) - work.jobs.since_end(job))
    if work.time.outbound.now() + pause >= work.time.deadline:
        return False
    work.time.log.write(
        "WARNING", "The job failed and is tried again", jobName=job.name, error=job.failure_reason, pause=round(pause)
    )
    work.time.pause(pause)
    work.jobs.retried = job.name
    return True


def retry_seconds(attempt: int) -> float:
    """Say how long to wait after a failed attempt."""
    return min(FIRST_RETRY_SECONDS * RETRY_GROWTH ** (attempt - 1), LONGEST_RETRY_SECONDS)


def _ours(work: Work) -> Job | None:
    """Give the job last seen, unless it failed before this request."""
    job = work.jobs.seen
    return None if job is None or work.jobs.failed_before(job, work.since) else job


def _arn(work: Work) -> str:
    """Give the ARN of the job, also of one that was accepted and has not been seen yet."""
    job = _ours(work)
    return job.arn if job else work.jobs.accepted_arn


def _progress_of(work: Work) -> Progress:
    seen = work.jobs.seen
    announced = seen.name if work.announce and seen and not seen.over else ""
    return Progress(work.time.deadline, work.time.refused_since, work.jobs.started, work.progress.may_repeat, announced)


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    except OverflowError:
        return None


def _let_finish(jobs: Jobs, physical_id: str, time: TimeBudget, visible_at: float) -> None:
    errors, before = 0, None
    while errors < MOST_ERRORS and not time.over():
        try:
            attempts = list(jobs.attempts(physical_id))
        except ServiceErrors as error:
            if verdict(error) != PASSING:
                raise
            time.pause(retry_pause(errors, time.outbound.chance()))
            errors += 1
            continue
        errors = 0
        if not attempts:
            if time.outbound.now() >= visible_at:
                return
            time.pause(VISIBLE_POLL_SECONDS)  # one that has just been started may be unknown yet
            continue
        newest = attempts[-1]
        if newest.over or newest.same_stop(before):
            return
        before = newest
        if newest.in_progress:
            time.poll(newest.created.timestamp() if newest.created else time.outbound.now())
        else:
            time.pause(POLL_SECONDS)
