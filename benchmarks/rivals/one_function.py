"""The floor of who has a function: an app with one bucket and one typed Lambda function, which do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from benchmarks.rivals.shared import HANDLERS

if TYPE_CHECKING:
    from aws_cdk import Stack


def build(stack: Stack, _count: int, **_own: bool) -> None:
    """Add the bucket and the function."""
    s3.Bucket(stack, "Bucket")
    lambda_.Function(
        stack,
        "Function",
        code=lambda_.Code.from_asset(str(HANDLERS / "sleeping"), exclude=["__pycache__"]),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
    )
