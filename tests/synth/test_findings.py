"""The two wildcards that cannot be avoided are acknowledged, by their full id and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aws_cdk
import pytest
from aws_cdk import App, CfnParameter, NestedStack, Stack, aws_iam, aws_s3, aws_sqs
from aws_cdk.aws_lambda import Tracing

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider
from cdk_personalize_export._findings import flat

if TYPE_CHECKING:
    from constructs import IConstruct

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
JOBS = "arn:<AWS::Partition>:personalize:<AWS::Region>:<AWS::AccountId>:dataset-export-job"

pytestmark = pytest.mark.skipif(
    not hasattr(getattr(aws_cdk, "Validations", None), "ACKNOWLEDGED_RULES_METADATA_KEY"),
    reason="this aws-cdk-lib cannot acknowledge",
)


def acknowledged(app: App) -> dict[str, list[str]]:
    """The acknowledged resources of IAM5, by the path of the construct that acknowledges."""
    app.synth(force=True)
    found: dict[str, list[str]] = {}
    for construct in app.node.find_all():
        for entry in metadata(construct):
            for key, reason in entry.items():
                rule, _, resource = key.partition("[Resource::")
                assert rule == "AwsSolutions-IAM5"
                assert resource.endswith("]")
                assert reason
                found.setdefault(construct.node.path, []).append(resource[:-1])
    return found


def metadata(construct: IConstruct) -> list[dict[str, Any]]:
    return [entry.data for entry in construct.node.metadata if entry.type == "aws:cdk:acknowledged-rules"]


def test_default_export_acknowledges_its_objects_and_its_jobs_on_the_policies_that_name_them(
    app: App, stack: Stack
) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET)
    assert acknowledged(app) == {
        "Prod/Interactions/Destination/RolePolicy": ["<InteractionsDestinationBucket7CDF5CD3.Arn>/personalize/*"],
        "Prod/PersonalizeExportProvider/Policy": [f"{JOBS}/Prod-5f5635-*"],
    }


def test_job_names_with_another_prefix_are_acknowledged_once_each(app: App, stack: Stack) -> None:
    destination = ExportDestination(stack, "Exports")
    for number, prefix in enumerate([None, "nightly", "nightly", None]):
        DatasetExport(stack, f"E{number}", dataset=DATASET, destination=destination, job_name_prefix=prefix)
    assert acknowledged(app)["Prod/PersonalizeExportProvider/Policy"] == [f"{JOBS}/Prod-5f5635-*", f"{JOBS}/nightly-*"]


def test_bucket_of_another_stack_is_named_as_the_policy_names_it(app: App) -> None:
    storage, exports = Stack(app, "Storage"), Stack(app, "Exports")
    ExportDestination(exports, "To", bucket=aws_s3.Bucket(storage, "Mine"))
    assert acknowledged(app) == {
        "Exports/To/RolePolicy": ["Storage:ExportsOutputFnGetAttMineC1B42D3AArnA3B66C0D/personalize/*"]
    }


def test_manifests_acknowledge_the_two_folders_they_write(app: App, stack: Stack) -> None:
    destination = ExportDestination(stack, "To", manifest=True)
    for name in ("A", "B"):
        DatasetExport(stack, name, dataset=DATASET, destination=destination)
    folders = [f"<ToBucketCB6C4AF4.Arn>/personalize/{folder}/*" for folder in ("_manifests", "hive")]
    assert acknowledged(app)["Prod/PersonalizeExportProvider/Policy"] == [f"{JOBS}/Prod-5f5635-*", *folders]


def test_manifests_in_a_bucket_of_another_stack_are_named_as_the_policy_names_them(app: App) -> None:
    storage, exports = Stack(app, "Storage"), Stack(app, "Exports")
    destination = ExportDestination(exports, "To", bucket=aws_s3.Bucket(storage, "Mine"), manifest=True)
    DatasetExport(exports, "A", dataset=DATASET, destination=destination)
    bucket = "Storage:ExportsOutputFnGetAttMineC1B42D3AArnA3B66C0D"
    found = acknowledged(app)["Exports/PersonalizeExportProvider/Policy"]
    assert found[1:] == [f"{bucket}/personalize/_manifests/*", f"{bucket}/personalize/hive/*"]


def test_imported_bucket_is_named_by_its_arn(app: App, stack: Stack) -> None:
    ExportDestination(stack, "To", bucket=aws_s3.Bucket.from_bucket_name(stack, "Theirs", "data-lake"), prefix="a")
    assert acknowledged(app) == {"Prod/To/RolePolicy": ["arn:<AWS::Partition>:s3:::data-lake/a/*"]}


def test_policy_in_an_imported_role_is_acknowledged_and_nothing_else_of_the_role(app: App, stack: Stack) -> None:
    role = aws_iam.Role.from_role_arn(stack, "Theirs", "arn:aws:iam::123456789012:role/exports")
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Lake", "data-lake")
    ExportDestination(stack, "To", bucket=bucket, role=role)
    assert acknowledged(app) == {"Prod/Theirs/Policy": ["arn:<AWS::Partition>:s3:::data-lake/personalize/*"]}


def test_prefix_known_only_at_deployment_is_named_by_its_parameter(app: App, stack: Stack) -> None:
    prefix = CfnParameter(stack, "Prefix").value_as_string
    DatasetExport(stack, "Interactions", dataset=DATASET, job_name_prefix=prefix)
    assert acknowledged(app)["Prod/PersonalizeExportProvider/Policy"] == [f"{JOBS}/<Prefix>-*"]


def test_nested_stack_names_what_its_own_policies_say(app: App, stack: Stack) -> None:
    DatasetExport(NestedStack(stack, "Nested"), "Inner", dataset=DATASET)
    found = acknowledged(app)
    assert found["Prod/Nested/PersonalizeExportProvider/Policy"] == [f"{JOBS}/Prod-Nested-5f31b9-*"]


def test_prefix_with_a_bracket_is_acknowledged_as_any_other(app: App, stack: Stack) -> None:
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Theirs", "data-lake")
    ExportDestination(stack, "To", bucket=bucket, prefix="a(b")
    assert acknowledged(app) == {"Prod/To/RolePolicy": ["arn:<AWS::Partition>:s3:::data-lake/a(b/*"]}


def test_aws_cdk_lib_that_cannot_acknowledge_is_no_obstacle(
    app: App, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(aws_cdk, "Validations")
    DatasetExport(stack, "Interactions", dataset=DATASET)
    assert acknowledged(app) == {}


def test_actions_aws_allows_only_on_everything_are_acknowledged_where_an_option_needs_them(
    app: App, stack: Stack
) -> None:
    ExportProvider(stack, "Traced", tracing=Tracing.ACTIVE)
    ExportProvider(stack, "Queued", dead_letter_queue=aws_sqs.Queue(stack, "Queue"))
    assert acknowledged(app) == {"Prod/Traced/LambdaPolicy": ["*"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a${B}c", "a<B>c"),
        ({"Ref": "A"}, "<A>"),
        ({"Fn::GetAtt": ["A", "Arn"]}, "<A.Arn>"),
        ({"Fn::ImportValue": "Other:Export"}, "Other:Export"),
        ({"Fn::Join": ["/", ["a", {"Ref": "B"}, "*"]]}, "a/<B>/*"),
        ({"Fn::Select": [0, ["a"]]}, '{"Fn::Select":[0,["a"]]}'),
    ],
)
def test_functions_of_cloudformation_are_written_as_cdk_nag_does(value: Any, text: str) -> None:
    assert flat(value) == text
