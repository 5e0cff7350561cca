"""`LocalAws`: a local AWS for the length of a `with` block, in a process of its own.

Everything it starts is one process group and everything it writes one folder, so that leaving the block leaves
nothing behind; only the server's log stays when the block failed, and its path is printed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session

from personalize_local import bootstrap, node
from personalize_local.keys import secret_of
from personalize_local.service.settings import ENVIRONMENT_PREFIX, Fault, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self

ACCESS_KEY = "test"  # of the root user; the secret is another one each time
ACCOUNT = "000000000000"
REGION = "us-east-1"
START_SECONDS = 60
STOP_SECONDS = 5
INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TZ")  # all the server needs
NO_PROXY = "127.0.0.1,localhost"
JSII_CACHE = "JSII_RUNTIME_PACKAGE_CACHE_ROOT"


class LocalAwsError(Exception):
    """Why there is no local AWS, in one line that says what to do."""


class DiedError(LocalAwsError):
    """It ended before it answered; its log is kept."""


class LocalAws:
    """A local AWS with Amazon Personalize.

    Args:
        iam: Whether policies decide; calls are signed and checked as on AWS.
        settings: How Personalize behaves; without, the `PERSONALIZE_LOCAL_*` environment variables say.
        port: Where it listens; 0 is any free port.

    Attributes:
        keep_log: Keep the server's log also when the block succeeds.

    Example:
        >>> with LocalAws() as aws:
        ...     aws.client("personalize").list_dataset_export_jobs()["datasetExportJobs"]
        []
    """

    def __init__(self, *, iam: bool = True, settings: Settings | None = None, port: int = 0) -> None:
        """Keep the wishes; nothing runs before the `with` block."""
        self.iam = iam
        self.settings = settings
        self.account = ACCOUNT
        self.region = REGION
        self.keep_log = False
        self._port = port
        self._secret = secrets.token_hex(20)  # as long as those of AWS
        self._folder = Path()
        self._server: subprocess.Popen[bytes] | None = None
        self._session: boto3.Session | None = None

    @property
    def endpoint(self) -> str:
        """The URL everything is at."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self._folder / "server.log"

    def __enter__(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            LocalAwsError: It does not start.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="personalize-local-"))
        for name in ("cdk", "tmp", "state"):
            (self._folder / name).mkdir()
        try:
            self._port = self._start()
        except BaseException as error:
            self._stop(keep_log=isinstance(error, DiedError))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Stop it and everything it started; one that has ended by itself is told."""
        failed = kind is not None and issubclass(kind, Exception)
        status = self._server.poll() if self._server is not None else None
        self._stop(keep_log=failed or self.keep_log or status is not None)
        if status is not None:
            sys.stderr.write(f"personalize_local: the local AWS died ({_ending(status)}); its log is {self.log_path}\n")
        elif failed:
            sys.stderr.write(f"personalize_local: the log of the local AWS is {self.log_path}\n")

    def wait(self) -> int:
        """Wait until the server ends, which it does only by itself; returns its exit status."""
        if self._server is None:
            raise LocalAwsError("there is no server to wait for: use `with LocalAws() as aws`")
        return self._server.wait()

    def environment(self) -> dict[str, str]:
        """Return the environment for a subprocess: this one's, its credentials and settings of AWS replaced."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **inherited,
            **self.exports(),
            **self._node_environment(),
            **({} if _can_cache() else {JSII_CACHE: str(self._folder / "jsii")}),
            "CDK_HOME": str(self._folder / "cdk"),  # it caches which account an access key belongs to
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_DISABLE_VERSION_CHECK": "true",
            "CDK_NOTICES": "false",
        }

    def exports(self) -> dict[str, str]:
        """Return the variables that point the SDKs, the AWS CLI and the CDK here, and nowhere else."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": self._secret,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_S3": self.endpoint,  # an IP address, which makes the SDKs use path-style requests
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self._folder / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self._folder / "no-credentials"),
            "NO_PROXY": NO_PROXY,
            "no_proxy": NO_PROXY,
        }

    def client(self, service: str, *, account: str = "") -> Any:
        """Return a boto3 client, with the credentials of the root user: of the account, or of another one."""
        if account and account != self.account:
            keys = {"aws_access_key_id": account, "aws_secret_access_key": secret_of(account, self._secret)}
        else:
            keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": self._secret}
        if self._session is None:
            nowhere = str(self._folder / "no-config")
            core = botocore.session.Session(
                session_vars={
                    "profile": (None, None, None, None),
                    "config_file": (None, None, nowhere, None),
                    "credentials_file": (None, None, nowhere, None),
                }
            )
            self._session = boto3.Session(region_name=self.region, botocore_session=core)
        return self._session.client(service, endpoint_url=self.endpoint, **keys)

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Replace the failures Personalize is told to have."""
        self._request("POST", "faults", json.dumps([asdict(fault) for fault in faults]).encode())

    def calls(self) -> list[dict[str, Any]]:
        """Return every call a permission decided: service, action, resources, principal, allowed, time."""
        calls: list[dict[str, Any]] = json.loads(self._request("GET", "calls"))
        return calls

    def clear_calls(self) -> None:
        """Forget the calls so far."""
        self._request("DELETE", "calls")

    def advance_clock(self, seconds: float) -> float:
        """Move the clock of schedules, alarms and Personalize ahead and return it; the rest keeps the real time."""
        now: float = json.loads(self._request("POST", "clock", json.dumps(seconds).encode()))["now"]
        return now

    def bootstrap(self) -> None:
        """Do what `cdk bootstrap` does, with the CDK CLI's own template.

        Raises:
            LocalAwsError: There is no CDK CLI to take it from, or it does not deploy.
        """
        template = bootstrap.find_template()
        if template is None:
            raise LocalAwsError(bootstrap.MISSING)
        try:
            bootstrap.deploy(self.client("cloudformation"), template)
        except RuntimeError as error:
            raise LocalAwsError(str(error)) from None

    def _start(self) -> int:
        """Start the server process and return its port."""
        log = self.log_path.open("wb")
        with contextlib.closing(log):
            self._server = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
                [sys.executable, "-m", "personalize_local.server", "--port", str(self._port)],
                env=self._server_environment(),
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a process group of its own, which ends as one
            )
        report = self._first_report(self._server)
        if "port" not in report:
            if "error" in report:
                raise LocalAwsError(report["error"])
            raise DiedError(self._last_words())
        return int(report["port"])

    def _first_report(self, server: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Return what the server says first; an empty one when it says nothing."""
        assert server.stdout is not None  # noqa: S101 - it is a pipe
        ready, _, _ = select.select([server.stdout], [], [], START_SECONDS)
        line = server.stdout.readline() if ready else b""
        return json.loads(line) if line else {}

    def _last_words(self) -> str:
        """Return why the server ended without a report."""
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return f"the local AWS did not start: {lines[-1] if lines else 'it said nothing'}; its log is {self.log_path}"

    def _server_environment(self) -> dict[str, str]:
        """Return the environment of the server, which its Lambda functions inherit: nothing of the user's AWS."""
        folder = self._folder
        return {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            **{name: value for name, value in os.environ.items() if name.startswith(ENVIRONMENT_PREFIX)},
            **(_settings_environment(self.settings) if self.settings else {}),
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            "AUTH": "true" if self.iam else "false",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": self._secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(folder / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": self.account,
            "MINISTACK_REGION": self.region,
            "DOCKER_HOST": "unix:///nonexistent",  # no container is ever wanted
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "STATE_DIR": str(folder / "state"),
            "S3_DATA_DIR": str(folder / "state"),
            "S3_PERSIST": "1",  # objects are kept there, not in memory
            "TMPDIR": str(folder / "tmp"),
            "NO_PROXY": NO_PROXY,
            "no_proxy": NO_PROXY,
        }

    def _node_environment(self) -> dict[str, str]:
        """Return what makes Node the first on the PATH and the one of jsii; empty when there is none."""
        found = node.find()
        if found is None:
            return {}
        programs = self._folder / "bin"
        programs.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (programs / "node").symlink_to(found)  # its folder may hold an npm that does not run
        return {"PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")]), "JSII_NODE": str(found)}

    def _request(self, method: str, name: str, body: bytes | None = None) -> bytes:
        """Call one of the server's own paths."""
        request = urllib.request.Request(f"{self.endpoint}/_personalize_local/{name}", data=body, method=method)  # noqa: S310
        request.add_header("Authorization", f"Bearer {self._secret}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request) as response:
            content: bytes = response.read()
        return content

    def _stop(self, *, keep_log: bool) -> None:
        """End the process group and remove the folder."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            for pipe in (self._server.stdin, self._server.stdout):
                if pipe is not None:
                    pipe.close()
            self._server.wait(STOP_SECONDS)
            self._server = None
        for path in self._folder.iterdir():
            if not (keep_log and path == self.log_path):
                _remove(path)
        if not keep_log:
            self._folder.rmdir()


def _ending(status: int) -> str:
    """Say how a process ended."""
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


def _can_cache() -> bool:
    """Tell whether jsii has a place for its packages, without which the CDK does not run: one that is set, or home."""
    if JSII_CACHE in os.environ:
        return True
    wanted = Path(os.path.expanduser("~"), ".cache", "aws", "jsii")  # noqa: PTH111 - Path.expanduser fails without a home
    there = next(folder for folder in (wanted, *wanted.parents) if folder.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def _remove(path: Path) -> None:
    """Remove a file or folder, in which something that ends just now may remove files too."""
    while path.is_dir():
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _settings_environment(settings: Settings) -> dict[str, str]:
    """Return the environment twins of the settings."""
    return {
        ENVIRONMENT_PREFIX + field.name.upper(): _as_text(getattr(settings, field.name)) for field in fields(settings)
    }


def _as_text(value: object) -> str:
    """Return a setting as its variable holds it."""
    return json.dumps([asdict(fault) for fault in value]) if isinstance(value, tuple) else str(value)
