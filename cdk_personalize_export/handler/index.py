"""The entry point in Lambda (https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html): chooses the door."""

from collections.abc import Callable, Mapping
from typing import Any

from . import cloudformation, schedule
from .invocation import Invocation
from .outbound import Outbound

# One for all invocations of a container: https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html.
OUTBOUND = Outbound()


def handler(event: Mapping[str, Any], context: Any) -> None:
    """Work on a tick of a schedule or on a request of CloudFormation; Lambda calls this."""
    door_of(event)(Invocation(event, context, OUTBOUND))


def door_of(event: object) -> Callable[[Invocation], None]:
    """Say who works on an event."""
    return schedule.handle if isinstance(event, Mapping) and "Tick" in event else cloudformation.handle
