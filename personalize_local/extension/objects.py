"""How Personalize reaches S3: with a session of the job's role, through this server's own S3, so that policies decide.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-s3-access.html: the role must trust
``personalize.amazonaws.com``, its policy **and** the bucket's policy must both allow listing and writing (or
reading), and a key needs its own grants.
"""

from __future__ import annotations

import io
import json
import secrets
import tempfile
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
from botocore.exceptions import ClientError

from personalize_local.extension import foreign_buckets, patches
from personalize_local.extension.calls import Call
from personalize_local.extension.iam import PRINCIPAL
from personalize_local.extension.partitions import at_home
from personalize_local.service import AccessRefused, ApiError, Caller
from personalize_local.service.locations import keys_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from personalize_local.extension.calls import CallLog

_BUFFER_BYTES = 1 << 16
ROLE_ACTIONS_ON_KEY = ("kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:ListGrants")
SERVICE_ACTIONS_ON_KEY = (*ROLE_ACTIONS_ON_KEY, "kms:CreateGrant")


@dataclass(frozen=True)
class Location:
    """A place in S3, from ``s3://bucket/key-or-prefix``."""

    bucket: str
    key: str
    partition: str

    @classmethod
    def parse(cls, text: str, partition: str) -> Location:
        """Read a location; the API's pattern accepts ``http(s)`` forms too, which are not supported here."""
        if not text.startswith("s3://") or not text.removeprefix("s3://").partition("/")[0]:
            raise ApiError("InvalidInputException", f"The S3 location is not valid: {text}")
        bucket, _, key = text.removeprefix("s3://").partition("/")
        return cls(bucket, key, partition)

    @property
    def bucket_arn(self) -> str:
        """The ARN of the bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    def object_arn(self, key: str) -> str:
        """Return the ARN of an object in the bucket."""
        return f"{self.bucket_arn}/{key}"


@dataclass(frozen=True)
class Session:
    """A role that Personalize has assumed for one job."""

    role_arn: str
    access_key: str
    secret_key: str
    token: str
    caller: Caller
    source_arn: str


class S3Objects:
    """The object store of the local Personalize: S3 over HTTP, with a session of the job's role.

    Args:
        endpoint: Where this server listens.
        log: Where the calls are kept that Personalize makes as itself, not with the role.
        iam: Whether policies decide.
    """

    def __init__(self, endpoint: str, log: CallLog, *, iam: bool) -> None:
        """Keep them; the S3 clients are made when they are first needed."""
        self._endpoint = endpoint
        self._log = log
        self._iam = iam
        self._evaluator = patches.load(patches.EVALUATOR)
        self._scope = patches.load(patches.RESPONSES).request_scope
        self._session = boto3.Session()
        self._lock = threading.Lock()

    def check_role(self, *, role_arn: str, caller: Caller) -> None:
        """Refuse a role that does not exist or does not trust Personalize.

        Raises:
            ApiError: ``InvalidInputException``; its text is inferred from sibling services.
        """
        source = f"arn:{caller.partition}:personalize:{caller.region}:{caller.account}:*"
        if self._iam and not self._trusts(role_arn, caller, source):
            raise ApiError("InvalidInputException", _not_assumable(role_arn))

    def read(
        self, *, role_arn: str, location: str, caller: Caller, source_arn: str, subfolders: bool
    ) -> Iterator[tuple[str, BinaryIO]]:
        """Yield key and body of every object at the location."""
        place = Location.parse(location, caller.partition)
        session = self._assume(role_arn, caller, source_arn)
        self._require_bucket_policy(place, session, {"s3:ListBucket": place.bucket_arn})
        client = self._client(session)
        with _refusals(session, place):
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.key)
            found = [item["Key"] for page in pages for item in page.get("Contents", [])]
        keys = keys_at(place.key, found, subfolders=subfolders)
        for key in keys:
            self._require_bucket_policy(place, session, {"s3:GetObject": place.object_arn(key)})
            with _refusals(session, place):
                found_object = client.get_object(Bucket=place.bucket, Key=key)
            if "SSEKMSKeyId" in found_object:
                self._require_key(found_object["SSEKMSKeyId"], session)
            yield key, io.BufferedReader(found_object["Body"], _BUFFER_BYTES)

    def write(  # noqa: PLR0913 - what an S3 write with a role needs
        self,
        *,
        role_arn: str,
        location: str,
        name: str,
        body: Iterable[bytes] | BinaryIO,
        kms_key_arn: str | None,
        caller: Caller,
        source_arn: str,
    ) -> None:
        """Write one object under the location."""
        place = Location.parse(location, caller.partition)
        key = f"{place.key.rstrip('/')}/{name}" if place.key else name
        session = self._assume(role_arn, caller, source_arn)
        granted = {"s3:ListBucket": place.bucket_arn, "s3:PutObject": place.object_arn(key)}
        self._require_bucket_policy(place, session, granted)
        for key_arn in {kms_key_arn, self._bucket_key(place)} - {None, ""}:
            self._require_key(str(key_arn), session)
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_arn} if kms_key_arn else {}
        client = self._client(session)
        with _refusals(session, place), tempfile.TemporaryFile() as file:  # S3 wants the length first
            client.list_objects_v2(Bucket=place.bucket, Prefix=place.key, MaxKeys=1)
            file.writelines(body)
            file.seek(0)
            client.put_object(Bucket=place.bucket, Key=key, Body=file, ContentType="text/csv", **encryption)

    def _assume(self, role_arn: str, caller: Caller, source_arn: str) -> Session:
        """Return a session of the role, or refuse: the trust policy may have changed since the job was created."""
        if not self._iam:
            return Session(role_arn, caller.account, "test", "", caller, source_arn)
        if not self._trusts(role_arn, caller, source_arn):
            raise AccessRefused(_not_assumable(role_arn))
        access_key, secret_key = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20)
        session = Session(role_arn, access_key, secret_key, secrets.token_hex(32), caller, source_arn)
        role, session_name = role_arn.rsplit("/", 1)[-1], f"Personalize-{access_key[-8:]}"
        record = {
            "Arn": f"arn:{caller.partition}:sts::{caller.account}:assumed-role/{role}/{session_name}",
            "UserId": f"{role}:{session_name}",
            "AccountId": caller.account,
            "SecretAccessKey": session.secret_key,
            "SessionToken": session.token,
        }
        patches.load(patches.STS).register_session(session.access_key, record)
        return session

    def _trusts(self, role_arn: str, caller: Caller, source_arn: str) -> bool:
        """Tell whether the role exists and lets Personalize assume it, for this account and this source."""
        roles = patches.load(patches.IAM)._roles  # noqa: SLF001 - ministack has no public interface
        role = roles.get_scoped(caller.account, None, role_arn.rsplit("/", 1)[-1])
        if role is None or role.get("Arn") != at_home(role_arn):
            return False
        document = role.get("AssumeRolePolicyDocument") or {}
        document = json.loads(document) if isinstance(document, str) else document
        statements = [{**statement, "Resource": "*"} for statement in _listed(document.get("Statement"))]
        context = self._context("sts:AssumeRole", role_arn, caller, source_arn)
        return bool(self._evaluate_for_service({"Statement": statements}, context) == "Allow")

    def _require_bucket_policy(self, place: Location, session: Session, granted: dict[str, str]) -> None:
        """Refuse unless the bucket policy grants Personalize itself each action."""
        if not self._iam:
            return
        policies = patches.load(patches.S3)._bucket_policies  # noqa: SLF001 - ministack has no public interface
        owner = foreign_buckets.owner_of(place.bucket)
        document = policies.get_scoped(owner, None, place.bucket)
        for action, resource in granted.items():
            context = self._context(action, resource, session.caller, session.source_arn)
            if self._evaluate_for_service(document, context) != "Allow":
                raise AccessRefused(
                    f"The policy of bucket {place.bucket} does not allow {PRINCIPAL} {action} on {resource}."
                )

    def _bucket_key(self, place: Location) -> str | None:
        """Return the customer key the bucket encrypts with, if it has one."""
        stored = patches.load(patches.S3)._bucket_encryption  # noqa: SLF001 - ministack has no public interface
        text = str(stored.get_scoped(foreign_buckets.owner_of(place.bucket), None, place.bucket) or "")
        _, _, rest = text.partition("<KMSMasterKeyID>")
        return rest.partition("</KMSMasterKeyID>")[0] or None

    def _require_key(self, key_arn: str, session: Session) -> None:
        """Refuse unless the role and Personalize itself may use the key.

        For imports the guide asks for the key's policy only, which may let the role in as well as the role's own.
        """
        if not self._iam:
            return
        caller = session.caller
        with self._scope(caller.account, caller.region):
            found = patches.load(patches.KMS).key_policy_for_arn(at_home(key_arn))
            if found is None:
                raise AccessRefused(f"The key {key_arn} does not exist.", key_arn=key_arn)
            for action in ROLE_ACTIONS_ON_KEY:
                if self._evaluator.enforce(session.access_key, action, "kms", caller.region, at_home(key_arn)):
                    raise AccessRefused(f"{session.role_arn} is not allowed {action} on it.", key_arn=key_arn)
        for action in SERVICE_ACTIONS_ON_KEY:
            context = self._context(action, key_arn, caller, session.source_arn)
            if self._evaluate_for_service(found[0], context) != "Allow":
                raise AccessRefused(f"Its policy does not allow {PRINCIPAL} {action}.", key_arn=key_arn)

    def _context(self, action: str, resource: str, caller: Caller, source_arn: str) -> Any:
        """Describe a request of Personalize itself.

        Whether its S3 requests carry the source account and ARN is unknown; here they do, so both forms of policy pass.
        """
        return self._evaluator.EvalContext(
            principal_arn=PRINCIPAL,
            principal_type="Service",
            principal_account=caller.account,
            action=action,
            resource_arn=resource,
            region=caller.region,
            secure_transport=True,
            service_context={"aws:sourceaccount": caller.account, "aws:sourcearn": source_arn},
        )

    def _evaluate_for_service(self, document: Any, context: Any) -> str:
        """Return what a resource's policy decides for Personalize as a service, and keep the call."""
        decision = str(self._evaluator.evaluate_resource_policy(document, context, service=PRINCIPAL).decision)
        service, resources = context.action.partition(":")[0], (context.resource_arn,)
        allowed = decision == "Allow"
        self._log.add(Call(service, context.action, resources, PRINCIPAL, allowed, context.service_context))
        return decision

    def _client(self, session: Session) -> Any:
        """Return an S3 client with the credentials of the session; making one is not safe on two threads at once."""
        with self._lock:
            return self._session.client(
                "s3",
                endpoint_url=self._endpoint,
                region_name=session.caller.region,
                aws_access_key_id=session.access_key,
                aws_secret_access_key=session.secret_key,
                aws_session_token=session.token or None,
            )


class _refusals:  # noqa: N801 - reads as a statement
    """Turns what S3 refuses into what Personalize makes of it."""

    def __init__(self, session: Session, place: Location) -> None:
        """Keep what the message names."""
        self._session = session
        self._place = place

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Replace an S3 error."""
        if isinstance(error, ClientError):
            raise self._refusal(error) from error

    def _refusal(self, error: ClientError) -> Exception:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code == "NoSuchBucket":
            return ApiError("InvalidInputException", f"The S3 bucket {self._place.bucket} does not exist.")
        return AccessRefused(
            f"{self._session.role_arn}: {error.operation_name} on {self._place.bucket}: {message or code}"
        )


def _not_assumable(role_arn: str) -> str:
    """Return the text for a role that Personalize can not assume (inferred)."""
    return (
        f"Amazon Personalize can't assume the role {role_arn}. "
        f"Check that it exists and that its trust policy allows {PRINCIPAL}."
    )


def _listed(value: Any) -> list[dict[str, Any]]:
    """Return a policy's statements, which may be a single one."""
    return [value] if isinstance(value, dict) else list(value or [])
