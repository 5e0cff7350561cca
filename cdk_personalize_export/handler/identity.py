"""Names: which dataset export job belongs to which export.

A job name is never free again, as no operation deletes a job
(https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html), so it is made of what shapes the
export, and of nothing that differs between two deliveries of one request:

    <prefix>-<hash of the shape>[-<attempt>]

The name without the attempt is the physical id of the custom resource
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html). Where a schedule asks, the
prefix ends with the scheduled time, for people to read: `<prefix>-20261125T0300-<hash>`.
"""

import base64
import hashlib
import json
import re
from datetime import datetime

HASH_CHARACTERS = 12
LAST_ATTEMPT = 9999  # four digits fit the 63 characters of a job name beside the longest prefix
LONGEST_PREFIX = 45
LONGEST_TICK_PREFIX = LONGEST_PREFIX - len("-20261125T0300")


def physical_id(prefix: str, *shape: str) -> str:
    """Name an export after what shapes it."""
    return f"{prefix}-{_digest(*shape)}"


def tick_prefix(prefix: str, scheduled_at: datetime) -> str:
    """Give the prefix of the jobs of one scheduled time."""
    return f"{prefix}-{scheduled_at:%Y%m%dT%H%M}"


def tick_jobs(prefix: str) -> str:
    """Give a pattern of the names of all jobs of a schedule, whatever the time."""
    return rf"{re.escape(prefix)}-\d{{8}}T\d{{4}}-[a-z2-7]{{{HASH_CHARACTERS}}}(-[1-9]\d*)?"


def is_physical_id(text: str) -> bool:
    """Say whether this looks like the physical id of an export; CloudFormation makes ids up, too."""
    return re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,44}-[a-z2-7]{12}", text) is not None


def attempt_name(export: str, attempt: int) -> str:
    """Name one job of an export; attempts are counted from 1."""
    return export if attempt == 1 else f"{export}-{attempt}"


def attempt_of(export: str, job_name: str) -> int:
    """Count which attempt of an export a job is."""
    found = re.fullmatch(rf"{re.escape(export)}-(\d{{1,4}})", job_name)
    return int(found[1]) if found else 1


def job_arn(neighbour_arn: str, job_name: str) -> str:
    """Derive the ARN of a job from any ARN of Personalize in the same account and Region."""
    return ":".join([*neighbour_arn.split(":")[:5], f"dataset-export-job/{job_name}"])


def region_in(arn: str) -> str:
    """Read the Region from an ARN."""
    return arn.split(":")[3]


def _digest(*parts: str) -> str:
    text = json.dumps(parts, separators=(",", ":"))
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:HASH_CHARACTERS]
