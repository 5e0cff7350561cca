"""The commands of the Makefile, with a program that waits in place of Python: paths with spaces, Ctrl-C, leftovers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.step import STOPPED

ROOT = Path(__file__).resolve().parents[3]
STEP = [sys.executable, str(ROOT / "tools" / "step.py")]
IN_A_TERMINAL = [sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"]
# Of the make that runs the tests: another one would take itself for a part of it, and say which folder it enters.
OUTSIDE_MAKE = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
# Python, as far as make knows: says what runs, starts something, and waits until it is ended.
WAITS = """#!/bin/sh
touch "$TMPDIR/left behind"
sleep 300 &
echo "running $* as $$ with $! in $TMPDIR"
sleep 301
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a checkout in a path with a space, in which everything seems to be installed."""
    folder = tmp_path / "my project"
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / "node_modules").mkdir()
    for name in ("Makefile", "package.json", "package-lock.json"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("requirements", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    python = folder / ".venv" / "bin" / "python"
    python.write_text(WAITS, encoding="utf-8")
    python.chmod(0o755)
    (folder / "python").symlink_to(sys.executable)  # which has a space in its path, too
    installed = [".venv/.created", ".venv/.local", ".venv/.test", "node_modules/.installed"]
    needed = ["package.json", "package-lock.json", *(str(path) for path in folder.glob("requirements/*"))]
    for age, name in enumerate([*reversed(installed), *needed], start=1):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age, time.time() - age))
    return folder


def lives(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("target", "runs"), [("deploy-local", "-m examples.movielens.run"), ("test", "-m pytest -n 2 -m not e2e")]
)
def test_ctrl_c_ends_make_with_one_line_and_leaves_nothing(project: Path, target: str, runs: str) -> None:
    command = [*IN_A_TERMINAL, "make", target, f"PYTHON={project / 'python'}"]
    with subprocess.Popen(
        command, cwd=project, env=OUTSIDE_MAKE, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as terminal:
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        try:
            begun = terminal.stdout.readline().decode()
            found = re.fullmatch(r"running (.*) as (\d+) with (\d+) in (\S+)\r\n", begun)
            assert found, begun
            assert found[1].startswith(runs)
            terminal.stdin.write(b"\x03")
            terminal.stdin.flush()
            ended = terminal.stdout.read().decode()
            assert terminal.wait(30) == signal.SIGINT
        finally:
            terminal.kill()  # a terminal whose command has failed would wait for more to type
    assert ended == f"^C\r\n{STOPPED}\r\n"
    assert not any(lives(int(pid)) for pid in found.group(2, 3))
    assert not Path(found[4]).exists()


def make(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**OUTSIDE_MAKE, **environment}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=False, timeout=60)


def test_a_python_that_is_not_there_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = make(tmp_path, ".venv/.created", "PYTHON=python3.99")
    says = "there is no python3.99: install Python 3.10 or newer, or name one with `make PYTHON=/path/to/python3`"
    assert done.returncode == 2
    assert done.stderr.splitlines()[:-1] == [says], "the last line is make's own"


def test_a_python_that_is_too_old_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    old = tmp_path / "old python"
    run = "import sys; sys.version, sys.version_info = '3.9.1 (main)', (3, 9, 1); exec(sys.argv[2], {'sys': sys})"
    old.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{run}" "$@"\n', encoding="utf-8")
    old.chmod(0o755)
    done = make(tmp_path, ".venv/.created", f"PYTHON={old}")
    says = "Python 3.9.1 is too old: install 3.10 or newer, or name one with `make PYTHON=/path/to/python3`"
    assert done.returncode == 2
    assert done.stderr.splitlines()[:-1] == [says]


PACKAGES = "not installed: requirements/test.txt. Is there no network, set PIP_INDEX_URL or HTTPS_PROXY"
NODE_PACKAGES = (
    "not installed: the packages of {project}/package-lock.json. "
    "Is there no network, set npm_config_registry or HTTPS_PROXY"
)


@pytest.mark.parametrize(("target", "says"), [(".venv/.test", PACKAGES), ("node_modules/.installed", NODE_PACKAGES)])
def test_an_installation_that_fails_ends_with_a_line_of_what_to_do(project: Path, target: str, says: str) -> None:
    (project / target).unlink()
    for name in ("python", "node"):
        (project / ".venv" / "bin" / name).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (project / ".venv" / "bin" / name).chmod(0o755)
    done = make(project, target, f"PYTHON={project / 'python'}")
    assert done.returncode == 2
    line = f"{says.format(project=project)}; the same command goes on where this one stopped"
    assert done.stderr.splitlines()[:-1] == [line], "the last line is make's own"
    assert not (project / target).exists()


@pytest.mark.parametrize(("home", "kept"), [("/dev/null/home", "{project}/.cache/home/npm"), ("{project}", "")])
def test_a_home_that_cannot_be_written_is_not_written(project: Path, home: str, kept: str) -> None:
    python = project / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "cache: $npm_config_cache"\n', encoding="utf-8")
    done = make(project, "test", f"PYTHON={project / 'python'}", HOME=home.format(project=project), npm_config_cache="")
    assert (done.returncode, done.stdout) == (0, f"cache: {kept.format(project=project)}\n"), done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_step_passes_the_end_on_and_says_so(number: signal.Signals, status: int) -> None:
    command = [*STEP, "sh", "-c", "sleep 300 & echo $$ $!; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as step:
        assert step.stdout is not None
        pids = [int(pid) for pid in step.stdout.readline().split()]
        step.send_signal(number)
        _, said = step.communicate(timeout=30)
    assert (step.returncode, said) == (status, f"{STOPPED}\n")
    assert not any(map(lives, pids))


def test_step_lets_a_command_clean_up_before_it_ends_it() -> None:
    command = [*STEP, "sh", "-c", "trap 'echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.05; done"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as step:
        assert step.stdout is not None
        assert step.stdout.readline() == "ready\n"
        step.terminate()
        assert step.communicate(timeout=30)[0] == "cleaned up\n"


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_step_has_the_status_of_its_command(script: str, status: int) -> None:
    done = subprocess.run([*STEP, "sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@pytest.mark.parametrize(("status", "says"), [(0, ""), (3, "what to do\n")])
def test_step_ends_with_a_line_of_what_to_do_when_its_command_fails(status: int, says: str) -> None:
    command = [*STEP, "--or", "what to do", "sh", "-c", f"exit {status}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, says)


@pytest.mark.parametrize(("status", "stays"), [(0, False), (1, True)])
def test_temporary_files_stay_only_when_the_command_fails(status: int, stays: bool) -> None:  # noqa: FBT001 - a parameter
    script = f'touch "$TMPDIR/server.log"; echo "$TMPDIR"; exit {status}'
    done = subprocess.run([*STEP, "sh", "-c", script], capture_output=True, text=True, check=False)
    folder = Path(done.stdout.strip())
    assert folder.exists() == stays
    shutil.rmtree(folder, ignore_errors=True)
