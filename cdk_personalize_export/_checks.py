"""What can be known to fail before anything is deployed.

Every check raises `ValueError` with what was given, what is allowed and how to fix it. Text that holds a CDK token is
only known at deployment, so it passes. The limits are those of
https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdk_personalize_export.ingestion_mode import IngestionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

JOB_NAME_CHARACTERS = 63
JOB_NAME_PREFIX_CHARACTERS = 45  # 63 = 45 + "-" + 12 of the hash + "-" + 4 of the attempt
SCHEDULED_TIME_CHARACTERS = 14  # "-20261125T0300", before the hash in the names of scheduled jobs
STACK_PART_CHARACTERS = 18  # a default prefix is "<stack>-<hash>-<export>": 18 + "-" + 6 + "-" + 19
EXPORT_PART_CHARACTERS = 19
ARN_CHARACTERS = 256
PATH_CHARACTERS = 256
BUCKET_NAME_CHARACTERS = 63
GENERATION_CHARACTERS = 256
FOLDER_CHARACTERS, FOLDER_HASH_CHARACTERS = 128, 8
GROUP_NAME_CHARACTERS = 63
TAGS = 50
TAG_KEY_CHARACTERS = 128
TAG_VALUE_CHARACTERS = 256
FUNCTION_NAME_CHARACTERS = 64
FUNCTION_NAME_PREFIX_CHARACTERS = 32
MIN_WAIT_SECONDS = 60
MAX_WAIT_SECONDS = 12 * 3600
HOUR_SECONDS = 3600
DAY_SECONDS = 24 * 3600
LONGEST_SILENCE_HOURS = 7 * 24  # CloudWatch looks back no further with periods of an hour

EXPORTABLE_TYPES = ("INTERACTIONS", "ITEMS", "USERS")
NOT_EXPORTABLE_TYPES = ("ACTIONS", "ACTION_INTERACTIONS")

_LARGEST_NUMBER_TOKEN = -1e200  # they are about -1.9e289
_LOOKUP = "dummy-value-for-"
_DATASET_FORM = "arn:<partition>:personalize:<region>:<account>:dataset/<dataset group>/<INTERACTIONS|ITEMS|USERS>"
_DATASET_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z\-]*):personalize:(?P<region>[a-z]+(?:-[a-z]+)+-\d+):(?P<account>\d{12})"
    r":dataset/(?P<group>[a-zA-Z0-9][a-zA-Z0-9\-_]*)/(?P<type>[A-Z_]+)"
)
_GROUP_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]*")
_KEY_ARN = re.compile(r"arn:aws.*:kms:.*:[0-9]{12}:key/.+")
_BUCKET_ARN = re.compile(r"arn:aws[a-z\-]*:s3:::[^/:]+")
_NO_GENERAL_PURPOSE_BUCKETS = {  # docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    "--x-s3": "a directory bucket",
    "--table-s3": "a table bucket",
    "-s3alias": "the alias of an access point",
    "--ol-s3": "the alias of an Object Lambda access point",
}
_JOB_NAME_PREFIX = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]*")
_PREFIX = re.compile(r"[a-zA-Z0-9!_.'()=\-/]*")
_FUNCTION_NAME_PREFIX = re.compile(r"[a-zA-Z0-9\-_]+")
_NOT_IN_JOB_NAMES = re.compile(r"[^a-zA-Z0-9\-_]+")


@dataclass(frozen=True)
class DatasetArn:
    """The parts of `arn:<partition>:personalize:<region>:<account>:dataset/<group>/<type>`."""

    text: str
    partition: str
    region: str
    account: str
    group: str
    type: str


def is_unknown(text: str) -> bool:
    """Say whether `text` holds a value that is not known yet, without asking the jsii kernel.

    That is a token, which is known at deployment, and what `StringParameter.value_from_lookup` returns until the CDK
    has looked: https://docs.aws.amazon.com/cdk/v2/guide/get-context-var.html.
    """
    return "${Token[" in text or _LOOKUP in text


def is_looked_up(text: str) -> bool:
    """Say whether the CDK has yet to look `text` up: it then synthesises once more, with the value."""
    return _LOOKUP in text


def is_number_token(number: float) -> bool:
    """Say whether `number` stands for a value only known at deployment: the CDK encodes those far below zero."""
    return number < _LARGEST_NUMBER_TOKEN


def dataset_arn(text: str) -> DatasetArn | None:
    """Take a dataset ARN apart; None when it holds a token.

    Raises:
        ValueError: when it is no dataset ARN, or of a type that cannot be exported.
    """
    if is_looked_up(text):
        return None
    check_dataset_type(text.rsplit("/", 1)[-1], lambda: text)
    if is_unknown(text):
        return None
    match = _DATASET_ARN.fullmatch(text)
    if not match or match["type"] not in EXPORTABLE_TYPES or len(text) > ARN_CHARACTERS:
        raise ValueError(
            f"dataset {text!r} is not the ARN of a dataset. It must read {_DATASET_FORM}, with at most "
            f"{ARN_CHARACTERS} characters; `aws personalize list-datasets` prints it."
        )
    return DatasetArn(text=text, **match.groupdict())


def check_dataset_type(dataset_type: str, name: Callable[[], str]) -> None:
    """Refuse the types Personalize does not export, in any case; `name` is only asked for then."""
    if dataset_type.upper() in NOT_EXPORTABLE_TYPES:
        raise ValueError(
            f"dataset {name()!r} is of type {dataset_type.upper()}, which Amazon Personalize cannot export. Only "
            f"{', '.join(EXPORTABLE_TYPES)} datasets can be exported: remove this export."
        )


def exportable_type(dataset_type: str) -> str:
    """Return the type as ARNs write it."""
    check_dataset_type(dataset_type, lambda: dataset_type)
    if dataset_type.upper() not in EXPORTABLE_TYPES:
        raise ValueError(f"dataset type {dataset_type!r} is unknown. Allowed are {', '.join(EXPORTABLE_TYPES)}.")
    return dataset_type.upper()


def exportable_types(given: Sequence[str]) -> list[str]:
    """Return the types as ARNs write them; for one that the CDK has yet to look up, one that nobody else has."""
    known = ["" if is_looked_up(dataset_type) else exportable_type(dataset_type) for dataset_type in given]
    free = [dataset_type for dataset_type in EXPORTABLE_TYPES if dataset_type not in known]
    return [dataset_type or (free.pop(0) if free else EXPORTABLE_TYPES[0]) for dataset_type in known]


def check_not_empty(option: str, values: Sequence[object]) -> None:
    """Refuse nothing at all."""
    if not values:
        raise ValueError(f"{option} is empty. Name at least one, or remove this export.")


def check_dataset_group(name: str) -> None:
    """Refuse what names no dataset group."""
    if not is_unknown(name) and (not _GROUP_NAME.fullmatch(name) or len(name) > GROUP_NAME_CHARACTERS):
        raise ValueError(
            f"dataset_group {name!r} is not the name of a dataset group, which has 1 to {GROUP_NAME_CHARACTERS} "
            "letters, digits, hyphens and underscores, the first a letter or digit. Give the name alone, not its ARN; "
            "`aws personalize list-dataset-groups` prints it."
        )


def check_one_group(types: Sequence[str], arns: Sequence[str]) -> None:
    """Refuse datasets that cannot all be of one group: one has at most one dataset of each type."""
    for dataset_type in types:
        if types.count(dataset_type) > 1:
            raise ValueError(
                f"{types.count(dataset_type)} datasets are of type {dataset_type}. A dataset group has at most one of "
                "each type: name each once, and make one DatasetGroupExport per group."
            )
    known = [match["group"] for match in map(_DATASET_ARN.fullmatch, arns) if match]
    groups = list(dict.fromkeys(known))
    if len(groups) > 1:
        raise ValueError(f"the datasets are of the groups {', '.join(groups)}. Make one DatasetGroupExport per group.")


def check_max_concurrency(max_concurrency: int | None, of_provider: int, *, wait: bool) -> None:
    """Refuse a number that would have no effect."""
    if max_concurrency is None:
        return
    if not wait:
        raise ValueError(
            "max_concurrency has no meaning with wait=False, which waits for nothing: leave one of them out."
        )
    if max_concurrency > of_provider:
        raise ValueError(
            f"max_concurrency is {max_concurrency}, but the provider lets {of_provider} exports of a stack run at a "
            f"time: raise that of the ExportProvider, or give at most {of_provider}."
        )


def check_environment(dataset: DatasetArn, *, stack: str, partition: str, region: str, account: str) -> None:
    """Refuse a dataset that lives somewhere else than the stack deploys to, as far as both are known."""
    for what, has, expected in (
        ("partition", dataset.partition, partition),
        ("Region", dataset.region, region),
        ("account", dataset.account, account),
    ):
        if not is_unknown(expected) and has != expected:
            raise ValueError(
                f"dataset {dataset.text!r} is in {what} {has}, but stack {stack!r} deploys to {what} {expected}. An "
                "export job runs where its dataset is: put the export in a stack with "
                f"env=Environment(account={dataset.account!r}, region={dataset.region!r})."
            )


def check_same_region(what: str, path: str, region: str, *, stack: str, stack_region: str) -> None:
    """Refuse a shared construct of another Region, as far as both are known."""
    if region != stack_region and not is_unknown(region) and not is_unknown(stack_region):
        raise ValueError(
            f"{what} {path!r} is in Region {region}, but stack {stack!r} deploys to Region {stack_region}. An export "
            f"job needs both in the Region of its dataset: make one {what} per Region."
        )


def ingestion_mode(value: IngestionMode | str) -> IngestionMode:
    """Return the mode `value` names."""
    if isinstance(value, str) and is_looked_up(value):
        return IngestionMode.ALL
    try:
        return IngestionMode(value)
    except ValueError:
        raise ValueError(
            f"ingestion_mode {value!r} is unknown. Allowed are {', '.join(mode.value for mode in IngestionMode)}; "
            "leave it out for ALL, which exports everything."
        ) from None


def job_name_prefix_characters(*, scheduled: bool) -> int:
    """Return how long the prefix of a job name may be."""
    return JOB_NAME_PREFIX_CHARACTERS - (SCHEDULED_TIME_CHARACTERS if scheduled else 0)


def check_job_name_prefix(prefix: str, *, scheduled: bool = False) -> None:
    """Refuse a prefix that leaves no room for the rest of a job name, or has characters a job name cannot have."""
    longest = job_name_prefix_characters(scheduled=scheduled)
    if not is_unknown(prefix) and (not _JOB_NAME_PREFIX.fullmatch(prefix) or len(prefix) > longest):
        time = "a hyphen, 13 for the scheduled time, " if scheduled else ""
        raise ValueError(
            f"job_name_prefix {prefix!r} has {len(prefix)} characters. Allowed are 1 to {longest} "
            "letters, digits, hyphens and underscores, the first a letter or digit: a job name has at most "
            f"{JOB_NAME_CHARACTERS} characters, which are this prefix, {time}a hyphen, 12 that identify the export, a "
            "hyphen and up to 4 that number the attempt."
        )


def default_job_name_prefix(stack_part: str, construct_id: str, *, scheduled: bool = False) -> str:
    """`<stack>-<hash>-<export>`, as long as it may be."""
    room = job_name_prefix_characters(scheduled=scheduled) - len(stack_part) - len("-")
    return f"{stack_part}-{job_name_part(construct_id, min(EXPORT_PART_CHARACTERS, room))}"


def job_name_part(text: str, characters: int) -> str:
    """Turn any text into a piece of a job name: allowed characters only, starting with a letter or digit."""
    part = _NOT_IN_JOB_NAMES.sub("-", text).lstrip("-_")[:characters].rstrip("-_")
    return part or "export"


def check_function_name_prefix(prefix: str) -> None:
    """Refuse a prefix that makes no function name."""
    if not is_unknown(prefix) and (
        not _FUNCTION_NAME_PREFIX.fullmatch(prefix) or len(prefix) > FUNCTION_NAME_PREFIX_CHARACTERS
    ):
        raise ValueError(
            f"function_name_prefix {prefix!r} has {len(prefix)} characters. Allowed are 1 to "
            f"{FUNCTION_NAME_PREFIX_CHARACTERS} letters, digits, hyphens and underscores: a function name has at most "
            f"{FUNCTION_NAME_CHARACTERS}, and a hyphen and a part that makes it unique follow."
        )


def check_generation(generation: object) -> None:
    """Refuse what is not a text: 3 and "3" would be the same job on one deploy and another on the next."""
    if not isinstance(generation, str):
        raise ValueError(  # noqa: TRY004 - every wrong option raises ValueError
            f"generation {generation!r} is of type {type(generation).__name__}. It must be a string: write "
            f"{str(generation)!r}."
        )
    if not is_unknown(generation) and len(generation) > GENERATION_CHARACTERS:
        raise ValueError(
            f"generation has {len(generation)} characters. Allowed are at most {GENERATION_CHARACTERS}: use a date, a "
            "counter or a commit id."
        )


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags the service would refuse."""
    if len(tags) > TAGS:
        raise ValueError(f"tags has {len(tags)} entries. Allowed are at most {TAGS}: remove some.")
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise ValueError(f"tag key {key!r} starts with 'aws:', which is reserved for AWS: choose another key.")
        if not is_unknown(key) and not 1 <= len(key) <= TAG_KEY_CHARACTERS:
            raise ValueError(f"tag key {key!r} has {len(key)} characters. Allowed are 1 to {TAG_KEY_CHARACTERS}.")
        if not is_unknown(value) and len(value) > TAG_VALUE_CHARACTERS:
            raise ValueError(
                f"the value of tag {key!r} has {len(value)} characters. Allowed are at most {TAG_VALUE_CHARACTERS}."
            )


