"""Import jobs check every file against the schema, and replace or add."""

from __future__ import annotations

from typing import Any

import pytest

from personalize_local.service import ApiError

HEADER = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\n"
TOO_LONG = (
    "Length cannot be more than {limit} characters for {name}. If no values exceed the character limit, make sure your "
    "data follows the formatting guidelines listed in "
    "https://docs.aws.amazon.com/personalize/latest/dg/data-prep-formatting.html."
)
ITEMS_HEADER = "ITEM_ID,GENRES,NUMBER_OF_RATINGS\n"


def test_import_moves_through_its_states(world: Any, interactions: str) -> None:
    location = world.put_file(HEADER + "u,i,1,view,1.5\n")
    arn = world.start_import(interactions, location)
    assert arn == "arn:aws:personalize:us-east-1:000000000000:dataset-import-job/import"
    states = []
    for _ in range(12):
        job = world.call("DescribeDatasetImportJob", datasetImportJobArn=arn)["datasetImportJob"]
        states.append((job["status"], job["lastUpdatedDateTime"]))
        world.now += 1
    assert states == [("CREATE PENDING", 3000)] * 2 + [("CREATE IN_PROGRESS", 3002)] * 8 + [("ACTIVE", 3010)] * 2
    assert job == {
        "jobName": "import",
        "datasetImportJobArn": arn,
        "datasetArn": interactions,
        "dataSource": {"dataLocation": location},
        "roleArn": world.ROLE,
        "status": "ACTIVE",
        "creationDateTime": 3000.0,
        "lastUpdatedDateTime": 3010.0,
        "importMode": "FULL",
        "publishAttributionMetricsToS3": False,
    }


def test_import_reads_with_its_role(world: Any, interactions: str) -> None:
    world.import_file(interactions, HEADER + "u,i,1,view,\n")
    check, read = world.bucket.requests
    assert check == {"role_arn": world.ROLE, "caller": world.caller}
    assert read == {
        "role_arn": world.ROLE,
        "location": "s3://source/import.csv",
        "caller": world.caller,
        "source_arn": "arn:aws:personalize:us-east-1:000000000000:dataset-import-job/import",
        "subfolders": False,
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "",
            (
                "line 1: Input CSV is missing the following columns: "
                "[USER_ID, ITEM_ID, TIMESTAMP, EVENT_TYPE, EVENT_VALUE]."
            ),
        ),
        (
            "USER_ID,ITEM_ID,EVENT_TYPE\n",
            "line 1: Input CSV is missing the following columns: [TIMESTAMP, EVENT_VALUE].",
        ),
        (
            "ITEM_ID,USER_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\ni,u,1,,\n",
            (
                "line 1: the columns must have the order of the fields of the schema: "
                "[USER_ID, ITEM_ID, TIMESTAMP, EVENT_TYPE, EVENT_VALUE]."
            ),
        ),
        (HEADER + "u,i,1,view,\nu,i,soon,,\n", "line 3, column TIMESTAMP: 'soon' is not of type long."),
        (HEADER + "u,i,-1,,\n", "line 2, column TIMESTAMP: '-1' is not a Unix time in seconds."),
        (
            HEADER + "u,i,9223372036854775808,view,\n",
            "line 2, column TIMESTAMP: '9223372036854775808' is not of type long.",
        ),
        (HEADER + "u,,1,,\n", "line 2, column ITEM_ID: the value is empty but the schema does not allow null."),
        (HEADER + "u,i,,,\n", "line 2, column TIMESTAMP: the value is empty but the schema does not allow null."),
        (HEADER + "u,i,1,view,much\n", "line 2, column EVENT_VALUE: 'much' is not of type float."),
        (HEADER + "u,i,1,view,1e999\n", "line 2, column EVENT_VALUE: '1e999' is not of type float."),
        (HEADER + "u,i,1\n", "line 2: expected 5 fields as in the header, found 3."),
        (
            HEADER + f"{'u' * 257},i,1,,\n",
            "line 2, column USER_ID: " + TOO_LONG.format(limit=256, name="USER_ID"),
        ),
        (HEADER + 'u,"i\nj",1,,\n', "line 2: not a CSV record on a single line (unexpected end of data)."),
        (HEADER.encode() + b"u,\xff,1,,\n", "line 2: the file is not encoded in UTF-8."),
    ],
)
def test_data_that_does_not_match_the_schema_fails_the_job(
    world: Any, interactions: str, text: str | bytes, reason: str
) -> None:
    job = world.import_file(interactions, text)
    assert (job["status"], job["failureReason"]) == ("CREATE FAILED", f"s3://source/import.csv, {reason}")
    assert world.export(interactions) == []


