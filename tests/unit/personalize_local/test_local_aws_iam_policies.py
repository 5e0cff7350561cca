"""Policies as IAM evaluates them: variables, boundaries of roles made by CloudFormation, the managed policy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, WaiterError

from personalize_local.extension.iam_policies import UnknownVariableError, substitute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from personalize_local import LocalAws

ACCOUNT = "000000000000"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/ann/*"),
        ("${aws:PrincipalTag/team}", "data"),
        ("${aws:PrincipalTag/stage, 'test'}-${ aws:username }", "test-ann"),
        ("${*}", "*"),
        ("${$}", "$"),
        ("plain $ {text}", "plain $ {text}"),
    ],
)
def test_variables_have_the_values_of_the_request(text: str, expected: str) -> None:
    values: Mapping[str, Any] = {"aws:username": "ann", "aws:PrincipalTag/team": "data"}
    assert substitute(text, values.get) == expected


@pytest.mark.parametrize("text", ["${aws:username}", "${aws:TagKeys}"])
def test_a_variable_without_one_value_is_not_replaced(text: str) -> None:
    with pytest.raises(UnknownVariableError):
        substitute(text, {"aws:TagKeys": ["a", "b"]}.get)


def test_a_variable_in_a_resource_names_the_users_own_bucket(world: Any, aws: LocalAws) -> None:
    iam = aws.client("iam")
    iam.create_user(UserName=world.name)
    document = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::${aws:username}"}
    iam.put_user_policy(
        UserName=world.name,
        PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": document}),
    )
    key = iam.create_access_key(UserName=world.name)["AccessKey"]
    s3 = signed("s3", aws, key["AccessKeyId"], key["SecretAccessKey"])
    s3.create_bucket(Bucket=world.name)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.create_bucket(Bucket=f"{world.name}-2")


def signed(service: str, aws: LocalAws, key: str, secret: str, token: str | None = None) -> Any:
    return boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )


def assume(aws: LocalAws, role: str, service: str) -> Any:
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    credentials = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return signed(service, aws, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])


def template(name: str, *, bounded: bool) -> str:
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    all_of_s3 = {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    only_list = {"Statement": {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}}
    role: dict[str, Any] = {
        "RoleName": name,
        "AssumeRolePolicyDocument": {"Statement": trust},
        "Policies": [{"PolicyName": "p", "PolicyDocument": all_of_s3}],
    }
    if bounded:
        role["PermissionsBoundary"] = {"Ref": "Boundary"}
    resources = {
        "Boundary": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": only_list}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": role},
    }
    return json.dumps({"Resources": resources})


def test_the_boundary_of_a_role_made_by_cloudformation_is_enforced(world: Any, aws: LocalAws) -> None:
    stacks, s3 = aws.client("cloudformation"), None

    def deploy(*, bounded: bool) -> Any:
        request = {"StackName": world.name, "TemplateBody": template(world.name, bounded=bounded)}
        kind, call = ("update", stacks.update_stack) if s3 else ("create", stacks.create_stack)
        call(**request, Capabilities=["CAPABILITY_NAMED_IAM"])
        stacks.get_waiter(f"stack_{kind}_complete").wait(
            StackName=world.name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
        )
        return assume(aws, world.name, "s3")

    s3 = deploy(bounded=True)
    s3.list_buckets()
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.create_bucket(Bucket=world.name)
    shown = aws.client("iam").get_role(RoleName=world.name)["Role"]["PermissionsBoundary"]
    assert shown["PermissionsBoundaryType"] == "PermissionsBoundaryPolicy"
    s3 = deploy(bounded=False)
    s3.create_bucket(Bucket=world.name)
    s3 = deploy(bounded=True)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_bucket(Bucket=world.name)


def test_a_boundary_that_does_not_exist_fails_the_stack(world: Any, aws: LocalAws) -> None:
    stacks = aws.client("cloudformation")
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/{world.name}"
    body = template(world.name, bounded=True).replace('{"Ref": "Boundary"}', f'"{boundary}"')
    stacks.create_stack(StackName=world.name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"])
    with pytest.raises(WaiterError):
        stacks.get_waiter("stack_create_complete").wait(
            StackName=world.name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
        )
    events = stacks.describe_stack_events(StackName=world.name)["StackEvents"]
    reasons = [event.get("ResourceStatusReason", "") for event in events]
    assert any(f"Scope ARN: {boundary} does not exist or is not attachable." in reason for reason in reasons)


def test_the_managed_policy_grants_what_aws_publishes(world: Any, aws: LocalAws) -> None:
    iam = aws.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=world.name, AssumeRolePolicyDocument=json.dumps({"Statement": trust}))
    arn = "arn:aws:iam::aws:policy/service-role/AmazonPersonalizeFullAccess"
    iam.attach_role_policy(RoleName=world.name, PolicyArn=arn)
    assume(aws, world.name, "personalize").list_schemas()
    s3 = assume(aws, world.name, "s3")
    bucket = f"{world.name}-personalize-data"
    for name in (bucket, world.name):
        world.s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=bucket, Key="a.csv", Body=b"x")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=world.name, Key="a.csv", Body=b"x")
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert policy["Path"] == "/service-role/"
