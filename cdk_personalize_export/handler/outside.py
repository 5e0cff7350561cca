"""The one seam to the outside. Tests replace this object and nothing else."""

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
_CONFIG = Config(
    connect_timeout=TIMEOUT_SECONDS,
    read_timeout=TIMEOUT_SECONDS,
    retries={"mode": "standard", "total_max_attempts": 2},  # for a lost packet; the handler itself waits
)


class Outside:
    """The real world."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str | None], Any] = {}

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def chance(self) -> float:
        return random.random()  # noqa: S311 - spreads polls, protects nothing

    def say(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def client(self, service: str, region: str | None = None) -> Any:
        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(service, region_name=region, config=_CONFIG)
        return self._clients[service, region]

    def put(self, url: str, body: bytes, timeout: float) -> int:
        """Follows no redirect and sends no Content-Type, without which the URL is signed."""
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=timeout)
        try:
            connection.request("PUT", f"{parts.path}?{parts.query}", body, {"Content-Type": ""})
            return connection.getresponse().status
        finally:
            connection.close()


class Journal:
    """The log of a request; the ResponseURL is blanked."""

    def __init__(self, outside: Outside, request_id: str, logical_id: str, secrets: Sequence[str]) -> None:
        self._outside = outside
        self._started = outside.now()
        self._fields = {"requestId": request_id, "logicalId": logical_id}
        self._secrets = secrets

    def write(self, level: str, message: str, **fields: object) -> None:
        elapsed = round(self._outside.now() - self._started, 1)
        shown = {name: self.hide(str(value)) for name, value in fields.items()}
        line = {"level": level, "message": self.hide(message), **self._fields, **shown, "elapsed": elapsed}
        self._outside.say(json.dumps(line))

    def hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        return text
