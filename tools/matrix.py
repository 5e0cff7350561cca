"""Runs the synthesis tests on the lowest aws-cdk-lib with the oldest Python found, and on the newest with the newest.

Each row is an environment of its own under `.cache/matrix` with nothing but the library's runtime dependencies and
pytest in it, so a dependency the library does not declare would be missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "matrix"
MINORS = range(10, 15)  # Python 3.10 to 3.14
# These start processes of their own, in which an old aws-cdk-lib imports for half a minute, or need more than the
# library does; `make test` runs them.
LEFT_OUT = ("test_app.py", "test_benchmarks.py", "test_examples.py", "test_readme.py")
IN_PROCESSES = "not python_caches and not importing_the_library"


class Row(NamedTuple):
    """One combination."""

    python: str
    executable: str
    packages: list[str]

    @property
    def name(self) -> str:
        """What it is called, also on disk."""
        return f"python-{self.python}-{self.packages[0].replace('==', '-')}"


def main() -> None:
    """Run every row; end with 1 when one fails."""
    pins = (ROOT / "requirements" / "constraints.txt").read_text(encoding="utf-8")
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    names = ("aws-cdk-lib", "constructs")
    lowest = [f"{name}=={re.findall(rf'{name}>=([0-9.]+)', declared)[0]}" for name in names]
    newest = [re.findall(rf"^{name}==.+$", pins, re.MULTILINE)[0] for name in names]
    pytest = re.findall(r"^pytest==.+$", pins, re.MULTILINE)[0]
    found = found_pythons()
    print(f"found Python {', '.join(found)}", flush=True)
    (oldest_python, *_), (*_, newest_python) = found.items(), found.items()
    rows = [Row(*oldest_python, [*lowest, pytest]), Row(*newest_python, [*newest, pytest])]
    failed = [row for row in rows if not run(row)]
    sys.exit(1 if failed else 0)


def found_pythons() -> dict[str, str]:
    """Return version and path of every supported Python here, oldest first: on the PATH, or installed by pyenv."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {}
    for minor in MINORS:
        candidates = [shutil.which(f"python3.{minor}"), *map(str, sorted(versions.glob(f"3.{minor}.*/bin/python")))]
        if f"{sys.version_info[0]}.{sys.version_info[1]}" == f"3.{minor}":
            candidates.insert(0, sys.executable)
        working = [path for path in candidates if path and _starts(path)]
        if working:
            found[f"3.{minor}"] = working[0]
    return found


def _starts(python: str) -> bool:
    return subprocess.run([python, "-c", "import venv"], capture_output=True, check=False).returncode == 0  # noqa: S603


def run(row: Row) -> bool:
    """Make the environment of a row when it is missing, run the tests in it, and say how it went."""
    start = time.monotonic()
    home = CACHE / row.name
    python = str(home / "bin" / "python")
    if not (home / ".installed").exists():
        subprocess.run([row.executable, "-m", "venv", "--clear", str(home)], check=True)  # noqa: S603 - found here
        # Compiled now, because an old aws-cdk-lib has escapes that Python warns of, and in tests warnings are errors.
        install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *row.packages]
        subprocess.run(install, check=True)  # noqa: S603 - its own interpreter
        (home / ".installed").touch()
    ignored = [f"--ignore=tests/synth/{name}" for name in LEFT_OUT]
    tests = [python, "-m", "pytest", "tests/synth", "-q", "-p", "no:cacheprovider", "-k", IN_PROCESSES, *ignored]
    environment = {**os.environ, "JSII_NODE": str(ROOT / ".venv" / "bin" / "node")}
    done = subprocess.run(tests, cwd=ROOT, env=environment, check=False)  # noqa: S603 - its own interpreter
    outcome = "passed" if done.returncode == 0 else "FAILED"
    print(f"{outcome} in {time.monotonic() - start:.0f} s: Python {row.python}, {', '.join(row.packages)}", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main()
