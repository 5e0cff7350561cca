"""Events: what became of an export, said on an event bus of Amazon EventBridge.

Personalize sends none for export jobs, so these are shaped as AWS would: the detail has the fields of the API under its
own names (https://docs.aws.amazon.com/personalize/latest/dg/API_DatasetExportJob.html) and what only this function
knows. See docs/event.schema.json for all of it, and
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html for the call.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from . import identity
from .errors import FINAL, ServiceErrors, text_of, verdict
from .jobs import Job, shown
from .log import Log
from .outbound import CALL_SECONDS, Outbound
from .waiting import retry_pause

SOURCE = "cdk-personalize-export"
DETAIL_TYPE = "Personalize Dataset Export Job State Change"
LONGEST_TEXT = 4000  # of a reason, so that an event with its escapes stays far below the limit of its size
ELLIPSIS = "…"
SHORTEST_TRY_SECONDS = 0.5


def job_fields(job: Job) -> dict[str, Any]:
    """Give a job as the API describes it, without what it leaves out."""
    target = {"path": job.output_path, "kmsKeyArn": job.kms_key_arn}
    fields = {
        "jobName": job.name,
        "datasetExportJobArn": job.arn,
        "datasetArn": job.dataset_arn,
        "ingestionMode": job.ingestion_mode,
        "roleArn": job.role_arn,
        "status": job.status,
        "jobOutput": {"s3DataDestination": known(target)} if job.output_path else None,
        "creationDateTime": shown(job.created),
        "lastUpdatedDateTime": shown(job.updated),
        "failureReason": cut(job.failure_reason),
        "duration": job.seconds,
    }
    return known(fields)


def known(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is unknown."""
    return {name: value for name, value in fields.items() if value not in ("", None)}


def cut(text: str) -> str:
    """Shorten a text that people read, and replace what is no text: half a surrogate pair."""
    whole = text.encode("utf-8", "replace").decode()
    return whole if len(whole) <= LONGEST_TEXT else whole[:LONGEST_TEXT] + ELLIPSIS


def send(  # noqa: PLR0913 - an event is made of that much
    outbound: Outbound, log: Log, *, bus_arn: str, detail: Mapping[str, Any], resources: Sequence[str], seconds: float
) -> bool:
    """Send an event, again and again for so many seconds; one that can not be sent is logged, and fails nothing."""
    entry = {
        "EventBusName": bus_arn,
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Resources": list(resources),
        "Detail": json.dumps(detail),
    }
    ends_at, errors, problem = outbound.now() + seconds, 0, "there was no time left"
    while (left := ends_at - outbound.now()) >= SHORTEST_TRY_SECONDS:
        problem, may_pass = _put(outbound, bus_arn, entry, min(left, CALL_SECONDS))
        if not problem:
            return True
        pause = retry_pause(errors, outbound.chance())
        if not may_pass or outbound.now() + pause >= ends_at:
            break
        outbound.sleep(pause)
        errors += 1
    log.write("ERROR", f"The event could not be sent: {problem}", outcome=detail["outcome"])
    return False


def _put(outbound: Outbound, bus_arn: str, entry: Mapping[str, Any], seconds: float) -> tuple[str, bool]:
    """Give what went wrong, and whether it may pass; nothing when the bus has the event."""
    try:
        client = outbound.client("events", identity.region_in(bus_arn))
        answer = outbound.within(seconds, partial(client.put_events, Entries=[entry]))
    except ServiceErrors as error:
        return text_of(error), verdict(error) != FINAL
    if not answer.get("FailedEntryCount"):
        return "", False
    refused = answer["Entries"][0]
    return f"{refused.get('ErrorMessage', '')} ({refused.get('ErrorCode', '')} from PutEvents)", True
