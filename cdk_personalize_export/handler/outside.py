"""The one seam to the outside: clock, sleep, chance, log, HTTP and AWS. Tests replace this object and nothing else.

Clients are kept for the life of the container (https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html). The
answer goes out through http.client: it follows no redirect and adds no Content-Type, without which the URL is signed.
"""

import http.client
import json
import random
import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

TIMEOUT_SECONDS = 10
# The handler itself waits; one retry in the client only smooths over a lost packet.
_RETRIES = {"mode": "standard", "total_max_attempts": 2}
_CONFIG = Config(connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries=_RETRIES)


class Outside:
    """The real world."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str | None], Any] = {}

    def now(self) -> float:
        """Tells the time in seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)

    def chance(self) -> float:
        """Draws a number from 0 up to 1."""
        return random.random()  # noqa: S311 - spreads polls, protects nothing

    def say(self, line: str) -> None:
        """Writes a line to the log."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def client(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - boto3 clients have no static type
        """Gives the client of a service, in the function's own Region unless another is named."""
        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(service, region_name=region, config=_CONFIG)
        return self._clients[service, region]

    def put(self, url: str, body: bytes, timeout: float) -> int:
        """Sends a body and gives the HTTP status; raises OSError or HTTPException when there is none."""
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=timeout)
        try:
            connection.request("PUT", f"{parts.path}?{parts.query}", body, {"Content-Type": ""})
            return connection.getresponse().status
        finally:
            connection.close()


class Journal:
    """The log of one request: a JSON object per line, with whatever of the ResponseURL shows up in a text blanked."""

    def __init__(self, outside: Outside, request_id: str, logical_id: str, secrets: Sequence[str]) -> None:
        self._outside = outside
        self._started = outside.now()
        self._fields = {"requestId": request_id, "logicalId": logical_id}
        self._secrets = secrets

    def write(self, level: str, message: str, **fields: object) -> None:
        """Writes a line; level is INFO, WARNING or ERROR."""
        elapsed = round(self._outside.now() - self._started, 1)
        shown = {name: self.hide(str(value)) for name, value in fields.items()}
        line = {"level": level, "message": self.hide(message), **self._fields, **shown, "elapsed": elapsed}
        self._outside.say(json.dumps(line))

    def hide(self, text: str) -> str:
        """Blanks what would give the ResponseURL away."""
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        return text
