from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.unit.handler.world import AnswerServer, FakeOutbound, answer_server

if settings.get_current_profile_name() == "default":
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")  # a busy machine is no failure


@pytest.fixture
def outbound() -> FakeOutbound:
    return FakeOutbound()


@pytest.fixture
def server() -> Iterator[AnswerServer]:
    with answer_server() as opened:
        yield opened
