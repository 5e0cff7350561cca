"""With IAM on, who may do what is decided as on AWS, and refused in AWS's words."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from personalize_local import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from personalize_local import LocalAws

SERVICE = "personalize.amazonaws.com"
ACCOUNT = "000000000000"
ROWS = "USER_ID,ITEM_ID,TIMESTAMP\nu1,i1,1600000001\nu2,i2,1600000002\n"  # what the fixture imports
JOBS = f"arn:aws:personalize:us-east-1:{ACCOUNT}:dataset-export-job"


def refusal(call: Callable[[], Any]) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


def not_authorized(message: str, action: str, resource: str) -> bool:
    return f"is not authorized to perform: {action} on resource: {resource} because no identity-based policy" in message


def test_an_export_needs_the_dataset_the_job_and_pass_role_and_nothing_else(world: Any, acting_as: Any) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset()
    allowed = [
        ("personalize:CreateDatasetExportJob", dataset),
        ("personalize:CreateDatasetExportJob", f"{JOBS}/{world.name}-*"),
        ("iam:PassRole", world.role_arn),
    ]
    only_here = {"iam:PassRole": {"StringEquals": {"iam:PassedToService": SERVICE}}}
    assert world.start_export(dataset, personalize=acting_as(*allowed, conditions=only_here))

    missing_resources = [dataset, f"{JOBS}/{world.name}-job", world.role_arn]
    for left_out, resource in zip(allowed, missing_resources, strict=True):
        client = acting_as(*(pair for pair in allowed if pair != left_out))
        start = functools.partial(world.start_export, dataset, personalize=client, jobName=f"{world.name}-job")
        code, status, message = refusal(start)
        assert (code, status) == ("AccessDeniedException", 400)
        assert not_authorized(message, left_out[0], resource)
        assert message.startswith(f"User: arn:aws:iam::{ACCOUNT}:user/{world.name}-user-")


def test_pass_role_to_another_service_is_no_pass_role(world: Any, acting_as: Any) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset(records=False)
    elsewhere = {"iam:PassRole": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}}
    client = acting_as(("personalize:*", "*"), ("iam:PassRole", "*"), conditions=elsewhere)
    _, _, message = refusal(lambda: world.start_export(dataset, personalize=client))
    assert not_authorized(message, "iam:PassRole", world.role_arn)


def test_tags_need_tag_resource_on_the_job(world: Any, acting_as: Any) -> None:
    dataset = world.make_dataset(records=False)
    client = acting_as(("personalize:CreateDatasetExportJob", "*"), ("iam:PassRole", "*"))
    tags = [{"tagKey": "team", "tagValue": "data"}]
    _, _, message = refusal(
        lambda: world.start_export(dataset, personalize=client, tags=tags, jobName=f"{world.name}-tagged")
    )
    assert not_authorized(message, "personalize:TagResource", f"{JOBS}/{world.name}-tagged")


def test_describe_needs_the_job(acting_as: Any) -> None:
    client = acting_as()
    _, _, message = refusal(lambda: client.describe_dataset_export_job(datasetExportJobArn=f"{JOBS}/any"))
    assert not_authorized(message, "personalize:DescribeDatasetExportJob", f"{JOBS}/any")


def test_events_are_refused_in_rest_json(acting_as: Any) -> None:
    client = acting_as(service="personalize-events")
    code, status, message = refusal(
        lambda: client.put_users(datasetArn="arn:aws:personalize:x", users=[{"userId": "1"}])
    )
    assert (code, status) == ("AccessDeniedException", 403)
    assert not_authorized(message, "personalize:PutUsers", "arn:aws:personalize:x")


def test_an_unknown_key_is_not_let_in(aws: LocalAws) -> None:
    client = boto3.client(
        "personalize",
        endpoint_url=aws.endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIAUNKNOWN",
        aws_secret_access_key="x",
    )
    assert refusal(client.list_schemas)[0] == "UnrecognizedClientException"


@pytest.mark.parametrize(
    ("service", "condition"),
    [
        ("lambda.amazonaws.com", {}),
        (SERVICE, {"StringEquals": {"aws:SourceAccount": "111111111111"}}),
        (SERVICE, {"StringLike": {"aws:SourceArn": "arn:aws:personalize:eu-west-1:000000000000:*"}}),
    ],
)
def test_a_role_that_does_not_trust_personalize_is_refused(world: Any, service: str, condition: Any) -> None:
    dataset = world.make_dataset(records=False)
    document = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": condition,
    }
    role = world.make_role("untrusting", json.dumps({"Version": "2012-10-17", "Statement": document}), ["s3:*"])
    code, status, message = refusal(lambda: world.start_export(dataset, roleArn=role))
    assert (code, status) == ("InvalidInputException", 400)
    assert message.startswith(f"Amazon Personalize can't assume the role {role}.")


def test_a_role_with_the_documented_trust_conditions_is_assumed(world: Any) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset()
    document = {
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            "StringLike": {"aws:SourceArn": f"arn:aws:personalize:us-east-1:{ACCOUNT}:*"},
        },
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": [document]})
    role = world.make_role("trusting", trust, ["s3:ListBucket", "s3:PutObject"])
    assert world.export(dataset, roleArn=role)["status"] == "ACTIVE"


def test_an_export_is_written_with_the_role_of_the_job(world: Any, aws: LocalAws) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset()
    assert world.export(dataset)["status"] == "ACTIVE"
    assert sorted(world.exported("out/")) == sorted(ROWS.splitlines())
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{world.name}-export/"
    actions = {call["action"] for call in aws.calls() if call["principal"].startswith(session)}
    assert actions == {"s3:ListBucket", "s3:GetObject", "s3:PutObject"}


@pytest.mark.parametrize("missing", ["s3:ListBucket", "s3:PutObject"])
def test_a_role_policy_without_one_action_fails_the_job(world: Any, missing: str) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset()
    actions = [action for action in ("s3:ListBucket", "s3:PutObject") if action != missing]
    trust = json.dumps(
        {"Statement": {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}}
    )
    role = world.make_role("weak", trust, actions)
    job = world.export(dataset, roleArn=role)
    assert job["status"] == "CREATE FAILED"
    assert "Insufficient privileges" in job["failureReason"]
    assert world.objects("out/") == []


@pytest.mark.parametrize("missing", ["s3:ListBucket", "s3:PutObject"])
def test_a_bucket_policy_without_one_action_for_personalize_fails_the_job(world: Any, missing: str) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset()
    granted = [
        {
            "Effect": "Allow",
            "Principal": {"Service": SERVICE},
            "Action": action,
            "Resource": [world.bucket_arn, f"{world.bucket_arn}/*"],
        }
        for action in ("s3:ListBucket", "s3:PutObject")
        if action != missing
    ]
    world.s3.put_bucket_policy(Bucket=world.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": granted}))
    job = world.export(dataset)
    assert job["status"] == "CREATE FAILED"
    assert f"fix bucket policy on {world.name}" in job["failureReason"]


def test_an_ssl_only_bucket_accepts_the_export(world: Any) -> None:
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [world.bucket_arn, f"{world.bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject", deny=deny)
    assert world.export(world.make_dataset())["status"] == "ACTIVE"


def test_a_key_needs_grants_for_the_role_and_for_personalize(world: Any, aws: LocalAws) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset()
    kms, everything = aws.client("kms"), {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    root = {**everything, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
    both = {**everything, "Principal": {"AWS": world.role_arn, "Service": SERVICE}}

    def export_with(*statements: dict[str, Any]) -> dict[str, Any]:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        key: str = kms.create_key(Policy=document)["KeyMetadata"]["Arn"]
        output = {"s3DataDestination": {"path": f"s3://{world.name}/out/", "kmsKeyArn": key}}
        job: dict[str, Any] = world.export(dataset, jobOutput=output)
        return job

    assert export_with(root)["status"] == "CREATE FAILED"
    assert export_with(root, {**both, "Principal": {"AWS": world.role_arn}})["status"] == "CREATE FAILED"
    assert export_with(root, both)["status"] == "ACTIVE"


def test_import_of_an_encrypted_object_needs_grants_of_its_key_for_the_role_and_for_personalize(
    world: Any, aws: LocalAws
) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset(records=False)
    kms, everything = aws.client("kms"), {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    root = {**everything, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
    personalize = {**everything, "Principal": {"Service": SERVICE}}
    role = {**everything, "Principal": {"AWS": world.role_arn}}

    def import_with(*statements: dict[str, Any]) -> tuple[str, str]:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        key: str = kms.create_key(Policy=document)["KeyMetadata"]["Arn"]
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
        world.s3.put_object(Bucket=world.name, Key="encrypted.csv", Body=ROWS, **encryption)
        job = world.import_key(dataset, "encrypted.csv")
        return job["status"], job.get("failureReason", "").replace(key, "KEY")

    refused = "Insufficient privileges for using the KMS key KEY: "
    status, reason = import_with(root)
    assert status == "CREATE FAILED"
    assert reason.startswith(f"{refused}{world.role_arn} is not allowed kms:Decrypt on it.")
    status, reason = import_with(root, role)
    assert status == "CREATE FAILED"
    assert reason.startswith(f"{refused}Its policy does not allow {SERVICE} kms:Decrypt.")
    assert import_with(root, role, personalize) == ("ACTIVE", "")


def test_import_from_a_bucket_that_encrypts_needs_its_key(world: Any, aws: LocalAws) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset(records=False)
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    world.s3.put_bucket_encryption(Bucket=world.name, ServerSideEncryptionConfiguration=rules)
    assert world.import_key(dataset, "in.csv")["status"] == "ACTIVE"  # written before
    world.s3.put_object(Bucket=world.name, Key="after.csv", Body=ROWS)
    job = world.import_key(dataset, "after.csv")
    assert job["status"] == "CREATE FAILED"
    assert key in job["failureReason"]


def test_faults_are_set_while_it_runs(world: Any, aws: LocalAws) -> None:
    dataset = world.make_dataset(records=False)
    busy = Fault(
        operation="CreateDatasetExportJob", match=world.name, error="ResourceInUseException", message="Not now"
    )
    aws.set_faults([busy])
    assert refusal(lambda: world.start_export(dataset))[::2] == ("ResourceInUseException", "Not now")
    assert world.start_export(dataset)


def test_every_call_is_recorded_with_its_resources(world: Any, aws: LocalAws) -> None:
    dataset = world.make_dataset(records=False)
    aws.clear_calls()
    job = world.start_export(dataset)
    root = f"arn:aws:iam::{ACCOUNT}:root"
    recorded = [(c["service"], c["action"], c["resources"], c["principal"], c["allowed"]) for c in aws.calls()]
    assert recorded[:2] == [
        ("personalize", "personalize:CreateDatasetExportJob", [dataset, job], root, True),
        ("iam", "iam:PassRole", [world.role_arn], root, True),
    ]


@pytest.mark.parametrize("named", [True, False])
def test_a_bucket_of_another_account_must_let_the_role_in_by_its_own_policy(
    world: Any, aws: LocalAws, *, named: bool
) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    bucket = f"{world.name}-foreign"
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    allowed = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:PutObject"], "Resource": resources}
    role = world.role_arn if named else f"{world.role_arn}-other"
    condition = {"ArnEquals": {"aws:PrincipalArn": role}}
    account = {**allowed, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Condition": condition}
    document = {"Version": "2012-10-17", "Statement": [{**allowed, "Principal": {"Service": SERVICE}}, account]}
    other = aws.client("s3", account="111111111111")
    other.create_bucket(Bucket=bucket)
    other.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    job = world.export(world.make_dataset(), jobOutput={"s3DataDestination": {"path": f"s3://{bucket}/out/"}})
    assert job["status"] == ("ACTIVE" if named else "CREATE FAILED")
    assert other.list_objects_v2(Bucket=bucket)["KeyCount"] == (3 if named else 0)


BUS = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
EVENT = {"Source": "shop", "DetailType": "Sold", "Detail": "{}"}


def test_who_may_put_events_of_one_source_and_type_may_put_no_others(acting_as: Any) -> None:
    only_these = {"events:PutEvents": {"StringEquals": {"events:source": "shop", "events:detail-type": "Sold"}}}
    events = acting_as(("events:PutEvents", BUS), service="events", conditions=only_these)

    assert events.put_events(Entries=[EVENT, EVENT])["FailedEntryCount"] == 0
    for other in ({"Source": "another"}, {"DetailType": "Stolen"}):
        for entries in ([{**EVENT, **other}], [EVENT, {**EVENT, **other}]):
            code, _, message = refusal(functools.partial(events.put_events, Entries=entries))
            assert code == "AccessDeniedException"
            assert "is not authorized to perform: events:PutEvents because no identity-based policy" in message
