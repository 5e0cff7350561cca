"""What a function prints becomes metrics, and alarms on them change state and say so, within seconds."""

from __future__ import annotations

import io
import json
import time
import zipfile
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from personalize_local import LocalAws

REGION, ACCOUNT = "us-east-1", "000000000000"
SOURCE = """
import json, time
def handler(event, context):
    metrics = [{"Name": "Failed", "Unit": "Count"}]
    directive = {"Namespace": event["namespace"], "Dimensions": [["Export"]], "Metrics": metrics}
    aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    print("a line of text")
    print(json.dumps({"_aws": aws, "Export": "nightly", "Failed": event["values"]}))
"""


class Meter:
    """A function that prints metrics, and a queue that hears of alarms."""

    def __init__(self, aws: LocalAws, name: str) -> None:
        self.aws, self.name = aws, name
        self.cloudwatch, self.sqs = aws.client("cloudwatch"), aws.client("sqs")
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        policy = {"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}}
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": json.dumps(policy)})

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.aws.advance_clock(0), timezone.utc)

    def put(self, value: float, **changes: Any) -> None:
        datum = {"MetricName": "Failed", "Dimensions": [{"Name": "Export", "Value": "nightly"}], "Value": value}
        self.cloudwatch.put_metric_data(Namespace=self.name, MetricData=[{**datum, **changes}])

    def alarm(self, **changes: Any) -> None:
        request = {
            "AlarmName": self.name,
            "Namespace": self.name,
            "MetricName": "Failed",
            "Dimensions": [{"Name": "Export", "Value": "nightly"}],
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        }
        self.cloudwatch.put_metric_alarm(**{**request, **changes})

    def described(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cloudwatch.describe_alarms(AlarmNames=[self.name])["MetricAlarms"][0]
        return found

    def until(self, state: str, seconds: float = 5) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.described()
            if found["StateValue"] == state:
                return found
            time.sleep(0.05)
        raise AssertionError(f"still {found['StateValue']}: {found['StateReason']}")

    def messages(self, number: int = 1) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 5
        while len(found) < number and time.monotonic() < deadline:
            reply = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
            for message in reply.get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
            time.sleep(0.05)
        assert len(found) == number, found
        return found


@pytest.fixture
def meter(world: Any, aws: LocalAws) -> Meter:
    return Meter(aws, world.name)


def make_function(aws: LocalAws, name: str, actions: list[str]) -> str:
    iam = aws.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=f"{name}-f", AssumeRolePolicyDocument=json.dumps({"Statement": trust}))
    allow = {"Effect": "Allow", "Action": [*actions, "sts:GetCallerIdentity"], "Resource": "*"}
    iam.put_role_policy(RoleName=f"{name}-f", PolicyName="p", PolicyDocument=json.dumps({"Statement": allow}))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", SOURCE)
    arn: str = aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="index.handler",
        Role=role["Role"]["Arn"],
        Code={"ZipFile": buffer.getvalue()},
    )["FunctionArn"]
    return arn


@pytest.mark.parametrize(("actions", "written"), [(["logs:*"], True), ([], False)])
def test_what_a_function_prints_becomes_a_metric_if_it_may_log(
    meter: Meter, actions: list[str], *, written: bool
) -> None:
    function = make_function(meter.aws, meter.name, actions)
    payload = json.dumps({"namespace": meter.name, "values": [1, 2.5, 1]})
    meter.aws.client("lambda").invoke(FunctionName=function, Payload=payload)
    expected = [
        {"Namespace": meter.name, "MetricName": "Failed", "Dimensions": [{"Name": "Export", "Value": "nightly"}]}
    ]
    assert meter.cloudwatch.list_metrics(Namespace=meter.name)["Metrics"] == (expected if written else [])
    statistics = meter.cloudwatch.get_metric_statistics(
        Namespace=meter.name,
        MetricName="Failed",
        Dimensions=[{"Name": "Export", "Value": "nightly"}],
        StartTime=meter.now() - timedelta(minutes=5),
        EndTime=meter.now() + timedelta(minutes=5),
        Period=600,
        Statistics=["Sum", "SampleCount", "Maximum", "Minimum"],
    )["Datapoints"]
    found = [(item["Sum"], item["SampleCount"], item["Maximum"], item["Minimum"], item["Unit"]) for item in statistics]
    assert found == ([(4.5, 3.0, 2.5, 1.0, "Count")] if written else [])


