"""`cdk bootstrap` without Node: the CDK CLI's own bootstrap template, deployed through CloudFormation.

The asset bucket, the version parameter and the five roles with their policies are therefore the real ones
(https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html), in a fraction of the time.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

STACK = "CDKToolkit"
TEMPLATE = Path("lib", "api", "bootstrap", "bootstrap-template.yaml")
PARAMETERS = {
    "CloudFormationExecutionPolicies": "arn:aws:iam::aws:policy/AdministratorAccess",
    "FileAssetsBucketKmsKeyId": "AWS_MANAGED_KEY",
}
POLL_SECONDS = 0.05
MISSING = "the bootstrap template is part of the CDK CLI, which was not found: npm install aws-cdk"


def find_template() -> Path | None:
    """Return the template of the nearest CDK CLI: this folder's, this project's, or the one on the PATH."""
    return next((package / TEMPLATE for package in _cli_packages() if (package / TEMPLATE).is_file()), None)


def _cli_packages() -> Iterator[Path]:
    """Yield where the CLI's package may be."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        yield folder / "node_modules" / "aws-cdk"
    if command := shutil.which("cdk", path=os.environ.get("PATH")):
        yield Path(command).resolve().parents[1]


def deploy(cloudformation: Any, template: Path) -> None:
    """Deploy the template and wait for it; does nothing when it is there already.

    Raises:
        RuntimeError: The stack failed, with the reasons of its events.
    """
    try:
        cloudformation.create_stack(
            StackName=STACK,
            TemplateBody=template.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
    except cloudformation.exceptions.AlreadyExistsException:
        return
    while True:
        (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
        if stack["StackStatus"] == "CREATE_COMPLETE":
            return
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
            reasons = [event["ResourceStatusReason"] for event in events if event.get("ResourceStatusReason")]
            raise RuntimeError(f"{STACK} is {stack['StackStatus']}: {'; '.join(reasons)}")
        time.sleep(POLL_SECONDS)
