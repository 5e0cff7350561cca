"""Dataset export jobs: what they look like, which one belongs to a request, and how to start one.

A job is CREATE PENDING, CREATE IN_PROGRESS, ACTIVE or CREATE FAILED; the API types that as a free string and every
member as optional (https://docs.aws.amazon.com/personalize/latest/dg/API_DatasetExportJob.html). None can be stopped or
deleted, so none is started twice for one request: `decide` looks at the attempts id, id-2, ... and is a pure function.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

import failures
import identity
from botocore.exceptions import ClientError
from failures import RefusedError, ServiceErrors
from outside import Journal, Outside
from request import Export
from waiting import Patience

ACTIVE, FAILED = "ACTIVE", "CREATE FAILED"
VISIBLE_SECONDS = 60.0  # how long a new job may be unknown to Describe (inferred)
VISIBLE_POLL_SECONDS = 2.0


class Job(NamedTuple):
    """A job as Describe reports it; "" or None for what it leaves out."""

    name: str
    arn: str
    dataset_arn: str
    ingestion_mode: str
    role_arn: str
    output_path: str
    kms_key_arn: str
    status: str
    created: datetime | None
    updated: datetime | None
    failure_reason: str

    @property
    def over(self) -> bool:
        """Whether the job has ended; in an unknown state it has not."""
        return self.status in {ACTIVE, FAILED}

    def failed_before(self, moment: float) -> bool:
        """Whether the job had failed by then; no, when it has no time."""
        return self.status == FAILED and self.updated is not None and self.updated.timestamp() < moment

    def attributes(self) -> dict[str, str]:
        """Gives the attributes of the custom resource: always all of them."""
        return {
            "JobName": self.name,
            "DatasetExportJobArn": self.arn,
            "DatasetArn": self.dataset_arn,
            "IngestionMode": self.ingestion_mode,
            "RoleArn": self.role_arn,
            "OutputPath": self.output_path,
            "KmsKeyArn": self.kms_key_arn,
            "Status": self.status,
            "CreationDateTime": _iso(self.created),
            "LastUpdatedDateTime": _iso(self.updated),
            "FailureReason": self.failure_reason,
        }


class Join(NamedTuple):
    """Take this attempt: wait for it, or report how it ended."""

    job: Job


class Start(NamedTuple):
    """Start this attempt."""

    attempt: int


def decide(attempts: Sequence[Job], requested_at: float) -> Join | Start:
    """Joins the first attempt that has not failed; starts another only when all failed before the request was made."""
    for job in attempts:
        if job.status != FAILED:
            return Join(job)
    if attempts and not attempts[-1].failed_before(requested_at):
        return Join(attempts[-1])
    return Start(len(attempts) + 1)


def require_ours(job: Job, wanted: Export) -> None:
    """Refuses a job that has our name but another purpose; what Describe leaves out proves nothing."""
    pairs = {
        "dataset": (job.dataset_arn, wanted.dataset_arn),
        "ingestion mode": (job.ingestion_mode, wanted.ingestion_mode),
        "output path": (job.output_path.rstrip("/"), wanted.output_path(job.name).rstrip("/")),
        "key": (job.kms_key_arn or (job.output_path and "none"), wanted.kms_key_arn or "none"),
    }
    other = [f"{what} {found}, not {ours}" for what, (found, ours) in pairs.items() if found not in ("", ours)]
    if other:
        raise RefusedError(
            f"The dataset export job {job.name} is not this export: {'; '.join(other)}. It is left alone. "
            "Fix: change job_name_prefix or generation."
        )


def read_job(described: Mapping[str, Any], arn: str) -> Job:
    """Reads a job from Describe's answer."""
    output = described.get("jobOutput", {}).get("s3DataDestination", {})
    return Job(
        described.get("jobName", arn.rpartition("/")[2]),
        described.get("datasetExportJobArn", arn),
        described.get("datasetArn", ""),
        described.get("ingestionMode", ""),
        described.get("roleArn", ""),
        output.get("path", ""),
        output.get("kmsKeyArn", ""),
        described.get("status", ""),
        described.get("creationDateTime"),
        described.get("lastUpdatedDateTime"),
        described.get("failureReason", ""),
    )


