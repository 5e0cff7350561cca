"""Deploy the MovieLens stack on a local AWS with a real `cdk deploy`, and check what arrived in S3.

`make deploy-local` runs this: no AWS account, no Docker. IAM is enforced. With ``--fail`` one job fails on purpose, to
show what a failed export looks like: Personalize's reason and the job's ARN on the terminal, the stack rolled back,
exit status 1. Ctrl-C and SIGTERM end it and everything it started, without a word.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from examples.movielens import data
from personalize_local import Fault, LocalAws, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[2]
STACK = "MovieLens"
DATA_BUCKET = "movielens-data"
EVENTS = 50
EVENTS_PER_CALL = 10  # the most PutEvents takes
FIRST_EVENT = 893_286_700  # just after the newest rating
FAILURE = "The role lost access to the bucket while the export was running (made to fail by FAIL=1)."
START = time.monotonic()


def main() -> int:
    """Run the whole demonstration; return the exit status."""
    parser = argparse.ArgumentParser(description="Deploy the MovieLens example on a local AWS.")
    parser.add_argument("--fail", action="store_true", help="let the export of the items fail")
    fail = parser.parse_args().fail
    faults = (Fault(operation="Job", match="Items", error="", message=FAILURE),) if fail else ()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)

    with step("Fetching MovieLens-100K"):
        wheel = data.fetch()
        tables = {name: rows(wheel) for name, rows in data.TABLES.items()}
    with LocalAws(iam=True, settings=Settings(job_seconds=1.0, faults=faults)) as aws:
        say(f"Local AWS at {aws.endpoint}, IAM enforced")
        with step("Bootstrapping the CDK"):
            aws.bootstrap()
        with step("Uploading " + listed(f"{len(rows):,} {name.lower()}" for name, rows in tables.items())):
            upload(aws, tables)

        say("Deploying a group of 3 datasets, 3 imports, a tracker, 3 exports")
        if deploy(aws) != 0:
            return report_failure(aws, expected=fail)
        with step(f"Sending {EVENTS} events with PutEvents"):
            send_events(aws)
        say("Deploying again with another generation: the interactions are")
        say("exported again, the other two exports stay (the local CloudFormation")
        say("lists, and counts, resources that stay as they are as updated, too)")
        if deploy(aws, "--context", "generation=with-events") != 0:
            return report_failure(aws, expected=False)
        tables["Interactions"] += [event(number) for number in range(EVENTS)]
        jobs = outputs(aws)
        complete = [show(aws, name, rows, jobs[f"{name}JobArn"]) for name, rows in tables.items()]
        sum_up(aws, tables, complete=all(complete))
        return 0 if all(complete) else 1


def stop(number: int, _frame: object) -> NoReturn:
    """Unwind, so that what was started ends."""
    sys.exit(128 + number)


def say(text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"[{time.monotonic() - START:5.1f} s] {text}", flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print what is being done, and how long it took."""
    say(f"{text} ...")
    begun = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - begun:.1f} s")


def upload(aws: LocalAws, tables: dict[str, list[data.Row]]) -> None:
    """Make the data bucket as its owner would have it: readable by Personalize."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=DATA_BUCKET)
    arn = f"arn:aws:s3:::{DATA_BUCKET}"
    principal = {"Service": "personalize.amazonaws.com"}
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": principal, "Action": "s3:ListBucket", "Resource": arn},
            {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": f"{arn}/*"},
        ],
    }
    s3.put_bucket_policy(Bucket=DATA_BUCKET, Policy=json.dumps(policy))
    for name, rows in tables.items():
        s3.put_object(Bucket=DATA_BUCKET, Key=f"{name.lower()}.csv", Body=data.as_csv(name, rows))


def deploy(aws: LocalAws, *options: str, app: str = "examples.movielens.app") -> int:
    """Run the CDK CLI on every stack of an app, its output going straight to the terminal."""
    with tempfile.TemporaryDirectory() as output:
        command = [
            "node", str(ROOT / "node_modules/aws-cdk/bin/cdk"), "deploy", "--all",
            "--app", shlex.join([sys.executable, "-m", app]), "--output", output,
            "--context", f"data_bucket={DATA_BUCKET}", "--require-approval", "never", "--progress", "events", "--ci",
            *options,
        ]  # fmt: skip
        return subprocess.run(command, env=aws.environment(), cwd=ROOT, check=False).returncode  # noqa: S603 - our own CLI


def send_events(aws: LocalAws) -> None:
    """Send the events a live site would send."""
    tracking_id = outputs(aws)["TrackingId"]
    events = aws.client("personalize-events")
    for first in range(0, EVENTS, EVENTS_PER_CALL):
        events.put_events(
            trackingId=tracking_id,
            userId=event(first)[0],
            sessionId=f"session-{first}",
            eventList=[
                {"eventType": kind, "eventValue": float(value), "itemId": item, "sentAt": int(when)}
                for _, item, when, kind, value in map(event, range(first, first + EVENTS_PER_CALL))
            ],
        )


def event(number: int) -> data.Row:
    """Return an event as the row it becomes."""
    return (str(1 + number // EVENTS_PER_CALL), str(1 + number), str(FIRST_EVENT + number), "watch", "1.0")


def outputs(aws: LocalAws, stack_name: str = STACK) -> dict[str, str]:
    """Return the stack's outputs."""
    (stack,) = aws.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def show(aws: LocalAws, name: str, wanted: list[data.Row], job_arn: str) -> bool:
    """Print a job's fields, the first rows of its CSV, and whether it is all there."""
    personalize = aws.client("personalize")
    job = personalize.describe_dataset_export_job(datasetExportJobArn=job_arn)["datasetExportJob"]
    print(f"\n{name}")
    for field, value in job.items():
        print(f"  {field:20} {value}")

    header, exported = read_csv(aws, job["jobOutput"]["s3DataDestination"]["path"])
    print("  " + ",".join(header))
    for row in itertools.islice(exported, 3):
        print("  " + ",".join(row))

    columns = data.columns(name)
    checks = {
        f"columns as in the schema: {', '.join(columns)}": sorted(header) == sorted(columns),
        f"all {len(wanted):,} {name.lower()} exported, each exactly once": Counter(in_order(columns, header, exported))
        == Counter(map(normal, wanted)),
    }
    for text, holds in checks.items():
        print(f"  {'ok   ' if holds else 'WRONG'} {text}")
    return all(checks.values())


