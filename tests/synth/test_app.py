"""The deployable app, run as the CDK command line runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
MOVIES = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
ITEMS = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/ITEMS"


def run(
    outdir: Path, context: Mapping[str, object], *, validation: bool = False, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    variables = {
        **os.environ,
        "CDK_CONTEXT_JSON": json.dumps({**flags, **context}),
        "CDK_OUTDIR": str(outdir),
        "CDK_VALIDATION": str(validation).lower(),
        **(environment or {}),
    }
    return subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )


def template(outdir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((outdir / "PersonalizeExport.template.json").read_text())
    return found


def test_two_datasets_share_everything_and_pass_cloudformation_validation(tmp_path: Path) -> None:
    done = run(tmp_path, {"dataset": f"{MOVIES}, {ITEMS}"}, validation=True)
    assert done.returncode == 0, done.stderr
    resources = template(tmp_path)["Resources"]
    assert len([r for r in resources.values() if r["Type"] != "AWS::CDK::Metadata"]) == 10
    exports = [r["Properties"] for r in resources.values() if r["Type"] == "Custom::PersonalizeDatasetExport"]
    assert [e["DatasetArn"] for e in exports] == [MOVIES, ITEMS]
    assert [e["JobNamePrefix"] for e in exports] == [
        "PersonalizeExport-d989e8-Interactions-movies",
        "PersonalizeExport-d989e8-Items-movies",
    ]


def test_job_arn_output_path_and_status_are_printed_for_each_dataset(tmp_path: Path) -> None:
    assert run(tmp_path, {"dataset": f"{MOVIES},{ITEMS}"}).returncode == 0
    outputs = template(tmp_path)["Outputs"].values()
    attributes = [output["Value"]["Fn::GetAtt"][1] for output in outputs if "Fn::GetAtt" in output["Value"]]
    assert attributes == ["DatasetExportJobArn", "OutputPath", "Status"] * 2


def test_context_reaches_the_export(tmp_path: Path) -> None:
    context = {
        "dataset": MOVIES,
        "ingestion_mode": "BULK",
        "bucket": "data-lake",
        "prefix": "exports",
        "generation": "2",
    }
    done = run(tmp_path, context)
    assert done.returncode == 0, done.stderr
    resources = template(tmp_path)["Resources"].values()
    (export,) = [r["Properties"] for r in resources if r["Type"] == "Custom::PersonalizeDatasetExport"]
    assert export["IngestionMode"] == "BULK"
    assert (export["Bucket"], export["Prefix"]) == ("data-lake", "exports/")
    assert export["Generation"] == "2"
    assert "AWS::S3::Bucket" not in [r["Type"] for r in resources]


@pytest.mark.parametrize("given", ["true", "True", True])
def test_manifests_are_written_and_printed_on_demand(tmp_path: Path, given: object) -> None:
    done = run(tmp_path, {"dataset": MOVIES, "manifest": given})
    assert done.returncode == 0, done.stderr
    values = [output["Value"] for output in template(tmp_path)["Outputs"].values()]
    attributes = [value["Fn::GetAtt"][1] for value in values if "Fn::GetAtt" in value]
    assert attributes == ["DatasetExportJobArn", "OutputPath", "Status", "ManifestPath"]
    latest = "/personalize/hive/PersonalizeExport-d989e8-Interactions-movies/latest/"
    assert [value["Fn::Join"][1][-1] for value in values if "Fn::Join" in value] == [latest]


NOTHING_GIVEN = (
    "no dataset given. Pass its ARN, or several separated by commas: cdk deploy -c "
    "dataset=arn:aws:personalize:<region>:<account>:dataset/<dataset group>/<INTERACTIONS|ITEMS|USERS>"
)
GIVEN_TWICE = f"dataset '{MOVIES}' is given 2 times. Name each dataset once."
UNKNOWN_MODE = (
    "ingestion_mode 'SOME' is unknown. Allowed are ALL, PUT, BULK; leave it out for ALL, which exports everything."
)
NO_DATASET = (
    "dataset 'movies' is not the ARN of a dataset. It must read arn:<partition>:personalize:<region>:<account>:dataset/"
    "<dataset group>/<INTERACTIONS|ITEMS|USERS>, with at most 256 characters; "
    "`aws personalize list-datasets` prints it."
)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({}, NOTHING_GIVEN),
        ({"dataset": " , "}, NOTHING_GIVEN),
        ({"dataset": f"{MOVIES},{MOVIES}"}, GIVEN_TWICE),
        ({"dataset": MOVIES, "ingestion_mode": "SOME"}, UNKNOWN_MODE),
        ({"dataset": "movies"}, NO_DATASET),
        (
            {"dataset": MOVIES, "manifest": "yes"},
            "manifest is 'yes'. Allowed are true and false; leave it out for false.",
        ),
    ],
)
def test_wrong_context_is_one_line_without_a_stack_trace(tmp_path: Path, context: dict[str, str], message: str) -> None:
    done = run(tmp_path, context)
    assert done.returncode == 1
    assert done.stderr == f"error: {message}\n"


def test_bucket_name_the_cdk_refuses_is_one_line_too(tmp_path: Path) -> None:
    done = run(tmp_path, {"dataset": MOVIES, "bucket": "No Bucket"})
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Invalid S3 bucket name" in done.stderr
    assert done.stderr.count("\n") == 1


def test_dataset_of_another_region_than_the_one_deployed_to(tmp_path: Path) -> None:
    there = {"CDK_DEFAULT_ACCOUNT": "123456789012", "CDK_DEFAULT_REGION": "eu-west-1"}
    done = run(tmp_path, {"dataset": MOVIES}, environment=there)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: dataset '{MOVIES}' is in Region us-east-1, but stack 'PersonalizeExport' deploys to Region eu-west-1."
    )


def test_home_that_cannot_be_written_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    done = run(tmp_path / "cdk.out", {"dataset": MOVIES}, environment={"HOME": "/dev/null/home"})
    assert done.returncode == 1
    assert done.stderr.startswith("error: Cannot use the jsii package cache in /dev/null/home/")
    assert "set JSII_RUNTIME_PACKAGE_CACHE_ROOT to a different directory" in done.stderr
    assert done.stderr.count("\n") == 1


def test_node_that_is_not_installed_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    done = run(tmp_path / "cdk.out", {"dataset": MOVIES}, environment={"PATH": str(tmp_path), "JSII_NODE": "node"})
    assert done.returncode == 1
    assert done.stderr == (
        "error: node, which aws_cdk runs on, is not found: install Node.js 22 or newer, and put it on the PATH.\n"
    )
