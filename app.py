"""The deployable app: exports the datasets that the context names.

    cdk deploy -c dataset=arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS

Several ARNs are separated by commas. Also `-c ingestion_mode=` (ALL, PUT or BULK), `-c bucket=` (the name of a bucket
you have), `-c prefix=`, `-c generation=` (any text; a changed one exports again) and `-c manifest=true` (a list of the
objects of each export, beside them). `cdk destroy` needs the same context.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from shutil import which

if find_spec("aws_cdk") and not which(os.environ.get("JSII_NODE", "node")):  # the CDK of Python runs on Node
    sys.exit("error: node, which aws_cdk runs on, is not found: install Node.js 22 or newer, and put it on the PATH.")

try:
    from aws_cdk import App, CfnOutput, Environment, Stack
    from aws_cdk import aws_s3 as s3

    from cdk_personalize_export import DatasetExport, ExportDestination, IngestionMode
except ModuleNotFoundError as missing:
    sys.exit(
        f"error: {missing.name} is not installed for {sys.executable}. "
        f"In the folder of app.py: {sys.executable} -m pip install ."
    )
except Exception as failed:
    if type(failed).__module__ != "jsii.errors":
        raise
    sys.exit(f"error: {str(failed).partition(chr(10))[0]}")  # such as a home that it cannot write its cache to

STACK_NAME = "PersonalizeExport"
OPTIONS = ("dataset", "ingestion_mode", "bucket", "prefix", "generation", "manifest")
NOTHING_GIVEN = (
    "no dataset given. Pass its ARN, or several separated by commas: cdk deploy -c "
    "dataset=arn:aws:personalize:<region>:<account>:dataset/<dataset group>/<INTERACTIONS|ITEMS|USERS>"
)


def build(app: App) -> Stack:
    """Add the stack with one export for each dataset in the context of `app`.

    Raises:
        ValueError: when the context cannot be deployed; the message says what to pass instead.
    """
    given = {name: app.node.try_get_context(name) for name in OPTIONS}
    datasets = _datasets(given["dataset"])
    stack = Stack(
        app,
        STACK_NAME,
        description="Exports Amazon Personalize datasets to Amazon S3",
        env=Environment(account=os.environ.get("CDK_DEFAULT_ACCOUNT"), region=os.environ.get("CDK_DEFAULT_REGION")),
    )
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", given["bucket"]) if given["bucket"] else None
    manifest = _flag("manifest", given["manifest"])
    destination = ExportDestination(stack, "Destination", bucket=bucket, prefix=given["prefix"], manifest=manifest)
    for dataset in datasets:
        export = DatasetExport(
            stack,
            _construct_id(dataset),
            dataset=dataset,
            destination=destination,
            generation=given["generation"],
            ingestion_mode=given["ingestion_mode"] or IngestionMode.ALL,
        )
        CfnOutput(export, "JobArn", value=export.job_arn)
        CfnOutput(export, "OutputPath", value=export.output_path)
        CfnOutput(export, "Status", value=export.status)
        if manifest:
            CfnOutput(export, "ManifestPath", value=export.manifest_path)
            CfnOutput(export, "LatestPath", value=export.latest_path)
    return stack


def _datasets(given: object) -> list[str]:
    datasets = [arn.strip() for arn in str(given or "").split(",") if arn.strip()]
    if not datasets:
        raise ValueError(NOTHING_GIVEN)
    for arn in datasets:
        if datasets.count(arn) > 1:
            raise ValueError(f"dataset {arn!r} is given {datasets.count(arn)} times. Name each dataset once.")
    return datasets


def _flag(name: str, given: object) -> bool:
    """Read a yes or no: the command line gives text, cdk.json gives what JSON has for it."""
    text = str(given or "false").lower()
    if text not in {"true", "false"}:
        raise ValueError(f"{name} is {given!r}. Allowed are true and false; leave it out for false.")
    return text == "true"


def _construct_id(dataset: str) -> str:
    """`Interactions-movies`: the type first, because job names keep only the beginning."""
    group, _, dataset_type = dataset.rpartition("/")
    return f"{dataset_type.title()}-{group.rpartition('/')[2]}"


def main() -> None:
    """Synthesise, or say in one line what is wrong."""
    app = App()
    try:
        build(app)
        app.synth()
    except (ValueError, RuntimeError) as error:  # what our checks raise, and the CDK's own
        reason = str(error).strip().partition("\n")[0]
        sys.exit(f"error: {reason}")


if __name__ == "__main__":
    main()
