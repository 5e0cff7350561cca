"""F: one Lambda function written with crhelper, which calls itself again with an EventBridge rule until it is done."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from aws_cdk import Aws, CustomResource, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from benchmarks.rivals.shared import HANDLERS, dataset, destinations, job_permissions, properties

if TYPE_CHECKING:
    from aws_cdk import Stack

ASSET = Path(__file__).resolve().parents[2] / ".cache" / "benchmarks" / "crhelper"


def build(stack: Stack, count: int, *, own: bool) -> None:
    """Add the exports."""
    function = lambda_.Function(
        stack,
        "Function",
        code=lambda_.Code.from_asset(str(bundle()), exclude=["__pycache__"]),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
        timeout=Duration.minutes(1),
    )
    rules = f"arn:{Aws.PARTITION}:events:{Aws.REGION}:{Aws.ACCOUNT_ID}:rule/*"  # their names are random
    function.add_to_role_policy(
        iam.PolicyStatement(
            actions=["events:DeleteRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets"],
            resources=[rules],
        )
    )
    function.add_to_role_policy(
        iam.PolicyStatement(
            actions=["lambda:AddPermission", "lambda:RemovePermission"],
            resources=[f"arn:{Aws.PARTITION}:lambda:{Aws.REGION}:{Aws.ACCOUNT_ID}:function:{stack.stack_name}-*"],
        )
    )
    datasets: list[str] = []
    roles: dict[str, None] = {}
    for number, destination in enumerate(destinations(stack, count, own=own)):
        dataset_arn = dataset(number)
        resource = CustomResource(
            stack,
            f"Export{number}",
            resource_type="Custom::DatasetExport",
            service_token=function.function_arn,
            properties=properties(dataset_arn, destination),
        )
        resource.node.add_dependency(*destination.permissions)
        datasets.append(dataset_arn)
        roles[destination.role_arn] = None
    for statement in job_permissions(datasets, list(roles)):
        function.add_to_role_policy(statement)


def bundle() -> Path:
    """Put the handler and the installed crhelper into one folder, once: what `pip install --target` would do."""
    if not (ASSET / "crhelper").exists():
        found = find_spec("crhelper")
        if found is None or found.origin is None:
            raise RuntimeError(
                "crhelper is not installed: run `make benchmark`, or pip install -r requirements/test.txt"
            )
        ASSET.mkdir(parents=True, exist_ok=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(found.origin).parent, ASSET / "crhelper", ignore=ignored, dirs_exist_ok=True)
    shutil.copy(HANDLERS / "crhelper" / "index.py", ASSET)
    return ASSET
