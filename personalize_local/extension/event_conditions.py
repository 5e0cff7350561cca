"""The condition keys of `PutEvents`, which ministack leaves out: what the events say they are and where from.

See https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html. Both keys are lists, says AWS: one
request may hold events that differ, which `StringEquals` alone does not match. Whether AWS judges each event by itself
is unknown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Callable

ACTION = "events:PutEvents"
_KEYS = {"events:source": "Source", "events:detail-type": "DetailType"}


def register() -> None:
    """Add them to what ministack knows of a request."""

    def make(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def context(service: str, action: str, body: bytes, query: Any) -> dict[str, Any]:
            found = original(service, action, body, query)
            return {**found, **conditions(body)} if action == ACTION else found

        return context

    patches.wrap(patches.ACTIONS, "request_tag_context", make)


def conditions(body: bytes) -> dict[str, Any]:
    """Return the condition keys of a request, as far as it can be read; the handler refuses what can not."""
    try:
        entries = [entry for entry in json.loads(body)["Entries"] if isinstance(entry, dict)]
    except (ValueError, KeyError, TypeError):
        return {}
    return {key: _one_or_all([entry[name] for entry in entries if name in entry]) for key, name in _KEYS.items()}


def _one_or_all(values: list[Any]) -> Any:
    distinct = list(dict.fromkeys(map(str, values)))
    return distinct[0] if len(distinct) == 1 else distinct or None
