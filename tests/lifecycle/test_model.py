"""The lifecycle model: any order of deployments and misfortunes, and what must hold after every step.

The handler and the local Personalize are the real ones; time, Lambda, CloudFormation and the wire are the model's.
LIFECYCLE_EXAMPLES=5000 sets the number of examples of the long run; runs are reproducible, and so are their numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.lifecycle import lifecycle_counts
from tests.lifecycle.lifecycle_checks import Checks, excuse
from tests.lifecycle.lifecycle_cloudformation import CloudFormation, Spec
from tests.lifecycle.lifecycle_world import World

HOUR = 3600
FAST_EXAMPLES, SLOW_EXAMPLES = 50, 1000
FAST_STEPS, SLOW_STEPS = 40, 60
SECONDS = st.sampled_from([1, 5, 20, 60, 100, 300, 800, 870, 1000, 3000, 3400])
JOB_SECONDS = st.sampled_from([0.5, 5.0, 30.0, 61.0, 200.0, 842.0, 1500.0, 3355.0, 3500.0, 8000.0])
REASONS = st.sampled_from(["", "", "", "Insufficient privileges.", "\U0001d4aechlecht: ✗ " * 900, '"\\\x00' * 1500])
WHEN = st.sampled_from(["before", "after"])
PASSING = ["ThrottlingException", "LimitExceededException", "ResourceInUseException", "InternalFailure"]
CALLS = st.sampled_from([*PASSING, "ServiceUnavailableException", "lost", "unheard", "slow", "dead", "too slow"])
CREATES = st.sampled_from(
    [
        *PASSING,
        "lost",
        "unheard",
        "resent",
        "dead",
        "too slow",
        "InvalidInputException",
        "Final",
        "TooManyTagsException",
    ]
)
PUTS = st.sampled_from(["500", "503", "429", "403", "reset", "timeout", "unheard", "late"])
INVOKES = st.sampled_from(["TooManyRequestsException", "lost", "unheard"])
BUCKETS = st.sampled_from(["SlowDown", "AccessDenied", "ConditionalRequestConflict", "lost", "unheard", "dead"])
ASKS = st.sampled_from(["AccessDenied", "Throttling", "dead"])
MINUTES_APART = st.sampled_from([0, 0, 0, -300, -60, 60, 300])
DENIALS = st.sampled_from(["AccessDeniedException", "InvalidInputException"])
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "dataset": st.sampled_from(["INTERACTIONS", "ITEMS"]),
    "mode": st.sampled_from(["ALL", "PUT", "BULK"]),
    "destination": st.sampled_from(["s3://exports/", "s3://exports/daily/", "s3://other/"]),
    "key": st.sampled_from(["", "arn:aws:kms:us-east-1:123456789012:key/0e1f"]),
    "generation": st.sampled_from(["", "1", "2", "3"]),
    "role": st.sampled_from(["export", "another"]),
    "tags": st.sampled_from([(), (("team", "data"),)]),
    "max_wait": st.sampled_from([60, 60, 300, 300, 900, HOUR, 2 * HOUR]),
    "wait": st.booleans(),
    "prefix": st.sampled_from(["Shop-Interactions", "x"]),
    "logical_id": st.sampled_from(["Export", "Moved"]),
    "manifest": st.booleans(),
}
CHANGE = st.sampled_from(sorted(CHANGES)).flatmap(lambda name: st.tuples(st.just(name), CHANGES[name]))


# -- what may go wrong -------------------------------------------------------------------------------------------------

Misfortune = Callable[[World, CloudFormation], None]


def crash(after: int, when: str) -> Misfortune:
    """The function dies around an outside call to come."""

    def strikes(world: World, _: CloudFormation) -> None:
        world.trouble.crash_at[world.outside_calls + after] = when

    return strikes


def late_event(seconds: float) -> Misfortune:
    return lambda _, cloudformation: setattr(cloudformation, "next_delay", seconds)


def event_twice(seconds: float) -> Misfortune:
    return lambda _, cloudformation: setattr(cloudformation, "next_duplicate", seconds)


def no_answer_ever() -> Misfortune:
    return lambda _, cloudformation: setattr(cloudformation, "next_unreachable", True)


def failing_hand_overs(kinds: list[str]) -> Misfortune:
    return lambda world, _: world.trouble.invokes.extend(kinds)


def cloudformation_says_nothing(kinds: list[str]) -> Misfortune:
    """Nobody may ask, or nobody answers, whether somebody still waits."""
    return lambda world, _: world.trouble.asks.extend(kinds)


def buckets_in_trouble(kinds: list[str]) -> Misfortune:
    return lambda world, _: world.trouble.buckets.extend(kinds)


def job(seconds: float, reason: str) -> Misfortune:
    """The next job lasts this long, and may fail."""
    return lambda world, _: world.trouble.jobs.append((seconds, reason))


def failing_calls(kind: str, times: int) -> Misfortune:
    return lambda world, _: world.trouble.calls.extend([kind] * times)


def failing_creates(kinds: list[str]) -> Misfortune:
    return lambda world, _: world.trouble.creates.extend(kinds)


def lost_answers(kinds: list[str]) -> Misfortune:
    return lambda world, _: world.trouble.puts.extend(kinds)


def permissions_on_their_way(seconds: float, denial: str) -> Misfortune:
    """IAM knows of the permissions only in a while."""

    def strikes(world: World, _: CloudFormation) -> None:
        world.trouble.denied_until, world.trouble.denial = world.now + seconds, denial

    return strikes


def invisible_jobs(seconds: float) -> Misfortune:
    return lambda world, _: setattr(world.trouble, "invisible_seconds", seconds)


def quota_used(number: int, seconds: float) -> Misfortune:
    """Somebody else's jobs are running."""

    def strikes(world: World, _: CloudFormation) -> None:
        for _number in range(number):
            world.add_foreign_job(f"foreign-{world.random.getrandbits(64):x}", seconds)

    return strikes


