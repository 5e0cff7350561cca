"""What must work with every aws-cdk-lib, jsii and Python: `make matrix` runs this file once in each combination.

It needs the library and what the library declares, no test runner; cdk-nag where the matrix provides it. It ends with
a line of JSON: the versions it met, and what became of each scenario. The CDK's own validation is left to `make audit`.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import sys
import tempfile
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["CDK_VALIDATION"] = "false"  # before the jsii kernel starts, which reads it once

from aws_cdk import (
    App,
    Aspects,
    Duration,
    Stack,
    TimeZone,
    aws_cloudwatch,
    aws_events,
    aws_iam,
    aws_kms,
    aws_s3,
    aws_scheduler,
)

from cdk_personalize_export import (
    DatasetExport,
    DatasetGroupExport,
    ExportDestination,
    ExportTable,
    ScheduledDatasetGroupExport,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
GROUP = "arn:aws:personalize:us-east-1:123456789012:dataset/movies"
TYPES = ["INTERACTIONS", "ITEMS", "USERS"]
PACKAGES = ("aws-cdk-lib", "jsii", "constructs", "cdk-nag")

# For the user to decide: the bucket of a destination keeps no access log, unless it is given one that does.
DOCUMENTED = {"AwsSolutions-S1"}
# The two wildcards that cannot be avoided, as cdk-nag writes them.
WILDCARDS = (
    re.compile(r"AwsSolutions-IAM5\[Resource::<\w+\.Arn>/personalize/\*\]"),
    re.compile(r"AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:personalize:.+:dataset-export-job/\S+\*\]"),
)


def readme_example() -> None:
    """The first example of the README, as it is printed there."""
    (example, *_) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102 - what a reader would run
    (app,) = (value for value in names.values() if isinstance(value, App))
    (stack,) = app.synth().stacks
    _expect_exports(stack.template, 1)


def two_exports() -> None:
    """Two exports in one stack share everything, and the function may make the jobs of both."""
    app = App()
    stack = Stack(app, "Two")
    for dataset_type in TYPES[:2]:
        DatasetExport(stack, dataset_type.capitalize(), dataset=f"{GROUP}/{dataset_type}")
    template = _template(app)
    _expect_exports(template, 2)
    policies = json.dumps(_of_type(template, "AWS::IAM::ManagedPolicy"))
    for dataset_type in TYPES[:2]:
        if f"{GROUP}/{dataset_type}" not in policies:
            raise AssertionError(f"no policy names {GROUP}/{dataset_type}: {policies}")


def group() -> None:
    """The three datasets of a group."""
    app = App()
    DatasetGroupExport(Stack(app, "Group"), "Shop", dataset_group="movies", dataset_types=TYPES)
    _expect_exports(_template(app), 3)


def nightly() -> None:
    """The three datasets of a group on a schedule, with everything that tells of them."""
    app = App()
    stack = Stack(app, "Nightly")
    export = ScheduledDatasetGroupExport(
        stack,
        "Nightly",
        dataset_group="movies",
        dataset_types=TYPES,
        schedule=aws_scheduler.ScheduleExpression.cron(hour="3", minute="0", time_zone=TimeZone.EUROPE_BERLIN),
        time_window=aws_scheduler.TimeWindow.flexible(Duration.minutes(30)),
        schedule_group=aws_scheduler.ScheduleGroup(stack, "Group"),
        event_bus=aws_events.EventBus(stack, "Bus"),
    )
    export.on_failed("Failed")
    export.alarm_when_failed("Failing")
    export.alarm_when_silent("Silent", for_=Duration.hours(26))
    aws_cloudwatch.Dashboard(stack, "Dashboard", widgets=[export.widgets()])
    template = _template(app)
    for kind, number in {
        "AWS::Scheduler::Schedule": 3,
        "AWS::Events::Rule": 1,
        "AWS::CloudWatch::Alarm": 6,
        "Custom::PersonalizeDatasetExport": 0,
    }.items():
        if len(_of_type(template, kind)) != number:
            raise AssertionError(f"{len(_of_type(template, kind))} resources of type {kind} instead of {number}")
    (function,) = _of_type(template, "AWS::Lambda::Function")
    if function["Properties"].get("RecursiveLoop") != "Allow":
        raise AssertionError(f"the function may not call itself for hours: {function}")


def tables() -> None:
    """A table to query for each dataset of a group, a role that may, and the manifests that tables read."""
    app = App()
    stack = Stack(app, "Tables")
    exports = DatasetGroupExport(stack, "Shop", dataset_group="movies", dataset_types=TYPES)
    schema = {"type": "record", "name": "Any", "fields": [{"name": "ITEM_ID", "type": "string"}]}
    schemas = dict.fromkeys(TYPES, json.dumps(schema))
    made = ExportTable.for_group(stack, "Tables", exports=exports, schemas=schemas, database_name="movies")
    role = aws_iam.Role(stack, "Analyst", assumed_by=aws_iam.AccountRootPrincipal())
    for table in made.values():
        table.grant_query(role)
    template = _template(app)
    _expect_exports(template, 3)
    for kind, number in {"AWS::Glue::Database": 1, "AWS::Glue::Table": 12}.items():
        if len(_of_type(template, kind)) != number:
            raise AssertionError(f"{len(_of_type(template, kind))} resources of type {kind} instead of {number}")
    told = [export["Properties"].get("Manifest") for export in _of_type(template, "Custom::PersonalizeDatasetExport")]
    if None in told:
        raise AssertionError(f"an export that is queried has no manifest: {told}")


def own_key() -> None:
    """A bucket that is encrypted with a key of the user's, whose policy lets Personalize in."""
    app = App()
    stack = Stack(app, "Key")
    key = aws_kms.Key(stack, "Key", enable_key_rotation=True)
    bucket = aws_s3.Bucket(stack, "Bucket", encryption=aws_s3.BucketEncryption.KMS, encryption_key=key)
    destination = ExportDestination(stack, "Exports", bucket=bucket, encryption_key=key)
    DatasetExport(stack, "Interactions", dataset=f"{GROUP}/INTERACTIONS", destination=destination)
    template = _template(app)
    _expect_exports(template, 1)
    policies = json.dumps(_of_type(template, "AWS::KMS::Key"))
    if "personalize.amazonaws.com" not in policies:
        raise AssertionError(f"the key's policy does not let Personalize in: {policies}")


