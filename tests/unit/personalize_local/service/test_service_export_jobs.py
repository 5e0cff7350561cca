"""Export jobs write what their mode selects, once, and end in a state."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from personalize_local.service import ApiError

HEADER = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\n"
ITEMS_HEADER = "ITEM_ID,GENRES,NUMBER_OF_RATINGS\n"
KEY = "arn:aws:kms:us-east-1:000000000000:key/1"


def test_export_moves_through_its_states(world: Any, interactions: str) -> None:
    arn = world.start_export(interactions)
    assert arn == "arn:aws:personalize:us-east-1:000000000000:dataset-export-job/export"
    states = []
    for _ in range(12):
        job = world.export_job(arn)
        states.append((job["status"], job["lastUpdatedDateTime"]))
        world.now += 1
    assert states == [("CREATE PENDING", 3000)] * 2 + [("CREATE IN_PROGRESS", 3002)] * 8 + [("ACTIVE", 3010)] * 2


def test_description_has_every_field_of_the_request(world: Any, interactions: str) -> None:
    destination = {"s3DataDestination": {"path": "s3://target/out/", "kmsKeyArn": KEY}}
    arn = world.start_export(interactions, ingestionMode="BULK", jobOutput=destination)
    assert world.export_job(arn) == {
        "jobName": "export",
        "datasetExportJobArn": arn,
        "datasetArn": interactions,
        "ingestionMode": "BULK",
        "roleArn": world.ROLE,
        "status": "CREATE PENDING",
        "jobOutput": destination,
        "creationDateTime": 3000.0,
        "lastUpdatedDateTime": 3000.0,
    }


def test_mode_is_put_unless_said(world: Any, interactions: str) -> None:
    world.import_file(interactions, HEADER + "u,i,1,view,\n")
    arn = world.start_export(interactions)
    world.wait()
    assert world.export_job(arn)["ingestionMode"] == "PUT"
    assert world.exported_text() == HEADER


def test_export_writes_with_its_role_and_key(world: Any, interactions: str) -> None:
    destination = {"s3DataDestination": {"path": "s3://target/out/", "kmsKeyArn": KEY}}
    world.start_export(interactions, jobOutput=destination)
    world.wait()
    role, *writes = world.bucket.requests
    assert role == {"role_arn": world.ROLE, "caller": world.caller}
    assert [write.pop("name") for write in writes] == ["_CHECK", "export/part-00000.csv"]
    assert writes == [writes[0]] * 2
    assert writes[0] == {
        "role_arn": world.ROLE,
        "location": "s3://target/out/",
        "kms_key_arn": KEY,
        "caller": world.caller,
        "source_arn": "arn:aws:personalize:us-east-1:000000000000:dataset-export-job/export",
    }


def test_export_of_nothing_is_a_header(world: Any, interactions: str) -> None:
    assert world.export(interactions) == []
    assert world.exported_text() == HEADER


def test_bulk_put_and_all_select_by_how_records_came(world: Any) -> None:
    group = world.group()
    dataset = world.dataset(group=group)
    world.import_file(dataset, HEADER + "u,bulk,1,view,\nu,both,2,view,\n")
    events = [
        {"eventType": "view", "itemId": "both", "sentAt": 2},
        {"eventType": "view", "itemId": "put", "sentAt": 3},
    ]
    world.call("PutEvents", trackingId=world.tracker(group), userId="u", sessionId="s", eventList=events)

    def items(mode: str) -> list[str]:
        return [row["ITEM_ID"] for row in world.export(dataset, mode, mode.lower())]

    assert items("BULK") == ["bulk", "both"]
    assert items("PUT") == ["both", "put"]
    assert items("ALL") == ["bulk", "both", "put"]


def test_all_keeps_the_newest_item_and_bulk_every_version(world: Any) -> None:
    items = world.dataset("Items")
    world.import_file(items, ITEMS_HEADER + "a,x,1\na,x,1\na,x,2\nb,x,1\n")
    world.call("PutItems", datasetArn=items, items=[{"itemId": "a", "properties": '{"genres": "put"}'}])
    bulk = [(row["ITEM_ID"], row["NUMBER_OF_RATINGS"]) for row in world.export(items, "BULK", "bulk")]
    assert bulk == [("a", "1"), ("a", "2"), ("b", "1")]
    everything = [(row["ITEM_ID"], row["GENRES"]) for row in world.export(items, "ALL", "all")]
    assert everything == [("b", "x"), ("a", "put")]


def test_export_holds_what_was_there_when_it_began_to_run(world: Any) -> None:
    items = world.dataset("Items")
    world.start_export(items)
    world.now += 1
    world.call("PutItems", datasetArn=items, items=[{"itemId": "while pending"}])
    world.now += 2
    world.call("PutItems", datasetArn=items, items=[{"itemId": "while running"}])
    world.wait()
    assert world.exported_text() == ITEMS_HEADER + "while pending,,\n"


@pytest.mark.parametrize("kind", ["Interactions", "Items", "Users"])
def test_three_types_can_be_exported(world: Any, kind: str) -> None:
    assert world.export(world.dataset(kind)) == []


def test_actions_can_not_be_exported(world: Any) -> None:
    actions = world.dataset("Actions")
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(actions))
    assert (refused.code, refused.message) == (
        "InvalidInputException",
        "A dataset of type ACTIONS can not be exported.",
    )


def test_dataset_must_exist_and_be_active(world: Any, interactions: str) -> None:
    absent = interactions.replace("INTERACTIONS", "ITEMS")
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(absent))
    assert (refused.code, refused.message) == (
        "ResourceNotFoundException",
        f"Resource Arn {absent} does not exist.",
    )
    world.call("DeleteDataset", datasetArn=interactions)
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(interactions))
    assert (refused.code, refused.message) == (
        "ResourceInUseException",
        f"Resource Arn {interactions} is not ACTIVE, its status is DELETE PENDING.",
    )


def test_output_must_be_in_s3(world: Any, interactions: str) -> None:
    output = {"s3DataDestination": {"path": "https://target/out/"}}
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(interactions, jobOutput=output))
    assert (refused.code, refused.message) == ("InvalidInputException", "Invalid S3 output path.")


def test_role_that_can_not_be_assumed_is_refused_at_once(world: Any, interactions: str) -> None:
    world.bucket.role_error = ApiError("InvalidInputException", "The role can not be assumed.")
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(interactions))
    assert refused.message == "The role can not be assumed."
    assert world.call("ListDatasetExportJobs") == {"datasetExportJobs": []}


def test_name_is_never_free_again(world: Any, interactions: str) -> None:
    world.bucket.refused.add("target")
    arn = world.start_export(interactions)
    text = f"Another resource with Arn {arn} already exists."
    assert world.refusal("CreateDatasetExportJob", **world.export_request(interactions)).message == text
    world.wait()
    assert world.export_job(arn)["status"] == "CREATE FAILED"
    assert world.refusal("CreateDatasetExportJob", **world.export_request(interactions)).message == text
    world.call("DeleteDataset", datasetArn=interactions)
    world.wait()
    group = interactions.split("/")[1]
    fresh = world.dataset(
        group=f"arn:aws:personalize:us-east-1:000000000000:dataset-group/{group}",
        schema="arn:aws:personalize:us-east-1:000000000000:schema/Interactions",
    )
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(fresh))
    assert (refused.code, refused.message) == ("ResourceAlreadyExistsException", text)


def test_refused_bucket_fails_the_job_with_the_documented_text(world: Any, interactions: str) -> None:
    world.bucket.refused.add("target")
    arn = world.start_export(interactions)
    world.wait()
    job = world.export_job(arn)
    assert job["status"] == "CREATE FAILED"
    assert job["failureReason"] == (
        "Insufficient privileges for accessing data in S3. Please look at https://docs.aws.amazon.com/personalize/latest/"
        "dg/granting-personalize-s3-access.html#attach-bucket-policy and fix bucket policy on target."
    )
    [summary] = world.call("ListDatasetExportJobs")["datasetExportJobs"]
    assert summary["failureReason"] == job["failureReason"]


def test_error_of_the_store_fails_the_job(world: Any, interactions: str) -> None:
    world.bucket.error = ApiError("NoSuchBucket", "The specified bucket does not exist")
    arn = world.start_export(interactions)
    world.wait()
    assert world.export_job(arn)["failureReason"] == "The specified bucket does not exist"


def test_sixth_unfinished_job_is_refused(world: Any, interactions: str) -> None:
    for number in range(5):
        world.start_export(interactions, f"job{number}")
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(interactions, "more"))
    assert (refused.code, refused.status) == ("LimitExceededException", 400)
    assert refused.message == "More than 5 resources with PENDING or IN_PROGRESS status."
    world.now += 5
    assert world.refusal("CreateDatasetExportJob", **world.export_request(interactions, "more")).code == refused.code
    world.start_import(interactions, world.put_file(HEADER))
    world.now += 5
    assert world.start_export(interactions, "more")


def test_quota_can_be_set(new_world: Any) -> None:
    world = new_world(concurrent_jobs=1)
    dataset = world.dataset()
    world.start_export(dataset)
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(dataset, "more"))
    assert refused.message == "More than 1 resources with PENDING or IN_PROGRESS status."


def test_taken_name_is_said_before_the_quota(new_world: Any) -> None:
    world = new_world(concurrent_jobs=1)
    dataset = world.dataset()
    world.start_export(dataset)
    refused = world.refusal("CreateDatasetExportJob", **world.export_request(dataset))
    assert refused.code == "ResourceAlreadyExistsException"


def test_time_that_jumps_runs_every_job_in_order(world: Any) -> None:
    items = world.dataset("Items")
    world.start_import(items, world.put_file(ITEMS_HEADER + "a,,\n"))
    world.now += 9
    before = world.start_export(items, "before", ingestionMode="ALL")
    after_import = world.start_export(items, "late", ingestionMode="ALL")
    world.wait(100_000)
    # The import ended at 10 s; both exports began at 11 s, though one tick did it all.
    assert world.exported_text("before") == world.exported_text("late") == ITEMS_HEADER + "a,,\n"
    assert world.export_job(before)["lastUpdatedDateTime"] == 3019.0
    assert world.export_job(after_import)["status"] == "ACTIVE"


def test_other_calls_are_answered_while_a_job_writes(new_world: Any) -> None:
    world = new_world(export_check_object=False)
    interactions = world.dataset()
    arn = world.start_export(interactions)
    statuses: list[str] = []

    def ask() -> None:
        statuses.append(world.export_job(arn)["status"])

    def ask_from_another_thread() -> None:
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(10)

    world.bucket.before_write = ask_from_another_thread
    world.wait()
    assert statuses == ["CREATE IN_PROGRESS"]
    assert world.export_job(arn)["status"] == "ACTIVE"


def test_job_that_takes_longer_to_write_ends_later(new_world: Any) -> None:
    world = new_world(export_check_object=False)
    interactions = world.dataset()

    def take_time() -> None:
        world.now += 7

    world.bucket.before_write = take_time
    arn = world.start_export(interactions)
    world.wait()
    assert world.export_job(arn)["lastUpdatedDateTime"] == 3017.0


def test_many_callers_at_once_lose_nothing(new_world: Any) -> None:
    world = new_world(job_seconds=0, concurrent_jobs=1000)
    items = world.dataset("Items")

    def work(number: int) -> None:
        for turn in range(10):
            world.call("PutItems", datasetArn=items, items=[{"itemId": f"{number}-{turn}"}])
            world.start_export(items, f"job{number}-{turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {job["status"] for job in world.call("ListDatasetExportJobs")["datasetExportJobs"]} == {"ACTIVE"}
    assert len(world.export(items)) == 80


def test_a_hundred_thousand_interactions_come_back_as_they_went(world: Any, interactions: str) -> None:
    lines = [f"u{number % 997},i{number % 1999},{number},view,{number % 5}.0" for number in range(100_000)]
    text = HEADER + "\n".join([*lines, *lines[:1000]]) + "\n"
    assert world.import_file(interactions, text)["status"] == "ACTIVE"
    world.export(interactions)
    assert world.exported_text() == HEADER + "\n".join(lines) + "\n"
