"""`make deploy-local`, as a newcomer runs it: what its last lines say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
# Of the make that runs the tests: another one would take itself for a part of it, and say which folder it enters.
OUTSIDE_MAKE = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}


NO_FOLDER = "/dev/null"  # where nobody can write, not even root
LONGEST_LINE = 80


def deploy_local(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "deploy-local", *arguments]
    env = {**OUTSIDE_MAKE, **environment}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False)


def test_demonstration_needs_no_home_and_ends_with_what_was_deployed_exported_and_checked_and_what_to_do_next() -> None:
    done = deploy_local(HOME=NO_FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, last = done.stdout.rpartition("\nDeployed  stack MovieLens, ")
    assert "Exported  100,050 interactions, 1,682 items and 943 users\n          by 4 jobs" in last
    assert "Checked   every row and column above: all there, each row once\n" in last
    assert last.rstrip().endswith('see "Install and export" in README.md')
    ours = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert max(map(len, [*ours, *last.splitlines()])) <= LONGEST_LINE


def test_failing_demonstration_says_what_became_of_the_stack_and_that_it_was_asked_for() -> None:
    done = deploy_local("FAIL=1")
    assert done.returncode == 2, done.stdout + done.stderr  # of make, for the 1 of the demonstration
    assert "The role lost access to the bucket while the export was running" in " ".join(done.stderr.split())
    assert "The deployment failed, as FAIL=1 asked; the stack is ROLLBACK_COMPLETE\n" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
