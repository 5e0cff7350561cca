"""The operations of personalize-events: records that arrive one by one are checked and kept.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/API_UBS_Operations.html. Events without a user wait for one
with the same session, as documented for PutEvents and (inferred) for PutActionInteractions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from personalize_local.service.contents import NotAllowedError, Rules
from personalize_local.service.errors import ApiError
from personalize_local.service.events import (
    check_size,
    encode_values,
    event_values,
    interaction_values,
    record_values,
)
from personalize_local.service.rates import take
from personalize_local.service.requirements import ACTION_INTERACTIONS, ID_FIELDS, INTERACTIONS
from personalize_local.service.rows import BULK, PUT, decode
from personalize_local.service.state import ACTIVE, DATASET, DATASET_GROUP, EVENT_TRACKER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from personalize_local.service.quotas import Quotas
    from personalize_local.service.state import Region, Resource

Params = dict[str, Any]
Interaction = tuple[str | None, Params]
"""A user, if there is one, and the values of the columns."""
Sessions = dict[str, list[Interaction]]

_NAMES = {INTERACTIONS: "Interactions", ACTION_INTERACTIONS: "Action interactions"}


def put_events(region: Region, params: Params, quotas: Quotas, now: float) -> dict[str, Any]:
    """Answer ``PutEvents``."""
    tracker, dataset = _tracked(region, params["trackingId"], INTERACTIONS)
    group = region.get(DATASET_GROUP, tracker.values["datasetGroupArn"])
    take(group.requests, "PutEvents", quotas.interaction_requests_per_second, now)
    for event in params["eventList"]:
        check_size(event, quotas.event_bytes)
    events = [(params.get("userId"), event_values(event, dataset.its_schema())) for event in params["eventList"]]
    sessions = {params["sessionId"]: events}
    types = {event["eventType"] for event in params["eventList"]}
    _check_contents(region, dataset, quotas, _lines(sessions, dataset), types)
    _keep(tracker, dataset, sessions)
    return {}


def put_action_interactions(region: Region, params: Params, quotas: Quotas, now: float) -> dict[str, Any]:
    """Answer ``PutActionInteractions``."""
    tracker, dataset = _tracked(region, params["trackingId"], ACTION_INTERACTIONS)
    group = region.get(DATASET_GROUP, tracker.values["datasetGroupArn"])
    take(group.requests, "PutActionInteractions", quotas.interaction_requests_per_second, now)
    for interaction in params["actionInteractions"]:
        check_size(interaction, quotas.event_bytes)
    sessions: dict[str, list[Interaction]] = {}
    for interaction in params["actionInteractions"]:
        values = interaction_values(interaction, dataset.its_schema())
        sessions.setdefault(interaction["sessionId"], []).append((interaction.get("userId"), values))
    _check_contents(region, dataset, quotas, _lines(sessions, dataset))
    _keep(tracker, dataset, sessions)
    return {}


def put_records(  # noqa: PLR0913, PLR0917 - three operations in one
    region: Region,
    params: Params,
    quotas: Quotas,
    now: float,
    operation: str,
    dataset_type: str,
    members: tuple[str, str],
) -> dict[str, Any]:
    """Answer ``PutItems``, ``PutUsers`` or ``PutActions``."""
    dataset = region.get(DATASET, params["datasetArn"])
    if dataset.values["datasetType"] != dataset_type:
        raise ApiError("InvalidInputException", f"The dataset {dataset.arn} is not of type {dataset_type}.")
    group = region.get(DATASET_GROUP, dataset.values["datasetGroupArn"])
    take(group.requests, operation, quotas.record_requests_per_second, now)
    region.get_active(DATASET, dataset.arn)
    schema, (member, id_member) = dataset.its_schema(), members
    records = [
        record_values(ID_FIELDS[dataset_type], record[id_member], record.get("properties"), schema)
        for record in params[member]
    ]
    lines = [encode_values(values, schema) for values in records]
    _check_contents(region, dataset, quotas, lines)
    dataset.rows.put(lines)
    return {}


def _tracked(region: Region, tracking_id: str, dataset_type: str) -> tuple[Resource, Resource]:
    """Return the event tracker, and the dataset of its group that takes the records."""
    tracker = next(region.of(EVENT_TRACKER, trackingId=tracking_id), None)
    if tracker is None or tracker.status != ACTIVE:
        raise ApiError("InvalidInputException", f"No active event tracker has the tracking id {tracking_id}.")
    group = tracker.values["datasetGroupArn"]
    dataset = next(region.of(DATASET, datasetGroupArn=group, datasetType=dataset_type), None)
    if dataset is None or dataset.status != ACTIVE:
        raise ApiError(
            "InvalidInputException", f"The dataset group {group} has no active {_NAMES[dataset_type]} dataset."
        )
    return tracker, dataset


def _lines(sessions: Sessions, dataset: Resource) -> list[bytes]:
    """Return the records as they would be kept, so that all of them are right or none is kept."""
    schema = dataset.its_schema()
    return [
        encode_values({**values, "USER_ID": user or "anonymous"}, schema)
        for records in sessions.values()
        for user, values in records
    ]


def _check_contents(
    region: Region, dataset: Resource, quotas: Quotas, lines: Iterable[bytes], types: Iterable[str] = ()
) -> None:
    """Check records against the rules for their dataset, and note their event types.

    Raises:
        ApiError: ``InvalidInputException`` naming the rule.
    """
    domain = region.get(DATASET_GROUP, dataset.values["datasetGroupArn"]).values.get("domain", "")
    rules = Rules.of(dataset.its_schema(), dataset.values["datasetType"], domain, quotas)
    known = dataset.event_types.get(PUT, set()).union(types if rules.counts_event_types else ())
    try:
        for line in lines:
            rules.check_values(decode(line))
        rules.check_event_types(known | dataset.event_types.get(BULK, set()))
    except NotAllowedError as refused:
        raise ApiError("InvalidInputException", f"{refused}.") from None
    dataset.event_types[PUT] = known


def _keep(tracker: Resource, dataset: Resource, sessions: Sessions) -> None:
    """Keep records; those without a user wait for one with the same session."""
    schema = dataset.its_schema()
    for session, records in sessions.items():
        key = (dataset.values["datasetType"], session)
        for user, values in records:
            if user is None:
                tracker.anonymous.setdefault(key, []).append(values)
                continue
            known = [*tracker.anonymous.pop(key, []), values]
            dataset.rows.put([encode_values({**found, "USER_ID": user}, schema) for found in known])