def check_max_wait(seconds: float, *, wait: bool) -> None:
    """Refuse waiting times nobody can keep."""
    if not wait:
        raise ValueError("max_wait has no meaning with wait=False, which waits for nothing: leave one of them out.")
    if is_number_token(seconds):
        raise ValueError(
            "max_wait is only known at deployment. It decides how many resources wait: give a Duration of a number."
        )
    if not MIN_WAIT_SECONDS <= seconds <= MAX_WAIT_SECONDS:
        raise ValueError(
            f"max_wait is {seconds:g} seconds. Allowed are 1 minute to 12 hours; for longer jobs use wait=False, which "
            "answers as soon as the job is accepted."
        )


def check_scheduled_max_wait(seconds: float) -> None:
    """Refuse waiting times the function cannot keep, or cannot be told."""
    if is_number_token(seconds) or not MIN_WAIT_SECONDS <= seconds <= MAX_WAIT_SECONDS:
        given = "only known at deployment" if is_number_token(seconds) else f"{seconds:g} seconds"
        raise ValueError(
            f"max_wait is {given}. Allowed are 1 minute to 12 hours from the scheduled time on: write "
            "Duration.hours(6), or leave it out for 12 hours."
        )


def check_window(seconds: float, shortest_interval: float | None) -> None:
    """Refuse a window in which the next tick would come."""
    if shortest_interval is not None and seconds > shortest_interval:
        raise ValueError(
            f"time_window is {seconds:g} seconds long, but the schedule comes again after {shortest_interval:g} "
            "seconds, so one export could begin after the next. Allowed is a window no longer than the interval: "
            "shorten it."
        )