def test_log_events_that_are_put_become_metrics_and_faults_are_counted(meter: Meter) -> None:
    logs = meter.aws.client("logs")
    logs.create_log_group(logGroupName=meter.name)
    logs.create_log_stream(logGroupName=meter.name, logStreamName="s")
    now = int(time.time() * 1000)

    def embedded(**members: Any) -> str:
        directive = {"Namespace": meter.name, "Dimensions": [[]], "Metrics": [{"Name": "Jobs"}]}
        return json.dumps({"_aws": {"Timestamp": now, "CloudWatchMetrics": [directive]}, **members})

    lines = ["text", embedded(Jobs=3), embedded(Jobs="three"), embedded(Jobs=3) + "!"]
    events = [{"timestamp": now, "message": line} for line in lines]
    logs.put_log_events(logGroupName=meter.name, logStreamName="s", logEvents=events)
    assert [metric["MetricName"] for metric in meter.cloudwatch.list_metrics(Namespace=meter.name)["Metrics"]] == [
        "Jobs"
    ]
    dimensions = [{"Name": "LogGroupName", "Value": meter.name}]
    faults = meter.cloudwatch.list_metrics(Namespace="AWS/Logs", Dimensions=dimensions)["Metrics"]
    assert {fault["MetricName"] for fault in faults} == {"EMFParsingErrors", "EMFValidationErrors"}


def test_an_alarm_goes_off_tells_its_topic_and_recovers(meter: Meter) -> None:
    sns = meter.aws.client("sns")
    topic = sns.create_topic(Name=meter.name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=meter.queue)
    meter.alarm(AlarmActions=[topic], OKActions=[topic], AlarmDescription="an export failed")
    assert meter.described()["StateReason"] == "Unchecked: Initial alarm creation"
    meter.put(0)
    meter.until("OK")
    meter.put(2)
    found = meter.until("ALARM")
    assert found["StateReason"].startswith("Threshold Crossed: 1 datapoint [2.0 (")
    assert found["StateReason"].endswith(")] was greater than or equal to the threshold (1.0).")
    data = json.loads(found["StateReasonData"])
    assert (data["statistic"], data["period"], data["recentDatapoints"]) == ("Sum", 60, [2.0])
    told, going_off = (message for message in meter.messages(2))
    assert told["Subject"] == f'OK: "{meter.name}" in US East (N. Virginia)'
    message = json.loads(going_off["Message"])
    assert (message["OldStateValue"], message["NewStateValue"]) == ("OK", "ALARM")
    assert message["NewStateReason"] == found["StateReason"]
    assert message["AlarmArn"] == found["AlarmArn"]
    assert message["Trigger"]["Dimensions"] == [{"value": "nightly", "name": "Export"}]
    meter.aws.advance_clock(61)
    meter.put(0)
    assert meter.until("OK")["StateReason"].endswith("was not greater than or equal to the threshold (1.0).")
    history = meter.cloudwatch.describe_alarm_history(AlarmName=meter.name, HistoryItemType="StateUpdate")
    assert "Alarm updated from OK to ALARM" in [item["HistorySummary"] for item in history["AlarmHistoryItems"]]


def test_a_change_of_state_is_an_event(meter: Meter) -> None:
    events = meter.aws.client("events")
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": [meter.name]}}
    events.put_rule(Name=meter.name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=meter.name, Targets=[{"Id": "q", "Arn": meter.queue}])
    meter.alarm(AlarmDescription="an export failed")
    meter.put(3)
    arn = meter.until("ALARM")["AlarmArn"]
    (event,) = meter.messages()
    assert (event["detail-type"], event["resources"]) == ("CloudWatch Alarm State Change", [arn])
    detail = event["detail"]
    assert (detail["state"]["value"], detail["previousState"]["value"]) == ("ALARM", "INSUFFICIENT_DATA")
    assert detail["previousState"]["reason"] == "Unchecked: Initial alarm creation"
    assert json.loads(detail["state"]["reasonData"])["threshold"] == 1.0
    (metric,) = detail["configuration"]["metrics"]
    assert metric["metricStat"]["metric"] == {
        "namespace": meter.name,
        "name": "Failed",
        "dimensions": {"Export": "nightly"},
    }
    assert detail["configuration"]["description"] == "an export failed"


