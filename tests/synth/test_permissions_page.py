"""What each option adds to the policies, as docs/permissions.md prints it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from aws_cdk import App, Environment, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider
from tests.pages import Page
from tests.synth.conftest import Synthesise, name_of, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ITEMS = "arn:aws:personalize:us-east-1:123456789012:dataset/shop/ITEMS"
MARKED = re.compile(r"<!-- options -->\n(.*?)<!-- end of options -->", re.DOTALL)
TITLES = {
    "DestinationRolePolicy": "the role Personalize assumes",
    "DestinationBucketPolicy": "the bucket's policy",
    "LakePolicy": "the policy of that bucket",
    "OwnKey": "the policy of that key",
    "GroupKey": "the policy of that key",
    "ProviderPolicy": "the function's policy",
    "ProviderLambdaPolicy": "the function's policy for what Lambda does with its role",
}
EVERYTHING = ("s3:*", "kms:*")  # what the CDK says in the policies of every bucket and key, whatever we add


def export(stack: Stack, destination: dict[str, Any], provider: dict[str, Any], **more: Any) -> DatasetExport:
    """Export, with options of the destination and of the provider."""
    return DatasetExport(
        stack,
        "Items",
        dataset=ITEMS,
        destination=ExportDestination(stack, "Destination", **destination),
        provider=ExportProvider(stack, "Provider", **provider),
        **more,
    )


def in_lake(stack: Stack) -> None:
    scope: Any = stack.node.scope
    lake = Stack(scope, "Lake", env=Environment(account="444455556666", region="us-east-1"))
    export(stack, {"bucket": s3.Bucket(lake, "Lake", bucket_name="lake")}, {})


def in_vpc(stack: Stack) -> None:
    export(stack, {}, {"vpc": ec2.Vpc(stack, "Vpc", nat_gateways=1, max_azs=1)})


def told(stack: Stack) -> None:
    export(stack, {}, {}, event_bus=events.EventBus(stack, "Bus"))


OPTIONS: dict[str, Callable[[Stack], object]] = {
    "`tags`": lambda stack: export(stack, {}, {}, tags={"team": "search"}),
    "`event_bus`, `on_event` and the like": told,
    "`ExportDestination(encryption_key=...)`": lambda stack: export(
        stack, {"encryption_key": kms.Key(stack, "OwnKey")}, {}
    ),
    "`ExportDestination(dataset_group_key=...)`": lambda stack: export(
        stack, {"dataset_group_key": kms.Key(stack, "GroupKey")}, {}
    ),
    "`ExportDestination(require_source_account=True)`": lambda stack: export(
        stack, {"require_source_account": True}, {}
    ),
    "`ExportDestination(manifest=True)`": lambda stack: export(stack, {"manifest": True}, {}),
    "`ExportDestination(manifest=True, encryption_key=...)`": lambda stack: export(
        stack, {"manifest": True, "encryption_key": kms.Key(stack, "OwnKey")}, {}
    ),
    "`ExportDestination(bucket=...)` of another account": in_lake,
    "`ExportProvider(vpc=...)`": in_vpc,
    "`ExportProvider(dead_letter_queue=...)`": lambda stack: export(
        stack, {}, {"dead_letter_queue": sqs.Queue(stack, "DeadLetters")}
    ),
    "`ExportProvider(tracing=...)`": lambda stack: export(stack, {}, {"tracing": lambda_.Tracing.ACTIVE}),
    "`ExportProvider(environment_encryption=...)`": lambda stack: export(
        stack, {}, {"environment_encryption": kms.Key(stack, "OwnKey")}
    ),
}


def documents(add: Callable[[Stack], object], synth: Synthesise) -> dict[str, list[dict[str, Any]]]:
    """Return the statements of every policy of an app, by the logical id without its hash."""
    app = App()
    stack = Stack(app, "Backup", env=Environment(account="123456789012", region="us-east-1"))
    add(stack)
    found: dict[str, list[dict[str, Any]]] = {}
    for each in app.node.children:
        if not isinstance(each, Stack):
            continue
        for logical_id, resource in synth(each).resources.items():
            properties = resource.get("Properties", {})
            for name in ("PolicyDocument", "KeyPolicy", "AssumeRolePolicyDocument"):
                if name in properties:
                    found.setdefault(name_of(logical_id), []).extend(readable(properties[name]["Statement"]))
    return found


def added(synth: Synthesise) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Return what each option adds: its name, the resource without its hash, the statements."""
    before = documents(lambda stack: export(stack, {}, {}), synth)
    for option, add in OPTIONS.items():
        for name, now in documents(add, synth).items():
            new = [s for s in now if s not in before.get(name, []) and s["Action"] not in EVERYTHING]
            if new:
                yield option, name, new


def expected(synth: Synthesise) -> str:
    """Return the part of the page."""
    parts = []
    for option, name, shown in added(synth):
        lines = ",\n".join("  " + json.dumps(statement) for statement in shown)
        parts.append(f"{option}, {TITLES[name]}:\n\n```json\n[\n{lines}\n]\n```\n\n")
    return "".join(parts)


def test_what_options_add_is_on_the_page(synth: Synthesise) -> None:
    (shown,) = MARKED.findall(Page("docs/permissions.md").text)
    assert shown == expected(synth)
