"""The commands of the examples' READMEs, in a copy of the example outside the checkout."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from examples_outside import copied

from examples.movielens.run import DATA_BUCKET, upload
from personalize_local import LocalAws, Settings
from tests.pages import Page

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e
SETTINGS = Settings(job_seconds=0.5, resource_seconds=0.0, minimum_interactions=0)
ROWS = {
    "Interactions": [("1", "2", "893286700", "rating", "5")],
    "Items": [("2", "Drama|War", "1994")],
    "Users": [("1", "24", "M", "technician")],
}


def test_movielens_is_deployed_and_destroyed_as_its_readme_says(tmp_path: Path) -> None:
    with LocalAws(iam=True, settings=SETTINGS) as aws:
        aws.bootstrap()
        upload(aws, ROWS)
        folder, environment = copied("movielens", tmp_path, aws)
        for command in Page("examples/movielens/README.md").commands:
            assert DATA_BUCKET in command
            done = subprocess.run(
                ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
        jobs = aws.client("personalize").list_dataset_export_jobs()["datasetExportJobs"]
        assert [job["status"] for job in jobs] == ["ACTIVE"] * 3
