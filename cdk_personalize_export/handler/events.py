"""The events: Create, Update and Delete, for an export and for a link that goes on waiting.

Types: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html. Create and Update are
the same: start the job or join it, so a retry, duplicate, crash, hand-over and rollback all land on one job. Delete
only lets a running job finish, that its role and bucket are not pulled from under it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import failures
import identity
from answer import FAILED, SUCCESS, Answer
from failures import RefusedError, ServiceErrors, Verdict
from jobs import ACTIVE, Job, Jobs, Join
from outside import Journal, Outside
from request import MalformedError, Request, checked, read_export
from waiting import DeadlineReachedError, InvocationEndingError, OutOfTimeError, Patience, retry_pause

LAST_LOOK_SECONDS = 30.0
MOST_DELETE_ERRORS = 6
MOST_INVOKES = 5
RUNS_ON = (
    "it runs on in Amazon Personalize, which can not stop a job. Deploying again joins it after a failed update, or "
    "after a deployment with --no-rollback. After a failed first deployment CloudFormation removes the stack, and a "
    "new stack is a new identity that starts a new job: raise max_wait first."
)


class Desk(NamedTuple):
    """What a request is worked on with."""

    outside: Outside
    journal: Journal
    patience: Patience
    event: Mapping[str, Any]
    function_arn: str


class Task(NamedTuple):
    """A job to bring to its end: `run` waits for it, `look` looks once and starts nothing."""

    physical_id: str
    jobs: Jobs
    run: Callable[[], Job]
    look: Callable[[], Job | None]
    may_run_on: bool


def respond(request: Request, desk: Desk) -> Answer | None:
    """Works on a request until there is an answer, or another invocation has taken it over."""
    if request.kind == "Delete":
        return _delete(request, desk)
    if request.kind not in {"Create", "Update"}:
        raise MalformedError(
            f"RequestType is {request.kind!r}. Allowed: Create, Update, Delete. Fix: send one of them."
        )
    task = _link(request, desk) if request.is_link else _export(request, desk)
    try:
        job = _bring_to_end(task, request, desk)
    except InvocationEndingError:
        why = _hand_over(request, desk)
        if not why:
            return None
        job = _ours(task, request)
        rest = f". The dataset export job is {job.status}; {RUNS_ON}" if job else ""
        return _failure(task, f"The function could not hand over to itself before its time ran out: {why}{rest}", job)
    except RefusedError as error:
        return _failure(task, str(error), _ours(task, request))
    return _report(task, request, desk, job)


def _export(request: Request, desk: Desk) -> Task:
    wanted = read_export(request)
    jobs = Jobs(desk.outside, desk.journal, desk.patience, wanted.dataset_arn)

    def run() -> Job:
        job = jobs.start_or_join(wanted, request.requested_at)
        return jobs.follow(job) if wanted.wait else job

    def look() -> Job | None:
        found = jobs.find(wanted, request.requested_at)
        return found.job if isinstance(found, Join) else None

    return Task(wanted.physical_id, jobs, run, look, may_run_on=wanted.more_links or not wanted.wait)


def _link(request: Request, desk: Desk) -> Task:
    job_arn, more_links = checked(request, "JobArn"), checked(request, "MoreLinks")
    checked(request, "MaxWaitSeconds")
    jobs = Jobs(desk.outside, desk.journal, desk.patience, job_arn)
    return Task(
        identity.link_id(job_arn, request.logical_id),
        jobs,
        run=lambda: jobs.follow(jobs.visible(job_arn)),
        look=lambda: jobs.describe(job_arn),
        may_run_on=more_links == "true",
    )


def _bring_to_end(task: Task, request: Request, desk: Desk) -> Job | None:
    """Waits for the job; after the deadline looks at it once more and starts nothing."""
    if not desk.patience.over():
        try:
            return task.run()
        except DeadlineReachedError:
            desk.journal.write("WARNING", "The deadline has passed")
    grace = desk.patience.grace(LAST_LOOK_SECONDS)
    try:
        while True:
            try:
                return task.look()
            except ServiceErrors as error:  # noqa: PERF203 - the loop exists for the errors
                grace.endure(error)
    except OutOfTimeError:
        desk.patience.last_error = desk.patience.last_error or grace.last_error
        return _ours(task, request)


def _report(task: Task, request: Request, desk: Desk, job: Job | None) -> Answer:
    """Turns the state the job was left in into the answer."""
    seconds = desk.outside.now() - request.requested_at
    waited = f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"  # noqa: PLR2004 - reads better
    if job is None:
        why = desk.patience.last_error or "the request reached the function too late"
        return _failure(task, f"There was no dataset export job to wait for after {waited}: {why}")
    if job.status == ACTIVE or (task.may_run_on and not job.over):
        return Answer(SUCCESS, task.physical_id, data=job.attributes())
    if job.over:
        return _failure(task, job.failure_reason or "Personalize gave no reason for CREATE FAILED.", job)
    return _failure(task, f"The dataset export job is still {job.status} after {waited}; {RUNS_ON}", job)


def _ours(task: Task, request: Request) -> Job | None:
    """Gives the job last seen, unless it had failed before this request."""
    job = task.jobs.seen
    return None if job is None or job.failed_before(request.requested_at) else job


def _failure(task: Task, reason: str, job: Job | None = None) -> Answer:
    return Answer(FAILED, task.physical_id, reason, job.arn if job else "")


def _hand_over(request: Request, desk: Desk) -> str:
    """Invokes this function again to go on with the request; gives nothing, or why that failed.

    Lambda stops a chain of 16 invocations without a word
    (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html). The longest wait takes four of 15 minutes.
    """
    payload = json.dumps({**desk.event, "HandOver": {"Deadline": request.deadline}})
    why = ""
    for attempt in range(MOST_INVOKES):
        try:
            client = desk.outside.client("lambda")
            client.invoke(FunctionName=desk.function_arn, InvocationType="Event", Payload=payload)
        except ServiceErrors as error:
            why = failures.text_of(error)
        else:
            desk.journal.write("INFO", "Handed over to the next invocation")
            return ""
        if desk.patience.remaining() < desk.patience.margin / 2:
            break  # what is left is for the answer
        desk.outside.sleep(min(2.0**attempt, desk.patience.margin / 10))
    return why


def _delete(request: Request, desk: Desk) -> Answer:
    try:
        if not request.is_link:
            _let_finish(request, desk)
    except OutOfTimeError:
        desk.journal.write("WARNING", "The job still runs, and Delete waits no longer")
    except Exception as error:  # noqa: BLE001 - nothing may keep a stack from being deleted
        desk.journal.write("WARNING", "Delete does not wait", error=failures.text_of(error))
    return Answer(SUCCESS, request.known_id)


def _let_finish(request: Request, desk: Desk) -> None:
    """Waits while the newest attempt is still running."""
    jobs = Jobs(desk.outside, desk.journal, desk.patience, checked(request, "DatasetArn"))
    physical_id = request.physical_id
    if not identity.is_export_id(physical_id):  # CloudFormation makes one up for a Create that never answered
        physical_id = read_export(request).physical_id
    errors = 0
    while errors < MOST_DELETE_ERRORS and not desk.patience.over():
        try:
            attempts = list(jobs.attempts(physical_id))
        except ServiceErrors as error:
            if failures.verdict(error) is not Verdict.PASSING:
                raise
            desk.patience.pause(retry_pause(errors, desk.outside.chance()))
            errors += 1
            continue
        if not attempts or attempts[-1].over:
            return
        errors = 0
        created = attempts[-1].created
        desk.patience.poll(created.timestamp() if created else desk.outside.now())
