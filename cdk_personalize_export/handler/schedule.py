"""The door of a schedule: reads the tick, has the work done, tells the outcome.

Amazon EventBridge Scheduler invokes the function asynchronously with the schedule's input, in which it has put the
scheduled time (https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html). That
time, in UTC, is the same for each delivery of a tick, and so makes the job's name: a tick delivered twice, late, or run
again after a crash joins its job. A local hour that a clock change repeats or leaves out is another time, or none.

Nobody waits for an answer. A run that dies is run again by Lambda, twice; what dies three times tells nothing, and is
what an alarm on silence is for.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from . import exports, identity
from .errors import fault_in
from .exports import Outcome, Progress
from .invocation import Invocation
from .jobs import shown
from .log import Log
from .properties import Export, MalformedError, Rule, checked, longest_wait, mapping, read_export, require_home, text_in
from .telling import OUTCOMES, SUCCEEDED, Telling, announcer, attempt_in, read_telling, tell_outcome
from .waiting import Demand, TimeBudget, length

LONGEST_WAIT_SECONDS = 12 * 3600
EVER = 0.0  # all that ever happened under its names belongs to a tick
TELL_SECONDS, RESERVE_SECONDS = 30.0, 2.0
SHOWN_CHARACTERS = 1000  # of what is wrong with a tick
_TIME = r"(?a:20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))"
_TIME_ALLOWED, _TIME_FIX = "a time as 2026-11-25T03:00:00Z", "pass <aws.scheduler.scheduled-time>"
_RULES = {
    "ScheduledTime": Rule(_TIME, _TIME_ALLOWED, _TIME_FIX),
    "WindowSeconds": Rule(
        "[0-9]{1,4}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400", "0 to 86400", "pass the window's length", "0"
    ),
    "JobNamePrefix": Rule(
        f"[a-zA-Z0-9][a-zA-Z0-9_-]{{0,{identity.LONGEST_TICK_PREFIX - 1}}}",
        f"1 to {identity.LONGEST_TICK_PREFIX} of a-z A-Z 0-9 _ -, not - or _ first",
        "set job_name_prefix",
    ),
    "RetryAttempts": Rule("[0-9]|10", "0 to 10", "set retry_attempts", "2"),
    "StackId": Rule("(?s:.+)", "the ARN of the stack", "pass <AWS::StackId>"),
}


class StrandedError(Exception):
    """Lets Lambda run the tick again."""


class Tick(NamedTuple):
    """One firing of a schedule."""

    scheduled_at: datetime
    deadline: float
    export: Export


def handle(invocation: Invocation) -> None:
    """Bring the export of a tick to its end and tell it, or hand it over to another invocation.

    Raises:
        StrandedError: The tick could not be handed over.
    """
    outbound, event = invocation.outbound, invocation.event
    log = Log(outbound, names_in(event))
    try:
        tick = read_tick(event, outbound.now())
        require_home(tick.export.dataset_arn, *invocation.home)
        telling = read_telling(tick.export, mapping(event.get("Export")), outbound, log)
    except MalformedError as error:
        log.write("ERROR", f"The tick is not understood, so nothing is done: {error}"[:SHOWN_CHARACTERS])
        return
    log.write("INFO", "Received", physicalId=tick.export.physical_id)
    outcome = _outcome(tick, telling, invocation)
    if outcome.kind == exports.HANDED_OVER:
        return
    if outcome.kind == exports.STRANDED:
        log.write("ERROR", f"The tick could not be handed over, so Lambda runs it again: {outcome.why}")
        raise StrandedError(outcome.why)
    _tell(outcome, tick, telling, invocation)


# -- the tick ---------------------------------------------------------------------------------------------------------


def read_tick(event: Mapping[str, Any], now: float) -> Tick:
    """Read a tick.

    Its deadline is counted from the scheduled time, the one time that every delivery shares; clocks differ, so a time
    that has not come yet is taken for now.

    Raises:
        MalformedError: It is none.
    """
    fields, properties = mapping(event.get("Tick")), mapping(event.get("Export"))
    scheduled_at = read_time(checked(fields, "ScheduledTime", _RULES))
    window = int(checked(fields, "WindowSeconds", _RULES))
    prefix, retries = checked(properties, "JobNamePrefix", _RULES), checked(properties, "RetryAttempts", _RULES)
    export = read_export(
        checked(event, "StackId", _RULES),
        {
            **properties,
            "JobNamePrefix": identity.tick_prefix(prefix, scheduled_at),
            "Generation": shown(scheduled_at),
            "Wait": "true",
        },
        "scheduledTime",
    )
    longest = window + longest_wait(properties, LONGEST_WAIT_SECONDS)
    return Tick(
        scheduled_at,
        deadline=min(scheduled_at.timestamp(), now) + longest,
        export=export._replace(retry_attempts=int(retries), siblings=identity.tick_jobs(prefix)),
    )


def read_time(text: str) -> datetime:
    """Read a time; fractions of a second are left out.

    Raises:
        MalformedError: It is none.
    """
    try:
        return datetime.strptime(re.sub(r"\.\d+", "", text), "%Y-%m-%dT%H:%M:%S%z").astimezone(timezone.utc)
    except ValueError:
        raise MalformedError(
            f"ScheduledTime is {text!r}, and there is no such time. Allowed: {_TIME_ALLOWED}. Fix: {_TIME_FIX}."
        ) from None


def names_in(event: Mapping[str, Any]) -> dict[str, str]:
    """Name a tick for people, whatever it holds."""
    tick, export = mapping(event.get("Tick")), mapping(event.get("Export"))
    names = {"scheduledTime": text_in(tick, "ScheduledTime"), "exportId": text_in(export, "ExportId")}
    return {name: text[:SHOWN_CHARACTERS] for name, text in names.items()}


# -- what comes of it -------------------------------------------------------------------------------------------------


def _outcome(tick: Tick, telling: Telling, invocation: Invocation) -> Outcome:
    outbound = invocation.outbound
    progress = exports.read_progress(invocation.event, tick.deadline, outbound.now()) or Progress(tick.deadline)
    budget = TimeBudget(outbound, telling.log, invocation.remaining, progress.deadline, Demand(EVER))
    work = exports.prepare(tick.export, invocation, budget, progress)
    try:
        return exports.bring_to_end(work._replace(announce=announcer(telling)))
    except Exception as error:  # noqa: BLE001 - told too
        return Outcome(exports.REFUSED, work.jobs.seen, fault_in(error), work.jobs.seen.arn if work.jobs.seen else "")


def _tell(outcome: Outcome, tick: Tick, telling: Telling, invocation: Invocation) -> None:
    """Tell it in this order: whoever dies on the way tells all of it again."""
    reason = _reason(outcome, tick, invocation.outbound.now())
    seconds = min(TELL_SECONDS, invocation.remaining() - RESERVE_SECONDS)
    tell_outcome(telling, outcome, reason, seconds)
    told = OUTCOMES[outcome.kind]
    telling.log.write(
        "INFO" if told == SUCCEEDED else "ERROR",
        reason or "The export succeeded",
        outcome=told,
        jobArn=outcome.job_arn,
        attempt=attempt_in(tick.export, outcome.job_arn),
    )


def _reason(outcome: Outcome, tick: Tick, now: float) -> str:
    """Say why not, for people; nothing when all went well."""
    after = f"{length(max(0.0, now - tick.scheduled_at.timestamp()))} after the scheduled time"
    if outcome.kind == exports.ACTIVE:
        return ""
    if outcome.kind == exports.RUNNING and outcome.job:
        runs_on = "it runs on in Amazon Personalize, which can not stop a job"
        return f"The dataset export job is still {outcome.job.status} {after}; {runs_on}"
    if outcome.kind == exports.MISSING:
        if outcome.job_arn:
            return f"The dataset export job was asked for, and has not been seen {after}"
        return f"There was no dataset export job {after}: {outcome.why or 'the tick reached the function too late'}"
    why = outcome.why or "Personalize gave no reason for CREATE FAILED."
    tried = attempt_in(tick.export, outcome.job_arn)
    might_go_on = outcome.kind == exports.FAILED and tried <= tick.export.retry_attempts
    return f"{why.rstrip('.')}; no time was left to try again" if might_go_on else why
