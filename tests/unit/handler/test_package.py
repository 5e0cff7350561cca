"""The folder is a package of its own: in Lambda there is nothing beside it but the standard library and boto3."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

HANDLER = Path(__file__).parents[3] / "cdk_personalize_export" / "handler"
IN_LAMBDA = """
import importlib.abc, json, sys

ALLOWED = {"handler", "boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}


class Lambda(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] not in ALLOWED | sys.stdlib_module_names:
            raise ModuleNotFoundError(name)


before = {name.partition(".")[0] for name in sys.modules}
sys.meta_path.insert(0, Lambda())
sys.path.insert(0, sys.argv[1])
from handler.index import handler

assert callable(handler)
loaded = {name.partition(".")[0] for name in sys.modules} - before
print(json.dumps(sorted(loaded - sys.stdlib_module_names)))
"""


def test_the_folder_alone_loads_with_the_standard_library_and_boto3(tmp_path: Path) -> None:
    shutil.copytree(HANDLER, tmp_path / "handler", ignore=shutil.ignore_patterns("__pycache__"))
    ran = subprocess.run(
        [sys.executable, "-I", "-c", IN_LAMBDA, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    loaded = json.loads(ran.stdout)
    assert "handler" in loaded
    assert "aws_cdk" not in loaded
    assert "cdk_personalize_export" not in loaded


def test_the_folder_holds_modules_and_nothing_else() -> None:
    files = {path.name for path in HANDLER.iterdir() if path.name != "__pycache__"}
    assert files == {path.name for path in HANDLER.glob("*.py")}
