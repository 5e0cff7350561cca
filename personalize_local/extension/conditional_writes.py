"""Conditional writes of S3: one with ``If-Match`` reads too, so it needs ``s3:GetObject`` beside ``s3:PutObject``.

Rests on https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html. The conditions themselves, and
the answers 412 and 404, are ministack's. A 409 (`ConditionalRequestConflict`) does not occur: writes come one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PUT_OBJECT = "PutObject"  # CompleteMultipartUpload is the same action


def register() -> None:
    """Put it in place."""
    patches.wrap(patches.ACTIONS, "s3_additional_checks", _with_read)


def _with_read(original: Callable[..., list[tuple[str, str]]]) -> Callable[..., list[tuple[str, str]]]:
    """Add the check of reading to the writes that compare an ETag."""
    action_of = patches.load(patches.ACTIONS)._s3_action  # noqa: SLF001 - ministack has no public interface

    def checks(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: dict[str, Any]
    ) -> list[tuple[str, str]]:
        found = original(method, path, headers, body, query_params)
        bucket, _, key = path.lstrip("/").partition("/")
        if key and headers.get("if-match") and action_of(method, path, query_params) == PUT_OBJECT:
            found = [*found, ("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")]
        return found

    return checks
