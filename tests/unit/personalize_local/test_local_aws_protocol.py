"""The wire: JSON 1.1 for Personalize, REST-JSON for its events, errors never a traceback."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from personalize_local import LocalAws


def request(  # noqa: PLR0913, PLR0917 - the parts of a request
    aws: LocalAws, path: str, body: bytes, headers: dict[str, str], method: str = "POST", region: str | None = None
) -> tuple[int, Any]:
    """Send a request that the root user signed, whatever its body is."""
    exports = aws.exports()
    credentials = Credentials(exports["AWS_ACCESS_KEY_ID"], exports["AWS_SECRET_ACCESS_KEY"])
    signed = AWSRequest(method, aws.endpoint + path, data=body, headers=headers)
    SigV4Auth(credentials, "personalize", region or aws.region).add_auth(signed)
    sent = urllib.request.Request(aws.endpoint + path, data=body, method=method)  # noqa: S310 - the local AWS
    for name, value in signed.headers.items():
        sent.add_header(name, value)
    try:
        with urllib.request.urlopen(sent) as response:  # noqa: S310 - the local AWS
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {**json.loads(error.read()), "content-type": error.headers["Content-Type"]}


def test_an_error_is_json_1_1_with_status_400(aws: LocalAws) -> None:
    arn = "arn:aws:personalize:us-east-1:000000000000:schema/none"
    target = {"X-Amz-Target": "AmazonPersonalize.DescribeSchema"}
    status, error = request(aws, "/", json.dumps({"schemaArn": arn}).encode(), target)
    assert (status, error["__type"]) == (400, "ResourceNotFoundException")
    assert arn in error["message"]
    assert error["content-type"] == "application/x-amz-json-1.1"


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_malformed_body_is_an_error_of_the_caller(aws: LocalAws, body: bytes) -> None:
    status, error = request(aws, "/", body, {"X-Amz-Target": "AmazonPersonalize.ListSchemas"})
    assert (status, error["__type"]) == (400, "SerializationException")


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("CreateDatasetGroup", '{"name": "g", "tags": 5}'),
        ("CreateDatasetGroup", '{"name": "g", "tags": [true]}'),
        ("TagResource", '{"resourceArn": "arn", "tags": true}'),
        ("UntagResource", '{"resourceArn": "arn", "tagKeys": 1.5}'),
        ("CreateDatasetExportJob", '{"jobName": "j", "roleArn": 5}'),
        ("ListSchemas", DEEP),
        ("ListSchemas", f'{{"x": {DEEP}}}'),
        ("CreateDatasetGroup", '{"name": "\\ud800"}'),
    ],
)
def test_members_of_a_wrong_type_are_an_error_of_the_caller(aws: LocalAws, operation: str, body: str) -> None:
    status, error = request(aws, "/", body.encode(), {"X-Amz-Target": f"AmazonPersonalize.{operation}"})
    assert (status, error["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize("properties", ['{"a": "\\ud800"}', DEEP])
def test_properties_that_can_not_be_kept_are_refused_as_a_rest_api_does(
    world: Any, aws: LocalAws, properties: str
) -> None:
    dataset = world.make_dataset(records=False)
    body = json.dumps({"datasetArn": dataset, "items": [{"itemId": "i", "properties": properties[:30_000]}]}).encode()
    status, error = request(aws, "/items", body, {})
    assert (status, error["__type"]) == (400, "InvalidInputException")
    assert error["content-type"] == "application/json"


def test_unknown_region_is_refused(aws: LocalAws) -> None:
    headers = {"X-Amz-Target": "AmazonPersonalize.ListSchemas"}
    status, error = request(aws, "/", b"{}", headers, region="mars-north-1")
    assert (status, error["__type"]) == (400, "InvalidSignatureException")
    assert "is not in mars-north-1" in error["message"]


def test_arns_of_china_have_its_partition(aws: LocalAws) -> None:
    headers = {"X-Amz-Target": "AmazonPersonalize.CreateDatasetGroup"}
    _, answer = request(aws, "/", b'{"name": "group"}', headers, region="cn-north-1")
    assert b"arn:aws-cn:personalize:cn-north-1:000000000000:dataset-group/group" in answer


@pytest.mark.parametrize("operation", ["DeleteDatasetExportJob", "__class__", ""])
def test_an_operation_that_does_not_exist_is_unknown(aws: LocalAws, operation: str) -> None:
    status, error = request(aws, "/", b"{}", {"X-Amz-Target": f"AmazonPersonalize.{operation}"})
    assert status in {400, 404}
    assert error["__type"] == "UnknownOperationException"


def test_an_unknown_path_of_the_events_api_is_unknown(aws: LocalAws) -> None:
    assert request(aws, "/nothing", b"{}", {})[1]["__type"] == "UnknownOperationException"


def test_faults_that_are_none_are_refused_in_words(aws: LocalAws) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        aws._request("POST", "faults", b'[{"operation": 1}]')
    with caught.value as answer:
        assert answer.code == 400
        assert "operation" in json.loads(answer.read())["message"]


def test_events_items_and_users_reach_the_datasets(world: Any, aws: LocalAws) -> None:
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset(records=False)
    group = dataset.replace(":dataset/", ":dataset-group/").rsplit("/", 1)[0]
    tracker = world.personalize.create_event_tracker(name=world.name, datasetGroupArn=group)
    describe = world.personalize.describe_event_tracker
    world.until_active(lambda: describe(eventTrackerArn=tracker["eventTrackerArn"])["eventTracker"])
    aws.client("personalize-events").put_events(
        trackingId=tracker["trackingId"],
        userId="u9",
        sessionId="s",
        eventList=[{"eventType": "view", "itemId": "i9", "sentAt": 1600000009}],
    )
    assert world.export(dataset)["status"] == "ACTIVE"
    assert "u9,i9,1600000009" in world.exported("out/")
