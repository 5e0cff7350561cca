"""What is published, built once for all tests of it: from two checkouts of the working tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".cache" / "release" / "bin" / "python"  # `make slow` and `make dist` install it


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def dist(commit: str, checkout: Path, umask: int) -> Path:
    """Build in a checkout of a commit; returns the folder of what was built."""
    git("clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(checkout))
    git("-C", str(checkout), "checkout", "--quiet", commit)
    command = [str(PYTHON), "-m", "tools.dist"]
    done = subprocess.run(command, cwd=checkout, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout / "dist"


@pytest.fixture(scope="session")
def commit() -> str:
    """Return a commit of what is here, changes included."""
    return git("stash", "create") or git("rev-parse", "HEAD")


@pytest.fixture(scope="session")
def built(commit: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of both distributions."""
    return dist(commit, tmp_path_factory.mktemp("checkout") / "one", 0o022)


@pytest.fixture(scope="session")
def distributions(commit: str, built: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folders of both distributions, built in two checkouts that differ in what a checkout may differ in."""
    return built, dist(commit, tmp_path_factory.mktemp("checkout") / "deeper" / "with a space", 0o077)


@pytest.fixture(scope="session")
def wheels(built: Path) -> dict[str, Path]:
    """Return the wheel of each distribution, by the name of its package."""
    return {path.name.partition("-")[0]: path for path in built.glob("*.whl")}
