"""What surrounds the operations: tags of any resource, and Regions."""

from __future__ import annotations

from typing import Any

import pytest

from personalize_local.service import ApiError, Caller


def test_tags_of_any_resource_are_known_by_its_arn(world: Any) -> None:
    tags = [{"tagKey": "team", "tagValue": "shop"}]
    group = world.call("CreateDatasetGroup", name="tagged", tags=tags)["datasetGroupArn"]
    assert world.service.tags_of(group, world.caller) == {"team": "shop"}
    assert world.service.tags_of(world.group("untagged"), world.caller) == {}
    assert world.service.tags_of(group + "s", world.caller) is None


def test_tagged_resources_of_an_account_and_region_are_known(world: Any) -> None:
    tags = [{"tagKey": "team", "tagValue": "shop"}]
    group = world.call("CreateDatasetGroup", name="tagged", tags=tags)["datasetGroupArn"]
    world.group("untagged")
    elsewhere = Caller("000000000000", "eu-west-1")
    assert world.service.tagged(world.caller) == {group: {"team": "shop"}}
    assert world.service.tagged(elsewhere) == {}


@pytest.mark.parametrize(
    ("region", "arn"),
    [
        ("us-east-1", "arn:aws:personalize:us-east-1:000000000000:dataset-group/group"),
        ("cn-north-1", "arn:aws-cn:personalize:cn-north-1:000000000000:dataset-group/group"),
    ],
)
def test_partition_and_region_of_an_arn_follow_the_region(world: Any, region: str, arn: str) -> None:
    world.caller = Caller.of("000000000000", region)
    assert world.group() == arn
    assert world.caller.arn == arn.split(":personalize", maxsplit=1)[0] + ":iam::000000000000:root"


@pytest.mark.parametrize("region", ["mars-north-1", "us-east-9", ""])
def test_unknown_region_is_refused(region: str) -> None:
    with pytest.raises(ApiError) as refused:
        Caller.of("000000000000", region)
    assert refused.value.code == "InvalidSignatureException"
    assert refused.value.message.startswith(
        "Credential should be scoped to a valid region: Amazon Personalize is not in"
    )
    assert "eu-west-1" in refused.value.message
