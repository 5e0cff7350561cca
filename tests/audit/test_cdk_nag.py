"""cdk-nag's five packs on what users deploy: nothing but what only the user can decide, and each with its option."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.audit.conftest import PACKS, Audited, audit, careless

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.audit
ROOT = Path(__file__).resolve().parents[2]

# Each is for the user to decide, with an option the README names.
FUNCTION = {"CloudWatchLogGroupEncrypted", "LambdaConcurrency", "LambdaDLQ", "LambdaInsideVPC"}
BUCKET = {"S3BucketLoggingEnabled", "S3BucketReplicationEnabled", "S3DefaultEncryptionKMS"}
NOT_ASKED_BY_PCI = {"LambdaConcurrency", "LambdaDLQ"}
DEFAULT = {
    "AwsSolutions": {"S1"},
    "Serverless": {"LambdaDLQ", "LambdaTracing"},
    "HIPAA.Security": FUNCTION | BUCKET,
    "NIST.800.53.R5": FUNCTION | BUCKET,
    "PCI.DSS.321": FUNCTION - NOT_ASKED_BY_PCI | BUCKET,
}
FINDINGS: dict[str, dict[str, set[str]]] = {
    "default": DEFAULT,
    "group": DEFAULT,
    "nightly": DEFAULT,
    "tables": DEFAULT,
    "own bucket and key": {
        "AwsSolutions": set(),
        "Serverless": {"LambdaDLQ", "LambdaTracing"},
        "HIPAA.Security": FUNCTION | {"S3BucketReplicationEnabled"},
        "NIST.800.53.R5": FUNCTION | {"S3BucketReplicationEnabled"},
        "PCI.DSS.321": FUNCTION - NOT_ASKED_BY_PCI | {"S3BucketReplicationEnabled"},
    },
    "hardened": {pack: set() for pack in PACKS},
}


@pytest.mark.parametrize(("stack", "pack"), [(stack, pack) for stack, packs in FINDINGS.items() for pack in packs])
def test_pack_finds_only_what_an_option_decides(audited: Callable[[str], Audited], stack: str, pack: str) -> None:
    assert audited(stack).findings(pack) == FINDINGS[stack][pack]


@pytest.mark.parametrize("pack", PACKS)
def test_pack_would_find_a_careless_stack(careless_stack: Audited, pack: str) -> None:
    assert len(careless_stack.findings(pack)) >= 2


def test_the_hardened_example_acknowledges_nothing_by_itself() -> None:
    (source,) = (ROOT / "examples" / "hardened").glob("*.py")
    text = source.read_text(encoding="utf-8")
    assert "acknowledge" not in text
    assert "NagSuppressions" not in text
    assert "cdk_nag" not in text


@pytest.fixture(scope="module")
def careless_stack(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return audit("careless", careless, tmp_path_factory.mktemp("careless"))
