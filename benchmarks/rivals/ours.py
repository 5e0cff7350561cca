"""Ours, as the README shows it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cdk_personalize_export import DatasetExport, ExportDestination

if TYPE_CHECKING:
    from aws_cdk import Stack

ARN = "arn:aws:personalize:us-east-1:123456789012:dataset/shop-{}/INTERACTIONS"


def build(stack: Stack, count: int, *, own: bool) -> None:
    """Add the exports."""
    given = os.environ.get("BENCHMARK_DATASET")
    destination = None if own else ExportDestination(stack, "Destination")
    for number in range(count):
        DatasetExport(stack, f"Export{number}", dataset=given or ARN.format(number), destination=destination)
