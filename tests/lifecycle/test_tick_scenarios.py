"""Scripted nights of a schedule, undisturbed and with the function dying at each of its calls to the outside.

A crash before or after any call, followed by Lambda's retry, must lead to the same jobs and the same outcomes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

from personalize_local.extension.schedule_expressions import parse
from tests.lifecycle import lifecycle_counts
from tests.lifecycle.lifecycle_checks import Checks
from tests.lifecycle.lifecycle_cloudformation import CloudFormation, Spec
from tests.lifecycle.lifecycle_scheduler import (
    FAILED,
    STARTED,
    SUCCEEDED,
    TIMED_OUT,
    Scheduler,
    ScheduleSpec,
    Tick,
    iso,
)
from tests.lifecycle.lifecycle_tick_checks import TickChecks
from tests.lifecycle.lifecycle_world import CREATE, DESCRIBE, LIST, World

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE, HOUR = 60, 3600
SPEC = ScheduleSpec(tells_start=False)
HASH = re.compile(r"-[a-z2-7]{12}\b")
FULL = "The disk was full."


@dataclass
class Nights:
    """A world with a schedule, or two, and perhaps a stack."""

    world: World
    cloudformation: CloudFormation
    scheduler: Scheduler
    checks: TickChecks

    def tick(self, spec: ScheduleSpec = SPEC, *jobs: tuple[float, str]) -> Tick:
        """Fires; the jobs this starts last and end as said."""
        self.world.trouble.jobs.extend(jobs or [(20.0, "")])
        tick = self.scheduler.fire(spec)
        assert tick is not None
        return tick

    def settle(self, seconds: float = 14 * HOUR) -> None:
        self.world.run(seconds)


def a_night(life: Nights) -> None:
    life.tick()
    life.settle()


def two_nights(life: Nights) -> None:
    life.tick()
    life.settle(24 * HOUR)
    life.tick()
    life.settle()


def a_night_that_tells_its_start(life: Nights) -> None:
    life.tick(replace(SPEC, tells_start=True), (200.0, ""))
    life.settle()


def a_tick_delivered_twice_at_once(life: Nights) -> None:
    life.scheduler.next_duplicate = 0.0
    life.tick()
    life.settle()


def a_tick_that_comes_after_its_deadline(life: Nights) -> None:
    life.scheduler.next_delay = 2.0 * HOUR
    life.tick()
    life.settle()


def a_tick_that_comes_late_in_time(life: Nights) -> None:
    life.scheduler.next_delay = 50.0 * MINUTE
    life.tick(SPEC, (2.0 * HOUR, ""))
    life.settle()


def a_job_that_fails_once(life: Nights) -> None:
    life.tick(SPEC, (20.0, FULL), (20.0, ""))
    life.settle()


def a_job_that_fails_to_the_end(life: Nights) -> None:
    life.tick(replace(SPEC, retries=1), (20.0, FULL), (20.0, FULL))
    life.settle()


def a_job_of_20_minutes(life: Nights) -> None:
    life.tick(SPEC, (20.0 * MINUTE, ""))
    life.settle()


def a_job_longer_than_the_wait(life: Nights) -> None:
    life.tick(replace(SPEC, max_wait=5 * MINUTE), (2.0 * HOUR, ""))
    life.settle()


def the_job_before_still_runs(life: Nights) -> None:
    life.tick(replace(SPEC, max_wait=5 * MINUTE), (15.0 * MINUTE, ""))
    life.settle(10 * MINUTE)
    life.tick()
    life.settle()


def two_schedules_on_one_dataset(life: Nights) -> None:
    life.tick(SPEC, (100.0, ""))
    life.tick(replace(SPEC, name="Hourly", destination="s3://exports/hourly/"), (50.0, ""))
    life.settle()


def the_quota_is_used_up(life: Nights) -> None:
    for number in range(5):
        life.world.add_foreign_job(f"foreign-{number}", 100)
    life.tick()
    life.settle()


def a_deployment_in_between(life: Nights) -> None:
    life.tick(SPEC, (100.0, ""), (30.0, ""))
    life.world.run(5)
    life.cloudformation.deploy(Spec())
    life.cloudformation.settle()
    life.settle()


def permissions_that_take_a_minute(life: Nights) -> None:
    life.world.trouble.denied_until = life.world.now + MINUTE
    life.tick()
    life.settle()


WITH_MANIFEST = replace(SPEC, manifest=True)


def a_night_with_a_manifest(life: Nights) -> None:
    life.tick(WITH_MANIFEST)
    life.settle()


def two_nights_with_manifests(life: Nights) -> None:
    life.tick(WITH_MANIFEST)
    life.settle(24 * HOUR)
    life.tick(WITH_MANIFEST)
    life.settle()


def an_old_tick_comes_again_after_a_newer_night(life: Nights) -> None:
    slow = replace(WITH_MANIFEST, max_wait=5 * MINUTE)
    old = life.tick(slow, (15.0 * MINUTE, ""))
    life.settle(10 * MINUTE)
    life.tick(WITH_MANIFEST)
    life.settle(2 * HOUR)
    life.scheduler.deliver_again(old, 1.0)
    life.settle()


class Expected(NamedTuple):
    """What a scenario comes to."""

    outcomes: list[str]
    jobs: int
    invocations: int


SCENARIOS: dict[Callable[[Nights], None], Expected] = {
    a_night: Expected([SUCCEEDED], 1, 1),
    two_nights: Expected([SUCCEEDED, SUCCEEDED], 2, 2),
    a_night_that_tells_its_start: Expected([STARTED, SUCCEEDED], 1, 1),
    a_tick_delivered_twice_at_once: Expected([SUCCEEDED, SUCCEEDED], 1, 2),
    a_tick_that_comes_after_its_deadline: Expected([TIMED_OUT], 0, 1),
    a_tick_that_comes_late_in_time: Expected([TIMED_OUT], 1, 1),
    a_job_that_fails_once: Expected([SUCCEEDED], 2, 1),
    a_job_that_fails_to_the_end: Expected([FAILED], 2, 1),
    a_job_of_20_minutes: Expected([SUCCEEDED], 1, 2),
    a_job_longer_than_the_wait: Expected([TIMED_OUT], 1, 1),
    the_job_before_still_runs: Expected([TIMED_OUT, SUCCEEDED], 2, 2),
    two_schedules_on_one_dataset: Expected([SUCCEEDED, SUCCEEDED], 2, 2),
    the_quota_is_used_up: Expected([SUCCEEDED], 1, 1),
    a_deployment_in_between: Expected([SUCCEEDED], 2, 2),
    permissions_that_take_a_minute: Expected([SUCCEEDED], 1, 1),
    a_night_with_a_manifest: Expected([SUCCEEDED], 1, 1),
    two_nights_with_manifests: Expected([SUCCEEDED, SUCCEEDED], 2, 2),
    an_old_tick_comes_again_after_a_newer_night: Expected([TIMED_OUT, SUCCEEDED, SUCCEEDED], 2, 3),
}
QUICK = [
    a_night,
    a_night_with_a_manifest,
    a_tick_delivered_twice_at_once,
    a_tick_that_comes_after_its_deadline,
    a_job_that_fails_once,
]


def world_of(scenario: Callable[[Nights], None], crash: tuple[int, str] | None = None) -> World:
    """Plays a scenario to its end; the function may die once on the way."""
    world = World()
    cloudformation, scheduler = CloudFormation(world), Scheduler(world)
    checks = Checks(world, cloudformation)
    ticks = TickChecks(world, scheduler, checks.manifests)
    if crash is not None:
        number, when = crash
        world.trouble.crash_at[number] = when
    try:
        scenario(Nights(world, cloudformation, scheduler, ticks))
        world.drain()
        ticks.at_the_end()
        checks.manifests.at_the_end()
        checks.everything()
        assert not world.running()
        assert not world.trouble.crash_at, "there was no such call to crash at"
    finally:
        world.close()
    return world


def jobs_of(world: World) -> dict[str, str]:
    found = {}
    for name in world.started:
        job = world.job(name)
        assert job is not None
        found[HASH.sub("-hash", name)] = str(job["status"])
    return found


def told_by(world: World) -> list[set[str]]:
    """What was told of each tick, at least once; of a start that was not told again, its end tells enough."""
    return [
        {detail["outcome"] for _, detail in tick.events if detail["outcome"] != STARTED}
        for tick in world.scheduler.ticks
    ]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nights_take_these_jobs_and_invocations_and_tell_these_outcomes(scenario: Callable[[Nights], None]) -> None:
    world = world_of(scenario)
    told = [detail["outcome"] for tick in world.scheduler.ticks for _, detail in tick.events]
    assert Expected(told, len(world.started), len(world.invocations)) == SCENARIOS[scenario]
    calls = world.calls
    lifecycle_counts.TABLE.append(
        f"{scenario.__name__.replace('_', ' '):34} jobs {len(world.started)}, ticks {len(world.scheduler.ticks)}, "
        f"events {calls['PutEvents']}, invocations {len(world.invocations)}, {CREATE} {calls[CREATE]}, "
        f"{DESCRIBE} {calls[DESCRIBE]}, {LIST} {calls[LIST]}, Invoke {calls['Invoke']}"
    )


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(scenario, marks=() if scenario in QUICK else pytest.mark.slow) for scenario in SCENARIOS],
    ids=lambda scenario: scenario.__name__,
)
def test_a_crash_at_any_call_of_a_tick_makes_no_difference(scenario: Callable[[Nights], None]) -> None:
    undisturbed = world_of(scenario)
    for number in range(undisturbed.outside_calls):
        for when in ("before", "after"):
            disturbed = world_of(scenario, (number, when))
            what = f"a crash {when} call {number} of {undisturbed.outside_calls} made a difference"
            assert jobs_of(disturbed) == jobs_of(undisturbed), what
            assert told_by(disturbed) == told_by(undisturbed), what
    lifecycle_counts.COUNTS["crashes at a chosen call"] += 2 * undisturbed.outside_calls


def test_a_tick_that_dies_three_times_tells_nothing_and_the_silence_is_heard() -> None:
    def night(life: Nights) -> None:
        life.tick()
        life.settle(24 * HOUR)
        life.checks.everything()
        assert life.scheduler.succeeded_within("Nightly", 26 * HOUR) == 1
        life.world.trouble.crash_at.update({life.world.outside_calls + number: "before" for number in (0, 1, 2)})
        lost = life.tick()
        life.settle(6 * HOUR)
        assert lost.lambda_gave_up
        assert lost.events == lost.outcomes == []
        life.checks.everything()
        assert life.scheduler.succeeded_within("Nightly", 26 * HOUR) == 0
        life.settle(18 * HOUR)
        life.tick()
        life.settle(2 * HOUR)
        life.checks.everything()
        assert life.scheduler.succeeded_within("Nightly", 26 * HOUR) == 1

    world_of(night)


@pytest.mark.parametrize(
    "lost", [["lost"] * 9, ["TooManyRequestsException"] * 9, ["unheard", "lost", "unheard"]], ids=str
)
def test_a_hand_over_that_is_lost_is_made_up_for_by_lambdas_retry(lost: list[str]) -> None:
    def night(life: Nights) -> None:
        life.world.trouble.invokes.extend(lost)
        life.tick(SPEC, (40.0 * MINUTE, ""))
        life.settle()

    world = world_of(night)
    assert len(world.started) == 1
    assert set(world.scheduler.ticks[0].told) == {SUCCEEDED}


def test_a_tick_waits_up_to_twelve_hours_in_52_invocations() -> None:
    def night(life: Nights) -> None:
        life.tick(replace(SPEC, max_wait=12 * HOUR), (20.0 * HOUR, ""))
        life.settle()

    world = world_of(night)
    assert len(world.invocations) == 52
    assert world.scheduler.ticks[0].told == [TIMED_OUT]


@pytest.mark.parametrize(
    ("expression", "first", "count", "hours"),
    [
        # 2026-03-29: 02:00 CET is followed by 03:00 CEST. There is no 02:30 that night.
        ("cron(30 2 * * ? *)", "2026-03-27T12:00:00Z", 3, ["28T0130", "30T0030", "31T0030"]),
        # 2026-10-25: 03:00 CEST is followed by 02:00 CET. 02:30 comes twice, and counts once.
        ("cron(30 2 * * ? *)", "2026-10-23T12:00:00Z", 3, ["24T0030", "25T0030", "26T0130"]),
        # every hour: the repeated hour is another time in UTC.
        ("rate(1 hour)", "2026-10-24T23:30:00Z", 4, ["24T2330", "25T0030", "25T0130", "25T0230"]),
    ],
    ids=["left out", "repeated", "every hour"],
)
def test_a_local_hour_that_comes_twice_or_not_at_all_makes_ticks_of_their_own_or_none(
    expression: str, first: str, count: int, hours: list[str]
) -> None:
    schedule = parse(expression, "Europe/Berlin")
    anchor = datetime.strptime(first, "%Y-%m-%dT%H:%M:%S%z").timestamp()
    moments: list[float] = []
    while len(moments) < count:
        due = schedule.after(moments[-1] if moments else anchor - 1, anchor)
        assert due is not None
        moments.append(due)

    def nights(life: Nights) -> None:
        for moment in moments:
            life.world.now = moment
            life.scheduler.next_duplicate = 1.0
            life.tick()
            life.settle(30 * MINUTE)

    world = world_of(nights)
    assert [re.findall(r"-\d{6}(\d\dT\d{4})-", name) for name in world.started] == [[hour] for hour in hours]
    assert all(set(tick.told) == {SUCCEEDED} for tick in world.scheduler.ticks)
    assert [tick.event["Tick"]["ScheduledTime"] for tick in world.scheduler.ticks] == [
        iso(moment) for moment in moments
    ]
