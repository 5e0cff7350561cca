"""The commands of pages that belong into a checkout, run in one."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.pages import ROOT, Page

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout that is this one, with an event of the user's in it."""
    for path in ROOT.iterdir():
        (tmp_path / path.name).symlink_to(path)
    shutil.copy(ROOT / "tests" / "fixtures" / "events" / "create.json", tmp_path / "my-event.json")
    return tmp_path


@pytest.mark.parametrize(("start", "says"), [("make replay", "answered after"), (". .venv/bin/activate", "[]")])
def test_commands_run_as_they_are_printed(checkout: Path, start: str, says: str) -> None:
    block = Page("docs/local-aws.md").block(start)
    done = subprocess.run(
        ["sh", "-ec", block], cwd=checkout, env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert says in done.stdout.splitlines()[-1]