def check_dates(start: datetime | None, end: datetime | None, now: datetime) -> None:
    """Refuse times nobody can place, and a schedule that is over before it begins."""
    for option, moment in (("start", start), ("end", end)):
        if moment is not None and moment.tzinfo is None:
            raise ValueError(
                f"{option} is {moment.isoformat()}, which has no time zone. Write datetime(..., tzinfo=timezone.utc)."
            )
    if end is not None and end <= now:
        raise ValueError(
            f"end is {end.isoformat()}, which is in the past: nothing would be exported. Give a moment to come, or "
            "remove this export."
        )
    if start is not None and end is not None and end <= start:
        raise ValueError(
            f"end is {end.isoformat()}, which is not after start, {start.isoformat()}: nothing would be exported. "
            "Exchange them, or leave one out."
        )


def silence_hours(seconds: float, longest_interval: float | None) -> int:
    """Return how many hours without a successful export are silence."""
    if is_number_token(seconds) or seconds % HOUR_SECONDS or not 1 <= seconds // HOUR_SECONDS <= LONGEST_SILENCE_HOURS:
        given = "only known at deployment" if is_number_token(seconds) else f"{seconds:g} seconds"
        raise ValueError(
            f"for_ is {given}. Allowed are whole hours, 1 to {LONGEST_SILENCE_HOURS}, because a CloudWatch alarm looks "
            "back 7 days at most: write Duration.hours(26)."
        )
    hours = int(seconds // HOUR_SECONDS)
    if longest_interval is not None and longest_interval >= LONGEST_SILENCE_HOURS * HOUR_SECONDS:
        raise ValueError(
            f"the schedule exports every {longest_interval / DAY_SECONDS:g} days, and a CloudWatch alarm looks back 7 "
            "days at most, so it would go off between two exports, whatever for_ is. Use alarm_when_failed, or export "
            "more often."
        )
    if longest_interval is not None and seconds <= longest_interval:
        raise ValueError(
            f"for_ is {hours} hours, but the schedule exports every {longest_interval / HOUR_SECONDS:g} hours, so the "
            "alarm would go off between two exports. Allowed is what is longer than the interval: add the time an "
            "export takes, and some."
        )
    return hours


def check_expiry(expire_days: int, longest_interval: float) -> None:
    """Refuse to let the last good export expire while the next ones fail."""
    if expire_days * DAY_SECONDS < 2 * longest_interval:
        raise ValueError(
            f"expire_after is {expire_days} days, but the schedule exports every {longest_interval / DAY_SECONDS:g} "
            "days: after one export that fails, nothing would be left. Allowed are two intervals or more: raise "
            "expire_after of the ExportDestination."
        )


def check_metric(name: str, allowed: Sequence[str]) -> None:
    """Refuse a metric the function does not write."""
    if name not in allowed:
        raise ValueError(
            f"metric {name!r} is none the function writes. Allowed are {', '.join(allowed)}; write one of these, or "
            "use metric_failed and the like."
        )


def check_outcomes_are_known(what: str, *, wait: bool) -> None:
    """Refuse to tell an outcome nobody waits for."""
    if not wait:
        raise ValueError(
            f"{what} is used with wait=False, which waits for nothing, so nobody learns how the job ends. Leave wait "
            "out, or use on_started."
        )


def check_manifest(*, wait: bool, foreign_bucket: str | None) -> None:
    """Refuse manifests that nobody would write; `foreign_bucket` is a bucket of another account."""
    if not wait:
        raise ValueError(
            "a manifest is wanted together with wait=False, which waits for nothing, so nobody would write it when the "
            "job is ACTIVE. Leave wait out, or export to an ExportDestination without manifest=True and ask for no "
            "manifest_path and no ExportTable."
        )
    if foreign_bucket is not None:
        raise ValueError(
            f"a manifest is wanted in bucket {foreign_bucket!r} of another account, where the function of this account "
            "may neither list nor write. Export to a bucket of this account, from which S3 Replication can copy to the "
            "other one, or leave manifest=True out."
        )


def folder_name(text: str) -> str:
    """Return `text` as one segment of an object key; what has to be changed for that gets a hash of the whole."""
    name = _NOT_IN_JOB_NAMES.sub("-", text)[:FOLDER_CHARACTERS]
    return name if name == text else f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:FOLDER_HASH_CHARACTERS]}"


