"""The commands, run with a Python that has nothing installed: a line that says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NOTHING_INSTALLED = (sys.executable, "-S")  # without site-packages


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            ["app.py"],
            "error: aws_cdk is not installed for {python}. In the folder of app.py: {python} -m pip install .",
        ),
        (
            ["-m", "tools.replay", "create"],
            "replay: boto3 is not installed for {python}. `make replay EVENT=create` installs it first.",
        ),
        (
            ["-m", "tools.aws_report", "arn"],
            "aws-report: boto3 is not installed for {python}. `make aws-report DATASET=<ARN>` installs it first.",
        ),
        (
            ["-m", "personalize_local"],
            "personalize_local: boto3 is not installed for {python}. `make serve` installs it first.",
        ),
        (
            ["-m", "personalize_local", "exec", "--", "true"],
            "personalize_local: boto3 is not installed for {python}. `make serve` installs it first.",
        ),
    ],
)
def test_command_says_in_one_line_what_to_do(command: list[str], line: str) -> None:
    done = subprocess.run([*NOTHING_INSTALLED, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == line.format(python=sys.executable) + "\n"


def test_importing_the_local_aws_without_boto3_is_an_import_error_as_usual() -> None:
    command = [*NOTHING_INSTALLED, "-c", "import personalize_local"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: No module named 'boto3'" in done.stderr
