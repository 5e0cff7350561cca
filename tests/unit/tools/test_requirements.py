"""The groups of requirements: every package at one version, by its hash, and the same one wherever it is installed."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "requirements"
GROUPS = sorted(path.stem for path in FOLDER.glob("*.in"))
PINNED = re.compile(r"^([\w.-]+)==(\S+)((?: ; [^\\\n]+)?)((?: *\\\n +--hash=sha256:[0-9a-f]{64})*)", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked(group: str) -> dict[str, str]:
    """What a group asks for itself, with the version it names, if any."""
    lines = [line.partition("#")[0].strip() for line in (FOLDER / f"{group}.in").read_text("utf-8").splitlines()]
    names = [line.partition(";")[0].strip().partition("==") for line in lines if line and not line.startswith("-")]
    return {normal(name): version for name, _, version in names}


def included(group: str) -> set[str]:
    found = set(re.findall(r"^-r (\S+)\.in$", (FOLDER / f"{group}.in").read_text("utf-8"), re.MULTILINE))
    return found.union(*map(included, found))


def locked(group: str) -> dict[str, set[str]]:
    """What a group installs: the versions of each package, of which a Python gets one."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, version, _, _ in PINNED.findall((FOLDER / f"{group}.txt").read_text("utf-8")):
        found[normal(name)].add(version)
    return found


def constraints() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for name, version in re.findall(
        r"^([\w.-]+)==([^;\s]+)", (FOLDER / "constraints.txt").read_text("utf-8"), re.MULTILINE
    ):
        found[normal(name)].add(version)
    return found


def dependencies(project: str) -> dict[str, str]:
    (listed,) = re.findall(r"^dependencies = \[(.*?)\]$", (ROOT / project).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return {normal(name): rest.partition("==")[2] for name, rest in re.findall(r'"([\w.-]+)([^"]*)"', listed)}


def test_every_group_has_its_locked_file_and_no_other_file_is_there() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        "constraints.txt",
        *(f"{group}.in" for group in GROUPS),
        *(f"{group}.txt" for group in GROUPS),
    }


@pytest.mark.parametrize("group", GROUPS)
def test_every_package_of_a_group_has_a_version_and_a_hash(group: str) -> None:
    text = (FOLDER / f"{group}.txt").read_text("utf-8")
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    pinned = PINNED.findall(text)
    assert len(pinned) == len(entries)
    assert [name for name, _, _, hashes in pinned if not hashes] == []


@pytest.mark.parametrize("group", GROUPS)
def test_a_locked_file_holds_what_its_group_asks_for_now(group: str) -> None:
    versions = locked(group)
    for name, version in asked(group).items():
        assert version in versions[name] if version else versions[name], f"`make requirements`: {name} in {group}.txt"
    for other in included(group):
        assert locked(other).keys() <= versions.keys(), (
            f"`make requirements`: {group}.txt lacks packages of {other}.txt"
        )


@pytest.mark.parametrize("group", GROUPS)
def test_a_locked_file_has_the_versions_of_the_constraints(group: str) -> None:
    if not any(
        "-c constraints.txt" in (FOLDER / f"{name}.in").read_text("utf-8") for name in {group, *included(group)}
    ):
        assert all(asked(group).values()), "an environment of its own names its versions"
        return
    stated = constraints()
    differing = {
        name: versions for name, versions in locked(group).items() if not versions <= stated.get(name, versions)
    }
    assert differing == {}, "`make requirements` takes them over"


def test_no_constraint_is_left_behind() -> None:
    used = {name for group in GROUPS for name in locked(group)}
    assert set(constraints()) - used == set()


@pytest.mark.parametrize(
    ("project", "group"),
    [("pyproject.toml", "library"), ("packaging/personalize-local/pyproject.toml", "personalize-local")],
)
def test_a_distribution_is_tested_with_what_it_depends_on(project: str, group: str) -> None:
    needed = dependencies(project)
    assert needed.keys() == asked(group).keys()
    assert {name for name, version in needed.items() if version and version not in locked(group)[name]} == set()
