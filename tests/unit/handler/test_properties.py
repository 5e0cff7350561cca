"""Properties are checked strictly, and what shapes an export makes its identity."""

import re
from typing import Any

import pytest

from cdk_personalize_export.handler.properties import Export, MalformedError, read_export, require_home
from tests.unit.handler.world import event


def export(name: str = "create", **properties: Any) -> Export:
    found = event(name, "https://host/answer", **properties)
    return read_export(found["StackId"], found["ResourceProperties"])


def test_missing_optional_properties_have_defaults_and_unknown_ones_are_ignored() -> None:
    found = export("minimal", Unheard="of")
    assert (found.ingestion_mode, found.kms_key_arn, found.tags, found.wait, found.more_links) == (
        "ALL",
        "",
        [],
        True,
        False,
    )


def test_role_tags_and_waiting_times_leave_the_identity_alone() -> None:
    other = export(RoleArn="arn:aws:iam::123456789012:role/new", Tags=[{"Key": "a", "Value": "b"}], MaxWaitSeconds="60")
    assert other.physical_id == export().physical_id == "Shop-Interactions-i6ny2thb662y"


@pytest.mark.parametrize(
    "change",
    [
        {"DatasetArn": "arn:aws:personalize:us-east-1:123456789012:dataset/shop/ITEMS"},
        {"IngestionMode": "PUT"},
        {"Bucket": "other"},
        {"Prefix": "other/"},
        {"KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k"},
        {"Generation": "2"},
        {"JobNamePrefix": "Other"},
        {"ExportId": "Shop/Other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_shapes_the_export_changes_its_identity(change: dict[str, str]) -> None:
    assert export(**change).physical_id != export().physical_id


@pytest.mark.parametrize(
    ("property_name", "value", "text"),
    [
        (
            "JobNamePrefix",
            "-x",
            "JobNamePrefix is '-x'. Allowed: 1 to 45 of a-z A-Z 0-9 _ -, not - or _ first. Fix: set job_name_prefix.",
        ),
        ("JobNamePrefix", "x" * 46, f"JobNamePrefix is '{'x' * 46}'. Allowed: 1 to 45"),
        ("JobNamePrefix", None, "JobNamePrefix is ''."),
        (
            "ExportId",
            None,
            "ExportId is ''. Allowed: the id of the export within its stack. Fix: pass the path of the construct.",
        ),
        ("DatasetArn", None, "DatasetArn is ''. Allowed: the ARN of a dataset. Fix: pass its attr_dataset_arn."),
        ("DatasetArn", "shop/ITEMS", "DatasetArn is 'shop/ITEMS'."),
        ("IngestionMode", "SOME", "IngestionMode is 'SOME'. Allowed: ALL, PUT, BULK. Fix: use an IngestionMode."),
        (
            "RoleArn",
            None,
            "RoleArn is ''. Allowed: the ARN of the role Personalize writes with. Fix: pass a destination with a role.",
        ),
        ("Bucket", None, "Bucket is ''. Allowed: the name of a bucket. Fix: pass an ExportDestination."),
        ("Bucket", "exports/shop", "Bucket is 'exports/shop'."),
        (
            "Prefix",
            "shop",
            "Prefix is 'shop'. Allowed: nothing, or what ends with /. Fix: pass an ExportDestination.",
        ),
        (
            "Bucket",
            "b" * 245,
            (
                f"s3://{'b' * 245}/shop/ has 256 characters. Allowed: 220, as the job name is added and Personalize "
                "takes 256. Fix: shorten Prefix."
            ),
        ),
        ("MaxWaitSeconds", "0", "MaxWaitSeconds is '0'. Allowed: whole seconds, 1 or more. Fix: set max_wait."),
        ("MaxWaitSeconds", "soon", "MaxWaitSeconds is 'soon'."),
        ("LinkNumber", "0", "LinkNumber is '0'. Allowed: a number from 1 to 999. Fix: leave it to the construct."),
        ("Wait", "maybe", "Wait is 'maybe'. Allowed: true, false. Fix: set wait to True or False."),
        ("MoreLinks", "1", "MoreLinks is '1'. Allowed: true, false. Fix: leave it to the construct."),
        ("Manifest", "a/b", "Manifest is 'a/b'. Allowed: a-z A-Z 0-9 _ -. Fix: leave it to the construct."),
        ("Tags", [{"Name": "a"}], 'Tags is no list of {"Key", "Value"}. Allowed: such a list. Fix: set tags.'),
        ("Tags", 7, "Tags is no list of"),
    ],
)
def test_a_property_that_can_not_work_is_named_with_what_is_allowed(property_name: str, value: Any, text: str) -> None:
    with pytest.raises(MalformedError, match=f"^{re.escape(text)}"):
        export(**{property_name: value})


def test_the_longest_names_still_fit_the_output_path() -> None:
    bucket = "b" * (237 - 45 - 6)
    found = export(JobNamePrefix="p" * 45, Bucket=bucket, Prefix=None)
    assert len(found.output_path(f"{found.physical_id}-9999")) == 256
    with pytest.raises(MalformedError, match=r"s3://bb+/ has 193 characters\. Allowed: 192"):
        export(JobNamePrefix="p" * 45, Bucket=bucket + "b", Prefix=None)


@pytest.mark.parametrize(("number", "later"), [(None, False), ("1", False), ("2", True), ("12", True)])
def test_a_link_knows_whether_it_is_the_first(number: str | None, later: bool) -> None:  # noqa: FBT001
    assert export(LinkNumber=number).later_link is later


@pytest.mark.parametrize("home", [("123456789012", "us-east-2"), ("210987654321", "us-east-1")])
def test_a_dataset_of_elsewhere_is_refused(home: tuple[str, str]) -> None:
    account, region = home
    dataset = "arn:aws:personalize:us-east-1:123456789012:dataset/shop/INTERACTIONS"
    with pytest.raises(MalformedError) as raised:
        require_home(dataset, account, region)
    assert str(raised.value) == (
        f"DatasetArn is '{dataset}', of account 123456789012 in us-east-1. Allowed: a dataset of account {account} in "
        f"{region}, where this function is. Fix: deploy the stack where the dataset is."
    )
    require_home(dataset, "123456789012", "us-east-1")


def test_an_export_is_the_same_whatever_the_logical_id_of_its_resource() -> None:
    found = event("create", "https://host/answer")
    assert "LogicalResourceId" not in found["ResourceProperties"]
    other_stack = read_export("arn:other", found["ResourceProperties"]).physical_id
    assert export().physical_id == "Shop-Interactions-i6ny2thb662y" != other_stack


def test_an_export_of_a_deployment_is_tried_once_beside_any_other_and_without_a_manifest() -> None:
    found = export()
    assert (found.retry_attempts, found.siblings, found.manifest, found.more_links) == (0, "", "", False)
    assert export(MoreLinks="true").more_links is True
    assert export(Generation="7").about["generation"] == "7"
    bare = Export(*found[:10])
    assert (bare.about, bare.manifest, bare.siblings, bare.retry_attempts) == ({}, "", "", 0)
