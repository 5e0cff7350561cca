"""Errors are sorted into those that pass, those that may pass and those that are the answer."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from failures import Verdict, text_of, verdict

S3_REFUSAL = (
    "Insufficient privileges for accessing data in S3. Please look at https://docs.aws.amazon.com/personalize/latest/dg/"
    "granting-personalize-s3-access.html#attach-bucket-policy and fix bucket policy on exports."
)


def error(code: str, message: str = "no", status: int = 400) -> ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "CreateDatasetExportJob")


@pytest.mark.parametrize(
    "passing",
    [
        error("ThrottlingException"),
        error("Throttling"),
        error("TooManyRequestsException"),
        error("LimitExceededException", "More than 5 resources with PENDING or IN_PROGRESS status."),
        error("ResourceInUseException"),
        error("Anything", status=500),
        error("ServiceUnavailable", status=503),
        error("Anything", status=429),
        EndpointConnectionError(endpoint_url="https://personalize"),
        ConnectTimeoutError(endpoint_url="https://personalize"),
        ReadTimeoutError(endpoint_url="https://personalize"),
    ],
    ids=str,
)
def test_what_passes_by_itself_is_waited_out(passing: Exception) -> None:
    assert verdict(passing) is Verdict.PASSING


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
    assert verdict(refusal) is Verdict.PROPAGATING


@pytest.mark.parametrize(
    "final",
    [
        error("InvalidInputException", "The dataset has no schema"),
        error(
            "InvalidInputException", "1 validation error detected: Value 'x' at 'roleArn' failed to satisfy constraint"
        ),
        error("ResourceNotFoundException", "No such dataset in the bucket"),
        error("TooManyTagsException"),
        NoCredentialsError(),
        ValueError("ours"),
    ],
    ids=str,
)
def test_everything_else_is_the_answer_at_once(final: Exception) -> None:
    assert verdict(final) is Verdict.FINAL


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
