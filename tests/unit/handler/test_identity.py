"""Names are stable, fit the API, and tell exports apart."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cdk_personalize_export.handler import identity

PREFIXES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,44}", fullmatch=True)
DATASET = "arn:aws-cn:personalize:cn-north-1:123456789012:dataset/shop/ITEMS"


def test_prefixes_leave_room_for_hash_and_attempt() -> None:
    assert 63 - len("-") - 12 - len("-9999") == identity.LONGEST_PREFIX
    assert identity.LONGEST_PREFIX - len("-20260102T0304") == identity.LONGEST_TICK_PREFIX


def test_the_name_of_an_export_never_changes_between_releases() -> None:
    shape = ("stack", "export", "dataset", "ALL", "s3://bucket/", "", "")
    assert identity.physical_id("Shop", *shape) == "Shop-w6shduz2rxgi"


@given(PREFIXES, st.lists(st.text(), min_size=7, max_size=7))
def test_every_name_fits_the_api(prefix: str, shape: list[str]) -> None:
    name = identity.attempt_name(identity.physical_id(prefix, *shape), identity.LAST_ATTEMPT)
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9\-_]*", name)
    assert len(name) <= 63


@given(st.lists(st.text(), min_size=7, max_size=7), st.lists(st.text(), min_size=7, max_size=7))
def test_two_shapes_share_a_name_only_when_they_are_equal(one: list[str], other: list[str]) -> None:
    assert (identity.physical_id("x", *one) == identity.physical_id("x", *other)) == (one == other)


@given(PREFIXES, st.lists(st.text(), min_size=7, max_size=7))
def test_its_own_ids_are_recognised(prefix: str, shape: list[str]) -> None:
    assert identity.is_physical_id(identity.physical_id(prefix, *shape))


def test_ids_of_other_making_are_not_taken_for_its_own() -> None:
    for foreign in ("", "Shop", "2026/01/02/[$LATEST]0123456789abcdef", "Shop-i6ny2thb662y-2", "Shop-i6ny2thb662y\n"):
        assert not identity.is_physical_id(foreign)


def test_the_first_attempt_has_the_bare_name_and_the_next_are_numbered() -> None:
    assert [identity.attempt_name("id", attempt) for attempt in (1, 2, 3)] == ["id", "id-2", "id-3"]


def test_partition_region_and_account_of_a_job_come_from_its_dataset() -> None:
    assert identity.job_arn(DATASET, "x") == "arn:aws-cn:personalize:cn-north-1:123456789012:dataset-export-job/x"
    assert identity.region_in(DATASET) == "cn-north-1"
