"""MovieLens with awkward values: exported, restored in another account by the commands of docs/restore.md, equal."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from account import make_items, make_users, wait_for
from reader import backup_app, blocks, shell

from examples.movielens import data
from personalize_local import LocalAws, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from account import Account

pytestmark = pytest.mark.e2e

PAGE = "docs/restore.md"
COMMANDS, FRAGMENTS = blocks(PAGE, "sh"), blocks(PAGE, "python")
GROUP, DATA, OTHER_ACCOUNT = "shop", "data", "222222222222"
JOB_SECONDS = 120  # of 100,000 rows, on a busy machine
SETTINGS = Settings(job_seconds=0.5, resource_seconds=0.0, export_parts=4, export_check_object=True)

Row = tuple[str, ...]
TEXTS = (
    "", "plain", "comma, inside", 'a "quoted" word', '"', '""', "'", ",", "\\", "back\\slash", "ends with \\", '\\"',
    '"\\', "\\\\", " around ", "tab\there", "carriage\rreturn", "line\u2028separator", "nel\x85", "Grüße, 日本語", "😀",
    "a|b|c", 'a, b|"c"|d\\e', "null", "NULL", "\\N", "007", "=1+1", "USER_ID",
)  # fmt: skip
LONGS = ("", "0", "-1", "9223372036854775807", "-9223372036854775808")
DOUBLES = ("", "0.1", "-1.5e-07", "1.7976931348623157e+308", "5e-324", "3")
BOOLEANS = ("true", "false", "")
OPTIONAL_TEXT = {"type": ["null", "string"], "categorical": True}
MORE_FIELDS: dict[str, list[dict[str, Any]]] = {
    "Interactions": [{"name": "DEVICE", **OPTIONAL_TEXT}],
    "Items": [
        {"name": "TITLE", "type": ["null", "string"], "textual": True},
        {"name": "VIEWS", "type": ["null", "long"]},
        {"name": "PRICE", "type": ["null", "double"]},
        {"name": "ADULT", "type": ["null", "boolean"]},
    ],
    "Users": [{"name": "TAGS", **OPTIONAL_TEXT}, {"name": "BALANCE", "type": ["null", "long"]}],
}
MORE_VALUES = {"Interactions": (TEXTS,), "Items": (TEXTS, LONGS, DOUBLES, BOOLEANS), "Users": (TEXTS, LONGS)}
IDS = [text for text in TEXTS if text]


def rows() -> dict[str, list[Row]]:
    """Return MovieLens with every awkward value in every column that takes it, ids too."""
    wheel = data.fetch()
    made = {name: read(wheel) for name, read in data.TABLES.items()}
    made["Interactions"] += [(text, text, str(number), "view", "") for number, text in enumerate(IDS)]
    made["Items"] += [(text, text, "") for text in IDS]
    made["Users"] += [(text, "1", "x", text) for text in IDS]
    return {
        name: [(*row, *more) for row, more in zip(table, _values(*MORE_VALUES[name]), strict=False)]
        for name, table in made.items()
    }


def _values(*columns: Row) -> Iterator[Row]:
    return zip(*map(itertools.cycle, columns), strict=True)


def fields(name: str) -> list[dict[str, Any]]:
    return [*data.FIELDS[name], *MORE_FIELDS[name]]


def quoted(value: str) -> str:
    """Write a value as the guide asks for imports: a backslash before quotes and backslashes, in double quotes."""
    return re.sub(r'(["\\])', r"\\\1", value).join('""') if re.search(r'[",\\\r]', value) else value


def read(objects: list[bytes]) -> list[Row]:
    """Read exported objects, whichever way quotes are escaped in them, without their headers."""
    found: list[Row] = []
    for body in objects:
        text = io.StringIO(body.decode(), newline="")
        found += list(map(tuple, csv.reader(text, escapechar="\\", strict=True)))[1:]
    return found


def make_shop(aws: LocalAws, tables: dict[str, list[Row]]) -> None:
    """Import the tables into a dataset group, and add a record of each kind by the events API."""
    s3, personalize = aws.client("s3"), aws.client("personalize")
    s3.create_bucket(Bucket=DATA)
    allow = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"]}
    statement = {**allow, "Resource": [f"arn:aws:s3:::{DATA}", f"arn:aws:s3:::{DATA}/*"]}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    principal = {"Service": "personalize.amazonaws.com"}
    of_bucket = {**policy, "Statement": [{**statement, "Principal": principal}]}
    s3.put_bucket_policy(Bucket=DATA, Policy=json.dumps(of_bucket))
    trust = {**policy, "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}]}
    iam = aws.client("iam")
    role = iam.create_role(RoleName="import", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="import", PolicyName="read", PolicyDocument=json.dumps(policy))
    group = personalize.create_dataset_group(name=GROUP)["datasetGroupArn"]
    wait_for(lambda: personalize.describe_dataset_group(datasetGroupArn=group)["datasetGroup"]["status"] == "ACTIVE")
    datasets = {}
    for name, table in tables.items():
        lines = [",".join(map(quoted, row)) for row in [tuple(field["name"] for field in fields(name)), *table]]
        s3.put_object(Bucket=DATA, Key=f"{name}.csv", Body="\n".join(lines).encode())
        schema = {"type": "record", "name": name, "namespace": "com.amazonaws.personalize.schema", "version": "1.0"}
        schema_arn = personalize.create_schema(name=name, schema=json.dumps({**schema, "fields": fields(name)}))
        dataset: str = personalize.create_dataset(
            name=name, schemaArn=schema_arn["schemaArn"], datasetGroupArn=group, datasetType=name
        )["datasetArn"]
        wait_for(lambda d=dataset: personalize.describe_dataset(datasetArn=d)["dataset"]["status"] == "ACTIVE")
        datasets[name] = dataset
        source = {"dataLocation": f"s3://{DATA}/{name}.csv"}
        job = personalize.create_dataset_import_job(jobName=name, datasetArn=dataset, roleArn=role, dataSource=source)[
            "datasetImportJobArn"
        ]
        wait_for(lambda j=job: finished(personalize.describe_dataset_import_job(datasetImportJobArn=j)), JOB_SECONDS)
    put_one_of_each(aws, group, datasets)


def finished(answer: dict[str, Any]) -> bool:
    (job,) = (value for key, value in answer.items() if key != "ResponseMetadata")
    assert job["status"] != "CREATE FAILED", job["failureReason"]
    return bool(job["status"] == "ACTIVE")


PUT: dict[str, Row] = {
    "Interactions": ('put, "user"', "put\\item", "1700000000", "view", "", "put|by event"),
    "Items": ("put\\item", "Genre|Other", "1999", 'Put, "title" \\', "9223372036854775807", "0.5", "true"),
    "Users": ('put, "user"', "33", "x", "y", "p|q", "-5"),
}


def put_one_of_each(aws: LocalAws, group: str, datasets: dict[str, str]) -> None:
    personalize, events = aws.client("personalize"), aws.client("personalize-events")
    tracker = personalize.create_event_tracker(name="tracker", datasetGroupArn=group)
    arn = tracker["eventTrackerArn"]
    wait_for(lambda: personalize.describe_event_tracker(eventTrackerArn=arn)["eventTracker"]["status"] == "ACTIVE")
    user, item, when, kind, _, device = PUT["Interactions"]
    event = {"eventType": kind, "itemId": item, "sentAt": int(when), "properties": json.dumps({"device": device})}
    events.put_events(trackingId=tracker["trackingId"], userId=user, sessionId="s", eventList=[event])
    _, genres, year, title, views, price, adult = PUT["Items"]
    of_item = {"genres": genres, "releaseYear": int(year), "title": title, "views": int(views), "price": float(price)}
    properties = json.dumps({**of_item, "adult": adult == "true"})
    events.put_items(datasetArn=datasets["Items"], items=[{"itemId": item, "properties": properties}])
    _, age, gender, occupation, tags, balance = PUT["Users"]
    of_user = {"age": int(age), "gender": gender, "occupation": occupation, "tags": tags, "balance": int(balance)}
    users = [{"userId": user, "properties": json.dumps(of_user)}]
    events.put_users(datasetArn=datasets["Users"], users=users)


def test_restored_datasets_hold_what_was_exported_record_by_record(tmp_path: Path) -> None:
    tables = rows()
    target = LocalAws(iam=True, settings=SETTINGS)
    target.account = OTHER_ACCOUNT
    with LocalAws(iam=True, settings=SETTINGS) as source, target:
        make_shop(source, tables)
        for aws in (source, target):
            aws.bootstrap()
        (tmp_path / "app.py").write_text(backup_app(*FRAGMENTS["What it takes"]), encoding="utf-8")
        shell(source, tmp_path, "cdk deploy --app 'python3 app.py'")
        shell(source, tmp_path, *COMMANDS["Fetch"])

        restored = shell(target, tmp_path, *COMMANDS["Restore"], *COMMANDS["Check"])

        for name, table in tables.items():
            expected = {*table, PUT[name]}
            again = sorted((tmp_path / "again" / name.lower() / "data").iterdir())
            assert len(again) == SETTINGS.export_parts
            found = read([path.read_bytes() for path in again])
            assert len(found) == len(expected)
            assert set(found) == expected
            assert f"{len(expected)} again-{name.lower()}.rows" in restored
            assert rows_of(target, name, "PUT") == []
            assert set(rows_of(target, name, "BULK")) == expected
        _, name_of_bucket, _ = COMMANDS["Restore"]
        shell(target, tmp_path, name_of_bucket, *COMMANDS["Clean up"])
        assert target.client("personalize").list_dataset_groups()["datasetGroups"] == []
        assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize(
    "account", [Settings(job_seconds=0.5, resource_seconds=0.0, minimum_interactions=0)], indirect=True
)
def test_export_is_restored_from_where_it_was_written_in_the_same_account(account: Account, tmp_path: Path) -> None:
    aws = account.aws
    items = make_items(aws)
    make_users(aws)  # and nobody in it
    for first in range(0, len(IDS), 10):  # the most PutItems takes
        put = [{"itemId": text, "properties": json.dumps({"genres": text})} for text in IDS[first : first + 10]]
        aws.client("personalize-events").put_items(datasetArn=items, items=put)
    in_place = "Without copies, in the same account"
    fragments = [*FRAGMENTS["What it takes"], *FRAGMENTS[in_place]]
    (tmp_path / "app.py").write_text(backup_app(*fragments), encoding="utf-8")
    shell(aws, tmp_path, "cdk deploy --app 'python3 app.py'")
    look_up = COMMANDS["Fetch"][0].partition("python3")[0]

    shell(aws, tmp_path, look_up, *COMMANDS[in_place])
    check = 'cdk deploy RestoreCheck --app "python3 examples/restore/app.py" -c dataset_group=restored'
    shell(aws, tmp_path, check)

    jobs = {
        job["datasetArn"].partition("/")[2]: job["jobOutput"]["s3DataDestination"]["path"] for job in account.jobs()
    }
    for name in ("INTERACTIONS", "ITEMS", "USERS"):
        exported, again = (sorted(lines(account, jobs[f"{group}/{name}"])) for group in (GROUP, "restored"))
        assert exported == again
    assert len(lines(account, jobs["restored/ITEMS"])) == len(IDS) + 1


def lines(account: Account, path: str) -> set[str]:
    return {line for text in account.objects(path).values() for line in text.split("\n") if line}


def rows_of(aws: LocalAws, name: str, mode: str) -> list[Row]:
    """Export a restored dataset in one mode, with the role of the check."""
    personalize, s3 = aws.client("personalize"), aws.client("s3")
    jobs = personalize.list_dataset_export_jobs()["datasetExportJobs"]
    arns = [job["datasetExportJobArn"] for job in jobs]
    described = [personalize.describe_dataset_export_job(datasetExportJobArn=arn)["datasetExportJob"] for arn in arns]
    job = next(job for job in described if job["datasetArn"].endswith(f"restored/{name.upper()}"))
    bucket = job["jobOutput"]["s3DataDestination"]["path"].split("/")[2]
    prefix = f"again/{name}-{mode}/"
    arn = personalize.create_dataset_export_job(
        jobName=f"{name}-{mode}",
        datasetArn=job["datasetArn"],
        roleArn=job["roleArn"],
        ingestionMode=mode,
        jobOutput={"s3DataDestination": {"path": f"s3://{bucket}/{prefix}"}},
    )["datasetExportJobArn"]
    wait_for(lambda: finished(personalize.describe_dataset_export_job(datasetExportJobArn=arn)), JOB_SECONDS)
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"] if found["Size"]]
    return read([s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys])