def test_integers_have_limits_and_booleans_two_values(world: Any) -> None:
    users = world.dataset("Users")
    header = "USER_ID,AGE,MEMBER\n"
    good = world.import_file(users, header + "a,2147483647,true\nb,-2147483648,false\nc,,\n", "good")
    assert good["status"] == "ACTIVE"
    assert world.import_file(users, header + "a,2147483648,\n", "int")["failureReason"] == (
        "s3://source/int.csv, line 2, column AGE: '2147483648' is not of type int."
    )
    for number, text in enumerate(("yes", "True", "FALSE", "1")):
        assert world.import_file(users, header + f"a,1,{text}\n", f"bool{number}")["failureReason"] == (
            f"s3://source/bool{number}.csv, line 2, column MEMBER: '{text}' is not of type boolean."
        )


def test_categories_have_at_most_a_thousand_characters(world: Any) -> None:
    items = world.dataset("Items")
    assert world.import_file(items, f"{ITEMS_HEADER}i,{'x' * 1000},1\n", "fits")["status"] == "ACTIVE"
    assert world.import_file(items, f"{ITEMS_HEADER}i,{'x' * 1001},1\n", "long")["failureReason"] == (
        "s3://source/long.csv, line 2, column GENRES: " + TOO_LONG.format(limit=1000, name="GENRES")
    )


def test_import_needs_enough_interactions(new_world: Any) -> None:
    world = new_world(minimum_interactions=3)
    dataset = world.dataset()
    job = world.import_file(dataset, HEADER + "u,i,1,view,\nu,i,2,view,\n", "few")
    assert job["failureReason"] == "Dataset has fewer than 3 interactions: the data location holds 2."
    assert (
        world.import_file(dataset, HEADER + "u,i,1,view,\nu,i,2,view,\nu,i,3,view,\n", "enough")["status"] == "ACTIVE"
    )
    items = world.dataset("Items", group=world.group("other"))
    assert world.import_file(items, ITEMS_HEADER + "i,,\n", "items")["status"] == "ACTIVE"


def test_prefix_imports_every_file_under_it(world: Any, interactions: str) -> None:
    world.put_file(HEADER + "u,i,1,view,\n", "day/1.csv")
    world.put_file(HEADER + "u,i,2,view,\n", "day/2.csv")
    world.put_file("", "day/")
    world.start_import(interactions, "s3://source/day/")
    world.wait()
    assert [row["TIMESTAMP"] for row in world.export(interactions)] == ["1", "2"]


def test_location_without_a_file_fails_the_job(world: Any, interactions: str) -> None:
    arn = world.start_import(interactions, "s3://source/nothing/")
    world.wait()
    job = world.call("DescribeDatasetImportJob", datasetImportJobArn=arn)["datasetImportJob"]
    assert job["failureReason"] == "Invalid Data location. There is no file at the data location."


def test_quotes_escapes_line_ends_and_further_columns_are_understood(world: Any) -> None:
    items = world.dataset("Items")
    text = (
        "\ufeffITEM_ID,NAME,GENRES,NUMBER_OF_RATINGS\r\n"
        'a,x,"Crime, ""noir""",1\r\n'
        'b,x,"say \\"hi\\" \\\\ bye",2\r\n'
        "\r\n"
        "c,x,Café|Kino,3"
    )
    assert world.import_file(items, text)["status"] == "ACTIVE"
    assert world.export(items) == [
        {"ITEM_ID": "a", "GENRES": 'Crime, "noir"', "NUMBER_OF_RATINGS": "1"},
        {"ITEM_ID": "b", "GENRES": 'say "hi" \\ bye', "NUMBER_OF_RATINGS": "2"},
        {"ITEM_ID": "c", "GENRES": "Café|Kino", "NUMBER_OF_RATINGS": "3"},
    ]