def sum_up(aws: LocalAws, tables: dict[str, list[data.Row]], *, complete: bool) -> None:
    """Print what was deployed, exported and checked, and what to do next."""
    resources = aws.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    jobs = aws.client("personalize").list_dataset_export_jobs()["datasetExportJobs"]
    rows = listed(f"{len(rows):,} {name.lower()}" for name, rows in tables.items())
    checked = "every row and column above: all there, each row once" if complete else "see WRONG above"
    print(f"""
Deployed  stack {STACK}, {len(resources)} resources, with a real `cdk deploy`, twice
Exported  {rows}
          by {len(jobs)} jobs, each to a prefix of its own in S3
Checked   {checked}
Gone      the local AWS ends here, with everything in it

Next      make deploy-local FAIL=1   what a failing export looks like
          make test                  the tests
          make serve                 a local AWS that stays, to look around in
          Your own dataset, on AWS: see "Install and export" in README.md
""")


def listed(parts: Iterable[str]) -> str:
    """Return the parts as they are read out."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def read_csv(aws: LocalAws, path: str) -> tuple[data.Row, list[data.Row]]:
    """Return the header and the rows of every CSV object below the path.

    What AWS writes is not documented, so this takes what the local Personalize may write: several files with a header
    each, a backslash before quotes and backslashes, and objects that are no data, whose names begin with `_`.
    """
    bucket, _, prefix = path.removeprefix("s3://").partition("/")
    s3 = aws.client("s3")
    header: data.Row = ()
    rows: list[data.Row] = []
    for found in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
        if found["Key"].rpartition("/")[2].startswith("_"):
            continue
        text = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read().decode()
        print(f"  s3://{bucket}/{found['Key']} ({len(text):,} characters)")
        first, *others = csv.reader(io.StringIO(text), escapechar="\\")
        header = tuple(first)
        rows += map(tuple, others)
    return header, rows


def in_order(columns: data.Row, header: data.Row, rows: list[data.Row]) -> list[data.Row]:
    """Return the rows with their values in the schema's order, numbers in one form."""
    places = [header.index(column) for column in columns]
    return [normal(tuple(row[place] for place in places)) for row in rows]


def normal(row: data.Row) -> data.Row:
    """Return the row with 3 and 3.0 written alike."""
    return tuple(value.removesuffix(".0") for value in row)


def report_failure(aws: LocalAws, *, expected: bool) -> int:
    """Say what became of the stack; a failed deployment is exit status 1, also when it was asked for."""
    stacks: list[dict[str, Any]] = aws.client("cloudformation").describe_stacks()["Stacks"]
    states = {stack["StackName"]: stack["StackStatus"] for stack in stacks}
    became = f"the stack is {states[STACK]}" if STACK in states else "there is no stack"
    print()
    say(f"The deployment failed{', as FAIL=1 asked' if expected else ''}; {became}")
    if expected:
        print("Next: the reason and the job's ARN are above, as a user gets them. Without\nFAIL=1 it succeeds.")
    else:
        print("Next: the lines above say why. It was the first error that counts.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
