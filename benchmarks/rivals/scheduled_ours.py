"""Ours on a schedule; it exports and tries again, and tells nobody yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.rivals.minute import every_minute
from benchmarks.rivals.shared import dataset
from cdk_personalize_export import ExportDestination, ScheduledDatasetExport

if TYPE_CHECKING:
    from aws_cdk import Stack


def build(stack: Stack, count: int, *, own: bool) -> None:
    """Add the schedules."""
    destination = None if own else ExportDestination(stack, "Destination")
    for number in range(count):
        ScheduledDatasetExport(
            stack, f"Export{number}", dataset=dataset(number), schedule=every_minute(), destination=destination
        )
