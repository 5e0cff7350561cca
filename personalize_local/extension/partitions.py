"""The Regions of China, whose ARNs begin with `arn:aws-cn:`.

Rests on https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html: a partition is a group of Regions.
ministack knows one partition, `aws`. So the ARNs of policies and requests are brought to that one before they are
compared, and IAM, STS and KMS take and give those of China in a Region of China. Not modelled: there, a policy that
names `arn:aws:` would match nothing, and here it matches; what CloudFormation puts for `AWS::Partition` is `aws`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from personalize_local.extension.routing import Response

    Handler = Callable[..., Awaitable[Response]]

HOME, CHINA = "arn:aws:", "arn:aws-cn:"
REGIONS_OF_CHINA = "cn-"
TRANSLATED = ("iam", "kms", "sts")
_PAIRS = tuple((china.encode(), home.encode()) for china, home in ((CHINA, HOME), ("arn%3Aaws-cn%3A", "arn%3Aaws%3A")))


def register() -> None:
    """Put both in place."""
    for name in ("parse_policy_document", "evaluate_resource_policy", "evaluate_trust_policy"):
        patches.wrap(patches.EVALUATOR, name, _with_policy)
    patches.wrap(patches.EVALUATOR, "_first_match", _with_request)
    handlers = patches.load(patches.APP).SERVICE_HANDLERS
    for service in TRANSLATED:
        handlers[service] = _translated(handlers[service])


def at_home(value: Any) -> Any:
    """Return a JSON value with every ARN of China as ministack has it."""
    if isinstance(value, str):
        return value.replace(CHINA, HOME) if CHINA in value else value
    if isinstance(value, list):
        return [at_home(item) for item in value]
    if isinstance(value, dict):
        return {key: at_home(item) for key, item in value.items()}
    return value


def _with_policy(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda document, *args, **kwargs: original(at_home(document), *args, **kwargs)


def _with_request(original: Callable[..., Any]) -> Callable[..., Any]:
    def first_match(context: Any, statements: Any, effect: str) -> Any:
        if CHINA in f"{context.resource_arn} {context.principal_arn} {context.service_context}":
            context = dataclasses.replace(
                context,
                resource_arn=at_home(context.resource_arn),
                principal_arn=at_home(context.principal_arn),
                service_context=at_home(context.service_context),
            )
        return original(context, statements, effect)

    return first_match


def _translated(handler: Handler) -> Handler:
    """Let a service take and give the ARNs of China where the request is for a Region of China."""
    router = patches.load(patches.ROUTER)

    async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Response:
        if not router.extract_region(headers, query).startswith(REGIONS_OF_CHINA):
            return await handler(method, path, headers, body, query)
        for china, home in _PAIRS:
            body = body.replace(china, home)
        status, reply_headers, reply = await handler(method, path, headers, body, query)
        for china, home in _PAIRS:
            reply = reply.replace(home, china)
        return status, reply_headers, reply

    return handle
