"""Makes what the plan says, asks every question, and removes it all again, whatever happens."""

from __future__ import annotations

import signal
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from tools.aws_report import questions
from tools.aws_report.jobs import Job, Jobs
from tools.aws_report.plan import (
    BUCKET_POLICY,
    CASE,
    KEY,
    KEY_WINDOW_DAYS,
    QUOTA_JOBS,
    ROLE,
    SOURCE_ACCOUNT,
    count,
)
from tools.aws_report.redact import Redactor
from tools.aws_report.report import NOT_ANSWERED
from tools.aws_report.stacks import DeploymentError, Stacks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.aws_report.account import Account
    from tools.aws_report.plan import Plan

# The question; where its jobs write, as the outputs of the stack name it; what the jobs are called; who answers it.
SET_UPS: dict[str, tuple[str, tuple[str, ...], Callable[..., dict[str, Any]]]] = {
    BUCKET_POLICY: ("NoPolicy", ("no-policy",), questions.refusal),
    ROLE: ("Stranger", ("stranger",), questions.refusal),
    KEY: ("Scratch", ("key",), questions.refusal),
    SOURCE_ACCOUNT: ("Strict", ("strict",), questions.source_account),
    CASE: ("Scratch", ("case", "CASE"), questions.case),
}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INCOMPLETE, SIGNAL_OFFSET = 1, 128


