"""Gives the project's page on PyPI a README whose links lead into the repository, at the version that is published.

In the repository links are relative, so that they work in every copy of it. PyPI has the text of the README only. Where
the repository is, is one setting: `Repository` of `[project.urls]` in pyproject.toml. A hook of hatchling:
https://hatch.pypa.io/latest/plugins/metadata-hook/custom/
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

FENCE = re.compile(r"^( *```.*?^ *```$)", re.DOTALL | re.MULTILINE)
RELATIVE = r"(?!#|[a-z][a-z0-9+.-]*:)"
IMAGE = re.compile(rf"(!\[[^\]]*\]\(|\bsrc(?:set)?=\"){RELATIVE}(?:\./)?")
LINK = re.compile(rf"(?<!!)(\]\(|\bhref=\"|^\[[^\]]+\]: ){RELATIVE}(?:\./)?", re.MULTILINE)


class AbsoluteLinks(MetadataHookInterface):
    """Fills in `readme`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Read README.md and make its links absolute."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = absolute(text, metadata["urls"]["Repository"], f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(text: str, repository: str, revision: str) -> str:
    """Make relative links and images of a Markdown text absolute, and leave blocks of code alone."""
    parts = FENCE.split(text)  # text and code by turns
    parts[::2] = [_absolute(part, repository, revision) for part in parts[::2]]
    return "".join(parts)


def _absolute(text: str, repository: str, revision: str) -> str:
    text = IMAGE.sub(rf"\g<1>{repository}/raw/{revision}/", text)
    return LINK.sub(rf"\g<1>{repository}/blob/{revision}/", text)
