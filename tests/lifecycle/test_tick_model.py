"""The lifecycle model with schedules beside the deployments: ticks in any order, with any misfortune.

It has all that `test_model` has, and so requests and ticks meet in one function, one account and one quota.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from tests.lifecycle import lifecycle_counts
from tests.lifecycle.lifecycle_scheduler import HOUR, Scheduler, ScheduleSpec
from tests.lifecycle.lifecycle_tick_checks import TickChecks
from tests.lifecycle.lifecycle_world import World
from tests.lifecycle.test_model import MISFORTUNE, Lifecycle
from tests.lifecycle.test_model import Misfortune as OfBoth

FAST_EXAMPLES, SLOW_EXAMPLES = 12, 150
FAST_STEPS, SLOW_STEPS = 30, 50
MINUTE = 60
PAUSES = st.sampled_from([1, 30, 60, 600, 1800, HOUR, 4 * HOUR, 24 * HOUR])
EVENTS = st.sampled_from(["ThrottlingException", "AccessDeniedException", "lost", "unheard", "dead", "entry"])
LISTS = st.sampled_from(["ThrottlingException", "AccessDeniedException", "InternalFailure", "lost", "unheard", "dead"])
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "dataset": st.sampled_from(["INTERACTIONS", "ITEMS"]),
    "mode": st.sampled_from(["ALL", "PUT"]),
    "destination": st.sampled_from(["s3://exports/nightly/", "s3://other/"]),
    "retries": st.sampled_from([0, 1, 2, 10]),
    "max_wait": st.sampled_from([60, 600, HOUR, HOUR, 4 * HOUR, 12 * HOUR]),
    "window": st.sampled_from([0, 900]),
    "tells_start": st.booleans(),
    "manifest": st.booleans(),
}
CHANGE = st.sampled_from(sorted(CHANGES)).flatmap(lambda name: st.tuples(st.just(name), CHANGES[name]))
OfTicks = Callable[[World, Scheduler], None]


def late_tick(seconds: float) -> OfTicks:
    return lambda _, scheduler: setattr(scheduler, "next_delay", seconds)


def tick_twice(seconds: float) -> OfTicks:
    return lambda _, scheduler: setattr(scheduler, "next_duplicate", seconds)


def bus_in_trouble(kinds: list[str]) -> OfTicks:
    return lambda world, _: world.trouble.events.extend(kinds)


def failing_lists(kinds: list[str]) -> OfTicks:
    return lambda world, _: world.trouble.lists.extend(kinds)


def failing_jobs(times: int, seconds: float) -> OfTicks:
    return lambda world, _: world.trouble.jobs.extend([(seconds, "Insufficient privileges.")] * times)


def dying_runs(times: int) -> OfTicks:
    """The next runs die at once; three are all that Lambda makes of one event."""

    def strikes(world: World, _: Scheduler) -> None:
        world.trouble.crash_at.update({world.outside_calls + number: "before" for number in range(times)})

    return strikes


def name_taken(attempt: str, reason: str) -> OfTicks:
    """Somebody else has started a job with the very name the newest tick is going to use."""

    def strikes(world: World, scheduler: Scheduler) -> None:
        if scheduler.ticks:
            tick = scheduler.ticks[-1]
            tick.foreign = True
            tick.faults.append("a name is taken")
            world.add_foreign_job(tick.base_name() + attempt, 10.0, reason)

    return strikes


OF_TICKS: st.SearchStrategy[OfTicks] = st.one_of(
    st.builds(late_tick, st.sampled_from([5.0, 600.0, 4000.0, 13.0 * HOUR])),
    st.builds(tick_twice, st.sampled_from([0.0, 0.1, 50.0, 4000.0, 20.0 * HOUR])),
    st.builds(bus_in_trouble, st.lists(EVENTS, min_size=1, max_size=12)),
    st.builds(failing_lists, st.lists(LISTS, min_size=1, max_size=3)),
    st.builds(failing_jobs, st.integers(1, 4), st.sampled_from([1.0, 100.0, 1000.0])),
    st.builds(dying_runs, st.sampled_from([1, 2, 3])),
    st.builds(name_taken, st.sampled_from(["", "-2"]), st.sampled_from(["", "no"])),
)


class Schedules(Lifecycle):
    """Two schedules, perhaps on one dataset, beside a stack with an export."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(self.world)
        self.tick_checks = TickChecks(self.world, self.scheduler, self.checks.manifests)
        self.schedules = {
            "Nightly": ScheduleSpec(manifest=True),
            "Hourly": ScheduleSpec(name="Hourly", destination="s3://exports/hourly/", max_wait=600),
        }

    @rule(name=st.sampled_from(["Nightly", "Hourly"]), change=CHANGE)
    def the_schedule_is_changed(self, name: str, change: tuple[str, Any]) -> None:
        self.schedules[name] = replace(self.schedules[name], **dict([change]))

    @rule(name=st.sampled_from(["Nightly", "Nightly", "Hourly"]), misfortunes=st.lists(OF_TICKS, max_size=2))
    def a_schedule_fires(self, name: str, misfortunes: list[OfTicks]) -> None:
        for misfortune in misfortunes:
            misfortune(self.world, self.scheduler)
        self.scheduler.fire(self.schedules[name])

    @rule()
    def both_schedules_fire(self) -> None:
        for spec in self.schedules.values():
            self.scheduler.fire(spec)

    @rule(
        seconds=PAUSES,
        misfortunes=st.lists(OF_TICKS, max_size=2),
        of_both=st.lists(MISFORTUNE, max_size=2),
        name=st.sampled_from(["Nightly", "Hourly"]),
    )
    def a_night_goes_by(self, seconds: float, misfortunes: list[OfTicks], of_both: list[OfBoth], name: str) -> None:
        self.scheduler.fire(self.schedules[name])
        for misfortune in misfortunes:
            misfortune(self.world, self.scheduler)
        for other in of_both:
            other(self.world, self.cloudformation)
        self.world.run(seconds)

    @precondition(lambda self: self.scheduler.ticks)
    @rule(which=st.integers(0, 10), seconds=st.sampled_from([0.5, 30.0, 3000.0]))
    def an_old_tick_comes_again(self, which: int, seconds: float) -> None:
        ticks = self.scheduler.ticks
        self.scheduler.deliver_again(ticks[-1 - which % len(ticks)], seconds)

    @rule(misfortune=OF_TICKS, seconds=PAUSES)
    def something_goes_wrong_with_a_tick(self, misfortune: OfTicks, seconds: float) -> None:
        misfortune(self.world, self.scheduler)
        self.world.run(min(seconds, HOUR))

    @invariant()
    def the_promises_of_ticks_hold(self) -> None:
        self.tick_checks.everything()
        assert not self.world.violations, "\n".join(self.world.violations)

    def teardown(self) -> None:
        try:
            self.cloudformation.settle()
            self.world.drain()
            self.tick_checks.at_the_end()
        except BaseException:
            self.world.close()
            raise
        super().teardown()
        lifecycle_counts.COUNTS["ticks"] += len(self.scheduler.ticks)
        lifecycle_counts.COUNTS["ticks told"] += sum(bool(tick.outcomes) for tick in self.scheduler.ticks)
        lifecycle_counts.COUNTS["ticks Lambda gave up"] += sum(tick.lambda_gave_up for tick in self.scheduler.ticks)
        for tick in self.scheduler.ticks:
            lifecycle_counts.COUNTS.update(f"tick told {outcome}" for outcome in set(tick.told))


def _run(examples: int, steps: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Schedules,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_tick_makes_two_jobs_and_each_is_told_whatever_happens() -> None:
    _run(FAST_EXAMPLES, FAST_STEPS)


@pytest.mark.slow
def test_no_tick_makes_two_jobs_and_each_is_told_in_the_long_run() -> None:
    _run(lifecycle_counts.long_run() or SLOW_EXAMPLES, SLOW_STEPS)
