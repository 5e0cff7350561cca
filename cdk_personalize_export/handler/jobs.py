"""Dataset export jobs: which one belongs to an export, and how to start it.

A job is CREATE PENDING, CREATE IN_PROGRESS, ACTIVE or CREATE FAILED; none can be stopped or deleted. The API types the
status as a free string and every member as optional
(https://docs.aws.amazon.com/personalize/latest/dg/API_DatasetExportJob.html). The attempts of an export are looked at
in order (id, id-2, ...); `decide` is a pure function of what was seen.

Two jobs of one schedule do not run side by side: before a job is started, those of other scheduled times are looked for
(https://docs.aws.amazon.com/personalize/latest/dg/API_ListDatasetExportJobs.html).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from . import identity
from .errors import PASSING, RefusedError, ServiceErrors, code_of, may_have_been_heard, text_of, verdict
from .outbound import NoAnswerError, server_time
from .properties import Export
from .waiting import POLL_SECONDS, DeadlineReachedError, TimeBudget

ACTIVE, FAILED = "ACTIVE", "CREATE FAILED"
ATTRIBUTES = (  # in the order of Job
    "JobName",
    "DatasetExportJobArn",
    "DatasetArn",
    "IngestionMode",
    "RoleArn",
    "OutputPath",
    "KmsKeyArn",
    "Status",
    "CreationDateTime",
    "LastUpdatedDateTime",
    "FailureReason",
)
MOST_LISTED = 100  # in one answer, says the API
VISIBLE_SECONDS = 60.0  # how long a new job may be unknown to Describe (inferred)
VISIBLE_POLL_SECONDS = 2.0
LATE_SECONDS = 60.0  # a job that is started later after the request is only started if somebody still waits
CLOCK_MARGIN_SECONDS = 3.0  # two clocks are compared by HTTP's Date, which counts whole seconds


class Job(NamedTuple):
    """What Describe reports; "" or None for what it leaves out."""

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
        """Say whether it has ended, well or not."""
        return self.status in {ACTIVE, FAILED}

    @property
    def in_progress(self) -> bool:
        """Say whether it is on its way; states other resources of Personalize know count, too."""
        return not self.status or re.search(r"\b(PENDING|IN_PROGRESS|STOPPING)$", self.status) is not None

    def same_stop(self, before: "Job | None") -> bool:
        """Say whether it is in an unknown state that has not changed since before, and so may never."""
        known = self.over or self.in_progress
        return not known and before is not None and (self.status, self.updated) == (before.status, before.updated)

    def ended_before(self, moment: float) -> bool:
        """Say whether it ended before a moment, well or not."""
        return self.over and self.updated is not None and self.updated.timestamp() < moment

    def failed_before(self, moment: float) -> bool:
        """Say whether it failed before a moment."""
        return self.status == FAILED and self.ended_before(moment)

    @property
    def seconds(self) -> float | None:
        """How long it took, when it is over and both times are known."""
        if not self.over or self.created is None or self.updated is None:
            return None
        return max(0.0, (self.updated - self.created).total_seconds())

    def attributes(self) -> dict[str, str]:
        """Give the attributes of the custom resource: every field of the API."""
        return dict(zip(ATTRIBUTES, map(shown, self), strict=True))


def decide(
    attempts: Sequence[Job], since: float, started: str = "", *, retried: str = "", rejoin: bool = False
) -> Job | int:
    """Give the job to join, or the attempt to start: only when all others failed, and before this request.

    Args:
        attempts: What was seen, in order.
        since: From when on a failure belongs to this request.
        started: The job this request has started: it starts no other.
        retried: The failed job that is to be followed by another, whoever started it and whenever it failed.
        rejoin: Whether a job that has failed is as good as any.
    """
    for job in attempts:
        if job.status != FAILED:
            return job
    if attempts and attempts[-1].name == retried:
        return len(attempts) + 1
    if attempts and (rejoin or attempts[-1].name == started or not attempts[-1].failed_before(since)):
        return attempts[-1]
    return len(attempts) + 1


def require_ours(job: Job, wanted: Export) -> None:
    """Check that a job under our name is this export; what Describe leaves out proves nothing.

    Raises:
        RefusedError: It is not.
    """
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
    """Read what Describe answers about a job."""
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
    """The jobs in the account and Region of a dataset or of another job."""

    def __init__(self, time: TimeBudget, neighbour_arn: str, started: str = "") -> None:
        self.seen: Job | None = None  # the last one, to report when time runs out
        self.started = started  # the name of the job this request has started, or may have
        self.retried = ""  # the name of the failed job that is to be followed by another
        self._accepted = ""
        self._time = time
        self._neighbour_arn = neighbour_arn
        self._ahead = 0.0  # the clock of Personalize, compared with ours

    @property
    def accepted_arn(self) -> str:
        """The ARN of the job that Personalize has accepted, or may have, seen or not; nothing when there is none."""
        name = self._accepted or self.started
        return identity.job_arn(self._neighbour_arn, name) if name else ""

    def failed_before(self, job: Job, moment: float) -> bool:
        """Say whether a job failed before a moment of our clock."""
        return job.failed_before(moment + self._ahead - CLOCK_MARGIN_SECONDS)

    def ended_before(self, job: Job, moment: float) -> bool:
        """Say whether a job ended before a moment of our clock."""
        return job.ended_before(moment + self._ahead - CLOCK_MARGIN_SECONDS)

    def since_end(self, job: Job) -> float:
        """Tell how long ago a job ended, by the clock of Personalize: so every invocation counts the same."""
        return 0.0 if job.updated is None else self._time.outbound.now() + self._ahead - job.updated.timestamp()

    def describe(self, arn: str) -> Job | None:
        """Look at a job; there may be none."""
        try:
            answer = self._call("describe_dataset_export_job", datasetExportJobArn=arn)
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return None
            raise
        described = answer.get("datasetExportJob")
        if not described:
            raise NoAnswerError("DescribeDatasetExportJob answered without the job")
        job, before = read_job(described, arn), self.seen
        if before is None or (before.arn, before.status) != (job.arn, job.status):
            self._time.log.write("INFO", "Job seen", jobName=job.name, status=job.status)
        self.seen = job
        return job

    def attempts(self, physical_id: str) -> Iterator[Job]:
        """Look at the attempts of an export in order, up to the first that has not failed."""
        for attempt in range(1, identity.LAST_ATTEMPT + 1):
            name = identity.attempt_name(physical_id, attempt)
            job = self.describe(identity.job_arn(self._neighbour_arn, name))
            if job is not None:
                yield job
            if job is None or job.status != FAILED:
                return

    def find(self, wanted: Export, since: float, *, rejoin: bool = False) -> Job | int:
        """Give the job to join, or the attempt to start; see `decide`."""
        attempts = []
        for job in self.attempts(wanted.physical_id):
            require_ours(job, wanted)
            attempts.append(job)
        moment = since + self._ahead - CLOCK_MARGIN_SECONDS
        return decide(attempts, moment, self.started, retried=self.retried, rejoin=rejoin)

    def start_or_join(self, wanted: Export, since: float, *, rejoin: bool = False) -> Job:
        """Give the job of an export, started if need be; it may have failed within this request.

        Raises:
            GivenUpError: It would have to be started, and nobody waits for it any longer.
        """
        while True:
            try:
                found = self.find(wanted, since, rejoin=rejoin)
                if not isinstance(found, Job) and self._is_late(found):
                    self._time.require_demand()
                job = found if isinstance(found, Job) else self._begin(wanted, found)
            except ServiceErrors as error:
                self._time.wait_out(error)
                continue
            self._time.succeeded()
            if job is found or rejoin or job.status != FAILED:
                return job
            self._time.pause(VISIBLE_POLL_SECONDS)  # the next look judges the failure

    def follow(self, job: Job) -> Job:
        """Wait for the end of a job."""
        since, before = self._time.outbound.now(), None
        while not job.over:
            if job.same_stop(before):
                raise RefusedError(
                    f"The dataset export job is {job.status}, which is neither ACTIVE nor CREATE FAILED nor anything "
                    f"this release knows, and has not changed within {POLL_SECONDS:.0f} s"
                )
            if job.in_progress:
                self._time.poll(job.created.timestamp() if job.created else since)
            else:
                self._time.pause(POLL_SECONDS)
            before, job = job, self.visible(job.arn)
        return job

    def visible(self, arn: str) -> Job:
        """Look at a job that exists, but that Describe may not know yet.

        Raises:
            RefusedError: It has not known it for too long.
        """
        missing_since = None
        while True:
            try:
                job = self.describe(arn)
            except ServiceErrors as error:
                self._time.wait_out(error)
                continue
            if job is not None:
                self._time.succeeded()
                return job
            now = self._time.outbound.now()
            missing_since = now if missing_since is None else missing_since
            if now - missing_since >= VISIBLE_SECONDS:
                raise RefusedError(f"Personalize has not known the job {arn} for {VISIBLE_SECONDS:.0f} s")
            self._time.pause(VISIBLE_POLL_SECONDS)

    def _begin(self, wanted: Export, attempt: int) -> Job:
        if attempt > identity.LAST_ATTEMPT:
            raise RefusedError(f"All {identity.LAST_ATTEMPT} attempts have failed. Fix: change the generation.")
        if wanted.siblings:
            self._await_turn(wanted)
        if self._time.over():
            raise DeadlineReachedError  # the looks before took until then
        name = identity.attempt_name(wanted.physical_id, attempt)
        new = self._create(wanted, name)
        self._accepted = name
        if new:
            self.started = name
            self._time.log.write("INFO", "Job started", jobName=name)
            if wanted.wait:  # no export is over at once
                self._time.poll(self._time.outbound.now())
        job = self.visible(identity.job_arn(self._neighbour_arn, name))
        require_ours(job, wanted)
        return job

    def _await_turn(self, wanted: Export) -> None:
        """Wait while another job of the same schedule runs."""
        before = None
        while other := self._running(wanted):
            if other != before:
                self._time.log.write("INFO", "Waiting for another job of the same schedule", jobName=other.name)
            self._time.last_error = f"the dataset export job {other.name} of the same schedule is still running"
            self._time.poll(other.created.timestamp() if other.created else self._time.outbound.now())
            before = other

    def _running(self, wanted: Export) -> Job | None:
        """Give another job of the same schedule that runs; there may be none, and whoever may not look sees none."""
        more: dict[str, str] = {}
        while True:
            try:
                answer = self._call(
                    "list_dataset_export_jobs", datasetArn=wanted.dataset_arn, maxResults=MOST_LISTED, **more
                )
            except ServiceErrors as error:
                if verdict(error) == PASSING:
                    raise
                self._time.log.write("WARNING", "Other jobs of the schedule are not seen", error=text_of(error))
                return None
            for listed in answer.get("datasetExportJobs", []):
                job = read_job(listed, listed.get("datasetExportJobArn", ""))
                ours = job.name.startswith(wanted.physical_id)
                if job.in_progress and not ours and re.fullmatch(wanted.siblings, job.name):
                    return job
            if not answer.get("nextToken"):
                return None
            more = {"nextToken": answer["nextToken"]}
            self._time.pause(0)  # ends it when the time is over

    def _create(self, wanted: Export, name: str) -> bool:
        """Create a job; give False when the name is taken, as by a call whose answer was lost."""
        target = {"path": wanted.output_path(name)}
        if wanted.kms_key_arn:
            target["kmsKeyArn"] = wanted.kms_key_arn
        try:
            self._call(
                "create_dataset_export_job",
                jobName=name,
                datasetArn=wanted.dataset_arn,
                ingestionMode=wanted.ingestion_mode,
                roleArn=wanted.role_arn,
                jobOutput={"s3DataDestination": target},
                **({"tags": wanted.tags} if wanted.tags else {}),
            )
        except ServiceErrors as error:
            if isinstance(error, ClientError) and code_of(error) == "ResourceAlreadyExistsException":
                return False
            if may_have_been_heard(error):
                self.started = name
            raise
        return True

    def _is_late(self, attempt: int) -> bool:
        return attempt > 1 or self._time.outbound.now() - self._time.demand.requested_at > LATE_SECONDS

    def _call(self, operation: str, **parameters: Any) -> Any:
        outbound = self._time.outbound
        try:
            answer = outbound.call("personalize", operation, identity.region_in(self._neighbour_arn), **parameters)
        except ClientError as error:
            self._note_clock(error.response)
            raise
        self._note_clock(answer)
        return answer

    def _note_clock(self, answer: Mapping[str, Any]) -> None:
        date = server_time(answer)
        if date is not None:
            self._ahead = date - self._time.outbound.now()


def shown(value: str | datetime | None) -> str:
    """Write a field of a job as text; a time is ISO 8601 in UTC."""
    return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value or ""
