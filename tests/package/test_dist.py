"""What `make dist` leaves: the same bytes from every checkout, and a bill of materials for each distribution."""

from __future__ import annotations

import json
import re
import stat
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
NAMES = ("cdk_personalize_export", "personalize_local")
README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def version(distributions: tuple[Path, Path]) -> str:
    (wheel,) = distributions[0].glob("personalize_local-*.whl")
    return wheel.name.split("-")[1]


def test_sdist_wheel_and_bill_of_both_distributions_are_built(distributions: tuple[Path, Path]) -> None:
    number = version(distributions)
    assert {path.name for path in distributions[0].iterdir()} == {
        f"{name}-{number}{kind}" for name in NAMES for kind in ("-py3-none-any.whl", ".tar.gz", ".cdx.json")
    }


def test_two_checkouts_give_the_same_bytes(distributions: tuple[Path, Path]) -> None:
    one, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in distributions)
    assert one.keys() == other.keys()
    assert [name for name, content in one.items() if content != other[name]] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_archive_says_nothing_of_the_machine_it_was_made_on(name: str, distributions: tuple[Path, Path]) -> None:
    (sdist,) = distributions[1].glob(f"{name}-*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
    assert {stat.S_IMODE(member.mode) for member in members} <= {0o644, 0o755}


@pytest.mark.parametrize("name", NAMES)
def test_the_bill_lists_what_the_wheel_requires(name: str, distributions: tuple[Path, Path]) -> None:
    (bill,) = distributions[0].glob(f"{name}-*.cdx.json")
    (wheel,) = distributions[0].glob(f"{name}-*.whl")
    stated = json.loads(bill.read_text(encoding="utf-8"))
    with zipfile.ZipFile(wheel) as archive:
        metadata = Parser().parsestr(
            archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
        )
    required = {re.split(r"[<>=]", text)[0] for text in metadata.get_all("Requires-Dist", []) if "extra" not in text}
    assert (stated["bomFormat"], stated["metadata"]["component"]["version"]) == ("CycloneDX", metadata["Version"])
    assert required
    assert required <= {component["name"] for component in stated["components"]}
    assert [component["name"] for component in stated["components"] if not component.get("version")] == []


def test_the_page_on_pypi_leads_into_the_repository(distributions: tuple[Path, Path]) -> None:
    (wheel,) = distributions[0].glob("cdk_personalize_export-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
    page = Parser().parsestr(metadata).get_payload()
    assert isinstance(page, str)
    relative = re.compile(r"\]\((?!#|https?:)([^)\s]+)\)")
    targets = relative.findall(README)
    assert targets
    assert relative.findall(page) == []
    number = version(distributions)
    assert [target for target in targets if not re.search(rf"/(blob|raw)/v{number}/{re.escape(target)}\)", page)] == []
