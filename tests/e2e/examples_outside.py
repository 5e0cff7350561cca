"""An example as a user has it: a copy of its folder, the library, and nothing else of the checkout."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from personalize_local import LocalAws

ROOT = Path(__file__).resolve().parents[2]


def copied(name: str, folder: Path, aws: LocalAws) -> tuple[Path, dict[str, str]]:
    """Copy an example; return its folder, and an environment with the library, the CDK CLI and a local AWS."""
    library = folder / "library"
    library.mkdir()
    (library / "cdk_personalize_export").symlink_to(ROOT / "cdk_personalize_export")
    shutil.copytree(ROOT / "examples" / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    environment = aws.environment()
    environment |= {
        "PATH": os.pathsep.join(
            [str(Path(sys.executable).parent), environment["PATH"], str(ROOT / "node_modules" / ".bin")]
        ),
        "PYTHONPATH": str(library),
        "CDK_REQUIRE_APPROVAL": "never",  # nobody is there to be asked
        "CDK_FORCE": "true",
    }
    return folder / name, environment
