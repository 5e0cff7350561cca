"""Malformed requests are refused as the model says."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from personalize_local.service import ApiError

DATASET = "arn:aws:personalize:us-east-1:000000000000:dataset/group/INTERACTIONS"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"jobName": "no spaces"},
            (
                "Value 'no spaces' at 'jobName' failed to satisfy constraint: "
                r"Member must satisfy regular expression pattern: ^[a-zA-Z0-9][a-zA-Z0-9\-_]*"
            ),
        ),
        (
            {"jobName": "x" * 64},
            (
                f"Value '{'x' * 64}' at 'jobName' failed to satisfy constraint: "
                "Member must have length less than or equal to 63"
            ),
        ),
        (
            {"datasetArn": None},
            "Value null at 'datasetArn' failed to satisfy constraint: Member must not be null",
        ),
        (
            {"ingestionMode": "SOME"},
            (
                "Value 'SOME' at 'ingestionMode' failed to satisfy constraint: "
                "Member must satisfy enum value set: [BULK, PUT, ALL]"
            ),
        ),
        (
            {"jobOutput": {"s3DataDestination": {}}},
            "Value null at 'jobOutput.s3DataDestination.path' failed to satisfy constraint: Member must not be null",
        ),
        (
            {"jobOutput": {"s3DataDestination": {"path": "s3://b/p", "kmsKeyArn": "alias/key"}}},
            (
                "Value 'alias/key' at 'jobOutput.s3DataDestination.kmsKeyArn' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: arn:aws.*:kms:.*:[0-9]{12}:key/.*"
            ),
        ),
        (
            {"tags": [{"tagKey": "secret?", "tagValue": ""}]},
            (
                "Value at 'tags.1.member.tagKey' failed to satisfy constraint: "
                r"Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"
            ),
        ),
    ],
)
def test_violated_constraint_is_named_with_its_place(world: Any, change: dict[str, Any], text: str) -> None:
    refused = world.refusal("CreateDatasetExportJob", **{**world.export_request(DATASET), **change})
    assert (refused.code, refused.status) == ("InvalidInputException", 400)
    assert refused.message == f"1 validation error detected: {text}"


def test_every_violation_is_counted(world: Any) -> None:
    refused = world.refusal("CreateSchema", name="")
    assert refused.message == (
        "3 validation errors detected: "
        "Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1; "
        "Value '' at 'name' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: ^[a-zA-Z0-9][a-zA-Z0-9\-_]*; "
        "Value null at 'schema' failed to satisfy constraint: Member must not be null"
    )


@pytest.mark.parametrize(("size", "rule"), [(0, "greater than or equal to 1"), (101, "less than or equal to 100")])
def test_page_size_has_limits(world: Any, size: int, rule: str) -> None:
    refused = world.refusal("ListSchemas", maxResults=size)
    assert refused.message == (
        f"1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy constraint: "
        f"Member must have value {rule}"
    )


@pytest.mark.parametrize(
    ("operation", "params", "text"),
    [
        ("CreateSchema", {"name": 1, "schema": "{}"}, "The value at 'name' is not a string."),
        ("ListSchemas", {"maxResults": True}, "The value at 'maxResults' is not a integer."),
        ("ListSchemas", {"maxResults": "5"}, "The value at 'maxResults' is not a integer."),
        ("TagResource", {"resourceArn": DATASET, "tags": {}}, "The value at 'tags' is not a list."),
        ("TagResource", {"resourceArn": DATASET, "tags": [1]}, "The value at 'tags.1.member' is not a structure."),
        (
            "CreateDatasetImportJob",
            {"publishAttributionMetricsToS3": "yes"},
            "The value at 'publishAttributionMetricsToS3' is not a boolean.",
        ),
    ],
)
def test_wrong_type_can_not_be_read(world: Any, operation: str, params: dict[str, Any], text: str) -> None:
    refused = world.refusal(operation, **params)
    assert (refused.code, refused.message) == ("SerializationException", text)


def test_request_that_is_no_structure_can_not_be_read(world: Any) -> None:
    with pytest.raises(ApiError, match="The value at 'the request' is not a structure") as refused:
        world.service.call("ListSchemas", [], world.caller)
    assert refused.value.code == "SerializationException"


def test_unknown_members_are_ignored(world: Any) -> None:
    assert world.call("ListSchemas", somethingNew=1) == {"schemas": []}


def test_unknown_operation_is_refused(world: Any) -> None:
    assert world.refusal("CreateUnicorn").code == "UnknownOperationException"
    refused = world.refusal("CreateSolution", name="x")
    assert refused.message == (
        "CreateSolution is not in the local Personalize, which has datasets, their jobs and their events only."
    )


def test_tag_values_may_hold_letters_of_any_language(world: Any) -> None:
    arn = world.call("CreateDatasetGroup", name="g", tags=[{"tagKey": "Größe", "tagValue": "数 1"}])["datasetGroupArn"]
    assert world.call("ListTagsForResource", resourceArn=arn)["tags"] == [{"tagKey": "Größe", "tagValue": "数 1"}]


def test_time_of_an_event_may_be_a_datetime(world: Any) -> None:
    group = world.group()
    dataset = world.dataset(group=group)
    when = datetime(2026, 1, 2, tzinfo=timezone.utc)
    event = {"eventType": "view", "itemId": "i", "sentAt": when}
    world.call("PutEvents", trackingId=world.tracker(group), userId="u", sessionId="s", eventList=[event])
    assert world.export(dataset)[0]["TIMESTAMP"] == str(int(when.timestamp()))
