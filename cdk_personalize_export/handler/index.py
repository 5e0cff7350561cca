"""The Lambda function behind every export: one request in, one answer out.

Lambda repeats an invocation that dies, so running it again, from any point, does nothing twice
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-custom-resources-lambda.html).
"""

import json
import traceback
from bisect import bisect
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import identity
from jobs import ACTIVE, Job, Jobs
from outside import TIMEOUT_SECONDS, Journal, Outside
from request import MalformedError, Request, checked, may_answer, read_export, read_request, secrets_in
from waiting import (
    PASSING,
    DeadlineReachedError,
    InvocationEndingError,
    OutOfTimeError,
    Patience,
    RefusedError,
    ServiceErrors,
    retry_pause,
    text_of,
    verdict,
)

OUTSIDE = Outside()
SUCCESS, FAILED = "SUCCESS", "FAILED"
CLOUDFORMATION_LIMIT_BYTES = 4096  # docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
ELLIPSIS = "…"
MOST_TRIES = 10
MOST_REFUSALS = 2  # a presigned URL stays refused; the second is for a hiccup
RESERVE_SECONDS = 2.0  # to end the invocation in
LAST_LOOK_SECONDS = 30.0
MOST_DELETE_ERRORS = 6
MOST_INVOKES = 5
RUNS_ON = (
    "it runs on in Amazon Personalize, which can not stop a job. Deploying again joins it after a failed update, or "
    "after a deployment with --no-rollback. After a failed first deployment CloudFormation removes the stack, and a "
    "new stack is a new identity that starts a new job: raise max_wait first."
)


class NotDeliveredError(Exception):
    """Lets Lambda run the request again."""


class Answer(NamedTuple):
    """What to tell CloudFormation."""

    status: str
    physical_id: str
    reason: str = ""
    job_arn: str = ""
    data: Mapping[str, str] | None = None


class Desk(NamedTuple):
    """A request, and what it is worked on with."""

    request: Request
    event: Mapping[str, Any]
    context: Any
    outside: Outside
    journal: Journal
    patience: Patience


class Task(NamedTuple):
    """A job to wait for; `look` starts nothing."""

    physical_id: str
    jobs: Jobs
    run: Callable[[], Job]
    look: Callable[[], Job | None]
    may_run_on: bool

    def failure(self, reason: str, job: Job | None = None) -> Answer:
        return Answer(FAILED, self.physical_id, reason, job.arn if job else "")


def handler(event: Mapping[str, Any], context: Any) -> None:
    handle(event, context, OUTSIDE)


def handle(event: Mapping[str, Any], context: Any, outside: Outside) -> None:
    request = read_request(event, outside.now())
    journal = Journal(outside, request.request_id, request.logical_id, secrets_in(request.response_url))
    if not may_answer(request.response_url):
        journal.write("ERROR", "There is no ResponseURL that may be answered (https only), so nothing is done")
        return

    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    journal.write("INFO", "Received", kind=request.kind, physicalId=request.physical_id)
    patience = Patience(outside, journal, remaining, request.deadline)
    desk = Desk(request, event, context, outside, journal, patience)
    answer = _answer_to(desk)
    if answer:
        deliver(answer, desk)


def _answer_to(desk: Desk) -> Answer | None:
    """Gives nothing when another invocation has taken over."""
    request = desk.request
    try:
        if request.kind == "Delete":
            return _delete(desk)
        if request.kind in {"Create", "Update"}:
            return _work_on(_link(desk) if request.is_link else _export(desk), desk)
        reason = f"RequestType is {request.kind!r}. Allowed: Create, Update, Delete. Fix: send one of them."
    except MalformedError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - answered too
        place = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"The export handler failed: {text_of(error)} in {Path(place.filename).name} line {place.lineno}"
    return Answer(FAILED, request.known_id, reason)


