"""Clients that come and go in thousands, that send much, or that never finish."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from personalize_local import LocalAws
from personalize_local.extension.calls import LONGEST_TEXT, MOST_CALLS_KEPT, Call, CallLog

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")


@pytest.fixture
def few() -> Iterator[LocalAws]:
    """A local AWS with a limit of 256 descriptors."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        with LocalAws() as running:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            yield running
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def address(aws: LocalAws) -> tuple[str, int]:
    return "127.0.0.1", int(aws.endpoint.rpartition(":")[2])


def health(aws: LocalAws) -> bytes:
    _, port = address(aws)
    return b"GET /_ministack/health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port


def unsigned_call(aws: LocalAws, size: int) -> bytes:
    """Return the header of a call whose body is read before it is refused."""
    _, port = address(aws)
    target = b"X-Amz-Target: AmazonPersonalize.ListSchemas"
    return b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\nContent-Length: %d\r\n\r\n" % (port, target, size)


def descriptors(aws: LocalAws) -> int:
    assert aws._server is not None
    return len(list(Path(f"/proc/{aws._server.pid}/fd").iterdir()))


def resident_bytes(aws: LocalAws) -> int:
    assert aws._server is not None
    text = Path(f"/proc/{aws._server.pid}/status").read_text(encoding="utf-8")
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


def until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def come_and_go(aws: LocalAws, count: int, sent: bytes) -> None:
    for _ in range(count):
        with socket.create_connection(address(aws), timeout=20) as client:
            client.sendall(sent)
            if sent.endswith(b"\r\n\r\n"):
                assert client.recv(12) == b"HTTP/1.1 200"


@needs_proc
@pytest.mark.parametrize("kind", ["whole", "half", "none"])
def test_more_short_connections_than_descriptors_leave_it_as_it_was(few: LocalAws, kind: str) -> None:
    sent = {"whole": health(few), "half": health(few)[:-2], "none": b""}[kind]
    come_and_go(few, 10, sent)
    until(lambda: descriptors(few) < 20)
    before = descriptors(few)
    come_and_go(few, 600, sent)
    until(lambda: descriptors(few) <= before)
    assert few.client("s3").list_buckets()["Buckets"] == []


@needs_proc
@pytest.mark.slow
def test_twenty_thousand_short_connections_leave_it_as_it_was(few: LocalAws) -> None:
    come_and_go(few, 1000, health(few))
    until(lambda: descriptors(few) < 20)
    before, resident = descriptors(few), resident_bytes(few)
    come_and_go(few, 20_000, health(few))
    until(lambda: descriptors(few) <= before)
    assert resident_bytes(few) < resident + 20_000_000


def call_often(aws: LocalAws, count: int) -> None:
    """Send calls of 100 KB that are refused."""
    personalize = aws.client("personalize")
    for _ in range(count):
        with pytest.raises(ClientError):
            personalize.create_schema(name="!", schema="x" * 100_000)


@needs_proc
def test_no_call_is_kept(few: LocalAws) -> None:
    call_often(few, 100)
    before = resident_bytes(few)
    call_often(few, 300)
    assert resident_bytes(few) < before + 15_000_000  # of 30


@needs_proc
@pytest.mark.slow
def test_memory_stays_flat_over_ten_thousand_calls(few: LocalAws) -> None:
    call_often(few, 1000)
    before = resident_bytes(few)
    call_often(few, 9000)
    assert resident_bytes(few) < before + 50_000_000  # of 900


def test_the_log_of_calls_is_bounded_in_number_and_length() -> None:
    log = CallLog()
    long = "x" * 5_000
    for number in range(MOST_CALLS_KEPT + 5):
        log.add(Call("s3", f"s3:{number}", (long,), "arn", allowed=True, context={"key": long, "keys": [long]}))
    kept = log.as_json()
    assert len(kept) == MOST_CALLS_KEPT
    assert kept[0]["action"] == "s3:5"
    assert kept[-1]["resources"] == ("x" * LONGEST_TEXT,)
    assert kept[-1]["context"] == {"key": "x" * LONGEST_TEXT, "keys": ["x" * LONGEST_TEXT]}


