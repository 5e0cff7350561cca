"""The permissions are enough, and not more: a deployment with IAM enforced, then each permission taken away.

What the function calls is recorded from its own requests. What Personalize does behind them is what AWS documents that
it must be allowed, since nobody outside sees it. The judge is `@cloud-copilot/iam-simulate`, which is not the evaluator
of the local AWS. It is under the AGPL: `make e2e WITHOUT_AGPL=1` does not install it, and reports this as left out.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from account import make_items, wait_for
from policies import PERSONALIZE, Policies, Question, Variant, delegates, listed, questions, simulate

from personalize_local import Settings

if TYPE_CHECKING:
    from account import Account

WITHOUT_AGPL = os.environ.get("WITHOUT_AGPL")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(WITHOUT_AGPL), reason="WITHOUT_AGPL is set: nothing says whether permissions are needless"),
]
APP = "tests/e2e/apps/owned.py"
STACK_HASH = "17b760"
EXPORTS = ("Default", "OwnBucket", "OwnKey", "OwnRole", "Imported", "Foreign")
FOREIGN, ANOTHER_ACCOUNT = "of-another-account", "111111111111"
SOURCE_ACCOUNT = "aws:sourceaccount"
DAY = 86400
PRINTED = r"cannot change (.*?)\. Exports fail.*?are in it:\n(\[\n.*?\n\])"
ELSEWHERE = "made-elsewhere"
ELSEWHERE_ROLE = f"arn:aws:iam::000000000000:role/{ELSEWHERE}"

AUTHORIZATION = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonpersonalize.html"
S3_ACCESS = "https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-s3-access.html"
KEY_ACCESS = "https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-key-access.html"
S3_KEYS = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html"
LAMBDA_ROLE = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html"

# Granted because AWS documents it, and asked here for that reason only: no request shows that it is used.
DOCUMENTED = {
    "the function: personalize:CreateDatasetExportJob on dataset": AUTHORIZATION,
    "Personalize: s3:ListBucket on the bucket": S3_ACCESS,
    "Personalize: s3:PutObject on objects": S3_ACCESS,
    "the role: kms:Decrypt on key": KEY_ACCESS,
    "the role: kms:DescribeKey on key": KEY_ACCESS,
    "the role: kms:GenerateDataKey on key": KEY_ACCESS,
    "the role: kms:ListGrants on key": KEY_ACCESS,
    "Personalize: kms:CreateGrant on key": KEY_ACCESS,
    "Personalize: kms:Decrypt on key": KEY_ACCESS,
    "Personalize: kms:DescribeKey on key": KEY_ACCESS,
    "Personalize: kms:GenerateDataKey on key": KEY_ACCESS,
    "Personalize: kms:ListGrants on key": KEY_ACCESS,
}
# Needed, but the local AWS does not ask: its Lambda assumes the role of a function without a check, its dataset groups
# have no keys, and its S3 asks no key on behalf of who writes.
NOT_RECORDED = {
    ("ProviderRole", "sts:AssumeRole"): LAMBDA_ROLE,
    ("", "kms:GenerateDataKeyWithoutPlaintext"): KEY_ACCESS,
    ("ProviderRole", "kms:Decrypt"): S3_KEYS,
    ("ProviderRole", "kms:GenerateDataKey"): S3_KEYS,
}
OF_MANIFESTS_IN_KEY = ["kms:Decrypt", "kms:GenerateDataKey"]  # the same, in the policy of the key


@pytest.mark.parametrize(
    "account", [Settings(job_seconds=12, resource_seconds=0, schedule_deliveries=2)], indirect=True
)
def test_permissions_are_enough_for_everything_a_user_may_own_and_none_can_be_taken_away(account: Account) -> None:
    deploy_everything(account)

    buckets = {ELSEWHERE: account.aws.client("s3"), FOREIGN: account.aws.client("s3", account=ANOTHER_ACCOUNT)}
    policies = Policies.of(account, "Owned", roles=[ELSEWHERE], buckets=buckets)
    foreign = f"{ANOTHER_ACCOUNT}:{FOREIGN}"
    asked = questions(account.aws.calls(), policies, home=account.aws.account, foreign=foreign)
    variants = list(policies.variants(theirs=[f"{ELSEWHERE_ROLE} trust", own_role_trust(policies)]))
    unsaid, overreaching = without_saying_for_whom(asked), list(probes(asked))
    answer = simulate(policies, [*asked, *unsaid, *(probe for _, probe in overreaching)], variants)

    for question, given in zip(asked, answer["answers"], strict=False):
        assert_allowed_by_the_one_statement_meant_for_it(question, given, policies)
    needless, documented = [], set()
    for variant, denied in zip(variants, answer["variants"], strict=True):
        names = {asked[number].name for number in denied if number < len(asked)}
        if names and names <= set(DOCUMENTED):
            documented |= names
        elif not names and not is_not_recorded(variant):
            needless.append(variant.label)
    assert needless == []
    assert documented == set(DOCUMENTED)
    for question, given in zip(unsaid, answer["answers"][len(asked) :], strict=False):
        assert given["result"] == "Allowed", f"{question.name}, where Personalize does not say for whom"
    for (name, _), given in zip(overreaching, answer["answers"][len(asked) + len(unsaid) :], strict=True):
        assert given["result"] != "Allowed", name
    print(f"{len(asked)} calls, {len(variants)} removals, {len(overreaching)} probes")  # noqa: T201 - shown by pytest -s


def without_saying_for_whom(asked: list[Question]) -> list[Question]:
    """Return what Personalize asks of buckets and keys, without a word about the account it acts for."""
    said = {SOURCE_ACCOUNT, "aws:sourcearn"}
    return [
        question.but(context={key: value for key, value in question.context.items() if key.lower() not in said})
        for question in of_the_service(asked)
    ]


def of_the_service(asked: list[Question]) -> list[Question]:
    """Return the calls of Personalize itself on buckets and keys."""
    return [q for q in asked if q.principal == PERSONALIZE and q.resource.split(":")[2] in {"s3", "kms"}]


def deploy_everything(account: Account) -> None:
    """Make what the app imports, with the statements synthesis prints and no others; deploy; wait for every job."""
    datasets = f"{account.dataset_arn},{make_items(account.aws)}"
    context = ("--context", f"dataset={account.dataset_arn}", "--context", f"further_datasets={datasets}")
    synthesised = account.cdk("synth", "--quiet", *context, app=APP)
    assert synthesised.returncode == 0, synthesised.stderr
    printed = re.findall(PRINTED, synthesised.stderr, re.DOTALL)
    statements = {" ".join(where.split()): json.loads(text) for where, text in printed}
    assert len(statements) == 3
    iam, s3, foreign_s3 = (
        account.aws.client("iam"),
        account.aws.client("s3"),
        account.aws.client("s3", account=ANOTHER_ACCOUNT),
    )
    trust = {"Effect": "Allow", "Principal": {"Service": "personalize.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=ELSEWHERE, AssumeRolePolicyDocument=document([trust]))
    role_statements = statements[f"the policies of role {ELSEWHERE_ROLE}"]
    iam.put_role_policy(RoleName=ELSEWHERE, PolicyName="Printed", PolicyDocument=document(role_statements))
    for client, bucket in ((s3, ELSEWHERE), (foreign_s3, FOREIGN)):
        client.create_bucket(Bucket=bucket)
        bucket_statements = statements[f"the policy of the bucket of s3://{bucket}/personalize/"]
        client.put_bucket_policy(Bucket=bucket, Policy=document(bucket_statements))
    account.aws.clear_calls()

    deployed = account.cdk("deploy", "--require-approval", "never", app=str(account.output / "cdk.out"))

    assert deployed.returncode == 0, deployed.stderr
    wait_for(lambda: all(job["status"] in {"ACTIVE", "CREATE FAILED"} for job in account.jobs()), seconds=60)
    outcomes = {re.sub("-[^-]*$", "", job["jobName"]): job.get("failureReason") for job in account.jobs()}
    parts = [*(f"{name}Export" for name in EXPORTS), "Interactions", "Items"]
    assert outcomes == dict.fromkeys(f"Owned-{STACK_HASH}-{part}" for part in parts)
    send_a_request_nobody_waits_for(account)
    let_nights_pass(account)


def let_nights_pass(account: Account) -> None:
    """Let a schedule have its export made, listed and told; then one that finds no function and tells a queue."""

    def has_been(action: str, on: str = "") -> bool:
        calls = [call for call in account.aws.calls() if call["action"] == action and call["allowed"]]
        return any(on in resource for call in calls for resource in call["resources"])

    account.aws.advance_clock(DAY)
    wait_for(lambda: has_been("events:PutEvents"), seconds=90)
    wait_for(lambda: has_been("s3:GetObject", "/hive/"), seconds=90)  # of the tick's second delivery
    resources = account.aws.client("cloudformation").describe_stack_resources(StackName="Owned")["StackResources"]
    (function,) = [r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::Lambda::Function"]
    account.aws.client("lambda").delete_function(FunctionName=function)
    account.aws.advance_clock(DAY)

    def is_undeliverable() -> bool:
        account.aws.advance_clock(DAY / 4)  # Scheduler tries again and again, for half a day here
        return has_been("sqs:SendMessage")

    wait_for(is_undeliverable, seconds=90)


def send_a_request_nobody_waits_for(account: Account) -> None:
    """Let the function find a request of five minutes ago: it asks CloudFormation, and starts nothing."""
    before = account.jobs()
    cloudformation, functions = account.aws.client("cloudformation"), account.aws.client("lambda")
    resources = cloudformation.describe_stack_resources(StackName="Owned")["StackResources"]
    (resource,) = [r for r in resources if r["LogicalResourceId"].startswith("DefaultExportResource")]
    function = next(r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::Lambda::Function")
    job = next(job for job in before if "DefaultExport" in job["jobName"])
    signed_at = dt.datetime.now(dt.timezone.utc) - dt.timedelta(minutes=5)
    event = {
        "RequestType": "Create",
        "ResponseURL": f"{account.aws.endpoint}/answers/none?X-Amz-Date={signed_at:%Y%m%dT%H%M%SZ}",
        "StackId": resource["StackId"],
        "RequestId": "11111111-2222-3333-4444-555555555555",
        "LogicalResourceId": resource["LogicalResourceId"],
        "ResourceType": resource["ResourceType"],
        "ResourceProperties": {
            "ExportId": "Late",
            "JobNamePrefix": f"Owned-{STACK_HASH}-Late",
            "DatasetArn": job["datasetArn"],
            "RoleArn": job["roleArn"],
            "Bucket": job["jobOutput"]["s3DataDestination"]["path"].split("/")[2],
            "Prefix": "personalize/",
        },
    }
    functions.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event))
    asked = "cloudformation:DescribeStackResource"
    wait_for(lambda: asked in [call["action"] for call in account.aws.calls()], seconds=60)
    assert [one["jobName"] for one in account.jobs()] == [one["jobName"] for one in before]


def document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def own_role_trust(policies: Policies) -> str:
    (name,) = [name for name in policies.documents if re.search(r"/Owned-OwnRole[0-9A-F]{8}-\w+ trust$", name)]
    return name


def is_not_recorded(variant: Variant) -> bool:
    # Documented for the role in the key's policy, and not in the role's own: no call of the local AWS shows it.
    if variant.label.endswith("without kms:CreateGrant") or variant.actions == OF_MANIFESTS_IN_KEY:
        return True
    return any(role in variant.policy and variant.actions == [action] for role, action in NOT_RECORDED)


def assert_allowed_by_the_one_statement_meant_for_it(
    question: Question, given: dict[str, Any], policies: Policies
) -> None:
    assert given["result"] == "Allowed", question
    found = {
        (name, int(number))
        for name, number in given["allowedBy"]
        if not delegates(policies.documents[name]["Statement"][int(number) - 1])
    }
    assert sorted(name for name, _ in found) == sorted(question.meant)
    for name, number in found:
        assert question.action in listed(policies.documents[name]["Statement"][number - 1]["Action"])


def probes(asked: list[Question]) -> list[tuple[str, Question]]:
    """Return calls close to those that were made, which no statement may allow."""
    found, strangers = [], of_the_service(asked)
    for question in asked:
        attempts = near_misses(question)
        if question in strangers:
            attempts["for a stranger"] = question.but(context={**question.context, SOURCE_ACCOUNT: ANOTHER_ACCOUNT})
        found += [(f"{question.name} {what}", probe) for what, probe in attempts.items()]
    return found


def near_misses_in_a_bucket(question: Question) -> dict[str, Question]:
    """Return the same for what is done in a bucket."""
    context, (bucket, _, key) = question.context, question.resource.partition("/")
    attempts: dict[str, Question] = {}
    of_the_function = "ProviderRole" in question.principal
    if question.action == "s3:PutObject":
        attempts["outside the prefix"] = question.but(resource=f"{bucket}/elsewhere/part")
        if not bucket.endswith((ELSEWHERE, FOREIGN)):
            attempts["without TLS"] = question.but(context={**context, "aws:SecureTransport": "false"})
    if question.action == "s3:ListBucket" and of_the_function:
        anything = {name: value for name, value in context.items() if name != "s3:prefix"}
        attempts["of another prefix"] = question.but(context={**anything, "s3:prefix": "elsewhere/"})
        attempts["of everything"] = question.but(context=anything)
    if key and of_the_function:
        attempts["of the data"] = question.but(resource=f"{bucket}/personalize/Owned-1/part-0.csv")
    if question.action == "s3:GetObject":
        attempts["of a manifest"] = question.but(resource=f"{bucket}/{key.replace('hive/', '_manifests/')}")
    return attempts


def near_misses(question: Question) -> dict[str, Question]:
    """Return what to ask instead of a question, by what is different."""
    context, resource = question.context, question.resource
    attempts: dict[str, Question] = {}
    match question.action:
        case "iam:PassRole":
            attempts["to another service"] = question.but(context={"iam:PassedToService": "lambda.amazonaws.com"})
            attempts["another role"] = question.but(resource=f"{resource}2")
        case "sts:AssumeRole" if "OwnRole" not in resource and ELSEWHERE not in resource:
            attempts["for another account"] = question.but(context={**context, "aws:sourceaccount": "111111111111"})
            other = str(context["aws:sourcearn"]).replace("us-east-1", "eu-west-1")
            attempts["for another region"] = question.but(context={**context, "aws:sourcearn": other})
        case "s3:PutObject" | "s3:ListBucket" | "s3:GetObject":
            return near_misses_in_a_bucket(question)
        case "cloudformation:DescribeStackResource":
            attempts["of another stack"] = question.but(resource=resource.replace("/Owned/", "/Other/"))
        case "events:PutEvents":
            attempts["of another source"] = question.but(context={**context, "events:source": "another"})
            attempts["of another type"] = question.but(context={**context, "events:detail-type": "another"})
            attempts["on another bus"] = question.but(resource=f"{resource}2")
        case "lambda:InvokeFunction" | "sqs:SendMessage":
            attempts["of another one"] = question.but(resource=f"{resource}2")
        case "logs:PutLogEvents" | "logs:CreateLogStream":
            attempts["of another group"] = question.but(resource=resource.replace("ProviderLogs", "OtherLogs"))
        case _ if resource.startswith("arn:aws:personalize:"):
            other = re.sub("(dataset|dataset-export-job)/(shop|Owned)", r"\1/Other", resource)
            attempts["of another stack"] = question.but(resource=other)
    return attempts
