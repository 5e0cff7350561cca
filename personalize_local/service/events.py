"""Records that arrive one by one, as values of columns: events, items, users, actions and action interactions.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/API_UBS_Event.html and API_UBS_Item.html: properties are a
JSON map whose keys are the names of the schema in camel case. What AWS does with a key the schema does not have is
(unknown); here it is refused, so that typing errors show.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from personalize_local.service.errors import ApiError
from personalize_local.service.rows import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from personalize_local.service.avro import Column, Schema

_EVENT_COLUMNS = {
    "itemId": "ITEM_ID",
    "eventType": "EVENT_TYPE",
    "eventValue": "EVENT_VALUE",
    "recommendationId": "RECOMMENDATION_ID",
}
ACTION_EVENT_TYPES = ("TAKEN", "NOT_TAKEN", "VIEWED")
"""As bulk data has them; the API writes ``Not Taken``."""
_RESERVED_KEYS = ("userid", "sessionid", "eventtype", "timestamp", "recommendationid", "impression")


def event_values(event: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the columns an event fills, without the user.

    Raises:
        ApiError: ``InvalidInputException`` when its properties do not fit the schema.
    """
    properties = _properties(event.get("properties"))
    _refuse_reserved(properties)
    # Item and value may also be given as properties, as the guide's examples do.
    item_and_value = {
        column: properties.pop(key)
        for key, column in (("itemId", "ITEM_ID"), ("eventValue", "EVENT_VALUE"))
        if key in properties
    }
    values = {column: event[key] for key, column in _EVENT_COLUMNS.items() if key in event}
    values["TIMESTAMP"] = int(event["sentAt"])
    if "impression" in event:
        values["IMPRESSION"] = "|".join(event["impression"])
    if "metricAttribution" in event:
        values["EVENT_ATTRIBUTION_SOURCE"] = event["metricAttribution"]["eventAttributionSource"]
    return {**_by_column(properties, schema), **item_and_value, **values}


def interaction_values(interaction: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the columns an action interaction fills, without the user.

    Raises:
        ApiError: ``InvalidInputException`` when its event type or its properties do not fit.
    """
    event_type = interaction["eventType"].upper().replace(" ", "_")
    if event_type not in ACTION_EVENT_TYPES:
        raise _invalid(f"The event type {interaction['eventType']} is not one of Taken, Not Taken, Viewed")
    properties = _properties(interaction.get("properties"))
    _refuse_reserved(properties)
    values = {
        "ACTION_ID": interaction["actionId"],
        "EVENT_TYPE": event_type,
        "TIMESTAMP": int(interaction["timestamp"]),
        "IMPRESSION": "|".join(interaction.get("impression", [])),
        "RECOMMENDATION_ID": interaction.get("recommendationId"),
    }
    return {**_by_column(properties, schema), **values}


def check_size(event: Mapping[str, Any], most: int) -> None:
    """Check that an event is not too large (text unknown).

    Raises:
        ApiError: ``InvalidInputException``.
    """
    size = len(json.dumps(event).encode())
    if size > most:
        raise _invalid(f"An event can have at most {most} bytes, this one has {size}")


def record_values(id_column: str, identity: str, properties: str | None, schema: Schema) -> dict[str, Any]:
    """Return the columns an item, user or action fills.

    Raises:
        ApiError: ``InvalidInputException`` when its properties do not fit the schema.
    """
    return {**_by_column(_properties(properties), schema), id_column: identity}


def encode_values(values: Mapping[str, Any], schema: Schema) -> bytes:
    """Return the record as a line.

    Raises:
        ApiError: ``InvalidInputException`` naming the column whose value does not fit.
    """
    return encode([_text(column, values.get(column.name)) for column in schema.columns])


def _properties(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        properties = json.loads(text)
        json.dumps(properties, ensure_ascii=False).encode()  # half of a surrogate pair is no character
    except (ValueError, RecursionError):
        raise _invalid("The properties are not valid JSON") from None
    if not isinstance(properties, dict):
        raise _invalid("The properties are not a JSON map")
    return properties


def _refuse_reserved(properties: Mapping[str, Any]) -> None:
    for key in properties:
        if key.lower() in _RESERVED_KEYS:
            raise _invalid(f"The keyword {key} can not be included in the properties of an event")


def _by_column(properties: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    values = {}
    for key, value in properties.items():
        column = schema.column_of(key)
        if column is None:
            raise _invalid(f"The property {key} does not match a field of the schema {schema.name}")
        values[column.name] = value
    return values


def _text(column: Column, value: Any) -> str:
    """Return a JSON value as the text of a CSV field."""
    if isinstance(value, (dict, list)):
        raise _invalid(f"The value of {column.name} must not be a map or a list")
    if value is None:
        text = ""
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float) and value.is_integer() and column.type in ("int", "long"):
        text = str(int(value))
    else:
        text = str(value)
    text = column.kept(text)
    problem = "the value must be on a single line" if "\n" in text else column.problem(text)
    if problem:
        raise _invalid(f"The value of {column.name} does not match the schema: {problem}")
    return text


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidInputException", f"{message}.")