def _export(desk: Desk) -> Task:
    wanted, requested_at = read_export(desk.request), desk.request.requested_at
    jobs = Jobs(desk.patience, wanted.dataset_arn)

    def run() -> Job:
        job = jobs.start_or_join(wanted, requested_at)
        return jobs.follow(job) if wanted.wait else job

    def look() -> Job | None:
        found = jobs.find(wanted, requested_at)
        return found if isinstance(found, Job) else None

    return Task(wanted.physical_id, jobs, run, look, may_run_on=wanted.more_links or not wanted.wait)


def _link(desk: Desk) -> Task:
    """Goes on waiting for the job of another resource."""
    job_arn, more_links = checked(desk.request, "JobArn"), checked(desk.request, "MoreLinks")
    checked(desk.request, "MaxWaitSeconds")
    jobs = Jobs(desk.patience, job_arn)
    return Task(
        identity.link_id(job_arn, desk.request.logical_id),
        jobs,
        run=lambda: jobs.follow(jobs.visible(job_arn)),
        look=lambda: jobs.describe(job_arn),
        may_run_on=more_links == "true",
    )


def _work_on(task: Task, desk: Desk) -> Answer | None:
    try:
        job = _bring_to_end(task, desk)
    except InvocationEndingError:
        why = _hand_over(desk)
        if not why:
            return None
        job = _ours(task, desk)
        rest = f". The dataset export job is {job.status}; {RUNS_ON}" if job else ""
        return task.failure(f"The function could not hand over to itself before its time ran out: {why}{rest}", job)
    except RefusedError as error:
        return task.failure(str(error), _ours(task, desk))
    return _report(task, desk, job)


def _report(task: Task, desk: Desk, job: Job | None) -> Answer:
    seconds = desk.outside.now() - desk.request.requested_at
    waited = f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
    if job is None:
        why = desk.patience.last_error or "the request reached the function too late"
        return task.failure(f"There was no dataset export job to wait for after {waited}: {why}")
    if job.status == ACTIVE or (task.may_run_on and not job.over):
        return Answer(SUCCESS, task.physical_id, data=job.attributes())
    if job.over:
        return task.failure(job.failure_reason or "Personalize gave no reason for CREATE FAILED.", job)
    return task.failure(f"The dataset export job is still {job.status} after {waited}; {RUNS_ON}", job)


def _bring_to_end(task: Task, desk: Desk) -> Job | None:
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
            except ServiceErrors as error:  # noqa: PERF203 - the loop is for errors
                grace.endure(error)
    except OutOfTimeError:
        desk.patience.last_error = desk.patience.last_error or grace.last_error
        return _ours(task, desk)


def _ours(task: Task, desk: Desk) -> Job | None:
    """Gives the job last seen, unless it failed before this request."""
    job = task.jobs.seen
    return None if job is None or job.failed_before(desk.request.requested_at) else job


def _hand_over(desk: Desk) -> str:
    """Invokes this function again; gives why not, or nothing.

    Lambda stops a chain of 16 (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html); 4 are enough.
    """
    payload = json.dumps({**desk.event, "HandOver": {"Deadline": desk.request.deadline}})
    why = ""
    for attempt in range(MOST_INVOKES):
        try:
            client = desk.outside.client("lambda")
            client.invoke(FunctionName=desk.context.invoked_function_arn, InvocationType="Event", Payload=payload)
        except ServiceErrors as error:
            why = text_of(error)
        else:
            desk.journal.write("INFO", "Handed over to the next invocation")
            return ""
        if desk.patience.remaining() < desk.patience.margin / 2:
            break  # what is left is for the answer
        desk.outside.sleep(min(2.0**attempt, desk.patience.margin / 10))
    return why


def _delete(desk: Desk) -> Answer:
    """Only waits: role and bucket are not pulled from under a running job."""
    try:
        if not desk.request.is_link:
            _let_finish(desk)
    except OutOfTimeError:
        desk.journal.write("WARNING", "The job still runs, and Delete waits no longer")
    except Exception as error:  # noqa: BLE001 - nothing may stop a Delete
        desk.journal.write("WARNING", "Delete does not wait", error=text_of(error))
    return Answer(SUCCESS, desk.request.known_id)


