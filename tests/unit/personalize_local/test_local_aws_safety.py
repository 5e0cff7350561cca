"""Nobody but this machine's own clients gets in: no web page, no other secret, no other account's root user."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from personalize_local.gate import Gate

if TYPE_CHECKING:
    from personalize_local import LocalAws

PORT = 4566
FIELDS = [{"name": "USER_ID", "type": "string"}, {"name": "ITEM_ID", "type": "string"}]
SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Interactions",
        "namespace": "com.amazonaws.personalize.schema",
        "fields": [*FIELDS, {"name": "TIMESTAMP", "type": "long"}],
        "version": "1.0",
    }
)
PATHS = ("/", "/bucket/key", "/_ministack/reset", "/_personalize_local/faults", "/_ministack/health", "/events")
FOREIGN: list[dict[str, str]] = [
    {"Host": "evil.example:{port}"},
    {"Host": "127.0.0.1.evil.example:{port}"},
    {"Host": "127.0.0.1"},
    {"Host": "127.0.0.1:1"},
    {"Host": "user@127.0.0.1:{port}"},
    {"Host": ""},
    {"Host": "[::ffff:127.0.0.1:{port}"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "https://127.0.0.1:{port}"},
    {"Origin": "null"},
    {"Referer": "https://evil.example/page?http://127.0.0.1:{port}/"},
    {"Referer": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]
OWN: list[dict[str, str]] = [
    {},
    {"Host": "localhost:{port}"},
    {"Host": "bucket.localhost:{port}"},
    {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
    {"Referer": "http://localhost:{port}/page", "Sec-Fetch-Site": "none"},
]
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD")


def ask(aws: LocalAws, method: str, path: str, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Send a request with just these headers; `{port}` in them is the server's."""
    port = int(aws.endpoint.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": "127.0.0.1:{port}", **headers}.items():
        connection.putheader(name, value.replace("{port}", str(port)))
    connection.endheaders()
    response = connection.getresponse()
    try:
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: " ".join(*headers.items()))
def test_what_comes_from_elsewhere_is_refused_on_every_path(aws: LocalAws, headers: dict[str, str], path: str) -> None:
    for method in METHODS:
        status, answered, body = ask(aws, method, path, headers)
        assert status == 403
        assert "Access-Control-Allow-Origin" not in answered
        assert method == "HEAD" or "The local AWS" in json.loads(body)["message"]


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_what_comes_from_here_is_answered(aws: LocalAws, headers: dict[str, str]) -> None:
    status, answered, _ = ask(aws, "GET", "/_ministack/health", headers)
    assert status == 200
    assert "Access-Control-Allow-Origin" not in answered


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_is_refused_on_every_path(aws: LocalAws, path: str) -> None:
    wanted = {"Access-Control-Request-Method": "POST"}
    assert ask(aws, "OPTIONS", path, wanted)[0] == 403
    assert ask(aws, "OPTIONS", path, {**wanted, "Origin": "https://evil.example"})[0] == 403


@pytest.mark.parametrize(
    "lines",
    [
        [b"Host: 127.0.0.1:%d", b"Host: evil.example:%d"],
        [b"Host: 127.0.0.1:%d", b"Origin: http://127.0.0.1:%d", b"Origin: https://evil.example"],
        [],
    ],
)
def test_a_second_or_missing_header_does_not_help(aws: LocalAws, lines: list[bytes]) -> None:
    port = int(aws.endpoint.rpartition(":")[2])
    head = b"\r\n".join([b"GET /_ministack/health HTTP/1.1", *(line.replace(b"%d", b"%d" % port) for line in lines)])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(head + b"\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").readline().split()[1] in {b"403", b"400"}


def test_a_websocket_of_another_origin_is_refused(aws: LocalAws) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers = {**upgrade, "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==", "Origin": "https://evil.example"}
    assert ask(aws, "GET", "/_aws/execute-api/a/b", headers)[0] == 403


