"""Amazon S3 as the function uses it: objects that are listed in pages, put under a condition, and looked at.

It answers requests as botocore sends them. See
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIST, PUT, HEAD = "ListObjectsV2", "PutObject", "HeadObject"
META = "x-amz-meta-"


@dataclass(frozen=True)
class Stored:
    """An object."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Buckets:
    """Every bucket there is; what a test changes is public."""

    page: int = 1000
    objects: dict[tuple[str, str], Stored] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)  # the operation, and the key or prefix
    on_put: Callable[[str, str, Stored, bool], None] = lambda _bucket, _key, _stored, _taken: None

    def keys(self, bucket: str) -> list[str]:
        return sorted(key for where, key in self.objects if where == bucket)

    def text(self, bucket: str, key: str) -> str:
        return self.objects[bucket, key].body.decode()

    def answer(self, request: Any) -> Reply:
        """Do what a request asks for."""
        operation, bucket, key = read(request)
        self.calls.append((operation, key))
        if operation == LIST:
            return self._list(bucket, key, token_in(request))
        stored = self.objects.get((bucket, key))
        if operation == HEAD:
            return refusal(HEAD, "NoSuchKey", 404) if stored is None else Reply(200, _described(stored))
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        kept = {name: value for name, value in headers.items() if name.startswith((META, "x-amz-server-side"))}
        new = Stored(_body(request, headers), {**kept, "content-type": headers.get("content-type", "")})
        refused = _condition(headers, stored)
        self.on_put(bucket, key, new, refused is None)
        if refused is None:
            self.objects[bucket, key] = new
        return refused or Reply(200, {"ETag": new.etag})

    def _list(self, bucket: str, prefix: str, after: str) -> Reply:
        found = [key for key in self.keys(bucket) if key.startswith(prefix) and key > after]
        shown, more = found[: self.page], len(found) > self.page
        contents = "".join(
            f"<Contents><Key>{escape(quote(key, safe='/'))}</Key><Size>{len(self.objects[bucket, key].body)}</Size>"
            f"<ETag>{escape(self.objects[bucket, key].etag)}</ETag></Contents>"
            for key in shown
        )
        token = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        text = (
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{contents}{token}</ListBucketResult>"
        )
        return Reply(200, {}, text.encode())


def read(request: Any) -> tuple[str, str, str]:
    """Give the operation, the bucket, and the key or the prefix."""
    parts = urlsplit(request.url)
    bucket = (parts.hostname or "").partition(".s3.")[0]
    if request.method == "GET":
        return LIST, bucket, parse_qs(parts.query)["prefix"][0]
    return {"PUT": PUT, "HEAD": HEAD}[request.method], bucket, unquote(parts.path[1:])


def token_in(request: Any) -> str:
    tokens: list[str] = parse_qs(urlsplit(request.url).query).get("continuation-token", [""])
    return tokens[0]


def refusal(operation: str, code: str, status: int) -> Reply:
    """An error; of HeadObject, S3 tells the status only."""
    text = f"<Error><Code>{code}</Code><Message>{code}, says S3</Message></Error>"
    return Reply(status, {}, b"" if operation == HEAD else text.encode())


def _condition(headers: Mapping[str, str], stored: Stored | None) -> Reply | None:
    """Refuse a write whose condition is not met."""
    none, match = headers.get("if-none-match"), headers.get("if-match")
    if match is not None and stored is None:
        return refusal(PUT, "NoSuchKey", 404)
    if stored is not None and (none == "*" or match not in (None, stored.etag)):
        return refusal(PUT, "PreconditionFailed", 412)
    return None


def _described(stored: Stored) -> dict[str, str]:
    return {**stored.headers, "ETag": stored.etag, "Content-Length": str(len(stored.body))}


def _body(request: Any, headers: Mapping[str, str]) -> bytes:
    """Read the body; botocore sends its checksum after it, in chunks."""
    body = request.body if isinstance(request.body, bytes) else request.body.read()
    if "aws-chunked" not in headers.get("content-encoding", ""):
        return bytes(body)
    found = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return found
        found, body = found + body[:length], body[length + 2 :]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
