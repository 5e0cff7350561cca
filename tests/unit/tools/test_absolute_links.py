"""The README as PyPI gets it: its links lead into the repository, at the version that is published."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.absolute_links import absolute

ROOT = Path(__file__).resolve().parents[3]
REPOSITORY = "https://example.com/shop/export"
PROJECTS = ("pyproject.toml", "packaging/personalize-local/pyproject.toml")


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("[a](docs/a.md#b)", f"[a]({REPOSITORY}/blob/v1/docs/a.md#b)"),
        ("[a](./LICENSE)", f"[a]({REPOSITORY}/blob/v1/LICENSE)"),
        ("![a](docs/a.svg)", f"![a]({REPOSITORY}/raw/v1/docs/a.svg)"),
        ("[![a](docs/a.svg)](docs/a.md)", f"[![a]({REPOSITORY}/raw/v1/docs/a.svg)]({REPOSITORY}/blob/v1/docs/a.md)"),
        ('<img src="docs/a.svg">', f'<img src="{REPOSITORY}/raw/v1/docs/a.svg">'),
        ('<source srcset="docs/a.svg">', f'<source srcset="{REPOSITORY}/raw/v1/docs/a.svg">'),
        ('<a href="docs/a.md">', f'<a href="{REPOSITORY}/blob/v1/docs/a.md">'),
        ("[a]: docs/a.md", f"[a]: {REPOSITORY}/blob/v1/docs/a.md"),
    ],
)
def test_a_relative_link_becomes_absolute(given: str, made: str) -> None:
    assert absolute(given, REPOSITORY, "v1") == made


@pytest.mark.parametrize(
    "given",
    ["[a](https://example.com/a)", "[a](#a)", "[a](mailto:a@example.com)", "```python\nmade[0](a)\n```", "a (b) [c]"],
)
def test_everything_else_stays_as_it_is(given: str) -> None:
    assert absolute(given, REPOSITORY, "v1") == given


def test_no_relative_link_is_left_in_the_readme() -> None:
    text = absolute((ROOT / "README.md").read_text("utf-8"), REPOSITORY, "v1")
    without_code = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)\s]+)|(?:src|srcset|href)=\"([^\"]+)", without_code)
    assert [target for pair in targets for target in pair if target and not re.match(r"#|https?:", target)] == []


def test_every_address_of_a_distribution_is_in_the_repository() -> None:
    found = [
        re.findall(r'^(Repository|Changelog|Issues) = "(.+?)"', (ROOT / name).read_text("utf-8"), re.MULTILINE)
        for name in PROJECTS
    ]
    assert found[0] == found[1]
    (_, repository), *others = found[0]
    assert [address for _, address in others if not address.startswith(f"{repository}/")] == []


def test_the_page_of_the_local_aws_needs_no_repository() -> None:
    text = (ROOT / "packaging/personalize-local/README.md").read_text("utf-8")
    assert absolute(text, REPOSITORY, "v1") == text
