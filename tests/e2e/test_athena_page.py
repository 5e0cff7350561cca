"""The commands of examples/athena/README.md, as printed, in a copy of the example: deploy, query, destroy."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from examples_outside import copied
from reader import AWS_CLI
from shop import INTERACTIONS, make_shop

from tests.pages import Page

if TYPE_CHECKING:
    from pathlib import Path

    from account import Account

pytestmark = pytest.mark.e2e


def test_example_is_deployed_queried_and_destroyed_as_its_readme_says(account: Account, tmp_path: Path) -> None:
    assert (AWS_CLI / "aws").exists(), "the AWS CLI is missing: `make e2e` installs it"
    make_shop(account, tmp_path)
    folder, environment = copied("athena", tmp_path, account.aws)
    environment["PATH"] = os.pathsep.join([environment["PATH"], str(AWS_CLI)])
    get_schemas, deploy, ask, destroy = [
        subprocess.run(
            ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        for command in Page("examples/athena/README.md").commands
    ]
    for done in (get_schemas, deploy, ask, destroy):
        assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in (folder / "schemas").iterdir()) == [
        "interactions.json",
        "items.json",
        "users.json",
    ]
    _, newest, _, day = ask.stdout.splitlines()
    assert newest == str(len(INTERACTIONS))
    assert day.split("\t")[1] == newest
    stacks = account.aws.client("cloudformation").list_stacks()["StackSummaries"]
    assert {s["StackStatus"] for s in stacks if s["StackName"] == "Athena"} == {"DELETE_COMPLETE"}
