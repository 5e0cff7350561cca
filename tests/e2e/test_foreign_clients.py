"""The AWS CLI and the AWS SDK for JavaScript do everything an export has to do with, as a user without other rights."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from clients import AwsCli, JavaScript, RefusedError

from personalize_local import LocalAws, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clients import Client

pytestmark = pytest.mark.e2e

PERSONALIZE, EVENTS = "personalize", "personalize-events"
SERVICE = "personalize.amazonaws.com"
FULL_ACCESS = "arn:aws:iam::aws:policy/service-role/AmazonPersonalizeFullAccess"
BUCKET = "shop-personalize"  # the managed policy lets its users into buckets with that word in their name
USER = "arn:aws:iam::000000000000:user/analyst"
GROUP = "arn:aws:personalize:us-east-1:000000000000:dataset-group/shop"
NULLABLE = ["null", "string"]
FIELDS: dict[str, list[dict[str, Any]]] = {
    "Interactions": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
        {"name": "EVENT_TYPE", "type": "string"},
        {"name": "DEVICE", "type": NULLABLE, "categorical": True},
    ],
    "Items": [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": NULLABLE, "categorical": True},
        {"name": "TITLE", "type": NULLABLE},
    ],
    "Users": [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": ["null", "int"]}],
}
IMPORTED: dict[str, list[tuple[str, ...]]] = {
    "Interactions": [
        (f"u{n % 40}", f"i{n % 60}", str(1_600_000_000 + n), "buy" if n % 7 == 0 else "view", "") for n in range(1000)
    ],
    "Items": [(f"i{n}", "drama|comedy", f'The "{n}", again \\o/ ü') for n in range(60)],
    "Users": [(f"u{n}", str(20 + n)) for n in range(40)],
}
SENT: dict[str, list[tuple[str, ...]]] = {
    "Interactions": [("u1", "i1", "1700000000", "view", ""), ("u1", "i2", "1700000001", "buy", "phone")],
    "Items": [("i1", "put", ""), ("i99", "", "New")],
    "Users": [("u99", "99")],
}
EXPORTS = {
    "all": ("Interactions", "ALL"),
    "bulk": ("Interactions", "BULK"),
    "put": ("Interactions", "PUT"),
    "items": ("Items", "ALL"),
    "users": ("Users", "ALL"),
}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def prepare(aws: LocalAws) -> tuple[str, dict[str, str]]:
    """Make what an administrator does, as the guide has it; return the role and the environment of the user."""
    iam, s3 = aws.client("iam"), aws.client("s3")
    service = {"Service": SERVICE}
    bucket, objects = f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"
    access: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket},
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": objects},
    ]
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(*({**one, "Principal": service} for one in access)))
    trust = policy({"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"})
    role: str = iam.create_role(RoleName="personalize", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName="personalize", PolicyName="data", PolicyDocument=policy(*access))
    iam.create_user(UserName="analyst")
    iam.attach_user_policy(UserName="analyst", PolicyArn=FULL_ACCESS)
    denied = {"Effect": "Deny", "Action": "personalize:CreateDataDeletionJob", "Resource": "*"}
    iam.put_user_policy(UserName="analyst", PolicyName="keep", PolicyDocument=policy(denied))
    key = iam.create_access_key(UserName="analyst")["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    return role, {**aws.environment(), **keys}


@dataclass(frozen=True)
class Shop:
    """A client, and the dataset group it has made: three datasets, imported, with events, exported."""

    client: Client
    role: str
    schemas: dict[str, str]
    datasets: dict[str, str]
    tracker: dict[str, str]
    jobs: dict[str, str]

    def call(self, operation: str, **params: Any) -> Any:
        return self.client.call(PERSONALIZE, operation, **params)

    def refusal(self, service: str, operation: str, **params: Any) -> RefusedError:
        with pytest.raises(RefusedError) as refused:
            self.client.call(service, operation, **params)
        return refused.value


def make_shop(client: Client, role: str) -> Shop:
    names = [*FIELDS]
    schemas = made(client, "CreateSchema", "schemaArn", [{"name": name, "schema": schema(name)} for name in names])
    tags = [{"tagKey": "team", "tagValue": "data"}]
    assert client.call(PERSONALIZE, "CreateDatasetGroup", name="shop", tags=tags) == {"datasetGroupArn": GROUP}
    until_active(client, "DatasetGroup", 1)
    wanted = [
        {"name": name, "schemaArn": arn, "datasetGroupArn": GROUP, "datasetType": name}
        for name, arn in zip(names, schemas, strict=True)
    ]
    datasets = made(client, "CreateDataset", "datasetArn", wanted)
    tracker = client.call(PERSONALIZE, "CreateEventTracker", name="site", datasetGroupArn=GROUP)
    client.upload(BUCKET, {f"{name}.csv": as_csv(name) for name in names})
    until_active(client, "Dataset", 3)
    imports = [
        {
            "jobName": name,
            "datasetArn": arn,
            "roleArn": role,
            "dataSource": {"dataLocation": f"s3://{BUCKET}/{name}.csv"},
        }
        for name, arn in zip(names, datasets, strict=True)
    ]
    made(client, "CreateDatasetImportJob", "datasetImportJobArn", imports)
    until_active(client, "DatasetImportJob", 3)
    until_active(client, "EventTracker", 1)
    arns = dict(zip(names, datasets, strict=True))
    send(client, tracker["trackingId"], arns)
    exports = [
        {
            "jobName": name,
            "datasetArn": arns[dataset],
            "ingestionMode": mode,
            "roleArn": role,
            "jobOutput": {"s3DataDestination": {"path": f"s3://{BUCKET}/out/{name}/"}},
        }
        for name, (dataset, mode) in EXPORTS.items()
    ]
    jobs = made(client, "CreateDatasetExportJob", "datasetExportJobArn", exports)
    until_active(client, "DatasetExportJob", 5)
    return Shop(
        client, role, dict(zip(names, schemas, strict=True)), arns, tracker, dict(zip(EXPORTS, jobs, strict=True))
    )


def schema(name: str) -> str:
    namespace = "com.amazonaws.personalize.schema"
    return json.dumps(
        {"type": "record", "name": name, "namespace": namespace, "fields": FIELDS[name], "version": "1.0"}
    )


def as_csv(name: str) -> str:
    """Write a file as the guide asks for it: text in double quotes, a backslash before quotes and backslashes."""
    file = io.StringIO()
    writer = csv.writer(file, escapechar="\\", doublequote=False, lineterminator="\n")
    writer.writerows([[field["name"] for field in FIELDS[name]], *IMPORTED[name]])
    return file.getvalue()


def made(client: Client, operation: str, member: str, requests: list[dict[str, Any]]) -> list[str]:
    """Create some resources; return their ARNs."""
    return [answer[member] for answer in client.calls(*((PERSONALIZE, operation, request) for request in requests))]


def until_active(client: Client, kind: str, number: int) -> None:
    """Wait until there are so many resources of a kind, and all of them are active."""
    member = f"{kind[0].lower()}{kind[1:]}s"
    deadline = time.monotonic() + 60
    states: list[str] = []
    while states != ["ACTIVE"] * number:
        assert "CREATE FAILED" not in states
        assert time.monotonic() < deadline, states
        states = [found["status"] for found in client.call(PERSONALIZE, f"List{kind}s")[member]]


def send(client: Client, tracking_id: str, datasets: dict[str, str]) -> None:
    """Send records one by one."""
    events = [
        {"eventType": "view", "itemId": "i1", "sentAt": 1_700_000_000},
        {"eventType": "buy", "itemId": "i2", "sentAt": 1_700_000_001, "properties": '{"device": "phone"}'},
    ]
    items = [
        {"itemId": "i1", "properties": '{"genres": "put"}'},
        {"itemId": "i99", "properties": '{"title": "New"}'},
    ]
    users = [{"userId": "u99", "properties": '{"AGE": 99}'}]
    client.calls(
        (EVENTS, "PutEvents", {"trackingId": tracking_id, "sessionId": "s", "userId": "u1", "eventList": events}),
        (EVENTS, "PutItems", {"datasetArn": datasets["Items"], "items": items}),
        (EVENTS, "PutUsers", {"datasetArn": datasets["Users"], "users": users}),
    )


@pytest.fixture(scope="module", params=[AwsCli, JavaScript], ids=["aws-cli", "javascript"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """What a client makes on a local AWS of its own, in a few seconds."""
    settings = Settings(job_seconds=0.2, resource_seconds=0.1, active_schemas=3)
    with LocalAws(iam=True, settings=settings) as aws:
        role, environment = prepare(aws)
        client: Client = request.param(environment, tmp_path_factory.mktemp("client"))
        try:
            yield make_shop(client, role)
        finally:
            client.close()


@pytest.fixture(scope="module")
def exported(shop: Shop) -> dict[str, str]:
    """Everything that was exported, read back by the client."""
    return shop.client.download(BUCKET, "out/")


def rows(exported: dict[str, str], name: str, dataset: str) -> list[tuple[str, ...]]:
    """Return the rows of an export."""
    found: list[tuple[str, ...]] = []
    for key, text in exported.items():
        if key.startswith(f"out/{name}/") and not key.rpartition("/")[2].startswith("_"):
            header, *others = csv.reader(io.StringIO(text), escapechar="\\", doublequote=False)
            assert header == [field["name"] for field in FIELDS[dataset]]
            found += map(tuple, others)
    return found


@pytest.mark.parametrize("name", ["all", "bulk", "put"])
def test_each_mode_exports_the_interactions_it_selects(shop: Shop, exported: dict[str, str], name: str) -> None:
    there = {"bulk": IMPORTED["Interactions"], "put": SENT["Interactions"]}
    expected = there.get(name) or there["bulk"] + there["put"]
    assert sorted(rows(exported, name, "Interactions")) == sorted(expected)
    job = shop.call("DescribeDatasetExportJob", datasetExportJobArn=shop.jobs[name])["datasetExportJob"]
    assert (job["jobName"], job["ingestionMode"], job["status"]) == (name, name.upper(), "ACTIVE")
    assert (job["datasetArn"], job["roleArn"]) == (shop.datasets["Interactions"], shop.role)
    assert job["jobOutput"] == {"s3DataDestination": {"path": f"s3://{BUCKET}/out/{name}/"}}


@pytest.mark.parametrize("dataset", ["Items", "Users"])
def test_items_and_users_are_exported_in_their_newest_version(exported: dict[str, str], dataset: str) -> None:
    newest = {row[0]: row for row in IMPORTED[dataset] + SENT[dataset]}
    assert sorted(rows(exported, dataset.lower(), dataset)) == sorted(newest.values())


def test_lists_are_read_page_by_page(shop: Shop) -> None:
    jobs = shop.client.pages(PERSONALIZE, "ListDatasetExportJobs", 2, "datasetExportJobs")
    assert {job["datasetExportJobArn"] for job in jobs} == set(shop.jobs.values())
    assert {job["status"] for job in jobs} == {"ACTIVE"}
    groups, datasets, schemas, imports = shop.client.calls(
        (PERSONALIZE, "ListDatasetGroups", {}),
        (PERSONALIZE, "ListDatasets", {"datasetGroupArn": GROUP}),
        (PERSONALIZE, "ListSchemas", {}),
        (PERSONALIZE, "ListDatasetImportJobs", {"datasetArn": shop.datasets["Users"]}),
    )
    assert [group["name"] for group in groups["datasetGroups"]] == ["shop"]
    assert {one["datasetType"]: one["datasetArn"] for one in datasets["datasets"]} == {
        name.upper(): arn for name, arn in shop.datasets.items()
    }
    assert {one["name"]: one["schemaArn"] for one in schemas["schemas"]} == shop.schemas
    assert [job["jobName"] for job in imports["datasetImportJobs"]] == ["Users"]


def test_what_was_made_is_described(shop: Shop) -> None:
    found, tracker = shop.client.calls(
        (PERSONALIZE, "DescribeSchema", {"schemaArn": shop.schemas["Items"]}),
        (PERSONALIZE, "DescribeEventTracker", {"eventTrackerArn": shop.tracker["eventTrackerArn"]}),
    )
    assert json.loads(found["schema"]["schema"])["fields"] == FIELDS["Items"]
    assert tracker["eventTracker"]["trackingId"] == shop.tracker["trackingId"]
    assert tracker["eventTracker"]["accountId"] == "000000000000"


def test_tags_are_set_read_and_removed(shop: Shop) -> None:
    def tags() -> dict[str, str]:
        found = shop.call("ListTagsForResource", resourceArn=GROUP)["tags"]
        return {tag["tagKey"]: tag["tagValue"] for tag in found}

    assert tags() == {"team": "data"}
    shop.call("TagResource", resourceArn=GROUP, tags=[{"tagKey": "stage", "tagValue": "test"}])
    shop.call("UntagResource", resourceArn=GROUP, tagKeys=["team"])
    assert tags() == {"stage": "test"}


NONE = "arn:aws:personalize:us-east-1:000000000000:dataset/none/ITEMS"
ERRORS: list[tuple[str, str, dict[str, Any], str, str]] = [
    (
        PERSONALIZE,
        "DescribeDataset",
        {"datasetArn": NONE},
        "ResourceNotFoundException",
        f"Resource Arn {NONE} does not exist.",
    ),
    (
        PERSONALIZE,
        "CreateDatasetGroup",
        {"name": "shop"},
        "ResourceAlreadyExistsException",
        f"Another resource with Arn {GROUP} already exists.",
    ),
    (
        PERSONALIZE,
        "CreateSchema",
        {"name": "fourth", "schema": schema("Items")},
        "LimitExceededException",
        "Cannot create a schema. More than 3 resources in ACTIVE state. Please delete some and try again.",
    ),
    (
        PERSONALIZE,
        "DeleteDatasetGroup",
        {"datasetGroupArn": GROUP},
        "ResourceInUseException",
        f"Resource Arn {GROUP} is in use by .*",
    ),
    (
        PERSONALIZE,
        "CreateDatasetGroup",
        {"name": "!"},
        "InvalidInputException",
        (
            "1 validation error detected: Value '!' at 'name' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: .*"
        ),
    ),
    (PERSONALIZE, "ListSchemas", {"nextToken": "x"}, "InvalidNextTokenException", "The token is not valid."),
    (
        PERSONALIZE,
        "TagResource",
        {"resourceArn": GROUP, "tags": [{"tagKey": str(n), "tagValue": "x"} for n in range(51)]},
        "TooManyTagsException",
        "A resource can have at most 50 tags.",
    ),
    (
        PERSONALIZE,
        "ListSolutions",
        {},
        "UnknownOperationException",
        "ListSolutions is not in the local Personalize, which has datasets, their jobs and their events only.",
    ),
    (
        EVENTS,
        "PutItems",
        {"datasetArn": NONE, "items": [{"itemId": "i"}]},
        "ResourceNotFoundException",
        f"Resource Arn {NONE} does not exist.",
    ),
    (
        EVENTS,
        "PutEvents",
        {"trackingId": "x", "sessionId": "s", "eventList": [{"eventType": "view", "sentAt": 1}]},
        "InvalidInputException",
        "No active event tracker has the tracking id x.",
    ),
]


@pytest.mark.parametrize(("service", "operation", "params", "code", "text"), ERRORS, ids=[one[3] for one in ERRORS])
def test_errors_have_the_code_and_the_text_of_the_api(  # noqa: PLR0913, PLR0917 - the parts of a refusal
    shop: Shop, service: str, operation: str, params: dict[str, Any], code: str, text: str
) -> None:
    refused = shop.refusal(service, operation, **params)
    assert refused.code == code
    assert re.fullmatch(text, refused.message), refused.message


def test_what_a_policy_denies_is_refused_in_the_words_of_iam(shop: Shop) -> None:
    refused = shop.refusal(
        PERSONALIZE,
        "CreateDataDeletionJob",
        jobName="forget",
        datasetGroupArn=GROUP,
        roleArn=shop.role,
        dataSource={"dataLocation": f"s3://{BUCKET}/forget/"},
    )
    assert refused.code == "AccessDeniedException"
    assert refused.message.startswith(f"User: {USER} is not authorized to perform: personalize:CreateDataDeletionJob")


def test_everything_can_be_deleted(shop: Shop) -> None:
    datasets: list[Any] = [(PERSONALIZE, "DeleteDataset", {"datasetArn": arn}) for arn in shop.datasets.values()]
    tracker = (PERSONALIZE, "DeleteEventTracker", {"eventTrackerArn": shop.tracker["eventTrackerArn"]})
    assert shop.client.calls(*datasets, tracker) == [{}] * 4
    deadline = time.monotonic() + 30
    while shop.call("ListDatasets")["datasets"] or shop.call("ListEventTrackers")["eventTrackers"]:
        assert time.monotonic() < deadline
    schemas = [(PERSONALIZE, "DeleteSchema", {"schemaArn": arn}) for arn in shop.schemas.values()]
    shop.client.calls((PERSONALIZE, "DeleteDatasetGroup", {"datasetGroupArn": GROUP}), *schemas)
    assert shop.call("ListSchemas")["schemas"] == []
