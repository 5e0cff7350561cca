"""The floor: an app with nothing in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_cdk import Stack


def build(_stack: Stack, _count: int, **_own: bool) -> None:
    """Add nothing."""
