"""What is published, built once for all tests of it: from two checkouts of the working tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".cache" / "release" / "bin" / "python"  # `make slow` and `make dist` install it


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def dist(checkout: Path, umask: int) -> Path:
    """Build in a checkout of what is here, changes included; returns the folder of what was built."""
    git("clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(checkout))
    git("-C", str(checkout), "checkout", "--quiet", git("stash", "create") or git("rev-parse", "HEAD"))
    command = [str(PYTHON), "-m", "tools.dist"]
    done = subprocess.run(command, cwd=checkout, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout / "dist"


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("checkouts")
    return dist(folder / "one", 0o022), dist(folder / "deeper" / "with a space", 0o077)


@pytest.fixture(scope="session")
def wheels(distributions: tuple[Path, Path]) -> dict[str, Path]:
    """Return the wheel of each distribution, by the name of its package."""
    return {path.name.partition("-")[0]: path for path in distributions[0].glob("*.whl")}
