"""Manifests: permitted and asked for where somebody wants them, and nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnOutput, Environment, NestedStack, Stack, TimeZone, aws_iam, aws_kms, aws_s3
from aws_cdk.aws_scheduler import ScheduleExpression
from constructs import Construct

from cdk_personalize_export import (
    DatasetExport,
    DatasetGroupExport,
    ExportDestination,
    ExportProvider,
    ScheduledDatasetExport,
    ScheduledDatasetGroupExport,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.synth.conftest import Synthesise, Synthesised

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
SCHEDULE = "AWS::Scheduler::Schedule"
POLICY = "PersonalizeExportProviderPolicy"
BUCKET = "${DestinationBucket.Arn}"
OURS = [f"{BUCKET}/personalize/_manifests/*", f"{BUCKET}/personalize/hive/*"]
FOLDER = "Prod-5f5635-Export"
TYPES = ["ITEMS", "USERS"]

Export = DatasetExport | ScheduledDatasetExport


def nightly() -> ScheduleExpression:
    return ScheduleExpression.cron(hour="3", minute="0", time_zone=TimeZone.EUROPE_BERLIN)


def deployed(stack: Construct, destination: ExportDestination, construct_id: str = "Export") -> DatasetExport:
    return DatasetExport(stack, construct_id, dataset=DATASET, destination=destination)


def scheduled(stack: Construct, destination: ExportDestination, construct_id: str = "Export") -> ScheduledDatasetExport:
    return ScheduledDatasetExport(stack, construct_id, dataset=DATASET, destination=destination, schedule=nightly())


EITHER = pytest.mark.parametrize("make", [deployed, scheduled])


def folders(result: Synthesised) -> list[str | None]:
    """The folder of manifests each export is told, if any."""
    ticks = [json.loads(schedule["Target"]["Input"])["Export"] for schedule in result.of_type(SCHEDULE)]
    return [one.get("Manifest") for one in [*result.exports, *result.links, *ticks]]


def on_storage(result: Synthesised) -> list[dict[str, Any]]:
    """What the function may do in Amazon S3 and with keys."""
    return [s for s in result.statements(POLICY) if str(s["Action"]).startswith(("s3:", "kms:"))]


# -- where nobody wants them ------------------------------------------------------------------------------------------


@EITHER
def test_nothing_is_asked_for_or_permitted_where_nobody_wants_manifests(
    stack: Stack, synth: Synthesise, make: Callable[..., Export]
) -> None:
    destination = ExportDestination(stack, "Destination")
    export = make(stack, destination)
    before = synth(stack).template
    assert [export.manifests_path, export.latest_path, export.daily_path]  # to know a path turns nothing on
    result = synth(stack)
    assert result.template == before
    assert folders(result) == [None]
    assert on_storage(result) == []
    assert destination.manifest is False


# -- where somebody does ----------------------------------------------------------------------------------------------


@EITHER
def test_function_may_list_below_the_prefix_and_write_manifests_and_pointers(
    stack: Stack, synth: Synthesise, make: Callable[..., Export]
) -> None:
    make(stack, ExportDestination(stack, "Destination", manifest=True))
    result = synth(stack)
    assert folders(result) == [FOLDER]
    assert on_storage(result) == [
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": BUCKET,
            "Condition": {"StringLike": {"s3:prefix": "personalize/*"}},
        },
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": OURS},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": OURS[1]},
    ]


def test_root_of_a_bucket_has_its_own_folders(stack: Stack, synth: Synthesise) -> None:
    destination = ExportDestination(stack, "Destination", prefix="", manifest=True)
    assert deployed(stack, destination).manifests_path.endswith(f"/_manifests/{FOLDER}/")
    listing, put, get = on_storage(synth(stack))
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "*"}}
    assert put["Resource"] == [f"{BUCKET}/_manifests/*", f"{BUCKET}/hive/*"]
    assert get["Resource"] == f"{BUCKET}/hive/*"


def test_exports_that_share_a_destination_share_its_permissions(stack: Stack, synth: Synthesise) -> None:
    shared = ExportDestination(stack, "Destination", manifest=True)
    for name in ("A", "B"):
        deployed(stack, shared, name)
    once = on_storage(synth(stack))
    deployed(stack, ExportDestination(stack, "Other", prefix="b", manifest=True), "C")
    result = synth(stack)
    listing, *_ = on_storage(result)
    assert listing == once[0]
    second = [s for s in on_storage(result) if s["Action"] == "s3:ListBucket"][1]
    assert second["Resource"] == "${OtherBucket.Arn}"
    assert second["Condition"] == {"StringLike": {"s3:prefix": "b/*"}}
    assert result.allowed("s3:GetObject") == [OURS[1], "${OtherBucket.Arn}/b/hive/*"]


def test_manifest_path_is_an_attribute_and_asks_for_a_manifest(stack: Stack, synth: Synthesise) -> None:
    export = deployed(stack, ExportDestination(stack, "Destination"))
    CfnOutput(stack, "Manifest", value=export.manifest_path)
    CfnOutput(stack, "Again", value=export.manifest_path)
    result = synth(stack)
    assert folders(result) == [FOLDER]
    assert [s["Action"] for s in on_storage(result)] == ["s3:ListBucket", "s3:PutObject", "s3:GetObject"]
    values = [output["Value"]["Fn::GetAtt"][1] for output in result.template["Outputs"].values()]
    assert values == ["ManifestPath", "ManifestPath"]


def test_every_link_of_a_long_wait_is_told(stack: Stack, synth: Synthesise) -> None:
    from aws_cdk import Duration  # noqa: PLC0415 - of this test only

    destination = ExportDestination(stack, "Destination", manifest=True)
    DatasetExport(stack, "Export", dataset=DATASET, destination=destination, max_wait=Duration.hours(3))
    assert folders(synth(stack)) == [FOLDER] * 4


@pytest.mark.parametrize("schedule", [None, nightly()])
def test_exports_of_a_group_have_a_folder_each(
    stack: Stack, synth: Synthesise, schedule: ScheduleExpression | None
) -> None:
    destination = ExportDestination(stack, "Destination", manifest=True)
    named: dict[str, Any] = {"dataset_group": "movies", "dataset_types": TYPES, "destination": destination}
    group = (
        DatasetGroupExport(stack, "Group", **named)
        if schedule is None
        else ScheduledDatasetGroupExport(stack, "Group", schedule=schedule, **named)
    )
    told = folders(synth(stack))
    assert [folder and folder.rsplit("-", 1)[0] for folder in told] == [f"Prod-5f5635-Group-{t.title()}" for t in TYPES]
    paths = [export.latest_path for export in group.exports.values()]
    assert [path.split("/")[-3] for path in paths] == told


# -- names ------------------------------------------------------------------------------------------------------------


@EITHER
def test_paths_are_known_at_synthesis(stack: Stack, make: Callable[..., Export]) -> None:
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Lake", "data-lake")
    export = make(stack, ExportDestination(stack, "Destination", bucket=bucket, prefix="a/b"))
    assert export.manifests_path == f"s3://data-lake/a/b/_manifests/{FOLDER}/"
    assert export.latest_path == f"s3://data-lake/a/b/hive/{FOLDER}/latest/"
    assert export.daily_path == f"s3://data-lake/a/b/hive/{FOLDER}/daily/"


def test_exports_with_like_paths_never_share_a_folder(app: App, stack: Stack) -> None:
    destination = ExportDestination(stack, "Destination")
    outer = Construct(stack, "A")
    names = [
        deployed(outer, destination, "B"),
        deployed(stack, destination, "A-B"),
        deployed(stack, destination, "A.B"),
        deployed(stack, destination, "x" * 150),
        deployed(stack, destination, "x" * 151),
        deployed(NestedStack(stack, "Nested"), destination, "A-B"),
        deployed(Stack(app, "Other"), destination, "A-B"),
    ]
    paths = [export.manifests_path for export in names]
    assert len(set(paths)) == len(paths)
    segments = [path.split("/")[-2] for path in paths]
    assert segments[1] == "Prod-5f5635-A-B"
    assert segments[0].startswith("Prod-5f5635-A-B-")
    assert all(len(segment) <= 137 for segment in segments)
    assert all(
        set(segment) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for segment in segments
    )


# -- keys -------------------------------------------------------------------------------------------------------------


def key_statements(result: Synthesised, name: str = "Key") -> list[dict[str, Any]]:
    principal = "${PersonalizeExportProviderRole.Arn}"
    return [s for s in result.statements(name) if s["Principal"] == {"AWS": principal}]


@pytest.mark.parametrize("of_the_bucket", [False, True])
def test_key_and_function_both_allow_encryption(stack: Stack, synth: Synthesise, of_the_bucket: bool) -> None:  # noqa: FBT001
    key = aws_kms.Key(stack, "Key")
    destination = (
        ExportDestination(stack, "To", bucket=aws_s3.Bucket(stack, "Lake", encryption_key=key), manifest=True)
        if of_the_bucket
        else ExportDestination(stack, "To", encryption_key=key, manifest=True)
    )
    for name in ("A", "B"):
        deployed(stack, destination, name)
    result = synth(stack)
    assert {s["Action"]: s["Resource"] for s in on_storage(result) if s["Action"].startswith("kms:")} == {
        "kms:Decrypt": "${Key.Arn}",
        "kms:GenerateDataKey": "${Key.Arn}",
    }
    assert key_statements(result) == [
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": "*",
            "Principal": {"AWS": "${PersonalizeExportProviderRole.Arn}"},
        }
    ]


def test_key_of_another_stack_leaves_it_to_the_account(app: App, stack: Stack, synth: Synthesise) -> None:
    storage = Stack(app, "Storage")
    key = aws_kms.Key(storage, "Key")
    deployed(stack, ExportDestination(stack, "To", encryption_key=key, manifest=True))
    statements = synth(storage).statements("Key")
    assert statements[-1]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statements[-1]["Principal"] == {"AWS": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}


def test_key_that_cannot_be_changed_is_shown_once_for_each_function(stack: Stack, synth: Synthesise) -> None:
    key = aws_kms.Key.from_key_arn(stack, "Key", f"arn:aws:kms:us-east-1:123456789012:key/{'0' * 8}")
    destination = ExportDestination(stack, "To", encryption_key=key, manifest=True)
    deployed(stack, destination, "A")
    deployed(stack, destination, "B")
    provider = ExportProvider(stack, "Another")
    DatasetExport(stack, "C", dataset=DATASET, destination=destination, provider=provider)
    result = synth(stack)
    outputs = [name for name in result.template["Outputs"] if "ManifestKeyPolicy" in name]
    assert len(outputs) == 2
    assert sum("kms:Decrypt" in warning and "kms:CreateGrant" not in warning for warning in result.warnings) == 2


def test_permissions_in_place_are_not_shown(stack: Stack, synth: Synthesise) -> None:
    key = aws_kms.Key.from_key_arn(stack, "Key", f"arn:aws:kms:us-east-1:123456789012:key/{'0' * 8}")
    deployed(stack, ExportDestination(stack, "To", encryption_key=key, manifest=True, permissions_in_place=True))
    result = synth(stack)
    assert result.warnings == []
    assert "Outputs" not in result.template


def test_role_that_may_not_be_changed_is_told_what_manifests_need(stack: Stack, synth: Synthesise) -> None:
    role = aws_iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/f", mutable=False)
    destination = ExportDestination(stack, "Destination", manifest=True)
    provider = ExportProvider(stack, "Provider", role=role)
    DatasetExport(stack, "Export", dataset=DATASET, destination=destination, provider=provider)
    shown = json.dumps(synth(stack).template["Outputs"])
    for action in ("s3:ListBucket", "s3:PutObject", "s3:GetObject"):
        assert action in shown


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda stack, **options: DatasetExport(stack, "X", dataset=DATASET, **options),
        lambda stack, **options: DatasetGroupExport(stack, "X", dataset_group="movies", dataset_types=TYPES, **options),
    ],
)
def test_manifest_of_an_export_nobody_waits_for_is_refused(stack: Stack, make: Callable[..., Construct]) -> None:
    destination = ExportDestination(stack, "Destination", manifest=True)
    with pytest.raises(ValueError, match=r"a manifest is wanted together with wait=False.*Leave wait out"):
        make(stack, destination=destination, wait=False)
    assert stack.node.try_find_child("X") is None


def test_manifest_path_of_an_export_nobody_waits_for_is_refused(stack: Stack) -> None:
    export = DatasetExport(stack, "Export", dataset=DATASET, wait=False)
    with pytest.raises(ValueError, match="a manifest is wanted together with wait=False"):
        _ = export.manifest_path


def test_manifest_in_a_bucket_of_another_account_is_refused(app: App) -> None:
    stack = Stack(app, "Home", env=Environment(account="123456789012", region="us-east-1"))
    bucket = aws_s3.Bucket.from_bucket_attributes(stack, "Theirs", bucket_name="lake", account="210987654321")
    refused = "a manifest is wanted in bucket 'lake' of another account.*S3 Replication"
    with pytest.raises(ValueError, match=refused):
        ExportDestination(stack, "To", bucket=bucket, manifest=True)
    assert stack.node.try_find_child("To") is None
    export = deployed(stack, ExportDestination(stack, "To", bucket=bucket))
    with pytest.raises(ValueError, match=refused):
        _ = export.manifest_path


def test_manifest_that_is_no_flag_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match=r"manifest is 'yes'\. It must be True or False"):
        ExportDestination(stack, "To", manifest="yes")  # type: ignore[arg-type]
