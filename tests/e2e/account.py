"""An account on the local AWS as an end-to-end test uses it: a dataset, the CDK CLI, and what came of it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from personalize_local import LocalAws

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
    "version": "1.0",
}


@dataclass(frozen=True)
class Account:
    """The local AWS as a test uses it."""

    aws: LocalAws
    dataset_arn: str
    output: Path

    def cdk(self, *arguments: str, app: str = "app.py", module: str = "") -> subprocess.CompletedProcess[str]:
        """Run the CDK CLI on an app, or on what one was synthesised into; return what it printed and its status."""
        program = ["-m", module] if module else [app]
        runs = app if Path(app).is_dir() else shlex.join([sys.executable, *program])
        command = [
            "node", str(ROOT / "node_modules/aws-cdk/bin/cdk"), *arguments,
            "--app", runs, "--output", str(self.output / "cdk.out"), "--ci",
        ]  # fmt: skip
        environment = {**self.aws.environment(), "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )

    def deploy(self, *arguments: str, app: str = "app.py") -> subprocess.CompletedProcess[str]:
        """Deploy the top-level app for the dataset."""
        context = ("--context", f"dataset={self.dataset_arn}")
        return self.cdk("deploy", "--require-approval", "never", *context, *arguments, app=app)

    def jobs(self) -> list[dict[str, Any]]:
        """Return every export job of the account, oldest first."""
        personalize = self.aws.client("personalize")
        pages = personalize.get_paginator("list_dataset_export_jobs").paginate()
        arns = [job["datasetExportJobArn"] for page in pages for job in page["datasetExportJobs"]]
        found = [personalize.describe_dataset_export_job(datasetExportJobArn=arn)["datasetExportJob"] for arn in arns]
        return sorted(found, key=lambda job: job["creationDateTime"])

    def outputs(self, stack_name: str) -> dict[str, str]:
        """Return a stack's outputs."""
        (stack,) = self.aws.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def log_lines(self) -> list[str]:
        """Return what every function logged."""
        logs = self.aws.client("logs")
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        events = [event for group in groups for event in logs.filter_log_events(logGroupName=group)["events"]]
        return [event["message"] for event in events]

    def objects(self, path: str) -> dict[str, str]:
        """Return the objects below an s3:// path and their text."""
        bucket, _, prefix = path.removeprefix("s3://").partition("/")
        s3 = self.aws.client("s3")
        keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys}


def make_dataset(aws: LocalAws) -> str:
    """Make an interactions dataset with three events in it and return its ARN."""
    personalize = aws.client("personalize")
    schema = personalize.create_schema(name="interactions", schema=json.dumps(SCHEMA))["schemaArn"]
    group = personalize.create_dataset_group(name="shop")["datasetGroupArn"]
    wait_for(lambda: personalize.describe_dataset_group(datasetGroupArn=group)["datasetGroup"]["status"] == "ACTIVE")
    dataset: str = personalize.create_dataset(
        name="interactions", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
    )["datasetArn"]
    wait_for(lambda: personalize.describe_dataset(datasetArn=dataset)["dataset"]["status"] == "ACTIVE")
    tracker = personalize.create_event_tracker(name="tracker", datasetGroupArn=group)
    wait_for(
        lambda: (
            personalize.describe_event_tracker(eventTrackerArn=tracker["eventTrackerArn"])["eventTracker"]["status"]
            == "ACTIVE"
        )
    )
    aws.client("personalize-events").put_events(
        trackingId=tracker["trackingId"],
        userId="1",
        sessionId="1",
        eventList=[{"eventType": "view", "itemId": str(item), "sentAt": 1_700_000_000 + item} for item in range(3)],
    )
    return dataset


def make_items(aws: LocalAws) -> str:
    """Make an empty items dataset in the same group and return its ARN."""
    return _make(
        aws, "Items", {"name": "ITEM_ID", "type": "string"}, {"name": "GENRES", "type": "string", "categorical": True}
    )


def make_users(aws: LocalAws) -> str:
    """Make an empty users dataset in the same group and return its ARN."""
    return _make(aws, "Users", {"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": "int"})


def _make(aws: LocalAws, dataset_type: str, *fields: dict[str, Any]) -> str:
    personalize, name = aws.client("personalize"), dataset_type.lower()
    text = json.dumps({**SCHEMA, "name": dataset_type, "fields": fields})
    schema = personalize.create_schema(name=name, schema=text)["schemaArn"]
    (group,) = personalize.list_dataset_groups()["datasetGroups"]
    dataset: str = personalize.create_dataset(
        name=name, schemaArn=schema, datasetGroupArn=group["datasetGroupArn"], datasetType=dataset_type
    )["datasetArn"]
    wait_for(lambda: personalize.describe_dataset(datasetArn=dataset)["dataset"]["status"] == "ACTIVE")
    return dataset


def wait_for(holds: Any, seconds: float = 30) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