def test_slow_and_half_requests_keep_nobody_else_waiting(aws: LocalAws) -> None:
    head = health(aws)[:-2]
    body = b"Content-Length: 1000\r\n\r\n{"
    clients = [socket.create_connection(address(aws), timeout=20) for _ in range(100)]
    try:
        for number, client in enumerate(clients):
            client.sendall(head + body if number % 2 else head)
        asked = time.monotonic()
        assert aws.client("personalize").list_schemas()["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert time.monotonic() - asked < 5
        clients[0].sendall(b"\r\n")  # the slow one is answered when it is done
        assert clients[0].recv(12) == b"HTTP/1.1 200"
    finally:
        for client in clients:
            client.close()


def piecemeal(client: socket.socket, sent: bytes, seconds: float) -> bytes:
    """Send a request in many pieces over some seconds, and return how the answer begins."""
    for first in range(0, len(sent), size := max(1, len(sent) // 40)):
        client.sendall(sent[first : first + size])
        time.sleep(seconds / 40)
    return client.recv(12)


def test_header_or_body_that_comes_in_pieces_is_answered_and_others_meanwhile(aws: LocalAws) -> None:
    requests = [health(aws), unsigned_call(aws, 1000) + b"x" * 1000]
    begun: list[bytes] = []
    threads = []
    with contextlib.ExitStack() as stack:
        for request in requests * 10:
            client = stack.enter_context(socket.create_connection(address(aws), timeout=20))
            slow = threading.Thread(target=lambda c=client, r=request: begun.append(piecemeal(c, r, 2.0)))
            slow.start()
            threads.append(slow)
        answered = 0
        while any(thread.is_alive() for thread in threads):
            assert aws.client("personalize").list_schemas()["ResponseMetadata"]["HTTPStatusCode"] == 200
            answered += not begun
        for thread in threads:
            thread.join()
    assert sorted(begun) == [b"HTTP/1.1 200"] * 10 + [b"HTTP/1.1 400"] * 10
    assert answered > 5  # before any of the slow ones


@needs_proc
@pytest.mark.slow
def test_half_bodies_of_64_mb_leave_nothing(aws: LocalAws) -> None:
    announced = unsigned_call(aws, 64 << 20)
    half = os.urandom(1 << 20) * 32
    before = descriptors(aws)
    for _ in range(4):
        with socket.create_connection(address(aws), timeout=20) as client:
            client.sendall(announced)
            client.sendall(half)
            assert aws.client("personalize").list_schemas()["ResponseMetadata"]["HTTPStatusCode"] == 200
    until(lambda: descriptors(aws) <= before)
    until(lambda: resident_bytes(aws) < 300_000_000)


@needs_proc
@pytest.mark.slow
def test_bodies_of_64_mb_are_answered_while_others_are_and_leave_nothing(aws: LocalAws, world: Any) -> None:
    large = os.urandom(1 << 20) * 64
    world.s3.create_bucket(Bucket=world.name)
    world.s3.put_object(Bucket=world.name, Key="first", Body=large)
    answered = []
    senders = [
        threading.Thread(
            target=lambda key=key: answered.append(world.s3.put_object(Bucket=world.name, Key=key, Body=large))
        )
        for key in ("second", "third")
    ]
    for sender in senders:
        sender.start()
    asked = time.monotonic()
    assert world.personalize.list_schemas()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert time.monotonic() - asked < 10
    for sender in senders:
        sender.join(60)
    assert len(answered) == 2
    with pytest.raises(ClientError, match="schema"):
        world.personalize.create_schema(name=world.name, schema="x" * (64 << 20))
    assert world.s3.head_object(Bucket=world.name, Key="third")["ContentLength"] == len(large)
    until(lambda: resident_bytes(aws) < 500_000_000)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff\x16\x03\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 200_000,
        b"GET / HTTP/1.1\r\nHost: %s\r\n" + b"X-Many: y\r\n" * 20_000,
    ],
    ids=["binary", "version", "length", "chunks", "target", "headers"],
)
def test_what_is_no_request_ends_its_own_connection_only(aws: LocalAws, sent: bytes) -> None:
    with socket.create_connection(address(aws), timeout=20) as client:
        try:
            client.sendall(sent.replace(b"%s", b"127.0.0.1:%d" % address(aws)[1]))
            client.shutdown(socket.SHUT_WR)
            answer = client.makefile("rb").read()
        except TimeoutError:
            answer = b"the connection stays open"
        except OSError:
            answer = b""  # it was reset before everything was sent
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert aws.client("s3").list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
