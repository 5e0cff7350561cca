"""Pauses are short at first, few in all, and end at the deadline or with the invocation."""

import pytest
from botocore.exceptions import ClientError
from failures import RefusedError
from hypothesis import given
from hypothesis import strategies as st
from outside import Journal
from waiting import DeadlineReachedError, InvocationEndingError, Patience, poll_pause, retry_pause

from tests.unit.handler.world import Context, FakeOutside

CHANCE = st.floats(0, 1, exclude_max=True)


def patience(outside: FakeOutside, *, wait: float = 3360, invocation: float = 900) -> Patience:
    context = Context(outside, invocation)
    journal = Journal(outside, "r", "l", [])
    return Patience(outside, journal, lambda: context.get_remaining_time_in_millis() / 1000, outside.time + wait)


def error(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "CreateDatasetExportJob")


def polls(seconds: float, chances: list[float]) -> int:
    age, count = 0.0, 0
    while age < seconds:
        age += poll_pause(age, chances[count % len(chances)])
        count += 1
    return count


@given(st.lists(CHANCE, min_size=1, max_size=50))
def test_a_job_of_20_minutes_is_polled_47_times_at_most_and_one_of_60_minutes_118_times(chances: list[float]) -> None:
    assert polls(1200, chances) <= 47  # two looks more are needed to find and to hand over: 50 are allowed
    assert polls(3600, chances) <= 118


@given(st.floats(0, 60, exclude_max=True), CHANCE)
def test_the_end_of_a_job_within_its_first_minute_is_seen_within_5_seconds(age: float, chance: float) -> None:
    assert poll_pause(age, chance) < 4.81


def test_polls_start_at_2_seconds_and_end_around_30() -> None:
    assert [poll_pause(age, 0) for age in (0, 1.9, 2, 59.9, 60, 70)] == [2.3, 2.3, 4.6, 4.6, 34.5, 34.5]


@given(st.integers(0, 10_000), CHANCE)
def test_retries_back_off_from_2_to_30_seconds_with_jitter(errors: int, chance: float) -> None:
    assert 1 <= retry_pause(errors, chance) <= 30


def test_retries_double() -> None:
    assert [retry_pause(errors, 1) for errors in range(6)] == [2, 4, 8, 16, 30, 30]


def test_a_pause_ends_at_the_deadline(outside: FakeOutside) -> None:
    waiting = patience(outside, wait=10)
    waiting.pause(10)
    with pytest.raises(DeadlineReachedError):
        waiting.pause(1)
    assert waiting.over()
    assert outside.sleeps == [10]


def test_a_pause_ends_a_minute_before_the_invocation_does(outside: FakeOutside) -> None:
    with pytest.raises(InvocationEndingError):
        patience(outside).pause(1000)
    assert outside.sleeps == [840]


def test_a_deadline_at_the_end_of_the_invocation_is_the_deadline(outside: FakeOutside) -> None:
    with pytest.raises(DeadlineReachedError):
        patience(outside, wait=840).pause(1000)


def test_errors_in_a_row_are_waited_out_longer_and_longer(outside: FakeOutside) -> None:
    waiting = patience(outside)
    for _ in range(6):
        waiting.endure(error("ThrottlingException"))
    waiting.settled()
    waiting.endure(error("ThrottlingException"))
    assert outside.sleeps == [1.5, 3, 6, 12, 22.5, 22.5, 1.5]


def test_a_short_function_keeps_a_quarter_of_its_time(outside: FakeOutside) -> None:
    with pytest.raises(InvocationEndingError):
        patience(outside, invocation=10).pause(30)
    assert outside.sleeps == [7.5]


def endure_for_ever(waiting: Patience, problem: Exception) -> None:
    while True:
        waiting.endure(problem)


def test_passing_errors_are_waited_out_until_the_deadline(outside: FakeOutside) -> None:
    waiting = patience(outside, wait=300)
    with pytest.raises(DeadlineReachedError):
        endure_for_ever(waiting, error("LimitExceededException", "More than 5 resources"))
    assert sum(outside.sleeps) == pytest.approx(300)
    assert waiting.last_error == "More than 5 resources (LimitExceededException from CreateDatasetExportJob)"


def test_a_refusal_is_retried_for_two_minutes_and_then_quoted(outside: FakeOutside) -> None:
    waiting = patience(outside)
    refusal = "fix bucket policy on exports (InvalidInputException from CreateDatasetExportJob)"
    with pytest.raises(RefusedError) as raised:
        endure_for_ever(waiting, error("InvalidInputException", "fix bucket policy on exports"))
    assert str(raised.value) == f"{refusal}; tried again for 120 s in case a permission was on its way"
    assert sum(outside.sleeps) == pytest.approx(120)


def test_a_yes_in_between_opens_the_window_again(outside: FakeOutside) -> None:
    waiting = patience(outside)
    for _ in range(3):
        for _ in range(4):
            waiting.endure(error("AccessDeniedException"))
        waiting.pause(100)
        waiting.settled()
    assert (waiting.refused_since, waiting.last_error) == (None, "")


def test_a_refusal_is_tried_again_to_the_last_second_of_its_window(outside: FakeOutside) -> None:
    waiting = patience(outside)
    waiting.endure(error("AccessDeniedException"))
    waiting.pause(117.5)
    waiting.endure(error("AccessDeniedException"))
    assert outside.sleeps == [1.5, 117.5, 1]
    with pytest.raises(RefusedError):
        waiting.endure(error("AccessDeniedException"))


def test_a_final_error_is_quoted_at_once(outside: FakeOutside) -> None:
    with pytest.raises(RefusedError, match=r"no \(TooManyTagsException from CreateDatasetExportJob\)"):
        patience(outside).endure(error("TooManyTagsException"))
    assert outside.sleeps == []


def test_a_last_look_has_a_short_time_of_its_own(outside: FakeOutside) -> None:
    waiting = patience(outside, wait=0)
    assert waiting.over()
    grace = waiting.grace(30)
    with pytest.raises(DeadlineReachedError):
        grace.pause(31)
    assert outside.sleeps == [30]
