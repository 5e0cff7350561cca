"""Pauses are short at first, few in all, and end in time; only errors that may pass are waited out."""

import pytest
from botocore.exceptions import (
    ClientError,
)
from hypothesis import given
from hypothesis import strategies as st

from cdk_personalize_export.handler.errors import RefusedError
from cdk_personalize_export.handler.log import Log
from cdk_personalize_export.handler.waiting import (
    DeadlineReachedError,
    Demand,
    InvocationEndingError,
    TimeBudget,
    poll_pause,
    retry_pause,
)
from tests.unit.handler.world import Context, FakeOutbound

CHANCE = st.floats(0, 1, exclude_max=True)
S3_REFUSAL = (
    "Insufficient privileges for accessing data in S3. Please look at https://docs.aws.amazon.com/personalize/latest/dg/"
    "granting-personalize-s3-access.html#attach-bucket-policy and fix bucket policy on exports."
)


def budget(outbound: FakeOutbound, *, wait: float = 3360, invocation: float = 900) -> TimeBudget:
    context = Context(outbound, invocation)
    log = Log(outbound, {})
    remaining = lambda: context.get_remaining_time_in_millis() / 1000  # noqa: E731
    return TimeBudget(outbound, log, remaining, outbound.time + wait, Demand(outbound.time))


def error(code: str, message: str = "no", **metadata: int) -> ClientError:
    response = {"Error": {"Code": code, "Message": message}, **({"ResponseMetadata": metadata} if metadata else {})}
    return ClientError(response, "CreateDatasetExportJob")


def polls(seconds: float, chances: list[float]) -> int:
    age, count = 0.0, 0
    while age < seconds:
        age += poll_pause(age, chances[count % len(chances)])
        count += 1
    return count


@given(st.lists(CHANCE, min_size=1, max_size=50))
def test_a_job_of_20_minutes_is_polled_48_times_at_most_and_one_of_60_minutes_113_times(chances: list[float]) -> None:
    assert polls(1200, chances) <= 48  # two looks more are needed to find and to hand over: 50 are allowed
    assert polls(3600, chances) <= 113


@given(st.floats(0, 60, exclude_max=True), CHANCE)
def test_the_end_of_a_job_within_its_first_minute_is_seen_within_5_seconds(age: float, chance: float) -> None:
    assert poll_pause(age, chance) < 4.84


def test_polls_start_at_2_seconds_and_end_at_37() -> None:
    ages = (-9, 0, 5.9, 6, 20.9, 21, 59.9, 60, 70)
    assert [poll_pause(age, 0) for age in ages] == [2, 2, 2, 3, 3, 4.6, 4.6, 37, 37]
    assert [poll_pause(age, 1) for age in (0, 60)] == pytest.approx([2.1, 38.85])


@given(st.integers(0, 10_000), CHANCE)
def test_retries_back_off_from_2_to_30_seconds_with_jitter(errors: int, chance: float) -> None:
    assert 1 <= retry_pause(errors, chance) <= 30


def test_retries_double() -> None:
    assert [retry_pause(errors, 1) for errors in range(6)] == [2, 4, 8, 16, 30, 30]


def test_a_pause_ends_at_the_deadline(outbound: FakeOutbound) -> None:
    waiting = budget(outbound, wait=10)
    waiting.pause(10)
    with pytest.raises(DeadlineReachedError):
        waiting.pause(1)
    assert waiting.over()
    assert outbound.sleeps == [10]


def test_a_pause_ends_a_minute_before_the_invocation_does(outbound: FakeOutbound) -> None:
    with pytest.raises(InvocationEndingError):
        budget(outbound).pause(1000)
    assert outbound.sleeps == [840]


def test_a_deadline_at_the_end_of_the_invocation_is_the_deadline(outbound: FakeOutbound) -> None:
    with pytest.raises(DeadlineReachedError):
        budget(outbound, wait=840).pause(1000)


def test_errors_in_a_row_are_waited_out_longer_and_longer(outbound: FakeOutbound) -> None:
    waiting = budget(outbound)
    for _ in range(6):
        waiting.wait_out(error("ThrottlingException"))
    waiting.succeeded()
    waiting.wait_out(error("ThrottlingException"))
    assert outbound.sleeps == [1.5, 3, 6, 12, 22.5, 22.5, 1.5]


def test_a_short_function_keeps_a_quarter_of_its_time(outbound: FakeOutbound) -> None:
    with pytest.raises(InvocationEndingError):
        budget(outbound, invocation=10).pause(30)
    assert outbound.sleeps == [7.5]


def wait_out_for_ever(waiting: TimeBudget, problem: Exception) -> None:
    while True:
        waiting.wait_out(problem)


def test_passing_errors_are_waited_out_until_the_deadline(outbound: FakeOutbound) -> None:
    waiting = budget(outbound, wait=300)
    with pytest.raises(DeadlineReachedError):
        wait_out_for_ever(waiting, error("LimitExceededException", "More than 5 resources"))
    assert sum(outbound.sleeps) == pytest.approx(300)
    assert waiting.last_error == "More than 5 resources (LimitExceededException from CreateDatasetExportJob)"


def test_a_refusal_is_retried_for_two_minutes_and_then_quoted(outbound: FakeOutbound) -> None:
    waiting = budget(outbound)
    refusal = "fix bucket policy on exports (InvalidInputException from CreateDatasetExportJob)"
    with pytest.raises(RefusedError) as raised:
        wait_out_for_ever(waiting, error("InvalidInputException", "fix bucket policy on exports"))
    assert str(raised.value) == f"{refusal}; tried again for 120 s in case a permission was on its way"
    assert sum(outbound.sleeps) == pytest.approx(120)


def test_a_yes_in_between_opens_the_window_again(outbound: FakeOutbound) -> None:
    waiting = budget(outbound)
    for _ in range(3):
        for _ in range(4):
            waiting.wait_out(error("AccessDeniedException"))
        waiting.pause(100)
        waiting.succeeded()
    assert (waiting.refused_since, waiting.last_error) == (None, "")


def test_a_refusal_is_tried_again_to_the_last_second_of_its_window(outbound: FakeOutbound) -> None:
    waiting = budget(outbound)
    waiting.wait_out(error("AccessDeniedException"))
    waiting.pause(117.5)
    waiting.wait_out(error("AccessDeniedException"))
    assert outbound.sleeps == [1.5, 117.5, 1]
    with pytest.raises(RefusedError):
        waiting.wait_out(error("AccessDeniedException"))


def test_a_final_error_is_quoted_at_once(outbound: FakeOutbound) -> None:
    with pytest.raises(RefusedError, match=r"no \(TooManyTagsException from CreateDatasetExportJob\)"):
        budget(outbound).wait_out(error("TooManyTagsException"))
    assert outbound.sleeps == []


def test_a_last_look_has_a_short_time_of_its_own(outbound: FakeOutbound) -> None:
    waiting = budget(outbound, wait=0)
    assert waiting.over()
    grace = waiting.extended(30)
    with pytest.raises(DeadlineReachedError):
        grace.pause(31)
    assert outbound.sleeps == [30]
