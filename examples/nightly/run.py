"""A few nights in two minutes, on a local AWS: the schedule fires, a job fails and is tried again, somebody is told.

`make nightly-local` runs this: no AWS account, no Docker, IAM enforced. The stack of app.py is deployed with a schedule
of one minute; what would take hours passes by moving the clock of schedules, alarms and Personalize ahead.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from examples.movielens import data
from examples.movielens.run import DATA_BUCKET, deploy, listed, outputs, say, show, step, stop, upload
from personalize_local import Fault, LocalAws, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STACK = "Nightly"
ONCE = "Personalize is busy."
HOSTILE = 'Access Denied: "s3:PutObject" on \\\\lake\\nightly.\nAsk the owner of the bucket, {team: "lake"}.'
ATTEMPT_PAUSES = (300, 900)  # seconds between three attempts
PATIENCE_SECONDS = 60.0
SILENCE_SECONDS = 30 * 3600  # CloudWatch looks back further than 26 h for data
PLAN = (
    "FlexibleTimeWindow",
    "GroupName",
    "Name",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "State",
    "Target",
)


class Nights:
    """The stack on the local AWS, and what has been heard of it."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.outputs = outputs(aws, STACK)
        resources = aws.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        self.resources: list[dict[str, Any]] = resources
        self.schedules = [
            found["PhysicalResourceId"] for found in resources if found["ResourceType"] == "AWS::Scheduler::Schedule"
        ]
        self.told: list[dict[str, Any]] = []

    def hear(self, all_of: Callable[[], set[str]]) -> None:
        """Print what is told until the outcome of each of these exports has been: an export is its first job's name."""

        def heard() -> bool:
            for text in self.read("ToldUrl"):
                detail = json.loads(text)["detail"]
                tick = f"{detail['exportId']} of {detail['scheduledTime']}"
                say(f"{detail['outcome']}  {tick}, attempt {detail['attempt']}")
                self.told.append(detail)
            return all_of() <= {first_attempt(detail["jobName"]) for detail in self.told}

        wait_for("the outcome of every export", heard)

    def exports(self) -> set[str]:
        """Return every export there has been, by the name of its first job."""
        return {first_attempt(job["jobName"]) for job in self.jobs()}

    def read(self, output: str) -> list[str]:
        """Take the messages out of a queue."""
        sqs, url = self.aws.client("sqs"), self.outputs[output]
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in found]

    def jobs(self, status: str = "") -> list[dict[str, Any]]:
        """Return the jobs, or those in a state."""
        pages = self.aws.client("personalize").get_paginator("list_dataset_export_jobs").paginate()
        return [job for page in pages for job in page["datasetExportJobs"] if job["status"].startswith(status)]

    def have_failed(self, number: int) -> bool:
        """Tell whether so many jobs have."""
        return len(self.jobs("CREATE FAILED")) >= number

    def pause(self) -> None:
        """Disable every schedule."""
        scheduler = self.aws.client("scheduler")
        for name in self.schedules:
            known = scheduler.get_schedule(Name=name)
            scheduler.update_schedule(**{key: known[key] for key in PLAN if key in known} | {"State": "DISABLED"})

    def run_now(self, part: str) -> None:
        """Start an export as a schedule would, with the time of now."""
        name = next(name for name in self.schedules if part in name)
        target = self.aws.client("scheduler").get_schedule(Name=name)["Target"]
        now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        tick = target["Input"].replace("<aws.scheduler.scheduled-time>", now)
        self.aws.client("lambda").invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=tick)

    def alarms(self) -> dict[str, str]:
        """Return the alarms and their states."""
        found = self.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}

    def metrics(self) -> Mapping[str, dict[str, float]]:
        """Return what every metric of every export has added up to, or at most been."""
        cloudwatch = self.aws.client("cloudwatch")
        sums: dict[str, dict[str, float]] = {}
        end = self.aws.advance_clock(0) + 60
        for metric in cloudwatch.list_metrics(Namespace="cdk-personalize-export")["Metrics"]:
            statistic = "Maximum" if metric["MetricName"] in {"Attempts", "Duration"} else "Sum"
            points = cloudwatch.get_metric_statistics(
                **metric, StartTime=end - 7 * 86400, EndTime=end, Period=7 * 86400, Statistics=[statistic]
            )["Datapoints"]
            (export,) = [dimension["Value"] for dimension in metric["Dimensions"]]
            values = [point[statistic] for point in points]
            sums.setdefault(export, {})[metric["MetricName"]] = max(values) if statistic == "Maximum" else sum(values)
        return sums


