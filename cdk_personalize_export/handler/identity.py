"""Names: which dataset export job belongs to which custom resource.

A job name is never free again (https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html), so
it is made of what shapes the export, and of nothing that differs between two deliveries of one request.
"""

import base64
import hashlib
import json
import re

HASH_CHARACTERS = 12
LAST_ATTEMPT = 9999  # four digits fit the 63 characters of a job name beside the longest prefix


def export_id(prefix: str, *shape: str) -> str:
    return f"{prefix}-{_digest(*shape)}"


def is_export_id(text: str) -> bool:
    return re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,44}-[a-z2-7]{12}", text) is not None


def link_id(job_arn: str, logical_id: str) -> str:
    return f"{job_arn.rpartition('/')[2]}-link-{_digest(job_arn, logical_id)}"


def attempt_name(physical_id: str, attempt: int) -> str:
    return physical_id if attempt == 1 else f"{physical_id}-{attempt}"


def job_arn(neighbour_arn: str, job_name: str) -> str:
    return ":".join([*neighbour_arn.split(":")[:5], f"dataset-export-job/{job_name}"])


def region_in(arn: str) -> str:
    return arn.split(":")[3]


def _digest(*parts: str) -> str:
    text = json.dumps(parts, separators=(",", ":"))
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:HASH_CHARACTERS]
