"""cdk-nag's five packs on what users deploy: nothing but what only the user can decide, and each with its option."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.audit.conftest import Audited

pytestmark = pytest.mark.audit

FUNCTION = {"CloudWatchLogGroupEncrypted", "LambdaConcurrency", "LambdaDLQ", "LambdaInsideVPC"}
BUCKET = {"S3BucketLoggingEnabled", "S3BucketReplicationEnabled", "S3DefaultEncryptionKMS"}
NO_FUNCTION_RULES_OF_PCI = {"LambdaConcurrency", "LambdaDLQ"}

FINDINGS = {
    "default": {
        "AwsSolutions": {"S1"},
        "Serverless": {"LambdaDLQ", "LambdaTracing"},
        "HIPAA.Security": FUNCTION | BUCKET,
        "NIST.800.53.R5": FUNCTION | BUCKET,
        "PCI.DSS.321": FUNCTION - NO_FUNCTION_RULES_OF_PCI | BUCKET,
    },
    "own bucket and key": {
        "AwsSolutions": set(),
        "Serverless": {"LambdaDLQ", "LambdaTracing"},
        "HIPAA.Security": FUNCTION | {"S3BucketReplicationEnabled"},
        "NIST.800.53.R5": FUNCTION | {"S3BucketReplicationEnabled"},
        "PCI.DSS.321": FUNCTION - NO_FUNCTION_RULES_OF_PCI | {"S3BucketReplicationEnabled"},
    },
}


@pytest.mark.parametrize(("stack", "pack"), [(stack, pack) for stack, packs in FINDINGS.items() for pack in packs])
def test_pack_finds_only_what_an_option_decides(audited: Callable[[str], Audited], stack: str, pack: str) -> None:
    assert audited(stack).findings(pack) == FINDINGS[stack][pack]
