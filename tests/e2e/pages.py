"""The code blocks of a page, by the heading they are under, and a shell that runs them as a reader does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from personalize_local import LocalAws

ROOT = Path(__file__).resolve().parents[2]
AWS_CLI = ROOT / ".cache" / "awscli" / "bin"
_PART = re.compile(
    r"^##+ (?P<heading>[^\n]+)$|^( *)```(?P<language>\w+)\n(?P<text>.*?)^\2```$", re.DOTALL | re.MULTILINE
)


def blocks(page: str, language: str) -> dict[str, list[str]]:
    """Return the blocks of a language under each heading of a page, `docs/restore.md` for example."""
    found: dict[str, list[str]] = {}
    heading = ""
    for part in _PART.finditer((ROOT / page).read_text(encoding="utf-8")):
        if part["heading"]:
            heading = part["heading"]
        elif part["language"] == language:
            lines = part["text"].splitlines(keepends=True)
            margin = len(part[2] or "")
            found.setdefault(heading, []).append("".join(line[margin:] if line.strip() else line for line in lines))
    return found


def backup_app(*fragments: str) -> str:
    """Return an app with a stack `Backup` that the fragments of a page add to."""
    first = 'from aws_cdk import App, Stack\n\napp = App()\nstack = Stack(app, "Backup")\n'
    return "\n".join([first, *fragments, "app.synth()\n"])


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
