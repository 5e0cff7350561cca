"""Takes names, ids and data out of what a report says.

AWS's texts name accounts, roles and buckets. What is known of the run is replaced by what it is, and whatever looks
like an id of AWS (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html) by its kind. Object
names are reduced to a pattern.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# In this order: an ARN holds an account id, and a path may hold a UUID.
_KINDS = (
    (re.compile(r"(?i)(request ?id:?\s+)[^\s,;()]+"), r"\1<request id>"),
    (re.compile(r"arn:aws[a-z\-]*:([a-z0-9\-]+):[^\s\"'<>,;()\[\]]*[\w*/]"), r"<\1 ARN>"),
    (re.compile(r"arn:[^\s\"'<>,;()\[\]]*[\w*/]"), "<ARN>"),
    (re.compile(r"s3://[^\s\"'<>,;()\[\]]*[\w*/]"), "<path>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\bA[A-Z]{3}[A-Z0-9]{16,17}\b"), "<access key or role id>"),
    (re.compile(r"[\w.+-]+@[\w.-]+\w"), "<address>"),
    (re.compile(r"(?<!\d)\d{12}(?!\d)"), "<account>"),
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WORD = re.compile(r"[^\W\d_]+")
_HARMLESS = {"check", "csv", "dataset", "export", "gz", "interactions", "items", "json", "manifest", "metadata"}
_HARMLESS |= {"output", "parquet", "part", "success", "txt", "users"}


class Redactor:
    """Replaces what is known of a run, then what looks like an id.

    Args:
        known: What stands for each secret; longer secrets are replaced first, and only whole words.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = {secret: known[secret] for secret in sorted(known, key=len, reverse=True) if secret}

    def text(self, text: str) -> str:
        """Return a text without names and ids."""
        for secret, stands_for in self._known.items():
            if secret.startswith("arn:"):
                text = text.replace(secret, stands_for)
        for kind, stands_for in _KINDS:
            text = kind.sub(stands_for, text)
        for secret, stands_for in self._known.items():
            text = _whole(secret).sub(stands_for, text)
        return text

    def value(self, value: object) -> object:
        """Return plain data with all its texts redacted."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self.value(item) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value


def _whole(secret: str) -> re.Pattern[str]:
    """Match a name and what it is a part of, if that goes on with a hyphen or underscore, as names made of it do."""
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])(?:[-_][\w-]*)?")


def pattern(key: str, job_name: str) -> str:
    """Return the shape of an object's name: 9 for a digit, a or A for a letter, but for a few words.

    Args:
        key: The key, without the prefix of the job.
        job_name: The name of the job, which may be a part of it.
    """
    pieces = re.split(f"({re.escape(job_name)}|{_UUID.pattern})", key)
    return "".join(_shape(piece, job_name) for piece in pieces)


def _shape(piece: str, job_name: str) -> str:
    if piece == job_name:
        return "<job name>"
    if _UUID.fullmatch(piece):
        return "<uuid>"
    letters = _WORD.sub(lambda found: found[0] if found[0].lower() in _HARMLESS else _letters(found[0]), piece)
    return re.sub(r"\d", "9", letters)


def _letters(word: str) -> str:
    return "".join("A" if letter.isupper() else "a" for letter in word)


def rounded(size: int) -> int:
    """Round to one significant digit: a size says how much, not what."""
    return round(size, 1 - len(str(size)))
