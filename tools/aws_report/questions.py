"""The questions, one function each, and what is looked at to answer them. An answer is plain data.

What AWS documents of an export ends at "one or more CSV files with a header row":
https://docs.aws.amazon.com/personalize/latest/dg/export-data.html. No answer holds a value of the dataset: object names
are reduced to patterns, sizes are rounded, and of a header it is only said whether it is there.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tools.aws_report.jobs import DONE, Job
from tools.aws_report.redact import pattern, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Answer = dict[str, Any]

FIRST_LINE_BYTES = 65536
MADE_UP = 'a "quoted" word, a back\\slash'
_WRITTEN = {
    "in quotes, quotes doubled, backslash as it is": '"a ""quoted"" word, a back\\slash"',
    "in quotes, a backslash before quotes and backslashes": '"a \\"quoted\\" word, a back\\\\slash"',
    "in quotes, a backslash before quotes, backslash as it is": '"a \\"quoted\\" word, a back\\slash"',
    "in quotes, quotes doubled, a backslash before backslashes": '"a ""quoted"" word, a back\\\\slash"',
    "in quotes, nothing escaped": f'"{MADE_UP}"',
    "without quotes, a backslash before the comma": 'a "quoted" word\\, a back\\slash',
    "without quotes, nothing escaped": MADE_UP,
}
_ID_COLUMNS = {"ITEMS": "ITEM_ID", "USERS": "USER_ID"}
_SCHEDULED = re.compile(r"-(\d{8}T\d{4})-")


@dataclass(frozen=True)
class Part:
    """One object an export wrote.

    Attributes:
        key: Its key.
        size: Its bytes.
        first_line: The first line of one that is data.
    """

    key: str
    size: int
    first_line: str = ""

    @property
    def is_data(self) -> bool:
        """Whether it is data by its name, as the readers of the library take it."""
        return self.size > 0 and not self.key.rpartition("/")[2].startswith("_")


def course(job: Job) -> Answer:
    """Which states did a job go through, and how long did it take?"""
    seen = [f"{state} after {seconds:.0f} s" for state, seconds in job.states.items()]
    return {"ended": job.status, "states_seen": seen, "seconds": round(job.seconds, 1), **_reason(job)}


def objects(parts: Sequence[Part], job: Job, columns: Sequence[str]) -> Answer:
    """How many objects are there, what are they called, and how large are they; does each begin with a header?"""
    prefix = job.path.partition("s3://")[2].partition("/")[2]
    data = [part for part in parts if part.is_data]
    others = [part for part in parts if not part.is_data]
    headers = [_header(part.first_line, columns) for part in data]
    return {
        "data_objects": len(data),
        "data_object_names": _patterns(data, prefix, job.name),
        "data_object_bytes": sorted(rounded(part.size) for part in data),
        "other_objects": len(others),
        "other_object_names": _patterns(others, prefix, job.name),
        "check_object": any(part.key.rpartition("/")[2] == "_CHECK" for part in others),
        "header": _all_or_how_many(headers),
        "header_in_order_of_schema": all(header == "in order" for header in headers) if any(headers) else None,
        "header_in_quotes": any(part.first_line.startswith('"') for part in data) if any(headers) else None,
    }


def quoting(lines: Iterator[str], identity: str) -> Answer:
    """How is the made-up value written?"""
    line = next((line for line in lines if identity in line), None)
    if line is None:
        return {"found": False}
    form = next((form for form, text in _WRITTEN.items() if text in line), None)
    return {"found": True, "put": MADE_UP, "written": form or f"in another form: {line}"}


def refusal(job: Job) -> Answer:
    """When does a job with a broken set-up fail, and what does AWS say?"""
    if job.refusal:
        return {"fails": "when it is created", "text": job.refusal}
    if job.status == DONE:
        return {"fails": "not at all", "text": ""}
    return {"fails": "while it runs", "seconds": round(job.seconds, 1), **_reason(job)}


def source_account(job: Job) -> Answer:
    """Does a bucket policy that demands aws:SourceAccount and aws:SourceArn let Personalize in?"""
    return {"passes": job.status == DONE, **({} if job.status == DONE else refusal(job))}


def case(first: Job, second: Job) -> Answer:
    """Do job names that differ in case only collide?"""
    return {"collide": bool(second.refusal) or first.arn == second.arn, "text": second.refusal}


def quota(jobs: Sequence[Job]) -> Answer:
    """How many jobs may be pending or running, and what does AWS say to one more?"""
    refused = [job for job in jobs if job.refusal]
    return {
        "accepted": len(jobs) - len(refused),
        "refused_after_them": bool(refused),
        "text": refused[0].refusal if refused else "",
    }


def tick(jobs: Sequence[Job], scheduled: datetime) -> Answer:
    """Does the schedule fire once, with the scheduled time in the name of its job, and how late?"""
    if not jobs:
        return {"fired": False}
    named = _SCHEDULED.search(jobs[0].name)
    created = jobs[0].fields["creationDateTime"].astimezone(timezone.utc)
    return {
        "fired": True,
        "jobs": len(jobs),
        "names_the_scheduled_time": bool(named) and named[1] == f"{scheduled:%Y%m%dT%H%M}" if named else False,
        "seconds_from_scheduled_time_to_job": round((created - scheduled).total_seconds()),
        "ended": jobs[-1].status,
        **_reason(jobs[-1]),
    }


def record(schema: dict[str, Any], dataset_type: str, identity: str) -> dict[str, Any]:
    """Return a made-up record for PutItems or PutUsers: the value in one text, the least in all that is required.

    Raises:
        ValueError: The dataset has no text the value could be in.
    """
    id_column = _ID_COLUMNS[dataset_type]
    fields = [field for field in schema["fields"] if field["name"] != id_column]
    texts = [field for field in fields if "string" in _types(field)]
    if not texts:
        raise ValueError("the dataset has no text column but its id")
    chosen = min(texts, key=lambda field: bool(field.get("categorical")))["name"]
    required = {field["name"]: _least(field) for field in fields if "null" not in _types(field)}
    properties = {_camel(name): value for name, value in {**required, chosen: MADE_UP}.items()}
    return {f"{dataset_type[:-1].lower()}Id": identity, "properties": json.dumps(properties)}


def columns(schema: dict[str, Any]) -> list[str]:
    """Return the names of the fields of a schema."""
    return [str(field["name"]) for field in schema["fields"]]


def parts_at(s3: Any, path: str) -> list[Part]:  # noqa: ANN401 - boto3 has no types
    """Look at the objects below a path: names, sizes, and the first line of those that are data."""
    bucket, _, prefix = path.removeprefix("s3://").partition("/")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [Part(item["Key"], item["Size"]) for page in pages for item in page.get("Contents", [])]
    return [Part(part.key, part.size, _first_line(s3, bucket, part.key)) if part.is_data else part for part in found]


def lines_at(s3: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - as above
    """Read the lines of the data below a path, one at a time."""
    bucket = path.removeprefix("s3://").partition("/")[0]
    for part in parts_at(s3, path):
        if part.is_data:
            for line in s3.get_object(Bucket=bucket, Key=part.key)["Body"].iter_lines():
                yield line.decode(errors="replace")


def _first_line(s3: Any, bucket: str, key: str) -> str:  # noqa: ANN401 - as above
    found = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{FIRST_LINE_BYTES - 1}")
    text = found["Body"].read(FIRST_LINE_BYTES).decode(errors="replace")
    return str(text.partition("\n")[0].rstrip("\r"))


def _header(line: str, columns: Sequence[str]) -> str:
    """Say whether a line is a header, and whether it has the schema's order; empty: it is none."""
    names = next(csv.reader([line]), [])
    if names == list(columns):
        return "in order"
    return "in another order" if set(columns) <= set(names) else ""


def _all_or_how_many(headers: Sequence[str]) -> str:
    count = sum(map(bool, headers))
    if not count:
        return "in none"
    return "in each object" if count == len(headers) else f"in {count} of {len(headers)} objects"


def _patterns(parts: Sequence[Part], prefix: str, job_name: str) -> list[str]:
    return sorted({pattern(part.key.removeprefix(prefix), job_name) for part in parts})


def _reason(job: Job) -> Answer:
    reason = job.fields.get("failureReason", "")
    return {"text": reason} if reason else {}


def _types(field: dict[str, Any]) -> list[str]:
    given = field["type"]
    return [given] if isinstance(given, str) else [str(one) for one in given]


def _least(field: dict[str, Any]) -> object:
    types = _types(field)
    if "string" in types:
        return "a"
    return False if "boolean" in types else 0


def _camel(name: str) -> str:
    """Return the key of a property, as PutItems and PutUsers want it: NUMBER_OF_RATINGS is numberOfRatings."""
    first, *others = name.lower().split("_")
    return first + "".join(word.title() for word in others)