class Stopped(BaseException):
    """A signal arrived; like KeyboardInterrupt it is no error, so that nothing takes it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = SIGNAL_OFFSET + number


class Run:
    """One report.

    Args:
        plan: What to make.
        account: The account and the dataset.
        poll_seconds: How long to pause between two looks.

    Attributes:
        answers: What was found, by question; may hold names and ids.
        left: What could not be removed, and what to do about it.
        kept: What stays by intention.
    """

    def __init__(self, plan: Plan, account: Account, poll_seconds: float) -> None:
        self.plan, self._account = plan, account
        self._stacks = Stacks(plan, account.session, poll_seconds)
        self._jobs = Jobs(account.client("personalize"), plan.dataset.arn, poll_seconds)
        self._s3 = account.client("s3")
        self._known = {**account.names(), plan.identity: "<report>", plan.job_name_prefix: "<job>"}
        self._known |= {plan.export_stack: "<name>", plan.set_ups_stack: "<name>"}
        self.answers: dict[str, dict[str, Any]] = {}
        self.left: list[str] = []
        self.kept: list[str] = []

    def run(self) -> int:
        """Do all of it; returns the exit status."""
        status = 0
        with _signals_raise():
            try:
                self._ask_all()
            except Stopped as stopped:
                status = stopped.status
                say(f"{stopped}: removing what was made; once more, and it stays")
            except Exception as error:  # noqa: BLE001 - whatever it is, what was made is removed
                status = INCOMPLETE
                say(f"Failed: {_said(error)}")
            try:
                self._remove_all()
            except Stopped as stopped:
                status = stopped.status
            except Exception as error:  # noqa: BLE001 - no connection, for example: what may be left is said
                say(f"Failed: {_said(error)}")
        failed = any(NOT_ANSWERED in answer or answer.get("deployed") is False for answer in self.answers.values())
        return status or (INCOMPLETE if self.left or failed else 0)

    def redacted_answers(self) -> object:
        """Return the answers without names, ids and data."""
        return Redactor(self._known).value(self.answers)

    def _ask_all(self) -> None:
        plan = self.plan
        if plan.needs_set_ups:
            self._deploy(plan.set_ups_stack)
        if plan.probe_value:
            self._answer("made_up_value", self._put_made_up_value)
        self._answer("export", self._export)
        job = self._export_job()
        if job is not None and job.ended:
            self._look_at_objects(job)
        places = self._stacks.outputs(plan.set_ups_stack) if plan.needs_set_ups else {}
        if places:  # only now: minutes after the roles were made, IAM knows them everywhere
            self._ask_set_ups(places)
        if self.plan.tick_at is not None:
            self._answer("tick", self._tick)
        if plan.quota:  # last, because every other job would have to wait for its turn
            self._answer("quota", lambda: self._quota(places))

    def _answer(self, name: str, question: Callable[[], dict[str, Any]]) -> None:
        """Keep the answer to a question, or why there is none."""
        say(f"Asking: {name.replace('_', ' ')}")
        try:
            self.answers[name] = question()
        except Exception as error:  # noqa: BLE001 - the other questions are asked all the same
            self.answers[name] = {NOT_ANSWERED: _said(error)}
            say(f"  not answered: {_said(error)}")

    def _deploy(self, name: str, meanwhile: Callable[[], object] | None = None) -> None:
        say(f"Deploying {name}")
        try:
            self._stacks.deploy(name, self.plan.tick_at, meanwhile)
        finally:
            self._known |= dict.fromkeys(self._stacks.physical_ids(name), "<name>")
            self._known |= dict.fromkeys(self._stacks.physical_ids(name, "AWS::S3::Bucket"), "<bucket>")

    def _put_made_up_value(self) -> dict[str, Any]:
        account, kind = self._account, self.plan.dataset.type
        record = questions.record(account.schema, kind, self.plan.job_name_prefix)
        events = account.client("personalize-events")
        put = {"ITEMS": events.put_items, "USERS": events.put_users}[kind]
        put(datasetArn=self.plan.dataset.arn, **{kind.lower(): [record]})
        return {NOT_ANSWERED: "there was no export to look at"}

    def _export(self) -> dict[str, Any]:
        """Deploy the export; one that fails is an answer, too."""
        self.plan = replace(self.plan, tick_at=self.plan.next_tick())
        deployed = True
        try:
            self._deploy(self.plan.export_stack, self._export_job)
        except DeploymentError as error:
            say(f"  {error}")
            deployed = False
        job = self._export_job()
        if job is None:
            raise DeploymentError("the deployment failed before it had started a job")
        return {"deployed": deployed, **questions.course(job)}

    def _export_job(self) -> Job | None:
        return next(iter(self._jobs.named(f"{self.plan.job_name_prefix}-export")), None)

    def _look_at_objects(self, job: Job) -> None:
        columns = questions.columns(self._account.schema)
        self._answer("objects", lambda: questions.objects(questions.parts_at(self._s3, job.path), job, columns))
        if self.plan.probe_value:
            lines = questions.lines_at(self._s3, job.path)
            self._answer("made_up_value", lambda: questions.quoting(lines, self.plan.job_name_prefix))

    def _ask_set_ups(self, places: dict[str, str]) -> None:
        """Start the jobs of each set-up that is asked about, then wait for all of them."""
        say("Starting a job for each set-up")
        begun: dict[str, list[Job]] = {}
        for question, (place, names, _) in SET_UPS.items():
            if self.plan.asks(question):
                key_arn = places["KeyArn"] if question == KEY else ""
                begun[question] = [self._start(name, places, place, key_arn) for name in names]
        say("Waiting for them")
        self._jobs.wait([job for jobs in begun.values() for job in jobs])
        for question, jobs in begun.items():
            self._answer(question.replace("-", "_"), partial(SET_UPS[question][2], *jobs))

    def _start(
        self, name: str, places: dict[str, str], place: str, key_arn: str = "", *, waits_for_turn: bool = True
    ) -> Job:
        return self._jobs.start(
            f"{self.plan.job_name_prefix}-{name}",
            role_arn=places[f"{place}Role"],
            path=places[f"{place}Path"],
            key_arn=key_arn,
            waits_for_turn=waits_for_turn,
        )

    def _quota(self, places: dict[str, str]) -> dict[str, Any]:
        jobs: list[Job] = []
        while len(jobs) < QUOTA_JOBS and not (jobs and jobs[-1].refusal):
            jobs.append(self._start(f"quota-{len(jobs) + 1}", places, "Scratch", waits_for_turn=False))
        self._jobs.wait(jobs)
        return questions.quota(jobs)

    def _tick(self) -> dict[str, Any]:
        scheduled = self.plan.tick_at
        assert scheduled is not None  # noqa: S101 - asked only then
        prefix = f"{self.plan.job_name_prefix}-tick"

        def ended() -> bool:
            jobs = self._jobs.named(prefix)
            return bool(jobs) and all(job.ended for job in jobs)

        self._jobs.until(ended, "the export of the schedule")
        return questions.tick(self._jobs.named(prefix), scheduled)

    def _remove_all(self) -> None:
        """Remove both stacks; whatever goes wrong, or if it is stopped, `left` says what is still there."""
        plan = self.plan
        fix = f"aws cloudformation delete-stack --region {plan.dataset.region} --stack-name"
        removals = {plan.export_stack: False, plan.set_ups_stack: True}  # a stack, and whether its buckets go too
        self.left = [f"stack {name}, perhaps: {fix} {name}" for name in removals]
        buckets = sorted(self._stacks.physical_ids(plan.export_stack, "AWS::S3::Bucket"))
        self.kept = [_kept(bucket) for bucket in buckets] + self._others_kept()
        for name, empties_buckets in removals.items():
            say(f"Removing {name}")
            try:
                wrong = self._stacks.remove(name, empties_buckets=empties_buckets)
            except Exception as error:  # noqa: BLE001 - the other stack is removed all the same
                wrong = _said(error)
            self.left = [line for line in self.left if f" {name}, " not in line]
            if wrong:
                self.left.append(f"stack {name} ({wrong}): {fix} {name}")
        gone = {_kept(bucket) for bucket in buckets if not self._stacks.has_bucket(bucket)}
        self.kept = [line for line in self.kept if line not in gone]

    def _others_kept(self) -> list[str]:
        """Say what stays but the bucket."""
        plan = self.plan
        with suppress(Exception):  # only counts
            self._jobs.named(plan.job_name_prefix)
        jobs = count(self._jobs.started, "export job", "export jobs")
        lines = [f"{jobs}, {plan.job_name_prefix}-...: the API cannot delete any"] if self._jobs.started else []
        if self._stacks.physical_ids(plan.set_ups_stack, "AWS::KMS::Key"):
            lines.append(f"the KMS key, for the {KEY_WINDOW_DAYS} days AWS waits before it deletes one")
        return lines


def _kept(bucket: str) -> str:
    return f"bucket {bucket}, with what was exported"


def say(text: str) -> None:
    """Print a line, if there is still a terminal to read it."""
    with suppress(OSError):
        print(text, flush=True)


@contextmanager
def _signals_raise() -> Iterator[None]:
    def stop(number: int, _frame: object) -> NoReturn:
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _said(error: Exception) -> str:
    """Return what an error says, with its type where it says little."""
    return str(error) or type(error).__name__
