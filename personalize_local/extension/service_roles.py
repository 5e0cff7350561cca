"""Roles that a service assumes to act for a user: EventBridge Scheduler invokes its targets with one.

Rests on https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html: the role trusts
the service's principal, and conditions on the source see the account and the ARN of the schedule's *group*.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from personalize_local.extension import patches
from personalize_local.extension.calls import Call

if TYPE_CHECKING:
    from personalize_local.extension.calls import CallLog

CONNECT_SECONDS = 5
READ_SECONDS = 30
SESSION_SECONDS = 3600


class NotAssumableError(Exception):
    """The role does not exist, or does not trust the service for this source."""


@dataclass(frozen=True)
class Source:
    """On whose behalf a service asks."""

    account: str
    region: str
    arn: str


class ServiceRoles:
    """Assumes roles as one service.

    Args:
        principal: The service, such as ``scheduler.amazonaws.com``.
        session_name: What its sessions are called.
        endpoint: Where this server listens.
        log: Where the checks of trust policies are recorded.
    """

    def __init__(self, principal: str, session_name: str, endpoint: str, log: CallLog) -> None:
        """Keep them; nothing of the user's own AWS settings is read."""
        self._principal = principal
        self._session_name = session_name
        self._endpoint = endpoint
        self._log = log
        self._iam = bool(patches.load(patches.APP).AUTH)
        self._evaluator = patches.load(patches.EVALUATOR)
        self._lock = threading.Lock()
        self._session = botocore.session.Session()

    def trusts(self, role_arn: str, source: Source) -> bool:
        """Tell whether the role exists and lets the service assume it; without IAM every role does."""
        if not self._iam:
            return True
        roles = patches.load(patches.IAM)._roles  # noqa: SLF001 - ministack has no public interface
        role = roles.get_scoped(source.account, None, role_arn.rsplit("/", 1)[-1])
        if role is None or role.get("Arn") != role_arn:
            return False
        document = role.get("AssumeRolePolicyDocument") or {}
        document = json.loads(document) if isinstance(document, str) else document
        statements = document.get("Statement") or []
        statements = [statements] if isinstance(statements, dict) else statements
        keys = {"aws:sourceaccount": source.account, "aws:sourcearn": source.arn}
        context = self._evaluator.EvalContext(
            principal_arn=self._principal,
            principal_type="Service",
            principal_account=source.account,
            action="sts:AssumeRole",
            resource_arn=role_arn,
            region=source.region,
            secure_transport=True,
            service_context=keys,
        )
        policy = {"Statement": [{**statement, "Resource": "*"} for statement in statements]}
        decision = self._evaluator.evaluate_resource_policy(policy, context, service=self._principal).decision
        self._log.add(Call("sts", "sts:AssumeRole", (role_arn,), self._principal, decision == "Allow", keys))
        return bool(decision == "Allow")

    def client(self, service: str, role_arn: str, source: Source) -> Any:
        """Return a client of another service with a new session of the role.

        Raises:
            NotAssumableError: There is no such role, or it does not trust the service.
        """
        if not self.trusts(role_arn, source):
            raise NotAssumableError(role_arn)
        access_key, secret_key, token = (
            f"ASIA{secrets.token_hex(8).upper()}",
            secrets.token_hex(20),
            secrets.token_hex(32),
        )
        role = role_arn.rsplit("/", 1)[-1]
        record = {
            "Arn": f"arn:aws:sts::{source.account}:assumed-role/{role}/{self._session_name}",
            "UserId": f"{role}:{self._session_name}",
            "AccountId": source.account,
            "SecretAccessKey": secret_key,
            "SessionToken": token,
            "Expiration": time.time() + SESSION_SECONDS,
        }
        patches.load(patches.STS).register_session(access_key, record)
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        with self._lock:  # making a client is not safe on two threads at once
            return self._session.create_client(
                service,
                endpoint_url=self._endpoint,
                region_name=source.region,
                aws_access_key_id=access_key,
                aws_secret_access_key=secret_key,
                aws_session_token=token,
                config=config,
            )
