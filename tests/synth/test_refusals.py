"""Wrong input is refused at synthesis, with what was given, what is allowed and how to fix it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Environment, Stack, aws_iam, aws_kms, aws_s3
from aws_cdk.aws_personalize import CfnDataset

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider

if TYPE_CHECKING:
    from collections.abc import Callable

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
FORM = "arn:<partition>:personalize:<region>:<account>:dataset/<dataset group>/<INTERACTIONS|ITEMS|USERS>"


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        make()
    return str(refused.value)


def export_refusal(stack: Stack, **options: Any) -> str:
    message = refusal(lambda: DatasetExport(stack, "Interactions", **{"dataset": DATASET, **options}))
    assert stack.node.children == [], "a refused export leaves nothing behind"
    return message


def destination_refusal(stack: Stack, **options: Any) -> str:
    return refusal(lambda: ExportDestination(stack, "Exports", **options))


@pytest.mark.parametrize(
    "arn",
    [
        "movies",
        "",
        "arn:aws:personalize:us-east-1:123456789012:dataset-group/movies",
        "arn:aws:personalize:us-east-1:123456789012:dataset/movies",
        "arn:aws:personalize:us-east-1:123456789012:dataset/movies/interactions",
        "arn:aws:personalize:us-east-1:123456789012:dataset/movies/REVIEWS",
        "arn:aws:personalize:us-east-1:12345:dataset/movies/INTERACTIONS",
        "arn:aws:personalize::123456789012:dataset/movies/INTERACTIONS",
        "arn:aws:s3:us-east-1:123456789012:dataset/movies/INTERACTIONS",
        DATASET + "\n",
        f"arn:aws:personalize:us-east-1:123456789012:dataset/{'m' * 200}/INTERACTIONS",
    ],
)
def test_text_that_is_no_dataset_arn(stack: Stack, arn: str) -> None:
    assert export_refusal(stack, dataset=arn) == (
        f"dataset {arn!r} is not the ARN of a dataset. It must read {FORM}, with at most 256 characters; `aws "
        "personalize list-datasets` prints it."
    )


@pytest.mark.parametrize("kind", ["ACTIONS", "ACTION_INTERACTIONS"])
def test_dataset_of_a_type_personalize_does_not_export(stack: Stack, kind: str) -> None:
    arn = f"arn:aws:personalize:us-east-1:123456789012:dataset/movies/{kind}"
    assert export_refusal(stack, dataset=arn) == (
        f"dataset {arn!r} is of type {kind}, which Amazon Personalize cannot export. Only INTERACTIONS, ITEMS, USERS "
        "datasets can be exported: remove this export."
    )


def test_type_is_checked_also_when_the_rest_is_only_known_at_deployment(stack: Stack) -> None:
    arn = f"arn:{stack.partition}:personalize:{stack.region}:{stack.account}:dataset/movies/ACTIONS"
    assert "is of type ACTIONS, which Amazon Personalize cannot export." in export_refusal(stack, dataset=arn)


@pytest.mark.parametrize("kind", ["Actions", "Action_Interactions"])
def test_l1_dataset_of_a_type_personalize_does_not_export(stack: Stack, kind: str) -> None:
    dataset = CfnDataset(
        Stack(stack, "Datasets"), "D", dataset_group_arn="g", dataset_type=kind, name="clicks", schema_arn="s"
    )
    assert refusal(lambda: DatasetExport(stack, "Export", dataset=dataset)) == (
        f"dataset 'clicks' is of type {kind.upper()}, which Amazon Personalize cannot export. Only INTERACTIONS, "
        "ITEMS, USERS datasets can be exported: remove this export."
    )


def test_something_that_is_no_dataset(stack: Stack) -> None:
    assert export_refusal(stack, dataset=42) == (
        "dataset is of type int. It must be a CfnDataset, a reference to one, or the ARN of a dataset as a string."
    )


@pytest.mark.parametrize(
    ("arn", "what", "has", "expected"),
    [
        ("arn:aws:personalize:eu-west-1:123456789012:dataset/m/ITEMS", "Region", "eu-west-1", "us-east-1"),
        ("arn:aws:personalize:us-east-1:210987654321:dataset/m/ITEMS", "account", "210987654321", "123456789012"),
    ],
)
def test_dataset_somewhere_else_than_its_stack(app: App, arn: str, what: str, has: str, expected: str) -> None:
    stack = Stack(app, "Prod", env=Environment(account="123456789012", region="us-east-1"))
    account, region = arn.split(":")[4], arn.split(":")[3]
    assert export_refusal(stack, dataset=arn) == (
        f"dataset {arn!r} is in {what} {has}, but stack 'Prod' deploys to {what} {expected}. An export job runs where "
        f"its dataset is: put the export in a stack with env=Environment(account={account!r}, region={region!r})."
    )


def test_dataset_of_another_partition() -> None:
    app = App(context={"@aws-cdk/core:enablePartitionLiterals": True})
    stack = Stack(app, "Prod", env=Environment(account="123456789012", region="us-east-1"))
    arn = "arn:aws-cn:personalize:us-east-1:123456789012:dataset/m/ITEMS"
    assert "is in partition aws-cn, but stack 'Prod' deploys to partition aws." in export_refusal(stack, dataset=arn)


def test_stack_without_a_known_region_accepts_every_region(stack: Stack) -> None:
    DatasetExport(stack, "Export", dataset="arn:aws:personalize:eu-west-1:123456789012:dataset/m/ITEMS")


@pytest.mark.parametrize(
    ("what", "make"), [("ExportDestination", ExportDestination), ("ExportProvider", ExportProvider)]
)
def test_shared_construct_of_another_region(app: App, what: str, make: Any) -> None:
    there = Stack(app, "There", env=Environment(account="123456789012", region="eu-west-1"))
    here = Stack(app, "Here", env=Environment(account="123456789012", region="us-east-1"))
    option = {"ExportDestination": "destination", "ExportProvider": "provider"}[what]
    assert export_refusal(here, **{option: make(there, "Shared")}) == (
        f"{what} 'There' is in Region eu-west-1, but stack 'Here' deploys to Region us-east-1. An export job needs "
        f"both in the Region of its dataset: make one {what} per Region."
    )


def test_bucket_of_another_region(app: App) -> None:
    stack = Stack(app, "Here", env=Environment(account="123456789012", region="us-east-1"))
    bucket = aws_s3.Bucket.from_bucket_attributes(stack, "B", bucket_name="data-lake", region="eu-west-1")
    assert destination_refusal(stack, bucket=bucket) == (
        "bucket 'data-lake' is in Region eu-west-1, but stack 'Here' deploys to Region us-east-1. An export job needs "
        "both in the Region of its dataset: make one bucket per Region."
    )


def test_unknown_ingestion_mode(stack: Stack) -> None:
    assert export_refusal(stack, ingestion_mode="EVERYTHING") == (
        "ingestion_mode 'EVERYTHING' is unknown. Allowed are ALL, PUT, BULK; leave it out for ALL, which exports "
        "everything."
    )


@pytest.mark.parametrize("prefix", ["", "-a", "_a", "a b", "a/b", "a" * 46, "ä"])
def test_job_name_prefix_that_makes_no_job_name(stack: Stack, prefix: str) -> None:
    assert export_refusal(stack, job_name_prefix=prefix) == (
        f"job_name_prefix {prefix!r} has {len(prefix)} characters. Allowed are 1 to 45 letters, digits, hyphens and "
        "underscores, the first a letter or digit: a job name has at most 63 characters, which are this prefix, a "
        "hyphen, 12 that identify the export, a hyphen and up to 4 that number the attempt."
    )


def test_longest_job_name_prefix_is_accepted(stack: Stack) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET, job_name_prefix="a" * 45)


def test_generation_that_is_no_text(stack: Stack) -> None:
    assert export_refusal(stack, generation=3) == ("generation 3 is of type int. It must be a string: write '3'.")


def test_generation_that_is_too_long(stack: Stack) -> None:
    assert export_refusal(stack, generation="g" * 257) == (
        "generation has 257 characters. Allowed are at most 256: use a date, a counter or a commit id."
    )


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({f"k{n}": "" for n in range(51)}, "tags has 51 entries. Allowed are at most 50: remove some."),
        ({"AWS:x": "y"}, "tag key 'AWS:x' starts with 'aws:', which is reserved for AWS: choose another key."),
        ({"": "y"}, "tag key '' has 0 characters. Allowed are 1 to 128."),
        ({"k" * 129: "y"}, f"tag key '{'k' * 129}' has 129 characters. Allowed are 1 to 128."),
        ({"k": "v" * 257}, "the value of tag 'k' has 257 characters. Allowed are at most 256."),
    ],
)
def test_tags_the_service_would_refuse(stack: Stack, tags: dict[str, str], message: str) -> None:
    assert export_refusal(stack, tags=tags) == message


@pytest.mark.parametrize(("max_wait", "given"), [(Duration.seconds(59), "59"), (Duration.seconds(43201), "43201")])
def test_max_wait_nobody_can_keep(stack: Stack, max_wait: Duration, given: str) -> None:
    assert export_refusal(stack, max_wait=max_wait) == (
        f"max_wait is {given} seconds. Allowed are 1 minute to 12 hours; for longer jobs use wait=False, which answers "
        "as soon as the job is accepted."
    )


def test_max_wait_without_waiting(stack: Stack) -> None:
    assert export_refusal(stack, max_wait=Duration.hours(1), wait=False) == (
        "max_wait has no meaning with wait=False, which waits for nothing: leave one of them out."
    )


def test_max_wait_known_only_at_deployment(app: App) -> None:
    minutes = CfnParameter(Stack(app, "Other"), "Seconds", type="Number").value_as_number
    assert export_refusal(Stack(app, "Prod"), max_wait=Duration.seconds(minutes)) == (
        "max_wait is only known at deployment. It decides how many resources wait: give a Duration of a number."
    )


@pytest.mark.parametrize("prefix", ["/a", "a//b", "a//", ".", "a/../b", "a*", "a?", "${a}", "a b", "ä", "/"])
def test_prefix_that_cannot_be_a_key_or_would_change_a_policy(stack: Stack, prefix: str) -> None:
    assert destination_refusal(stack, prefix=prefix) == (
        f"prefix {prefix!r} cannot be used. Allowed are letters, digits and ! _ . ' ( ) = - in segments divided by "
        "single slashes, no slash in front and no segment '.' or '..': it becomes part of object keys and of IAM "
        "resources, where * ? and $ have a meaning. Write it like 'exports/personalize'."
    )


def test_prefix_that_is_a_whole_path(stack: Stack) -> None:
    assert destination_refusal(stack, prefix="s3://data-lake/exports/") == (
        "prefix 's3://data-lake/exports/' is a whole path. Give only what follows the bucket, such as 'exports/'."
    )


def test_prefix_that_leaves_no_room_for_the_job_name(stack: Stack) -> None:
    ExportDestination(stack, "Fits", prefix="p" * 122)
    assert destination_refusal(stack, prefix="p" * 123) == (
        f"prefix '{'p' * 123}/' has 124 characters. Allowed are 123 in this bucket: Amazon Personalize accepts output "
        "paths of 256 characters, which are s3://, the bucket name (63), this prefix and the job name (63). Shorten it."
    )


def test_prefix_may_be_longer_in_a_bucket_with_a_short_name(stack: Stack) -> None:
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Theirs", "data-lake")
    ExportDestination(stack, "Fits", bucket=bucket, prefix="p" * 176)
    assert "Allowed are 177 in this bucket" in destination_refusal(stack, bucket=bucket, prefix="p" * 177)


ONLY_KEY_ARNS = (
    "Amazon Personalize accepts only the ARN of a key, arn:<partition>:kms:<region>:<account>:key/<key id>, and "
    "neither an alias nor a key id: pass the kms.Key itself or kms.Key.from_key_arn(...) with the key's own ARN."
)


def test_key_that_is_an_alias(stack: Stack) -> None:
    alias = aws_kms.Alias(stack, "Alias", alias_name="alias/exports", target_key=aws_kms.Key(stack, "Key"))
    imported = aws_kms.Alias.from_alias_name(stack, "Imported", "alias/exports")
    for key in (alias, imported):
        message = destination_refusal(stack, encryption_key=key)
        assert message == f"encryption_key is a KMS alias. {ONLY_KEY_ARNS}"


def test_key_arn_that_names_an_alias(stack: Stack) -> None:
    arn = "arn:aws:kms:us-east-1:123456789012:alias/exports"
    key = aws_kms.Key.from_key_arn(stack, "Key", arn)
    assert destination_refusal(stack, encryption_key=key) == f"encryption_key is {arn!r}. {ONLY_KEY_ARNS}"


def test_bucket_encrypted_with_an_alias(stack: Stack) -> None:
    alias = aws_kms.Alias(stack, "Alias", alias_name="alias/exports", target_key=aws_kms.Key(stack, "Key"))
    bucket = aws_s3.Bucket(stack, "B", encryption=aws_s3.BucketEncryption.KMS, encryption_key=alias)
    message = destination_refusal(stack, bucket=bucket)
    assert message == f"the encryption key of the bucket is a KMS alias. {ONLY_KEY_ARNS}"


def test_key_of_the_dataset_group_that_is_an_alias(stack: Stack) -> None:
    alias = aws_kms.Alias.from_alias_name(stack, "Imported", "alias/group")
    assert destination_refusal(stack, dataset_group_key=alias) == f"dataset_group_key is a KMS alias. {ONLY_KEY_ARNS}"


def test_options_of_the_bucket_that_is_made_together_with_a_bucket(stack: Stack) -> None:
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Theirs", "data-lake")
    options: dict[str, Any] = {"server_access_logs_bucket": bucket, "expire_after": Duration.days(1)}
    for option, value in options.items():
        assert destination_refusal(stack, bucket=bucket, **{option: value}) == (
            f"{option} is given together with bucket. It describes the bucket that is made without one: set it on your "
            "bucket instead."
        )


@pytest.mark.parametrize(
    ("duration", "given"),
    [(Duration.hours(36), "129600 seconds"), (Duration.hours(1), "3600 seconds"), (Duration.days(0), "0 seconds")],
)
def test_expiry_that_is_no_number_of_days(stack: Stack, duration: Duration, given: str) -> None:
    assert destination_refusal(stack, expire_after=duration) == (
        f"expire_after is {given}. Allowed are whole days, at least one: write Duration.days(30)."
    )


def test_expiry_known_only_at_deployment(stack: Stack) -> None:
    seconds = CfnParameter(stack, "Seconds", type="Number").value_as_number
    assert destination_refusal(stack, expire_after=Duration.seconds(seconds)) == (
        "expire_after is only known at deployment. Allowed are whole days, at least one: write Duration.days(30)."
    )


def test_role_given_to_more_destinations_than_it_has_room_for_policies(stack: Stack) -> None:
    role = aws_iam.Role(stack, "Role", assumed_by=aws_iam.ServicePrincipal("personalize.amazonaws.com"))
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Theirs", "data-lake")
    for number in range(10):
        ExportDestination(stack, f"Exports{number}", bucket=bucket, role=role)
    assert destination_refusal(stack, bucket=bucket, role=role) == (
        "role 'Prod/Role' is given to so many constructs that they attach more than the 10 managed policies a role "
        "has room for: share one ExportDestination and one ExportProvider between exports, or give some a role of "
        "their own."
    )
