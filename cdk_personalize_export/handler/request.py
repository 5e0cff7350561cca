"""The request: what CloudFormation sent, read once and checked.

Every property arrives as a string. Events of another release are understood: what is unknown is ignored.
"""

import calendar
import math
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import identity

LONGEST_WAIT_SECONDS = 3600 - 240  # CloudFormation's hour, less Lambda's retries and the answer
LONGEST_OUTPUT_PATH = 256
SHORTEST_SECRET = 16

_LOOPBACK = r"localhost|127(\.\d{1,3}){3}|::1"
_ARN = r"arn:[a-z\d-]+:personalize:[a-z\d-]+:\d{12}:"
_LONGEST_DESTINATION = LONGEST_OUTPUT_PATH - len("/-9999-") - identity.HASH_CHARACTERS
_RULES = {  # property: (default, pattern, what is allowed, how to fix it)
    "JobNamePrefix": (
        "",
        r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,44}",
        "1 to 45 of a-z A-Z 0-9 _ -, not - or _ first",
        "set job_name_prefix",
    ),
    "DatasetArn": ("", _ARN + "dataset/.+", "the ARN of a dataset", "pass its attr_dataset_arn"),
    "IngestionMode": ("ALL", "ALL|PUT|BULK", "ALL, PUT, BULK", "use an IngestionMode"),
    "RoleArn": ("", "arn:.+", "the ARN of the role Personalize writes with", "pass a destination with a role"),
    "Bucket": ("", "[^/]+", "the name of a bucket", "pass an ExportDestination"),
    "Prefix": ("", "(.*/)?", "nothing, or what ends with /", "pass an ExportDestination"),
    "MaxWaitSeconds": (str(LONGEST_WAIT_SECONDS), "0*[1-9][0-9]{0,8}", "whole seconds, 1 or more", "set max_wait"),
    "Wait": ("true", "true|false", "true, false", "set wait to True or False"),
    "MoreLinks": ("false", "true|false", "true, false", "leave it to the construct"),
    "KmsKeyArn": ("", ".*", "", ""),
    "Generation": ("", "(?s:.*)", "", ""),
    "JobArn": (
        "",
        _ARN + "dataset-export-job/.+",
        "the ARN of an export job",
        "pass DatasetExportJobArn of the link before",
    ),
}


class MalformedError(ValueError):
    """What was given, what is allowed, how to fix it."""


class Request(NamedTuple):
    """What every request has."""

    kind: str
    is_link: bool
    response_url: str
    stack_id: str
    request_id: str
    logical_id: str
    physical_id: str
    properties: Mapping[str, Any]
    requested_at: float
    deadline: float

    def __repr__(self) -> str:  # without the ResponseURL, which is a credential
        return f"Request({self.kind} {self.logical_id} {self.request_id})"

    @property
    def known_id(self) -> str:
        """The id CloudFormation has, or one that no job has."""
        return self.physical_id or f"{self.logical_id}-never-started"


class Export(NamedTuple):
    """What an export is made of."""

    physical_id: str
    dataset_arn: str
    ingestion_mode: str
    role_arn: str
    destination: str
    kms_key_arn: str
    tags: list[dict[str, str]]
    wait: bool
    more_links: bool

    def output_path(self, job_name: str) -> str:
        """Every job has a prefix of its own, as AWS promises no object names."""
        return f"{self.destination}{job_name}/"


def read_request(event: object, now: float) -> Request:
    """Never fails: a malformed request is answered too."""
    fields = _mapping(event)
    properties, luggage = _mapping(fields.get("ResourceProperties")), _mapping(fields.get("HandOver"))
    url = _text(fields, "ResponseURL")
    window = _window(properties)
    signed_at = _signing_time(url)
    deadline = _number(luggage.get("Deadline"))
    if deadline is None:
        deadline = (now if signed_at is None else signed_at) + window
    return Request(
        kind=_text(fields, "RequestType"),
        is_link=_text(fields, "ResourceType").endswith("Link"),
        response_url=url,
        stack_id=_text(fields, "StackId"),
        request_id=_text(fields, "RequestId"),
        logical_id=_text(fields, "LogicalResourceId"),
        physical_id=_text(fields, "PhysicalResourceId"),
        properties=properties,
        requested_at=deadline - window if signed_at is None else signed_at,
        deadline=deadline,
    )


def read_export(request: Request) -> Export:
    prefix, dataset_arn, mode, role_arn, bucket, folder, _, wait, more_links, key_arn, generation = (
        checked(request, name) for name in _RULES if name != "JobArn"
    )
    destination = f"s3://{bucket}/{folder}"
    longest = _LONGEST_DESTINATION - len(prefix)
    if len(destination) > longest:
        raise MalformedError(
            f"{destination} has {len(destination)} characters. Allowed: {longest}, as the job name is added and "
            f"Personalize takes {LONGEST_OUTPUT_PATH}. Fix: shorten Prefix."
        )
    try:
        tags = [
            {"tagKey": str(tag["Key"]), "tagValue": str(tag["Value"])} for tag in request.properties.get("Tags") or []
        ]
    except (KeyError, TypeError):
        raise MalformedError('Tags is no list of {"Key", "Value"}. Allowed: such a list. Fix: set tags.') from None
    # Role, tags and waiting times shape no data: changing them exports nothing again.
    shape = (request.stack_id, request.logical_id, dataset_arn, mode, destination, key_arn, generation)
    physical_id = identity.export_id(prefix, *shape)
    return Export(
        physical_id, dataset_arn, mode, role_arn, destination, key_arn, tags, wait == "true", more_links == "true"
    )


def checked(request: Request, name: str) -> str:
    default, pattern, allowed, fix = _RULES[name]
    given = _text(request.properties, name) or default
    if not re.fullmatch(pattern, given):
        raise MalformedError(f"{name} is {given!r}. Allowed: {allowed}. Fix: {fix}.")
    return given


def may_answer(url: str) -> bool:
    """Allows https, and for tests http to this very machine."""
    try:
        parts = urlsplit(url)
        usable = parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        return False
    host = parts.hostname or ""
    trusted = parts.scheme == "https" or (parts.scheme == "http" and re.fullmatch(_LOOPBACK, host) is not None)
    return usable and trusted and bool(host)


def secrets_in(url: str) -> list[str]:
    """Lists what would give the ResponseURL away, longest first."""
    query = _query(url)
    values = [pair.partition("=")[2] for pair in query.split("&")]
    found = {url, query, *values, *map(unquote, values)}
    return sorted((text for text in found if len(text) >= SHORTEST_SECRET), key=len, reverse=True)


def _window(properties: Mapping[str, Any]) -> int:
    default, pattern, *_ = _RULES["MaxWaitSeconds"]
    given = _text(properties, "MaxWaitSeconds")
    return min(int(given if re.fullmatch(pattern, given) else default), LONGEST_WAIT_SECONDS)


def _signing_time(url: str) -> float | None:
    """Reads X-Amz-Date, the one time that every delivery of a request shares."""
    dates = parse_qs(_query(url)).get("X-Amz-Date", [""])
    try:
        return float(calendar.timegm(time.strptime(dates[0], "%Y%m%dT%H%M%SZ")))
    except ValueError:
        return None


def _query(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    return "" if value is None else str(value)