def name_taken(attempt: str, reason: str) -> Misfortune:
    """Somebody else has started a job with the very name we are going to use."""

    def strikes(world: World, cloudformation: CloudFormation) -> None:
        current = cloudformation.current
        if current is not None:
            world.add_foreign_job(current.base_name() + attempt, 10.0, reason)

    return strikes


def clock_step(seconds: float) -> Misfortune:
    """The clock of the function is set, as NTP does."""

    def strikes(world: World, _: CloudFormation) -> None:
        world.clock_offset = max(-2.0, min(2.0, world.clock_offset + seconds))

    return strikes


MISFORTUNE: st.SearchStrategy[Misfortune] = st.one_of(
    st.builds(job, JOB_SECONDS, REASONS),
    st.builds(job, JOB_SECONDS, st.just("Insufficient privileges.")),
    st.builds(crash, st.integers(0, 40), WHEN),
    st.builds(crash, st.integers(0, 5), WHEN),
    st.builds(late_event, st.sampled_from([5.0, 100.0, 600.0, 4000.0])),
    st.builds(event_twice, st.sampled_from([0.0, 0.1, 2.0, 50.0, 4000.0])),
    st.builds(failing_hand_overs, st.lists(INVOKES, min_size=1, max_size=7)),
    st.builds(failing_calls, CALLS, st.sampled_from([1, 2, 5, 30])),
    st.builds(failing_creates, st.lists(CREATES, min_size=1, max_size=3)),
    st.builds(cloudformation_says_nothing, st.lists(ASKS, min_size=1, max_size=3)),
    st.builds(buckets_in_trouble, st.lists(BUCKETS, min_size=1, max_size=5)),
    st.builds(lost_answers, st.lists(PUTS, min_size=1, max_size=4)),
    st.builds(permissions_on_their_way, st.sampled_from([10, 60, 110, 300]), DENIALS),
    st.builds(invisible_jobs, st.sampled_from([0.0, 3.0, 50.0])),
    st.builds(quota_used, st.integers(1, 5), st.sampled_from([30.0, 600.0, 5000.0])),
    st.builds(name_taken, st.sampled_from(["", "-2"]), st.sampled_from(["", "no"])),
    st.builds(clock_step, st.sampled_from([-2.0, -0.5, 0.5, 2.0])),
    st.builds(no_answer_ever),
)


