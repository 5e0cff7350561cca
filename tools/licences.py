"""Writes LICENSES.md: the licence of every package that is needed, or used to develop and test.

What a package says of itself is read from its installed metadata (`License-Expression`, classifiers, `License`) or, for
npm, from the lock file: https://packaging.python.org/en/latest/specifications/core-metadata/#license-expression
A package that is installed on other systems only is named in `ELSEWHERE`.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "LICENSES.md"
ENVIRONMENTS = (".cache/*", ".venv")  # a package in several is listed as the last one has it
LOCKS = ("package-lock.json", "tests/e2e/javascript/package-lock.json", "tests/e2e/evaluator/package-lock.json")
SHIPPED = {"library", "personalize-local"}  # what our distributions need
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD", "ISC", "MIT", "MIT-CMU", "PSF-2.0", "Unlicense"),
    *("CNRI-Python", "Zlib", "MIT-0", "HPND", "BlueOak-1.0.0", "CC0-1.0"),
}
WEAK_COPYLEFT = {"MPL-2.0", "LGPL-2.1-or-later", "LGPL-3.0-or-later", "LGPL"}  # for tools, which are not shipped
EVALUATOR = "AGPL-3.0-or-later"  # of the evaluator alone
# How licences were named before there were expressions.
SPDX = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
    "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.1-or-later",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
}
ELSEWHERE = {
    "async-timeout": "Apache-2.0",
    "backports-tarfile": "MIT",
    "exceptiongroup": "MIT",
    "isodate": "BSD-3-Clause",
    "pywin32": "PSF-2.0",
    "pywin32-ctypes": "BSD-3-Clause",
    "pyyaml-ft": "MIT",
    "taskgroup": "MIT",
    "toml": "MIT",
    "tomli": "MIT",
}
UNSTATED = {"pyston", "pyston-autoload"}  # Checkov installs them on Python 3.10; their wheels state no licence
TABLE = "| package | licence | groups |\n|---|---|---|\n"


def required() -> dict[str, set[str]]:
    """Return every package of the locked requirements, with its groups."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        if path.name != "constraints.txt":
            for name in re.findall(r"^([\w.-]+)==", path.read_text(encoding="utf-8"), re.MULTILINE):
                found.setdefault(normal(name), set()).add(path.stem)
    return found


def locked() -> dict[str, tuple[str, set[str]]]:
    """Return every package of the lock files of npm, with its licence and where it is used."""
    found: dict[str, tuple[str, set[str]]] = {}
    for lock in LOCKS:
        packages = json.loads((ROOT / lock).read_text(encoding="utf-8"))["packages"]
        for path, package in packages.items():
            if path:
                name = path.rpartition("node_modules/")[2]
                licence, places = found.setdefault(name, (package.get("license", "unknown"), set()))
                places.add(Path(lock).parent.name or "cdk")
                assert licence == package.get("license", "unknown"), name  # noqa: S101 - two versions, two licences
    return found


def normal(name: str) -> str:
    """Return the name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def stated(distribution: Distribution) -> str:
    """Return the licence a package states, as an SPDX expression where it is known, or `unknown`."""
    metadata = distribution.metadata
    classifiers = [
        c.rpartition(" :: ")[2]
        for c in metadata.get_all("Classifier", [])
        if c.startswith("License :: OSI Approved :: ")
    ]
    named = [metadata["License-Expression"], *classifiers, (metadata["License"] or "").strip().partition("\n")[0]]
    for name in filter(None, named):
        return str(SPDX.get(name.lower().strip(), name))
    return "unknown"


def allowed(name: str, licence: str, groups: set[str]) -> bool:
    """Say whether a package may have this licence, where it is used."""
    if name in UNSTATED:
        return groups == {"checkov"}
    if groups == {"evaluator"} and licence == EVALUATOR:
        return True
    accepted = PERMISSIVE if groups & SHIPPED else PERMISSIVE | WEAK_COPYLEFT
    alternatives = [re.split(r" AND ", part.strip(" ()")) for part in re.split(r" OR ", licence)]
    return any({part.strip(" ()") for part in parts} <= accepted for parts in alternatives)


def page() -> str:
    """Return the text of LICENSES.md: what is written there by hand, and the table anew.

    Raises:
        ValueError: when the licence of a package is not known or not allowed.
    """
    installed: dict[str, str] = {}
    for environment in ENVIRONMENTS:
        folders = [str(path) for path in ROOT.glob(f"{environment}/lib/python*/site-packages")]
        installed.update({normal(found.metadata["Name"]): stated(found) for found in distributions(path=folders)})
    rows = [
        (name, ELSEWHERE.get(name) or installed.get(name, "unknown"), groups) for name, groups in required().items()
    ]
    rows += [(name, licence, groups) for name, (licence, groups) in locked().items()]
    lines = [f"| {name} | {licence} | {', '.join(sorted(groups))} |" for name, licence, groups in sorted(rows)]
    wrong = [line for line, row in zip(lines, sorted(rows), strict=True) if not allowed(*row)]
    if wrong:
        raise ValueError("not allowed, or not known:\n" + "\n".join(wrong))
    before = PAGE.read_text(encoding="utf-8").partition(TABLE)[0]
    return before + TABLE + "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, or say which package's licence is not known or not allowed."""
    try:
        PAGE.write_text(page(), encoding="utf-8")
    except ValueError as error:
        sys.exit(f"licences: {error}")


if __name__ == "__main__":
    main()
