"""Only errors that may pass are waited out; the service is quoted word for word."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from cdk_personalize_export.handler.errors import FINAL, PASSING, PROPAGATING, may_have_been_heard, text_of, verdict
from cdk_personalize_export.handler.outbound import NoAnswerError
from tests.unit.handler.test_waiting import S3_REFUSAL, error


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


@pytest.mark.parametrize(
    ("given", "heard"),
    [
        (ReadTimeoutError(endpoint_url="https://personalize"), True),
        (NoAnswerError("no answer within 10 s"), True),
        (error("InternalServerException", HTTPStatusCode=500), True),
        (error("ThrottlingException", HTTPStatusCode=400), False),
        (error("ThrottlingException", HTTPStatusCode=499), False),
        (error("ThrottlingException"), False),
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "CreateDatasetExportJob"), False),
        (ConnectTimeoutError(endpoint_url="https://personalize"), False),
        (EndpointConnectionError(endpoint_url="https://personalize"), False),
        (NoCredentialsError(), False),
    ],
    ids=str,
)
def test_a_call_may_have_been_heard_unless_it_was_refused_or_never_arrived(given: Exception, heard: bool) -> None:  # noqa: FBT001 - a table
    assert may_have_been_heard(given) is heard
