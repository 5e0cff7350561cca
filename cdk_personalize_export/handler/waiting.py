"""Waiting: how long, how often, and for which errors.

Whatever ends first, the request's time or the invocation's, ends a pause with an exception, so no loop has to check.
"""

import re
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, HTTPClientError
from botocore.exceptions import ConnectionError as UnreachableError
from outside import Journal, Outside

EARLY_POLLS = (
    (6.0, 2.0),
    (21.0, 3.0),
    (60.0, 4.6),
)  # up to which age of the job, the pause: its end is seen within 5 s
POLL_SECONDS = 37.0
JITTER = 0.05  # only ever longer: that bounds the number of polls
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 2.0, 30.0
PROPAGATION_SECONDS = 120.0  # until IAM and bucket policies have reached every server
LONGEST_MARGIN_SECONDS, MARGIN_SHARE = 60.0, 0.25  # to hand over or answer in

# What an error means: wait while there is time, wait a bounded time, answer with it.
PASSING, PROPAGATING, FINAL = "passing", "propagating", "final"
ServiceErrors = (ClientError, BotoCoreError)
_PASSING = (
    "Throttl|TooManyReq|LimitExceeded|ResourceInUse|SlowDown|RequestTimeout|Unavailable|InternalFail|InternalServ"
)
_DENIED = "AccessDenied|NotAuthorized|UnauthorizedOperation"
_ABOUT_PERMISSIONS = r"(?i)\b(roles?|permissions?|privileges?|access|assumed?|buckets?|s3)\b"
_ABOUT_SHAPE = "(?i)validation errors? detected|failed to satisfy constraint"
_NO_WAY = "; in a VPC, a function needs an interface endpoint of this service that lets it in, or a NAT gateway"


class RefusedError(Exception):
    """The final no, as CloudFormation gets it."""


class OutOfTimeError(Exception):
    """The time is over."""


class DeadlineReachedError(OutOfTimeError):
    """The request's: report."""


class InvocationEndingError(OutOfTimeError):
    """The invocation's: another goes on."""


def verdict(error: Exception) -> str:
    """InvalidInput can mean anything, so its text decides."""
    if not isinstance(error, ClientError):
        return PASSING if isinstance(error, HTTPClientError | UnreachableError) else FINAL
    code, message = code_of(error), str(error.response["Error"].get("Message"))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if re.search(_PASSING, code) or status >= 500 or status == 429:
        return PASSING
    if code == "InvalidInputException":
        propagating = bool(re.search(_ABOUT_PERMISSIONS, message)) and not re.search(_ABOUT_SHAPE, message)
    else:
        propagating = bool(re.search(_DENIED, code))
    return PROPAGATING if propagating else FINAL


def code_of(error: ClientError) -> str:
    return str(error.response["Error"].get("Code"))


def text_of(error: Exception) -> str:
    if isinstance(error, ClientError):
        message = error.response["Error"].get("Message") or "The service gave no reason."
        return f"{message} ({code_of(error)} from {error.operation_name})"
    hint = _NO_WAY if isinstance(error, ConnectTimeoutError) else ""
    return f"{error} ({type(error).__name__}){hint}"


def poll_pause(age: float, chance: float) -> float:
    """Goes by the job's age, so that the next invocation keeps the rhythm."""
    seconds = next((pause for until, pause in EARLY_POLLS if age < until), POLL_SECONDS)
    return seconds * (1 + JITTER * chance)


def retry_pause(errors: int, chance: float) -> float:
    """Leaves half up to chance, so that the refused come back apart."""
    return min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(errors, 9)) * (1 + chance) / 2


class Patience:
    """The time that is left."""

    def __init__(self, outside: Outside, journal: Journal, remaining: Callable[[], float], deadline: float) -> None:
        self.outside = outside
        self.journal = journal
        self.remaining = remaining
        self.deadline = deadline
        self.margin = min(LONGEST_MARGIN_SECONDS, MARGIN_SHARE * remaining())
        self.refused_since: float | None = None
        self.last_error = ""
        self._errors = 0

    def over(self) -> bool:
        return self.outside.now() >= self.deadline

    def pause(self, seconds: float) -> None:
        until_deadline = self.deadline - self.outside.now()
        until_end = self.remaining() - self.margin
        length = min(seconds, until_deadline, until_end)
        if length > 0:
            self.outside.sleep(length)
        if length < seconds:
            raise DeadlineReachedError if until_deadline <= until_end else InvocationEndingError

    def poll(self, born: float) -> None:
        self.pause(poll_pause(self.outside.now() - born, self.outside.chance()))

    def endure(self, error: Exception) -> None:
        """Waits an error out, or raises it as the answer."""
        text, judged = text_of(error), verdict(error)
        if judged == FINAL:
            raise RefusedError(text) from error
        self.last_error = text
        pause = retry_pause(self._errors, self.outside.chance())
        if judged == PROPAGATING:
            now = self.outside.now()
            self.refused_since = now if self.refused_since is None else self.refused_since
            rest = self.refused_since + PROPAGATION_SECONDS - now
            if rest <= 0:
                tried = f"tried again for {PROPAGATION_SECONDS:.0f} s in case a permission was on its way"
                raise RefusedError(f"{text}; {tried}") from error
            pause = min(pause, rest)
        self._errors += 1
        self.journal.write("WARNING", "Waiting an error out", error=text)
        self.pause(pause)

    def settled(self) -> None:
        self._errors, self.refused_since, self.last_error = 0, None, ""

    def grace(self, seconds: float) -> "Patience":
        """Gives a time of its own, for a last look after the deadline."""
        return Patience(self.outside, self.journal, self.remaining, self.outside.now() + seconds)
