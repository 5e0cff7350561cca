"""What a reader of a page does: take its code from under a heading, and run the commands in a checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from tests.pages import PRELUDE, ROOT, Page

if TYPE_CHECKING:
    from personalize_local import LocalAws

AWS_CLI = ROOT / ".cache" / "awscli" / "bin"
_PART = re.compile(
    r"^##+ (?P<heading>[^\n]+)$|^( *)```(?P<language>\w+)\n(?P<text>.*?)^\2```$", re.DOTALL | re.MULTILINE
)


def blocks(page: str, language: str) -> dict[str, list[str]]:
    """Return the blocks of a language under each heading of a page, `docs/restore.md` for example."""
    found: dict[str, list[str]] = {}
    heading = ""
    for part in _PART.finditer(Page(page).text):
        if part["heading"]:
            heading = part["heading"]
        elif part["language"] == language:
            found.setdefault(heading, []).append(textwrap.dedent(part["text"]))
    return found


def backup_app(*fragments: str) -> str:
    """Return an app with a stack `Backup` that the fragments of a page add to."""
    return "\n".join([PRELUDE, *fragments, "app.synth()\n"])


def shell(aws: LocalAws, folder: Path, *commands: str) -> str:
    """Run commands in a checkout, with the credentials of an account; return what they printed."""
    assert (AWS_CLI / "aws").exists(), "the AWS CLI is missing: `make e2e` installs it"
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    environment = {
        **aws.environment(),
        "PYTHONPATH": str(ROOT),
        "CDK_REQUIRE_APPROVAL": "never",  # nobody is there to be asked
        "CDK_FORCE": "true",
    }
    programs = [Path(sys.executable).parent, ROOT / "node_modules" / ".bin"]
    environment["PATH"] = os.pathsep.join([*map(str, programs), environment["PATH"], str(AWS_CLI)])
    script = "\n".join(["set -euo pipefail", *commands])
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
