"""Where and how stacks are synthesised: other synthesizers, other accounts, and as many exports as a stack holds."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from aws_cdk import App, CliCredentialsStackSynthesizer, DefaultStackSynthesizer, Environment, Stack, Stage
from aws_cdk.aws_iam import AddToResourcePolicyResult, PolicyStatement
from aws_cdk.aws_s3 import Bucket

from cdk_personalize_export import DatasetExport, ExportDestination

if TYPE_CHECKING:
    from tests.synth.conftest import Synthesise

EXPORT = "Custom::PersonalizeDatasetExport"
DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
RESOURCES_PER_STACK = 500  # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
TEMPLATE_BYTES = 1_000_000
MANAGED_POLICY_CHARACTERS, MANAGED_POLICIES_PER_ROLE = 6144, 10
LONGEST = {"${AWS::Partition}": "aws-cn", "${AWS::Region}": "ap-southeast-1", "${AWS::AccountId}": "1" * 12}
LONGEST_ARN = "x" * 140  # of a function (64 characters of name), a role or a log group


def test_synthesizer_makes_no_difference_to_the_resources(synth: Synthesise) -> None:
    """An app for each, because stacks of one app share its assets."""
    found = []
    for synthesizer in (None, DefaultStackSynthesizer(qualifier="team"), CliCredentialsStackSynthesizer()):
        stack = Stack(App(), "Prod", synthesizer=synthesizer)
        DatasetExport(stack, "Interactions", dataset=DATASET)
        resources = synth(stack).resources
        (function,) = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::Function"]
        code = function.pop("Code")
        assert set(code) == {"S3Bucket", "S3Key"}
        found.append(resources)
    assert found[0] == found[1] == found[2]


def test_stage_in_another_account_names_that_account_everywhere(app: App) -> None:
    for account in ("111111111111", "222222222222"):
        stage = Stage(app, f"Stage{account}", env=Environment(account=account, region="eu-west-1"))
        dataset = f"arn:aws:personalize:eu-west-1:{account}:dataset/movies/INTERACTIONS"
        DatasetExport(Stack(stage, "Exports"), "Interactions", dataset=dataset)
    assembly = app.synth()
    for account, other in (("111111111111", "222222222222"), ("222222222222", "111111111111")):
        (artifact,) = assembly.get_nested_assembly(f"assembly-Stage{account}").stacks
        text = json.dumps(artifact.template["Resources"])
        assert f":personalize:eu-west-1:{account}:dataset-export-job/" in text
        assert other not in text


def test_partition_that_is_known_is_spelled_out_in_arns_and_texts(synth: Synthesise) -> None:
    app = App(context={"@aws-cdk/core:enablePartitionLiterals": True})
    stack = Stack(app, "Prod", env=Environment(account="123456789012", region="cn-north-1"))
    bucket = Bucket.from_bucket_name(stack, "Bucket", "data-lake")
    destination = ExportDestination(stack, "Exports", bucket=bucket)
    dataset = "arn:aws-cn:personalize:cn-north-1:123456789012:dataset/movies/INTERACTIONS"
    DatasetExport(stack, "Interactions", dataset=dataset, destination=destination)
    result = synth(stack)
    assert '"Resource": "arn:aws-cn:s3:::data-lake"' in result.warnings[0]
    jobs = result.allowed("personalize:DescribeDatasetExportJob")
    assert jobs == ["arn:aws-cn:personalize:cn-north-1:123456789012:dataset-export-job/Prod-5f5635-*"]


def test_bucket_that_permits_by_itself_leaves_nothing_to_wait_for(stack: Stack, synth: Synthesise) -> None:
    class Permissive(Bucket):
        def add_to_resource_policy(self, permission: PolicyStatement) -> AddToResourcePolicyResult:  # noqa: ARG002
            return AddToResourcePolicyResult(statement_added=True)

    destination = ExportDestination(stack, "Exports", bucket=Permissive(stack, "Bucket"))
    DatasetExport(stack, "Interactions", dataset=DATASET, destination=destination)
    result = synth(stack)
    assert "AWS::S3::BucketPolicy" not in result.types
    assert result.depends_on(EXPORT) == ["ExportsRolePolicy", "PersonalizeExportProviderPolicy"]


def test_450_exports_fit_into_one_stack_and_their_permissions_into_one_role(app: App, synth: Synthesise) -> None:
    stack = Stack(app, "Prod")
    destination = ExportDestination(stack, "Exports")
    for number in range(450):
        dataset = f"arn:aws:personalize:us-east-1:123456789012:dataset/dataset-group-number-{number:03}/INTERACTIONS"
        DatasetExport(stack, f"Export{number}", dataset=dataset, destination=destination)

    result = synth(stack)

    assert len(result.resources) <= RESOURCES_PER_STACK
    assert len(json.dumps(result.template, separators=(",", ":")).encode()) <= TEMPLATE_BYTES
    documents = [policy["PolicyDocument"] for policy in result.of_type("AWS::IAM::ManagedPolicy")]
    function_documents = [text for text in documents if "personalize:" in json.dumps(text)]
    assert 1 < len(function_documents) <= MANAGED_POLICIES_PER_ROLE
    for document in documents:
        text = json.dumps(document, separators=(",", ":"))
        for reference, longest in LONGEST.items():
            text = text.replace(reference, longest)
        assert len(re.sub(r"\$\{[^}]*\}", LONGEST_ARN, text)) <= MANAGED_POLICY_CHARACTERS
    covered = {arn for document in function_documents for arn in _datasets(document)}
    assert len(covered) == 450


def _datasets(document: dict[str, list[dict[str, list[str]]]]) -> list[str]:
    arns = [s["Resource"] for s in document["Statement"] if "personalize:CreateDatasetExportJob" in s["Action"]]
    return [arn for found in arns for arn in found if ":dataset/" in arn]
