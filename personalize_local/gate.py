"""The gate in front of the local AWS: only clients on this machine that are no foreign web page get through it.

A page of any site may send requests to a loopback address, and a name of its site may be made to resolve to one (DNS
rebinding). So a request must name this server in `Host`, must not come from another origin, and may be no preflight
(https://fetch.spec.whatwg.org/#http-cors-protocol): it is refused before anything is dispatched. The server's own
paths, which AWS does not have, need the secret of the root user as a bearer token.
"""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Headers = Sequence[tuple[bytes, bytes]]

FORBIDDEN = 403
POLICY_VIOLATION = 1008  # https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
NAMES = ("127.0.0.1", "localhost")
OF_THIS_ORIGIN = {"same-origin", "none"}  # of Sec-Fetch-Site; "none" is a person who typed the address
OWN_PATHS = ("/_personalize_local/", "/_ministack/", "/_localstack/")
RESET_PATH = "/_ministack/reset"
OPEN_PATHS = (  # with a signature or an unguessable name of their own, or without an effect
    "/_ministack/cfn-response/",
    "/_ministack/cfn-signal/",
    "/_ministack/health",
    "/_ministack/lambda-code/",
    "/_ministack/lambda-layers/",
    "/_ministack/ready",
)


class Gate:
    """An ASGI application in front of another.

    Args:
        app: What answers the requests that get through.
        port: Where the server listens.
        secret: What opens the server's own paths.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], port: int, secret: str) -> None:
        """Keep all three."""
        self._app = app
        self._port = port
        self._secret = secret

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer or pass on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        reason = self.refuse(scope.get("method", "GET"), scope["path"], scope["headers"])
        if reason is None:
            await self._app(scope, receive, _without_cors(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            body = json.dumps({"message": reason}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": FORBIDDEN, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def refuse(self, method: str, path: str, headers: Headers) -> str | None:
        """Return why a request does not get through, or None."""
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or not self._is_this_server(f"http://{hosts[0]}"):
            return f"The local AWS answers to {NAMES[0]}:{self._port}, not to {', '.join(hosts) or 'a missing Host'}."
        if method == "OPTIONS":
            return "The local AWS answers no preflight: no web page of another origin may use it."
        return self._refuse_page(headers) or self._refuse_path(path, headers)

    def _refuse_page(self, headers: Headers) -> str | None:
        """Refuse what a page of another origin sends."""
        for name in (b"origin", b"referer"):
            for value in _values(headers, name):
                if not self._is_this_server(value):
                    return f"The local AWS is not for web pages of another origin ({name.decode()}: {value})."
        if not OF_THIS_ORIGIN.issuperset(_values(headers, b"sec-fetch-site")):
            return "The local AWS is not for web pages of another origin (sec-fetch-site)."
        return None

    def _refuse_path(self, path: str, headers: Headers) -> str | None:
        """Refuse the server's own paths to who does not know the secret."""
        if path == RESET_PATH:  # it would empty some services and leave others
            return "The local AWS is not reset: start another one, which takes half a second."
        if path.startswith(OWN_PATHS) and not path.startswith(OPEN_PATHS) and not self._is_authorised(headers):
            return f"{path} needs the root user's secret access key: Authorization: Bearer <secret>."
        return None

    def _is_this_server(self, url: str) -> bool:
        """Tell whether a URL is one of this server; every name below localhost is this machine."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        named = host in NAMES or host.endswith(".localhost")
        return parts.scheme == "http" and named and port == self._port and "@" not in parts.netloc

    def _is_authorised(self, headers: Headers) -> bool:
        """Tell whether a request has the secret."""
        expected = f"Bearer {self._secret}".encode()
        return any(
            hmac.compare_digest(value.encode("latin-1"), expected) for value in _values(headers, b"authorization")
        )


def _values(headers: Headers, name: bytes) -> list[str]:
    """Return the values of a header."""
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def _without_cors(send: Any) -> Any:
    """Leave out of every answer what would let another origin read it."""

    async def send_without(message: Any) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", []) if not pair[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return send_without