class Jobs:
    """The export jobs beside a dataset or another job."""

    def __init__(self, outside: Outside, journal: Journal, patience: Patience, neighbour_arn: str) -> None:
        self.seen: Job | None = None  # the last one looked at, for the report when time runs out
        self._outside = outside
        self._journal = journal
        self._patience = patience
        self._neighbour_arn = neighbour_arn
        self._client = outside.client("personalize", identity.region_in(neighbour_arn))

    def describe(self, arn: str) -> Job | None:
        """Looks at a job, if there is one."""
        try:
            answer = self._client.describe_dataset_export_job(datasetExportJobArn=arn)
        except ClientError as error:
            if failures.code_of(error) == "ResourceNotFoundException":
                return None
            raise
        job, before = read_job(answer["datasetExportJob"], arn), self.seen
        if before is None or (before.arn, before.status) != (job.arn, job.status):
            self._journal.write("INFO", "Job seen", jobName=job.name, status=job.status)
        self.seen = job
        return job

    def attempts(self, physical_id: str) -> Iterator[Job]:
        """Looks at the attempts in order, up to the first that has not failed."""
        for attempt in range(1, identity.LAST_ATTEMPT + 1):
            job = self.describe(self._arn(identity.attempt_name(physical_id, attempt)))
            if job is not None:
                yield job
            if job is None or job.status != FAILED:
                return

    def find(self, wanted: Export, requested_at: float) -> Join | Start:
        """Looks at our attempts and decides."""
        attempts = []
        for job in self.attempts(wanted.physical_id):
            require_ours(job, wanted)
            attempts.append(job)
        return decide(attempts, requested_at)

    def start_or_join(self, wanted: Export, requested_at: float) -> Job:
        """Gives the one job of this request, starting it when there is none; errors that pass are waited out."""
        while True:
            try:
                found = self.find(wanted, requested_at)
                job = found.job if isinstance(found, Join) else self._begin(wanted, found.attempt)
            except ServiceErrors as error:
                self._patience.endure(error)
                continue
            self._patience.settled()
            if isinstance(found, Join) or job.status != FAILED:
                return job
            self._patience.pause(VISIBLE_POLL_SECONDS)  # the next look judges whether this failure is the answer

    def follow(self, job: Job) -> Job:
        """Polls a job until it is over."""
        since = self._outside.now()
        while not job.over:
            self._patience.poll(job.created.timestamp() if job.created else since)
            job = self.visible(job.arn)
        return job

    def visible(self, arn: str) -> Job:
        """Looks at a job that exists, patiently: it may not be visible yet, and errors may pass."""
        missing_since = None
        while True:
            try:
                job = self.describe(arn)
            except ServiceErrors as error:
                self._patience.endure(error)
                continue
            if job is not None:
                self._patience.settled()
                return job
            now = self._outside.now()
            missing_since = now if missing_since is None else missing_since
            if now - missing_since >= VISIBLE_SECONDS:
                raise RefusedError(f"Personalize has not known the job {arn} for {VISIBLE_SECONDS:.0f} s")
            self._patience.pause(VISIBLE_POLL_SECONDS)

    def _arn(self, name: str) -> str:
        return identity.job_arn(self._neighbour_arn, name)

    def _begin(self, wanted: Export, attempt: int) -> Job:
        """Starts an attempt, or finds that an earlier call of ours has, and waits until it can be seen."""
        if attempt > identity.LAST_ATTEMPT:
            raise RefusedError(f"All {identity.LAST_ATTEMPT} attempts have failed. Fix: change the generation.")
        name = identity.attempt_name(wanted.physical_id, attempt)
        if self._create(wanted, name):
            self._journal.write("INFO", "Job started", jobName=name)
            if wanted.wait:  # no export is over at once, and a new job may not be visible yet
                self._patience.poll(self._outside.now())
        job = self.visible(self._arn(name))
        require_ours(job, wanted)
        return job

    def _create(self, wanted: Export, name: str) -> bool:
        """Creates a job; False when the name is taken, maybe by an earlier call of ours whose answer was lost."""
        target = {"path": wanted.output_path(name)}
        if wanted.kms_key_arn:
            target["kmsKeyArn"] = wanted.kms_key_arn
        try:
            self._client.create_dataset_export_job(
                jobName=name,
                datasetArn=wanted.dataset_arn,
                ingestionMode=wanted.ingestion_mode,
                roleArn=wanted.role_arn,
                jobOutput={"s3DataDestination": target},
                **({"tags": wanted.tags} if wanted.tags else {}),
            )
        except ClientError as error:
            if failures.code_of(error) == "ResourceAlreadyExistsException":
                return False
            raise
        return True


def _iso(moment: datetime | None) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
