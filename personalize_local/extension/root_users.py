"""Root users: their signatures are verified, and each account has a secret of its own.

ministack lets every request of a root user through, whatever it is signed with, and takes one without an access key
for the root user's. Here both are refused, as on AWS
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches
from personalize_local.keys import secret_of

if TYPE_CHECKING:
    from collections.abc import Callable

_verifying: ContextVar[bool] = ContextVar("personalize_local_verifying", default=False)


def register() -> None:
    """Wrap what pins a signature for its check, what knows root keys, and what looks credentials up."""
    for module in (patches.APP, patches.EVALUATOR):
        patches.wrap(module, "pin_signed_request", _verifying_roots_too)
    patches.wrap(patches.EVALUATOR, "caller_verified", _verifying_roots_too)
    patches.wrap(patches.EVALUATOR, "_is_root_key", lambda original: lambda key: not _verifying.get() and original(key))
    for module in (patches.EVALUATOR, patches.S3):
        patches.wrap(module, "resolve_credential", _with_own_secret)
    patches.wrap(patches.EVALUATOR, "resolve_principal", _never_without_a_key)


def _verifying_roots_too(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function take root keys for any others."""

    def verify(*args: Any, **kwargs: Any) -> Any:
        token = _verifying.set(True)
        try:
            return original(*args, **kwargs)
        finally:
            _verifying.reset(token)

    return verify


def _with_own_secret(original: Callable[..., Any]) -> Callable[..., Any]:
    """Give the root users of other accounts secrets of their own."""
    home = os.environ["MINISTACK_ACCOUNT_ID"]

    def resolve(*args: Any, **kwargs: Any) -> Any:
        credential = original(*args, **kwargs)
        if getattr(credential, "principal_type", "") != "Root" or credential.account_id == home:
            return credential
        return replace(credential, secret_access_key=secret_of(credential.account_id, credential.secret_access_key))

    return resolve


def _never_without_a_key(original: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a request that names no access key, whatever else its Authorization header holds."""
    missing = patches.load(patches.EVALUATOR).AuthError("MissingAuthenticationToken", "Missing Authentication Token")

    def resolve(access_key_id: str, *args: Any, **kwargs: Any) -> Any:
        return original(access_key_id, *args, **kwargs) if access_key_id else missing

    return resolve
