"""The Region of Personalize in China, where ARNs begin with `arn:aws-cn:`, from the first role to the last CSV."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from personalize_local import LocalAws

REGION = "cn-north-1"
ACCOUNT = "000000000000"
SERVICE = "personalize.amazonaws.com"
ROWS = ["TIMESTAMP,ITEM_ID,USER_ID", "u1,i1,1600000001", "u2,i2,1600000002"]


@dataclass(frozen=True)
class InChina:
    """The local AWS, with clients of that Region; of the root user, or of a user."""

    aws: LocalAws
    access_key: str = ""
    secret: str = ""

    def client(self, service: str) -> Any:
        exports = self.aws.exports()
        return boto3.client(
            service,
            endpoint_url=self.aws.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key or exports["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.secret or exports["AWS_SECRET_ACCESS_KEY"],
        )


@pytest.fixture
def china(aws: LocalAws, world: Any) -> Any:
    """A bucket, a role and a dataset there."""
    return type(world)(InChina(aws), f"cn{uuid.uuid4().hex[:10]}", "aws-cn")


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]})


def test_arns_of_roles_keys_and_callers_are_those_of_china(china: Any) -> None:
    iam, sts, kms = (china.aws.client(service) for service in ("iam", "sts", "kms"))
    assert china.role_arn == f"arn:aws-cn:iam::{ACCOUNT}:role/{china.name}-export"
    assert iam.get_role(RoleName=f"{china.name}-export")["Role"]["Arn"] == china.role_arn
    assert sts.get_caller_identity()["Arn"] == f"arn:aws-cn:iam::{ACCOUNT}:root"
    key = kms.create_key()["KeyMetadata"]["Arn"]
    assert key.startswith(f"arn:aws-cn:kms:{REGION}:{ACCOUNT}:key/")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key


def test_policies_written_for_china_decide_from_import_to_export(china: Any) -> None:
    iam, kms = china.aws.client("iam"), china.aws.client("kms")
    bucket, role = china.bucket_arn, f"{china.name}-export"
    assert bucket.startswith("arn:aws-cn:s3:::")
    china.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    access = [
        {"Action": "s3:ListBucket", "Resource": bucket},
        {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"{bucket}/*"},
    ]
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy(*access))
    source = f"arn:aws-cn:personalize:{REGION}:{ACCOUNT}:*"
    condition = {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "StringLike": {"aws:SourceArn": source}}
    trusted = {"Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole", "Condition": condition}
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=policy(trusted))
    dataset = china.make_dataset()
    users = {"AWS": [f"arn:aws-cn:iam::{ACCOUNT}:root", china.role_arn], "Service": SERVICE}
    document = policy({"Principal": users, "Action": "kms:*", "Resource": "*"})
    key = kms.create_key(Policy=document)["KeyMetadata"]["Arn"]
    output = {"s3DataDestination": {"path": f"s3://{china.name}/out/", "kmsKeyArn": key}}
    job = china.export(dataset, jobOutput=output)
    assert job["status"] == "ACTIVE", job
    assert job["datasetExportJobArn"].startswith(f"arn:aws-cn:personalize:{REGION}:{ACCOUNT}:dataset-export-job/")
    assert job["roleArn"] == china.role_arn
    assert sorted(china.exported("out/")[1:]) == ROWS[1:]


@pytest.mark.parametrize("missing", ["s3:ListBucket", "s3:PutObject"])
def test_bucket_policy_without_an_action_fails_the_job_there_too(china: Any, missing: str) -> None:
    china.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = china.make_dataset()
    allowed = [action for action in ("s3:ListBucket", "s3:PutObject") if action != missing]
    statement = {"Principal": {"Service": SERVICE}, "Resource": [china.bucket_arn, f"{china.bucket_arn}/*"]}
    china.s3.put_bucket_policy(Bucket=china.name, Policy=policy({**statement, "Action": allowed}))
    job = china.export(dataset)
    assert job["status"] == "CREATE FAILED"
    assert f"fix bucket policy on {china.name}" in job["failureReason"]


def test_user_may_do_what_its_policy_names_and_nothing_else(china: Any) -> None:
    dataset = china.make_dataset(records=False)
    iam = china.aws.client("iam")
    iam.create_user(UserName=china.name)
    jobs = f"arn:aws-cn:personalize:{REGION}:{ACCOUNT}:dataset-export-job/{china.name}-*"
    allowed = policy(
        {"Action": "personalize:CreateDatasetExportJob", "Resource": [dataset, jobs]},
        {"Action": "iam:PassRole", "Resource": china.role_arn},
    )
    iam.put_user_policy(UserName=china.name, PolicyName="p", PolicyDocument=allowed)
    key = iam.create_access_key(UserName=china.name)["AccessKey"]
    user = InChina(china.aws.aws, key["AccessKeyId"], key["SecretAccessKey"]).client("personalize")
    assert china.start_export(dataset, personalize=user)
    with pytest.raises(ClientError) as refused:
        user.describe_dataset(datasetArn=dataset)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    iam.put_user_policy(
        UserName=china.name, PolicyName="p", PolicyDocument=allowed.replace(china.role_arn, "arn:aws-cn:iam::1:role/x")
    )
    with pytest.raises(ClientError, match="iam:PassRole"):
        china.start_export(dataset, personalize=user)
