"""Resources whose create failed: CloudFormation deletes them on rollback, ministack forgets them.

On AWS a custom resource that answered FAILED to Create (or never answered) gets a Delete when its stack rolls back,
with the physical id it answered, or one that CloudFormation made up.
"""

from __future__ import annotations

import secrets
import string
import threading
from dataclasses import dataclass
from typing import Any

CUSTOM_RESOURCE = "AWS::CloudFormation::CustomResource"


@dataclass(frozen=True)
class FailedCreate:
    """What the rollback needs to delete it."""

    resource_type: str
    physical_id: str
    properties: dict[str, Any]


class FailedCreates:
    """The failed creates of every stack, until a rollback or a deletion takes them."""

    def __init__(self) -> None:
        """Start empty."""
        self._failed: dict[tuple[str, str], FailedCreate] = {}
        self._lock = threading.Lock()

    def add(
        self, stack: str, logical_id: str, resource_type: str, physical_id: str, properties: dict[str, Any]
    ) -> None:
        """Keep one."""
        with self._lock:
            self._failed[stack, logical_id] = FailedCreate(resource_type, physical_id, properties)

    def take(self, stack: str) -> dict[str, FailedCreate]:
        """Return and forget those of a stack, by logical id."""
        with self._lock:
            found = {logical_id: failed for (name, logical_id), failed in self._failed.items() if name == stack}
            for logical_id in found:
                del self._failed[stack, logical_id]
        return found


def is_custom(resource_type: str) -> bool:
    """Tell whether a type is one of custom resources."""
    return resource_type.startswith("Custom::") or resource_type == CUSTOM_RESOURCE


def made_up_physical_id(stack_name: str, logical_id: str) -> str:
    """Return the physical id CloudFormation gives a resource that never named itself (its shape is inferred)."""
    letters = string.ascii_uppercase + string.digits
    return f"{stack_name}-{logical_id}-{''.join(secrets.choice(letters) for _ in range(12))}"
