"""The IAM statements everything here needs, as plain documents.

The actions and resources are those of
https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-s3-access.html and
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonpersonalize.html. Nothing in this module
calls the CDK, so building a document costs nothing and gives the same text every time.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

Statement = dict[str, Any]
Document = dict[str, Any]
Conditions = dict[str, dict[str, str]]

PERSONALIZE = "personalize.amazonaws.com"
POLICY_CHARACTERS = 6144  # of a managed policy, white space not counted
POLICIES_PER_ROLE = 10

_KEY_ACTIONS = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ListGrants"]
_DATASET_GROUP_KEY_ACTION = "kms:GenerateDataKeyWithoutPlaintext"
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


def bucket_statements(bucket_arn: str, prefix: str, conditions: Conditions | None = None) -> list[Statement]:
    """The bucket policy. AWS documents it without conditions; whether any would pass is unknown."""
    more = {"Condition": conditions} if conditions else {}
    writes = write_statements(bucket_arn, prefix)
    return [{**statement, "Principal": {"Service": PERSONALIZE}, **more} for statement in writes]


def only_tls_statement(bucket_arn: str) -> Statement:
    """Refuse whoever comes without TLS: https://docs.aws.amazon.com/config/latest/developerguide/s3-bucket-ssl-requests-only.html."""
    return {
        "Effect": "Deny",
        "Action": "s3:*",
        "Principal": {"AWS": "*"},
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


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


def key_statement(principal_arn: str) -> Statement:
    """The key policy, for Personalize itself and for the role it writes with."""
    actions = sorted([*_KEY_ACTIONS, "kms:CreateGrant"])
    return allow(actions, "*", Principal={"AWS": principal_arn, "Service": PERSONALIZE})


def dataset_group_key_statement(principal_arn: str) -> Statement:
    """The policy of the key of a dataset group, for Personalize itself and for the role it writes with."""
    return allow(_DATASET_GROUP_KEY_ACTION, "*", Principal={"AWS": principal_arn, "Service": PERSONALIZE})


def trust_conditions(partition: str, region: str, account: str) -> Conditions:
    """For whom Personalize may act: only this account, in this Region (the confused deputy problem)."""
    return {
        "StringEquals": {"aws:SourceAccount": account},
        "StringLike": {"aws:SourceArn": f"arn:{partition}:personalize:{region}:{account}:*"},
    }


@dataclass(frozen=True)
class Needs:
    """What one export asks of the function."""

    dataset_arn: str
    job_arn: str
    role_arn: str
    tags: bool

    def characters(self) -> int:
        """Say how much a policy grows by this at the most, without writing the policy down."""
        arns = [self.dataset_arn, self.role_arn, *[self.job_arn] * 3]
        tag_statement = [allow("personalize:TagResource", [])] if self.tags else []
        return _characters([*arns, *tag_statement])


@dataclass
class FunctionPolicy:
    """One managed policy of the function, growing with every export; order is the order of first use."""

    base: list[Statement] = field(default_factory=list)
    datasets: dict[str, None] = field(default_factory=dict)
    jobs: dict[str, None] = field(default_factory=dict)
    tagged_jobs: dict[str, None] = field(default_factory=dict)
    roles: dict[str, None] = field(default_factory=dict)

    def covers(self, needs: Needs) -> bool:
        """Say whether this policy already allows all of `needs`."""
        return (
            needs.dataset_arn in self.datasets
            and needs.job_arn in self.jobs
            and needs.role_arn in self.roles
            and (needs.job_arn in self.tagged_jobs or not needs.tags)
        )

    def with_(self, needs: Needs) -> FunctionPolicy:
        """Return a policy that allows `needs` as well."""
        return FunctionPolicy(
            base=self.base,
            datasets={**self.datasets, needs.dataset_arn: None},
            jobs={**self.jobs, needs.job_arn: None},
            tagged_jobs={**self.tagged_jobs, **({needs.job_arn: None} if needs.tags else {})},
            roles={**self.roles, needs.role_arn: None},
        )

    def document(self) -> Document:
        """Return the policy document."""
        jobs, roles = list(self.jobs), list(self.roles)
        statements = [
            *self.base,
            allow("personalize:CreateDatasetExportJob", [*self.datasets, *jobs]),
            allow("personalize:DescribeDatasetExportJob", jobs),
        ]
        if self.tagged_jobs:
            statements.append(allow("personalize:TagResource", list(self.tagged_jobs)))
        passed_to = {"StringEquals": {"iam:PassedToService": PERSONALIZE}}
        statements.append(allow("iam:PassRole", roles, Condition=passed_to))
        return document(statements)

    def characters(self) -> int:
        """Estimate the size at deployment, from above: what a token becomes is not known yet."""
        return _characters(self.document())


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
    """What Lambda does to put a request into the dead-letter queue."""
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
