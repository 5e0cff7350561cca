"""The page of the local AWS says what the code does, and its examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from personalize_local.extension.cloudformation import KINDS
from personalize_local.service import ApiError, Caller, Fault, PersonalizeService, Settings
from personalize_local.service.model import operations
from personalize_local.service.settings import JOB_OUTCOME
from tests.local_page import ROOT, blocks, section, table

if TYPE_CHECKING:
    from pathlib import Path

CALLER = Caller("000000000000", "us-east-1")


class NoObjects:
    """An object store that nobody asks."""


def is_answered(service: PersonalizeService, operation: str) -> bool:
    """Tell whether an operation is in the local Personalize; a call without parameters may well be refused."""
    try:
        service.call(operation, {}, CALLER)
    except ApiError as error:
        return error.code != "UnknownOperationException"
    return True


def test_page_names_every_operation_that_answers_and_no_other() -> None:
    service = PersonalizeService(Settings(), NoObjects())  # type: ignore[arg-type] # it stays untouched
    answered = {name for name in operations() if is_answered(service, name)}
    named = [name for row in table("Operations") for name in re.findall(r"`(\w+)`", row[0])]
    assert len(named) == len(set(named))
    assert set(named) == answered


def test_page_names_every_cloudformation_type() -> None:
    assert set(re.findall(r"`(AWS::Personalize::\w+)`", section("Operations"))) == {kind.type for kind in KINDS}


def test_page_names_every_setting_with_its_default() -> None:
    named = {row[0].strip("`"): row[1].strip("`") for row in table("Settings")}
    assert named == {field.name: str(field.default) for field in fields(Settings)}


def test_fault_of_the_page_is_one() -> None:
    (command,) = blocks("Settings", "sh")
    done = subprocess.run(
        ["sh", "-c", f"{command} env"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    name, _, value = next(line for line in done.stdout.splitlines() if "FAULTS" in line).partition("=")
    (fault,) = Settings.from_environment({name: value}).faults
    assert fault == Fault("Job", match="night", message="Internal error", after=1)
    named = re.search(r"Its fields are (.*?);", section("Settings"))
    assert named
    words = [word for word in re.findall(r"`(\w+)`", named[1]) if word != JOB_OUTCOME]
    assert words == [field.name for field in fields(Fault)]


def test_example_in_python_runs() -> None:
    (program,) = blocks("In Python", "python")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_example_of_the_fixture_passes(tmp_path: Path) -> None:
    (program,) = blocks("In pytest", "python")
    assert len(program.splitlines()) == 5
    (tmp_path / "test_it.py").write_text(program, encoding="utf-8")
    plugin = ["-p", "personalize_local.pytest_plugin", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), *plugin, "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("command", ["serve", "exec"])
def test_options_of_the_page_are_those_of_the_command(command: str) -> None:
    helped = [sys.executable, "-m", "personalize_local", command, "--help"]
    text = subprocess.run(helped, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    takes = {"serve": {"--port", "--no-iam"}, "exec": {"--no-iam"}}[command]
    assert set(re.findall(r"--[a-z]+(?:-[a-z]+)*", text)) - {"--help"} == takes
    assert takes <= set(re.findall(r"`(--[a-z-]+)`", section("Install")))