def _let_finish(desk: Desk) -> None:
    jobs = Jobs(desk.patience, checked(desk.request, "DatasetArn"))
    physical_id = desk.request.physical_id
    if not identity.is_export_id(physical_id):  # made up by CloudFormation for a Create without an answer
        physical_id = read_export(desk.request).physical_id
    errors = 0
    while errors < MOST_DELETE_ERRORS and not desk.patience.over():
        try:
            attempts = list(jobs.attempts(physical_id))
        except ServiceErrors as error:
            if verdict(error) != PASSING:
                raise
            desk.patience.pause(retry_pause(errors, desk.outside.chance()))
            errors += 1
            continue
        if not attempts or attempts[-1].over:
            return
        errors = 0
        created = attempts[-1].created
        desk.patience.poll(created.timestamp() if created else desk.outside.now())


def deliver(answer: Answer, desk: Desk) -> None:
    """PUTs the answer until it arrives: a stack without one hangs for an hour."""
    if answer.status == FAILED:
        desk.journal.write("ERROR", answer.reason, jobArn=answer.job_arn)
    log = f"{desk.context.log_group_name}, stream {desk.context.log_stream_name}"
    body = encode(desk.request, answer._replace(reason=desk.journal.hide(answer.reason)), log)
    tries, refusals = 0, 0
    while True:
        status, problem = _put(body, desk)
        if 200 <= status < 300:
            desk.journal.write("INFO", "Answered", status=answer.status, physicalId=answer.physical_id)
            return
        refusals += 0 < status < 500 and status not in (408, 429)
        if refusals == MOST_REFUSALS:
            desk.journal.write("ERROR", f"CloudFormation takes no answer any more, the request is over: {problem}")
            return
        pause = retry_pause(tries, desk.outside.chance()) / 2
        tries += 1
        if tries == MOST_TRIES or desk.patience.remaining() - pause < RESERVE_SECONDS:
            break
        desk.outside.sleep(pause)
    desk.journal.write("ERROR", f"The answer did not arrive, so Lambda runs the request again: {problem}")
    raise NotDeliveredError(f"CloudFormation did not take the answer: {problem}")


def _put(body: bytes, desk: Desk) -> tuple[int, str]:
    timeout = max(1.0, min(TIMEOUT_SECONDS, desk.patience.remaining() - RESERVE_SECONDS))
    try:
        status = desk.outside.put(desk.request.response_url, body, timeout)
    except (OSError, HTTPException) as error:
        return 0, type(error).__name__  # its text may hold the URL
    return status, f"HTTP {status}"


def encode(request: Request, answer: Answer, log: str) -> bytes:
    """Cuts the reason rather than the job's ARN and the log after it."""
    fields: dict[str, object] = {
        "Status": answer.status,
        "PhysicalResourceId": answer.physical_id,
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_id,
    }

    def body(**more: object) -> bytes:
        return json.dumps({**fields, **more}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

    if answer.status == FAILED:
        tail = f" (job: {answer.job_arn}; log: {log})" if answer.job_arn else f" (log: {log})"
        head = longest_fitting(answer.reason, lambda text: body(Reason=text + tail))
        return body(Reason=head + tail if head else longest_fitting(tail, lambda text: body(Reason=text)))
    data = dict(answer.data or {})
    for name in sorted(data, key=lambda name: (name != "FailureReason", -len(data[name]))):
        data[name] = longest_fitting(data[name], lambda text, name=name: body(Data={**data, name: text}))  # type: ignore[misc]
    return body(Data=data)


def longest_fitting(text: str, body: Callable[[str], bytes]) -> str:
    """Gives as much of the text as the body has room for."""
    if len(body(text)) <= CLOUDFORMATION_LIMIT_BYTES:
        return text
    fits = bisect(range(1, len(text)), CLOUDFORMATION_LIMIT_BYTES, key=lambda end: len(body(text[:end] + ELLIPSIS)))
    return text[:fits] + ELLIPSIS if fits else ""
