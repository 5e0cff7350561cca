"""The commands of the examples' READMEs, in a copy of the example outside the checkout."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from examples_outside import copied

from examples.movielens.run import upload
from personalize_local import LocalAws, Settings
from tests.pages import Page

if TYPE_CHECKING:
    from pathlib import Path

    from examples.movielens import data

pytestmark = pytest.mark.e2e
SETTINGS = Settings(job_seconds=0.5, resource_seconds=0.0, minimum_interactions=0)
ROWS: dict[str, list[data.Row]] = {
    "Interactions": [("1", "2", "893286700", "rating", "5")],
    "Items": [("2", "Drama|War", "1994")],
    "Users": [("1", "24", "M", "technician")],
}


@pytest.mark.parametrize(("example", "jobs"), [("movielens", 3), ("privacy", 0)])
def test_example_is_deployed_and_destroyed_as_its_readme_says(example: str, jobs: int, tmp_path: Path) -> None:
    with LocalAws(iam=True, settings=SETTINGS) as aws:
        aws.bootstrap()
        upload(aws, ROWS)
        folder, environment = copied(example, tmp_path, aws)
        commands = Page(f"examples/{example}/README.md").commands
        assert len(commands) == 2
        for command in commands:
            done = subprocess.run(
                ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
        found = aws.client("personalize").list_dataset_export_jobs()["datasetExportJobs"]
        assert [job["status"] for job in found] == ["ACTIVE"] * jobs
        left = aws.client("cloudformation").list_stacks()["StackSummaries"]
        assert {stack["StackStatus"] for stack in left if stack["StackName"] != "CDKToolkit"} == {"DELETE_COMPLETE"}
