"""The wheel, as a user gets it: complete, small, and working without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
APP = """
from aws_cdk import App, Stack
from cdk_personalize_export import DatasetExport

app = App(outdir="cdk.out")
dataset = "arn:aws:personalize:us-east-1:123456789012:dataset/shop/INTERACTIONS"
DatasetExport(Stack(app, "Backup"), "Interactions", dataset=dataset)
app.synth()
"""


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def wheel(wheels: dict[str, Path]) -> Path:
    return wheels["cdk_personalize_export"]


def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = Parser().parsestr(archive.read(next(n for n in names if n.endswith("METADATA"))).decode())
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "cdk_personalize_export").rglob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == {*sources, "cdk_personalize_export/py.typed"}
    assert any(name.endswith("/LICENSE") for name in names)
    required = {text.partition(">")[0].partition("<")[0] for text in metadata.get_all("Requires-Dist", [])}
    assert required == {"aws-cdk-lib", "constructs"}
    assert metadata["Requires-Python"] == ">=3.10"


def test_an_app_works_with_the_installed_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    installed, project = tmp_path / "installed", tmp_path / "project"
    project.mkdir()
    pip("install", "--no-deps", "--quiet", "--target", str(installed), str(wheel))
    environment = {**os.environ, "PYTHONPATH": str(installed), "CDK_VALIDATION": "false"}
    ran = subprocess.run(
        [sys.executable, "-c", APP], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    output = project / "cdk.out"
    template = json.loads((output / "Backup.template.json").read_text(encoding="utf-8"))
    assert len(template["Resources"]) == 9
    (asset,) = output.glob("asset.*")
    handler = ROOT / "cdk_personalize_export/handler"
    assert [path.name for path in asset.iterdir()] == ["handler"], "a package, which is what its imports need"
    assert {path.name for path in (asset / "handler").iterdir()} == {path.name for path in handler.glob("*.py")}
