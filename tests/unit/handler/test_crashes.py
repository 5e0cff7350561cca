"""Wherever an invocation dies, Lambda's retry lands on the same job and CloudFormation gets its answer."""

from collections.abc import Callable

import pytest

from cdk_personalize_export.handler.cloudformation import NotDeliveredError, handle
from cdk_personalize_export.handler.invocation import Invocation
from tests.unit.handler.world import AnswerServer, Context, Crash, FakeOutbound, event

RETRY_SECONDS = (60, 120)  # Lambda repeats an asynchronous invocation that failed after one and two minutes


def crash_at(outbound: FakeOutbound, steps: set[int]) -> Callable[[], int]:
    """Lets the invocation die at these effects; the function given back counts the effects so far."""
    count = 0

    def effect(_: str) -> None:
        nonlocal count
        count += 1
        if count in steps:
            raise Crash

    outbound.effect = effect
    return lambda: count


def play(outbound: FakeOutbound, name: str, url: str, **properties: object) -> None:
    """Plays Lambda with its retries and the hand-overs."""
    queue = [event(name, url, **properties)]
    while queue:
        request = queue.pop(0)
        for pause in (0, *RETRY_SECONDS):
            outbound.time += pause
            try:
                handle(Invocation(request, Context(outbound, 100), outbound))
            except (Crash, NotDeliveredError):
                continue
            finally:
                queue += outbound.invocations
                outbound.invocations = []
            break


def steps_of(name: str, url: str) -> int:
    outbound = FakeOutbound()
    count = crash_at(outbound, set())
    play(outbound, name, url)
    return count()


@pytest.mark.parametrize("name", ["create", "no-wait"])
def test_a_crash_at_any_point_starts_no_second_job_and_loses_no_answer(name: str, server: AnswerServer) -> None:
    steps = steps_of(name, server.url)
    assert steps > 5
    server.bodies.clear()
    for step in range(1, steps + 1):
        outbound = FakeOutbound()
        crash_at(outbound, {step})
        play(outbound, name, server.url)
        assert len(outbound.personalize.jobs) == 1, step
        assert {answer["Status"] for answer in server.answers} == {"SUCCESS"}, step
        assert len({answer["PhysicalResourceId"] for answer in server.answers}) == 1
        server.bodies.clear()


def test_two_crashes_at_any_two_points_start_no_second_job(server: AnswerServer) -> None:
    steps = steps_of("create", server.url)
    server.bodies.clear()
    for first in range(1, steps + 1, 3):
        for second in range(first + 1, steps + 2, 4):
            outbound = FakeOutbound()
            crash_at(outbound, {first, second})
            play(outbound, "create", server.url)
            assert len(outbound.personalize.jobs) == 1, (first, second)
            assert {answer["Status"] for answer in server.answers} == {"SUCCESS"}, (first, second)
            server.bodies.clear()


def test_a_crash_while_a_job_fails_starts_no_second_job(server: AnswerServer) -> None:
    for step in range(1, steps_of("create", server.url) + 1):
        server.bodies.clear()
        outbound = FakeOutbound()
        outbound.personalize.reason = "no"
        crash_at(outbound, {step})
        play(outbound, "create", server.url)
        assert len(outbound.personalize.jobs) == 1, step
        assert {answer["Status"] for answer in server.answers} == {"FAILED"}, step


def test_an_answer_that_did_not_arrive_is_sent_by_lambdas_retry(server: AnswerServer) -> None:
    outbound = FakeOutbound()
    server.statuses = [500] * 10
    play(outbound, "create", server.url)
    assert len(outbound.personalize.jobs) == 1
    assert server.answer["Status"] == "SUCCESS"