@pytest.mark.parametrize("path", ["/_personalize_local/calls", "/_personalize_local/faults", "/_ministack/config"])
@pytest.mark.parametrize("value", ["", "Bearer", "Bearer test", "Basic dGVzdDp0ZXN0", "Bearer \xff"])
def test_the_servers_own_paths_need_the_secret(aws: LocalAws, path: str, value: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        status, _, body = ask(aws, method, path, {"Authorization": value, "Content-Length": "0"})
        assert (status, json.loads(body)["message"]) == (
            403,
            f"{path} needs the root user's secret access key: Authorization: Bearer <secret>.",
        )


def test_a_reset_empties_neither_s3_nor_personalize(aws: LocalAws, world: Any) -> None:
    world.make_bucket()
    schema = world.personalize.create_schema(name=world.name, schema=SCHEMA)["schemaArn"]
    secret = {"Authorization": f"Bearer {aws.exports()['AWS_SECRET_ACCESS_KEY']}", "Content-Length": "0"}
    status, _, body = ask(aws, "POST", "/_ministack/reset", secret)
    assert (status, json.loads(body)["message"]) == (
        403,
        "The local AWS is not reset: start another one, which takes half a second.",
    )
    assert world.s3.list_objects_v2(Bucket=world.name)["KeyCount"] == 1
    assert world.personalize.describe_schema(schemaArn=schema)["schema"]["name"] == world.name


def test_the_gate_refuses_before_anything_is_dispatched() -> None:
    def dispatch(*_: Any) -> Any:
        raise AssertionError("dispatched")

    gate = Gate(dispatch, PORT, "secret")
    headers = [(b"host", b"127.0.0.1:4566"), (b"origin", b"https://evil.example")]
    assert gate.refuse("GET", "/", headers) == (
        "The local AWS is not for web pages of another origin (origin: https://evil.example)."
    )


def client(aws: LocalAws, service: str, key: str, secret: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


CALLS = [
    ("personalize", "list_schemas"),
    ("s3", "list_buckets"),
    ("iam", "list_users"),
    ("lambda", "list_functions"),
    ("sts", "get_caller_identity"),
    ("cloudformation", "list_stacks"),
]


@pytest.mark.parametrize(("service", "operation"), CALLS)
def test_any_other_secret_and_any_other_accounts_root_is_refused(aws: LocalAws, service: str, operation: str) -> None:
    exports = aws.exports()
    key, secret = exports["AWS_ACCESS_KEY_ID"], exports["AWS_SECRET_ACCESS_KEY"]
    getattr(client(aws, service, key, secret), operation)()
    for other_key, other_secret in [(key, "test"), (key, secret[:-1] + "!"), ("111111111111", secret)]:
        with pytest.raises(ClientError) as caught:
            getattr(client(aws, service, other_key, other_secret), operation)()
        assert caught.value.response["Error"]["Code"] in {"SignatureDoesNotMatch", "InvalidSignatureException"}


def test_another_account_has_a_secret_of_its_own(aws: LocalAws) -> None:
    identity = aws.client("sts", account="111111111111").get_caller_identity()
    assert identity["Arn"] == "arn:aws:iam::111111111111:root"
    assert aws.client("sts", account=aws.account).get_caller_identity()["Account"] == aws.account


@pytest.mark.parametrize("authorization", [None, "nonsense", "Bearer test", "AWS test:AAAA"])
def test_a_request_without_a_signature_is_nobodys(aws: LocalAws, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    assert ask(aws, "GET", "/2015-03-31/functions", headers)[0] == 403
    assert ask(aws, "GET", "/some-bucket", headers)[0] == 403
    status, _, body = ask(aws, "POST", "/", {**headers, "X-Amz-Target": "AmazonPersonalize.ListSchemas"})
    assert status == 400
    assert json.loads(body)["__type"] in {"MissingAuthenticationTokenException", "InvalidSignatureException"}


def test_the_secret_is_another_one_each_time_and_no_function_sees_it(aws: LocalAws, world: Any) -> None:
    secret = aws.exports()["AWS_SECRET_ACCESS_KEY"]
    script = "import os; print(os.environ['AWS_SECRET_ACCESS_KEY'])"
    command = [sys.executable, "-m", "personalize_local", "exec", "--", sys.executable, "-c", script]
    other = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    assert len(secret) == len(other) == 40
    assert secret != other
    source = "import os\ndef handler(event, context):\n    return list(os.environ.values())\n"
    values = world.invoke(source)
    assert values
    assert not any(secret in value for value in values)
