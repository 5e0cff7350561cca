"""Scripted lives of a stack, undisturbed and with the function dying at each of its calls to the outside.

A crash before or after any call, followed by Lambda's retry, must lead to the same jobs and the same answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.lifecycle import lifecycle_counts
from tests.lifecycle.lifecycle_checks import Checks
from tests.lifecycle.lifecycle_cloudformation import CloudFormation, Request, Spec
from tests.lifecycle.lifecycle_manifest_checks import MANIFESTS, POINTERS
from tests.lifecycle.lifecycle_world import CREATE, DESCRIBE, World

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE, HOUR = 60, 3600
SPEC = Spec()
HASH = re.compile(r"-[a-z2-7]{12}\b")
WAITED = re.compile(r"after \d+ (s|min)")


@dataclass
class Life:
    """A world with one stack in it."""

    world: World
    cloudformation: CloudFormation

    def deploy(self, spec: Spec = SPEC, *, job: tuple[float, str] = (20.0, ""), rollback: bool = True) -> None:
        """Deploys to the end; the job this starts, if it starts one, lasts and ends as said."""
        self.world.trouble.jobs.clear()
        self.world.trouble.jobs.append(job)
        self.cloudformation.deploy(spec, rollback=rollback)
        self.cloudformation.settle()

    def delete(self) -> None:
        self.cloudformation.delete()
        self.cloudformation.settle()


def create(life: Life) -> None:
    life.deploy()


def create_that_fails(life: Life) -> None:
    life.deploy(job=(20, "The disk was full."))


def create_and_delete(life: Life) -> None:
    life.deploy()
    life.delete()


def update_of_the_generation(life: Life) -> None:
    life.deploy()
    life.deploy(replace(SPEC, generation="2"))


def update_of_the_role(life: Life) -> None:
    life.deploy()
    life.deploy(replace(SPEC, role="another"))


def move_to_another_function(life: Life) -> None:
    life.deploy()
    life.deploy(replace(SPEC, logical_id="Moved"))


def move_to_another_function_that_fails(life: Life) -> None:
    life.deploy()
    life.deploy(replace(SPEC, logical_id="Moved", generation="2"), job=(20, "The disk was full."))


def failed_update_and_rollback(life: Life) -> None:
    life.deploy()
    life.deploy(replace(SPEC, generation="2"), job=(20, "The disk was full."))


def second_attempt_after_a_failed_one(life: Life) -> None:
    life.deploy(job=(20, "The disk was full."), rollback=False)
    life.world.run(MINUTE)
    life.deploy()


def delete_while_the_job_runs(life: Life) -> None:
    life.deploy(replace(SPEC, wait=False), job=(200, ""))
    life.delete()


def permissions_that_take_a_minute(life: Life) -> None:
    life.world.trouble.denied_until = life.world.now + MINUTE
    life.deploy()


def quota_reached(life: Life) -> None:
    for number in range(5):
        life.world.add_foreign_job(f"foreign-{number}", 100)
    life.deploy()


def throttled(life: Life) -> None:
    life.world.trouble.calls.extend(["ThrottlingException"] * 6)
    life.deploy()


def job_of_20_minutes(life: Life) -> None:
    life.deploy(job=(20 * MINUTE, ""))


def job_of_60_minutes_in_links(life: Life) -> None:
    life.deploy(replace(SPEC, max_wait=2 * HOUR), job=(60 * MINUTE, ""))


def job_longer_than_the_deadline(life: Life) -> None:
    life.deploy(replace(SPEC, max_wait=5 * MINUTE), job=(2 * HOUR, ""))


WITH_MANIFEST = replace(SPEC, manifest=True)


def create_with_a_manifest(life: Life) -> None:
    life.deploy(WITH_MANIFEST)


def manifests_of_two_generations(life: Life) -> None:
    life.deploy(WITH_MANIFEST)
    life.deploy(replace(WITH_MANIFEST, generation="2"))
    life.deploy(replace(WITH_MANIFEST, generation=""), job=(20, "There is no such job to start."))


def manifest_of_a_job_that_was_there_before(life: Life) -> None:
    life.deploy()
    life.world.run(HOUR)
    life.deploy(WITH_MANIFEST)


def manifest_of_60_minutes_in_links(life: Life) -> None:
    life.deploy(replace(WITH_MANIFEST, max_wait=2 * HOUR), job=(60 * MINUTE, ""))


def manifest_that_is_refused(life: Life) -> None:
    life.world.trouble.buckets.extend(["AccessDenied"] * 40)
    life.deploy(WITH_MANIFEST, rollback=False)
    life.world.trouble.buckets.clear()
    life.deploy(WITH_MANIFEST)


class Expected(NamedTuple):
    """What a scenario comes to."""

    requests: int
    jobs: int
    invocations: int


SCENARIOS: dict[Callable[[Life], None], Expected] = {
    create: Expected(1, 1, 1),
    create_that_fails: Expected(2, 1, 2),
    create_and_delete: Expected(2, 1, 2),
    update_of_the_generation: Expected(3, 2, 3),
    update_of_the_role: Expected(2, 1, 2),
    move_to_another_function: Expected(3, 1, 3),
    move_to_another_function_that_fails: Expected(3, 2, 3),
    failed_update_and_rollback: Expected(3, 2, 3),
    second_attempt_after_a_failed_one: Expected(2, 2, 2),
    delete_while_the_job_runs: Expected(2, 1, 2),
    permissions_that_take_a_minute: Expected(1, 1, 1),
    quota_reached: Expected(1, 1, 1),
    throttled: Expected(1, 1, 1),
    job_of_20_minutes: Expected(1, 1, 2),
    job_of_60_minutes_in_links: Expected(3, 1, 6),
    job_longer_than_the_deadline: Expected(2, 1, 2),
    create_with_a_manifest: Expected(1, 1, 1),
    manifests_of_two_generations: Expected(5, 2, 5),
    manifest_of_a_job_that_was_there_before: Expected(2, 1, 2),
    manifest_of_60_minutes_in_links: Expected(3, 1, 6),
    manifest_that_is_refused: Expected(2, 1, 2),
}
LONG = [
    manifests_of_two_generations,
    manifest_of_a_job_that_was_there_before,
    manifest_of_60_minutes_in_links,
    manifest_that_is_refused,
    job_of_20_minutes,
    job_of_60_minutes_in_links,
    job_longer_than_the_deadline,
    move_to_another_function_that_fails,
]


@dataclass(frozen=True)
class Outcome:
    """What a life came to, without what differs between two runs of one life: hashes and times."""

    jobs: dict[str, str]
    written: list[str]
    answers: list[tuple[str, str, str, str, str]]


def play(scenario: Callable[[Life], None], crash: tuple[int, str] | None = None) -> tuple[Outcome, World]:
    """Plays a scenario to its end; the function may die once on the way."""
    world = World()
    cloudformation = CloudFormation(world)
    checks = Checks(world, cloudformation)
    if crash is not None:
        number, when = crash
        world.trouble.crash_at[number] = when
    try:
        scenario(Life(world, cloudformation))
        world.drain()
        checks.manifests.at_the_end()
        checks.everything()
        assert not world.running()
        assert not world.trouble.crash_at, "there was no such call to crash at"
    finally:
        world.close()
    jobs = {}
    for place, name in enumerate(world.started):
        job = world.job(name)
        assert job is not None
        jobs[f"{place}: {HASH.sub('-hash', name)}"] = str(job["status"])
    written = [HASH.sub("-hash", key) for _, key in world.buckets.objects if MANIFESTS in key or POINTERS in key]
    return Outcome(jobs, sorted(written), [answer(request) for request in cloudformation.requests]), world


def answer(request: Request) -> tuple[str, str, str, str, str]:
    kind = f"{request.kind}{' (rollback)' if request.rollback else ''} {request.event['LogicalResourceId']}"
    reason = WAITED.sub("after a while", HASH.sub("-hash", request.reason.partition("; log: ")[0]))
    shown = HASH.sub("-hash", request.data.get("DatasetExportJobArn", ""))
    status = request.data.get("Status", "")
    if status.startswith("CREATE"):
        status = "not over"  # how far a job is when its link hands on depends on the second
    return kind, request.outcome, reason, shown, status


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_life_takes_these_requests_jobs_and_invocations(scenario: Callable[[Life], None]) -> None:
    outcome, world = play(scenario)
    requests = world.cloudformation.requests
    assert Expected(len(requests), len(outcome.jobs), len(world.invocations)) == SCENARIOS[scenario]
    assert all(request.answered_at is not None for request in requests)
    calls = world.calls
    lifecycle_counts.TABLE.append(
        f"{scenario.__name__.replace('_', ' '):34} jobs {len(outcome.jobs)}, requests {len(requests)}, "
        f"answers {calls['put']}, invocations {len(world.invocations)}, {CREATE} {calls[CREATE]}, "
        f"{DESCRIBE} {calls[DESCRIBE]}, Invoke {calls['Invoke']}"
    )


def test_a_resource_with_another_logical_id_joins_the_finished_job_at_once() -> None:
    outcome, world = play(move_to_another_function)
    created, moved, deleted = world.cloudformation.requests
    assert [(request.kind, request.event["LogicalResourceId"]) for request in world.cloudformation.requests] == [
        ("Create", "Export"),
        ("Create", "Moved"),
        ("Delete", "Export"),
    ]
    assert created.physical_id == moved.physical_id == deleted.physical_id
    assert moved.data == created.data
    assert moved.answered_at is not None
    assert moved.answered_at - moved.sent_at < 2
    assert len(outcome.jobs) == 1


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(scenario, marks=pytest.mark.slow if scenario in LONG else ()) for scenario in SCENARIOS],
    ids=lambda scenario: scenario.__name__,
)
def test_a_crash_at_any_call_makes_no_difference(scenario: Callable[[Life], None]) -> None:
    undisturbed, world = play(scenario)
    for number in range(world.outside_calls):
        for when in ("before", "after"):
            disturbed, _ = play(scenario, (number, when))
            assert disturbed == undisturbed, f"a crash {when} call {number} of {world.outside_calls} made a difference"
    lifecycle_counts.COUNTS["crashes at a chosen call"] += 2 * world.outside_calls
