"""Names: which dataset export job belongs to which custom resource.

The job name is the API's only idempotency key and never free again
(https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html), so it is derived from what shapes
the export and from nothing that differs between two deliveries of one request.
"""

import base64
import hashlib
import json
import re

HASH_CHARACTERS = 12
LAST_ATTEMPT = 9999  # a prefix of 45 characters leaves room for four digits in the 63 of a job name

_EXPORT_ID = r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,44}-[a-z2-7]{12}"


def export_id(prefix: str, *shape: str) -> str:
    """Derives the physical id of an export, which is also the name of its first attempt."""
    return f"{prefix}-{_digest(*shape)}"


def is_export_id(text: str) -> bool:
    """Tells whether `export_id` could have made this; CloudFormation also sends ids of its own making."""
    return re.fullmatch(_EXPORT_ID, text) is not None


def link_id(job_arn: str, logical_id: str) -> str:
    """Derives the physical id of a link."""
    return f"{job_arn.rpartition('/')[2]}-link-{_digest(job_arn, logical_id)}"


def attempt_name(physical_id: str, attempt: int) -> str:
    """Names the n-th attempt: id, id-2, id-3, ..."""
    return physical_id if attempt == 1 else f"{physical_id}-{attempt}"


def job_arn(neighbour_arn: str, job_name: str) -> str:
    """Derives a job's ARN from that of its dataset, or of another job."""
    return ":".join([*neighbour_arn.split(":")[:5], f"dataset-export-job/{job_name}"])


def region_in(arn: str) -> str:
    """Reads the Region from an ARN."""
    return arn.split(":")[3]


def _digest(*parts: str) -> str:
    text = json.dumps(parts, separators=(",", ":"))
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:HASH_CHARACTERS]
