"""The real outbound does what it says."""

import http.client
import io
import json
import socket
import threading
import time
from typing import Any

import pytest

from cdk_personalize_export.handler.log import Log
from cdk_personalize_export.handler.outbound import Outbound
from tests.unit.handler.world import FakeOutbound


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
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (10, 10, 2)


def test_a_line_of_the_log_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Log(Outbound(), "request", "logical", []).write("INFO", "two\nlines", jobName="x")
    line: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert line.pop("elapsed") == 0
    assert line == {
        "level": "INFO",
        "message": "two\nlines",
        "requestId": "request",
        "logicalId": "logical",
        "jobName": "x",
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
    log = Log(outbound, "r", "l", ["https://host/x?signature", "signature"])
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
