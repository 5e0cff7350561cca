"""Waiting: how long, how often, and when to stop.

Two clocks run: the request's deadline within CloudFormation's hour, and the end of this invocation, 15 minutes at most
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). Whoever pauses is woken by the first of them,
with an exception, so no loop has to check.
"""

from collections.abc import Callable

import failures
from failures import RefusedError, Verdict
from outside import Journal, Outside

FIRST_POLL_SECONDS = 2.0
EARLY_POLL_SECONDS = 4.0  # in a job's first minute: its end is then seen within 5 s
POLL_SECONDS = 30.0
EARLY_SECONDS = 60.0
JITTER_LEAST, JITTER_SPAN = 1.15, 0.05  # only ever longer, which bounds the number of polls
PROPAGATION_SECONDS = 120.0
LONGEST_MARGIN_SECONDS, MARGIN_SHARE = 60.0, 0.25  # kept back of an invocation, to hand over or answer in


class OutOfTimeError(Exception):
    """There is no time left to wait."""


class DeadlineReachedError(OutOfTimeError):
    """The request has waited as long as it may."""


class InvocationEndingError(OutOfTimeError):
    """Lambda is about to stop this invocation; another has to go on."""


def poll_pause(age: float, chance: float) -> float:
    """Spaces polls by the age of the job, so that an invocation that takes over keeps the rhythm."""
    early = FIRST_POLL_SECONDS if age < FIRST_POLL_SECONDS else EARLY_POLL_SECONDS
    return (early if age < EARLY_SECONDS else POLL_SECONDS) * (JITTER_LEAST + JITTER_SPAN * chance)


def retry_pause(errors: int, chance: float) -> float:
    """Doubles the pause from 2 to 30 s, half of it up to chance, so that the refused come back apart."""
    return min(POLL_SECONDS, FIRST_POLL_SECONDS * 2.0 ** min(errors, 9)) * (1 + chance) / 2


class Patience:
    """What is left of the request's and of the invocation's time."""

    def __init__(self, outside: Outside, journal: Journal, remaining: Callable[[], float], deadline: float) -> None:
        self.deadline = deadline
        self.remaining = remaining
        self.margin = min(LONGEST_MARGIN_SECONDS, MARGIN_SHARE * remaining())
        self.refused_since: float | None = None
        self.last_error = ""
        self._outside = outside
        self._journal = journal
        self._errors = 0

    def over(self) -> bool:
        """Tells whether the deadline has passed."""
        return self._outside.now() >= self.deadline

    def pause(self, seconds: float) -> None:
        """Sleeps; raises when the deadline or the end of the invocation comes first."""
        until_deadline = self.deadline - self._outside.now()
        until_end = self.remaining() - self.margin
        length = min(seconds, until_deadline, until_end)
        if length > 0:
            self._outside.sleep(length)
        if length < seconds:
            raise DeadlineReachedError if until_deadline <= until_end else InvocationEndingError

    def poll(self, born: float) -> None:
        """Sleeps until the next look at a job born then."""
        self.pause(poll_pause(self._outside.now() - born, self._outside.chance()))

    def endure(self, error: Exception) -> None:
        """Waits an error out, or makes it the answer when it will not pass."""
        text, verdict = failures.text_of(error), failures.verdict(error)
        if verdict is Verdict.FINAL:
            raise RefusedError(text) from error
        self.last_error = text
        pause = retry_pause(self._errors, self._outside.chance())
        if verdict is Verdict.PROPAGATING:
            pause = min(pause, self._rest_of_window(text))
        self._errors += 1
        self._journal.write("WARNING", "Waiting an error out", error=text)
        self.pause(pause)

    def settled(self) -> None:
        """Forgets the errors: the service said yes."""
        self._errors, self.refused_since, self.last_error = 0, None, ""

    def grace(self, seconds: float) -> "Patience":
        """Gives a short time of its own, from now, for a last look after the deadline."""
        return Patience(self._outside, self._journal, self.remaining, self._outside.now() + seconds)

    def _rest_of_window(self, text: str) -> float:
        now = self._outside.now()
        self.refused_since = now if self.refused_since is None else self.refused_since
        rest = self.refused_since + PROPAGATION_SECONDS - now
        if rest <= 0:
            raise RefusedError(
                f"{text}; tried again for {PROPAGATION_SECONDS:.0f} s in case a permission was on its way"
            )
        return rest