class Lifecycle(RuleBasedStateMachine):
    """One stack with one export, in a world where everything may go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.cloudformation = CloudFormation(self.world)
        self.checks = Checks(self.world, self.cloudformation)
        self.spec = Spec()

    @initialize(
        seed=st.integers(0, 2**16),
        wait=st.sampled_from([60, 300, 900, HOUR]),
        reuse=st.booleans(),
        adopts=st.booleans(),
        manifest=st.booleans(),
        apart=st.tuples(MINUTES_APART, MINUTES_APART),
    )
    def a_user_with_an_app(  # noqa: PLR0913, PLR0917 - drawn
        self,
        seed: int,
        wait: int,
        reuse: bool,  # noqa: FBT001 - drawn
        adopts: bool,  # noqa: FBT001 - drawn
        manifest: bool,  # noqa: FBT001 - drawn
        apart: tuple[int, int],
    ) -> None:
        self.world.random.seed(seed)
        self.world.personalize_ahead, self.world.cloudformation_ahead = apart
        self.spec = Spec(max_wait=wait, manifest=manifest)
        self.cloudformation.reuse_request_id = reuse
        self.cloudformation.adopts_failed_ids = adopts

    # -- the user ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.cloudformation.busy)
    @rule(changes=st.lists(CHANGE, max_size=2), rollback=st.sampled_from([True, True, True, False]))
    def deploy(self, changes: list[tuple[str, Any]], rollback: bool) -> None:  # noqa: FBT001 - drawn
        wanted = replace(self.spec, **dict(changes))
        self.spec = wanted if wanted.wait else replace(wanted, max_wait=min(wanted.max_wait, HOUR))
        self.cloudformation.deploy(self.spec, rollback=rollback)

    @precondition(lambda self: not self.cloudformation.busy and self.cloudformation.stack is not None)
    @rule()
    def delete_the_stack(self) -> None:
        self.cloudformation.delete()

    @precondition(lambda self: self._may_cancel())
    @rule()
    def cancel(self) -> None:
        self.cloudformation.cancel()

    def _may_cancel(self) -> bool:
        current = self.cloudformation.current
        return current is not None and current.kind != "Delete" and not current.rollback

    # -- time --------------------------------------------------------------------------------------------------------

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.world.run(seconds)

    @precondition(lambda self: self.cloudformation.busy)
    @rule()
    def the_operation_ends(self) -> None:
        self.cloudformation.settle()

    @rule(seconds=st.sampled_from([-2.0, -0.5, 0.5, 2.0]))
    def the_clock_of_the_function_steps(self, seconds: float) -> None:
        self.world.clock_offset = max(-2.0, min(2.0, self.world.clock_offset + seconds))

    @precondition(lambda self: self.cloudformation.requests)
    @rule(which=st.integers(0, 30), seconds=st.sampled_from([0.5, 30.0]))
    def an_old_event_comes_again(self, which: int, seconds: float) -> None:
        requests = self.cloudformation.requests
        self.cloudformation.redeliver(requests[-1 - which % len(requests)], seconds)

    @rule(misfortune=MISFORTUNE)
    def something_will_go_wrong(self, misfortune: Misfortune) -> None:
        misfortune(self.world, self.cloudformation)

    @precondition(lambda self: self.cloudformation.busy)
    @rule(misfortune=MISFORTUNE, seconds=SECONDS)
    def something_goes_wrong_on_the_way(self, misfortune: Misfortune, seconds: float) -> None:
        self.world.run(seconds)
        misfortune(self.world, self.cloudformation)

    @precondition(lambda self: not self.cloudformation.busy)
    @rule(change=CHANGE, misfortunes=st.lists(MISFORTUNE, max_size=2))
    def deploy_to_the_end(self, change: tuple[str, Any], misfortunes: list[Misfortune]) -> None:
        for misfortune in misfortunes:
            misfortune(self.world, self.cloudformation)
        self.deploy([change], rollback=True)
        self.cloudformation.settle()

    # -- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def the_promises_hold(self) -> None:
        self.checks.everything()
        lifecycle_counts.COUNTS["steps"] += 1

    def teardown(self) -> None:
        try:
            self.cloudformation.settle()
            self.world.drain()
            self.checks.manifests.at_the_end()
            self.checks.everything()
            assert not self.world.running()
        finally:
            self.world.close()
        lifecycle_counts.COUNTS["examples"] += 1
        excused = [
            why
            for request in self.cloudformation.requests
            if request.outcome == "TIMED_OUT" and (why := excuse(request))
        ]
        lifecycle_counts.COUNTS.update(f"no answer: {why}" for why in excused)
        lifecycle_counts.count(self.world, self.cloudformation, self.checks.answered_after)


def _run(examples: int, steps: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Lifecycle,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_nothing_is_done_twice_and_everything_is_answered_whatever_happens() -> None:
    _run(FAST_EXAMPLES, FAST_STEPS)


@pytest.mark.slow
def test_nothing_is_done_twice_and_everything_is_answered_in_the_long_run() -> None:
    _run(lifecycle_counts.long_run() or SLOW_EXAMPLES, SLOW_STEPS)
