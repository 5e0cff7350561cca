"""The checks that need no construct: names, prefixes and ARNs taken apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk_personalize_export import _checks
from cdk_personalize_export._environment import STACK_HASH_CHARACTERS
from cdk_personalize_export.handler import identity, schedule

JOB_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]*")


@given(stack=st.text(max_size=80), export=st.text(max_size=80), scheduled=st.booleans())
def test_default_job_name_prefix_is_always_accepted(stack: str, export: str, *, scheduled: bool) -> None:
    part = f"{_checks.job_name_part(stack, _checks.STACK_PART_CHARACTERS)}-{'f' * STACK_HASH_CHARACTERS}"
    prefix = _checks.default_job_name_prefix(part, export, scheduled=scheduled)
    assert JOB_NAME.fullmatch(prefix)
    assert prefix.startswith(f"{part}-"), "the wildcard of the function's policy is made of the stack's part"
    _checks.check_job_name_prefix(prefix, scheduled=scheduled)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Prod", "Prod"),
        ("Live/Exports", "Live-Exports"),
        ("--_a b", "a-b"),
        ("ends here/////////////////", "ends-here"),
        ("データ", "export"),
        ("", "export"),
    ],
)
def test_part_of_a_job_name(text: str, part: str) -> None:
    assert _checks.job_name_part(text, 24) == part


def test_longest_job_name_fits() -> None:
    stack = _checks.STACK_PART_CHARACTERS + len("-") + STACK_HASH_CHARACTERS
    assert stack + len("-") + _checks.EXPORT_PART_CHARACTERS == _checks.JOB_NAME_PREFIX_CHARACTERS
    assert _checks.JOB_NAME_PREFIX_CHARACTERS + len("-") + 12 + len("-") + 4 == _checks.JOB_NAME_CHARACTERS
    assert len("-20261125T0300") == _checks.SCHEDULED_TIME_CHARACTERS


def test_function_takes_of_a_schedule_what_is_allowed_here() -> None:
    longest = _checks.JOB_NAME_PREFIX_CHARACTERS - _checks.SCHEDULED_TIME_CHARACTERS
    assert longest == identity.LONGEST_TICK_PREFIX
    assert schedule.LONGEST_WAIT_SECONDS == _checks.MAX_WAIT_SECONDS


def test_dataset_arn_is_taken_apart() -> None:
    text = "arn:aws-cn:personalize:cn-north-1:123456789012:dataset/my_movies-2/USERS"
    assert _checks.dataset_arn(text) == _checks.DatasetArn(
        text, "aws-cn", "cn-north-1", "123456789012", "my_movies-2", "USERS"
    )


def test_dataset_arn_with_a_token_is_not_taken_apart() -> None:
    assert _checks.dataset_arn("${Token[Dataset.Arn.1]}") is None


@given(st.text(alphabet="abc/.*-=", max_size=20))
def test_prefix_accepted_is_empty_or_ends_in_one_slash(prefix: str) -> None:
    try:
        result = _checks.destination_prefix(prefix)
    except ValueError:
        return
    assert result == "" or (result.endswith("/") and not result.endswith("//") and not result.startswith("/"))
    assert "*" not in result
