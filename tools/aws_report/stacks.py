"""Deploys the two stacks with the CDK CLI, and removes them with CloudFormation and nothing else.

Only stacks with the random part of the report in their names are ever named here, and only buckets that CloudFormation
lists as theirs are emptied: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-cli-deleting-stack.html.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tools.aws_report.plan import UnusableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.aws_report.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
CLI = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"
REMOVALS = 5  # a job that is running may write into a bucket between emptying and deleting it
STACK_SECONDS = 2 * 3600
_GONE = "DELETE_COMPLETE"


class DeploymentError(Exception):
    """A deployment failed; the CDK CLI has said why."""


def cdk_command() -> list[str]:
    """Return the command of the CDK CLI: `CDK`, or the one `make` installs.

    Raises:
        UnusableError: There is none.
    """
    if given := os.environ.get("CDK"):
        return shlex.split(given)
    if not CLI.exists() or shutil.which("node") is None:
        raise UnusableError("the CDK CLI is not installed. `make aws-report` installs it; CDK=cdk takes one of yours")
    return ["node", str(CLI)]


class Stacks:
    """The stacks of one report.

    Args:
        plan: Their names.
        session: A boto3 session.
        poll_seconds: How long to pause between two looks.
    """

    def __init__(self, plan: Plan, session: Any, poll_seconds: float) -> None:  # noqa: ANN401 - boto3 has no types
        region = plan.dataset.region
        self._plan, self._poll_seconds = plan, poll_seconds
        self._cloudformation = session.client("cloudformation", region_name=region)
        self._s3 = session.client("s3", region_name=region)

    def deploy(self, name: str, tick_at: object, meanwhile: Callable[[], object] | None = None) -> None:
        """Deploy a stack; the CDK CLI talks to the terminal.

        Args:
            name: The name of the stack.
            tick_at: The time of the scheduled export, or None.
            meanwhile: What to look at until it is deployed.

        Raises:
            DeploymentError: It failed.
        """
        plan = self._plan
        app = shlex.join([sys.executable, "-m", "tools.aws_report.app"])
        with tempfile.TemporaryDirectory() as output:
            command = [
                *cdk_command(), "deploy", name, "--exclusively", "--app", app, "--output", output,
                "--require-approval", "never", "--progress", "events", "--ci",
                "--context", f"dataset={plan.dataset.arn}", "--context", f"report={plan.identity}",
                "--context", f"tick={tick_at or ''}",
            ]  # fmt: skip
            process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)  # noqa: S603 - our own CLI
            try:
                while process.poll() is None:
                    if meanwhile is not None:
                        meanwhile()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(self._poll_seconds)
            finally:
                _end(process)
        if process.returncode != 0:
            raise DeploymentError(f"cdk deploy {name} ended with status {process.returncode}, see above")

    def outputs(self, name: str) -> dict[str, str]:
        """Return the outputs of a stack."""
        (stack,) = self._cloudformation.describe_stacks(StackName=name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def physical_ids(self, name: str, resource_type: str = "") -> set[str]:
        """Return the physical ids of what a stack made, or what it made of a type; none when there is no stack.

        From its events, which also know what a rollback has taken out of the stack, such as a bucket that is retained.
        """
        try:
            pages = list(self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=name))
        except ClientError:
            return set()
        events = [event for page in pages for event in page["StackEvents"]]
        wanted = [event for event in events if not resource_type or event["ResourceType"] == resource_type]
        return {str(event["PhysicalResourceId"]) for event in wanted if event.get("PhysicalResourceId")}

    def remove(self, name: str, *, empties_buckets: bool) -> str:
        """Remove a stack if there is one.

        Args:
            name: Its name.
            empties_buckets: Whether its buckets go, too; they are emptied.

        Returns:
            What is wrong if it is still there: the status of the stack and why; empty when it is gone.
        """
        state = self._status(name)
        for _ in range(REMOVALS):
            if state is None:
                return ""
            if empties_buckets:
                for bucket in self.physical_ids(name, "AWS::S3::Bucket"):
                    self._empty(bucket)
            self._cloudformation.delete_stack(StackName=name)
            state = self._settled(name)
        return state or ""

    def has_bucket(self, bucket: str) -> bool:
        """Say whether a bucket is still there."""
        try:
            self._s3.head_bucket(Bucket=bucket)
        except ClientError:
            return False
        return True

    def _status(self, name: str) -> str | None:
        try:
            (stack,) = self._cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        status, reason = str(stack["StackStatus"]), str(stack.get("StackStatusReason", ""))
        return None if status == _GONE else f"{status}{': ' if reason else ''}{reason}"

    def _settled(self, name: str) -> str | None:
        """Wait until a deletion has ended, and return the status; None when the stack is gone."""
        end = time.monotonic() + STACK_SECONDS
        while True:
            time.sleep(self._poll_seconds)
            status = self._status(name)
            if status is None or not status.startswith("DELETE_IN_PROGRESS") or time.monotonic() > end:
                return status

    def _empty(self, bucket: str) -> None:
        """Remove every object of a bucket; one that is gone already is empty."""
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                keys = [{"Key": found["Key"]} for found in page.get("Contents", [])]
                if keys:
                    self._s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the CDK CLI and what it started, if it has not ended."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
