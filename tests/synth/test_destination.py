"""Where exports go: the bucket, the role, the key, and both sides of each permission."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aws_cdk import App, Environment, Stack, aws_iam, aws_kms, aws_s3

from cdk_personalize_export import DatasetExport, ExportDestination

if TYPE_CHECKING:
    from tests.synth.conftest import Synthesise

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
KEY_ACTIONS = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ListGrants"]
PERSONALIZE = {"Service": "personalize.amazonaws.com"}


def test_prefix_limits_both_policies(stack: Stack, synth: Synthesise) -> None:
    destination = ExportDestination(stack, "Exports", prefix="a/b")
    result = synth(stack)
    assert destination.prefix == "a/b/"
    objects = "${ExportsBucket.Arn}/a/b/*"
    assert [s["Resource"] for s in result.statements("ExportsRolePolicy")] == ["${ExportsBucket.Arn}", objects]
    assert [s["Resource"] for s in result.statements("ExportsBucketPolicy")[1:]] == ["${ExportsBucket.Arn}", objects]


@pytest.mark.parametrize(("prefix", "path"), [("", ""), ("a", "a/"), ("a/", "a/"), ("year=2026/a_b", "year=2026/a_b/")])
def test_path_always_ends_in_one_slash(stack: Stack, prefix: str, path: str) -> None:
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Theirs", "data-lake")
    assert ExportDestination(stack, "Exports", bucket=bucket, prefix=prefix).path == f"s3://data-lake/{path}"


def test_bucket_of_this_app_has_its_policy_extended(stack: Stack, synth: Synthesise) -> None:
    bucket = aws_s3.Bucket(stack, "Mine")
    DatasetExport(stack, "Export", dataset=DATASET, destination=ExportDestination(stack, "Exports", bucket=bucket))
    result = synth(stack)
    assert result.statements("MinePolicy") == [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Principal": PERSONALIZE, "Resource": "${Mine.Arn}"},
        {
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Principal": PERSONALIZE,
            "Resource": "${Mine.Arn}/personalize/*",
        },
    ]
    assert "MinePolicy" in result.depends_on("Custom::PersonalizeDatasetExport")
    assert result.warnings == []


def test_bucket_of_another_stack_has_its_policy_extended_there(app: App, synth: Synthesise) -> None:
    storage, exports = Stack(app, "Storage"), Stack(app, "Exports")
    bucket = aws_s3.Bucket(storage, "Mine")
    DatasetExport(exports, "Export", dataset=DATASET, destination=ExportDestination(exports, "To", bucket=bucket))
    assert [s["Action"] for s in synth(storage).statements("MinePolicy")] == ["s3:ListBucket", "s3:PutObject"]
    assert synth(exports).types.count("AWS::S3::BucketPolicy") == 0


def test_imported_bucket_is_left_alone_and_the_statements_are_printed(stack: Stack, synth: Synthesise) -> None:
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Theirs", "data-lake")
    DatasetExport(stack, "Export", dataset=DATASET, destination=ExportDestination(stack, "Exports", bucket=bucket))
    result = synth(stack)
    assert "AWS::S3::BucketPolicy" not in result.types
    assert result.warnings == [
        """\
This app cannot change the policy of the bucket of s3://data-lake/personalize/. Exports fail unless these \
statements are in it:
[
  {
    "Effect": "Allow",
    "Action": "s3:ListBucket",
    "Resource": "arn:aws:s3:::data-lake",
    "Principal": {
      "Service": "personalize.amazonaws.com"
    }
  },
  {
    "Effect": "Allow",
    "Action": "s3:PutObject",
    "Resource": "arn:aws:s3:::data-lake/personalize/*",
    "Principal": {
      "Service": "personalize.amazonaws.com"
    }
  }
]
An output of the stack repeats them. When they are in place, say permissions_in_place=True. \
[ack: cdk-personalize-export:bucket-policy]"""
    ]


def test_role_of_this_app_is_given_the_permissions(stack: Stack, synth: Synthesise) -> None:
    role = aws_iam.Role(stack, "Mine", assumed_by=aws_iam.ServicePrincipal("personalize.amazonaws.com"))
    DatasetExport(stack, "Export", dataset=DATASET, destination=ExportDestination(stack, "Exports", role=role))
    result = synth(stack)
    assert result.statements("ExportsRolePolicy") == [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "${ExportsBucket.Arn}"},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "${ExportsBucket.Arn}/personalize/*"},
    ]
    assert result.export["RoleArn"] == "${Mine.Arn}"
    assert result.allowed("iam:PassRole") == ["${Mine.Arn}"]
    assert result.depends_on("Custom::PersonalizeDatasetExport") == [
        "ExportsBucketPolicy",
        "ExportsRolePolicy",
        "PersonalizeExportProviderPolicy",
    ]


def test_role_that_may_not_be_changed_is_left_alone_and_the_statements_are_printed(
    stack: Stack, synth: Synthesise
) -> None:
    role = aws_iam.Role.from_role_arn(stack, "Theirs", "arn:aws:iam::123456789012:role/exports", mutable=False)
    bucket = aws_s3.Bucket(stack, "Mine", bucket_name="data-lake")
    ExportDestination(stack, "Exports", role=role, bucket=bucket)
    result = synth(stack)
    assert "AWS::IAM::Policy" not in result.types
    assert result.warnings == [
        """\
