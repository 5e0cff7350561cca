"""Buckets of another account: their policy is asked about the caller itself, not about the root of its account.

On AWS a role of one account reaches a bucket of another when its own policy and the bucket's both allow it, and the
bucket's may name the role or be conditioned on it:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Callable


def register() -> None:
    """Put it in place."""
    patches.wrap(patches.S3, "_foreign_bucket_allows", _ask_about_the_caller)


def owner_of(bucket: str) -> str | None:
    """Return the account a bucket belongs to; its name is unique in all of them."""
    owner: str | None = patches.load(patches.S3)._bucket_owner_account(bucket)  # noqa: SLF001 - no public interface
    return owner


def _ask_about_the_caller(original: Callable[..., bool]) -> Callable[..., bool]:
    def allows(  # noqa: PLR0913, PLR0917 - the signature of ministack's function
        owner: str,
        bucket: str,
        key: str,
        method: str,
        query: dict[str, Any],
        caller: str,
        headers: dict[str, str] | None = None,
    ) -> bool:
        decision = _decision(owner, bucket, key, method, query, caller, headers or {})
        if decision == "ImplicitDeny":
            return original(owner, bucket, key, method, query, caller, headers)
        return decision == "Allow"

    return allows


def _decision(  # noqa: PLR0913, PLR0917 - as above
    owner: str, bucket: str, key: str, method: str, query: dict[str, Any], caller: str, headers: dict[str, str]
) -> str:
    """Return what the bucket's policy says about whoever signed the request."""
    evaluator, actions = patches.load(patches.EVALUATOR), patches.load(patches.ACTIONS)
    responses = patches.load(patches.RESPONSES)
    access_key = patches.load(patches.ROUTER).extract_access_key_id(headers, query)
    principal = evaluator.resolve_principal(access_key or "", caller)
    document = patches.load(patches.S3)._bucket_policies.get_scoped(owner, None, bucket)  # noqa: SLF001 - as above
    if isinstance(principal, evaluator.AuthError) or not document:
        return "ImplicitDeny"
    path = f"/{bucket}/{key}" if key else f"/{bucket}"
    action = f"s3:{actions._s3_action(method, path, query)}"  # noqa: SLF001 - as above
    with responses.request_scope(owner, responses.get_region()):
        found = actions.s3_service_context(action, query, path, headers)
    context = evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=action,
        resource_arn=f"arn:aws:s3::{path.replace('/', ':', 1)}",
        region=responses.get_region(),
        service_context={name.lower(): value for name, value in found.items()},
        principal_keys=principal.keys,
    )
    return str(evaluator.evaluate_resource_policy(document, context).decision)
