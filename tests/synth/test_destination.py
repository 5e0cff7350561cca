"""Where exports go: the bucket, the role, the key, and both sides of each permission."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Environment, Stack, aws_iam, aws_kms, aws_s3

from cdk_personalize_export import DatasetExport, ExportDestination
from tests.synth.conftest import readable

if TYPE_CHECKING:
    from constructs import Construct

    from tests.synth.conftest import Synthesise

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
KEY_ACTIONS = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ListGrants"]
HERE = Environment(account="123456789012", region="us-east-1")
SOURCE = {"StringEqualsIfExists": {"aws:SourceAccount": "${AWS::AccountId}"}}
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
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Principal": PERSONALIZE,
            "Resource": "${Mine.Arn}",
            "Condition": SOURCE,
        },
        {
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Principal": PERSONALIZE,
            "Resource": "${Mine.Arn}/personalize/*",
            "Condition": SOURCE,
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
    },
    "Condition": {
      "StringEqualsIfExists": {
        "aws:SourceAccount": "<AccountId>"
      }
    }
  },
  {
    "Effect": "Allow",
    "Action": "s3:PutObject",
    "Resource": "arn:aws:s3:::data-lake/personalize/*",
    "Principal": {
      "Service": "personalize.amazonaws.com"
    },
    "Condition": {
      "StringEqualsIfExists": {
        "aws:SourceAccount": "<AccountId>"
      }
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
    allowed = {"Effect": "Allow", "Action": ["kms:CreateGrant", *KEY_ACTIONS], "Resource": "*"}
    assert result.statements("Key")[-2:] == [
        {**allowed, "Principal": {"AWS": "${ExportsRole.Arn}"}},
        {**allowed, "Principal": PERSONALIZE, "Condition": SOURCE},
    ]


def test_key_of_the_bucket_is_permitted_but_not_sent_with_the_job(stack: Stack, synth: Synthesise) -> None:
    key = aws_kms.Key(stack, "Key")
    bucket = aws_s3.Bucket(stack, "Mine", encryption=aws_s3.BucketEncryption.KMS, encryption_key=key)
    DatasetExport(stack, "Export", dataset=DATASET, destination=ExportDestination(stack, "Exports", bucket=bucket))
    result = synth(stack)
    assert "KmsKeyArn" not in result.export
    assert result.statements("ExportsRolePolicy")[2]["Resource"] == "${Key.Arn}"
    principals = [statement["Principal"] for statement in result.statements("Key")[-2:]]
    assert principals == [{"AWS": "${ExportsRole.Arn}"}, PERSONALIZE]


def test_key_of_another_stack_names_the_account_because_naming_the_role_would_be_a_cycle(
    app: App, synth: Synthesise
) -> None:
    security, exports = Stack(app, "Security"), Stack(app, "Exports")
    key = aws_kms.Key(security, "Key")
    DatasetExport(exports, "Export", dataset=DATASET, destination=ExportDestination(exports, "To", encryption_key=key))
    principals = [statement["Principal"] for statement in synth(security).statements("Key")[-2:]]
    assert principals == [{"AWS": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}, PERSONALIZE]
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
      "AWS": "arn:aws:iam::123456789012:role/exports"
    }
  },
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
      "Service": "personalize.amazonaws.com"
    },
    "Condition": {
      "StringEqualsIfExists": {
        "aws:SourceAccount": "<AccountId>"
      }
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


def test_statements_are_an_output_too_resolved_by_the_deployment(stack: Stack, synth: Synthesise) -> None:
    bucket = aws_s3.Bucket.from_bucket_name(stack, "Theirs", "data-lake")
    ExportDestination(stack, "Exports", bucket=bucket)
    (output,) = synth(stack).template["Outputs"].values()
    assert output["Description"] == "What the bucket policy must say, for exports to succeed"
    assert json.loads(readable(output["Value"])) == [
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": "arn:${AWS::Partition}:s3:::data-lake",
            "Principal": PERSONALIZE,
            "Condition": SOURCE,
        },
        {
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": "arn:${AWS::Partition}:s3:::data-lake/personalize/*",
            "Principal": PERSONALIZE,
            "Condition": SOURCE,
        },
    ]


def test_everything_imported_shows_one_warning_and_one_output_each(stack: Stack, synth: Synthesise) -> None:
    imported_destination(stack)
    result = synth(stack)
    assert sorted(name[:-8] for name in result.template["Outputs"]) == [
        "ExportsBucketPolicyStatements",
        "ExportsDatasetGroupKeyPolicyStatements",
        "ExportsKeyPolicyStatements",
        "ExportsRolePolicyStatements",
    ]
    assert len(result.warnings) == 4


def test_permissions_in_place_silence_warnings_and_outputs_and_change_nothing_else(app: App, synth: Synthesise) -> None:
    shown, silent = Stack(app, "Shown"), Stack(app, "Silent")
    imported_destination(shown)
    imported_destination(silent, permissions_in_place=True)
    result = synth(silent)
    assert result.warnings == []
    assert "Outputs" not in result.template
    assert result.template.get("Resources") == synth(shown).template.get("Resources")


def imported_destination(stack: Stack, **options: Any) -> ExportDestination:
    role = aws_iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/exports", mutable=False)
    return ExportDestination(
        stack,
        "Exports",
        bucket=aws_s3.Bucket.from_bucket_name(stack, "Lake", "data-lake"),
        role=role,
        encryption_key=aws_kms.Key.from_key_arn(stack, "Key", KEY_ARN),
        dataset_group_key=aws_kms.Key.from_key_arn(stack, "GroupKey", KEY_ARN),
        **options,
    )


def test_key_of_the_dataset_group_gets_one_more_action_on_both_sides(stack: Stack, synth: Synthesise) -> None:
    ExportDestination(stack, "Exports", dataset_group_key=aws_kms.Key(stack, "Key"))
    result = synth(stack)
    action = {"Effect": "Allow", "Action": "kms:GenerateDataKeyWithoutPlaintext"}
    assert result.statements("ExportsRolePolicy")[2:] == [{**action, "Resource": "${Key.Arn}"}]
    assert result.statements("Key")[-2:] == [
        {**action, "Principal": {"AWS": "${ExportsRole.Arn}"}, "Resource": "*"},
        {**action, "Principal": PERSONALIZE, "Resource": "*", "Condition": SOURCE},
    ]


def test_statement_for_an_imported_key_names_the_account_while_the_role_has_no_arn(app: App, synth: Synthesise) -> None:
    stack = Stack(app, "Prod", env=HERE)
    ExportDestination(stack, "Exports", encryption_key=aws_kms.Key.from_key_arn(stack, "Theirs", KEY_ARN))
    (warning,) = synth(stack).warnings
    assert '"AWS": "arn:aws:iam::123456789012:root"' in warning


def test_source_account_can_be_required_of_the_service(stack: Stack, synth: Synthesise) -> None:
    ExportDestination(stack, "Exports", require_source_account=True)
    result = synth(stack)
    (trust,) = result.the("AWS::IAM::Role")["AssumeRolePolicyDocument"]["Statement"]
    conditions = [s["Condition"] for s in result.statements("ExportsBucketPolicy")[1:]]
    assert conditions == [trust["Condition"]] * 2
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"},
        "StringLike": {"aws:SourceArn": "arn:${AWS::Partition}:personalize:${AWS::Region}:${AWS::AccountId}:*"},
    }


def test_role_of_another_stack_gets_its_policy_here_because_one_there_would_be_a_cycle(
    app: App, synth: Synthesise
) -> None:
    security, exports = Stack(app, "Security"), Stack(app, "Exports")
    role = aws_iam.Role(security, "Mine", assumed_by=aws_iam.ServicePrincipal("personalize.amazonaws.com"))
    ExportDestination(exports, "To", role=role)
    assert synth(security).types == ["AWS::IAM::Role"]
    assert synth(exports).the("AWS::IAM::ManagedPolicy")["Roles"] == [
        {"Fn::ImportValue": "Security:ExportsOutputRefMineC1B42D3A9863FEC7"}
    ]


def test_imported_bucket_of_another_account_must_name_the_role_too(app: App, synth: Synthesise) -> None:
    stack = Stack(app, "Prod", env=HERE)
    bucket = aws_s3.Bucket.from_bucket_attributes(stack, "Lake", bucket_name="data-lake", account="210987654321")
    ExportDestination(stack, "Exports", bucket=bucket)
    result = synth(stack)
    assert result.the("AWS::IAM::Role")["RoleName"] == "ProdExports64F1E006-us-east-1"
    (output,) = result.template["Outputs"].values()
    assert json.loads(readable(output["Value"]))[2:] == [
        {
            "Effect": "Allow",
            "Action": action,
            "Resource": resource,
            "Principal": {"AWS": "arn:${AWS::Partition}:iam::123456789012:root"},
            "Condition": {
                "ArnEquals": {
                    "aws:PrincipalArn": "arn:${AWS::Partition}:iam::123456789012:role/ProdExports64F1E006-us-east-1"
                }
            },
        }
        for action, resource in (
            ("s3:ListBucket", "arn:${AWS::Partition}:s3:::data-lake"),
            ("s3:PutObject", "arn:${AWS::Partition}:s3:::data-lake/personalize/*"),
        )
    ]
    (warning,) = result.warnings
    assert '"aws:PrincipalArn": "arn:aws:iam::123456789012:role/ProdExports64F1E006-us-east-1"' in warning


def test_bucket_of_another_account_in_this_app_is_deployed_first_and_lets_the_role_in(
    app: App, synth: Synthesise
) -> None:
    lake = Stack(app, "Lake", env=Environment(account="210987654321", region="us-east-1"))
    exports = Stack(app, "Exports", env=HERE)
    destination = ExportDestination(exports, "To", bucket=aws_s3.Bucket(lake, "Bucket", bucket_name="data-lake"))
    DatasetExport(exports, "Interactions", dataset=DATASET, destination=destination)
    result = synth(exports)
    (role,) = [r["RoleName"] for r in result.of_type("AWS::IAM::Role") if "RoleName" in r]
    statements = synth(lake).statements("BucketPolicy")
    assert [s["Principal"] for s in statements[:2]] == [PERSONALIZE] * 2
    assert [s["Condition"]["ArnEquals"]["aws:PrincipalArn"] for s in statements[2:]] == [
        f"arn:${{AWS::Partition}}:iam::123456789012:role/{role}"
    ] * 2
    assert exports.dependencies == [lake]
    assert (result.export["Bucket"], result.export["Prefix"]) == ("data-lake", "personalize/")


def test_role_given_for_a_bucket_of_another_account_is_named_in_its_policy(app: App, synth: Synthesise) -> None:
    lake = Stack(app, "Lake", env=Environment(account="210987654321", region="us-east-1"))
    exports = Stack(app, "Exports", env=HERE)
    role = aws_iam.Role.from_role_arn(exports, "Role", "arn:aws:iam::123456789012:role/exports")
    ExportDestination(exports, "To", bucket=aws_s3.Bucket(lake, "Bucket", bucket_name="data-lake"), role=role)
    (statement, _) = synth(lake).statements("BucketPolicy")[2:]
    assert statement["Condition"]["ArnEquals"]["aws:PrincipalArn"] == "arn:aws:iam::123456789012:role/exports"


def test_role_name_has_no_region_while_that_is_unknown(app: App, synth: Synthesise) -> None:
    stack = Stack(app, "Prod", env=Environment(account="123456789012"))
    bucket = aws_s3.Bucket.from_bucket_attributes(stack, "Lake", bucket_name="data-lake", account="210987654321")
    ExportDestination(stack, "Exports", bucket=bucket)
    assert synth(stack).the("AWS::IAM::Role")["RoleName"] == "ProdExports64F1E006"


def test_access_to_the_bucket_that_is_made_can_be_logged(stack: Stack, synth: Synthesise) -> None:
    logs = aws_s3.Bucket.from_bucket_name(stack, "Logs", "access-logs")
    ExportDestination(stack, "Exports", server_access_logs_bucket=logs)
    assert synth(stack).the("AWS::S3::Bucket")["LoggingConfiguration"] == {"DestinationBucketName": "access-logs"}


def test_objects_expire_and_are_gone_a_day_later(stack: Stack, synth: Synthesise) -> None:
    ExportDestination(stack, "Exports", expire_after=Duration.days(30))
    assert synth(stack).the("AWS::S3::Bucket")["LifecycleConfiguration"] == {
        "Rules": [{"ExpirationInDays": 30, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}, "Status": "Enabled"}]
    }


def test_policy_of_the_bucket_that_is_made_can_be_extended(stack: Stack, synth: Synthesise) -> None:
    destination = ExportDestination(stack, "Exports")
    statement = aws_iam.PolicyStatement(
        actions=["s3:GetObject"],
        principals=[aws_iam.AccountPrincipal("210987654321")],
        resources=[destination.bucket.arn_for_objects("*")],
    )
    assert destination.bucket.add_to_resource_policy(statement).statement_added
    result = synth(stack)
    assert result.types.count("AWS::S3::BucketPolicy") == 1
    assert [s["Action"] for s in result.statements("ExportsBucketPolicy")] == [
        "s3:*",
        "s3:ListBucket",
        "s3:PutObject",
        "s3:GetObject",
    ]


def test_bucket_policy_is_the_same_with_an_aws_cdk_lib_whose_policies_are_born_empty(
    app: App, synth: Synthesise, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, older = Stack(app, "Newer"), Stack(app, "Older")
    ExportDestination(newer, "Exports")
    born_with_one = aws_s3.BucketPolicy

    def born_empty(scope: Construct, construct_id: str, *, bucket: aws_s3.IBucket) -> aws_s3.BucketPolicy:
        return born_with_one(scope, construct_id, bucket=bucket)

    monkeypatch.setattr(aws_s3, "BucketPolicy", born_empty)
    ExportDestination(older, "Exports")
    assert synth(older).resources == synth(newer).resources
