"""An app whose waiting is scaled down: template overrides shorten what a user of the library can not set.

Context: dataset, exports (how many), timeout (of the function), waits (seconds each link waits), max_wait_hours, wait.
"""

from __future__ import annotations

import aws_cdk as cdk

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider


def context(app: cdk.App, name: str, default: str) -> str:
    """Return what `--context name=...` says."""
    return str(app.node.try_get_context(name) or default)


def override(construct: object, name: str, value: object) -> None:
    """Write a property of the template by hand."""
    assert isinstance(construct, cdk.CfnResource)
    construct.add_property_override(name, value)


def main() -> None:
    """Synthesise the stack."""
    app = cdk.App()
    stack = cdk.Stack(app, "Waiting")
    provider = ExportProvider(stack, "Provider")
    destination = ExportDestination(stack, "Destination")
    override(provider.function.node.default_child, "Timeout", int(context(app, "timeout", "900")))
    wait = context(app, "wait", "true") == "true"
    for number in range(int(context(app, "exports", "1"))):
        export = DatasetExport(
            stack,
            f"Export{number}",
            dataset=context(app, "dataset", ""),
            destination=destination,
            provider=provider,
            max_wait=cdk.Duration.hours(int(context(app, "max_wait_hours", "1"))) if wait else None,
            wait=wait,
        )
        for child in export.node.children:
            waits = context(app, "waits", "")
            if waits:
                override(child, "MaxWaitSeconds", waits)
        cdk.CfnOutput(stack, f"Status{number}", value=export.status)
    app.synth()


main()
