"""Everything outside the handler: clock, chance, log, HTTP and AWS. Tests replace this object and nothing else.

Clients live as long as the container: https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html.
"""

import http.client
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

CALL_SECONDS = 10.0  # for one call, whatever happens on its way
CONNECT_SECONDS, READ_SECONDS = 3.0, 7.0
# One attempt, so that it is known whether a call may have been heard; the handler itself waits and tries again.
_CONFIG = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": 1})
_Result = TypeVar("_Result")


class NoAnswerError(TimeoutError):
    """A call took too long; it may have been heard."""


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

    def call(self, service: str, operation: str, region: str | None = None, **parameters: Any) -> Any:
        """Call an operation of AWS.

        Raises:
            NoAnswerError: It took too long.
        """
        client = self.client(service, region)
        return self.within(CALL_SECONDS, lambda: getattr(client, operation)(**parameters))

    def within(self, seconds: float, action: Callable[[], _Result]) -> _Result:
        """Do something that may hang, and leave it alone after that time.

        A timeout alone is no budget: a connection is tried at every address of a name, each with the whole timeout, and
        an interface endpoint has an address for each Availability Zone. Looking a name up has no timeout at all.

        Raises:
            NoAnswerError: It took too long.
        """
        outcome: SimpleQueue[tuple[_Result | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            try:
                outcome.put((action(), None))
            except BaseException as error:  # noqa: BLE001 - it is raised where it belongs
                outcome.put((None, error))

        threading.Thread(target=run, daemon=True).start()
        try:
            result, error = outcome.get(timeout=seconds)
        except Empty:
            raise NoAnswerError(f"no answer within {seconds:.0f} s") from None
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # it is one when there is no error

    def endpoint_url(self) -> str:
        """Tell where AWS is, when it is not where it always is: on a local AWS.

        See https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html.
        """
        return os.environ.get("AWS_ENDPOINT_URL", "")

    def put(self, url: str, body: bytes, timeout: float) -> int:
        """PUT a body and return the HTTP status.

        It follows no redirect, and sends no Content-Type, as the presigned URL is signed without one
        (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html).

        Raises:
            OSError: It did not arrive; a NoAnswerError is one.
            http.client.HTTPException: What came back is no HTTP.
        """
        return self.within(timeout, lambda: self._put(url, body, timeout))

    @staticmethod
    def _put(url: str, body: bytes, timeout: float) -> int:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=timeout)
        try:
            connection.request("PUT", f"{parts.path}?{parts.query}", body, {"Content-Type": ""})
            return connection.getresponse().status
        finally:
            connection.close()


def server_time(answer: Mapping[str, Any]) -> float | None:
    """Read what an answer says of the service's clock: HTTP's Date (RFC 9110, 6.6.1)."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return None
