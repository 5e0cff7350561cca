"""The operations of personalize-events: records that arrive one by one are checked and kept.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/API_UBS_Operations.html. Events without a user wait for one
with the same session, as documented for PutEvents and (inferred) for PutActionInteractions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from personalize_local.service.errors import ApiError
from personalize_local.service.events import (
    check_size,
    encode_values,
    event_values,
    interaction_values,
    record_values,
)
from personalize_local.service.requirements import ACTION_INTERACTIONS, ID_FIELDS, INTERACTIONS
from personalize_local.service.state import ACTIVE, DATASET, EVENT_TRACKER

if TYPE_CHECKING:
    from personalize_local.service.state import Region, Resource

Params = dict[str, Any]

_NAMES = {INTERACTIONS: "Interactions", ACTION_INTERACTIONS: "Action interactions"}


def put_events(region: Region, params: Params, event_bytes: int) -> dict[str, Any]:
    """Answer ``PutEvents``."""
    tracker, dataset = _tracked(region, params["trackingId"], INTERACTIONS)
    for event in params["eventList"]:
        check_size(event, event_bytes)
    events = [event_values(event, dataset.its_schema()) for event in params["eventList"]]
    _keep(tracker, dataset, params["sessionId"], [(params.get("userId"), values) for values in events])
    return {}


def put_action_interactions(region: Region, params: Params, event_bytes: int) -> dict[str, Any]:
    """Answer ``PutActionInteractions``."""
    tracker, dataset = _tracked(region, params["trackingId"], ACTION_INTERACTIONS)
    schema = dataset.its_schema()
    for interaction in params["actionInteractions"]:
        check_size(interaction, event_bytes)
    sessions: dict[str, list[tuple[str | None, Params]]] = {}
    for interaction in params["actionInteractions"]:
        values = (interaction.get("userId"), interaction_values(interaction, schema))
        encode_values({**values[1], "USER_ID": values[0] or "anonymous"}, schema)  # all are right, or none is kept
        sessions.setdefault(interaction["sessionId"], []).append(values)
    for session, interactions in sessions.items():
        _keep(tracker, dataset, session, interactions)
    return {}


def put_records(region: Region, params: Params, dataset_type: str, member: str, id_member: str) -> dict[str, Any]:
    """Answer ``PutItems``, ``PutUsers`` or ``PutActions``."""
    dataset = region.get(DATASET, params["datasetArn"])
    if dataset.values["datasetType"] != dataset_type:
        raise ApiError("InvalidInputException", f"The dataset {dataset.arn} is not of type {dataset_type}.")
    region.get_active(DATASET, dataset.arn)
    schema = dataset.its_schema()
    records = [
        record_values(ID_FIELDS[dataset_type], record[id_member], record.get("properties"), schema)
        for record in params[member]
    ]
    dataset.rows.put([encode_values(values, schema) for values in records])
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


def _keep(tracker: Resource, dataset: Resource, session: str, records: list[tuple[str | None, Params]]) -> None:
    """Keep the records of one session; those without a user wait for one."""
    schema = dataset.its_schema()
    checked = [(user, values, _line(values, user or "anonymous", dataset)) for user, values in records]
    key = (dataset.values["datasetType"], session)
    for user, values, line in checked:
        if user is None:
            tracker.anonymous.setdefault(key, []).append(values)
            continue
        waiting = tracker.anonymous.pop(key, [])
        dataset.rows.put([*(encode_values({**w, "USER_ID": user}, schema) for w in waiting), line])


def _line(values: Params, user: str, dataset: Resource) -> bytes:
    return encode_values({**values, "USER_ID": user}, dataset.its_schema())
