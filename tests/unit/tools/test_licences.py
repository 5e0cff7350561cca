"""LICENSES.md, held against what is required, what is installed, and what is allowed."""

from __future__ import annotations

import re
from email.message import Message
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING

import pytest

from tools.licences import ELSEWHERE, EVALUATOR, PAGE, allowed, locked, normal, required, stated

if TYPE_CHECKING:
    from pathlib import Path

ROWS = {
    name: (licence, set(groups.split(", ")))
    for name, licence, groups in re.findall(
        r"^\| ([^ |]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    if name != "package"
}


def test_the_page_lists_what_is_required_and_nothing_else() -> None:
    listed = {name: groups for name, (_, groups) in ROWS.items()}
    assert listed == {**required(), **{name: groups for name, (_, groups) in locked().items()}}, "`make licences`"


def test_every_licence_is_allowed_where_its_package_is_used() -> None:
    assert {name: row for name, row in ROWS.items() if not allowed(name, *row)} == {}


def test_the_page_says_what_installed_packages_say() -> None:
    installed = {normal(found.metadata["Name"]): stated(found) for found in distributions()}
    listed = {name: licence for name, (licence, _) in ROWS.items() if name in installed and name not in ELSEWHERE}
    assert len(listed) > 40
    assert listed == {name: installed[name] for name in listed}


def test_the_evaluator_alone_is_under_the_agpl() -> None:
    found = {name for name, (licence, _) in ROWS.items() if EVALUATOR in licence}
    assert found == {f"@cloud-copilot/iam-{part}" for part in ("policy", "simulate", "utils")}


@pytest.mark.parametrize(
    ("licence", "groups", "accepted"),
    [
        ("MIT", {"library"}, True),
        ("MPL-2.0", {"test"}, True),
        ("MPL-2.0", {"library", "test"}, False),
        ("AGPL-3.0-or-later", {"evaluator"}, True),
        ("AGPL-3.0-or-later", {"evaluator", "cdk"}, False),
        ("GPL-3.0-or-later", {"test"}, False),
        ("MIT OR GPL-3.0-or-later", {"library"}, True),
        ("MIT AND GPL-3.0-or-later", {"test"}, False),
        ("unknown", {"test"}, False),
    ],
)
def test_what_is_shipped_needs_permissive_licences(licence: str, groups: set[str], *, accepted: bool) -> None:
    assert allowed("package", licence, groups) == accepted


class Stating(Distribution):
    """A package that says of itself what a test gives it."""

    def __init__(self, **fields: str) -> None:
        self.message = Message()
        for name, value in fields.items():
            self.message[name.replace("_", "-")] = value

    @property
    def metadata(self) -> Message:  # type: ignore[override]
        return self.message

    def read_text(self, filename: str) -> None:
        raise AssertionError(filename)

    def locate_file(self, path: object) -> Path:
        raise AssertionError(path)


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT", "License": "other"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: Apache Software License", "License": "Apache"}, "Apache-2.0"),
        ({"Classifier": "License :: OSI Approved", "License": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"License": "MIT License\n\nCopyright"}, "MIT"),
        ({"License": ""}, "unknown"),
    ],
)
def test_a_licence_is_read_from_the_newest_field_that_states_it(fields: dict[str, str], licence: str) -> None:
    assert stated(Stating(**fields)) == licence
