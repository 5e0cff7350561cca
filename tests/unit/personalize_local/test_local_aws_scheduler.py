"""EventBridge Scheduler as AWS documents it: what it refuses, when it invokes and with which role, and its end."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
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
class Desk:
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
def desk(world: Any, aws: LocalAws) -> Iterator[Desk]:
    made = Desk(aws, world.name)
    yield made
    made.scheduler.delete_schedule_group(Name=made.name)


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response
    return error["Error"]["Code"], error.get("Message") or error["Error"]["Message"]


def test_the_context_attributes_are_substituted(desk: Desk) -> None:
    arn = desk.schedule()
    created = desk.scheduler.get_schedule(Name="one", GroupName=desk.name)["CreationDate"]
    (first,) = desk.bodies()
    assert first["schedule-arn"] == arn == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{desk.name}/one"
    assert first["scheduled-time"] == created.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert first["attempt-number"] == "1"
    desk.aws.advance_clock(86400)
    (second,) = desk.bodies()
    day = datetime.fromisoformat(second["scheduled-time"][:-1]) - datetime.fromisoformat(first["scheduled-time"][:-1])
    assert day == timedelta(days=1)
    assert second["execution-id"] != first["execution-id"]


def test_a_target_without_input_gets_a_notification(desk: Desk) -> None:
    arn = desk.schedule(Target={"Arn": desk.queue, "RoleArn": desk.role})
    (body,) = desk.bodies()
    assert (body["source"], body["detail-type"], body["resources"]) == ("aws.scheduler", "Scheduled Event", [arn])
    assert (body["account"], body["region"], body["detail"]) == (ACCOUNT, REGION, "{}")


def test_a_cron_schedule_follows_its_time_zone(desk: Desk) -> None:
    desk.schedule(ScheduleExpression="cron(0 2 * * ? *)", ScheduleExpressionTimezone="Asia/Kolkata")
    desk.no_message(desk.queue)
    desk.aws.advance_clock(86400)
    (body,) = desk.bodies()
    assert body["scheduled-time"].endswith("T20:30:00Z")


def test_a_one_time_schedule_goes_when_it_is_done(desk: Desk) -> None:
    at = (desk.now() + timedelta(minutes=5)).strftime("at(%Y-%m-%dT%H:%M:%S)")
    desk.schedule("goes", ScheduleExpression=at, ActionAfterCompletion="DELETE")
    desk.schedule("stays", ScheduleExpression=at)
    desk.no_message(desk.queue)
    desk.aws.advance_clock(3600)
    assert {body["schedule-arn"].rsplit("/", 1)[-1] for body in desk.bodies(2)} == {"goes", "stays"}
    time.sleep(0.5)
    names = [item["Name"] for item in desk.scheduler.list_schedules(GroupName=desk.name)["Schedules"]]
    assert names == ["stays"]
    desk.aws.advance_clock(3600)
    desk.no_message(desk.queue)


def test_a_schedule_runs_from_its_start_to_its_end(desk: Desk) -> None:
    start, end = desk.now() + timedelta(hours=1), desk.now() + timedelta(hours=2, minutes=30)
    desk.schedule(ScheduleExpression="rate(1 hour)", StartDate=start, EndDate=end, ActionAfterCompletion="DELETE")
    desk.no_message(desk.queue)
    desk.aws.advance_clock(5 * 3600)
    expected = [(start + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ") for hours in (0, 1)]
    assert sorted(body["scheduled-time"] for body in desk.bodies(2)) == expected
    time.sleep(0.5)
    code, message = refusal(desk.scheduler.get_schedule, Name="one", GroupName=desk.name)
    assert (code, message) == ("ResourceNotFoundException", "Schedule one does not exist.")


def test_a_disabled_schedule_waits_until_it_is_enabled(desk: Desk) -> None:
    desk.schedule(State="DISABLED")
    desk.aws.advance_clock(3 * 86400)
    desk.no_message(desk.queue)
    desk.scheduler.update_schedule(**desk.request(State="ENABLED"))
    desk.bodies(1)  # what it missed is not made up for


def test_a_flexible_window_delays_an_invocation_within_it(desk: Desk) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1440}
    at = (desk.now() + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S")
    desk.schedule(ScheduleExpression=f"at({at})", FlexibleTimeWindow=window)
    desk.aws.advance_clock(60)
    desk.no_message(desk.queue)
    desk.aws.advance_clock(1440 * 60)
    assert [body["scheduled-time"] for body in desk.bodies()] == [f"{at}Z"]


def test_an_update_sets_what_it_leaves_out_back_to_its_default(desk: Desk) -> None:
    desk.schedule(Description="nightly", ScheduleExpressionTimezone="Europe/Berlin", State="DISABLED")
    desk.scheduler.update_schedule(**desk.request(ScheduleExpression="rate(2 days)"))
    found = desk.scheduler.get_schedule(Name="one", GroupName=desk.name)
    assert "Description" not in found
    assert (found["State"], found["ScheduleExpressionTimezone"]) == ("ENABLED", "UTC")
    assert found["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}


def test_what_can_not_be_delivered_is_retried_and_then_a_dead_letter(desk: Desk) -> None:
    function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{desk.name}"
    target = {
        "Arn": function,
        "RetryPolicy": {"MaximumRetryAttempts": 2},
        "DeadLetterConfig": {"Arn": desk.dead},
    }
    arn = desk.schedule(target=target)
    (message,) = desk.messages(desk.dead)
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


def test_an_event_that_gets_too_old_is_a_dead_letter(desk: Desk) -> None:
    target = {
        "Arn": f"{desk.queue}-gone",
        "RetryPolicy": {"MaximumEventAgeInSeconds": 60},
        "DeadLetterConfig": {"Arn": desk.dead},
    }
    desk.schedule(target=target)
    time.sleep(0.5)
    desk.aws.advance_clock(120)
    (message,) = desk.messages(desk.dead)
    assert message["MessageAttributes"]["EXHAUSTED_RETRY_CONDITION"]["StringValue"] == "MaximumEventAgeInSeconds"


def test_a_deleted_schedule_invokes_nothing_any_more(desk: Desk) -> None:
    target = {"RetryPolicy": {"MaximumRetryAttempts": 3}, "DeadLetterConfig": {"Arn": desk.dead}}
    desk.schedule(target={"Arn": f"{desk.queue}-gone", **target})
    time.sleep(0.5)
    desk.scheduler.delete_schedule(Name="one", GroupName=desk.name)
    desk.aws.advance_clock(600)
    desk.no_message(desk.dead)


def test_a_schedule_is_checked_by_the_arn_with_its_group(desk: Desk) -> None:
    desk.schedule(State="DISABLED")
    iam = desk.aws.client("iam")
    iam.create_user(UserName=desk.name)
    arn = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{desk.name}/*"
    statements = [
        {"Effect": "Allow", "Action": "scheduler:*", "Resource": arn},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": desk.role},
    ]
    iam.put_user_policy(UserName=desk.name, PolicyName="p", PolicyDocument=json.dumps({"Statement": statements}))
    key = iam.create_access_key(UserName=desk.name)["AccessKey"]
    client = boto3.client(
        "scheduler",
        endpoint_url=desk.aws.endpoint,
        region_name=REGION,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    client.create_schedule(**desk.request("two", State="DISABLED"))
    assert client.get_schedule(Name="one", GroupName=desk.name)["State"] == "DISABLED"
    code, message = refusal(client.create_schedule, **desk.request("three", GroupName="default"))
    assert code == "AccessDeniedException"
    assert "is not authorized to perform: scheduler:CreateSchedule" in message


def test_the_role_needs_the_permission_of_the_target(desk: Desk) -> None:
    role = desk.make_role(f"{desk.name}-weak", ())
    target = {"RoleArn": role, "RetryPolicy": {"MaximumRetryAttempts": 4}, "DeadLetterConfig": {"Arn": desk.dead}}
    desk.schedule(target=target)
    desk.no_message(desk.queue)
    desk.allow(f"{desk.name}-weak", ("sqs:SendMessage",))
    (body,) = desk.bodies()
    assert int(body["attempt-number"]) > 1
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{desk.name}-weak/AmazonEventBridgeScheduler"
    decisions = [call["allowed"] for call in desk.aws.calls() if call["principal"] == session]
    assert decisions[0] is False
    assert decisions[-1] is True
    desk.no_message(desk.dead)


@pytest.mark.parametrize(
    "condition",
    [
        None,
        {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": "{group}"}},
    ],
)
def test_a_role_that_trusts_scheduler_is_taken(desk: Desk, condition: Any) -> None:
    filled = json.loads(json.dumps(condition).replace("{group}", desk.group_arn))
    desk.schedule(target={"RoleArn": desk.make_role(f"{desk.name}-2", ALLOWED, filled)})
    desk.bodies()


@pytest.mark.parametrize(
    ("principal", "condition"),
    [
        ("events.amazonaws.com", None),
        (PRINCIPAL, {"StringEquals": {"aws:SourceAccount": "111111111111"}}),
        (PRINCIPAL, {"ArnLike": {"aws:SourceArn": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/one"}}),
    ],
)
def test_a_role_that_does_not_trust_scheduler_is_refused(desk: Desk, principal: str, condition: Any) -> None:
    role = desk.make_role(f"{desk.name}-2", ALLOWED, condition, principal)
    expected = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
    request = desk.request(target={"RoleArn": role})
    assert refusal(desk.scheduler.create_schedule, **request) == ("ValidationException", expected)


def test_whoever_makes_a_schedule_must_be_allowed_to_pass_its_role(desk: Desk) -> None:
    iam = desk.aws.client("iam")
    iam.create_user(UserName=desk.name)
    document = {"Statement": {"Effect": "Allow", "Action": "scheduler:*", "Resource": "*"}}
    iam.put_user_policy(UserName=desk.name, PolicyName="p", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=desk.name)["AccessKey"]
    client = boto3.client(
        "scheduler",
        endpoint_url=desk.aws.endpoint,
        region_name=REGION,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    code, message = refusal(client.create_schedule, **desk.request())
    assert code == "AccessDeniedException"
    assert f"is not authorized to perform: iam:PassRole on resource: {desk.role}" in message


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
def test_what_is_wrong_with_a_schedule_is_said(desk: Desk, changes: dict[str, Any], message: str) -> None:
    assert refusal(desk.scheduler.create_schedule, **desk.request(**changes)) == ("ValidationException", message)


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
def test_what_is_wrong_with_a_target_is_said(desk: Desk, target: dict[str, Any], message: str) -> None:
    assert refusal(desk.scheduler.create_schedule, **desk.request(target=target)) == ("ValidationException", message)


def test_names_are_unique_in_a_group_and_tokens_make_a_create_idempotent(desk: Desk) -> None:
    arn = desk.schedule(ClientToken="once")
    assert desk.schedule(ClientToken="once") == arn
    code, message = refusal(desk.scheduler.create_schedule, **desk.request())
    assert (code, message) == ("ConflictException", "Schedule one already exists.")
    code, message = refusal(desk.scheduler.create_schedule, **desk.request(GroupName="none"))
    assert (code, message) == ("ResourceNotFoundException", "Schedule group none does not exist.")


def test_lists_come_in_pages(desk: Desk) -> None:
    for name in ("b", "a", "c", "other"):
        desk.schedule(name, State="DISABLED")
    pages = desk.scheduler.get_paginator("list_schedules").paginate(GroupName=desk.name, MaxResults=3)
    assert [[item["Name"] for item in page["Schedules"]] for page in pages] == [["a", "b", "c"], ["other"]]
    found = desk.scheduler.list_schedules(GroupName=desk.name, NamePrefix="o")["Schedules"]
    assert [(item["Name"], item["State"], item["Target"]) for item in found] == [
        ("other", "DISABLED", {"Arn": desk.queue})
    ]
    groups = desk.scheduler.list_schedule_groups(NamePrefix=desk.name)["ScheduleGroups"]
    assert [group["Arn"] for group in groups] == [desk.group_arn]


def test_a_group_has_tags(desk: Desk) -> None:
    desk.scheduler.tag_resource(ResourceArn=desk.group_arn, Tags=[{"Key": "team", "Value": "data"}])
    assert desk.scheduler.list_tags_for_resource(ResourceArn=desk.group_arn)["Tags"] == [
        {"Key": "team", "Value": "data"}
    ]
    desk.scheduler.untag_resource(ResourceArn=desk.group_arn, TagKeys=["team"])
    assert desk.scheduler.list_tags_for_resource(ResourceArn=desk.group_arn)["Tags"] == []


def test_a_topic_and_an_event_bus_are_targets_too(desk: Desk) -> None:
    policy = {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}}
    url = desk.sqs.get_queue_url(QueueName=desk.name)["QueueUrl"]
    desk.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    topic = desk.aws.client("sns").create_topic(Name=desk.name)["TopicArn"]
    desk.aws.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=desk.queue, Attributes={"RawMessageDelivery": "true"}
    )
    desk.schedule("topic", target={"Arn": topic})
    assert desk.bodies()[0]["schedule-arn"].endswith("/topic")

    events = desk.aws.client("events")
    events.put_rule(Name=desk.name, EventPattern=json.dumps({"source": [desk.name]}))
    events.put_targets(Rule=desk.name, Targets=[{"Id": "q", "Arn": desk.queue}])
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    desk.schedule("bus", target={"Arn": bus, "EventBridgeParameters": {"Source": desk.name, "DetailType": "Tick"}})
    (event,) = desk.bodies()
    assert event["detail-type"] == "Tick"
    assert event["detail"]["schedule-arn"].endswith("/bus")


def test_a_fifo_queue_is_a_target_with_its_message_group(desk: Desk) -> None:
    name = f"{desk.name}.fifo"
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    desk.sqs.create_queue(QueueName=name, Attributes=attributes)
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    desk.schedule(target={"Arn": queue, "SqsParameters": {"MessageGroupId": "nightly"}})
    desk.messages(queue)


def test_a_universal_target_starts_an_export_job(desk: Desk, world: Any) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset(records=False)
    desk.allow(desk.name, ("personalize:CreateDatasetExportJob", "iam:PassRole"))
    request = {
        "JobName": "<aws.scheduler.execution-id>",
        "DatasetArn": dataset,
        "IngestionMode": "ALL",
        "RoleArn": world.role_arn,
        "JobOutput": {"S3DataDestination": {"Path": f"s3://{world.name}/nightly/"}},
    }
    arn = "arn:aws:scheduler:::aws-sdk:personalize:createDatasetExportJob"
    desk.schedule(target={"Arn": arn, "Input": json.dumps(request)})
    deadline = time.monotonic() + 10
    jobs: list[Any] = []
    while not jobs and time.monotonic() < deadline:
        jobs = world.personalize.list_dataset_export_jobs(datasetArn=dataset)["datasetExportJobs"]
        time.sleep(0.05)
    assert len(jobs) == 1


def test_a_setting_delivers_each_tick_twice() -> None:
    with LocalAws(settings=Settings(schedule_deliveries=2)) as aws:
        desk = Desk(aws, "twice")
        desk.schedule()
        first, second = desk.bodies(2)
        assert first["scheduled-time"] == second["scheduled-time"]
        assert first["execution-id"] != second["execution-id"]


def test_without_iam_any_role_will_do() -> None:
    with LocalAws(iam=False) as aws:
        desk = Desk(aws, "open")
        desk.schedule(target={"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobody-made-this"})
        assert desk.bodies()[0]["attempt-number"] == "1"


def test_the_clock_moves_ahead_only(aws: LocalAws) -> None:
    before = aws.advance_clock(0)
    assert aws.advance_clock(100) - before >= 100
    with pytest.raises(OSError, match="400"):
        aws.advance_clock(-1)


def test_cloudformation_makes_changes_and_deletes_schedules(desk: Desk) -> None:
    stacks = desk.aws.client("cloudformation")

    def deploy(kind: str, **changes: Any) -> dict[str, str]:
        target = {
            "Arn": desk.queue,
            "RoleArn": desk.role,
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
                "Group": {"Type": "AWS::Scheduler::ScheduleGroup", "Properties": {"Name": f"{desk.name}-stack"}},
                "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties},
            },
            "Outputs": {"Name": {"Value": {"Ref": "Schedule"}}, "Arn": {"Value": {"Fn::GetAtt": ["Schedule", "Arn"]}}},
        }
        call = stacks.create_stack if kind == "create" else stacks.update_stack
        call(StackName=desk.name, TemplateBody=json.dumps(body))
        stacks.get_waiter(f"stack_{kind}_complete").wait(
            StackName=desk.name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
        )
        outputs = stacks.describe_stacks(StackName=desk.name)["Stacks"][0]["Outputs"]
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}

    first = deploy("create")
    found = desk.scheduler.get_schedule(Name=first["Name"], GroupName=f"{desk.name}-stack")
    assert (found["Arn"], found["ScheduleExpressionTimezone"]) == (first["Arn"], "Europe/Berlin")
    assert found["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert found["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 3}
    assert found["StartDate"].year == 2099
    assert deploy("update", State="DISABLED") == first
    assert desk.scheduler.get_schedule(Name=first["Name"], GroupName=f"{desk.name}-stack")["State"] == "DISABLED"
    moved = deploy("update", GroupName=desk.name)
    assert moved["Arn"] == f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{desk.name}/{first['Name']}"
    assert desk.scheduler.list_schedules(GroupName=f"{desk.name}-stack")["Schedules"] == []
    renamed = deploy("update", GroupName=desk.name, Name="named")
    names = [item["Name"] for item in desk.scheduler.list_schedules(GroupName=desk.name)["Schedules"]]
    assert names == [renamed["Name"]] == ["named"]
    stacks.delete_stack(StackName=desk.name)
    stacks.get_waiter("stack_delete_complete").wait(
        StackName=desk.name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
    )
    assert desk.scheduler.list_schedules(GroupName=desk.name)["Schedules"] == []


def test_a_schedule_that_can_not_be_fails_its_stack_with_the_reason(desk: Desk) -> None:
    stacks = desk.aws.client("cloudformation")
    properties = desk.request(ScheduleExpression="rate(1 minute")
    body = {"Resources": {"Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}}}
    stacks.create_stack(StackName=desk.name, TemplateBody=json.dumps(body))
    reasons: list[str] = []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not any("Invalid Schedule" in reason for reason in reasons):
        events = stacks.describe_stack_events(StackName=desk.name)["StackEvents"]
        reasons = [event.get("ResourceStatusReason", "") for event in events]
        time.sleep(0.1)
    start = 'Resource handler returned message: "Invalid Schedule Expression rate(1 minute. (Service: Scheduler, '
    assert any(reason.startswith(start) for reason in reasons), reasons