This app cannot change the policies of role arn:aws:iam::123456789012:role/exports. Exports fail unless these \
statements are in it:
[
  {
    "Effect": "Allow",
    "Action": "s3:ListBucket",
    "Resource": "<known after the deployment>"
  },
  {
    "Effect": "Allow",
    "Action": "s3:PutObject",
    "Resource": "<known after the deployment>/personalize/*"
  }
]
An output of the stack repeats them. When they are in place, say permissions_in_place=True. \
[ack: cdk-personalize-export:role-policy]"""
    ]


def test_key_given_encrypts_bucket_and_jobs_and_is_permitted_on_both_sides(stack: Stack, synth: Synthesise) -> None:
    key = aws_kms.Key(stack, "Key")
    DatasetExport(stack, "Export", dataset=DATASET, destination=ExportDestination(stack, "Exports", encryption_key=key))
    result = synth(stack)
    assert result.export["KmsKeyArn"] == "${Key.Arn}"
    (rule,) = result.the("AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {
        "BucketKeyEnabled": True,
        "ServerSideEncryptionByDefault": {"KMSMasterKeyID": "${Key.Arn}", "SSEAlgorithm": "aws:kms"},
    }
    assert result.statements("ExportsRolePolicy")[2] == {
        "Effect": "Allow",
        "Action": KEY_ACTIONS,
        "Resource": "${Key.Arn}",
    }
    assert result.statements("Key")[-1] == {
        "Effect": "Allow",
        "Action": ["kms:CreateGrant", *KEY_ACTIONS],
        "Principal": {"AWS": "${ExportsRole.Arn}", **PERSONALIZE},
        "Resource": "*",
    }


def test_key_of_the_bucket_is_permitted_but_not_sent_with_the_job(stack: Stack, synth: Synthesise) -> None:
    key = aws_kms.Key(stack, "Key")
    bucket = aws_s3.Bucket(stack, "Mine", encryption=aws_s3.BucketEncryption.KMS, encryption_key=key)
    DatasetExport(stack, "Export", dataset=DATASET, destination=ExportDestination(stack, "Exports", bucket=bucket))
    result = synth(stack)
    assert "KmsKeyArn" not in result.export
    assert result.statements("ExportsRolePolicy")[2]["Resource"] == "${Key.Arn}"
    assert result.statements("Key")[-1]["Principal"] == {"AWS": "${ExportsRole.Arn}", **PERSONALIZE}


def test_key_of_another_stack_names_the_account_because_naming_the_role_would_be_a_cycle(
    app: App, synth: Synthesise
) -> None:
    security, exports = Stack(app, "Security"), Stack(app, "Exports")
    key = aws_kms.Key(security, "Key")
    DatasetExport(exports, "Export", dataset=DATASET, destination=ExportDestination(exports, "To", encryption_key=key))
    assert synth(security).statements("Key")[-1]["Principal"] == {
        "AWS": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root",
        **PERSONALIZE,
    }
    assert synth(exports).statements("ToRolePolicy")[2]["Action"] == KEY_ACTIONS


def test_imported_key_is_left_alone_and_the_statement_is_printed(stack: Stack, synth: Synthesise) -> None:
    role = aws_iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/exports")
    key = aws_kms.Key.from_key_arn(stack, "Theirs", KEY_ARN)
    ExportDestination(stack, "Exports", encryption_key=key, role=role)
    assert synth(stack).warnings == [
        """\
This app cannot change the policy of key arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555. \
Exports fail unless these statements are in it:
[
  {
    "Effect": "Allow",
    "Action": [
      "kms:CreateGrant",
      "kms:Decrypt",
      "kms:DescribeKey",
      "kms:GenerateDataKey",
      "kms:ListGrants"
    ],
    "Resource": "*",
    "Principal": {
      "AWS": "arn:aws:iam::123456789012:role/exports",
      "Service": "personalize.amazonaws.com"
    }
  }
]
An output of the stack repeats them. When they are in place, say permissions_in_place=True. \
[ack: cdk-personalize-export:key-policy]"""
    ]


def test_printed_statements_name_the_partition_of_the_region(app: App, synth: Synthesise) -> None:
    china = Stack(app, "China", env=Environment(account="123456789012", region="cn-north-1"))
    ExportDestination(china, "Exports", bucket=aws_s3.Bucket.from_bucket_name(china, "Theirs", "data-lake"))
    (warning,) = synth(china).warnings
    assert '"Resource": "arn:aws-cn:s3:::data-lake"' in warning


def test_reader_of_an_encrypted_export_may_decrypt(stack: Stack, synth: Synthesise) -> None:
    reader = aws_iam.Role(stack, "Reader", assumed_by=aws_iam.AccountRootPrincipal())
    key = aws_kms.Key(stack, "Key")
    bucket = aws_s3.Bucket(stack, "Mine")
    ExportDestination(stack, "Exports", bucket=bucket, encryption_key=key).grant_read(reader)
    assert synth(stack).statements("ReaderDefaultPolicy")[-1] == {
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": "${Key.Arn}",
    }


def test_bucket_and_role_are_handed_out(stack: Stack) -> None:
    bucket = aws_s3.Bucket(stack, "Mine")
    role = aws_iam.Role(stack, "Role", assumed_by=aws_iam.ServicePrincipal("personalize.amazonaws.com"))
    destination = ExportDestination(stack, "Exports", bucket=bucket, role=role)
    assert destination.bucket is bucket
    assert destination.role is role
