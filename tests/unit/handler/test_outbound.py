"""The real outbound does what it says."""

import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from cdk_personalize_export.handler.log import Log
from cdk_personalize_export.handler.outbound import NoAnswerError, Outbound, server_time
from tests.unit.handler.world import START, AnswerServer, FakeOutbound


def test_time_passes_and_chance_varies() -> None:
    outbound = Outbound()
    before = outbound.now()
    outbound.sleep(0.01)
    assert outbound.now() >= before + 0.009
    assert abs(outbound.now() - time.time()) < 1
    assert all(0 <= outbound.chance() < 1 for _ in range(100))


def test_clients_are_made_once_with_short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    outbound = Outbound()
    client = outbound.client("personalize", "us-east-1")
    assert client is outbound.client("personalize", "us-east-1")
    assert client.meta.region_name == "us-east-1"
    assert outbound.client("lambda").meta.region_name == "eu-west-1"
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (3, 7, 1)


def test_a_line_of_the_log_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(Outbound(), {"requestId": "re\nquest", "logicalId": "logi\u2028cal"})
    log.write("INFO", "two\r\nlines", jobName="x\ny", error=ValueError("one\x85two"))
    line: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert line.pop("elapsed") == 0
    assert line == {
        "level": "INFO",
        "message": "two lines",
        "requestId": "re quest",
        "logicalId": "logi cal",
        "jobName": "x y",
        "error": "one two",
    }


def test_a_line_of_the_log_is_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written))
    Outbound().write_line("{}")
    assert written.getvalue() == b"{}\n"


def test_a_server_that_says_nothing_is_left_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        Outbound().put(f"http://127.0.0.1:{silent.getsockname()[1]}/answer", b"", 0.1)


def test_secrets_are_blanked_wherever_they_show_up(outbound: FakeOutbound) -> None:
    log = Log(outbound, {"requestId": "r", "logicalId": "l"}, ["https://host/x?signature", "signature"])
    log.write("ERROR", "at https://host/x?signature", error=ValueError("bad signature"))
    assert outbound.lines[0]["message"] == "at [hidden]"
    assert outbound.lines[0]["error"] == "bad [hidden]"


@pytest.mark.parametrize(("scheme", "first"), [("https", b"\x16\x03"), ("http", b"PU")])
def test_https_is_spoken_where_the_url_says_so(scheme: str, first: bytes) -> None:
    heard: list[bytes] = []

    def listen() -> None:
        connection, _ = server.accept()
        with connection:
            heard.append(connection.recv(2))

    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = threading.Thread(target=listen)
        listener.start()
        with pytest.raises((OSError, http.client.HTTPException)):
            Outbound().put(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/answer", b"", 5)
        listener.join()
    assert heard == [first]  # how a TLS handshake starts, or a PUT


@contextmanager
def dead_addresses(count: int) -> Iterator[int]:
    """Gives a port at which this many addresses of this machine do not answer, as behind a dropped packet.

    The queue of a listening socket is full, so Linux drops every further attempt to connect.
    """
    with ExitStack() as stack:
        port = 0
        for number in range(1, count + 1):
            server = stack.enter_context(socket.socket())
            server.bind((f"127.0.0.{number}", port))
            port = server.getsockname()[1]
            server.listen(0)
            for _ in range(2):
                client = stack.enter_context(socket.socket())
                client.setblocking(False)  # noqa: FBT003 - the socket's own signature
                client.connect_ex((f"127.0.0.{number}", port))
        yield port


def resolve_to_all(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Gives the name "dead.amazonaws.com" all of these addresses."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **more: Any) -> list[Any]:
        if host != "dead.amazonaws.com":
            return real(host, port, *args, **more)
        return [found for number in range(1, count + 1) for found in real(f"127.0.0.{number}", port, *args, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("service", ["personalize", "lambda", "cloudformation", "the answer"])
def test_no_call_takes_longer_than_its_budget_however_many_addresses_are_dead(
    service: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr("cdk_personalize_export.handler.outbound.CALL_SECONDS", 1.0)
    resolve_to_all(monkeypatch, count)
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "personalize": ("describe_dataset_export_job", {"datasetExportJobArn": "arn:aws:personalize:x"}),
        "lambda": ("invoke", {"FunctionName": "export", "Payload": b"{}"}),
        "cloudformation": ("describe_stack_resource", {"StackName": "Shop", "LogicalResourceId": "Export"}),
    }
    with dead_addresses(count) as port:
        url = f"http://dead.amazonaws.com:{port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        outbound = Outbound()

        def call() -> None:
            if service in calls:
                operation, parameters = calls[service]
                outbound.call(service, operation, **parameters)
            else:
                outbound.put(f"{url}/answer", b"{}", 1.0)

        if service in calls:
            outbound.client(service)
        began = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^no answer within 1 s$|^timed out$"):  # of one address, either
            call()
        assert 0.9 < time.monotonic() - began < 5  # generous, as the machine may be busy; without it, 3 s for each


def test_what_goes_wrong_within_the_budget_is_raised_where_it_was_asked_for() -> None:
    def fail() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match=r"^ours$"):
        Outbound().within(5, fail)
    assert Outbound().within(5, lambda: 7) == 7


def test_where_aws_is_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert Outbound().endpoint_url() == ""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    assert Outbound().endpoint_url() == "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    ("headers", "time"),
    [({"date": "Fri, 02 Jan 2026 03:04:05 GMT"}, START), ({"date": "soon"}, None), ({"date": None}, None), ({}, None)],
)
def test_the_clock_of_a_service_is_read_from_its_answer(headers: dict[str, Any], time: float | None) -> None:
    assert server_time({"ResponseMetadata": {"HTTPHeaders": headers}}) == time
    assert server_time({}) is None


@pytest.mark.parametrize("headers", [{}, {"date": ""}, {"date": "soon"}])
def test_an_answer_without_a_time_has_none(headers: dict[str, str]) -> None:
    assert server_time({"ResponseMetadata": {"HTTPHeaders": headers}}) is None


def test_a_put_sends_the_body_to_the_url_as_it_is_without_a_type(server: AnswerServer) -> None:
    assert Outbound().put(server.url, b"{}", 5) == 200
    assert server.bodies == [b"{}"]
    assert server.targets == ["/" + server.url.split("/", 3)[3]]
    assert server.headers[0]["Content-Type"] == ""


def test_what_is_left_alone_keeps_no_process_alive() -> None:
    before = set(threading.enumerate())
    with pytest.raises(NoAnswerError, match=r"^no answer within 0 s$"):
        Outbound().within(0.01, lambda: time.sleep(0.3))
    (left,) = set(threading.enumerate()) - before
    assert left.daemon
    left.join()
