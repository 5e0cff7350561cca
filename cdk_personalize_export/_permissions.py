"""The IAM statements everything here needs, as plain documents.

The actions and resources are those of
https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-s3-access.html and
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonpersonalize.html. Nothing in this module
calls the CDK, so building a document costs nothing and gives the same text every time.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

Statement = dict[str, Any]
Document = dict[str, Any]
Conditions = dict[str, dict[str, str]]


class Below(NamedTuple):
    """An action on a bucket, allowed for keys that begin with a prefix."""

    action: str
    prefix: str


Action = str | Below
Grant = tuple[Action, str]  # an action, and the resource it is allowed on

PERSONALIZE = "personalize.amazonaws.com"
SCHEDULER = "scheduler.amazonaws.com"
EVENT_SOURCE = "cdk-personalize-export"
EVENT_TYPE = "Personalize Dataset Export Job State Change"
POLICY_CHARACTERS = 6144  # of a managed policy, white space not counted
INLINE_POLICY_CHARACTERS = 10240  # of all inline policies of a role
POLICIES_PER_ROLE = 10

_KEY_ACTIONS = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ListGrants"]
_DATASET_GROUP_KEY_ACTION = "kms:GenerateDataKeyWithoutPlaintext"
_MANIFEST_KEY_ACTIONS = ["kms:Decrypt", "kms:GenerateDataKey"]
MANIFESTS, POINTERS = "_manifests/", "hive/"  # below the prefix of a destination
_TOKEN = re.compile(r"\$\{Token\[(?P<name>[^\]]*)\]\}")
_PSEUDO_PARAMETER_CHARACTERS = 14  # "ap-northeast-1"; account ids have 12, partitions fewer
_REFERENCE_CHARACTERS = 160  # the ARN of a dataset has at most 139, that of a role or function 128


def document(statements: list[Statement]) -> Document:
    """Wrap statements into a policy document."""
    return {"Version": "2012-10-17", "Statement": statements}


def allow(actions: str | list[str], resources: str | list[str], **more: object) -> Statement:
    """One Allow statement."""
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def write_statements(bucket_arn: str, prefix: str) -> list[Statement]:
    """What Personalize does in the bucket; the role policy and the bucket policy must both say it."""
    return [allow("s3:ListBucket", bucket_arn), allow("s3:PutObject", f"{bucket_arn}/{prefix}*")]


def bucket_statements(bucket_arn: str, prefix: str, conditions: Conditions) -> list[Statement]:
    """What the bucket policy lets Personalize itself do."""
    writes = write_statements(bucket_arn, prefix)
    return [{**statement, "Principal": {"Service": PERSONALIZE}, "Condition": conditions} for statement in writes]


def foreign_role_statements(bucket_arn: str, prefix: str, account_arn: str, role_arn: str) -> list[Statement]:
    """What the policy of another account's bucket says about our role.

    It names the account, and the role in a condition: a principal must exist when the policy is written, so the bucket
    could not be set up before the role.
    """
    more = {"Principal": {"AWS": account_arn}, "Condition": {"ArnEquals": {"aws:PrincipalArn": role_arn}}}
    return [{**statement, **more} for statement in write_statements(bucket_arn, prefix)]


def role_statements(
    bucket_arn: str, prefix: str, key_arn: str | None, dataset_group_key_arn: str | None
) -> list[Statement]:
    """The policy of the role Personalize writes with."""
    key = [allow(_KEY_ACTIONS, key_arn)] if key_arn else []
    dataset_group_key = [allow(_DATASET_GROUP_KEY_ACTION, dataset_group_key_arn)] if dataset_group_key_arn else []
    return [*write_statements(bucket_arn, prefix), *key, *dataset_group_key]


def key_statements(principal_arn: str, conditions: Conditions) -> list[Statement]:
    """What the key policy lets the role and Personalize itself do."""
    return _for_role_and_service(sorted([*_KEY_ACTIONS, "kms:CreateGrant"]), principal_arn, conditions)


def dataset_group_key_statements(principal_arn: str, conditions: Conditions) -> list[Statement]:
    """What the policy of the key of a dataset group lets the role and Personalize itself do."""
    return _for_role_and_service(_DATASET_GROUP_KEY_ACTION, principal_arn, conditions)


def _for_role_and_service(actions: str | list[str], principal_arn: str, conditions: Conditions) -> list[Statement]:
    # Apart, because the conditions speak of the service: what the role asks for carries no source account.
    return [
        allow(actions, "*", Principal={"AWS": principal_arn}),
        allow(actions, "*", Principal={"Service": PERSONALIZE}, Condition=conditions),
    ]


def trust_conditions(partition: str, region: str, account: str) -> Conditions:
    """For whom Personalize may act: only this account, in this Region (the confused deputy problem)."""
    return {
        "StringEquals": {"aws:SourceAccount": account},
        "StringLike": {"aws:SourceArn": f"arn:{partition}:personalize:{region}:{account}:*"},
    }


def source_conditions(account: str) -> Conditions:
    """Deny strangers where Personalize says for whom it acts; whether it does, with buckets and keys, is unknown.

    https://docs.aws.amazon.com/personalize/latest/dg/cross-service-confused-deputy-prevention.html recommends the
    condition; AWS's own examples of bucket and key policies have none.
    """
    return {"StringEqualsIfExists": {"aws:SourceAccount": account}}


_CREATE, _DESCRIBE = "personalize:CreateDatasetExportJob", "personalize:DescribeDatasetExportJob"
_LIST, _TAG = "personalize:ListDatasetExportJobs", "personalize:TagResource"
_PASS_ROLE, _PUT_EVENTS = "iam:PassRole", "events:PutEvents"
_ASK_CLOUDFORMATION = "cloudformation:DescribeStackResource"
_CONDITIONS: dict[str, Conditions] = {
    _PASS_ROLE: {"StringEquals": {"iam:PassedToService": PERSONALIZE}},
    # Lists, says the service authorization reference: a request may hold several events. Right for one event as well.
    _PUT_EVENTS: {
        "ForAllValues:StringEquals": {"events:source": EVENT_SOURCE, "events:detail-type": EVENT_TYPE},
        "Null": {"events:source": "false", "events:detail-type": "false"},
    },
}
EVERYTHING = "*"


@dataclass(frozen=True)
class Needs:
    """What one export asks of the function."""

    dataset_arn: str
    job_arn: str
    role_arn: str
    tags: bool
    stack_id: str | None = None
    """Of an export CloudFormation waits for: the function asks whether it still does, before it starts a job late."""
    lists: bool = False
    """Whether it looks for the job of the scheduled time before, which IAM allows on all resources only."""

    def grants(self) -> list[Grant]:
        """Return each action with a resource it must be allowed on."""
        ask = [(_ASK_CLOUDFORMATION, self.stack_id)] if self.stack_id else []
        create = [(_CREATE, self.dataset_arn), (_CREATE, self.job_arn)]
        find = [(_LIST, EVERYTHING)] if self.lists else []
        tag = [(_TAG, self.job_arn)] if self.tags else []
        return [*ask, *create, (_DESCRIBE, self.job_arn), *find, *tag, (_PASS_ROLE, self.role_arn)]


def event_grants(bus_arn: str) -> list[Grant]:
    """Return what the function needs to send events to a bus."""
    return [(_PUT_EVENTS, bus_arn)]


def manifest_objects(bucket_arn: str, prefix: str) -> list[str]:
    """Return which objects the function writes where exports have manifests."""
    return [f"{bucket_arn}/{prefix}{folder}*" for folder in (MANIFESTS, POINTERS)]


def manifest_grants(bucket_arn: str, prefix: str, key_arn: str | None) -> list[Grant]:
    """Return what the function needs to write manifests: it lists what jobs wrote, and reads none of it.

    S3 asks for `s3:GetObject` where an object is looked at, or replaced under a condition:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html. Which actions on the key writing
    takes is in https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html.
    """
    manifests, pointers = manifest_objects(bucket_arn, prefix)
    key: list[Grant] = [(action, key_arn) for action in _MANIFEST_KEY_ACTIONS] if key_arn else []
    put = "s3:PutObject"
    return [
        (Below("s3:ListBucket", prefix), bucket_arn),
        (put, manifests),
        (put, pointers),
        ("s3:GetObject", pointers),
        *key,
    ]


def manifest_key_statements(principal_arn: str) -> list[Statement]:
    """What the policy of the key lets the function do, where exports have manifests."""
    return [allow(_MANIFEST_KEY_ACTIONS, "*", Principal={"AWS": principal_arn})]


class FunctionPolicy:
    """One policy of the function, growing with every export; order is the order of first use."""

    def __init__(self, base: list[Statement]) -> None:
        self._resources: dict[Action, dict[str, None]] = {}
        self.characters = _characters(document(base))
        """Its size at deployment, from above: what a token becomes is not known yet."""

    def missing(self, grants: list[Grant]) -> list[Grant]:
        """Return what of `grants` this policy does not allow yet."""
        return [grant for grant in grants if grant[1] not in self._resources.get(grant[0], {})]

    def characters_of(self, grants: list[Grant]) -> int:
        """Return how much longer the policy would be."""
        new_statements = {action for action, _ in grants if action not in self._resources}
        listed = sum(_characters(arn) + len(",") for _, arn in grants)
        return listed + sum(_characters(statement(action, [])) + len(",") for action in new_statements)

    def add(self, grants: list[Grant]) -> dict[Action, list[str]]:
        """Allow `grants` as well; return the new resources by action."""
        self.characters += self.characters_of(grants)
        added: dict[Action, list[str]] = {}
        for action, arn in grants:
            self._resources.setdefault(action, {})[arn] = None
            added.setdefault(action, []).append(arn)
        return added


def statement(action: Action, resources: list[str]) -> Statement:
    """Return the statement that lets the function use `action`."""
    if isinstance(action, Below):
        return allow(action.action, resources, Condition={"StringLike": {"s3:prefix": f"{action.prefix}*"}})
    condition = _CONDITIONS.get(action)
    return allow(action, resources) if condition is None else allow(action, resources, Condition=condition)


def _characters(value: object) -> int:
    return len(_TOKEN.sub(_stand_in, json.dumps(value, separators=(",", ":"))))


def _stand_in(token: re.Match[str]) -> str:
    pseudo = token["name"].startswith("AWS.")
    return "x" * (_PSEUDO_PARAMETER_CHARACTERS if pseudo else _REFERENCE_CHARACTERS)


def function_statements(function_arn: str, log_group_arn: str) -> list[Statement]:
    """What the function needs whatever it exports: to hand over to itself, and to log."""
    return [
        allow("lambda:InvokeFunction", function_arn),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], log_group_arn),
    ]


def schedule_group_conditions(account: str, group_arn: str) -> Conditions:
    """For whom Scheduler may act: schedules of this account in this group (the confused deputy problem).

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html.
    """
    return {"StringEquals": {"aws:SourceAccount": account, "aws:SourceArn": group_arn}}


def scheduler_trust_statement(account: str, group_arn: str) -> Statement:
    """What a trust policy says of one more schedule group."""
    conditions = schedule_group_conditions(account, group_arn)
    trust: Statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": SCHEDULER}}
    return {**trust, "Condition": conditions}


NETWORK_ACTIONS = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]


def network_statement() -> Statement:
    """What Lambda does with the function's role in a VPC: https://docs.aws.amazon.com/lambda/latest/dg/foundation-networking.html."""
    return allow(NETWORK_ACTIONS, "*")


