"""Tags decide: the policies of AWS's page on tags in Personalize, conditions on tags, and the Tagging API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from personalize_local import LocalAws

OWNER_MAY_ALL = {
    "Sid": "ModifyResourceIfOwner",
    "Effect": "Allow",
    "Action": "personalize:*",
    "Resource": "*",
    "Condition": {"StringEqualsIgnoreCase": {"aws:ResourceTag/Owner": "${aws:username}"}},
}
ONLY_JOHNDOE = (
    {
        "Effect": "Allow",
        "Action": ["personalize:CreateDataset", "personalize:DeleteDataset"],
        "Resource": "arn:aws:personalize:*:*:dataset/*",
        "Condition": {"StringEquals": {"aws:username": "johndoe"}},
    },
    {"Effect": "Allow", "Action": "personalize:DescribeDataset", "Resource": "*"},
)
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@pytest.fixture
def signed_in(aws: LocalAws) -> Callable[..., Any]:
    """A client of a new user with this name and these statements."""

    def client(name: str, *statements: Any, service: str = "personalize", boundary: Any = None) -> Any:
        iam = aws.client("iam")
        user = {"UserName": name}
        if boundary:
            document = json.dumps({"Version": "2012-10-17", "Statement": boundary})
            user["PermissionsBoundary"] = iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"]
        iam.create_user(**user)
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return boto3.client(
            service,
            endpoint_url=aws.endpoint,
            region_name="us-east-1",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )

    return client


def tags(**values: str) -> list[dict[str, str]]:
    return [{"tagKey": key, "tagValue": value} for key, value in values.items()]


def group(world: Any, name: str = "", **values: str) -> str:
    arn: str = world.personalize.create_dataset_group(name=name or world.name, tags=tags(**values))["datasetGroupArn"]
    describe = world.personalize.describe_dataset_group
    world.until_active(lambda: describe(datasetGroupArn=arn)["datasetGroup"])
    return arn


def denied(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException", caught.value
    return str(caught.value)


def test_a_deny_by_tag_refuses_the_delete(world: Any, signed_in: Any) -> None:
    protected, other = group(world, f"{world.name}-a", keep="yes"), group(world, f"{world.name}-b", keep="no")
    condition = {"StringEquals": {"aws:ResourceTag/keep": "yes"}}
    deny = {"Effect": "Deny", "Action": "personalize:Delete*", "Resource": "*", "Condition": condition}
    client = signed_in(world.name, ALL, deny)
    assert "with an explicit deny" in denied(client.delete_dataset_group, datasetGroupArn=protected)
    client.delete_dataset_group(datasetGroupArn=other)


def test_whoever_is_named_as_owner_has_full_access(world: Any, signed_in: Any) -> None:
    mine = group(world, f"{world.name}-mine", Owner=world.name.upper())
    theirs, nobodys = group(world, f"{world.name}-theirs", Owner="jane"), group(world, f"{world.name}-nobodys")
    client = signed_in(world.name, OWNER_MAY_ALL)
    assert client.describe_dataset_group(datasetGroupArn=mine)["datasetGroup"]["status"] == "ACTIVE"
    client.tag_resource(resourceArn=mine, tags=tags(team="data"))
    for arn in (theirs, nobodys):
        denied(client.describe_dataset_group, datasetGroupArn=arn)
        denied(client.tag_resource, resourceArn=arn, tags=tags(Owner=world.name))
    client.untag_resource(resourceArn=mine, tagKeys=["Owner"])
    denied(client.describe_dataset_group, datasetGroupArn=mine)


def test_only_johndoe_creates_and_deletes_datasets(world: Any, signed_in: Any) -> None:
    dataset = world.make_dataset(records=False)
    johndoe, another = signed_in("johndoe", *ONLY_JOHNDOE), signed_in(world.name, *ONLY_JOHNDOE)
    for client in (johndoe, another):
        assert client.describe_dataset(datasetArn=dataset)["dataset"]["status"] == "ACTIVE"
    denied(another.delete_dataset, datasetArn=dataset)
    johndoe.delete_dataset(datasetArn=dataset)
    denied(johndoe.delete_schema, schemaArn=dataset)


def test_a_boundary_by_tag_counts_too(world: Any, signed_in: Any) -> None:
    mine, theirs = group(world, f"{world.name}-a", team="data"), group(world, f"{world.name}-b", team="web")
    boundary = {**ALL, "Condition": {"StringEquals": {"aws:ResourceTag/team": "data"}}}
    client = signed_in(world.name, ALL, boundary=boundary)
    client.describe_dataset_group(datasetGroupArn=mine)
    denied(client.describe_dataset_group, datasetGroupArn=theirs)


def test_the_tags_of_a_request_decide_on_a_create_and_on_tagging(world: Any, signed_in: Any) -> None:
    condition = {
        "StringEquals": {"aws:RequestTag/team": ["data", "web"]},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "stage"]},
    }
    allow = {"Effect": "Allow", "Action": "personalize:*", "Resource": "*", "Condition": condition}
    client = signed_in(world.name, allow)
    arn = client.create_dataset_group(name=world.name, tags=tags(team="data", stage="test"))["datasetGroupArn"]
    denied(client.create_dataset_group, name=f"{world.name}-2", tags=tags(team="sales"))
    denied(client.create_dataset_group, name=f"{world.name}-2", tags=tags(team="data", owner="me"))
    denied(client.create_dataset_group, name=f"{world.name}-2")
    client.tag_resource(resourceArn=arn, tags=tags(team="web"))
    denied(client.tag_resource, resourceArn=arn, tags=tags(team="web", owner="me"))


def test_untagging_is_checked_by_the_keys_that_go(world: Any, signed_in: Any) -> None:
    arn = group(world, team="data", stage="test")
    condition = {"ForAllValues:StringEquals": {"aws:TagKeys": ["stage"]}}
    client = signed_in(
        world.name, {"Effect": "Allow", "Action": "personalize:UntagResource", "Resource": "*", "Condition": condition}
    )
    denied(client.untag_resource, resourceArn=arn, tagKeys=["stage", "team"])
    client.untag_resource(resourceArn=arn, tagKeys=["stage"])
    assert world.personalize.list_tags_for_resource(resourceArn=arn)["tags"] == tags(team="data")


def test_the_tagging_api_finds_and_changes_tags(world: Any, aws: LocalAws) -> None:
    arn = group(world, team=world.name)
    client = aws.client("resourcegroupstaggingapi")

    def found(**changes: Any) -> list[str]:
        question: dict[str, Any] = {"TagFilters": [{"Key": "team", "Values": [world.name]}]}
        reply = client.get_resources(**{**question, **changes})
        return [item["ResourceARN"] for item in reply["ResourceTagMappingList"]]

    assert found() == found(ResourceTypeFilters=["personalize"]) == [arn]
    assert found(ResourceTypeFilters=["personalize:dataset-group"]) == [arn]
    assert found(ResourceTypeFilters=["personalize:dataset"]) == found(ResourceTypeFilters=["s3"]) == []
    assert "team" in client.get_tag_keys()["TagKeys"]
    client.tag_resources(ResourceARNList=[arn], Tags={"stage": "test"})
    client.untag_resources(ResourceARNList=[arn], TagKeys=["team"])
    assert world.personalize.list_tags_for_resource(resourceArn=arn)["tags"] == tags(stage="test")
    missing = f"{arn}-gone"
    failed = client.tag_resources(ResourceARNList=[missing], Tags={"stage": "test"})["FailedResourcesMap"]
    assert failed[missing]["ErrorCode"] == "InvalidParameterException"
