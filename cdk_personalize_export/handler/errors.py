"""Errors of AWS: what each means, and how it is told.

IAM and bucket policies take a while to reach every server
(https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency), and
until then Personalize refuses what it will soon accept: such refusals get a bounded second chance, and are then quoted
word for word. The errors Personalize may answer with are listed in
https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html and CommonErrors.html beside it.
"""

import re
import traceback
from pathlib import Path

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
)
from botocore.exceptions import ConnectionError as UnreachableError

from .outbound import NoAnswerError

# What an error means: wait while there is time, wait a bounded time, answer with it.
PASSING, PROPAGATING, FINAL = "passing", "propagating", "final"
ServiceErrors = (ClientError, BotoCoreError, NoAnswerError)

# Patterns are compiled when first needed: most requests meet no error.
_PASSING = (
    "Throttl|TooManyReq|LimitExceeded|ResourceInUse|SlowDown|RequestTimeout|Unavailable|InternalFail|InternalServ"
    "|ConditionalRequestConflict"
)
_DENIED = (  # the first is all that HeadObject says; the last two: a new role's credentials are on their way, too
    "^40[34]$|AccessDenied|NotAuthorized|UnauthorizedOperation|UnrecognizedClient|InvalidClientTokenId"
)
_ABOUT_PERMISSIONS = r"(?i)\b(roles?|permissions?|privileges?|access|assumed?|buckets?|s3)\b"
_ABOUT_SHAPE = "(?i)validation errors? detected|failed to satisfy constraint"
_NO_WAY = "; in a VPC, a function needs an interface endpoint of this service that lets it in, or a NAT gateway"


class RefusedError(Exception):
    """What can not be done; the text is the answer."""


def verdict(error: Exception) -> str:
    """Say what an error means; InvalidInput can mean anything, so its text decides."""
    if not isinstance(error, ClientError):
        return PASSING if isinstance(error, HTTPClientError | UnreachableError | NoAnswerError) else FINAL
    code, message = code_of(error), str(error.response["Error"].get("Message"))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if re.search(_PASSING, code) or status >= 500 or status == 429:
        return PASSING
    if code == "InvalidInputException":
        propagating = bool(re.search(_ABOUT_PERMISSIONS, message)) and not re.search(_ABOUT_SHAPE, message)
    else:
        propagating = bool(re.search(_DENIED, code))
    return PROPAGATING if propagating else FINAL


def may_have_been_heard(error: Exception) -> bool:
    """Say whether the service may have done what it was asked for, though its answer did not arrive."""
    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500
    return not isinstance(error, ConnectTimeoutError | EndpointConnectionError | NoCredentialsError)


def code_of(error: ClientError) -> str:
    """Give the code of an error, as "AccessDeniedException"."""
    return str(error.response["Error"].get("Code"))


def text_of(error: Exception) -> str:
    """Quote an error for people."""
    if isinstance(error, ClientError):
        message = error.response["Error"].get("Message") or "The service gave no reason."
        return f"{message} ({code_of(error)} from {error.operation_name})"
    hint = _NO_WAY if isinstance(error, ConnectTimeoutError | NoAnswerError) else ""
    return f"{error} ({type(error).__name__}){hint}"


def fault_in(error: Exception) -> str:
    """Say where the handler itself failed, in a line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"The export handler failed: {text_of(error)} in {Path(place.filename).name} line {place.lineno}"
