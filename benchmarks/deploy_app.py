"""The app that is deployed on the local AWS: arguments are a rival's module, how many exports, and the stack's name."""

from __future__ import annotations

import importlib
import sys

import aws_cdk


def main() -> None:
    """Synthesise."""
    name, count, stack_name = sys.argv[1:]
    app = aws_cdk.App()
    importlib.import_module(f"benchmarks.rivals.{name}").build(aws_cdk.Stack(app, stack_name), int(count), own=False)
    app.synth()


main()
