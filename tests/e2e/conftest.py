"""What the end-to-end tests share: a local AWS with IAM enforced and a dataset in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from account import Account, make_dataset

from personalize_local import LocalAws, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Account]:
    """Return a fresh local AWS with one interactions dataset of three rows sent by PutEvents."""
    settings = getattr(request, "param", Settings(job_seconds=0.5, resource_seconds=0.0))
    with LocalAws(iam=True, settings=settings) as aws:
        aws.bootstrap()
        yield Account(aws, make_dataset(aws), tmp_path)
