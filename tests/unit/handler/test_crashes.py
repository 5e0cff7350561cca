"""Wherever an invocation dies, Lambda's retry lands on the same job and CloudFormation gets its answer."""

from collections.abc import Callable

import pytest
from index import NotDeliveredError, handle

from tests.unit.handler.world import Context, Crash, FakeOutside, Post, event

RETRY_SECONDS = (60, 120)  # Lambda repeats an asynchronous invocation that failed after one and two minutes


def crash_at(outside: FakeOutside, steps: set[int]) -> Callable[[], int]:
    """Lets the invocation die at these effects; the function given back counts the effects so far."""
    count = 0

    def effect(_: str) -> None:
        nonlocal count
        count += 1
        if count in steps:
            raise Crash

    outside.effect = effect
    return lambda: count


def play(outside: FakeOutside, name: str, url: str, **properties: object) -> None:
    """Plays Lambda with its retries and the hand-overs."""
    queue = [event(name, url, **properties)]
    while queue:
        request = queue.pop(0)
        for pause in (0, *RETRY_SECONDS):
            outside.time += pause
            try:
                handle(request, Context(outside, 100), outside)
            except (Crash, NotDeliveredError):
                continue
            finally:
                queue += outside.invocations
                outside.invocations = []
            break


def steps_of(name: str, url: str) -> int:
    outside = FakeOutside()
    count = crash_at(outside, set())
    play(outside, name, url)
    return count()


@pytest.mark.parametrize("name", ["create", "no-wait"])
def test_a_crash_at_any_point_starts_no_second_job_and_loses_no_answer(name: str, post: Post) -> None:
    steps = steps_of(name, post.url)
    assert steps > 5
    post.bodies.clear()
    for step in range(1, steps + 1):
        outside = FakeOutside()
        crash_at(outside, {step})
        play(outside, name, post.url)
        assert len(outside.personalize.jobs) == 1, step
        assert {answer["Status"] for answer in post.answers} == {"SUCCESS"}, step
        assert len({answer["PhysicalResourceId"] for answer in post.answers}) == 1
        post.bodies.clear()


def test_two_crashes_at_any_two_points_start_no_second_job(post: Post) -> None:
    steps = steps_of("create", post.url)
    post.bodies.clear()
    for first in range(1, steps + 1, 3):
        for second in range(first + 1, steps + 2, 4):
            outside = FakeOutside()
            crash_at(outside, {first, second})
            play(outside, "create", post.url)
            assert len(outside.personalize.jobs) == 1, (first, second)
            assert {answer["Status"] for answer in post.answers} == {"SUCCESS"}, (first, second)
            post.bodies.clear()


def test_a_crash_while_a_job_fails_starts_no_second_job(post: Post) -> None:
    for step in range(1, steps_of("create", post.url) + 1):
        post.bodies.clear()
        outside = FakeOutside()
        outside.personalize.reason = "no"
        crash_at(outside, {step})
        play(outside, "create", post.url)
        assert len(outside.personalize.jobs) == 1, step
        assert {answer["Status"] for answer in post.answers} == {"FAILED"}, step


def test_an_answer_that_did_not_arrive_is_sent_by_lambdas_retry(post: Post) -> None:
    outside = FakeOutside()
    post.statuses = [500] * 10
    play(outside, "create", post.url)
    assert len(outside.personalize.jobs) == 1
    assert post.answer["Status"] == "SUCCESS"