def no_network_for_code_statement(function_arn: str) -> Statement:
    """Lambda needs those actions, the code does not: the way that page recommends to tell them apart."""
    condition = {"ArnEquals": {"lambda:SourceFunctionArn": function_arn}}
    return {"Effect": "Deny", "Action": NETWORK_ACTIONS, "Resource": "*", "Condition": condition}


def tracing_statement() -> Statement:
    """What Lambda does to trace: https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html."""
    return allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*")


def queue_statements(queue_arn: str, key_arn: str | None) -> list[Statement]:
    """What a service does to put what it gave up on into a dead-letter queue."""
    key = [allow(["kms:Decrypt", "kms:GenerateDataKey"], key_arn)] if key_arn else []
    return [allow("sqs:SendMessage", queue_arn), *key]


def pasteable(statements: list[Statement], partition: str) -> str:
    """JSON for people to paste."""
    return readable(json.dumps(statements, indent=2), partition)


def readable(text: str, partition: str) -> str:
    """Text for people: the partition spelled out, what is not known yet named as such."""
    text = re.sub(r"\$\{Token\[AWS\.Partition\.\d+\]\}", partition, text)
    text = re.sub(r"\$\{Token\[AWS\.(\w+)\.\d+\]\}", r"<\1>", text)
    return _TOKEN.sub("<known after the deployment>", text)