def main() -> int:
    """Run the whole demonstration; return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with step("Fetching MovieLens-100K"):
        wheel = data.fetch()
        tables = {name: rows(wheel) for name, rows in data.TABLES.items()}
    with LocalAws(iam=True, settings=Settings(job_seconds=1.0)) as aws:
        say(f"Local AWS at {aws.endpoint}, account {aws.account}, IAM enforced")
        with step("Bootstrapping the CDK"):
            aws.bootstrap()
        with step(f"Uploading MovieLens to s3://{DATA_BUCKET}"):
            upload(aws, tables)
        say("Deploying: 3 datasets with their imports; 3 schedules, and who is told")
        if deploy(aws, app="examples.nightly.local_app") != 0:
            return 1
        nights = Nights(aws)
        first_night(nights)
        chat, mails = second_night(nights)
        newest = {told["exportId"]: told for told in nights.told if told["outcome"] == "SUCCEEDED"}
        complete = []
        for export_id, told in newest.items():
            name = export_id.rpartition("/")[2]
            complete.append(show(aws, name, tables[name], told["datasetExportJobArn"]))
        sum_up(nights, chat, mails, complete=complete)
        return 0 if all(complete) else 1


def first_night(nights: Nights) -> None:
    """Let the schedule fire twice; one job of the second tick fails, and is tried again."""
    say(f"Silence alarms before the first export: {states(nights)}")
    say("Tick 1, when the schedules were made")
    wait_for("a job of each", lambda: len(nights.exports()) >= len(nights.schedules))
    nights.hear(nights.exports)
    wait_for("silence to end", lambda: set(nights.alarms().values()) == {"OK"})
    say(f"Silence alarms after it: {states(nights)}")

    say("Tick 2, a minute later: the job of the items will fail once")
    nights.aws.set_faults([Fault("Job", match="Items", message=ONCE)])
    nights.aws.advance_clock(60)
    wait_for("the job to fail", partial(nights.have_failed, 1))
    say("It failed, and nobody is told: it is tried again, 5 min later")
    nights.pause()
    say("The schedules are paused; the clock goes on by 5 min")
    nights.aws.advance_clock(ATTEMPT_PAUSES[0])
    nights.hear(nights.exports)


def second_night(nights: Nights) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Let all attempts of one export fail, then nothing happen for a day; return what chat and mail had to say."""
    say("Run now: the users, whose jobs will all fail")
    nights.aws.set_faults([Fault("Job", match="Users", message=HOSTILE, times=0)])
    before = len(nights.jobs("CREATE FAILED"))
    nights.run_now("Users")
    for attempt, seconds in enumerate(ATTEMPT_PAUSES, 1):
        wait_for("the job to fail", partial(nights.have_failed, before + attempt))
        say(f"Attempt {attempt} failed; the clock goes on by {seconds / 60:.0f} min")
        nights.aws.advance_clock(seconds)
    nights.hear(nights.exports)
    say(f"Nothing happens for {SILENCE_SECONDS / 3600:.0f} h")
    nights.aws.advance_clock(SILENCE_SECONDS)
    wait_for("the silence alarms", lambda: set(nights.alarms().values()) == {"ALARM"})
    say(f"Silence alarms: {states(nights)}")
    number = 1 + 2 * len(nights.schedules)  # the failed export, and each alarm before the first export and now
    mails = read_until(nights, "Mailbox", number)
    (chat,) = [message for message in read_until(nights, "ChatRoom", number) if message.get("source") == "custom"]
    return chat, mails


def read_until(nights: Nights, name: str, number: int) -> list[dict[str, Any]]:
    """Wait for so many messages."""
    found: list[dict[str, Any]] = []

    def read() -> bool:
        found.extend(map(json.loads, nights.read(f"{name}Url")))
        return len(found) >= number

    wait_for(f"the {name.lower()}", read)
    return found


def first_attempt(job_name: str) -> str:
    """Return the name of an export's first job: those of further attempts end in -2, -3 and so on."""
    return re.sub(r"-\d{1,2}$", "", job_name)


def states(nights: Nights) -> str:
    """Say the states of the alarms, once each."""
    return listed(sorted(set(nights.alarms().values())))


def wait_for(what: str, holds: Callable[[], Any]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"Waited {PATIENCE_SECONDS:.0f} s in vain for {what}.")
        time.sleep(0.2)


def sum_up(nights: Nights, chat: dict[str, Any], mails: list[dict[str, Any]], *, complete: list[bool]) -> None:
    """Print what happened, and what to do next."""
    survived = chat["content"]["description"] == HOSTILE
    succeeded = sum(detail["outcome"] == "SUCCEEDED" for detail in nights.told)
    failures = sum("detail" in mail for mail in mails)
    retried = sum(detail["outcome"] == "SUCCEEDED" and detail["attempt"] > 1 for detail in nights.told)
    print("\nMetrics, of all that was told")
    names = ("Succeeded", "Failed", "TimedOut", "Attempts", "Duration")
    print(f"  {'Export':28}" + "".join(f"{name:>10}" for name in names))
    for export, values in sorted(nights.metrics().items()):
        print(f"  {export:28}" + "".join(f"{values.get(name, 0):10.0f}" for name in names))
    print(f"""
Chat      {chat["content"]["title"]}
          {chat["content"]["description"].replace(chr(10), chr(10) + " " * 10)}

Deployed  stack {STACK}, {len(nights.resources)} resources, with a real `cdk deploy`
Exported  {succeeded} times, unattended; {retried} of them at the second attempt
Told      {len(nights.told)} events; mails: {failures} failed export, {len(mails) - failures} silence alarms
Chat      quotes and line breaks of the reason arrived {"unharmed" if survived else "DAMAGED"}
Checked   {"every row and column of each dataset's newest export" if all(complete) else "see WRONG above"}
Gone      the local AWS ends here, with everything in it

Next      examples/nightly/README.md   what it makes, and run now, pause, resume
          Your own dataset, on AWS: see docs/nightly.md
""")


if __name__ == "__main__":
    sys.exit(main())
