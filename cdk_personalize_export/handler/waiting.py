"""Waiting: how long, how often, and until when.

An invocation ends after 15 minutes at most (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), a
request of CloudFormation after an hour. Whichever ends first ends a pause with an exception, so no loop has to check.
"""

from collections.abc import Callable

from .errors import FINAL, PROPAGATING, RefusedError, text_of, verdict
from .log import Log
from .outbound import Outbound

# Up to which age of the job, and the pause between two looks at it: its end is seen within 5 s.
EARLY_POLLS = ((6.0, 2.0), (21.0, 3.0), (60.0, 4.6))
POLL_SECONDS = 37.0
JITTER = 0.05  # only ever longer: that bounds the number of polls
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 2.0, 30.0
PROPAGATION_SECONDS = 120.0  # until IAM and bucket policies have reached every server (inferred)
LONGEST_MARGIN_SECONDS, MARGIN_SHARE = 60.0, 0.25  # to hand over or answer in
ASK_SECONDS = 180.0  # how often it is asked whether somebody still waits


class OutOfTimeError(Exception):
    """The time is over."""


class DeadlineReachedError(OutOfTimeError):
    """The request's: report."""


class InvocationEndingError(OutOfTimeError):
    """The invocation's: another goes on."""


class GivenUpError(Exception):
    """Nobody waits any longer for what is being done."""


class Demand:
    """Who asked for the work, as far as the work must know: since when, and whether somebody still waits."""

    def __init__(self, requested_at: float) -> None:
        self.requested_at = requested_at

    def still_wanted(self) -> bool:
        """Say whether somebody still waits; True when that cannot be known."""
        return True


def length(seconds: float) -> str:
    """Write how long something took, for people."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def poll_pause(age: float, chance: float) -> float:
    """Say how long to wait before the next look, by the job's age: so the next invocation keeps the rhythm."""
    seconds = next((pause for until, pause in EARLY_POLLS if age < until), POLL_SECONDS)
    return seconds * (1 + JITTER * chance)


def retry_pause(errors: int, chance: float) -> float:
    """Say how long to wait after an error; half is left to chance, so that the refused come back apart.

    See https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html.
    """
    return min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(errors, 9)) * (1 + chance) / 2


class TimeBudget:
    """The time that is left, of the request and of the invocation."""

    def __init__(
        self, outbound: Outbound, log: Log, remaining: Callable[[], float], deadline: float, demand: Demand
    ) -> None:
        self.outbound = outbound
        self.log = log
        self.remaining = remaining
        self.deadline = deadline
        self.demand = demand
        self._asked_at = outbound.now()
        self.margin = min(LONGEST_MARGIN_SECONDS, MARGIN_SHARE * remaining())
        self.refused_since: float | None = None
        self.last_error = ""
        self._errors = 0

    def over(self) -> bool:
        """Say whether the request's time is over."""
        return self.outbound.now() >= self.deadline

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            DeadlineReachedError: The request's time ended before.
            InvocationEndingError: The invocation's time did, less a margin to hand over or answer in.
            GivenUpError: Nobody waits any longer.
        """
        if self.outbound.now() - self._asked_at >= ASK_SECONDS:
            self.require_demand()
        until_deadline = self.deadline - self.outbound.now()
        until_end = self.remaining() - self.margin
        length = min(seconds, until_deadline, until_end)
        if length > 0:
            self.outbound.sleep(length)
        if length < seconds:
            raise DeadlineReachedError if until_deadline <= until_end else InvocationEndingError

    def require_demand(self) -> None:
        """Ask whether somebody still waits.

        Raises:
            GivenUpError: Nobody does.
        """
        self._asked_at = self.outbound.now()
        if not self.demand.still_wanted():
            raise GivenUpError

    def poll(self, born: float) -> None:
        """Wait until the next look at a job of that time of birth."""
        self.pause(poll_pause(self.outbound.now() - born, self.outbound.chance()))

    def wait_out(self, error: Exception) -> None:
        """Wait, if the error may pass.

        Raises:
            RefusedError: It will not, or has not for long enough.
        """
        text, judged = text_of(error), verdict(error)
        if judged == FINAL:
            raise RefusedError(text) from error
        self.last_error = text
        pause = retry_pause(self._errors, self.outbound.chance())
        if judged == PROPAGATING:
            now = self.outbound.now()
            self.refused_since = now if self.refused_since is None else self.refused_since
            rest = self.refused_since + PROPAGATION_SECONDS - now
            if rest <= 0:
                tried = f"tried again for {PROPAGATION_SECONDS:.0f} s in case a permission was on its way"
                raise RefusedError(f"{text}; {tried}") from error
            pause = min(pause, rest)
        self._errors += 1
        self.log.write("WARNING", "Waiting an error out", error=text)
        self.pause(pause)

    def succeeded(self) -> None:
        """Note that a call went through: what was waited out before counts no more."""
        self._errors, self.refused_since, self.last_error = 0, None, ""

    def extended(self, seconds: float) -> "TimeBudget":
        """Give a budget of its own to a last look after the deadline."""
        return TimeBudget(
            self.outbound, self.log, self.remaining, self.outbound.now() + seconds, Demand(self.demand.requested_at)
        )
