"""A data deletion job removes users and what they did from every dataset of a group."""

from __future__ import annotations

from typing import Any

import pytest

from personalize_local.service import AccessRefused

HEADER = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\n"
USERS_HEADER = "USER_ID,AGE,MEMBER\n"


@pytest.fixture
def group(world: Any) -> str:
    return str(world.group())


def start(world: Any, group: str, location: str, name: str = "delete") -> str:
    answer = world.call(
        "CreateDataDeletionJob",
        jobName=name,
        datasetGroupArn=group,
        dataSource={"dataLocation": location},
        roleArn=world.ROLE,
    )
    return str(answer["dataDeletionJobArn"])


def job_of(world: Any, arn: str) -> dict[str, Any]:
    return dict(world.call("DescribeDataDeletionJob", dataDeletionJobArn=arn)["dataDeletionJob"])


def test_users_and_their_interactions_are_gone_however_they_came(world: Any, group: str) -> None:
    interactions, users = world.dataset(group=group), world.dataset("Users", group=group)
    world.import_file(interactions, HEADER + "ann,i,1,view,\nbob,i,2,view,\nann,j,3,view,\n", "one")
    world.import_file(users, USERS_HEADER + "ann,3,\nbob,4,\n", "two")
    event = {"eventType": "view", "itemId": "k", "sentAt": 9}
    tracker = world.tracker(group)
    for user in ("ann", "bob", '"c,d'):
        world.call("PutEvents", trackingId=tracker, userId=user, sessionId="s", eventList=[event])
    arn = start(world, group, world.put_file('USER_ID\r\nann\r\n"""c,d"\r\nnobody\r\n', "gone.csv"))
    assert arn == "arn:aws:personalize:us-east-1:000000000000:data-deletion-job/delete"
    world.wait()
    job = job_of(world, arn)
    assert (job["status"], job["numDeleted"]) == ("COMPLETED", 5)
    assert [row["USER_ID"] for row in world.export(interactions)] == ["bob", "bob"]
    assert [row["USER_ID"] for row in world.export(users, name="users")] == ["bob"]


def test_job_moves_through_its_own_states(world: Any, group: str) -> None:
    arn = start(world, group, world.put_file("USER_ID\na\n"))
    assert job_of(world, arn) == {
        "jobName": "delete",
        "dataDeletionJobArn": arn,
        "datasetGroupArn": group,
        "dataSource": {"dataLocation": "s3://source/data.csv"},
        "roleArn": world.ROLE,
        "status": "PENDING",
        "creationDateTime": world.now,
        "lastUpdatedDateTime": world.now,
    }
    world.now += 2
    assert job_of(world, arn)["status"] == "IN_PROGRESS"
    world.now += 8
    assert job_of(world, arn)["status"] == "COMPLETED"


def test_folder_means_every_csv_below_it(world: Any, group: str) -> None:
    users = world.dataset("Users", group=group)
    world.import_file(users, USERS_HEADER + "a,1,\nb,2,\nc,3,\n")
    world.put_file("USER_ID\na\n", "gone/1.csv")
    world.put_file("USER_ID\nb\n", "gone/deep/2.csv")
    world.put_file("USER_ID\nc\n", "gone/3.txt")
    start(world, group, "s3://source/gone/")
    world.wait()
    assert [row["USER_ID"] for row in world.export(users)] == ["c"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ID\na\n", "s3://source/data.csv, line 1: Input CSV must have a single USER_ID column."),
        ("USER_ID,AGE\na,1\n", "s3://source/data.csv, line 1: Input CSV must have a single USER_ID column."),
        ("USER_ID\na,b\n", "s3://source/data.csv, line 2: expected a user id, found 2 fields."),
        (
            "USER_ID\n" + "a" * 100,
            "The data location holds more than 100 bytes, the most a data deletion job may read.",
        ),
    ],
)
def test_list_that_is_none_fails_the_job(new_world: Any, text: str, reason: str) -> None:
    world = new_world(deletion_bytes=100)
    arn = start(world, world.group(), world.put_file(text))
    world.wait()
    job = job_of(world, arn)
    assert (job["status"], job["failureReason"]) == ("FAILED", reason)


def test_nothing_at_the_location_fails_the_job(world: Any, group: str) -> None:
    arn = start(world, group, "s3://source/none/")
    world.wait()
    assert job_of(world, arn)["failureReason"] == ("Invalid Data location. There is no file at the data location.")


def test_location_that_is_no_bucket_is_refused(world: Any, group: str) -> None:
    refused = world.refusal(
        "CreateDataDeletionJob",
        jobName="j",
        datasetGroupArn=group,
        dataSource={"dataLocation": "https://b/x"},
        roleArn=world.ROLE,
    )
    assert (refused.code, refused.message) == ("InvalidInputException", "Invalid Data location.")


def test_key_without_permission_is_named(world: Any, group: str) -> None:
    key = "arn:aws:kms:us-east-1:000000000000:key/1"
    world.bucket.error = AccessRefused("Its policy does not allow personalize.amazonaws.com kms:Decrypt.", key_arn=key)
    arn = start(world, group, "s3://source/none/")
    world.wait()
    assert job_of(world, arn)["failureReason"] == (
        f"Insufficient privileges for using the KMS key {key}: Its policy does not allow personalize.amazonaws.com "
        "kms:Decrypt. Please look at "
        "https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-key-access.html"
    )


def test_five_jobs_of_a_group_may_be_pending(world: Any, group: str) -> None:
    location = world.put_file("USER_ID\na\n")
    request = {"datasetGroupArn": group, "dataSource": {"dataLocation": location}, "roleArn": world.ROLE}
    for number in range(5):
        start(world, group, location, f"j{number}")
    refused = world.refusal("CreateDataDeletionJob", jobName="more", **request)
    assert (refused.code, refused.message) == (
        "LimitExceededException",
        "More than 5 resources with PENDING status.",
    )
    assert world.refusal("CreateDataDeletionJob", jobName="j0", **request).code == "ResourceAlreadyExistsException"
    world.now += 2
    assert start(world, group, location, "more")


def test_list_begins_with_the_newest(world: Any, group: str) -> None:
    other = world.group("other")
    location = world.put_file("USER_ID\na\n")
    for name, of in (("one", group), ("two", other), ("three", group)):
        start(world, of, location, name)

    def names(**params: Any) -> tuple[list[str], str | None]:
        answer = world.call("ListDataDeletionJobs", **params)
        return [job["jobName"] for job in answer["dataDeletionJobs"]], answer.get("nextToken")

    assert names() == (["three", "two", "one"], None)
    assert names(datasetGroupArn=group) == (["three", "one"], None)
    first, token = names(maxResults=2)
    assert first == ["three", "two"]
    start(world, group, location, "meanwhile")
    assert names(maxResults=2, nextToken=token) == (["one"], None)
