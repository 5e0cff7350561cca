"""Where data is: ``s3://bucket/key``, a file or a folder.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/bulk-data-import-step.html and delete-records.html: a
location is one file, or a folder; an import uses the first level of a folder, a data deletion job every ``.csv`` in it
and below it. That a folder may be named without its slash when no file has that name is inferred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable


def bucket_of(location: str) -> str:
    """Return the bucket of ``s3://bucket/prefix``; empty for anything else."""
    parts = urlsplit(location)
    return parts.netloc if parts.scheme == "s3" else ""


def keys_at(key: str, found: Iterable[str], *, subfolders: bool) -> list[str]:
    """Return which of the keys that begin with ``key`` are at the location.

    Args:
        key: The key of a file or a folder.
        found: Every key that begins with it.
        subfolders: Whether every ``.csv`` of a folder and below is meant, rather than all of its first level.
    """
    keys = list(found)
    if key and not key.endswith("/"):
        if key in keys:
            return [key]
        key += "/"
    below = [name for name in keys if name.startswith(key)]
    if subfolders:
        return [name for name in below if name.endswith(".csv")]
    return [name for name in below if "/" not in name[len(key) :]]
