"""The distribution `personalize-local`, as a user gets it: in an empty environment, outside the checkout."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.local_page import blocks

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION_OF = {"avro": "avro", "boto3": "boto3", "botocore": "boto3", "hypercorn": "hypercorn"}
SEED = """
import json, time, boto3
personalize = boto3.client("personalize")
fields = [{"name": name, "type": kind} for name, kind in
          (("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long"))]
schema = {"type": "record", "name": "Interactions", "namespace": "com.amazonaws.personalize.schema",
          "fields": fields, "version": "1.0"}
schema_arn = personalize.create_schema(name="shop", schema=json.dumps(schema))["schemaArn"]
group = personalize.create_dataset_group(name="shop")["datasetGroupArn"]
while personalize.describe_dataset_group(datasetGroupArn=group)["datasetGroup"]["status"] != "ACTIVE":
    time.sleep(0.1)
dataset = personalize.create_dataset(
    name="shop", datasetGroupArn=group, datasetType="Interactions", schemaArn=schema_arn)["datasetArn"]
while personalize.describe_dataset(datasetArn=dataset)["dataset"]["status"] != "ACTIVE":
    time.sleep(0.1)
"""
AFTER = """
import boto3
(job,) = boto3.client("personalize").list_dataset_export_jobs()["datasetExportJobs"]
print("exported:", job["status"])
"""
QUERY = """
import time, boto3
boto3.client("s3").create_bucket(Bucket="results")
athena = boto3.client("athena")
query = athena.start_query_execution(QueryString="SELECT 1", ResultConfiguration={"OutputLocation": "s3://results/"})
status = {"State": "QUEUED"}
while status["State"] not in ("SUCCEEDED", "FAILED"):
    time.sleep(0.1)
    status = athena.get_query_execution(QueryExecutionId=query["QueryExecutionId"])["QueryExecution"]["Status"]
print(status["State"], status["StateChangeReason"])
"""


class Environment(NamedTuple):
    """An environment with both wheels in it, and a folder to work in."""

    programs: Path
    folder: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        kept = ("HOME", "LANG", "PATH", "TMPDIR")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        path = os.pathsep.join([str(self.programs), str(ROOT / "node_modules/.bin"), environment["PATH"]])
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**environment, "PATH": path, "PERSONALIZE_LOCAL_JOB_SECONDS": "0.5"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture(scope="module")
def environment(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    place = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
    python = place / "venv/bin/python"
    local, library = f"{wheels['personalize_local']}[cdk]", str(wheels["cdk_personalize_export"])
    install = [str(python), "-m", "pip", "install", "-qq", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*install, local, library, "pytest"], check=True)
    work = place / "work"
    work.mkdir()
    return Environment(place / "venv/bin", work)


def test_the_wheel_holds_the_local_aws_and_needs_what_it_imports(wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels["personalize_local"]) as archive:
        names = set(archive.namelist())
        metadata = Parser().parsestr(archive.read(next(n for n in names if n.endswith("METADATA"))).decode())
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "personalize_local").rglob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == sources
    needed = [text for text in metadata.get_all("Requires-Dist", []) if not re.search("extra == .cdk.", text)]
    required = {text.partition("==")[0] for text in needed}  # what queries of Athena are run with is an extra
    assert required == {*map(_distribution, _imported()), "ministack", "tzdata"} - {"pytest"}


def _imported() -> set[str]:
    """The modules of others that the local AWS imports, but for those that only its types name."""
    found: set[str] = set()
    for path in (ROOT / "personalize_local").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                node.body = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"personalize_local"}


def _distribution(module: str) -> str:
    return DISTRIBUTION_OF.get(module, module)


def test_the_example_of_the_readme_is_deployed_by_who_only_has_the_wheels(environment: Environment) -> None:
    (example,) = re.findall(r"```python\n(from aws_cdk import App, Stack\n.*?)```", _readme(), re.DOTALL)[:1]
    app = example.replace("123456789012", "000000000000")
    for name, text in {"app.py": app, "seed.py": SEED, "after.py": AFTER}.items():
        (environment.folder / name).write_text(text, encoding="utf-8")
    deploy = "cdk deploy --app 'python app.py' --require-approval never"
    script = f"python seed.py && {deploy} && python after.py"
    result = environment.run("personalize-local", "exec", "--", "sh", "-c", script)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("exported: ACTIVE\n")


def _readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_fixture_is_there_without_an_import(environment: Environment) -> None:
    (example,) = blocks("In pytest", "python")
    (environment.folder / "test_it.py").write_text(example, encoding="utf-8")
    result = environment.run("python", "-m", "pytest", "-q", "test_it.py")
    assert "1 passed" in result.stdout, result.stdout + result.stderr


def test_query_of_athena_says_what_to_install_where_nothing_can_run_it(environment: Environment) -> None:
    result = environment.run("personalize-local", "exec", "--", "python", "-c", QUERY)
    needed = "The local Athena needs DuckDB and SQLGlot: pip install 'personalize-local[athena]'"
    assert result.stdout == f"FAILED {needed}\n", result.stderr


def test_the_local_aws_needs_nothing_of_the_library(environment: Environment) -> None:
    script = "import sys, personalize_local; print([name for name in sys.modules if 'cdk' in name])"
    assert environment.run("python", "-c", script).stdout == "[]\n"
    listed = json.loads(environment.run("python", "-m", "pip", "list", "--format=json").stdout)
    assert {"personalize-local", "cdk-personalize-export"} <= {item["name"] for item in listed}