@pytest.mark.parametrize(
    ("treat", "state"),
    [("breaching", "ALARM"), ("notBreaching", "OK"), ("ignore", "OK"), ("missing", "INSUFFICIENT_DATA")],
)
def test_silence_is_treated_as_the_alarm_says(meter: Meter, treat: str, state: str) -> None:
    lower = {"ComparisonOperator": "LessThanThreshold", "Statistic": "SampleCount", "Period": 3600}
    meter.alarm(TreatMissingData=treat, EvaluationPeriods=2, **lower)
    meter.put(0)
    meter.aws.advance_clock(3600)
    meter.put(0)
    meter.until("OK")
    meter.aws.advance_clock(5 * 3600)
    meter.until(state)
    time.sleep(0.5)
    assert meter.described()["StateValue"] == state


def test_an_alarm_sees_its_own_dimensions_unit_and_statistic_only(meter: Meter) -> None:
    meter.alarm(Unit="Count", Statistic="Maximum", Threshold=5)
    meter.put(9, Dimensions=[])
    meter.put(9, Dimensions=[{"Name": "Export", "Value": "other"}])
    meter.put(9, Unit="Seconds")
    for value in (4, 4):
        meter.put(value, Unit="Count")
    assert "[4.0 (" in meter.until("OK")["StateReason"]
    meter.put(5, Unit="Count")
    meter.until("ALARM")


def test_so_many_of_so_many_datapoints_make_an_alarm(meter: Meter) -> None:
    meter.alarm(EvaluationPeriods=3, DatapointsToAlarm=2)
    for value in (0, 2, 0):
        meter.put(value)
        meter.aws.advance_clock(60)
    meter.until("OK")
    meter.put(2)
    reason = meter.until("ALARM")["StateReason"]
    assert reason.startswith("Threshold Crossed: 2 out of the last 3 datapoints [2.0 (")
    assert reason.endswith("(minimum 2 datapoints for OK -> ALARM transition).")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Period": 90}, "Period must be 10, 20, 30 or a multiple of 60"),
        (
            {"DatapointsToAlarm": 2},
            "DatapointsToAlarm must be less than or equal to EvaluationPeriods.",
        ),
        (
            {"Period": 1800, "EvaluationPeriods": 49},
            (
                "Metrics cannot be checked across more than a day "
                "(EvaluationPeriods * Period must be <= 86400) for alarms using period < 3600"
            ),
        ),
        (
            {"Period": 86400, "EvaluationPeriods": 8},
            (
                "Metrics cannot be checked across more than a week "
                "(EvaluationPeriods * Period must be <= 604800) for alarms using period >= 3600"
            ),
        ),
        (
            {"TreatMissingData": "never"},
            "TreatMissingData must be one of breaching, notBreaching, ignore, missing, not never",
        ),
    ],
)
def test_an_alarm_that_can_not_be_is_refused_in_the_api_and_in_a_stack(
    meter: Meter, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as caught:
        meter.alarm(**changes)
    assert caught.value.response["Error"]["Message"] == message
    stacks = meter.aws.client("cloudformation")
    properties = {
        "Namespace": "N",
        "MetricName": "M",
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": 1,
        "EvaluationPeriods": 1,
        **changes,
    }
    body = {"Resources": {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}}}
    stacks.create_stack(StackName=meter.name, TemplateBody=json.dumps(body))
    reasons: list[str] = []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not any(message in reason for reason in reasons):
        events = stacks.describe_stack_events(StackName=meter.name)["StackEvents"]
        reasons = [event.get("ResourceStatusReason", "") for event in events]
        time.sleep(0.1)
    assert any(reason.startswith(f'Resource handler returned message: "{message}') for reason in reasons), reasons


def test_a_state_that_was_set_stays_for_a_while_and_gives_way_to_the_truth(meter: Meter) -> None:
    meter.alarm()
    meter.put(0)
    meter.until("OK")
    meter.cloudwatch.set_alarm_state(AlarmName=meter.name, StateValue="ALARM", StateReason="a test")
    time.sleep(0.5)
    assert meter.described()["StateReason"] == "a test"
    meter.aws.advance_clock(11)
    meter.until("OK")
