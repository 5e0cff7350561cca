from collections.abc import Iterator

import pytest

from tests.unit.handler.world import FakeOutside, Post, post_office


@pytest.fixture
def outside() -> FakeOutside:
    return FakeOutside()


@pytest.fixture
def post() -> Iterator[Post]:
    with post_office() as opened:
        yield opened
