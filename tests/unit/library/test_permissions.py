"""The policy documents as such: order, duplicates and size."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cdk_personalize_export._permissions import (
    Action,
    Document,
    FunctionPolicy,
    Needs,
    Statement,
    allow,
    document,
    readable,
    statement,
)

NEEDS = Needs(dataset_arn="arn:dataset", job_arn="arn:job-*", role_arn="arn:role", tags=False)


def grown(*needs: Needs, base: list[Statement] | None = None) -> tuple[FunctionPolicy, Document]:
    """Return a policy that allows all of `needs`, and the document it stands for."""
    policy, resources = FunctionPolicy(base or []), dict[Action, list[str]]()
    for one in needs:
        for action, arns in policy.add(policy.missing(one.grants())).items():
            resources.setdefault(action, []).extend(arns)
    return policy, document([*(base or []), *(statement(action, arns) for action, arns in resources.items())])


def size(written: Document) -> int:
    return len(json.dumps(written, separators=(",", ":")))


def test_policy_allows_what_was_added_and_nothing_else() -> None:
    policy, _ = grown(NEEDS)
    assert policy.missing(NEEDS.grants()) == []
    create, describe = "personalize:CreateDatasetExportJob", "personalize:DescribeDatasetExportJob"
    assert policy.missing(Needs("arn:other", "arn:job-*", "arn:role", tags=False).grants()) == [(create, "arn:other")]
    assert policy.missing(Needs("arn:dataset", "arn:other-*", "arn:role", tags=False).grants()) == [
        (create, "arn:other-*"),
        (describe, "arn:other-*"),
    ]
    assert policy.missing(Needs("arn:dataset", "arn:job-*", "arn:other", tags=False).grants()) == [
        ("iam:PassRole", "arn:other")
    ]
    assert policy.missing(Needs("arn:dataset", "arn:job-*", "arn:role", tags=True).grants()) == [
        ("personalize:TagResource", "arn:job-*")
    ]


def test_adding_twice_changes_nothing() -> None:
    once, twice = grown(NEEDS), grown(NEEDS, NEEDS)
    assert once[1] == twice[1]
    assert once[0].characters == twice[0].characters


def test_order_is_that_of_first_use() -> None:
    _, written = grown(*(Needs(f"arn:{name}", "arn:job-*", "arn:role", tags=False) for name in ("b", "a", "c", "a")))
    assert written["Statement"][0]["Resource"] == ["arn:b", "arn:job-*", "arn:a", "arn:c"]


def test_role_may_be_passed_to_personalize_only() -> None:
    _, written = grown(NEEDS)
    condition = {"StringEquals": {"iam:PassedToService": "personalize.amazonaws.com"}}
    assert written["Statement"][-1] == allow("iam:PassRole", ["arn:role"], Condition=condition)


def test_size_counts_tokens_as_the_longest_they_may_become() -> None:
    known, _ = grown(Needs("x" * 160, "arn:" + "x" * 14, "arn:role", tags=False))
    unknown, _ = grown(Needs("${Token[Dataset.DatasetArn.12]}", "arn:${Token[AWS.Region.3]}", "arn:role", tags=False))
    assert unknown.characters == known.characters


words = st.sampled_from(["arn:a", "arn:bb", "arn:ccc"])
needs = st.builds(Needs, dataset_arn=words, job_arn=words, role_arn=words, tags=st.booleans())


@given(st.lists(needs, min_size=1))
def test_size_is_never_less_than_what_iam_counts_and_hardly_more(some: list[Needs]) -> None:
    policy, written = grown(*some, base=[allow("a:B", "*")])
    commas = 2 * len(written["Statement"])
    assert size(written) <= policy.characters <= size(written) + commas


def test_document_is_of_the_current_policy_version() -> None:
    assert document([]) == {"Version": "2012-10-17", "Statement": []}


def test_text_for_people_names_what_is_not_known_yet() -> None:
    text = "arn:${Token[AWS.Partition.1]}:s3:::${Token[TOKEN.2]}-${Token[AWS.AccountId.3]}"
    assert readable(text, "aws-cn") == "arn:aws-cn:s3:::<known after the deployment>-<AccountId>"