def test_full_import_replaces_bulk_but_not_individual_records(world: Any) -> None:
    items = world.dataset("Items")
    world.import_file(items, ITEMS_HEADER + "old,,\n", "one")
    world.call("PutItems", datasetArn=items, items=[{"itemId": "put"}])
    world.import_file(items, ITEMS_HEADER + "new,,\n", "two")
    assert [row["ITEM_ID"] for row in world.export(items)] == ["put", "new"]


def test_incremental_import_replaces_bulk_records_with_the_same_id(world: Any) -> None:
    items = world.dataset("Items")
    world.import_file(items, ITEMS_HEADER + 'a,x,1\nb,x,1\n"c,",x,1\n', "one")
    world.call("PutItems", datasetArn=items, items=[{"itemId": "a", "properties": '{"genres": "put"}'}])
    world.import_file(items, ITEMS_HEADER + 'a,y,2\n"c,",y,2\n', "two", importMode="INCREMENTAL")
    bulk = [(row["ITEM_ID"], row["GENRES"]) for row in world.export(items, "BULK", "bulk")]
    assert bulk == [("b", "x"), ("a", "y"), ("c,", "y")]
    assert [row["GENRES"] for row in world.export(items, "PUT", "put")] == ["put"]


def test_incremental_import_of_interactions_appends(world: Any, interactions: str) -> None:
    world.import_file(interactions, HEADER + "u,i,1,view,\n", "one")
    world.import_file(interactions, HEADER + "u,i,2,view,\n", "two", importMode="INCREMENTAL")
    assert [row["TIMESTAMP"] for row in world.export(interactions, "BULK")] == ["1", "2"]


def test_first_import_can_only_be_full(world: Any, interactions: str) -> None:
    refused = world.refusal(
        "CreateDatasetImportJob",
        jobName="j",
        datasetArn=interactions,
        roleArn=world.ROLE,
        dataSource={"dataLocation": "s3://source/x"},
        importMode="INCREMENTAL",
    )
    assert refused.message == (
        "No bulk records have been imported into the dataset before: the import mode can only be FULL."
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dataSource": {"dataLocation": "https://b/p"}}, "Invalid Data location."),
        ({"dataSource": {}}, "Invalid Data location."),
        (
            {"roleArn": None},
            (
                "1 validation error detected: "
                "Value null at 'roleArn' failed to satisfy constraint: Member must not be null"
            ),
        ),
    ],
)
def test_import_needs_a_location_and_a_role(world: Any, interactions: str, change: dict[str, Any], text: str) -> None:
    request = {
        "jobName": "j",
        "datasetArn": interactions,
        "roleArn": world.ROLE,
        "dataSource": {"dataLocation": "s3://source/x"},
        **change,
    }
    refused = world.refusal("CreateDatasetImportJob", **request)
    assert (refused.code, refused.message) == ("InvalidInputException", text)


def test_refused_bucket_fails_the_job_with_the_documented_text(world: Any, interactions: str) -> None:
    world.bucket.refused.add("source")
    job = world.import_file(interactions, HEADER)
    assert job["status"] == "CREATE FAILED"
    assert job["failureReason"] == (
        "Insufficient privileges for accessing data in S3. Please look at https://docs.aws.amazon.com/personalize/latest/"
        "dg/granting-personalize-s3-access.html#attach-bucket-policy and fix bucket policy on source."
    )


def test_error_of_the_store_fails_the_job(world: Any, interactions: str) -> None:
    world.bucket.error = ApiError("NoSuchBucket", "The specified bucket does not exist")
    assert world.import_file(interactions, HEADER)["failureReason"] == "The specified bucket does not exist"


def test_job_survives_a_store_that_breaks(world: Any, interactions: str, caplog: pytest.LogCaptureFixture) -> None:
    world.bucket.error = OSError("connection lost")
    assert world.import_file(interactions, HEADER)["failureReason"] == (
        "Internal failure while accessing s3://source/import.csv: connection lost"
    )
    assert "job failed unexpectedly" in caplog.text
