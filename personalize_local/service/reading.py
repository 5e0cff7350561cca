"""Describe, List and tags: the operations that are the same for every kind of resource.

What they show is cut to the members of the model's shapes. Pagination as in the API: at most ``maxResults`` (100 when
left out) and an opaque ``nextToken``; pages go by creation, so that what is created or deleted meanwhile neither
repeats nor hides a resource.
"""

from __future__ import annotations

import base64
import json
import operator
from typing import TYPE_CHECKING, Any

from personalize_local.service.errors import ApiError
from personalize_local.service.model import operations, project
from personalize_local.service.state import SCHEMA, Kind, Region, Resource, not_found

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE_SIZE = 100
MAXIMUM_TAGS = 50


def describe(region: Region, kind: Kind, params: dict[str, Any]) -> dict[str, Any]:
    """Answer ``Describe<kind>``."""
    resource = region.get(kind, params[kind.arn_field])
    shape = operations()[f"Describe{kind.name}"].output.members[kind.member]
    return {kind.member: project(resource.view(), shape)}


def list_page(region: Region, kind: Kind, params: dict[str, Any]) -> dict[str, Any]:
    """Answer ``List<kind>s``."""
    operation = f"List{kind.plural}"
    filters = {kind.filter_field: params[kind.filter_field]} if kind.filter_field in params else {}
    [(member, summaries)] = [(k, v) for k, v in operations()[operation].output.members.items() if k != "nextToken"]
    sign = -1 if kind.newest_first else 1
    found = [(sign * r.sequence, project(r.view(), summaries.member)) for r in region.of(kind, **filters)]
    return page_of(member, sorted(found, key=operator.itemgetter(0)), params, [operation, filters])


def page_of(
    member: str, found: list[tuple[int, dict[str, Any]]], params: dict[str, Any], question: list[Any]
) -> dict[str, Any]:
    """Return one page of what was found.

    Args:
        member: What the list is called in the answer.
        found: Everything, in order, each with a number that grows.
        params: The request, with its ``maxResults`` and ``nextToken``.
        question: What the token is good for.
    """
    start = _start(params.get("nextToken"), question)
    size = params.get("maxResults", PAGE_SIZE)
    rest = [(number, summary) for number, summary in found if start is None or number > start]
    answer: dict[str, Any] = {member: [summary for _, summary in rest[:size]]}
    if len(rest) > size:
        answer["nextToken"] = _token(rest[size - 1][0], question)
    return answer


def _token(after: int, question: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([after, question]).encode()).decode()


def _start(token: str | None, question: list[Any]) -> int | None:
    """Return the number after which the page starts; a token is good for the question it was given for."""
    if token is None:
        return None
    try:
        after, asked = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError, RecursionError):
        after, asked = None, None
    if not isinstance(after, int) or asked != question:
        raise ApiError("InvalidNextTokenException", "The token is not valid.")
    return after


def tags_of(params: dict[str, Any]) -> dict[str, str]:
    """Return the tags of a request.

    Raises:
        ApiError: ``InvalidInputException`` for a key that is there twice or reserved, ``TooManyTagsException``.
    """
    pairs = params.get("tags", [])
    tags = {pair["tagKey"]: pair["tagValue"] for pair in pairs}
    if len(tags) < len(pairs):
        raise ApiError("InvalidInputException", "A tag key must not occur twice.")
    _check_reserved(tags)
    check_number(tags)
    return tags


def check_number(tags: dict[str, str]) -> None:
    """Check that a resource may have that many tags (text unknown).

    Raises:
        ApiError: ``TooManyTagsException``.
    """
    if len(tags) > MAXIMUM_TAGS:
        raise ApiError("TooManyTagsException", f"A resource can have at most {MAXIMUM_TAGS} tags.")


def _check_reserved(keys: Iterable[str]) -> None:
    for key in keys:
        if key.lower().startswith("aws:"):
            raise ApiError("InvalidInputException", f"The prefix aws: is reserved: {key}.")


def list_tags(region: Region, params: dict[str, Any]) -> dict[str, Any]:
    """Answer ``ListTagsForResource``."""
    tags = _taggable(region, params).tags
    return {"tags": [{"tagKey": key, "tagValue": value} for key, value in tags.items()]}


def tag(region: Region, params: dict[str, Any]) -> dict[str, Any]:
    """Answer ``TagResource``."""
    resource = _taggable(region, params)
    tags = {**resource.tags, **tags_of(params)}
    check_number(tags)
    resource.tags = tags
    return {}


def untag(region: Region, params: dict[str, Any]) -> dict[str, Any]:
    """Answer ``UntagResource``; keys the resource does not have are ignored."""
    resource = _taggable(region, params)
    resource.tags = {key: value for key, value in resource.tags.items() if key not in params["tagKeys"]}
    return {}


def _taggable(region: Region, params: dict[str, Any]) -> Resource:
    arn = params["resourceArn"]
    resource = region.find(arn)
    if resource is None:
        raise not_found(arn)
    if resource.kind is SCHEMA:
        raise ApiError("InvalidInputException", f"A schema can not be tagged: {arn}.")
    return resource
