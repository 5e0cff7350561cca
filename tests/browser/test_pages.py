"""A real browser shows a hostile page, and the local AWS does nothing for it."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import threading
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from personalize_local import LocalAws

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser

# All that a page can do without a preflight, and something that needs one, in every mode a browser has.
PAGE = """<!doctype html><title>evil</title><pre id="told">nothing</pre><script>
const attempts = ATTEMPTS;
const tell = (key, value) => { told[key] = value; document.getElementById("told").textContent = JSON.stringify(told); };
const told = {};
(async () => {
  for (const [key, url, options] of attempts) {
    try {
      const response = await fetch(url, options);
      tell(key, response.type === "opaque" ? "opaque" : await response.text());
    } catch (error) { tell(key, "blocked"); }
  }
  const form = Object.assign(document.createElement("form"), {method: "post", action: FORM, target: "frame"});
  form.submit.call(document.body.appendChild(form));
  const image = new Image();
  image.referrerPolicy = "no-referrer";
  image.src = IMAGE;
})();
</script><iframe name="frame"></iframe>"""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=6000",
    "--dump-dom",
]


class Site(http.server.ThreadingHTTPServer):
    """A web site that shows one page and keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.page = ""
        self.requests: list[tuple[str, str]] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Page(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.requests.append((self.command, self.path))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page.encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    with LocalAws() as running:
        yield running


def shown(url: str, folder: Path, *flags: str) -> str:
    """What a browser makes of a page."""
    browser = shutil.which("chromium")
    assert browser, "the browser tests need Debian's browser: apt-get install chromium"
    command = [browser, *FLAGS, f"--user-data-dir={folder}", *flags, url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def make_function(aws: LocalAws, name: str, marker: Path) -> str:
    """A function that leaves a mark when it runs; returns a URL that invokes it, signed, so that a POST is all."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    source = f"import pathlib\ndef handler(event, context):\n    pathlib.Path({str(marker)!r}).touch()\n"
    functions = aws.client("lambda")
    functions.create_function(
        FunctionName=name, Runtime="python3.12", Handler="index.handler", Role=role, Code={"ZipFile": zipped(source)}
    )
    exports = aws.exports()
    credentials = Credentials(exports["AWS_ACCESS_KEY_ID"], exports["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest("POST", f"{aws.endpoint}/2015-03-31/functions/{name}/invocations")
    SigV4QueryAuth(credentials, "lambda", aws.region).add_auth(request)
    return str(request.url)


def zipped(source: str) -> bytes:
    import io  # noqa: PLC0415 - only this helper needs them
    import zipfile  # noqa: PLC0415

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", source)
    return buffer.getvalue()


def test_a_page_of_another_site_can_not_use_the_local_aws(aws: LocalAws, site: Site, tmp_path: Path) -> None:
    s3, marker = aws.client("s3"), tmp_path / "ran"
    s3.create_bucket(Bucket="private")
    s3.put_object(Bucket="private", Key="key", Body=b"nobody's business")
    read = s3.generate_presigned_url("get_object", Params={"Bucket": "private", "Key": "key"})
    invoke = make_function(aws, "evil", marker)
    post = {"method": "POST", "body": ""}
    signed = {**post, "headers": {"Authorization": f"Bearer {aws.exports()['AWS_SECRET_ACCESS_KEY']}"}}
    attempts: list[tuple[str, str, dict[str, Any]]] = [
        ("control", f"http://127.0.0.1:{site.port}/control", {**post, "mode": "no-cors"}),
        ("read", read, {}),
        ("read blindly", read, {"mode": "no-cors", "referrerPolicy": "no-referrer"}),
        ("health", f"{aws.endpoint}/_ministack/health", {}),
        ("invoke", invoke, post),
        ("invoke blindly", invoke, {**post, "mode": "no-cors"}),
        ("invoke without referrer", invoke, {**post, "mode": "no-cors", "referrerPolicy": "no-referrer"}),
        ("reset", f"{aws.endpoint}/_ministack/reset", {**post, "mode": "no-cors"}),
        ("reset with the secret", f"{aws.endpoint}/_ministack/reset", signed),
        ("faults", f"{aws.endpoint}/_personalize_local/faults", {**post, "body": "[]", "mode": "no-cors"}),
    ]
    site.page = (
        PAGE.replace("ATTEMPTS", json.dumps(attempts)).replace("FORM", json.dumps(invoke)).replace("IMAGE", f'"{read}"')
    )

    dom = shown(
        f"http://evil.example:{site.port}/", tmp_path / "one", "--host-resolver-rules=MAP evil.example 127.0.0.1"
    )

    found = re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom
    told = json.loads(found[1].replace("&amp;", "&"))
    assert set(told) == {key for key, _, _ in attempts}
    assert ("POST", "/control") in site.requests  # what a page may send, the browser sent
    assert {key for key, value in told.items() if value == "opaque"} == {
        key for key, _, options in attempts if options.get("mode") == "no-cors"
    }
    assert {value for value in told.values() if value != "opaque"} == {"blocked"}
    assert not marker.exists()
    assert s3.get_object(Bucket="private", Key="key")["Body"].read() == b"nobody's business"  # no reset either

    with urllib.request.urlopen(urllib.request.Request(invoke, data=b"", method="POST")):  # noqa: S310 - the local AWS
        assert marker.exists()  # the same request of a client of this machine works


def test_a_name_that_resolves_to_this_machine_is_not_this_server(aws: LocalAws, tmp_path: Path) -> None:
    port = urlsplit(aws.endpoint).port
    rule = "--host-resolver-rules=MAP rebound.example 127.0.0.1"
    dom = shown(f"http://rebound.example:{port}/_ministack/health", tmp_path / "two", rule)
    assert f"The local AWS answers to 127.0.0.1:{port}, not to rebound.example:{port}." in dom
    assert '"services"' in shown(f"{aws.endpoint}/_ministack/health", tmp_path / "three")
