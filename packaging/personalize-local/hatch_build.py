"""Takes the package from the repository's root, where the sources of both distributions are.

In an sdist the package is beside this file, as usual. A hook of hatchling:
https://hatch.pypa.io/latest/plugins/build-hook/custom/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "personalize_local"


class FromTheRepository(BuildHookInterface):  # type: ignore[type-arg]  # of a configuration that is not used
    """Adds the package to a wheel or an sdist that is built inside the repository."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Name the folder to include, unless it is here."""
        if not Path(self.root, PACKAGE).exists():
            build_data["force_include"][str(Path(self.root).parents[1] / PACKAGE)] = PACKAGE
