"""Lists come in pages; tags come and go."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 12), size=st.integers(1, 13))
def test_pages_hold_every_resource_once(new_world: Any, count: int, size: int) -> None:
    world = new_world()
    expected = [world.schema("Items", f"s{number}") for number in range(count)]
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = world.call("ListSchemas", maxResults=size, **token)
        assert len(page["schemas"]) <= size
        found += [schema["schemaArn"] for schema in page["schemas"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert found == expected


def test_page_goes_on_where_it_ended_when_resources_come_and_go(world: Any) -> None:
    arns = [world.schema("Items", f"s{number}") for number in range(4)]
    page = world.call("ListSchemas", maxResults=2)
    world.call("DeleteSchema", schemaArn=arns[0])
    last = world.schema("Items", "last")
    rest = world.call("ListSchemas", nextToken=page["nextToken"])
    assert [schema["schemaArn"] for schema in rest["schemas"]] == [*arns[2:], last]


def test_token_is_good_only_for_its_own_question(world: Any, interactions: str) -> None:
    for number in range(2):
        world.start_export(interactions, f"job{number}")
    token = world.call("ListDatasetExportJobs", maxResults=1)["nextToken"]
    for operation, params in (
        ("ListDatasetImportJobs", {"nextToken": token}),
        ("ListDatasetExportJobs", {"nextToken": token, "datasetArn": interactions}),
        ("ListDatasetExportJobs", {"nextToken": "nonsense"}),
        ("ListDatasetExportJobs", {"nextToken": base64.urlsafe_b64encode(b"1").decode()}),
        ("ListDatasetExportJobs", {"nextToken": base64.urlsafe_b64encode(b"\xff").decode()}),
    ):
        refused = world.refusal(operation, **params)
        assert (refused.code, refused.message) == ("InvalidNextTokenException", "The token is not valid.")


def test_lists_show_summaries_of_the_given_parent(world: Any) -> None:
    first, second = world.group("first"), world.group("second")
    items = world.dataset("Items", group=first)
    users = world.dataset("Users", group=second)
    assert [d["datasetArn"] for d in world.call("ListDatasets")["datasets"]] == [items, users]
    assert world.call("ListDatasets", datasetGroupArn=second)["datasets"] == [
        {
            "name": "Users",
            "datasetArn": users,
            "datasetType": "USERS",
            "status": "ACTIVE",
            "creationDateTime": 4000.0,
            "lastUpdatedDateTime": 4005.0,
        }
    ]
    world.tracker(first)
    assert len(world.call("ListEventTrackers", datasetGroupArn=first)["eventTrackers"]) == 1
    assert world.call("ListEventTrackers", datasetGroupArn=second)["eventTrackers"] == []
    names = [group["name"] for group in world.call("ListDatasetGroups")["datasetGroups"]]
    assert names == ["first", "second"]


def test_list_of_jobs_shows_no_role_output_or_dataset(world: Any, interactions: str) -> None:
    arn = world.start_export(interactions)
    assert world.call("ListDatasetExportJobs", datasetArn=interactions)["datasetExportJobs"] == [
        {
            "datasetExportJobArn": arn,
            "jobName": "export",
            "status": "CREATE PENDING",
            "creationDateTime": 3000.0,
            "lastUpdatedDateTime": 3000.0,
        }
    ]
    world.start_import(interactions, "s3://source/none")
    [job] = world.call("ListDatasetImportJobs", datasetArn=interactions)["datasetImportJobs"]
    assert job["importMode"] == "FULL"
    other = interactions.replace("INTERACTIONS", "ITEMS")
    assert world.call("ListDatasetExportJobs", datasetArn=other) == {"datasetExportJobs": []}


def test_tags_are_given_merged_and_removed(world: Any, interactions: str) -> None:
    arn = world.start_export(interactions, tags=[{"tagKey": "team", "tagValue": "data"}])
    assert "tags" not in world.export_job(arn)
    assert (
        world.call(
            "TagResource",
            resourceArn=arn,
            tags=[{"tagKey": "team", "tagValue": "ml"}, {"tagKey": "cost", "tagValue": ""}],
        )
        == {}
    )
    assert world.call("ListTagsForResource", resourceArn=arn)["tags"] == [
        {"tagKey": "team", "tagValue": "ml"},
        {"tagKey": "cost", "tagValue": ""},
    ]
    assert world.call("UntagResource", resourceArn=arn, tagKeys=["team", "unknown"]) == {}
    assert world.call("ListTagsForResource", resourceArn=arn)["tags"] == [{"tagKey": "cost", "tagValue": ""}]


def many_tags(count: int) -> list[dict[str, str]]:
    return [{"tagKey": f"k{number}", "tagValue": "v"} for number in range(count)]


@pytest.mark.parametrize(
    ("tags", "code", "text"),
    [
        (many_tags(51), "TooManyTagsException", "A resource can have at most 50 tags."),
        ([*many_tags(1), *many_tags(1)], "InvalidInputException", "A tag key must not occur twice."),
        ([{"tagKey": "aws:x", "tagValue": ""}], "InvalidInputException", "The prefix aws: is reserved: aws:x."),
    ],
)
def test_tags_that_can_not_be_are_refused_and_nothing_is_made(
    world: Any, interactions: str, tags: list[dict[str, str]], code: str, text: str
) -> None:
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(interactions, tags=tags))
    assert (refused.code, refused.message) == (code, text)
    assert world.call("ListDatasetExportJobs") == {"datasetExportJobs": []}


def test_fifty_tags_are_enough(world: Any) -> None:
    arn = world.call("CreateDatasetGroup", name="g", tags=many_tags(50))["datasetGroupArn"]
    refused = world.refusal("TagResource", resourceArn=arn, tags=[{"tagKey": "more", "tagValue": ""}])
    assert refused.code == "TooManyTagsException"
    assert len(world.call("ListTagsForResource", resourceArn=arn)["tags"]) == 50


def test_schema_has_no_tags(world: Any) -> None:
    arn = world.schema("Items")
    refused = world.refusal("TagResource", resourceArn=arn, tags=[])
    assert (refused.code, refused.message) == ("InvalidInputException", f"A schema can not be tagged: {arn}.")
