"""The demonstration reads whatever the local Personalize may write, and runs in any folder."""

from __future__ import annotations

import io
import shlex
import subprocess
from typing import Any

import pytest

from examples.movielens import run

OBJECTS = {
    "exports/job/part-00000.csv": b'ITEM_ID,TITLE\n1,"a \\"b\\""\n2,plain\n',
    "exports/job/part-00001.csv": b'ITEM_ID,TITLE\n3,"a ""b"""\n4,"back\\\\slash"\n',
    "exports/job/_CHECK": b"",
}


class Aws:
    """A local AWS with a few objects in it."""

    def client(self, service: str) -> Aws:
        assert service == "s3"
        return self

    def environment(self) -> dict[str, str]:
        return {}

    def list_objects_v2(self, **_: str) -> dict[str, Any]:
        return {"Contents": [{"Key": key} for key in OBJECTS]}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - the API's own names
        assert Bucket == "lake"
        return {"Body": io.BytesIO(OBJECTS[Key])}


def test_rows_of_every_part_are_read_and_what_is_no_data_is_not() -> None:
    aws: Any = Aws()
    header, rows = run.read_csv(aws, "s3://lake/exports/job/")
    assert header == ("ITEM_ID", "TITLE")
    assert rows == [("1", 'a "b"'), ("2", "plain"), ("3", 'a "b"'), ("4", "back\\slash")]


def test_app_runs_with_this_python_whatever_is_in_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def record(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("sys.executable", "/my project/bin/python")
    monkeypatch.setattr("subprocess.run", record)
    aws: Any = Aws()
    assert run.deploy(aws) == 0
    (command,) = seen
    app = command[command.index("--app") + 1]
    assert shlex.split(app) == ["/my project/bin/python", "-m", "examples.movielens.app"]


@pytest.mark.parametrize(
    ("parts", "text"),
    [(["1 user"], "1 user"), (["1 user", "2 items"], "1 user and 2 items"), (["a", "b", "c"], "a, b and c")],
)
def test_parts_are_listed_as_they_are_read_out(parts: list[str], text: str) -> None:
    assert run.listed(parts) == text
