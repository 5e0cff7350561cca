"""The code in README.md, for the tests that run it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language, in their order."""
    return [textwrap.dedent(text) for _, named, text in _BLOCK.findall(README) if named == language]


PROGRAMS = [block for block in blocks("python") if "app.synth()" in block]
FRAGMENTS = [block for block in blocks("python") if "app.synth()" not in block]

# Commands that tests/e2e/test_readme.py does not run, and who does.
ELSEWHERE = {
    "make deploy-local": "test_movielens.py runs the first, CI the second",
    "cdk deploy -c dataset=": "test_app.py deploys that app",
    "schedule=$(aws": "the rest of test_readme.py runs the commands of schedules",
    "sed ": "the same",
    "update=": "the same",
    ". .venv/bin/activate": "test_readme_commands.py runs it in a checkout",
    "make replay": "test_readme_commands.py runs it in a checkout",
}
(NIGHTLY,) = [fragment for fragment in FRAGMENTS if "nightly = " in fragment]
NIGHTLY_COMMANDS = [block for block in blocks("sh") if block.startswith(("schedule=$(aws", "sed ", "update="))]
COMMANDS = [block for block in blocks("sh") if not block.startswith(tuple(ELSEWHERE))]
