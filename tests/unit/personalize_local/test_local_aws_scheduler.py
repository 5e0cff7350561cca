"""EventBridge Scheduler as AWS documents it: what it refuses, when it invokes and with which role, and its end."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from personalize_local import LocalAws, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT, REGION = "000000000000", "us-east-1"
PRINCIPAL = "scheduler.amazonaws.com"
OFF = {"Mode": "OFF"}
CONTEXT = {
    name: f"<aws.scheduler.{name}>" for name in ("schedule-arn", "scheduled-time", "execution-id", "attempt-number")
}
ALLOWED = ("sqs:SendMessage", "sns:Publish", "events:PutEvents", "lambda:InvokeFunction")


@dataclass
class Scheduling:
    """A schedule group, a role that Scheduler may assume, a queue as target and another for dead letters."""

    aws: LocalAws
    name: str

    def __post_init__(self) -> None:
        self.scheduler = self.aws.client("scheduler")
        self.sqs = self.aws.client("sqs")
        self.queue = self.make_queue(self.name)
        self.dead = self.make_queue(f"{self.name}-dead")
        self.group_arn = self.scheduler.create_schedule_group(Name=self.name)["ScheduleGroupArn"]
        self.role = self.make_role(self.name, ALLOWED)

    def make_queue(self, name: str) -> str:
        self.sqs.create_queue(QueueName=name)
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def make_role(self, name: str, actions: tuple[str, ...], condition: Any = None, principal: str = PRINCIPAL) -> str:
        iam = self.aws.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}
        trust |= {"Condition": condition} if condition else {}
        document = {"Version": "2012-10-17", "Statement": [trust]}
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
        self.allow(name, actions)
        return arn

    def allow(self, role: str, actions: tuple[str, ...]) -> None:
        statement = {"Effect": "Allow", "Action": [*actions, "sts:GetCallerIdentity"], "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        self.aws.client("iam").put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps(document))

    def request(self, name: str = "one", target: Any = None, **changes: Any) -> dict[str, Any]:
        return {
            "Name": name,
            "GroupName": self.name,
            "ScheduleExpression": "rate(1 day)",
            "FlexibleTimeWindow": OFF,
            "Target": {"Arn": self.queue, "RoleArn": self.role, "Input": json.dumps(CONTEXT), **(target or {})},
            **changes,
        }

    def schedule(self, name: str = "one", target: Any = None, **changes: Any) -> str:
        arn: str = self.scheduler.create_schedule(**self.request(name, target, **changes))["ScheduleArn"]
        return arn

    def messages(self, queue: str, number: int = 1, seconds: float = 10) -> list[dict[str, Any]]:
        url = self.sqs.get_queue_url(QueueName=queue.rsplit(":", 1)[-1])["QueueUrl"]
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and len(found) < number:
            reply = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=0
            )
            for message in reply.get("Messages", []):
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                found.append(message)
            time.sleep(0.05)
        assert len(found) == number, found
        return found

    def no_message(self, queue: str) -> None:
        time.sleep(0.5)
        self.messages(queue, 0, 0.01)

    def bodies(self, number: int = 1) -> list[dict[str, Any]]:
        return [json.loads(message["Body"]) for message in self.messages(self.queue, number)]

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.aws.advance_clock(0), timezone.utc)


@pytest.fixture
def scheduling(world: Any, aws: LocalAws) -> Iterator[Scheduling]:
    made = Scheduling(aws, world.name)
    yield made
    made.scheduler.delete_schedule_group(Name=made.name)


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response
    return error["Error"]["Code"], error.get("Message") or error["Error"]["Message"]


def test_the_context_attributes_are_substituted(scheduling: Scheduling) -> None:
    arn = scheduling.schedule()
    created = scheduling.scheduler.get_schedule(Name="one", GroupName=scheduling.name)["CreationDate"]
    (first,) = scheduling.bodies()
    assert first["schedule-arn"] == arn == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{scheduling.name}/one"
    assert first["scheduled-time"] == created.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert first["attempt-number"] == "1"
    scheduling.aws.advance_clock(86400)
    (second,) = scheduling.bodies()
    day = datetime.fromisoformat(second["scheduled-time"][:-1]) - datetime.fromisoformat(first["scheduled-time"][:-1])
    assert day == timedelta(days=1)
    assert second["execution-id"] != first["execution-id"]


def test_a_target_without_input_gets_a_notification(scheduling: Scheduling) -> None:
    arn = scheduling.schedule(Target={"Arn": scheduling.queue, "RoleArn": scheduling.role})
    (body,) = scheduling.bodies()
    assert (body["source"], body["detail-type"], body["resources"]) == ("aws.scheduler", "Scheduled Event", [arn])
    assert (body["account"], body["region"], body["detail"]) == (ACCOUNT, REGION, "{}")


def test_a_cron_schedule_follows_its_time_zone(scheduling: Scheduling) -> None:
    scheduling.schedule(ScheduleExpression="cron(0 2 * * ? *)", ScheduleExpressionTimezone="Asia/Kolkata")
    scheduling.no_message(scheduling.queue)
    scheduling.aws.advance_clock(86400)
    (body,) = scheduling.bodies()
    assert body["scheduled-time"].endswith("T20:30:00Z")


def test_a_one_time_schedule_goes_when_it_is_done(scheduling: Scheduling) -> None:
    at = (scheduling.now() + timedelta(minutes=5)).strftime("at(%Y-%m-%dT%H:%M:%S)")
    scheduling.schedule("goes", ScheduleExpression=at, ActionAfterCompletion="DELETE")
    scheduling.schedule("stays", ScheduleExpression=at)
    scheduling.no_message(scheduling.queue)
    scheduling.aws.advance_clock(3600)
    assert {body["schedule-arn"].rsplit("/", 1)[-1] for body in scheduling.bodies(2)} == {"goes", "stays"}
    time.sleep(0.5)
    names = [item["Name"] for item in scheduling.scheduler.list_schedules(GroupName=scheduling.name)["Schedules"]]
    assert names == ["stays"]
    scheduling.aws.advance_clock(3600)
    scheduling.no_message(scheduling.queue)


def test_a_schedule_runs_from_its_start_to_its_end(scheduling: Scheduling) -> None:
    start, end = scheduling.now() + timedelta(hours=1), scheduling.now() + timedelta(hours=2, minutes=30)
    scheduling.schedule(ScheduleExpression="rate(1 hour)", StartDate=start, EndDate=end, ActionAfterCompletion="DELETE")
    scheduling.no_message(scheduling.queue)
    scheduling.aws.advance_clock(5 * 3600)
    expected = [(start + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ") for hours in (0, 1)]
    assert sorted(body["scheduled-time"] for body in scheduling.bodies(2)) == expected
    time.sleep(0.5)
    code, message = refusal(scheduling.scheduler.get_schedule, Name="one", GroupName=scheduling.name)
    assert (code, message) == ("ResourceNotFoundException", "Schedule one does not exist.")


def test_a_disabled_schedule_waits_until_it_is_enabled(scheduling: Scheduling) -> None:
    scheduling.schedule(State="DISABLED")
    scheduling.aws.advance_clock(3 * 86400)
    scheduling.no_message(scheduling.queue)
    scheduling.scheduler.update_schedule(**scheduling.request(State="ENABLED"))
    scheduling.bodies(1)  # what it missed is not made up for


def test_a_flexible_window_delays_an_invocation_within_it(scheduling: Scheduling) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1440}
    at = (scheduling.now() + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S")
    scheduling.schedule(ScheduleExpression=f"at({at})", FlexibleTimeWindow=window)
    scheduling.aws.advance_clock(60)
    scheduling.no_message(scheduling.queue)
    scheduling.aws.advance_clock(1440 * 60)
    assert [body["scheduled-time"] for body in scheduling.bodies()] == [f"{at}Z"]


def test_an_update_sets_what_it_leaves_out_back_to_its_default(scheduling: Scheduling) -> None:
    scheduling.schedule(Description="nightly", ScheduleExpressionTimezone="Europe/Berlin", State="DISABLED")
    scheduling.scheduler.update_schedule(**scheduling.request(ScheduleExpression="rate(2 days)"))
    found = scheduling.scheduler.get_schedule(Name="one", GroupName=scheduling.name)
    assert "Description" not in found
    assert (found["State"], found["ScheduleExpressionTimezone"]) == ("ENABLED", "UTC")
    assert found["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}


def test_what_can_not_be_delivered_is_retried_and_then_a_dead_letter(scheduling: Scheduling) -> None:
    function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{scheduling.name}"
    target = {
        "Arn": function,
        "RetryPolicy": {"MaximumRetryAttempts": 2},
        "DeadLetterConfig": {"Arn": scheduling.dead},
    }
    arn = scheduling.schedule(target=target)
    (message,) = scheduling.messages(scheduling.dead)
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    body = json.loads(message["Body"])
    assert attributes.pop("ERROR_MESSAGE").startswith(f"Function not found: {function}")
    assert attributes == {
        "ERROR_CODE": "ResourceNotFoundException",
        "EXECUTION_ID": body["execution-id"],
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "2",
        "SCHEDULED_TIME": body["scheduled-time"],
        "SCHEDULE_ARN": arn,
        "TARGET_ARN": function,
    }
    assert body["attempt-number"] == "3"


def test_an_event_that_gets_too_old_is_a_dead_letter(scheduling: Scheduling) -> None:
    target = {
        "Arn": f"{scheduling.queue}-gone",
        "RetryPolicy": {"MaximumEventAgeInSeconds": 60},
        "DeadLetterConfig": {"Arn": scheduling.dead},
    }
    scheduling.schedule(target=target)
    time.sleep(0.5)
    scheduling.aws.advance_clock(120)
    (message,) = scheduling.messages(scheduling.dead)
    assert message["MessageAttributes"]["EXHAUSTED_RETRY_CONDITION"]["StringValue"] == "MaximumEventAgeInSeconds"


def test_a_deleted_schedule_invokes_nothing_any_more(scheduling: Scheduling) -> None:
    target = {"RetryPolicy": {"MaximumRetryAttempts": 3}, "DeadLetterConfig": {"Arn": scheduling.dead}}
    scheduling.schedule(target={"Arn": f"{scheduling.queue}-gone", **target})
    time.sleep(0.5)
    scheduling.scheduler.delete_schedule(Name="one", GroupName=scheduling.name)
    scheduling.aws.advance_clock(600)
    scheduling.no_message(scheduling.dead)


def test_a_schedule_is_checked_by_the_arn_with_its_group(scheduling: Scheduling) -> None:
    scheduling.schedule(State="DISABLED")
    iam = scheduling.aws.client("iam")
    iam.create_user(UserName=scheduling.name)
    arn = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{scheduling.name}/*"
    statements = [
        {"Effect": "Allow", "Action": "scheduler:*", "Resource": arn},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": scheduling.role},
    ]
    iam.put_user_policy(UserName=scheduling.name, PolicyName="p", PolicyDocument=json.dumps({"Statement": statements}))
    key = iam.create_access_key(UserName=scheduling.name)["AccessKey"]
    client = boto3.client(
        "scheduler",
        endpoint_url=scheduling.aws.endpoint,
        region_name=REGION,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    client.create_schedule(**scheduling.request("two", State="DISABLED"))
    assert client.get_schedule(Name="one", GroupName=scheduling.name)["State"] == "DISABLED"
    code, message = refusal(client.create_schedule, **scheduling.request("three", GroupName="default"))
    assert code == "AccessDeniedException"
    assert "is not authorized to perform: scheduler:CreateSchedule" in message


def test_the_role_needs_the_permission_of_the_target(scheduling: Scheduling) -> None:
    role = scheduling.make_role(f"{scheduling.name}-weak", ())
    target = {"RoleArn": role, "RetryPolicy": {"MaximumRetryAttempts": 4}, "DeadLetterConfig": {"Arn": scheduling.dead}}
    scheduling.schedule(target=target)
    scheduling.no_message(scheduling.queue)
    scheduling.allow(f"{scheduling.name}-weak", ("sqs:SendMessage",))
    (body,) = scheduling.bodies()
    assert int(body["attempt-number"]) > 1
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{scheduling.name}-weak/AmazonEventBridgeScheduler"
    decisions = [call["allowed"] for call in scheduling.aws.calls() if call["principal"] == session]
    assert decisions[0] is False
    assert decisions[-1] is True
    scheduling.no_message(scheduling.dead)


@pytest.mark.parametrize(
    "condition",
    [
        None,
        {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": "{group}"}},
    ],
)
def test_a_role_that_trusts_scheduler_is_taken(scheduling: Scheduling, condition: Any) -> None:
    filled = json.loads(json.dumps(condition).replace("{group}", scheduling.group_arn))
    scheduling.schedule(target={"RoleArn": scheduling.make_role(f"{scheduling.name}-2", ALLOWED, filled)})
    scheduling.bodies()


@pytest.mark.parametrize(
    ("principal", "condition"),
    [
        ("events.amazonaws.com", None),
        (PRINCIPAL, {"StringEquals": {"aws:SourceAccount": "111111111111"}}),
        (PRINCIPAL, {"ArnLike": {"aws:SourceArn": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/one"}}),
    ],
)
def test_a_role_that_does_not_trust_scheduler_is_refused(
    scheduling: Scheduling, principal: str, condition: Any
) -> None:
    role = scheduling.make_role(f"{scheduling.name}-2", ALLOWED, condition, principal)
    expected = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
    request = scheduling.request(target={"RoleArn": role})
    assert refusal(scheduling.scheduler.create_schedule, **request) == ("ValidationException", expected)


def test_whoever_makes_a_schedule_must_be_allowed_to_pass_its_role(scheduling: Scheduling) -> None:
    iam = scheduling.aws.client("iam")
    iam.create_user(UserName=scheduling.name)
    document = {"Statement": {"Effect": "Allow", "Action": "scheduler:*", "Resource": "*"}}
    iam.put_user_policy(UserName=scheduling.name, PolicyName="p", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=scheduling.name)["AccessKey"]
    client = boto3.client(
        "scheduler",
        endpoint_url=scheduling.aws.endpoint,
        region_name=REGION,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    code, message = refusal(client.create_schedule, **scheduling.request())
    assert code == "AccessDeniedException"
    assert f"is not authorized to perform: iam:PassRole on resource: {scheduling.role}" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ScheduleExpression": "rate(10 seconds)"}, "Invalid Schedule Expression rate(10 seconds)."),
        ({"ScheduleExpressionTimezone": "Mars"}, "Invalid ScheduleExpressionTimezone Mars."),
        (
            {"StartDate": datetime(2020, 1, 1, tzinfo=timezone.utc)},
            "The StartDate you specify cannot be earlier than 5 minutes ago.",
        ),
        ({"EndDate": datetime(2020, 1, 1, tzinfo=timezone.utc)}, "The EndDate you specify cannot be in the past."),
        (
            {
                "StartDate": datetime(2099, 1, 2, tzinfo=timezone.utc),
                "EndDate": datetime(2099, 1, 1, tzinfo=timezone.utc),
            },
            "The StartDate you specify must come before the EndDate.",
        ),
        (
            {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
            "MaximumWindowInMinutes is required when the mode of the flexible time window is FLEXIBLE.",
        ),
        (
            {"State": "PAUSED"},
            (
                "1 validation error detected: Value 'PAUSED' at 'state' failed to satisfy constraint: "
                "Member must satisfy enum value set: [ENABLED, DISABLED]"
            ),
        ),
        (
            {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1441}},
            (
                "1 validation error detected: Value '1441' at 'flexibleTimeWindow.maximumWindowInMinutes' failed to "
                "satisfy constraint: Member must have value less than or equal to 1440"
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said(scheduling: Scheduling, changes: dict[str, Any], message: str) -> None:
    assert refusal(scheduling.scheduler.create_schedule, **scheduling.request(**changes)) == (
        "ValidationException",
        message,
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"Arn": "arn:aws:s3:::bucket"}, "Provided Arn is not in correct format."),
        (
            {"Arn": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/s"},
            "The local AWS does not invoke kinesis, only lambda, sqs, sns, states, events.",
        ),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendmail"}, "sendmail is not an operation of sqs."),
        (
            {"Arn": "arn:aws:scheduler:::aws-sdk:personalize:describeDatasetExportJob"},
            "describeDatasetExportJob of personalize only reads, which no schedule may do.",
        ),
        (
            {"Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f", "Input": "{"},
            (
                "Invalid RequestJson provided. Reason Expecting property name enclosed in double quotes: "
                "line 1 column 2 (char 1)"
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_target_is_said(scheduling: Scheduling, target: dict[str, Any], message: str) -> None:
    assert refusal(scheduling.scheduler.create_schedule, **scheduling.request(target=target)) == (
        "ValidationException",
        message,
    )


def test_names_are_unique_in_a_group_and_tokens_make_a_create_idempotent(scheduling: Scheduling) -> None:
    arn = scheduling.schedule(ClientToken="once")
    assert scheduling.schedule(ClientToken="once") == arn
    code, message = refusal(scheduling.scheduler.create_schedule, **scheduling.request())
    assert (code, message) == ("ConflictException", "Schedule one already exists.")
    code, message = refusal(scheduling.scheduler.create_schedule, **scheduling.request(GroupName="none"))
    assert (code, message) == ("ResourceNotFoundException", "Schedule group none does not exist.")


def test_lists_come_in_pages(scheduling: Scheduling) -> None:
    for name in ("b", "a", "c", "other"):
        scheduling.schedule(name, State="DISABLED")
    pages = scheduling.scheduler.get_paginator("list_schedules").paginate(GroupName=scheduling.name, MaxResults=3)
    assert [[item["Name"] for item in page["Schedules"]] for page in pages] == [["a", "b", "c"], ["other"]]
    found = scheduling.scheduler.list_schedules(GroupName=scheduling.name, NamePrefix="o")["Schedules"]
    assert [(item["Name"], item["State"], item["Target"]) for item in found] == [
        ("other", "DISABLED", {"Arn": scheduling.queue})
    ]
    groups = scheduling.scheduler.list_schedule_groups(NamePrefix=scheduling.name)["ScheduleGroups"]
    assert [group["Arn"] for group in groups] == [scheduling.group_arn]


def test_a_group_has_tags(scheduling: Scheduling) -> None:
    scheduling.scheduler.tag_resource(ResourceArn=scheduling.group_arn, Tags=[{"Key": "team", "Value": "data"}])
    assert scheduling.scheduler.list_tags_for_resource(ResourceArn=scheduling.group_arn)["Tags"] == [
        {"Key": "team", "Value": "data"}
    ]
    scheduling.scheduler.untag_resource(ResourceArn=scheduling.group_arn, TagKeys=["team"])
    assert scheduling.scheduler.list_tags_for_resource(ResourceArn=scheduling.group_arn)["Tags"] == []


def test_a_topic_and_an_event_bus_are_targets_too(scheduling: Scheduling) -> None:
    policy = {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}}
    url = scheduling.sqs.get_queue_url(QueueName=scheduling.name)["QueueUrl"]
    scheduling.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    topic = scheduling.aws.client("sns").create_topic(Name=scheduling.name)["TopicArn"]
    scheduling.aws.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=scheduling.queue, Attributes={"RawMessageDelivery": "true"}
    )
    scheduling.schedule("topic", target={"Arn": topic})
    assert scheduling.bodies()[0]["schedule-arn"].endswith("/topic")

    events = scheduling.aws.client("events")
    events.put_rule(Name=scheduling.name, EventPattern=json.dumps({"source": [scheduling.name]}))
    events.put_targets(Rule=scheduling.name, Targets=[{"Id": "q", "Arn": scheduling.queue}])
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    scheduling.schedule(
        "bus", target={"Arn": bus, "EventBridgeParameters": {"Source": scheduling.name, "DetailType": "Tick"}}
    )
    (event,) = scheduling.bodies()
    assert event["detail-type"] == "Tick"
    assert event["detail"]["schedule-arn"].endswith("/bus")


def test_a_fifo_queue_is_a_target_with_its_message_group(scheduling: Scheduling) -> None:
    name = f"{scheduling.name}.fifo"
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    scheduling.sqs.create_queue(QueueName=name, Attributes=attributes)
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    scheduling.schedule(target={"Arn": queue, "SqsParameters": {"MessageGroupId": "nightly"}})
    scheduling.messages(queue)


def test_a_universal_target_starts_an_export_job(scheduling: Scheduling, world: Any) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset(records=False)
    scheduling.allow(scheduling.name, ("personalize:CreateDatasetExportJob", "iam:PassRole"))
    request = {
        "JobName": "<aws.scheduler.execution-id>",
        "DatasetArn": dataset,
        "IngestionMode": "ALL",
        "RoleArn": world.role_arn,
        "JobOutput": {"S3DataDestination": {"Path": f"s3://{world.name}/nightly/"}},
    }
    arn = "arn:aws:scheduler:::aws-sdk:personalize:createDatasetExportJob"
    scheduling.schedule(target={"Arn": arn, "Input": json.dumps(request)})
    deadline = time.monotonic() + 10
    jobs: list[Any] = []
    while not jobs and time.monotonic() < deadline:
        jobs = world.personalize.list_dataset_export_jobs(datasetArn=dataset)["datasetExportJobs"]
        time.sleep(0.05)
    assert len(jobs) == 1


def test_a_setting_delivers_each_tick_twice() -> None:
    with LocalAws(settings=Settings(schedule_deliveries=2)) as aws:
        scheduling = Scheduling(aws, "twice")
        scheduling.schedule()
        first, second = scheduling.bodies(2)
        assert first["scheduled-time"] == second["scheduled-time"]
        assert first["execution-id"] != second["execution-id"]


def test_without_iam_any_role_will_do() -> None:
    with LocalAws(iam=False) as aws:
        scheduling = Scheduling(aws, "open")
        scheduling.schedule(target={"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobody-made-this"})
        assert scheduling.bodies()[0]["attempt-number"] == "1"


def test_the_clock_moves_ahead_only(aws: LocalAws) -> None:
    before = aws.advance_clock(0)
    assert aws.advance_clock(100) - before >= 100
    with pytest.raises(OSError, match="400"):
        aws.advance_clock(-1)


def test_personalize_goes_by_the_clock_too_and_says_so_in_the_date_of_its_answers(aws: LocalAws) -> None:
    personalize = aws.client("personalize")
    aws.advance_clock(3600)
    arn = personalize.create_dataset_group(name=f"group-{uuid.uuid4().hex[:8]}")["datasetGroupArn"]
    answer = personalize.describe_dataset_group(datasetGroupArn=arn)
    now = aws.advance_clock(0)
    assert now - answer["datasetGroup"]["creationDateTime"].timestamp() < 60
    assert now - parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp() < 60


def test_other_services_keep_the_real_time(aws: LocalAws) -> None:
    aws.advance_clock(3600)
    answer = aws.client("sts").get_caller_identity()
    date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert abs(date.timestamp() - time.time()) < 60


def test_cloudformation_makes_changes_and_deletes_schedules(scheduling: Scheduling) -> None:
    stacks = scheduling.aws.client("cloudformation")

    def deploy(kind: str, **changes: Any) -> dict[str, str]:
        target = {
            "Arn": scheduling.queue,
            "RoleArn": scheduling.role,
            "Input": json.dumps(CONTEXT),
            "RetryPolicy": {"MaximumRetryAttempts": "3"},
        }
        properties = {
            "GroupName": {"Ref": "Group"},
            "ScheduleExpression": "cron(0 2 * * ? *)",
            "ScheduleExpressionTimezone": "Europe/Berlin",
            "StartDate": "2099-01-01T00:00:00Z",
            "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": "15"},
            "Target": target,
            **changes,
        }
        body = {
            "Resources": {
                "Group": {"Type": "AWS::Scheduler::ScheduleGroup", "Properties": {"Name": f"{scheduling.name}-stack"}},
                "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties},
            },
            "Outputs": {"Name": {"Value": {"Ref": "Schedule"}}, "Arn": {"Value": {"Fn::GetAtt": ["Schedule", "Arn"]}}},
        }
        call = stacks.create_stack if kind == "create" else stacks.update_stack
        call(StackName=scheduling.name, TemplateBody=json.dumps(body))
        stacks.get_waiter(f"stack_{kind}_complete").wait(
            StackName=scheduling.name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
        )
        outputs = stacks.describe_stacks(StackName=scheduling.name)["Stacks"][0]["Outputs"]
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}

    first = deploy("create")
    found = scheduling.scheduler.get_schedule(Name=first["Name"], GroupName=f"{scheduling.name}-stack")
    assert (found["Arn"], found["ScheduleExpressionTimezone"]) == (first["Arn"], "Europe/Berlin")
    assert found["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert found["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 3}
    assert found["StartDate"].year == 2099
    assert deploy("update", State="DISABLED") == first
    assert (
        scheduling.scheduler.get_schedule(Name=first["Name"], GroupName=f"{scheduling.name}-stack")["State"]
        == "DISABLED"
    )
    moved = deploy("update", GroupName=scheduling.name)
    assert moved["Arn"] == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{scheduling.name}/{first['Name']}"
    assert scheduling.scheduler.list_schedules(GroupName=f"{scheduling.name}-stack")["Schedules"] == []
    renamed = deploy("update", GroupName=scheduling.name, Name="named")
    names = [item["Name"] for item in scheduling.scheduler.list_schedules(GroupName=scheduling.name)["Schedules"]]
    assert names == [renamed["Name"]] == ["named"]
    stacks.delete_stack(StackName=scheduling.name)
    stacks.get_waiter("stack_delete_complete").wait(
        StackName=scheduling.name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
    )
    assert scheduling.scheduler.list_schedules(GroupName=scheduling.name)["Schedules"] == []


def test_a_schedule_that_can_not_be_fails_its_stack_with_the_reason(scheduling: Scheduling) -> None:
    stacks = scheduling.aws.client("cloudformation")
    properties = scheduling.request(ScheduleExpression="rate(1 minute")
    body = {"Resources": {"Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}}}
    stacks.create_stack(StackName=scheduling.name, TemplateBody=json.dumps(body))
    reasons: list[str] = []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not any("Invalid Schedule" in reason for reason in reasons):
        events = stacks.describe_stack_events(StackName=scheduling.name)["StackEvents"]
        reasons = [event.get("ResourceStatusReason", "") for event in events]
        time.sleep(0.1)
    start = 'Resource handler returned message: "Invalid Schedule Expression rate(1 minute. (Service: Scheduler, '
    assert any(reason.startswith(start) for reason in reasons), reasons
