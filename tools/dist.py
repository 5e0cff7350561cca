"""Builds what is published: sdist and wheel of both distributions, checked, and a bill of materials (SBOM) for each.

What is built is the last commit, unpacked elsewhere, with the commit's time in every archive: so it is the same, byte
for byte, from every checkout of that commit with the same Python. The wheel is built from the sdist. The SBOM is
CycloneDX and lists what the distribution needs, at the versions it is tested with: https://cyclonedx.org/specification/
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
# The folder of each distribution, and the group of requirements/ with what it needs.
DISTRIBUTIONS = {".": "library", "packaging/personalize-local": "personalize-local"}


def main() -> None:
    """Build into dist/, which is emptied first; ends with one line when a step fails."""
    try:
        commit = _output("git", "rev-parse", "--short", "HEAD")
        changed = len(_output("git", "status", "--porcelain").splitlines())
    except subprocess.CalledProcessError:
        sys.exit(f"dist: {ROOT} is no git repository, and what is published is a commit: clone the repository.")
    if changed:
        print(f"dist: {changed} changed files are left out: what is built is commit {commit}")
    shutil.rmtree(DIST, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            _build(Path(folder))
        _check()
    except subprocess.CalledProcessError as failed:
        sys.exit(f"dist: `{' '.join(failed.cmd[1:4])} …` failed:\n{failed.stdout}")
    for path in sorted(DIST.iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}")


def _build(folder: Path) -> None:
    archive = folder / "source.tar"
    _output("git", "archive", "--output", str(archive), "HEAD")
    source = folder / "source"
    with tarfile.open(archive) as tar:
        tar.extractall(source, filter="data")
    os.environ["SOURCE_DATE_EPOCH"] = _output("git", "log", "-1", "--format=%ct")
    for project, requirements in DISTRIBUTIONS.items():
        _output(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(DIST), str(source / project))
        (sdist,) = [path for path in DIST.glob("*.tar.gz") if path.name.startswith(_name(source / project))]
        bill = DIST / sdist.name.replace(".tar.gz", ".cdx.json")
        about = ["--pyproject", str(source / project / "pyproject.toml"), "--mc-type", "library"]
        kind = ["--output-reproducible", "--output-format", "JSON", "--output-file", str(bill)]
        needs = str(source / "requirements" / f"{requirements}.txt")
        _output(sys.executable, "-m", "cyclonedx_py", "requirements", *about, *kind, needs)


def _name(project: Path) -> str:
    """The name of a distribution as its files begin with."""
    lines = (project / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    (name,) = [line.split('"')[1] for line in lines if line.startswith("name = ")]
    return name.replace("-", "_")


def _check() -> None:
    wheels = [str(path) for path in DIST.glob("*.whl")]
    sdists = [str(path) for path in DIST.glob("*.tar.gz")]
    _output(sys.executable, "-m", "twine", "check", "--strict", *wheels, *sdists)
    _output(sys.executable, "-m", "check_wheel_contents", *wheels)


def _output(*command: str) -> str:
    done = subprocess.run(  # noqa: S603 - commands of this file
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
