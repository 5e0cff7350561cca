"""Compares the tag of a release with what the repository says of itself: both versions, and a section of the changelog.

Nothing but the standard library is used, because the release runs it before anything is installed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = ("pyproject.toml", "packaging/personalize-local/pyproject.toml")


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """Return what does not fit the tag, a line each."""
    version = tag.removeprefix("v")
    found = []
    for name in PROJECTS:
        (stated,) = re.findall(r'^version = "(.+)"$', (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        if tag != f"v{stated}":
            found.append(f"the tag is {tag}, but the version in {name} is {stated}: tag v{stated}, or change that")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[?{re.escape(version)}\]? .*\d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no heading `## {version} - YYYY-MM-DD`: give the section Unreleased that name")
    return found


if __name__ == "__main__":
    lines = [f"tag: {problem}" for problem in problems(sys.argv[1])]
    sys.exit("\n".join(lines) or None)
