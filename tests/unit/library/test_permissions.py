"""The policy documents as such: order, duplicates and size."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cdk_personalize_export._permissions import FunctionPolicy, Needs, allow, document, readable

NEEDS = Needs(dataset_arn="arn:dataset", job_arn="arn:job-*", role_arn="arn:role", tags=False)


def test_policy_covers_what_was_added_and_nothing_else() -> None:
    policy = FunctionPolicy().with_(NEEDS)
    assert policy.covers(NEEDS)
    assert not policy.covers(Needs("arn:other", "arn:job-*", "arn:role", tags=False))
    assert not policy.covers(Needs("arn:dataset", "arn:other-*", "arn:role", tags=False))
    assert not policy.covers(Needs("arn:dataset", "arn:job-*", "arn:other", tags=False))
    assert not policy.covers(Needs("arn:dataset", "arn:job-*", "arn:role", tags=True))


def test_adding_leaves_the_policy_before_as_it_was() -> None:
    before = FunctionPolicy()
    before.with_(NEEDS)
    assert before == FunctionPolicy()


def test_adding_twice_changes_nothing() -> None:
    once = FunctionPolicy().with_(NEEDS)
    assert once.with_(NEEDS).document() == once.document()


def test_order_is_that_of_first_use() -> None:
    policy = FunctionPolicy()
    for name in ("b", "a", "c", "a"):
        policy = policy.with_(Needs(f"arn:{name}", "arn:job-*", "arn:role", tags=False))
    assert policy.document()["Statement"][0]["Resource"] == ["arn:b", "arn:a", "arn:c", "arn:job-*"]


def test_size_counts_what_iam_counts() -> None:
    policy = FunctionPolicy(base=[allow("a:B", "*")]).with_(NEEDS)
    assert policy.characters() == len(json.dumps(policy.document(), separators=(",", ":")))


def test_size_counts_tokens_as_the_longest_they_may_become() -> None:
    known = FunctionPolicy().with_(Needs("x" * 160, "arn:" + "x" * 14, "arn:role", tags=False))
    unknown = FunctionPolicy().with_(
        Needs("${Token[Dataset.DatasetArn.12]}", "arn:${Token[AWS.Region.3]}", "arn:role", tags=False)
    )
    assert unknown.characters() == known.characters()


words = st.sampled_from(["arn:a", "arn:bb", "arn:${Token[AWS.Region.3]}", "${Token[Dataset.DatasetArn.12]}"])
needs = st.builds(Needs, dataset_arn=words, job_arn=words, role_arn=words, tags=st.booleans())


@given(st.lists(needs, min_size=1), needs)
def test_size_grows_by_no_more_than_is_said(before: list[Needs], new: Needs) -> None:
    policy = FunctionPolicy()
    for one in before:
        policy = policy.with_(one)
    assert policy.with_(new).characters() <= policy.characters() + new.characters()


def test_document_is_of_the_current_policy_version() -> None:
    assert document([]) == {"Version": "2012-10-17", "Statement": []}


def test_text_for_people_names_what_is_not_known_yet() -> None:
    text = "arn:${Token[AWS.Partition.1]}:s3:::${Token[TOKEN.2]}-${Token[AWS.AccountId.3]}"
    assert readable(text, "aws-cn") == "arn:aws-cn:s3:::<known after the deployment>-<AccountId>"
