"""What the app of the headline case has of its own before anybody exports: a VPC, and a Lambda function in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_

from benchmarks.rivals.shared import HANDLERS

if TYPE_CHECKING:
    from aws_cdk import Stack


def build(stack: Stack) -> None:
    """Add the VPC and the function."""
    lambda_.Function(
        stack,
        "AppFunction",
        code=lambda_.Code.from_asset(str(HANDLERS / "sleeping"), exclude=["__pycache__"]),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
        vpc=ec2.Vpc(stack, "AppVpc"),
    )
