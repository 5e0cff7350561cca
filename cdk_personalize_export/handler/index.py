"""The entry point in Lambda (https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html): chooses the door."""

from collections.abc import Mapping
from typing import Any

from . import cloudformation
from .invocation import Invocation
from .outbound import Outbound

# One for all invocations of a container: https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html.
OUTBOUND = Outbound()


def handler(event: Mapping[str, Any], context: Any) -> None:
    """Work on an event of CloudFormation; Lambda calls this."""
    cloudformation.handle(Invocation(event, context, OUTBOUND))
