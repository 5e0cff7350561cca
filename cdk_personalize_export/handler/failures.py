"""Failures: which errors pass by themselves, which may, and which are the answer.

Codes: https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html and CommonErrors.html beside
it. IAM and bucket policies take a while to reach every server, and until then Personalize refuses what it will soon
accept: such refusals get a bounded second chance, and are then quoted word for word.
"""

import enum
import re

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, HTTPClientError
from botocore.exceptions import ConnectionError as UnreachableError

ServiceErrors = (ClientError, BotoCoreError)

# Patterns, compiled when first needed: most requests meet no error.
_PASSING = (
    "Throttl|TooManyReq|LimitExceeded|ResourceInUse|SlowDown|RequestTimeout|Unavailable|InternalFail|InternalServ"
)
_DENIED = "AccessDenied|NotAuthorized|UnauthorizedOperation"
_ABOUT_PERMISSIONS = r"(?i)\b(roles?|permissions?|privileges?|access|assumed?|buckets?|s3)\b"
_NO_WAY = "; in a VPC, a function needs an interface endpoint of this service that lets it in, or a NAT gateway"
_ABOUT_SHAPE = "(?i)validation errors? detected|failed to satisfy constraint"


class Verdict(enum.Enum):
    """What an error means for the waiting."""

    PASSING = "wait as long as the deadline allows"
    PROPAGATING = "wait a bounded time"
    FINAL = "it is the answer"


class RefusedError(Exception):
    """The final no; the text is the reason CloudFormation gets."""


def verdict(error: Exception) -> Verdict:
    """Judges an error by its code, its HTTP status and, for InvalidInput, by what its text is about."""
    if not isinstance(error, ClientError):
        return Verdict.PASSING if isinstance(error, HTTPClientError | UnreachableError) else Verdict.FINAL
    code, message = code_of(error), str(error.response["Error"].get("Message"))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if re.search(_PASSING, code) or status >= 500 or status == 429:  # noqa: PLR2004 - HTTP's own numbers
        return Verdict.PASSING
    if code == "InvalidInputException":
        propagating = bool(re.search(_ABOUT_PERMISSIONS, message)) and not re.search(_ABOUT_SHAPE, message)
    else:
        propagating = bool(re.search(_DENIED, code))
    return Verdict.PROPAGATING if propagating else Verdict.FINAL


def code_of(error: ClientError) -> str:
    """Gives the service's code of an error."""
    return str(error.response["Error"].get("Code"))


def text_of(error: Exception) -> str:
    """Quotes an error, the service's own words first."""
    if isinstance(error, ClientError):
        message = error.response["Error"].get("Message") or "The service gave no reason."
        return f"{message} ({code_of(error)} from {error.operation_name})"
    hint = _NO_WAY if isinstance(error, ConnectTimeoutError) else ""
    return f"{error} ({type(error).__name__}){hint}"
