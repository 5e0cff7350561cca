"""The schedule of all who have one."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_scheduler as scheduler


def every_minute() -> scheduler.ScheduleExpression:
    """Return a schedule that fires when it is made: what is measured is the same as of a nightly one, and sooner."""
    return scheduler.ScheduleExpression.rate(Duration.minutes(1))
