"""Runs the synthesis tests on the lowest and the newest aws-cdk-lib, with the oldest and the newest Python found here.

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

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "matrix"
OLDEST, NEWEST = (3, 10), (3, 14)
# What a release before the newest cannot do, or writes differently: everything else holds on every row.
ONLY_NEWEST = (
    "snapshot",  # the text of a template is the CDK's
    "jsii_calls",
)


def main() -> None:
    """Run every row; end with 1 when one fails."""
    pins = (ROOT / "requirements" / "constraints.txt").read_text(encoding="utf-8")
    newest_cdk = re.findall(r"^aws-cdk-lib==(.+)$", pins, re.MULTILINE)[0]
    pytest = re.findall(r"^pytest==(.+)$", pins, re.MULTILINE)[0]
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lowest_cdk = re.findall(r'"aws-cdk-lib>=([\d.]+)', declared)[0]
    pythons = found_pythons()
    rows = [(pythons[0], lowest_cdk), (pythons[-1], newest_cdk)]
    print(f"Python {', '.join(version for version, _ in pythons)} found; aws-cdk-lib {lowest_cdk} and {newest_cdk}")
    failed = [row for row in rows if not run(*row, pytest=pytest)]
    sys.exit(1 if failed else 0)


def found_pythons() -> list[tuple[str, str]]:
    """Return version and path of every supported Python here, oldest first: on the PATH, or installed by pyenv."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        version = f"3.{minor}"
        home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        for candidate in (shutil.which(f"python{version}"), *map(str, sorted(home.glob(f"{version}.*/bin/python")))):
            if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:  # noqa: S603 - a Python of this machine
                found.setdefault(version, candidate)
    return sorted(found.items(), key=lambda item: int(item[0].partition(".")[2]))


def run(python: tuple[str, str], cdk: str, *, pytest: str) -> bool:
    """Make the environment of a row when it is missing, run the tests in it, and say how it went."""
    version, executable = python
    start = time.monotonic()
    home = CACHE / f"python{version}-cdk{cdk}"
    interpreter = home / "bin" / "python"
    if not (home / ".installed").exists():
        subprocess.run([executable, "-m", "venv", "--clear", str(home)], check=True)  # noqa: S603 - as above
        wanted = [f"aws-cdk-lib=={cdk}", "constructs>=10.0.0,<11", f"pytest=={pytest}"]
        install = [str(interpreter), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *wanted]
        subprocess.run(install, check=True)  # noqa: S603 - its own interpreter
        (home / ".installed").touch()
    tests = [str(interpreter), "-m", "pytest", "tests/synth", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: S603 - its own interpreter
        [*tests, "-k", " and ".join(f"not {name}" for name in ONLY_NEWEST)], cwd=ROOT, check=False
    )
    outcome = "passed" if done.returncode == 0 else "FAILED"
    print(f"{outcome}: Python {version}, aws-cdk-lib {cdk}, {time.monotonic() - start:.0f} s", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main()
