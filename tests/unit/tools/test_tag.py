"""The tag of a release, held against the versions and the changelog."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tools.tag import PROJECTS, ROOT, problems

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """Return a folder with the versions of this repository, and a changelog in which 0.1.0 has a date."""
    for name in PROJECTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2026-12-01\n", encoding="utf-8")
    return tmp_path


def test_a_tag_of_the_version_may_be_released(released: Path) -> None:
    assert problems("v0.1.0", released) == []


def test_a_tag_of_another_version_may_not(released: Path) -> None:
    assert problems("v0.2.0", released) == [
        "the tag is v0.2.0, but the version in pyproject.toml is 0.1.0: tag v0.1.0, or change that",
        (
            "the tag is v0.2.0, but the version in packaging/personalize-local/pyproject.toml is 0.1.0: tag v0.1.0, "
            "or change that"
        ),
        "CHANGELOG.md has no heading `## 0.2.0 - YYYY-MM-DD`: give the section Unreleased that name",
    ]


def test_a_changelog_without_a_date_may_not(released: Path) -> None:
    (released / "CHANGELOG.md").write_text("## Unreleased\n## 0.1.0\n", encoding="utf-8")
    assert problems("v0.1.0", released) == [
        "CHANGELOG.md has no heading `## 0.1.0 - YYYY-MM-DD`: give the section Unreleased that name"
    ]
