"""The pytest plugin: the fixture `local_aws`, one local AWS for a test session.

It is registered when the distribution `personalize-local` is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from personalize_local import LocalAws

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def local_aws() -> Iterator[LocalAws]:
    """A local AWS with Amazon Personalize, shared by all tests; the `PERSONALIZE_LOCAL_*` variables set it."""
    with LocalAws() as running:
        yield running
