"""What the page of the local AWS says for other clients, run as it is written there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from clients import AWS_CLI, JAVASCRIPT

from tests.local_page import ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e
TITLE = "From other clients"
PRINTED = {
    "aws personalize": '"schemas": []',
    "node -e": "arn:aws:personalize:us-east-1:000000000000:dataset-group/shop",
    "npx cdk": "Shop: creating CloudFormation changeset",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which everything that the page installs is there."""
    programs = tmp_path / "programs"
    programs.mkdir()
    commands = {
        "personalize-local": f'exec "{sys.executable}" -m personalize_local "$@"',
        "npx": f'program="$1"; shift; exec "{ROOT}/node_modules/.bin/$program" "$@"',
    }
    for name, script in commands.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"], str(AWS_CLI)]),
        "PYTHONPATH": str(ROOT),
        "NODE_PATH": str(JAVASCRIPT / "node_modules"),
    }


def test_there_is_a_command_for_each_client() -> None:
    commands = blocks(TITLE, "sh")
    assert len(commands) == len(PRINTED)
    assert all(any(client in command for command in commands) for client in PRINTED)


@pytest.mark.parametrize("client", PRINTED)
def test_command_of_the_page_reaches_the_local_aws(client: str, environment: dict[str, str], tmp_path: Path) -> None:
    (command,) = [block for block in blocks(TITLE, "sh") if client in block]
    (app,) = blocks(TITLE, "js")
    (tmp_path / "app.js").write_text(app, encoding="utf-8")
    done = subprocess.run(
        ["sh", "-ec", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert PRINTED[client] in done.stdout + done.stderr
