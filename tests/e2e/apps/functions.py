"""An app whose export moves from function to function, as `--context function=` says.

Context: dataset, items (another dataset, for the second function), function, pinned (keep the logical id by hand).
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider


def provider_of(stack: cdk.Stack, kind: str) -> ExportProvider | None:
    """Return the function the export uses; None is the one of the stack."""
    if kind == "default":
        return None
    if kind == "prefix":
        return ExportProvider(stack, "Given", function_name_prefix="exports")
    if kind == "renamed":
        return ExportProvider(stack, "Renamed", function_name_prefix="exports")
    if kind == "another release":
        provider = ExportProvider(stack, "Given")
        resource = provider.function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)
        resource.override_logical_id("OfAnotherRelease")
        return provider
    return ExportProvider(stack, "Given")


def main() -> None:
    """Synthesise the stack."""
    app = cdk.App()
    stack = cdk.Stack(app, "Functions")
    context = {name: str(app.node.try_get_context(name) or "") for name in ("dataset", "items", "function", "pinned")}
    if context["function"] == "customised":
        iam.Role.customize_roles(
            stack,
            use_precreated_roles={
                "Functions/PersonalizeExportProvider/Role": "central-function",
                "Functions/Destination/Role": "central-writer",
            },
        )
        context["function"] = "default"
    destination = ExportDestination(stack, "Destination")
    provider = provider_of(stack, context["function"] or "default")
    export = DatasetExport(
        stack, "Interactions", dataset=context["dataset"], destination=destination, provider=provider
    )
    if context["pinned"]:
        export.resource.override_logical_id("Pinned")
    cdk.CfnOutput(stack, "JobArn", value=export.job_arn)
    cdk.CfnOutput(stack, "Function", value=export.provider.service_token)
    if context["items"]:
        other = ExportProvider(stack, "OfAnotherTeam")
        items = DatasetExport(stack, "Items", dataset=context["items"], destination=destination, provider=other)
        cdk.CfnOutput(stack, "ItemsJobArn", value=items.job_arn)
    app.synth()


main()
