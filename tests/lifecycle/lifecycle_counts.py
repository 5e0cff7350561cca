"""What the lifecycle tests have run, for the summary at the end."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lifecycle.lifecycle_cloudformation import CloudFormation
    from tests.lifecycle.lifecycle_world import World

COUNTS: Counter[str] = Counter()
LONGEST: dict[str, float] = {}
TABLE: list[str] = []


def long_run() -> int | None:
    """How many examples the long run was asked for (LIFECYCLE_EXAMPLES)."""
    given = os.environ.get("LIFECYCLE_EXAMPLES", "")
    return int(given) if given else None


def count(world: World, cloudformation: CloudFormation, answered_after: list[float]) -> None:
    """Adds one finished scenario."""
    COUNTS.update(world.calls)
    COUNTS["jobs"] += len(world.started)
    COUNTS["requests"] += len(cloudformation.requests)
    COUNTS["invocations"] += len(world.invocations)
    COUNTS["deaths"] += len(world.raised)
    COUNTS["outside calls"] += world.outside_calls
    COUNTS["faults"] += sum(len(request.faults) for request in cloudformation.requests)
    for request in cloudformation.requests:
        COUNTS[f"{request.kind}{' (rollback)' if request.rollback else ''} {request.outcome or 'open'}"] += 1
    LONGEST["ACTIVE to answer"] = max([LONGEST.get("ACTIVE to answer", 0.0), *answered_after])


def lines() -> list[str]:
    """Describes what has been run."""
    found = [f"{number:>9,}  {name}" for name, number in sorted(COUNTS.items())]
    found += [f"{seconds:>8.1f}s  longest from {name}" for name, seconds in LONGEST.items() if seconds]
    return [*found, *TABLE]
