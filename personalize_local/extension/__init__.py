"""Amazon Personalize inside ministack: its APIs, IAM, CloudFormation types, and what a real deployment needs mended.

ministack (https://pypi.org/project/ministack/) has no plug-in interface, so its registries are filled and some of its
functions wrapped before it serves. Everything that touches it goes through `patches`, which pins the release.
"""

from personalize_local.extension.install import install
from personalize_local.extension.patches import IncompatibleMinistackError, check

__all__ = ["IncompatibleMinistackError", "check", "install"]
