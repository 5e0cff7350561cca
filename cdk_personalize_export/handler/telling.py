"""Telling: what became of an export is said as an event and as metrics, where somebody asked for them.

Both doors use it. Nothing here fails an export or takes longer than it is given; what can not be said is logged.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import events, exports, identity, metrics
from .errors import fault_in
from .jobs import Job
from .log import Log
from .outbound import Outbound
from .properties import Export, Rule, checked

STARTED, SUCCEEDED, FAILED, TIMED_OUT = "STARTED", "SUCCEEDED", "FAILED", "TIMED_OUT"
TELL_SECONDS = 10.0
OUTCOMES = {
    exports.ACTIVE: SUCCEEDED,
    exports.FAILED: FAILED,
    exports.REFUSED: FAILED,
    exports.STRANDED: FAILED,
    exports.RUNNING: TIMED_OUT,
    exports.MISSING: TIMED_OUT,
}
RULES = {
    "EventBus": Rule(
        r"|arn:[a-z\d-]+:events:[a-z\d-]+:\d{12}:event-bus/[\w./-]+", "the ARN of an event bus", "pass an event_bus"
    ),
    "TellStarted": Rule("true|false", "true, false", "leave it to the construct", "false"),
    "Metrics": Rule(r"[^\r\n]*", "text in one line", "leave it to the construct"),
    "ConstructPath": Rule("(?s:.*)"),
}


class Telling(NamedTuple):
    """Where to say what, and about which export."""

    export: Export
    about: Mapping[str, str]  # what every event has
    bus_arn: str
    starts: bool
    dimension: str
    outbound: Outbound
    log: Log


def read_telling(export: Export, properties: Mapping[str, Any], outbound: Outbound, log: Log) -> Telling:
    """Read what is to be told.

    Raises:
        MalformedError: A property is wrong.
    """
    given = {name: checked(properties, name, RULES) for name in RULES}
    about = events.known({**export.about, "constructPath": given["ConstructPath"]})
    starts = given["TellStarted"] == "true"
    return Telling(export, about, given["EventBus"], starts, given["Metrics"], outbound, log)


def announcer(telling: Telling) -> Callable[[Job], None] | None:
    """Give what says that a job runs; nothing where nobody asked for that."""

    def announce(job: Job) -> None:
        running = exports.Outcome(exports.RUNNING, job, job_arn=job.arn)
        _guarded(telling, lambda: _send(telling, STARTED, running, "", TELL_SECONDS))

    return announce if telling.bus_arn and telling.starts else None


def tell_outcome(telling: Telling, outcome: exports.Outcome, reason: str, seconds: float = TELL_SECONDS) -> None:
    """Say what became of the export."""
    if telling.bus_arn:
        _guarded(telling, lambda: _send(telling, OUTCOMES[outcome.kind], outcome, reason, seconds))
    if telling.dimension:
        _guarded(telling, lambda: telling.outbound.write_line(_metrics(telling, outcome)))


def attempt_in(export: Export, job_arn: str) -> int:
    """Count which attempt of an export a job is; 0 when there is none."""
    return identity.attempt_of(export.physical_id, job_arn.rpartition("/")[2]) if job_arn else 0


def _guarded(telling: Telling, say: Callable[[], object]) -> None:
    try:
        say()
    except Exception as error:  # noqa: BLE001 - the export is what matters
        telling.log.write("ERROR", fault_in(error))


def _send(telling: Telling, told: str, outcome: exports.Outcome, reason: str, seconds: float) -> bool:
    export, job, job_arn = telling.export, outcome.job, outcome.job_arn
    detail = {
        "datasetArn": export.dataset_arn,
        "ingestionMode": export.ingestion_mode,
        "roleArn": export.role_arn,
        **({"datasetExportJobArn": job_arn, "jobName": job_arn.rpartition("/")[2]} if job_arn else {}),
        **(events.job_fields(job) if job else {}),
        **telling.about,
        "outcome": told,
        "attempt": attempt_in(export, job_arn),
        **events.known({"reason": events.cut(reason), "manifestPath": outcome.manifest}),
    }
    resources = [arn for arn in (job_arn, export.dataset_arn) if arn]
    return events.send(
        telling.outbound, telling.log, bus_arn=telling.bus_arn, detail=detail, resources=resources, seconds=seconds
    )


def _metrics(telling: Telling, outcome: exports.Outcome) -> str:
    told = OUTCOMES[outcome.kind]
    counts = {
        "Succeeded": int(told == SUCCEEDED),
        "Failed": int(told == FAILED),
        "TimedOut": int(told == TIMED_OUT),
        "Attempts": attempt_in(telling.export, outcome.job_arn),
    }
    seconds = outcome.job.seconds if outcome.job else None
    return metrics.line(telling.dimension, telling.outbound.now(), counts, seconds)
