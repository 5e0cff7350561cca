"""CloudFormation with Personalize's types, and custom resources run as on AWS."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.personalize_local.stacks import Stack, custom

if TYPE_CHECKING:
    from personalize_local import LocalAws

SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Interactions",
        "namespace": "com.amazonaws.personalize.schema",
        "fields": [
            {"name": "USER_ID", "type": "string"},
            {"name": "ITEM_ID", "type": "string"},
            {"name": "TIMESTAMP", "type": "long"},
        ],
        "version": "1.0",
    }
)


@pytest.fixture
def stack(aws: LocalAws, world: Any) -> Stack:
    return Stack(aws, world.name)


def personalize_types(name: str, import_job: dict[str, Any] | None = None, dataset_name: str = "") -> dict[str, Any]:
    group = {"Fn::GetAtt": ["Group", "DatasetGroupArn"]}
    dataset = {
        "Name": dataset_name or name,
        "DatasetGroupArn": group,
        "DatasetType": "Interactions",
        "SchemaArn": {"Fn::GetAtt": ["Schema", "SchemaArn"]},
    }
    if import_job:
        dataset["DatasetImportJob"] = import_job
    return {
        "Schema": {"Type": "AWS::Personalize::Schema", "Properties": {"Name": name, "Schema": SCHEMA}},
        "Group": {"Type": "AWS::Personalize::DatasetGroup", "Properties": {"Name": name}},
        "Dataset": {"Type": "AWS::Personalize::Dataset", "Properties": dataset},
        "Tracker": {
            "Type": "AWS::Personalize::EventTracker",
            "Properties": {"Name": name, "DatasetGroupArn": group},
            "DependsOn": ["Dataset"],
        },
    }


def test_no_two_events_of_a_stack_have_the_same_time(stack: Stack) -> None:
    stack.deploy(personalize_types(stack.name))
    events = stack.cloudformation.describe_stack_events(StackName=stack.name)["StackEvents"]
    times = [event["Timestamp"] for event in events]
    assert len(times) == 12  # the stack, its function and four of Personalize's types, each begun and ended
    assert times == sorted(set(times), reverse=True)


def test_personalize_resources_are_active_when_created_and_gone_when_deleted(stack: Stack, world: Any) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject")
    source = {"DataLocation": f"s3://{world.name}/in.csv"}
    import_job = {"JobName": world.name, "RoleArn": world.role_arn, "DataSource": source}
    outputs = {
        "SchemaArn": {"Fn::GetAtt": ["Schema", "SchemaArn"]},
        "GroupArn": {"Fn::GetAtt": ["Group", "DatasetGroupArn"]},
        "DatasetArn": {"Fn::GetAtt": ["Dataset", "DatasetArn"]},
        "TrackerArn": {"Fn::GetAtt": ["Tracker", "EventTrackerArn"]},
        "TrackingId": {"Fn::GetAtt": ["Tracker", "TrackingId"]},
        "DatasetRef": {"Ref": "Dataset"},
    }
    assert stack.deploy(personalize_types(world.name, import_job), outputs) == "CREATE_COMPLETE"
    found = stack.outputs()
    prefix = "arn:aws:personalize:us-east-1:000000000000"
    assert found["SchemaArn"] == f"{prefix}:schema/{world.name}"
    assert found["GroupArn"] == f"{prefix}:dataset-group/{world.name}"
    assert found["DatasetArn"] == f"{prefix}:dataset/{world.name}/INTERACTIONS"
    assert found["TrackerArn"].startswith(f"{prefix}:event-tracker/")
    assert found["DatasetRef"] == world.name
    described = world.personalize.describe_event_tracker(eventTrackerArn=found["TrackerArn"])["eventTracker"]
    assert (described["trackingId"], described["status"]) == (found["TrackingId"], "ACTIVE")
    (job,) = world.personalize.list_dataset_import_jobs(datasetArn=found["DatasetArn"])["datasetImportJobs"]
    assert job["status"] == "ACTIVE"

    assert stack.delete() == "DELETE_COMPLETE"
    groups = world.personalize.list_dataset_groups()["datasetGroups"]
    assert world.name not in {group["name"] for group in groups}


def test_a_failed_import_fails_the_stack_with_its_reason_and_leaves_nothing(stack: Stack, world: Any) -> None:
    world.make_bucket()  # grants Personalize nothing
    source = {"DataLocation": f"s3://{world.name}/in.csv"}
    import_job = {"JobName": world.name, "RoleArn": world.role_arn, "DataSource": source}
    assert stack.deploy(personalize_types(world.name, import_job)) == "ROLLBACK_COMPLETE"
    assert f"fix bucket policy on {world.name}." in stack.reasons()
    assert "HandlerErrorCode: NotStabilized" in stack.reasons()
    datasets = world.personalize.list_datasets()["datasets"]
    assert world.name not in {dataset["name"] for dataset in datasets}


def test_an_invalid_property_fails_the_stack_with_the_services_words(stack: Stack) -> None:
    resources = {"Schema": {"Type": "AWS::Personalize::Schema", "Properties": {"Name": "no spaces", "Schema": SCHEMA}}}
    assert stack.deploy(resources) == "ROLLBACK_COMPLETE"
    assert "no spaces" in stack.reasons()
    assert "HandlerErrorCode: InvalidRequest" in stack.reasons()


def test_a_changed_create_only_property_replaces_even_under_the_same_name(stack: Stack, world: Any) -> None:
    assert stack.deploy(personalize_types(world.name, dataset_name=world.name)) == "CREATE_COMPLETE"
    assert stack.deploy(personalize_types(f"{world.name}-b", dataset_name=world.name)) == "UPDATE_COMPLETE"
    arns = [found["datasetArn"] for found in world.personalize.list_datasets()["datasets"]]
    assert [arn for arn in arns if world.name in arn] == [
        f"arn:aws:personalize:us-east-1:000000000000:dataset/{world.name}-b/INTERACTIONS"
    ]


def test_the_response_url_is_presigned_and_its_signature_is_checked(stack: Stack) -> None:
    unsigned = custom("b", Unsigned="Create", ServiceTimeout="3")
    assert stack.deploy({"A": custom("a"), "B": unsigned}) == "ROLLBACK_COMPLETE"
    assert "CloudFormation did not receive a response from your Custom Resource" in stack.reasons()
    stack.received(2)
    url = stack.lines()[0]["event"]["ResponseURL"]
    date = url.split("X-Amz-Date=")[1].split("&")[0]
    sent = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    assert abs((datetime.now(timezone.utc) - sent).total_seconds()) < 60
    assert url.startswith(stack.aws.endpoint)
    assert "X-Amz-Signature=" in url


def test_a_failed_create_is_deleted_on_rollback_with_the_id_it_answered(stack: Stack) -> None:
    assert stack.deploy({"A": custom("made-id", Fail="Create")}) == "ROLLBACK_COMPLETE"
    assert stack.received(2) == [("Create", None), ("Delete", "made-id")]
    assert "Received response status [FAILED] from custom resource. Message returned: as asked" in stack.reasons()


def test_a_create_that_never_answered_is_deleted_under_an_id_of_cloudformation(stack: Stack) -> None:
    begun = time.monotonic()
    assert stack.deploy({"A": custom(Silent="Create", ServiceTimeout="4")}) == "ROLLBACK_COMPLETE"
    assert time.monotonic() - begun < 30
    (_, created), (kind, deleted) = stack.received(2)
    assert (created, kind) == (None, "Delete")
    assert str(deleted).startswith(f"{stack.name}-A-")


def test_a_failed_create_in_an_update_is_deleted_too(stack: Stack) -> None:
    assert stack.deploy({"A": custom("a")}) == "CREATE_COMPLETE"
    assert stack.deploy({"A": custom("a"), "B": custom("b", Fail="Create")}) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.received(3) == [("Create", None), ("Create", None), ("Delete", "b")]


def test_a_failed_create_that_was_kept_is_deleted_with_its_stack(stack: Stack) -> None:
    assert stack.deploy({"A": custom("a", Fail="Create")}, DisableRollback=True) == "CREATE_FAILED"
    assert stack.received(1) == [("Create", None)]
    assert stack.delete() == "DELETE_COMPLETE"


def test_a_rolled_back_replacement_gets_an_update_back_and_then_its_delete(stack: Stack) -> None:
    assert stack.deploy({"A": custom("old")}) == "CREATE_COMPLETE"
    status = stack.deploy({"A": custom("new"), "B": custom("b", after="A", Fail="Create")})
    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.received(6) == [
        ("Create", None),
        ("Update", "old"),
        ("Create", None),
        ("Update", "new"),
        ("Delete", "b"),
        ("Delete", "new"),
    ]
    back = stack.lines()[3]["event"]
    assert (back["ResourceProperties"]["Id"], back["OldResourceProperties"]["Id"]) == ("old", "new")
    assert stack.deploy({"A": custom("old"), "C": custom("c")}) == "UPDATE_COMPLETE"


def test_a_rollback_that_can_not_go_back_says_so(stack: Stack) -> None:
    assert stack.deploy({"A": custom("old", Fail="Update")}) == "CREATE_COMPLETE"
    status = stack.deploy({"A": custom("new"), "B": custom("b", after="A", Fail="Create")})
    assert status == "UPDATE_ROLLBACK_FAILED"
    assert "The following resource(s) failed to update: [A]." in stack.reasons()


def test_a_crashed_invocation_is_retried_twice(stack: Stack) -> None:
    assert stack.deploy({"A": custom(Crash="Create", ServiceTimeout="8")}) == "ROLLBACK_COMPLETE"
    kinds = [kind for kind, _ in stack.received(4)]
    assert kinds == ["Create", "Create", "Create", "Delete"]


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ({"Data": {"Echo": "x" * 4096}}, "Response object is too long."),
        ({"RequestId": "other"}, "Invalid RequestId."),
        ({"PhysicalResourceId": ""}, "Invalid PhysicalResourceId"),
        ({"Status": "DONE"}, "Invalid Status."),
    ],
)
def test_a_malformed_answer_fails_the_resource(stack: Stack, override: dict[str, Any], reason: str) -> None:
    resources = {"A": custom(Override=json.dumps(override))}
    assert stack.deploy(resources, DisableRollback=True) == "CREATE_FAILED"
    assert reason in stack.reasons()


def test_the_function_knows_its_log_group(stack: Stack) -> None:
    assert stack.deploy({"A": custom()}) == "CREATE_COMPLETE"
    stack.received(1)
    assert stack.lines()[0]["group"] == f"/test/{stack.name}"


def test_a_role_that_may_not_log_leaves_no_log(aws: LocalAws, world: Any) -> None:
    stack = Stack(aws, world.name, logs_allowed=False)
    assert stack.deploy({"A": custom()}) == "CREATE_COMPLETE"
    session = f"assumed-role/{world.name}-Role"
    deadline = time.monotonic() + 10
    while not (denied := [call for call in aws.calls() if session in call["principal"] and not call["allowed"]]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {call["action"] for call in denied} == {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert stack.lines() == []


def test_a_bucket_keeps_its_tags_and_is_not_deleted_while_it_holds_objects(stack: Stack, world: Any) -> None:
    tags = [{"Key": "team", "Value": "data"}]
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": world.name, "Tags": tags}}
    assert stack.deploy({"Bucket": bucket}) == "CREATE_COMPLETE"
    assert tags[0] in world.s3.get_bucket_tagging(Bucket=world.name)["TagSet"]
    world.s3.put_object(Bucket=world.name, Key="k", Body=b"x")
    assert stack.delete() == "DELETE_FAILED"
    assert "The bucket you tried to delete is not empty" in stack.reasons()
    world.s3.delete_object(Bucket=world.name, Key="k")
    assert stack.delete() == "DELETE_COMPLETE"


def test_the_processes_of_a_deleted_function_end(stack: Stack) -> None:
    assert stack.deploy({"A": custom()}) == "CREATE_COMPLETE"
    workers = stack.aws.log_path.parent / "tmp"
    assert list(workers.glob(f"ministack-lambda-{stack.name}-*"))
    assert stack.delete() == "DELETE_COMPLETE"
    deadline = time.monotonic() + 10
    while list(workers.glob(f"ministack-lambda-{stack.name}-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
