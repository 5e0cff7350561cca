"""Tries the library with every line of aws-cdk-lib between the lowest it declares and the newest.

A release line is every fourth minor release, and both sides of each change that the library's code detects. Each is
tried with the oldest jsii and constructs it allows on the oldest Python found here, and with the newest on the newest,
there with cdk-nag too. `tests/matrix/cell.py` says what is tried. The synthesis tests run on the two ends.

An environment is a path of folders under `.cache/matrix`, not a virtual environment: one with an aws-cdk-lib and what
it depends on, one with a cdk-nag. They hold nothing else, so a dependency the library does not declare would be
missing. They are kept for the next run; uv links them to its cache, so a file that many have in common is there once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "matrix"
UV = str(ROOT / ".venv" / "bin" / "uv")
CONSTRAINTS = (ROOT / "requirements" / "constraints.txt").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
MINORS = range(10, 16)  # Python 3.10 to 3.15
EVERY = 4
# The minor releases around each change of aws-cdk-lib that the code detects, or once met.
EDGES = {
    213: "no references, such as `dataset_ref`",
    214: "references",
    223: "references without a module of their own",
    224: "`aws_cdk.interfaces`",
    250: "no Validations",
    251: "Validations, but nothing to acknowledge with",
    252: "acknowledgements, refused when an id has `::` twice",
    256: "the same, and met by people",
    261: "only `add_dependency` between resources",
    262: "`add_resource_dependency`",
    268: "the last that refuses them",
    269: "reads brackets in an id",
}
CDK_NAGS = ("3.0.2", "2.38.2")  # newest first; each declares the aws-cdk-lib it works with
# jsii declares older releases of these than its own code works with.
USABLE = ("python-dateutil>=2.8.2", "typing-extensions>=4.6.0")
# These start processes of their own, need more than the library does, or hold pages against the newest release;
# `make test` runs them.
PAGES = ("test_pages.py", "test_permissions_page.py", "test_query_page.py", "test_upgrading_page.py")
EXAMPLES = ("test_examples.py", "test_privacy_example.py", "test_restore_example.py")
LEFT_OUT = ("test_app.py", "test_benchmarks.py", "test_ticks.py", *EXAMPLES, *PAGES)
IN_PROCESSES = "not python_caches and not importing_the_library"
FAULTS_OF_OLD_RELEASES = ("ignore:invalid escape sequence:DeprecationWarning", "ignore:invalid escape:SyntaxWarning")
_locks: dict[str, Lock] = {}


@dataclass(frozen=True)
class Python:
    """An interpreter found here."""

    version: str
    path: str


@dataclass(frozen=True)
class Cell:
    """One combination, and the folders it consists of."""

    python: Python
    folders: tuple[Path, ...]
    nag: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a cell."""

    line: str
    passed: bool
    output: str


