"""The floor of who has a bucket of his own: an app with nothing in it that has imported `aws_s3`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_s3

if TYPE_CHECKING:
    from aws_cdk import Stack


def build(_stack: Stack, _count: int, **_own: bool) -> None:
    """Add nothing."""
    getattr(aws_s3, "Bucket")  # noqa: B009 - the module loads when it is used
