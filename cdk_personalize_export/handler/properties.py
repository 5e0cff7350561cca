"""What is to be exported: the properties the construct writes, checked.

Every property of a custom resource arrives as a string
(https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-customresource.html).
Unknown ones are ignored and missing optional ones have defaults, so that another release of the library is understood.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import identity

LONGEST_WAIT_SECONDS = 3600 - 240  # CloudFormation's hour, less Lambda's retries and the answer
LONGEST_OUTPUT_PATH = 256

_ARN = r"arn:[a-z\d-]+:personalize:[a-z\d-]+:\d{12}:"
_LONGEST_DESTINATION = LONGEST_OUTPUT_PATH - len("/-9999-") - identity.HASH_CHARACTERS


class Rule(NamedTuple):
    """What a property may be."""

    pattern: str
    allowed: str = ""
    fix: str = ""
    default: str = ""


_RULES = {
    "ExportId": Rule("(?s:.+)", "the id of the export within its stack", "pass the path of the construct"),
    "JobNamePrefix": Rule(
        "[a-zA-Z0-9][a-zA-Z0-9_-]{0,44}",
        "1 to 45 of a-z A-Z 0-9 _ -, not - or _ first",
        "set job_name_prefix",
    ),
    "DatasetArn": Rule(_ARN + "dataset/.+", "the ARN of a dataset", "pass its attr_dataset_arn"),
    "IngestionMode": Rule("ALL|PUT|BULK", "ALL, PUT, BULK", "use an IngestionMode", "ALL"),
    "RoleArn": Rule("arn:.+", "the ARN of the role Personalize writes with", "pass a destination with a role"),
    "Bucket": Rule("[^/]+", "the name of a bucket", "pass an ExportDestination"),
    "Prefix": Rule("(.*/)?", "nothing, or what ends with /", "pass an ExportDestination"),
    "MaxWaitSeconds": Rule(
        "0{0,9}[1-9][0-9]{0,8}", "whole seconds, 1 or more", "set max_wait", str(LONGEST_WAIT_SECONDS)
    ),
    "Wait": Rule("true|false", "true, false", "set wait to True or False", "true"),
    "MoreLinks": Rule("true|false", "true, false", "leave it to the construct", "false"),
    "LinkNumber": Rule("[1-9][0-9]{0,2}", "a number from 1 to 999", "leave it to the construct", "1"),
    "KmsKeyArn": Rule(".*"),
    "Generation": Rule("(?s:.*)"),
    "Manifest": Rule("[a-zA-Z0-9_-]*", "a-z A-Z 0-9 _ -", "leave it to the construct"),
}


class MalformedError(ValueError):
    """What was given, what is allowed, how to fix it."""


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
    more_links: bool  # another resource goes on waiting when this one's time is over
    later_link: bool  # another resource has waited before
    retry_attempts: int = 0  # how often a failed job is tried again by itself
    siblings: str = ""  # a pattern of the names of jobs that must not run beside this one
    manifest: str = ""  # the folder of its manifests, where somebody wants some
    about: Mapping[str, str] = {}  # what events and manifests say of it

    def output_path(self, job_name: str) -> str:
        """Give every job a prefix of its own, as AWS promises no object names."""
        return f"{self.destination}{job_name}/"


def read_export(stack_id: str, properties: Mapping[str, Any], told_as: str = "generation") -> Export:
    """Read an export, whose generation is told under a name.

    Role, tags and waiting times shape no data: changing them exports nothing again. Neither does another logical id,
    which is why the export has an id of its own: CloudFormation lets no resource change its service token, so a
    resource that moves to another function gets another logical id.

    Raises:
        MalformedError: A property is missing or wrong.
    """
    given = {name: checked(properties, name) for name in _RULES}
    destination = f"s3://{given['Bucket']}/{given['Prefix']}"
    longest = _LONGEST_DESTINATION - len(given["JobNamePrefix"])
    if len(destination) > longest:
        raise MalformedError(
            f"{destination} has {len(destination)} characters. Allowed: {longest}, as the job name is added and "
            f"Personalize takes {LONGEST_OUTPUT_PATH}. Fix: shorten Prefix."
        )
    dataset_arn, mode, key_arn = given["DatasetArn"], given["IngestionMode"], given["KmsKeyArn"]
    shape = (stack_id, given["ExportId"], dataset_arn, mode, destination, key_arn, given["Generation"])
    return Export(
        physical_id=identity.physical_id(given["JobNamePrefix"], *shape),
        dataset_arn=dataset_arn,
        ingestion_mode=mode,
        role_arn=given["RoleArn"],
        destination=destination,
        kms_key_arn=key_arn,
        tags=_tags(properties),
        wait=given["Wait"] == "true",
        more_links=given["MoreLinks"] == "true",
        later_link=given["LinkNumber"] != "1",
        manifest=given["Manifest"],
        about={"stackId": stack_id, "exportId": given["ExportId"], told_as: given["Generation"]},
    )


def checked(properties: Mapping[str, Any], name: str, rules: Mapping[str, Rule] = _RULES) -> str:
    """Give a property.

    Raises:
        MalformedError: It is not what is allowed.
    """
    rule, given = rules[name], text_in(properties, name)
    value = given or rule.default
    if not re.fullmatch(rule.pattern, value):
        raise MalformedError(f"{name} is {value!r}. Allowed: {rule.allowed}. Fix: {rule.fix}.")
    return value


def require_home(dataset_arn: str, account: str, region: str) -> None:
    """Check that a dataset is where the function is, as its job can be nowhere else.

    Raises:
        MalformedError: It is not.
    """
    its_region, its_account = dataset_arn.split(":")[3:5]
    if (its_account, its_region) != (account, region):
        raise MalformedError(
            f"DatasetArn is {dataset_arn!r}, of account {its_account} in {its_region}. Allowed: a dataset of account "
            f"{account} in {region}, where this function is. Fix: deploy the stack where the dataset is."
        )


def longest_wait(properties: Mapping[str, Any], most: int = LONGEST_WAIT_SECONDS) -> int:
    """Give the seconds to wait at the most, whatever is written there."""
    given = text_in(properties, "MaxWaitSeconds")
    return min(int(given), most) if re.fullmatch(_RULES["MaxWaitSeconds"].pattern, given) else most


def mapping(value: object) -> Mapping[str, Any]:
    """Give a value if it is a mapping; else an empty one."""
    return value if isinstance(value, Mapping) else {}


def text_in(mapping: Mapping[str, Any], key: str) -> str:
    """Give a value as text; nothing when there is none."""
    value = mapping.get(key)
    return "" if value is None else str(value)


def _tags(properties: Mapping[str, Any]) -> list[dict[str, str]]:
    """Read the tags; Personalize writes the names of their parts in another case than CloudFormation."""
    try:
        return [{"tagKey": str(tag["Key"]), "tagValue": str(tag["Value"])} for tag in properties.get("Tags") or []]
    except (KeyError, TypeError):
        raise MalformedError('Tags is no list of {"Key", "Value"}. Allowed: such a list. Fix: set tags.') from None
