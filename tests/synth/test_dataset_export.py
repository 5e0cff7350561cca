"""What one export synthesises, and what its options change."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsii
import pytest
from aws_cdk import App, CfnOutput, CfnParameter, Duration, Stack, Token, aws_iam
from aws_cdk.aws_personalize import CfnDataset
from constructs import Construct

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider, IngestionMode
from tests.synth.conftest import before, name_of

if TYPE_CHECKING:
    from tests.synth.conftest import Synthesise

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
ITEMS = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/ITEMS"
JOBS = "arn:${AWS::Partition}:personalize:${AWS::Region}:${AWS::AccountId}:dataset-export-job"
SNAPSHOT = Path(__file__).with_name("snapshots") / "one_export.json"


def test_export_without_options_makes_these_nine_resources_and_no_other(stack: Stack, synth: Synthesise) -> None:
    """The whole template; UPDATE_SNAPSHOTS=1 writes it anew after an intended change."""
    DatasetExport(stack, "Interactions", dataset=DATASET)
    resources = synth(stack).resources
    for resource in resources.values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Code"] = "the handler"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(resources, indent=2) + "\n")
    assert len(resources) == 9
    assert resources == json.loads(SNAPSHOT.read_text())


def test_logical_ids_are_pinned_because_they_are_part_of_the_api(stack: Stack, synth: Synthesise) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET, max_wait=Duration.hours(2))
    assert {key for key, r in synth(stack).resources.items() if r["Type"].startswith("Custom::")} == {
        "InteractionsResourcec71ffc61E685B6FA",
        "InteractionsLink2c71ffc612FE7D9D4",
        "InteractionsLink3c71ffc61D1CC0250",
    }


def test_further_export_sharing_the_destination_is_one_resource(stack: Stack, synth: Synthesise) -> None:
    first = DatasetExport(stack, "Interactions", dataset=DATASET)
    DatasetExport(stack, "Items", dataset=ITEMS, destination=first.destination)
    result = synth(stack)
    assert len(result.resources) == 10
    assert len(result.exports) == 2


def test_further_export_without_a_destination_makes_its_own_and_shares_the_function(
    stack: Stack, synth: Synthesise
) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET)
    DatasetExport(stack, "Items", dataset=ITEMS)
    result = synth(stack)
    assert len(result.resources) == 14
    assert len(result.of_type("AWS::Lambda::Function")) == 1


def test_export_waits_for_every_permission_and_is_deleted_before_them(stack: Stack, synth: Synthesise) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET)
    result = synth(stack)
    assert result.depends_on("Custom::PersonalizeDatasetExport") == ["PersonalizeExportProviderPolicy"]
    (policy,) = [key for key in result.resources if key.startswith("PersonalizeExportProviderPolicy")]
    assert [name_of(logical_id) for logical_id in before(result.resources[policy])] == [
        "InteractionsDestinationBucketPolicy",
        "InteractionsDestinationRolePolicy",
    ]


def test_every_option_becomes_a_property(stack: Stack, synth: Synthesise) -> None:
    DatasetExport(
        stack,
        "Interactions",
        dataset=DATASET,
        ingestion_mode="BULK",
        generation="2026-01-02",
        job_name_prefix="nightly",
        max_wait=Duration.minutes(10),
        tags={"team": "data", "cost": "7"},
    )
    assert synth(stack).export == {
        "ServiceToken": "${PersonalizeExportProviderFunction.Arn}",
        "ServiceTimeout": "840",
        "ExportId": "Interactions",
        "JobNamePrefix": "nightly",
        "DatasetArn": DATASET,
        "IngestionMode": "BULK",
        "RoleArn": "${InteractionsDestinationRole.Arn}",
        "Bucket": "${InteractionsDestinationBucket}",
        "Prefix": "personalize/",
        "PolicyArn": "${PersonalizeExportProviderPolicy}",
        "Generation": "2026-01-02",
        "Tags": [{"Key": "cost", "Value": "7"}, {"Key": "team", "Value": "data"}],
        "MaxWaitSeconds": "600",
    }


def test_wait_false_answers_when_the_job_is_accepted(stack: Stack, synth: Synthesise) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET, wait=False)
    assert synth(stack).export["Wait"] == "false"


@pytest.mark.parametrize("mode", list(IngestionMode))
def test_every_ingestion_mode_is_passed_on(stack: Stack, synth: Synthesise, mode: IngestionMode) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET, ingestion_mode=mode)
    assert synth(stack).export["IngestionMode"] == mode.value


@pytest.mark.parametrize(
    ("max_wait", "waits"),
    [
        (None, [(3360, 3600)]),
        (Duration.minutes(1), [(60, 300)]),
        (Duration.minutes(56), [(3360, 3600)]),
        (Duration.hours(1), [(3360, 3600)]),
        (Duration.seconds(3601), [(3360, 3600), (241, 481)]),
        (Duration.hours(2), [(3360, 3600), (3360, 3600), (480, 720)]),
        (Duration.hours(12), [*[(3360, 3600)] * 12, (2880, 3120)]),
    ],
)
def test_waiting_time_is_split_over_links_cloudformation_can_wait_for(
    stack: Stack, synth: Synthesise, max_wait: Duration | None, waits: list[tuple[int, int]]
) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET, max_wait=max_wait)
    result = synth(stack)
    resources = [result.export, *result.links]
    # The hour is not written down: CloudFormation and the function take it anyway.
    assert [(int(r.get("MaxWaitSeconds", 3360)), int(r.get("ServiceTimeout", 3600))) for r in resources] == waits
    assert ["MoreLinks" in r for r in resources] == [True] * (len(waits) - 1) + [False]
    assert {r["MoreLinks"] for r in resources[:-1]} <= {"true"}


def test_a_link_is_the_same_export_after_the_one_before(stack: Stack, synth: Synthesise) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET, max_wait=Duration.hours(2))
    result = synth(stack)
    waiting = ("ServiceTimeout", "MaxWaitSeconds", "MoreLinks", "LinkNumber")
    shared = {name: value for name, value in result.export.items() if name not in waiting}
    assert result.links == [
        {**shared, "ServiceTimeout": "3600", "MaxWaitSeconds": "3360", "MoreLinks": "true", "LinkNumber": "2"},
        {**shared, "ServiceTimeout": "720", "MaxWaitSeconds": "480", "LinkNumber": "3"},
    ]


@pytest.mark.parametrize(("hours", "resource"), [(1, "Interactions"), (2, "InteractionsLink3")])
def test_attributes_are_every_field_of_the_job_and_come_from_the_last_link(
    stack: Stack, synth: Synthesise, hours: int, resource: str
) -> None:
    export = DatasetExport(stack, "Interactions", dataset=DATASET, max_wait=Duration.hours(hours))
    attributes = {
        "JobName": export.job_name,
        "DatasetExportJobArn": export.job_arn,
        "DatasetArn": export.dataset_arn,
        "IngestionMode": export.ingestion_mode,
        "RoleArn": export.role_arn,
        "OutputPath": export.output_path,
        "KmsKeyArn": export.kms_key_arn,
        "Status": export.status,
        "CreationDateTime": export.creation_time,
        "LastUpdatedDateTime": export.last_updated_time,
        "FailureReason": export.failure_reason,
    }
    CfnOutput(stack, "All", value=stack.to_json_string(attributes))
    text = json.dumps(synth(stack).template["Outputs"]["All"]["Value"])
    for name in attributes:
        logical_id = json.loads(f'["{resource}"]')[0]
        assert f'"{name}"]' in text
        assert f'["{logical_id}' in text


def test_default_job_name_begins_with_stack_and_construct(app: App, synth: Synthesise) -> None:
    stack = Stack(app, "Recommendations-For-The-Shop-In-Production")
    DatasetExport(stack, "Interactions of every user", dataset=DATASET)
    result = synth(stack)
    assert result.export["JobNamePrefix"] == "Recommendations-Fo-d2e47b-Interactions-of-eve"
    assert result.allowed("personalize:DescribeDatasetExportJob") == [f"{JOBS}/Recommendations-Fo-d2e47b-*"]


def test_function_may_do_exactly_this(stack: Stack, synth: Synthesise) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET)
    assert synth(stack).statements("PersonalizeExportProviderPolicy") == [
        {
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": "${PersonalizeExportProviderFunction.Arn}",
        },
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "${PersonalizeExportProviderLogs.Arn}",
        },
        {"Effect": "Allow", "Action": "cloudformation:DescribeStackResource", "Resource": "${AWS::StackId}"},
        {
            "Effect": "Allow",
            "Action": "personalize:CreateDatasetExportJob",
            "Resource": [DATASET, f"{JOBS}/Prod-5f5635-*"],
        },
        {"Effect": "Allow", "Action": "personalize:DescribeDatasetExportJob", "Resource": f"{JOBS}/Prod-5f5635-*"},
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": "${InteractionsDestinationRole.Arn}",
            "Condition": {"StringEquals": {"iam:PassedToService": "personalize.amazonaws.com"}},
        },
    ]


def test_function_may_tag_only_jobs_that_have_tags(stack: Stack, synth: Synthesise) -> None:
    first = DatasetExport(stack, "Interactions", dataset=DATASET, tags={"a": "b"}, job_name_prefix="tagged")
    DatasetExport(stack, "Items", dataset=ITEMS, destination=first.destination)
    result = synth(stack)
    assert result.allowed("personalize:TagResource") == [f"{JOBS}/tagged-*"]
    assert result.allowed("personalize:DescribeDatasetExportJob") == [f"{JOBS}/tagged-*", f"{JOBS}/Prod-5f5635-*"]


def test_function_may_tag_also_when_a_later_export_is_the_first_with_tags(stack: Stack, synth: Synthesise) -> None:
    first = DatasetExport(stack, "Interactions", dataset=DATASET)
    DatasetExport(stack, "Items", dataset=ITEMS, destination=first.destination, tags={"a": "b"})
    assert synth(stack).allowed("personalize:TagResource") == [f"{JOBS}/Prod-5f5635-*"]


def test_equal_permissions_are_written_once(stack: Stack, synth: Synthesise) -> None:
    destination = ExportDestination(stack, "Exports")
    for mode in IngestionMode:
        DatasetExport(stack, mode.value, dataset=DATASET, ingestion_mode=mode, destination=destination)
    result = synth(stack)
    assert result.allowed("personalize:CreateDatasetExportJob") == [DATASET, f"{JOBS}/Prod-5f5635-*"]
    assert result.allowed("iam:PassRole") == ["${ExportsRole.Arn}"]


def test_l1_dataset_is_named_by_its_arn_not_by_its_ref(stack: Stack, synth: Synthesise) -> None:
    dataset = CfnDataset(
        stack, "Dataset", dataset_group_arn="group", dataset_type="Interactions", name="clicks", schema_arn="schema"
    )
    DatasetExport(stack, "Interactions", dataset=dataset)
    result = synth(stack)
    assert result.export["DatasetArn"] == "${Dataset.DatasetArn}"
    assert result.allowed("personalize:CreateDatasetExportJob")[0] == "${Dataset.DatasetArn}"


def test_construct_around_an_l1_dataset_is_named_by_the_arn_too(stack: Stack, synth: Synthesise) -> None:
    wrapper = Construct(stack, "Wrapper")
    CfnDataset(wrapper, "Resource", dataset_group_arn="group", dataset_type="Items", name="films", schema_arn="schema")
    DatasetExport(stack, "Items", dataset=wrapper)  # type: ignore[arg-type]
    assert synth(stack).export["DatasetArn"] == "${Wrapper.DatasetArn}"


def test_reference_to_a_dataset_elsewhere_is_named_by_its_arn(stack: Stack, synth: Synthesise) -> None:
    personalize = pytest.importorskip("aws_cdk.interfaces.aws_personalize")

    @jsii.implements(personalize.IDatasetRef)
    class Elsewhere(Construct):
        @property
        def dataset_ref(self) -> Any:
            return personalize.DatasetReference(dataset_arn=ITEMS)

    DatasetExport(stack, "Items", dataset=Elsewhere(stack, "Elsewhere"))  # type: ignore[arg-type]
    assert synth(stack).export["DatasetArn"] == ITEMS


def test_values_known_only_at_deployment_pass_every_check(stack: Stack, synth: Synthesise) -> None:
    unknown = CfnParameter(stack, "Unknown").value_as_string
    DatasetExport(
        stack,
        "Interactions",
        dataset=unknown,
        generation=unknown * 30,
        job_name_prefix=unknown * 3,
        tags={unknown * 10: unknown * 20},
        destination=ExportDestination(stack, "Exports", prefix=unknown * 10),
    )
    result = synth(stack)
    assert result.export["DatasetArn"] == "${Unknown}"
    assert result.export["Bucket"] == "${ExportsBucket}"
    assert result.export["Prefix"] == "${Unknown}" * 10 + "/"
    assert result.allowed("personalize:DescribeDatasetExportJob") == [JOBS + "/" + "${Unknown}" * 3 + "-*"]


def test_provider_given_is_used_and_no_other_is_made(stack: Stack, synth: Synthesise) -> None:
    provider = ExportProvider(stack, "Mine")
    DatasetExport(stack, "Interactions", dataset=DATASET, provider=provider)
    result = synth(stack)
    assert len(result.resources) == 9
    assert result.export["ServiceToken"] == "${MineFunction.Arn}"


def test_reader_may_read_what_is_below_the_prefix_and_nothing_else(stack: Stack, synth: Synthesise) -> None:
    reader = aws_iam.Role(stack, "Reader", assumed_by=aws_iam.AccountRootPrincipal())
    DatasetExport(stack, "Interactions", dataset=DATASET).grant_read(reader).assert_success()
    assert synth(stack).statements("ReaderDefaultPolicy") == [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject*", "s3:GetBucket*", "s3:List*"],
            "Resource": [
                "${InteractionsDestinationBucket.Arn}",
                "${InteractionsDestinationBucket.Arn}/personalize/*",
            ],
        }
    ]


def test_attributes_are_tokens_made_once(stack: Stack) -> None:
    export = DatasetExport(stack, "Interactions", dataset=DATASET)
    assert Token.is_unresolved(export.job_arn)
    assert export.job_arn is export.job_arn


def test_runtime_is_the_newest_tested_one_whatever_the_cdk_knows(stack: Stack, synth: Synthesise) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET)
    assert synth(stack).the("AWS::Lambda::Function")["Runtime"] == "python3.14"
