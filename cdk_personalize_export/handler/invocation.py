"""One invocation by Lambda: its event, and what the context object tells.

See https://docs.aws.amazon.com/lambda/latest/dg/python-context.html.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .outbound import Outbound


class Invocation(NamedTuple):
    """An event, Lambda's context and the way out."""

    event: Mapping[str, Any]
    context: Any
    outbound: Outbound

    @property
    def function_arn(self) -> str:
        """The ARN this function was invoked by, alias or version included."""
        return str(self.context.invoked_function_arn)

    @property
    def log_location(self) -> str:
        """Where the log of this invocation is, for people to find."""
        return f"{self.context.log_group_name}, stream {self.context.log_stream_name}"

    @property
    def home(self) -> tuple[str, str]:
        """Account and Region of this function."""
        _, _, _, region, account, *_ = self.function_arn.split(":")
        return account, region

    def remaining(self) -> float:
        """Tell the seconds until Lambda ends this invocation, 15 minutes after its start at the latest."""
        return float(self.context.get_remaining_time_in_millis()) / 1000
