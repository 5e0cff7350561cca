"""An export moves to another function: no service token changes in place, and nothing is exported again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from account import make_items

if TYPE_CHECKING:
    from account import Account

pytestmark = pytest.mark.e2e
APP = "tests/e2e/apps/functions.py"


def deploy(account: Account, function: str, *more: str) -> Any:
    return account.deploy("--context", f"function={function}", *more, app=APP)


def functions(account: Account) -> set[str]:
    listed = account.aws.client("lambda").list_functions()["Functions"]
    return {str(function["FunctionArn"]) for function in listed}


def test_every_way_to_another_function_deploys_and_exports_nothing_again(account: Account) -> None:
    """A provider given later, another prefix, a renamed provider, another provider, another release of ours."""
    seen = set()
    for function in ("default", "given", "prefix", "renamed", "another release", "default"):
        deployed = deploy(account, function)
        assert deployed.returncode == 0, (function, deployed.stderr)
        (job,) = account.jobs()
        outputs = account.outputs("Functions")
        assert outputs["JobArn"] == job["datasetExportJobArn"], function
        assert functions(account) == {outputs["Function"]}, "the function before is gone"
        seen.add(outputs["Function"])
    assert len(seen) >= 5
    answered = [json.loads(line) for line in account.log_lines() if '"Answered"' in line]
    assert {line["status"] for line in answered} == {"SUCCESS"}


def test_local_cloudformation_refuses_a_changed_service_token_with_the_text_of_aws(account: Account) -> None:
    """So the test above proves something: the logical id is what makes the difference."""
    pinned = ("--context", "pinned=yes")
    assert deploy(account, "default", *pinned).returncode == 0

    refused = deploy(account, "given", *pinned)

    assert refused.returncode != 0
    assert "Modifying service token is not allowed." in refused.stderr
    assert len(account.jobs()) == 1
    (stack,) = account.aws.client("cloudformation").describe_stacks(StackName="Functions")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def test_roles_made_centrally_are_used_and_none_is_made(account: Account) -> None:
    make_role(account, "central-writer", "personalize.amazonaws.com", ["s3:ListBucket", "s3:PutObject"])
    called = [
        "iam:PassRole",
        "lambda:InvokeFunction",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "personalize:CreateDatasetExportJob",
        "personalize:DescribeDatasetExportJob",
    ]
    make_role(account, "central-function", "lambda.amazonaws.com", called)

    deployed = deploy(account, "customised")

    assert deployed.returncode == 0, deployed.stderr
    (job,) = account.jobs()
    assert job["status"] == "ACTIVE"
    assert job["roleArn"].endswith(":role/central-writer")
    resources = account.aws.client("cloudformation").describe_stack_resources(StackName="Functions")["StackResources"]
    assert not [r for r in resources if r["ResourceType"].startswith("AWS::IAM::")]


def test_two_functions_in_one_stack_each_export_their_own_and_may_not_export_the_other_s(account: Account) -> None:
    items = make_items(account.aws)

    deployed = deploy(account, "given", "--context", f"items={items}")

    assert deployed.returncode == 0, deployed.stderr
    assert {job["datasetArn"] for job in account.jobs()} == {account.dataset_arn, items}
    assert len(functions(account)) == 2
    outputs = account.outputs("Functions")
    assert outputs["JobArn"] != outputs["ItemsJobArn"]
    allowed = {arn: policy_text(account, arn) for arn in functions(account)}
    assert allowed[outputs["Function"]].count(account.dataset_arn) == 1
    assert items not in allowed[outputs["Function"]]


def make_role(account: Account, name: str, service: str, actions: list[str]) -> None:
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}]}
    iam = account.aws.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", **trust}))
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=name, PolicyName="Central", PolicyDocument=document)


def policy_text(account: Account, function_arn: str) -> str:
    """Return every managed policy of the role of a function."""
    iam = account.aws.client("iam")
    role = account.aws.client("lambda").get_function(FunctionName=function_arn)["Configuration"]["Role"]
    attached = iam.list_attached_role_policies(RoleName=role.rpartition("/")[2])["AttachedPolicies"]
    texts = []
    for policy in attached:
        version = iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)
        texts.append(json.dumps(found["PolicyVersion"]["Document"]))
    return "".join(texts)
