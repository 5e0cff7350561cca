"""Everything outside the handler: clock, chance, log, HTTP and AWS. Tests replace this object and nothing else.

Clients live as long as the container: https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html.
"""

import http.client
import random
import sys
import time
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


class Outbound:
    """The real world."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str | None], Any] = {}

    def now(self) -> float:
        """Tell the time in seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def chance(self) -> float:
        """Give a number from 0 up to, but not including, 1."""
        return random.random()  # noqa: S311 - spreads polls, protects nothing

    def write_line(self, line: str) -> None:
        """Write a line to the log, at once."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def client(self, service: str, region: str | None = None) -> Any:
        """Give the client of a service, by default in the function's own Region."""
        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(service, region_name=region, config=_CONFIG)
        return self._clients[service, region]

    def put(self, url: str, body: bytes, timeout: float) -> int:
        """PUT a body and return the HTTP status.

        It follows no redirect, and sends no Content-Type, as the presigned URL is signed without one
        (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html).
        """
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=timeout)
        try:
            connection.request("PUT", f"{parts.path}?{parts.query}", body, {"Content-Type": ""})
            return connection.getresponse().status
        finally:
            connection.close()