def whole_days(option: str, seconds: float) -> int:
    """Return how many days `seconds` are."""
    if is_number_token(seconds) or seconds < DAY_SECONDS or seconds % DAY_SECONDS:
        given = "only known at deployment" if is_number_token(seconds) else f"{seconds:g} seconds"
        raise ValueError(f"{option} is {given}. Allowed are whole days, at least one: write Duration.days(30).")
    return int(seconds // DAY_SECONDS)


def destination_prefix(prefix: str) -> str:
    """Return `prefix` ending in exactly one slash, or empty for the whole bucket."""
    if prefix.startswith("s3://"):
        raise ValueError(f"prefix {prefix!r} is a whole path. Give only what follows the bucket, such as 'exports/'.")
    segments = prefix.rstrip("/").split("/")
    if not is_unknown(prefix) and (
        not _PREFIX.fullmatch(prefix)
        or (prefix and (any(s in ("", ".", "..") for s in segments) or prefix.endswith("//")))
    ):
        raise ValueError(
            f"prefix {prefix!r} cannot be used. Allowed are letters, digits and ! _ . ' ( ) = - in segments divided by "
            "single slashes, no slash in front and no segment '.' or '..': it becomes part of object keys and of IAM "
            "resources, where * ? and $ have a meaning. Write it like 'exports/personalize'."
        )
    return f"{prefix.rstrip('/')}/" if prefix else ""


def check_path(bucket_name: str | None, prefix: str) -> None:
    """Refuse a path that would be too long once a job name is appended; None is a bucket that has no name yet."""
    known = bucket_name is not None and not is_unknown(bucket_name)
    bucket_characters = len(bucket_name) if bucket_name and known else BUCKET_NAME_CHARACTERS
    fixed = len("s3://") + bucket_characters + len("/") + JOB_NAME_CHARACTERS + len("/")
    if not is_unknown(prefix) and fixed + len(prefix) > PATH_CHARACTERS:
        raise ValueError(
            f"prefix {prefix!r} has {len(prefix)} characters. Allowed are {PATH_CHARACTERS - fixed} in this bucket: "
            f"Amazon Personalize accepts output paths of {PATH_CHARACTERS} characters, which are s3://, the bucket "
            f"name ({bucket_characters}), this prefix and the job name ({JOB_NAME_CHARACTERS}). Shorten it."
        )


def check_key(option: str, key_arn: str, *, is_alias: bool) -> None:
    """Refuse what names a key without being its ARN."""
    if is_alias or (not is_unknown(key_arn) and not _KEY_ARN.fullmatch(key_arn)):
        given = "a KMS alias" if is_alias else repr(key_arn)
        raise ValueError(
            f"{option} is {given}. Amazon Personalize accepts only the ARN of a key, "
            "arn:<partition>:kms:<region>:<account>:key/<key id>, and neither an alias nor a key id: pass the kms.Key "
            "itself or kms.Key.from_key_arn(...) with the key's own ARN."
        )


def check_bucket_name(bucket_name: str) -> None:
    """Refuse what Amazon Personalize cannot write to, though it is named like a bucket."""
    if is_unknown(bucket_name):
        return
    for suffix, what in _NO_GENERAL_PURPOSE_BUCKETS.items():
        if bucket_name.endswith(suffix):
            raise ValueError(
                f"bucket {bucket_name!r} is {what}. Amazon Personalize writes to a general purpose bucket, by its own "
                "name: pass that one."
            )


def check_bucket_arn(bucket_arn: str) -> None:
    """Refuse the ARN of an access point, or of another thing that is no general purpose bucket."""
    if not is_unknown(bucket_arn) and not _BUCKET_ARN.fullmatch(bucket_arn):
        raise ValueError(
            f"bucket {bucket_arn!r} is no general purpose bucket, which has an ARN such as arn:aws:s3:::name. Amazon "
            "Personalize writes to such a one, by its own name: pass the bucket behind an access point."
        )


def check_queue(service: str, *, fifo: bool) -> None:
    """Refuse a queue that a service cannot send to."""
    if fifo:
        raise ValueError(
            f"dead_letter_queue is a FIFO queue, to which {service} cannot send what it gave up on: pass a standard "
            "queue."
        )
