"""How many requests a second an operation may have in a dataset group.

The rates are documented (https://docs.aws.amazon.com/personalize/latest/dg/limits.html). That a second's worth may come
at once, and the error beyond it, which is the one of
https://docs.aws.amazon.com/personalize/latest/dg/CommonErrors.html, are inferred.
"""

from __future__ import annotations

from typing import NamedTuple

from personalize_local.service.errors import ApiError


class Left(NamedTuple):
    """How many requests there could be at a time."""

    requests: float
    at: float


def take(left: dict[str, Left], operation: str, per_second: int, now: float) -> None:
    """Count a request.

    Args:
        left: What is left for each operation of a dataset group.
        operation: Which one is asked for.
        per_second: Its rate.
        now: The time in seconds.

    Raises:
        ApiError: ``ThrottlingException``: there have been too many.
    """
    before = left.get(operation, Left(per_second, now))
    requests = min(float(per_second), before.requests + max(0.0, now - before.at) * per_second)
    if requests < 1:
        raise ApiError("ThrottlingException", "Rate exceeded")
    left[operation] = Left(requests - 1, now)
