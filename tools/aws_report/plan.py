"""What a report makes on the account, under which names, and about what that costs.

Prices are those of us-east-1, of https://aws.amazon.com/lambda/pricing/, https://aws.amazon.com/s3/pricing/ and
https://aws.amazon.com/kms/pricing/; other Regions cost more. That export jobs themselves cost nothing is inferred:
https://aws.amazon.com/personalize/pricing/ does not name them.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

BUCKET_POLICY, ROLE, KEY = "bucket-policy", "role", "key"
SOURCE_ACCOUNT, CASE, TICK = "source-account", "case", "tick"
CAN_BE_SKIPPED = (BUCKET_POLICY, ROLE, KEY, SOURCE_ACCOUNT, CASE, TICK)

QUOTA_JOBS = 12  # the most that are started to meet the quota, which is 5 for import jobs
TICK_AFTER = timedelta(minutes=10)  # after the deployment began: the schedule must exist by then
KEY_WINDOW_DAYS = 7  # the least AWS KMS waits before it deletes a key
FUNCTION_HOUR_USD = 0.006  # 128 MB on Arm: 0.125 GB x 3600 s x 0.0000133334 USD
S3_GB_MONTH_USD = 0.023
KEY_MONTH_USD = 1.0
MONTH_HOURS = 730
LONGEST_HOURS = 3  # of waiting for one export

_FORM = "arn:<partition>:personalize:<region>:<account>:dataset/<dataset group>/<INTERACTIONS|ITEMS|USERS>"
_ARN = re.compile(
    r"arn:(aws[a-z\-]*):personalize:([a-z]+(?:-[a-z]+)+-\d+):(\d{12})"
    r":dataset/([a-zA-Z0-9][a-zA-Z0-9\-_]*)/(INTERACTIONS|ITEMS|USERS)"
)
_TAKES_RECORDS = ("ITEMS", "USERS")  # one by one; PutEvents would need an event tracker


class UnusableError(Exception):
    """Why no report can be made, in one line that says what to do."""


@dataclass(frozen=True)
class Dataset:
    """The dataset a report is made about, from its ARN."""

    arn: str
    partition: str
    region: str
    account: str
    group: str
    type: str

    @classmethod
    def parse(cls, arn: str) -> Dataset:
        """Read the ARN.

        Raises:
            UnusableError: It is not that of a dataset that can be exported.
        """
        found = _ARN.fullmatch(arn)
        if found is None:
            raise UnusableError(f"{arn!r} is not the ARN of a dataset that can be exported. Allowed: {_FORM}")
        return cls(arn, *found.groups())


@dataclass(frozen=True)
class Plan:
    """What one report makes; every name carries `identity`, so that nothing else is ever touched.

    Args:
        dataset: What is exported.
        identity: Eight random characters.
        tick_at: The time of the one scheduled export; None leaves that question out.
        skip: The questions left out, of `CAN_BE_SKIPPED`.
        quota: Whether jobs are started until AWS refuses one.
        probe_value: Whether a made-up record is put into the dataset, to see how its text is written.
    """

    dataset: Dataset
    identity: str
    tick_at: datetime | None
    skip: frozenset[str] = frozenset()
    quota: bool = False
    probe_value: bool = False

    @classmethod
    def make(cls, dataset: Dataset, *, skip: frozenset[str], quota: bool, probe_value: bool) -> Plan:
        """Choose the names.

        Raises:
            UnusableError: The dataset takes no single records, and one shall be put into it.
        """
        if probe_value and dataset.type not in _TAKES_RECORDS:
            raise UnusableError(
                f"--probe-value is given for a dataset of type {dataset.type}. Allowed: {' or '.join(_TAKES_RECORDS)}, "
                "which PutItems and PutUsers take records for. Leave it out, or name such a dataset."
            )
        return cls(dataset, secrets.token_hex(4), None, skip, quota, probe_value)

    @property
    def export_stack(self) -> str:
        """The stack a user of the library would have: an export, and one on a schedule."""
        return f"personalize-export-report-{self.identity}"

    @property
    def set_ups_stack(self) -> str:
        """The stack of the buckets, roles and the key that the other questions need, all of them broken but one."""
        return f"{self.export_stack}-set-ups"

    @property
    def job_name_prefix(self) -> str:
        """What the name of every job begins with."""
        return f"report-{self.identity}"

    def asks(self, question: str) -> bool:
        """Say whether a question is not left out."""
        return question not in self.skip

    def next_tick(self) -> datetime | None:
        """Return the time for the scheduled export of a deployment that begins now, in whole minutes."""
        if not self.asks(TICK):
            return None
        return (datetime.now(timezone.utc) + TICK_AFTER).replace(second=0, microsecond=0)

    @property
    def needs_set_ups(self) -> bool:
        """Whether there is a question the export by itself does not answer."""
        return self.quota or any(self.asks(question) for question in CAN_BE_SKIPPED if question != TICK)

    @property
    def jobs(self) -> int:
        """How many jobs are started, but for those that look for the quota."""
        return 1 + sum(self.asks(question) for question in CAN_BE_SKIPPED) + self.asks(CASE)  # which takes two

    @property
    def rounds(self) -> int:
        """How many jobs are waited for one after another; the others run at the same time."""
        return 1 + self.needs_set_ups + self.asks(TICK) + self.quota

    def text(self) -> str:
        """Say what will be made, what it costs, and what stays."""
        kept = 1 + self.asks(TICK)
        dataset = self.dataset
        lines = [
            f"Account {dataset.account}, Region {dataset.region}, dataset {dataset.group}/{dataset.type}",
            "",
            "This makes, with names of its own:",
            f"  stack {self.export_stack}: a bucket, the export and its function{self._and_schedule()}",
        ]
        if self.needs_set_ups:
            lines.append(f"  stack {self.set_ups_stack}: three buckets, roles and a KMS key for what must fail")
        lines.append(f"  {count(self.jobs, 'export job', 'export jobs')}{self._and_quota()}")
        if self.probe_value:
            lines.append(f"  one made-up record in the dataset, {self.job_name_prefix}, which the API cannot delete")
        lines += ["", "About what it costs (USD, us-east-1):", *self._costs(kept)]
        lines += [
            "",
            f"It takes as long as {count(self.rounds, 'job', 'jobs one after another')}, and about ten minutes more.",
            "At the end all of it is removed. What stays:",
            f"  the bucket of the first stack, with {count(kept, 'copy', 'copies')} of the dataset: it is your data",
            "  the export jobs, which the API cannot delete, and the assets `cdk deploy` keeps in the CDK's own bucket",
        ]
        if self.needs_set_ups:
            lines.append(
                f"  the KMS key, for the {KEY_WINDOW_DAYS} days AWS waits before it deletes one; free of charge"
            )
        return "\n".join(lines)

    def _and_schedule(self) -> str:
        return ", a schedule that fires once" if self.asks(TICK) else ""

    def _and_quota(self) -> str:
        return f", and up to {QUOTA_JOBS} more until AWS refuses one" if self.quota else ""

    def _costs(self, kept: int) -> list[str]:
        hours = LONGEST_HOURS * kept
        key = KEY_MONTH_USD / MONTH_HOURS * LONGEST_HOURS if self.needs_set_ups else 0.0
        copies = self.jobs + (QUOTA_JOBS if self.quota else 0) - kept
        monthly = kept * S3_GB_MONTH_USD
        lines = [
            f"  function  {kept} x {LONGEST_HOURS} h at most x {FUNCTION_HOUR_USD} = {hours * FUNCTION_HOUR_USD:.3f}",
            f"  S3        {kept} x {S3_GB_MONTH_USD} = {monthly:.3f} a month for each GB, until you empty the bucket",
        ]
        if copies:
            per_gb = copies * S3_GB_MONTH_USD / MONTH_HOURS * LONGEST_HOURS
            lines.append(
                f"            {copies} x {S3_GB_MONTH_USD} / {MONTH_HOURS} h x {LONGEST_HOURS} h = {per_gb:.4f} "
                "for each GB, at most, for copies that are removed"
            )
        if key:
            lines.append(f"  KMS key   {KEY_MONTH_USD} / {MONTH_HOURS} h x {LONGEST_HOURS} h = {key:.3f}")
        lines.append("  jobs      nothing, as far as is known: AWS publishes no price for export jobs")
        lines.append(f"  in all    about {hours * FUNCTION_HOUR_USD + key:.2f}, and S3")
        return lines


def count(number: int, one: str, several: str) -> str:
    """Write a number of things."""
    return f"{number} {one if number == 1 else several}"
