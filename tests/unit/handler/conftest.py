from collections.abc import Iterator

import pytest

from tests.unit.handler.world import AnswerServer, FakeOutbound, answer_server


@pytest.fixture
def outbound() -> FakeOutbound:
    return FakeOutbound()


@pytest.fixture
def server() -> Iterator[AnswerServer]:
    with answer_server() as opened:
        yield opened
