"""What each change does to an export, measured, and as docs/upgrading.md prints it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import App, CfnResource, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider, IngestionMode
from cdk_personalize_export.handler.properties import read_export
from tests.pages import Page
from tests.synth.conftest import EXPORT, Synthesise

if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = "arn:aws:personalize:us-east-1:123456789012:dataset/shop"
KEY = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
ROLE = "arn:aws:iam::123456789012:role/Writer"
TABLE = re.compile(r"<!-- changes -->\n[^\n]*\n[^\n]*\n(.*?)<!-- end of changes -->", re.DOTALL)
KEPT = {"AWS::S3::Bucket": "the bucket", "AWS::Logs::LogGroup": "the log group"}


def export(
    stack: Stack,
    construct_id: str = "Items",
    *,
    destination: dict[str, Any] | None = None,
    provider: dict[str, Any] | None = None,
    provider_id: str = "Provider",
    **more: Any,
) -> DatasetExport:
    """Export, as before a change but for what is given."""
    return DatasetExport(
        stack,
        construct_id,
        **{"dataset": f"{GROUP}/ITEMS", **more},
        destination=ExportDestination(stack, f"{construct_id}Destination", **destination or {}),
        provider=ExportProvider(stack, provider_id, **provider or {}),
    )


def told(stack: Stack) -> None:
    one = export(stack)
    one.on_failed("Failed")
    one.metric_succeeded()


# Each change, as the page names it, and what the stack is afterwards.
CHANGES: dict[str, Callable[[Stack], object]] = {
    "nothing": export,
    "`dataset`": lambda stack: export(stack, dataset=f"{GROUP}/USERS"),
    "`ingestion_mode`": lambda stack: export(stack, ingestion_mode=IngestionMode.BULK),
    "`generation`": lambda stack: export(stack, generation="2026-12"),
    "`job_name_prefix`": lambda stack: export(stack, job_name_prefix="shop"),
    "`prefix` of the destination": lambda stack: export(stack, destination={"prefix": "elsewhere"}),
    "`encryption_key` of the destination": lambda stack: export(
        stack, destination={"encryption_key": kms.Key.from_key_arn(stack, "Key", KEY)}
    ),
    "a `bucket` of yours instead of the one made": lambda stack: export(
        stack, destination={"bucket": s3.Bucket.from_bucket_name(stack, "Bucket", "lake")}
    ),
    "a `role` of yours instead of the one made": lambda stack: export(
        stack, destination={"role": iam.Role(stack, "Role", assumed_by=_personalize())}
    ),
    "`tags`": lambda stack: export(stack, tags={"team": "search"}),
    "`max_wait` within the hour": lambda stack: export(stack, max_wait=Duration.minutes(30)),
    "`wait`": lambda stack: export(stack, wait=False),
    "`max_wait` over an hour": lambda stack: export(stack, max_wait=Duration.hours(3)),
    "`manifest` of the destination": lambda stack: export(stack, destination={"manifest": True}),
    "events and metrics": told,
    "the construct's id": lambda stack: export(stack, "Articles"),
    "another `provider`": lambda stack: export(stack, provider_id="Other"),
    "`function_name_prefix` of the provider": lambda stack: export(stack, provider={"function_name_prefix": "shop"}),
    "`log_group` of the provider": lambda stack: export(
        stack, provider={"log_group": logs.LogGroup.from_log_group_name(stack, "Logs", "exports")}
    ),
    "the export is removed": lambda stack: CfnResource(stack, "Other", type="AWS::SNS::Topic"),
}


def _personalize() -> iam.ServicePrincipal:
    return iam.ServicePrincipal("personalize.amazonaws.com")


@dataclass(frozen=True)
class Deployed:
    """What matters of a stack to whoever changes it."""

    jobs: set[str]
    resources: set[str]
    links: int
    kept: dict[str, str]


def deployed(change: Callable[[Stack], object], synth: Synthesise) -> Deployed:
    """Synthesise a stack, and read it as the function does."""
    stack = Stack(App(), "Backup")
    change(stack)
    resources = synth(stack).resources
    exports = {name: each for name, each in resources.items() if each["Type"] == EXPORT}
    return Deployed(
        jobs={read_export("stack", _as_deployed(each["Properties"])).physical_id for each in exports.values()},
        resources={name for name, each in exports.items() if "LinkNumber" not in each["Properties"]},
        links=sum("LinkNumber" in each["Properties"] for each in exports.values()),
        kept={name: each["Type"] for name, each in resources.items() if each.get("DeletionPolicy") == "Retain"},
    )


def _as_deployed(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties as the function gets them: for one reference always the same text."""
    texts = {
        name: re.sub(r"\W", "", json.dumps(value)).lower() if isinstance(value, dict) else value
        for name, value in properties.items()
    }
    return {**texts, "RoleArn": ROLE}  # which has a form to keep, and shapes nothing


def measured(before: Deployed, after: Deployed) -> str:
    """Say what a change does, in the columns of the page."""
    again = "yes" if after.jobs - before.jobs else "no"
    resource = "same" if after.resources == before.resources else "another" if after.resources else "deleted"
    links = ", and a link for each further hour" if after.links else ""
    left = [KEPT[kind] for name, kind in before.kept.items() if name not in after.kept]
    return f"{again} | {resource}{links} | {', '.join(sorted(left)) or 'nothing'} |"


def test_table_says_what_each_change_does(synth: Synthesise) -> None:
    (table,) = TABLE.findall(Page("docs/upgrading.md").text)
    before = deployed(export, synth)
    assert table.splitlines() == [
        f"| {name} | {measured(before, deployed(change, synth))}" for name, change in CHANGES.items()
    ]
