"""Pauses are short at first, few in all, and end in time; only errors that may pass are waited out."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from hypothesis import given
from hypothesis import strategies as st
from outside import Journal
from waiting import (
    FINAL,
    PASSING,
    PROPAGATING,
    DeadlineReachedError,
    InvocationEndingError,
    Patience,
    RefusedError,
    poll_pause,
    retry_pause,
    text_of,
    verdict,
)

from tests.unit.handler.world import Context, FakeOutside

CHANCE = st.floats(0, 1, exclude_max=True)
S3_REFUSAL = (
    "Insufficient privileges for accessing data in S3. Please look at https://docs.aws.amazon.com/personalize/latest/dg/"
    "granting-personalize-s3-access.html#attach-bucket-policy and fix bucket policy on exports."
)


def patience(outside: FakeOutside, *, wait: float = 3360, invocation: float = 900) -> Patience:
    context = Context(outside, invocation)
    journal = Journal(outside, "r", "l", [])
    return Patience(outside, journal, lambda: context.get_remaining_time_in_millis() / 1000, outside.time + wait)


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


@pytest.mark.parametrize(
    "passing",
    [
        error("ThrottlingException"),
        error("Throttling"),
        error("TooManyRequestsException"),
        error("LimitExceededException", "More than 5 resources with PENDING or IN_PROGRESS status."),
        error("ResourceInUseException"),
        error("Anything", HTTPStatusCode=500),
        error("ServiceUnavailable", HTTPStatusCode=503),
        error("Anything", HTTPStatusCode=429),
        EndpointConnectionError(endpoint_url="https://personalize"),
        ConnectTimeoutError(endpoint_url="https://personalize"),
        ReadTimeoutError(endpoint_url="https://personalize"),
    ],
    ids=str,
)
def test_what_passes_by_itself_is_waited_out(passing: Exception) -> None:
    assert verdict(passing) == PASSING


@pytest.mark.parametrize(
    "refusal",
    [
        error("AccessDeniedException", "User is not authorized to perform: iam:PassRole"),
        error("AccessDenied"),
        error("InvalidInputException", S3_REFUSAL),
        error("InvalidInputException", "Personalize can not assume the role arn:aws:iam::123456789012:role/export"),
        error("InvalidInputException", "The given role does not exist"),
    ],
    ids=str,
)
def test_a_permission_on_its_way_gets_a_second_chance(refusal: Exception) -> None:
    assert verdict(refusal) == PROPAGATING


@pytest.mark.parametrize(
    "final",
    [
        error("InvalidInputException", "The dataset has no schema"),
        error(
            "InvalidInputException", "1 validation error detected: Value 'x' at 'roleArn' failed to satisfy constraint"
        ),
        error("ResourceNotFoundException", "No such dataset in the bucket"),
        error("TooManyTagsException"),
        error("TooManyTagsException", HTTPStatusCode=400),
        error("TooManyTagsException", RetryAttempts=0),
        NoCredentialsError(),
        ValueError("ours"),
    ],
    ids=str,
)
def test_everything_else_is_the_answer_at_once(final: Exception) -> None:
    assert verdict(final) == FINAL


def test_the_service_is_quoted_word_for_word_before_anything_else() -> None:
    assert text_of(error("InvalidInputException", S3_REFUSAL)) == (
        f"{S3_REFUSAL} (InvalidInputException from CreateDatasetExportJob)"
    )
    assert text_of(error("Odd", "")) == "The service gave no reason. (Odd from CreateDatasetExportJob)"
    assert text_of(NoCredentialsError()) == "Unable to locate credentials (NoCredentialsError)"


def test_a_service_that_cannot_be_reached_is_named_with_what_a_vpc_needs() -> None:
    """Without an endpoint, packets vanish: the connection times out."""
    assert text_of(ConnectTimeoutError(endpoint_url="https://personalize.us-east-1.amazonaws.com/")) == (
        'Connect timeout on endpoint URL: "https://personalize.us-east-1.amazonaws.com/" (ConnectTimeoutError); in a '
        "VPC, a function needs an interface endpoint of this service that lets it in, or a NAT gateway"
    )
