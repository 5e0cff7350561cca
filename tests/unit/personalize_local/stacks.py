"""A stack under test, with a function for its custom resources that does what their properties say."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from personalize_local import LocalAws

# A function that does what its properties say, and prints every event: one JSON line each.
FUNCTION = """
import json, time, urllib.request

def handler(event, context):
    properties = event["ResourceProperties"]
    kind = event["RequestType"]
    print(json.dumps({"event": event, "group": context.log_group_name}))
    if properties.get("Crash") == kind:
        raise RuntimeError("crashed")
    if properties.get("Silent") == kind:
        return
    if properties.get("Slow") == kind:
        time.sleep(float(properties["Seconds"]))
    answer = {
        "Status": "FAILED" if properties.get("Fail") == kind else "SUCCESS",
        "Reason": "as asked",
        "PhysicalResourceId": event.get("PhysicalResourceId") if kind == "Delete" else properties.get("Id", "id"),
        "StackId": event["StackId"], "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Echo": properties.get("Id", "")},
    }
    answer.update(json.loads(properties.get("Override", "{}")))
    url = event["ResponseURL"]
    if properties.get("Unsigned") == kind:
        url = url.split("&X-Amz-Signature")[0]
    request = urllib.request.Request(url, json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT")
    with urllib.request.urlopen(request) as response:
        print(json.dumps({"answered": response.status}))
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@dataclass
class Stack:
    """A stack under test; every one has a function for its custom resources."""

    aws: LocalAws
    name: str
    logs_allowed: bool = True
    resources: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cloudformation = self.aws.client("cloudformation")
        # Log group and role outlive a rolled back stack, so that its last log can be written and read.
        self.aws.client("logs").create_log_group(logGroupName=f"/test/{self.name}")
        iam = self.aws.client("iam")
        role = iam.create_role(RoleName=f"{self.name}-Role", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        statement = {"Effect": "Allow", "Action": "logs:*" if self.logs_allowed else "s3:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=f"{self.name}-Role", PolicyName="p", PolicyDocument=policy)
        self.base: dict[str, Any] = {
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": self.name,
                    "Runtime": "python3.12",
                    "Handler": "index.handler",
                    "Timeout": 10,
                    "Role": role,
                    "Code": {"ZipFile": FUNCTION},
                    "LoggingConfig": {"LogGroup": f"/test/{self.name}"},
                },
            },
        }

    def template(self, resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> str:
        template = {
            "Resources": {**self.base, **resources},
            "Outputs": {key: {"Value": value} for key, value in (outputs or {}).items()},
        }
        return json.dumps(template)

    def deploy(self, resources: dict[str, Any], outputs: dict[str, Any] | None = None, **options: Any) -> str:
        """Create or update the stack; returns the status it ends in."""
        exists = any(stack["StackName"] == self.name for stack in self.cloudformation.describe_stacks()["Stacks"])
        act = self.cloudformation.update_stack if exists else self.cloudformation.create_stack
        self._start(act, resources, outputs, **options)
        return self.settled()

    def create(self, resources: dict[str, Any]) -> None:
        self._start(self.cloudformation.create_stack, resources)

    def update(self, resources: dict[str, Any]) -> None:
        self._start(self.cloudformation.update_stack, resources)

    def _start(self, act: Any, resources: Any, outputs: dict[str, Any] | None = None, **options: Any) -> None:
        body = self.template(resources, outputs)
        act(StackName=self.name, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"], **options)

    def change_set(self, resources: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        """Create a change set; returns its description."""
        name = f"c{uuid.uuid4().hex[:8]}"
        self._start(self.cloudformation.create_change_set, resources, outputs, ChangeSetName=name)
        found: dict[str, Any] = self.cloudformation.describe_change_set(StackName=self.name, ChangeSetName=name)
        return found

    def execute_change_set(self, resources: dict[str, Any], outputs: dict[str, Any]) -> str:
        """Deploy as the CDK does; returns the status the stack ends in."""
        found = self.change_set(resources, outputs)
        assert (found["Status"], found["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE"), found
        self.cloudformation.execute_change_set(StackName=self.name, ChangeSetName=found["ChangeSetName"])
        return self.settled()

    def delete(self) -> str:
        arn = self.id()
        self.cloudformation.delete_stack(StackName=self.name)
        return self.settled(arn)

    def id(self) -> str:
        """The stack's ARN, which also names it once it is deleted."""
        arn: str = self._described()["StackId"]
        return arn

    def status(self) -> str:
        status: str = self._described()["StackStatus"]
        return status

    def resource(self, logical_id: str) -> dict[str, Any]:
        reply = self.cloudformation.describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        found: dict[str, Any] = reply["StackResourceDetail"]
        return found

    def events(self) -> list[dict[str, Any]]:
        """Its events, oldest first."""
        found = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return list(reversed(found))

    def _described(self, name: str = "") -> dict[str, Any]:
        found: dict[str, Any] = self.cloudformation.describe_stacks(StackName=name or self.name)["Stacks"][0]
        return found

    def settled(self, name: str = "") -> str:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            status: str = self._described(name)["StackStatus"]
            if not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(0.03)
        raise AssertionError(status)

    def outputs(self) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in self._described()["Outputs"]}

    def reasons(self) -> str:
        events = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(event.get("ResourceStatusReason", "") for event in events)

    def lines(self) -> list[dict[str, Any]]:
        """The events the function got, oldest first."""
        return [line for line in self._printed() if "event" in line]

    def _printed(self) -> list[dict[str, Any]]:
        found = self.aws.client("logs").filter_log_events(logGroupName=f"/test/{self.name}")["events"]
        return [json.loads(event["message"]) for event in found if event["message"].startswith("{")]

    def received(self, count: int) -> list[tuple[str, str | None]]:
        """Request type and physical id of the first so many events; logs arrive when an invocation has ended."""
        deadline = time.monotonic() + 10
        while len(self.lines()) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        events = [line["event"] for line in self.lines()]
        return [(event["RequestType"], event.get("PhysicalResourceId")) for event in events]

    def answers(self, count: int) -> list[int]:
        """The status codes its first so many answers got."""
        deadline = time.monotonic() + 10
        while len(found := [line["answered"] for line in self._printed() if "answered" in line]) < count:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found


def custom(identifier: str = "id", after: str = "", **properties: Any) -> dict[str, Any]:
    token = {"Fn::GetAtt": ["Function", "Arn"]}
    resource = {"Type": "Custom::Test", "Properties": {"ServiceToken": token, "Id": identifier, **properties}}
    return {**resource, "DependsOn": [after]} if after else resource
