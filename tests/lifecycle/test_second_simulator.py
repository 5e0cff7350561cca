"""The second opinion: random histories of many exports at once, and the promises that only show with many."""

from __future__ import annotations

import random
import re

import pytest

from tests.lifecycle.second_simulator import HOUR, LINK_SECONDS, Aws, export

FAST_HISTORIES, SLOW_HISTORIES = 25, 500
ATTEMPT = re.compile(r"(?P<export>.+-[a-z2-7]{12})(-\d+)?")
MINUTE = 60.0


def check(aws: Aws) -> None:
    """What must hold, whatever happened."""
    assert aws.problems == []
    now = aws.time.now
    living: dict[str, list[str]] = {}
    starts: dict[int, list[str]] = {}
    for name, job in aws.jobs.items():
        match = ATTEMPT.fullmatch(name)
        assert match, name
        if job.status(now) != "CREATE FAILED":
            living.setdefault(match["export"], []).append(name)
        request = job.request
        assert request is not None
        starts.setdefault(id(request), []).append(name)
        assert request.kind != "Delete", f"a Delete started {name}"
        assert not request.rollback, f"a rollback started {name}"
        nobody = request.status and job.created > request.ended + MINUTE + 1
        assert not nobody, f"{name} was started {job.created - request.ended:.0f} s after {request} had ended"
    assert all(len(names) == 1 for names in living.values()), living
    assert all(len(names) == 1 for names in starts.values()), starts
    for request in aws.requests:
        assert request.status, f"no end: {request}"
        excused = aws.crash_chance > 0 or request.throttled  # Lambda ran it three times, or had no room for it
        assert request.status != "TIMED OUT" or excused, f"no answer: {request}"
        assert request.kind != "Delete" or request.status in {"SUCCESS", "TIMED OUT"}, f"a Delete failed: {request}"
        done = request.status == "SUCCESS" and request.kind != "Delete"
        if done and "MoreLinks" not in request.properties and request.properties.get("Wait") != "false":
            assert request.answer["Data"]["Status"] == "ACTIVE"


def history(seed: int) -> Aws:
    """One random life of a stack."""
    dice = random.Random(seed)  # noqa: S311 - plays dice, protects nothing
    aws = Aws(seed, quota=dice.choice([1, 2, 5]), concurrency=dice.choice([2, 5, 10]))
    aws.crash_chance = dice.choice([0.0, 0.0, 0.002])
    aws.plan = lambda: (dice.choice([5.0, 40.0, 600.0, 2000.0, 5000.0]), dice.random() < 0.25)
    count = dice.randint(1, 4)
    options = [
        {"generation": 0, "role": 0, "hours": dice.choice([1, 1, 2]), "wait": dice.random() < 0.7} for _ in range(count)
    ]
    for _ in range(dice.randint(2, 5)):
        changed = dice.choice(options)
        changed[dice.choice(["generation", "role"])] = dice.randint(0, 2)
        changed["wait"] = dice.random() < 0.7
        if dice.random() < 0.15:
            aws.delete()
            continue
        wanted = {str(number): built(number, chosen) for number, chosen in enumerate(options)}
        cancel = dice.choice([1e9, 1e9, 1e9, 30.0, 400.0, 2500.0])
        aws.deploy(wanted, rollback=dice.random() < 0.7, cancel_after=cancel)
        aws.time.run(lambda: False, dice.choice([10.0, 300.0, 4000.0]))
    aws.time.run(lambda: False, 6 * HOUR)  # whoever still works on something comes to an end
    return aws


def built(number: int, chosen: dict[str, int]) -> list[dict[str, str]]:
    more = {} if chosen["wait"] else {"Wait": "false"}
    role = f"arn:aws:iam::123456789012:role/export{chosen['role']}"
    hours = chosen["hours"] if chosen["wait"] else 1
    return export(number, hours=hours, Generation=str(chosen["generation"]), RoleArn=role, **more)


@pytest.mark.parametrize("seed", range(FAST_HISTORIES))
def test_the_promises_hold_in_a_random_history(seed: int) -> None:
    check(history(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FAST_HISTORIES, FAST_HISTORIES + SLOW_HISTORIES))
def test_the_promises_hold_in_many_random_histories(seed: int) -> None:
    check(history(seed))


@pytest.mark.slow
def test_twenty_exports_of_half_an_hour_each_get_their_turn_within_twelve_hours() -> None:
    aws = Aws(1, quota=5, concurrency=20)
    aws.plan = lambda: (30 * MINUTE, False)
    assert aws.deploy({str(number): export(number, hours=12) for number in range(20)})
    check(aws)
    assert len(aws.jobs) == 20


def test_after_a_cancel_every_delete_is_answered_within_minutes() -> None:
    """Twenty exports, of which the quota lets none start, and a function that runs five times at once."""
    aws = Aws(1, quota=0, concurrency=5)
    wanted = {str(number): export(number) for number in range(20)}
    assert not aws.deploy(wanted, cancel_after=20 * MINUTE)
    check(aws)
    deletes = [request for request in aws.requests if request.kind == "Delete"]
    assert len(deletes) == 20
    assert max(request.ended - request.sent for request in deletes) < 10 * MINUTE
    assert aws.jobs == {}


@pytest.mark.parametrize("repaired", ["", "arn:aws:iam::123456789012:role/repaired"])
def test_a_job_that_failed_in_a_later_link_is_tried_again_by_the_next_deployment_and_only_by_it(repaired: str) -> None:
    aws = Aws(1)
    plans = [(LINK_SECONDS + 600.0, True), (LINK_SECONDS + 600.0, False)]
    aws.plan = lambda: plans.pop(0)
    assert not aws.deploy({"0": export(0, hours=3)}, rollback=False)
    assert len(aws.jobs) == 1
    aws.time.run(lambda: False, 10 * MINUTE)
    changes = {"RoleArn": repaired} if repaired else {}
    assert aws.deploy({"0": export(0, hours=3, **changes)})
    assert len(aws.jobs) == 2
    check(aws)


def test_a_rollback_joins_a_job_that_failed_after_nobody_waited_for_it() -> None:
    aws = Aws(1)
    plans = [(600.0, True), (10.0, True)]
    aws.plan = lambda: plans.pop(0)
    assert aws.deploy({"0": export(0, Wait="false")})
    aws.time.run(lambda: False, HOUR)
    assert not aws.deploy({"0": export(0, Generation="2")})
    check(aws)
    assert len(aws.jobs) == 2
    assert [(one.kind, one.rollback, one.status) for one in aws.requests] == [
        ("Create", False, "SUCCESS"),
        ("Update", False, "FAILED"),
        ("Update", True, "SUCCESS"),
    ]
