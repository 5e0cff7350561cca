"""Starts export jobs with boto3 alone, without the library, and watches them.

https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html; a job is `ACTIVE` when it is done.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DONE, FAILED = "ACTIVE", "CREATE FAILED"
ENDED = (DONE, FAILED)
PATIENCE_SECONDS = 3 * 3600
_TURN = "LimitExceededException"


@dataclass
class Job:
    """What is known of one job.

    Attributes:
        name: Its name.
        arn: Its ARN; empty when it was refused.
        refusal: What CreateDatasetExportJob said when it was refused, `<code>: <message>`.
        states: Each state, and how many seconds after the job was first seen it was first seen.
        fields: What DescribeDatasetExportJob said last.
    """

    name: str
    arn: str = ""
    refusal: str = ""
    states: dict[str, float] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    @property
    def status(self) -> str:
        """The state it was last seen in."""
        return str(self.fields.get("status", ""))

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return bool(self.refusal) or self.status in ENDED

    @property
    def seconds(self) -> float:
        """How long it took, as Personalize says."""
        began, ended = self.fields["creationDateTime"], self.fields["lastUpdatedDateTime"]
        return float((ended - began).total_seconds())

    @property
    def path(self) -> str:
        """Where it writes, `s3://bucket/prefix/`."""
        return str(self.fields["jobOutput"]["s3DataDestination"]["path"])

    def see(self, fields: dict[str, Any]) -> None:
        """Note what it is said to be now."""
        self.fields = fields
        self.states.setdefault(self.status, round(time.monotonic() - self._since, 1))


class Jobs:
    """The jobs of one report.

    Args:
        personalize: The boto3 client.
        dataset_arn: What they export.
        poll_seconds: How long to pause between two looks.
    """

    def __init__(self, personalize: Any, dataset_arn: str, poll_seconds: float) -> None:  # noqa: ANN401 - boto3 has no types
        self._personalize, self._dataset_arn, self._poll_seconds = personalize, dataset_arn, poll_seconds
        self._by_arn: dict[str, Job] = {}

    @property
    def started(self) -> int:
        """How many jobs have been seen."""
        return len(self._by_arn)

    def start(self, name: str, *, role_arn: str, path: str, key_arn: str = "", waits_for_turn: bool = True) -> Job:
        """Start a job below a prefix of its own; one that is refused says why.

        Args:
            name: Its name.
            role_arn: The role it writes with.
            path: Where, `s3://bucket/prefix/`.
            key_arn: The key it encrypts with, if any.
            waits_for_turn: Whether to try again for as long as the quota of jobs is met.
        """
        job = Job(name)
        key = {"kmsKeyArn": key_arn} if key_arn else {}
        request = {
            "jobName": name,
            "datasetArn": self._dataset_arn,
            "ingestionMode": "ALL",
            "roleArn": role_arn,
            "jobOutput": {"s3DataDestination": {"path": f"{path}{name}/", **key}},
        }

        def create() -> bool:
            try:
                job.arn = self._personalize.create_dataset_export_job(**request)["datasetExportJobArn"]
            except ClientError as error:
                code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
                if code == _TURN and waits_for_turn:
                    return False
                job.refusal = f"{code}: {message}"
            else:
                self._by_arn[job.arn] = job
            return True

        self.until(create, f"a turn for {name}")
        return job

    def look(self, job: Job) -> None:
        """Ask for the state of a job; one that was just made may not be known yet (inferred)."""
        try:
            answer = self._personalize.describe_dataset_export_job(datasetExportJobArn=job.arn)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
        else:
            job.see(answer["datasetExportJob"])

    def named(self, prefix: str) -> list[Job]:
        """Look at each job of the dataset whose name begins so, oldest first: those the library started."""
        pages = self._personalize.get_paginator("list_dataset_export_jobs").paginate(datasetArn=self._dataset_arn)
        found = [job for page in pages for job in page["datasetExportJobs"] if job["jobName"].startswith(prefix)]
        jobs = []
        for listed in sorted(found, key=lambda job: str(job["creationDateTime"])):
            arn = listed["datasetExportJobArn"]
            jobs.append(self._by_arn.setdefault(arn, Job(listed["jobName"], arn)))
            if not jobs[-1].ended:
                self.look(jobs[-1])
        return jobs

    def wait(self, jobs: Iterable[Job]) -> None:
        """Wait until each of the jobs has ended."""

        def ended() -> bool:
            open_jobs = [job for job in jobs if not job.ended]
            for job in open_jobs:
                self.look(job)
            return all(job.ended for job in open_jobs)

        self.until(ended, "the end of the jobs")

    def until(self, holds: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Look again and again until something holds.

        Raises:
            TimeoutError: It did not for too long.
        """
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds / 60:.0f} minutes in vain for {what}")
            time.sleep(self._poll_seconds)