def main() -> None:
    """Try every cell, print a line for each; end with 1 when one fails."""
    start = time.monotonic()
    pythons = found_pythons()
    print(f"found Python {', '.join(python.version for python in pythons)}", flush=True)
    lowest, newest = _minor(_declared("aws-cdk-lib")), _minor(_pinned("aws-cdk-lib"))
    lines = release_lines(lowest, newest)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        outcomes = [each for tried in pool.map(lambda line: try_release(line, pythons), lines) for each in tried]
        outcomes += pool.map(synthesis_tests, (pythons[0], pythons[-1]), (lowest, newest), (True, False))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        print(f"\n{outcome.line}\n{outcome.output}")
    print(f"\n{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    print(f"{len(lines)} releases of aws-cdk-lib in {time.monotonic() - start:.0f} s")
    sys.exit(1 if failed else 0)


def release_lines(lowest: int, newest: int) -> list[int]:
    """Return the minor releases to try: the ends, every fourth between them, and the edges."""
    between = [minor for minor in EDGES if lowest < minor < newest]
    return sorted({*range(lowest, newest, EVERY), *between, newest})


def try_release(minor: int, pythons: list[Python]) -> list[Outcome]:
    """Try a release with the oldest jsii it allows, and with the newest."""
    oldest = Cell(pythons[0], (oldest_folder(minor),), nag=False)
    newest = Cell(pythons[-1], (newest_folder(minor), nag_folder(minor)), nag=True)
    kernel_cache = CACHE / f"kernel-2.{minor}"
    try:
        return [run(cell, minor, kernel_cache) for cell in (oldest, newest)]
    finally:
        shutil.rmtree(kernel_cache, ignore_errors=True)  # another unpacked copy of the release


def run(cell: Cell, minor: int, kernel_cache: Path) -> Outcome:
    """Run the scenarios in a cell, and print how it went."""
    start = time.monotonic()
    command = [cell.python.path, "-S", "-s", str(ROOT / "tests" / "matrix" / "cell.py"), *(["nag"] if cell.nag else [])]
    done = _started(command, cell.folders, JSII_RUNTIME_PACKAGE_CACHE_ROOT=str(kernel_cache))
    report = _report(done.stdout)
    versions = report.get("versions", {"python": cell.python.version, "aws-cdk-lib": f"2.{minor}"})
    names = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    passed = done.returncode == 0 and bool(report.get("scenarios"))
    what = (
        f"{len(report.get('scenarios', []))} scenarios" if passed else f"FAILED: {', '.join(report.get('failed', []))}"
    )
    line = f"{time.monotonic() - start:4.0f} s  {names}: {what}"
    print(line, flush=True)
    return Outcome(line, passed, done.stderr)


def _report(output: str) -> dict[str, Any]:
    last = output.strip().rpartition("\n")[2]
    report: dict[str, Any] = json.loads(last) if last.startswith("{") else {}
    return report


def synthesis_tests(python: Python, minor: int, oldest: bool) -> Outcome:  # noqa: FBT001 - two calls
    """Run the synthesis tests on one of the ends."""
    start = time.monotonic()
    release = oldest_folder(minor) if oldest else newest_folder(minor)
    tests = [python.path, "-S", "-s", "-m", "pytest", "tests/synth", "-q", "-p", "no:cacheprovider", "-k", IN_PROCESSES]
    tests += [f"--ignore=tests/synth/{name}" for name in LEFT_OUT]
    tests += [f"-W{fault}" for fault in FAULTS_OF_OLD_RELEASES]
    done = _started(tests, (release, _pytest_folder()))
    summary = done.stdout.strip().rpartition("\n")[2].strip("= ")
    line = (
        f"{time.monotonic() - start:4.0f} s  synthesis tests, Python {python.version}, aws-cdk-lib 2.{minor}: {summary}"
    )
    print(line, flush=True)
    return Outcome(line, done.returncode == 0, done.stdout + done.stderr)


def _started(command: list[str], folders: tuple[Path, ...], **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {
        **kept,
        "JSII_NODE": str(ROOT / ".venv" / "bin" / "node"),
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        **variables,
        "PYTHONPATH": os.pathsep.join(map(str, (*folders, ROOT))),
    }
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - found here


def newest_folder(minor: int) -> Path:
    """Return the folder of a release with the newest of everything it depends on."""
    return _folder(
        f"2.{minor}-newest", _release(minor), *(f"{name}=={_pinned(name)}" for name in ("jsii", "constructs"))
    )


def oldest_folder(minor: int) -> Path:
    """Return the folder of a release with the oldest of everything that it, its parts and this library allow."""
    newest = newest_folder(minor)
    bounds = {name: [_bound(newest, "aws_cdk_lib", name), _declared(name)] for name in ("jsii", "constructs")}
    oldest = [f"{name}>={max(both, key=_order)}" for name, both in bounds.items()]
    return _folder(f"2.{minor}-oldest", _release(minor), *oldest, *USABLE, "--resolution=lowest")


def _release(minor: int) -> str:
    ends = {_minor(release): release for release in (_declared("aws-cdk-lib"), _pinned("aws-cdk-lib"))}
    return f"aws-cdk-lib=={ends.get(minor, f'2.{minor}.*')}"


def nag_folder(minor: int) -> Path:
    """Return the folder of the newest cdk-nag that works with a release."""
    folders = [_folder(f"cdk-nag-{number}", f"cdk-nag=={number}", "--no-deps") for number in CDK_NAGS]
    return next(folder for folder in folders if _minor(_bound(folder, "cdk_nag", "aws-cdk-lib")) <= minor)


def _pytest_folder() -> Path:
    return _folder(f"pytest-{_pinned('pytest')}", f"pytest=={_pinned('pytest')}")


def _folder(name: str, *arguments: str) -> Path:
    """Install packages into a folder of their own, once, for the oldest Python supported; they are pure Python."""
    folder = CACHE / name
    done = folder / ".installed"
    with _locks.setdefault(name, Lock()):
        if not done.exists() or done.read_text(encoding="utf-8") != " ".join(arguments):
            shutil.rmtree(folder, ignore_errors=True)
            uv = [UV, "pip", "install", "--quiet", "--no-config", "--python", sys.executable, "--python-version=3.10"]
            subprocess.run([*uv, "--target", str(folder), *arguments], check=True)  # noqa: S603 - pinned
            done.write_text(" ".join(arguments), encoding="utf-8")
    return folder


def _bound(folder: Path, package: str, dependency: str) -> str:
    """Return the oldest release of a dependency that an installed package declares."""
    (metadata,) = folder.glob(f"{package}-*.dist-info/METADATA")
    text = metadata.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^Requires-Dist: {dependency}\b.*?>=([0-9.]+)", text, re.MULTILINE)
    return str(found)


def _declared(dependency: str) -> str:
    """Return the oldest release of a dependency that this library declares."""
    found = re.findall(rf'"{dependency}>=([0-9.]+)', PROJECT)
    return found[0] if found else "0"


def _pinned(package: str) -> str:
    """Return the release this repository develops with."""
    (found,) = re.findall(rf"^{package}==(.+)$", CONSTRAINTS, re.MULTILINE)
    return str(found)


def _minor(release: str) -> int:
    return _order(release)[1]


def _order(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def found_pythons() -> list[Python]:
    """Return every supported Python here, oldest first: on the PATH, or installed by pyenv."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = []
    for minor in MINORS:
        candidates = [shutil.which(f"python3.{minor}"), *map(str, sorted(versions.glob(f"3.{minor}.*/bin/python")))]
        if sys.version_info[:2] == (3, minor):
            candidates.insert(0, sys.executable)
        found += [Python(f"3.{minor}", path) for path in candidates if path and _starts(path)][:1]
    return found


def _starts(python: str) -> bool:
    return subprocess.run([python, "-c", "import ssl"], capture_output=True, check=False).returncode == 0  # noqa: S603


if __name__ == "__main__":
    main()
