"""Clients of AWS that are not boto3: the AWS CLI and the AWS SDK for JavaScript, behind one face."""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import botocore

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
AWS_CLI = ROOT / ".cache" / "awscli" / "bin"
JAVASCRIPT = ROOT / ".cache" / "javascript"
CALLS_OF_JAVASCRIPT = ROOT / "tests" / "e2e" / "javascript" / "calls.mjs"
AT_ONCE = 3
_CLI_ERROR = re.compile(
    r"\s*(?:aws: \[ERROR\]: )?An error occurred \((\w+)\) when calling the (\w+) operation: (.*)\s*"
)

Request = tuple[str, str, dict[str, Any]]
"""A service, its operation, and the parameters as the API names them."""


class RefusedError(Exception):
    """What a client says when the API refuses a call."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Client(Protocol):
    """What a test needs of a client."""

    def call(self, service: str, operation: str, **params: Any) -> Any:
        """Return the answer of one call, raise `RefusedError` when it is refused."""

    def calls(self, *requests: Request) -> list[Any]:
        """Return the answers of several calls, none of which needs another."""

    def pages(self, service: str, operation: str, size: int, member: str) -> list[Any]:
        """Return everything of a list, asked for in pages of a size."""

    def upload(self, bucket: str, files: Mapping[str, str]) -> None:
        """Write objects."""

    def download(self, bucket: str, prefix: str) -> dict[str, str]:
        """Return the objects below a prefix."""

    def close(self) -> None:
        """End what was started."""


class AwsCli:
    """The AWS CLI, a process for each call."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        assert (AWS_CLI / "aws").exists(), "the AWS CLI is missing: `make e2e` installs it"
        # Keeping what it compiles halves the time of a call.
        self._environment = {**environment, "PYTHONDONTWRITEBYTECODE": ""}
        self._folder = folder

    def call(self, service: str, operation: str, **params: Any) -> Any:
        return self._json(service, operation, "--no-paginate", "--cli-input-json", json.dumps(params))

    def calls(self, *requests: Request) -> list[Any]:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(lambda request: self.call(request[0], request[1], **request[2]), requests))

    def pages(self, service: str, operation: str, size: int, member: str) -> list[Any]:
        found: list[Any] = self._json(service, operation, "--page-size", str(size))[member]
        return found

    def upload(self, bucket: str, files: Mapping[str, str]) -> None:
        folder = self._folder / "upload"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        self._run("s3", "cp", "--recursive", "--only-show-errors", str(folder), f"s3://{bucket}/")

    def download(self, bucket: str, prefix: str) -> dict[str, str]:
        folder = self._folder / "download"
        self._run("s3", "cp", "--recursive", "--only-show-errors", f"s3://{bucket}/{prefix}", str(folder / prefix))
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}

    def close(self) -> None:
        pass

    def _json(self, service: str, operation: str, *arguments: str) -> Any:
        command = botocore.xform_name(operation, "-")
        return json.loads(self._run(service, command, "--output", "json", *arguments) or "{}")

    def _run(self, *arguments: str) -> str:
        command = [str(AWS_CLI / "aws"), *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60, check=False)
        refused = _CLI_ERROR.fullmatch(done.stderr)
        if refused:
            raise RefusedError(refused[1], refused[3])
        assert (done.returncode, done.stderr) == (0, ""), f"{arguments}: {done.stderr}"
        return done.stdout


class JavaScript:
    """The AWS SDK for JavaScript, one process of Node that is told what to call."""

    def __init__(self, environment: dict[str, str], _folder: Path) -> None:
        assert (JAVASCRIPT / "node_modules").exists(), "the AWS SDK for JavaScript is missing: `make e2e` installs it"
        command = ["node", str(CALLS_OF_JAVASCRIPT), str(JAVASCRIPT)]
        self._node = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def call(self, service: str, operation: str, **params: Any) -> Any:
        return self._ask(service=service, operation=operation, input=params)

    def calls(self, *requests: Request) -> list[Any]:
        return [self.call(service, operation, **params) for service, operation, params in requests]

    def pages(self, service: str, operation: str, size: int, member: str) -> list[Any]:
        return [
            item
            for page in self._ask(service=service, operation=operation, input={}, pages=size)
            for item in page[member]
        ]

    def upload(self, bucket: str, files: Mapping[str, str]) -> None:
        for key, text in files.items():
            self.call("s3", "PutObject", Bucket=bucket, Key=key, Body=text)

    def download(self, bucket: str, prefix: str) -> dict[str, str]:
        pages = self._ask(service="s3", operation="ListObjectsV2", input={"Bucket": bucket, "Prefix": prefix}, pages=5)
        keys = [item["Key"] for page in pages for item in page["Contents"]]
        return {key: self.call("s3", "GetObject", Bucket=bucket, Key=key)["Body"] for key in keys}

    def close(self) -> None:
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.close()
        self._node.stdout.close()
        assert self._node.wait(20) == 0

    def _ask(self, **request: Any) -> Any:
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.write(json.dumps(request) + "\n")
        self._node.stdin.flush()
        said = json.loads(self._node.stdout.readline())
        if "error" in said:
            raise RefusedError(said["error"]["name"], said["error"]["message"])
        return said["value"]
