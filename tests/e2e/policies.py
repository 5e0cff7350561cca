"""The policies of a deployed stack, the calls they were asked about, and an evaluator that is not ours."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from account import Account

SIMULATOR = Path(__file__).with_name("iam_simulate.mjs")
INSTALLED = Path(__file__).resolve().parents[2] / ".cache" / "evaluator"
PERSONALIZE, SCHEDULER = "personalize.amazonaws.com", "scheduler.amazonaws.com"
SERVICES = {PERSONALIZE: "Personalize", SCHEDULER: "Scheduler"}
_HASH = re.compile(r"[0-9A-F]{8}$")

Document = dict[str, Any]


@dataclass(frozen=True)
class Policies:
    """Every policy document by name; the name says whose it is: the ARN of a role, bucket or key, and which one."""

    documents: dict[str, Document] = field(default_factory=dict)

    @classmethod
    def of(cls, account: Account, stack: str, *, roles: Iterable[str], buckets: dict[str, Any]) -> Policies:
        """Read the policies a deployment made out of the template, and those of further roles and buckets.

        Args:
            account: Where the stack is.
            stack: Its name.
            roles: The names of the further roles.
            buckets: The further buckets, each with the S3 client of the account it belongs to.
        """
        aws = account.aws
        iam, s3, kms = aws.client("iam"), aws.client("s3"), aws.client("kms")
        resources = aws.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
        found: dict[str, list[str]] = {}
        for resource in resources:
            found.setdefault(resource["ResourceType"], []).append(resource["PhysicalResourceId"])
        documents: dict[str, Document] = {}
        for role in [*found["AWS::IAM::Role"], *roles]:
            arn, trust = (iam.get_role(RoleName=role)["Role"][key] for key in ("Arn", "AssumeRolePolicyDocument"))
            documents[f"{arn} trust"] = trust
            statements = [s for document in _identity_documents(iam, role) for s in document["Statement"]]
            documents[f"{arn} policy"] = {"Version": "2012-10-17", "Statement": statements}
        for bucket, client in {**dict.fromkeys(found["AWS::S3::Bucket"], s3), **buckets}.items():
            policy = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])
            documents[f"arn:aws:s3:::{bucket} policy"] = policy
        for key in found["AWS::KMS::Key"]:
            arn = kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
            policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
            documents[f"{arn} policy"] = policy
            documents[f"{arn} delegation"] = {**policy, "Statement": [s for s in policy["Statement"] if delegates(s)]}
        return cls(documents)

    def variants(self, theirs: Iterable[str]) -> Iterator[Variant]:
        """Yield each policy with one action, one resource or one principal less; without those that are not ours."""
        for name, document in self.documents.items():
            if name in theirs or name.endswith(" delegation"):
                continue
            statements = document["Statement"]
            for number, statement in enumerate(statements):
                if statement["Effect"] == "Deny" or delegates(statement):
                    continue
                for what, smaller in _smaller(statement):
                    kept = [*statements[:number], *([smaller] if smaller else []), *statements[number + 1 :]]
                    changed = {**document, "Statement": kept} if kept else None
                    label = f"{name}, statement {number + 1}: without {what}"
                    yield Variant(name, label, listed(statement["Action"]), changed)


@dataclass(frozen=True)
class Variant:
    """A policy with something less; None when nothing is left of it."""

    policy: str
    label: str
    actions: list[str]
    document: Document | None


@dataclass(frozen=True)
class Question:
    """May `principal` do `action` on `resource` of `account`? And which policies are meant to say so."""

    principal: str
    action: str
    resource: str
    context: dict[str, Any]
    identity: tuple[str, ...]
    resource_policy: str | None
    meant: tuple[str, ...]
    account: str

    @property
    def name(self) -> str:
        """What this asks, without the names of this one run."""
        roles = {"ProviderRole": "the function", "ScheduleRole": "the schedule"}
        role = next((who for part, who in roles.items() if part in self.principal), "the role")
        return f"{SERVICES.get(self.principal, role)}: {self.action} on {kind_of(self.resource)}"

    def as_json(self) -> dict[str, Any]:
        """Write it for the simulator."""
        return {
            "principal": self.principal,
            "action": self.action,
            "resource": self.resource,
            "account": self.account,
            "context": self.context,
            "identity": self.identity,
            "resourcePolicy": self.resource_policy,
        }

    def but(self, **changed: Any) -> Question:
        """Ask something else."""
        return replace(self, **changed)


def kind_of(arn: str) -> str:
    """Return what an ARN names."""
    if arn == "*":
        return "everything"
    service, rest = arn.split(":", 5)[2], arn.split(":", 5)[5]
    if service == "s3":
        return "objects" if "/" in rest else "the bucket"
    return re.split("[:/]", rest, maxsplit=1)[0]


def questions(calls: Iterable[dict[str, Any]], policies: Policies, *, home: str, foreign: str) -> list[Question]:
    """Return what was asked in a run, once each: every call of a role or of a service.

    Args:
        calls: What the local AWS recorded.
        policies: Those of the stack.
        home: The account of the stack.
        foreign: The one bucket that belongs to another account, as `<account>:<bucket>`.
    """
    asked: dict[str, Question] = {}
    for call in calls:
        role = _role_of(call["principal"])
        if f"{role} policy" not in policies.documents and call["principal"] not in SERVICES:
            continue  # the CDK, the test itself
        for resource in call["resources"]:
            for question in _asked(call, role, resource, policies):
                account, _, bucket = foreign.partition(":")
                is_foreign = resource.partition("/")[0] == f"arn:aws:s3:::{bucket}"
                placed = _abroad(question, account, role) if is_foreign else question.but(account=home)
                asked.setdefault(repr(placed), placed)
    return list(asked.values())


def _asked(call: dict[str, Any], role: str, resource: str, policies: Policies) -> Iterator[Question]:
    own = f"{role} policy"
    holder = resource.partition("/")[0] if call["service"] == "s3" else resource
    base = Question(call["principal"], call["action"], resource, call["context"], (), None, (own,), "")
    if call["principal"] in SERVICES:
        name = f"{resource} trust" if call["service"] == "sts" else f"{holder} policy"
        yield base.but(resource_policy=name, meant=(name,))
    elif call["service"] == "kms":
        # Either would do for IAM, but AWS documents that the role and the key must both allow it.
        yield base.but(identity=(own,), resource_policy=f"{holder} delegation")
        yield base.but(resource_policy=f"{holder} policy", meant=(f"{holder} policy",))
    else:
        bucket = f"{holder} policy" if call["service"] == "s3" else None
        yield base.but(identity=(own,), resource_policy=bucket if bucket in policies.documents else None)


def _abroad(question: Question, account: str, role: str) -> Question:
    """Ask about a bucket of another account, where the role needs both policies."""
    if not question.identity:
        return question.but(account=account)
    both = (*question.identity, str(question.resource_policy))
    return question.but(account=account, meant=both, context={**question.context, "aws:PrincipalArn": role})


def simulate(policies: Policies, asked: list[Question], variants: list[Variant]) -> Any:
    """Ask `@cloud-copilot/iam-simulate` everything in one process."""
    request = {
        "policies": policies.documents,
        "questions": [question.as_json() for question in asked],
        "variants": [{"policy": variant.policy, "document": variant.document} for variant in variants],
    }
    command = ["node", str(SIMULATOR), str(INSTALLED)]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(value: Any) -> list[Any]:
    """Return what may be one or several as several."""
    return value if isinstance(value, list) else [value]


def _identity_documents(iam: Any, role: str) -> Iterator[Document]:
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = policy["PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        yield iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        yield iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]


def delegates(statement: Document) -> bool:
    """Say whether a statement is the CDK's own in a key, which leaves everything to the policies of the account."""
    return bool(statement["Action"] == "kms:*")


def _smaller(statement: Document) -> Iterator[tuple[str, Document | None]]:
    for element in ("Action", "Resource"):
        values = listed(statement.get(element, []))
        for value in values:
            rest = [other for other in values if other != value]
            yield value, {**statement, element: rest} if rest else None
    principals = [(kind, value) for kind, some in statement.get("Principal", {}).items() for value in listed(some)]
    for kind, value in principals:
        rest = [(other, some) for other, some in principals if (other, some) != (kind, value)]
        yield value, {**statement, "Principal": {k: [v for o, v in rest if o == k] for k, _ in rest}} if rest else None


def _role_of(principal: str) -> str:
    """Return the ARN of the role behind a session."""
    match = re.fullmatch(r"arn:aws:sts::(\d+):assumed-role/([^/]+)/.+", principal)
    return f"arn:aws:iam::{match[1]}:role/{match[2]}" if match else principal