def cdk_nag() -> None:
    """The pack AwsSolutions finds what the user decides, and no wildcard where cdk-nag reads acknowledgements."""
    pack = importlib.import_module("cdk_nag").AwsSolutionsChecks  # not in every combination

    app = App()
    DatasetExport(Stack(app, "Nag"), "Interactions", dataset=f"{GROUP}/INTERACTIONS")
    if _reads_acknowledgements():
        app.synth()
        found = {violation.rule_name for violation in pack(app).validate_scope(app).violations}
        expected = DOCUMENTED
    else:  # it knows suppressions of its own only, which are the user's to write
        Aspects.of(app).add(pack())
        found = {text.partition(": ")[0] for text in _errors_in(Path(app.synth().directory))}
        wildcards = {id_ for id_ in found for known in WILDCARDS if known.fullmatch(id_)}
        if len(wildcards) != len(WILDCARDS):
            raise AssertionError(f"cdk-nag knows the wildcards by other ids: {sorted(found)}")
        expected = DOCUMENTED | wildcards
    if found != expected:
        raise AssertionError(f"found {sorted(found)} instead of {sorted(expected)}")


def _errors_in(assembly: Path) -> list[str]:
    """Return the errors of an assembly, from its files: with some aws-cdk-lib, jsii cannot hand them over."""
    artifacts = _read(assembly / "manifest.json")["artifacts"].values()
    metadata = [artifact.get("metadata", {}) for artifact in artifacts]
    # Newer releases keep the metadata of a stack in a file of its own.
    metadata += [_read(assembly / name) for artifact in artifacts if (name := artifact.get("additionalMetadataFile"))]
    entries = [entry for constructs in metadata for of_construct in constructs.values() for entry in of_construct]
    return [str(entry["data"]) for entry in entries if entry["type"] == "aws:cdk:error"]


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _reads_acknowledgements() -> bool:
    return int(version("cdk-nag").partition(".")[0]) >= 3  # a plug-in since, an aspect before


def _template(app: App) -> dict[str, Any]:
    (stack,) = app.synth().stacks
    template: dict[str, Any] = stack.template
    return template


def _of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [resource for resource in template["Resources"].values() if resource["Type"] == kind]


def _expect_exports(template: dict[str, Any], number: int) -> None:
    found = len(_of_type(template, "Custom::PersonalizeDatasetExport"))
    functions = len(_of_type(template, "AWS::Lambda::Function"))
    if (found, functions) != (number, 1):
        raise AssertionError(f"{found} exports and {functions} functions instead of {number} and 1")


def main() -> None:
    """Run every scenario; end with 1 when one fails."""
    scenarios = [readme_example, two_exports, group, nightly, tables, own_key]
    if "nag" in sys.argv[1:]:
        scenarios.append(cdk_nag)
    with tempfile.TemporaryDirectory() as home:
        tempfile.tempdir = home  # every synthesis writes into a folder of its own, and nobody reads it afterwards
        failed = [scenario.__name__ for scenario in scenarios if not _passes(scenario)]
    report = {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "scenarios": [scenario.__name__ for scenario in scenarios],
        "failed": failed,
    }
    print(json.dumps(report))  # noqa: T201 - for the matrix
    sys.exit(1 if failed else 0)


def _passes(scenario: Callable[[], None]) -> bool:
    try:
        scenario()
    except Exception:  # noqa: BLE001 - whatever it is, it is reported and the others still run
        traceback.print_exc()
        return False
    return True


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
