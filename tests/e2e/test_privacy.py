"""A person is found, deleted, gone from the next export and from the old one, by the commands of docs/privacy.md."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from account import make_users, wait_for
from reader import backup_app, blocks, shell

if TYPE_CHECKING:
    from pathlib import Path

    from account import Account

pytestmark = pytest.mark.e2e

PAGE = "docs/privacy.md"
COMMANDS = blocks(PAGE, "sh")
(FRAGMENT,) = blocks(PAGE, "python")[""]
PERSON, OTHER = "42", "142"


def test_person_is_found_deleted_and_proven_gone(account: Account, tmp_path: Path) -> None:
    aws = account.aws
    make_people(account)
    (tmp_path / "app.py").write_text(backup_app(FRAGMENT), encoding="utf-8")
    (tmp_path / "cdk.json").write_text(json.dumps({"app": "python3 app.py"}), encoding="utf-8")
    shell(aws, tmp_path, "cdk deploy Backup")

    query, find = COMMANDS["Find"]
    bucket = query.partition("ask()")[0]
    assert shell(aws, tmp_path, query).splitlines() == [
        "user_id\titem_id\ttimestamp",
        "42\tfilm\t1700000042",
        "user_id\tage",
        "42\t33",
    ]
    assert shell(aws, tmp_path, bucket, find).splitlines()[-4:] == [
        "USER_ID,AGE",
        "USER_ID,ITEM_ID,TIMESTAMP",
        "42,film,1700000042",
        "42,33",
    ]

    set_up, delete, ask = COMMANDS["Delete"]
    variables = f"{bucket}{set_up.partition(chr(10))[2]}"
    job = shell(aws, tmp_path, set_up, delete, 'echo "$job"').splitlines()[-1]
    personalize = aws.client("personalize")
    described = personalize.describe_data_deletion_job
    wait_for(lambda: described(dataDeletionJobArn=job)["dataDeletionJob"]["status"] == "COMPLETED")
    assert json.loads(shell(aws, tmp_path, f"job={job}", ask)) == ["COMPLETED", 2, None]

    (prove,) = COMMANDS["Prove"]
    deploy, _, look = prove.partition("\n")
    shell(aws, tmp_path, variables, deploy, look)  # which ends with grep, and so does its status
    assert shell(aws, tmp_path, query).splitlines() == ["user_id\titem_id\ttimestamp", "user_id\tage"]
    kept = [path.read_text(encoding="utf-8") for path in sorted((tmp_path / "after").glob("*/data/*"))]
    assert f"{OTHER},film,1700000142\n" in "".join(kept)
    assert f"{OTHER},33\n" in "".join(kept)

    erase, clean_up = COMMANDS["Old exports"]
    assert holds_person(account), "the old export keeps the person"
    shell(aws, tmp_path, variables, erase)
    assert not holds_person(account)
    shell(aws, tmp_path, clean_up)

    (again,) = COMMANDS["After a restore"]
    answer = json.loads(shell(aws, tmp_path, variables, again))
    arn = answer["dataDeletionJobArn"]
    wait_for(lambda: described(dataDeletionJobArn=arn)["dataDeletionJob"]["status"] == "COMPLETED")


def make_people(account: Account) -> None:
    """Send an event and the metadata of two people, whose ids look alike."""
    aws = account.aws
    personalize, events = aws.client("personalize"), aws.client("personalize-events")
    users = make_users(aws)
    (tracker,) = personalize.list_event_trackers()["eventTrackers"]
    arn = tracker["eventTrackerArn"]
    tracking_id = personalize.describe_event_tracker(eventTrackerArn=arn)["eventTracker"]["trackingId"]
    for user in (PERSON, OTHER):
        event = {"eventType": "view", "itemId": "film", "sentAt": 1_700_000_000 + int(user)}
        events.put_events(trackingId=tracking_id, userId=user, sessionId=user, eventList=[event])
        events.put_users(datasetArn=users, users=[{"userId": user, "properties": json.dumps({"age": 33})}])


def holds_person(account: Account) -> bool:
    """Tell whether any version of an exported object does."""
    s3 = account.aws.client("s3")
    outputs = account.aws.client("cloudformation").describe_stack_resources(StackName="Backup")["StackResources"]
    (bucket,) = (found["PhysicalResourceId"] for found in outputs if found["ResourceType"] == "AWS::S3::Bucket")
    versions = s3.list_object_versions(Bucket=bucket).get("Versions", [])
    bodies = [
        s3.get_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])["Body"].read()
        for found in versions
    ]
    assert bodies
    return any(re.match(rb'"?42"?,', line) for body in bodies for line in body.splitlines())
