"""The type of every option that is no plain text: one table, so that a wrong one is refused by its name.

jsii checks types too, but with a text about the CDK's own parameters, and only once the value has arrived there. An
object that Node made, such as an imported bucket, has no class of its own in Python: it is known by what it can do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aws_cdk import Duration, RemovalPolicy

from cdk_personalize_export._checks import is_number_token, is_unknown

_OLDEST_RUNTIME = (3, 10)
_MOST_RETRIES = 10
_PYTHON = re.compile(r"python(\d+)\.(\d+)")


@dataclass(frozen=True)
class _Rule:
    """What an option takes; `fix` may name the value that was given."""

    allowed: str
    accepts: Callable[[Any], bool]
    fix: str
    optional: bool = True


def check(**options: object) -> None:
    """Refuse each option whose value is of another type than it takes.

    Raises:
        ValueError: with what was given, what is allowed and how to fix it.
    """
    for option, value in options.items():
        rule = _RULES[option]
        if (value is None and rule.optional) or rule.accepts(value):
            continue
        given = repr(value) if isinstance(value, str | bool | int | float | None) else f"of type {_type(value)}"
        named = repr(value) if isinstance(value, str) else "..."
        raise ValueError(f"{option} is {given}. It must be {rule.allowed}: {rule.fix.format(named)}.")


def _type(value: object) -> str:
    return type(value).__name__


def _can(*names: str) -> Callable[[Any], bool]:
    """Accept an object with these attributes, looked up on its class first: that asks nothing of Node."""

    def accepts(value: Any) -> bool:  # noqa: ANN401 - anything a caller may pass
        return not isinstance(value, type) and all(hasattr(type(value), name) or hasattr(value, name) for name in names)

    return accepts


def _any_of(*rules: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: any(rule(value) for rule in rules)


def _instance_of(module: str, name: str) -> Callable[[Any], bool]:
    """Accept an instance of a class of the library or the CDK; its module is imported only when a value is given."""

    def accepts(value: Any) -> bool:  # noqa: ANN401 - anything a caller may pass
        from importlib import import_module  # noqa: PLC0415 - not at import: modules of the CDK cost start-up time

        return isinstance(value, getattr(import_module(module), name))

    return accepts


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list(value: object) -> bool:
    # A set has no order that lasts: the template would differ with each run. A generator is empty the second time.
    return isinstance(value, list | tuple)


def _is_tags(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(part, str) for pair in value.items() for part in pair)


def _has_text_keys(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number_of_retries(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_RETRIES


def _is_number_token(value: object) -> bool:
    return isinstance(value, float) and is_number_token(value)


def _is_runtime(value: Any) -> bool:  # noqa: ANN401 - anything a caller may pass
    if not _instance_of("aws_cdk.aws_lambda", "Runtime")(value):
        return False
    name = str(value.name)
    version = _PYTHON.fullmatch(name)
    return is_unknown(name) or (version is not None and (int(version[1]), int(version[2])) >= _OLDEST_RUNTIME)


_BUCKET = _Rule(
    "an s3.IBucket",
    _any_of(
        _can("bucket_name", "add_to_resource_policy"),
        _can("bucket_ref"),
        _instance_of("aws_cdk.aws_s3", "CfnBucket"),  # which an older aws-cdk-lib gives no bucket_ref
    ),
    "write s3.Bucket.from_bucket_name(self, 'ExportBucket', {}), or pass the s3.Bucket of this app",
)
_KEY = _Rule(
    "a kms.IKey",
    _any_of(_can("key_arn", "add_to_resource_policy"), _can("key_ref"), _instance_of("aws_cdk.aws_kms", "CfnKey")),
    "write kms.Key.from_key_arn(self, 'ExportKey', {}), or pass the kms.Key of this app",
)
_ROLE = _Rule(
    "an iam.IRole",
    _any_of(_can("role_arn", "add_to_principal_policy"), _can("role_ref"), _instance_of("aws_cdk.aws_iam", "CfnRole")),
    "write iam.Role.from_role_arn(self, 'ExportRole', {}), or pass the iam.Role of this app",
)
_FLAG = _Rule("True or False", lambda value: isinstance(value, bool), "leave it out for the default", optional=False)
_DURATION = _Rule(
    "a Duration of the CDK", lambda value: isinstance(value, Duration), "write Duration.hours(2) or Duration.days(30)"
)
_MOMENT = _Rule(
    "a datetime",
    lambda value: isinstance(value, datetime),
    "write datetime(2027, 1, 1, tzinfo=timezone.utc), or leave it out",
)
_COUNT = _Rule("a whole number, 1 or more", _is_count, "write 5, or leave it out for the default")
_TEXT = _Rule("a string", _is_text, "write text; of a resource of this app, its name attribute")
_NAME = _Rule("a string", _is_text, "write text that is known at synthesis", optional=False)
_LIST = _Rule("a list or tuple", _is_list, "write [...], in an order that stays")

_RULES = {
    "bucket": _BUCKET,
    "server_access_logs_bucket": _BUCKET,
    "encryption_key": _KEY,
    "dataset_group_key": _KEY,
    "environment_encryption": _KEY,
    "role": _ROLE,
    "destination": _Rule(
        "an ExportDestination",
        _instance_of("cdk_personalize_export.destination", "ExportDestination"),
        "write destination=ExportDestination(self, 'Destination', bucket=...)",
    ),
    "provider": _Rule(
        "an ExportProvider",
        _instance_of("cdk_personalize_export.provider", "ExportProvider"),
        "write provider=ExportProvider(self, 'Provider'), or leave it out",
    ),
    "wait": _FLAG,
    "require_source_account": _FLAG,
    "permissions_in_place": _FLAG,
    "manifest": _FLAG,
    "max_wait": _DURATION,
    "expire_after": _DURATION,
    "max_concurrency": _COUNT,
    "reserved_concurrent_executions": _Rule(
        _COUNT.allowed, _any_of(_is_count, _is_number_token), "with 0 nothing is exported; leave it out for no limit"
    ),
    "tags": _Rule("a dict of strings by strings", _is_tags, "write {{'team': 'search'}}"),
    "prefix": _TEXT,
    "dataset_group": _TEXT,
    "job_name_prefix": _TEXT,
    "function_name_prefix": _TEXT,
    "datasets": _LIST,
    "dataset_types": _LIST,
    "runtime": _Rule(
        "a lambda_.Runtime of Python 3.10 or later", _is_runtime, "write lambda_.Runtime.PYTHON_3_13, or leave it out"
    ),
    "tracing": _Rule(
        "a lambda_.Tracing", _instance_of("aws_cdk.aws_lambda", "Tracing"), "write lambda_.Tracing.ACTIVE"
    ),
    "vpc": _Rule("an ec2.IVpc", _can("select_subnets"), "write ec2.Vpc.from_lookup(self, 'Vpc', vpc_id=...)"),
    "vpc_subnets": _Rule(
        "an ec2.SubnetSelection",
        _instance_of("aws_cdk.aws_ec2", "SubnetSelection"),
        "write ec2.SubnetSelection(subnets=[...])",
    ),
    "security_groups": _Rule(
        "a list of ec2.ISecurityGroup",
        lambda value: _is_list(value) and all(map(_can("security_group_id"), value)),
        "write [ec2.SecurityGroup.from_security_group_id(self, 'Group', 'sg-...')]",
    ),
    "log_group": _Rule(
        "a logs.ILogGroup",
        _can("log_group_arn", "log_group_name", "add_stream"),
        "write logs.LogGroup.from_log_group_name(self, 'Logs', {})",
    ),
    "log_retention": _Rule(
        "a logs.RetentionDays",
        _instance_of("aws_cdk.aws_logs", "RetentionDays"),
        "write logs.RetentionDays.ONE_MONTH",
    ),
    "log_removal_policy": _Rule(
        "a RemovalPolicy", lambda value: isinstance(value, RemovalPolicy), "write RemovalPolicy.DESTROY"
    ),
    "dead_letter_queue": _Rule(
        "an sqs.IQueue",
        _can("queue_arn", "grant_send_messages"),
        "write sqs.Queue.from_queue_arn(self, 'Failed', {})",
    ),
    "schedule": _Rule(
        "a ScheduleExpression of aws_cdk.aws_scheduler",
        _can("expression_string", "time_zone"),
        "write ScheduleExpression.cron(hour='3', minute='0')",
        optional=False,
    ),
    "time_window": _Rule(
        "a TimeWindow of aws_cdk.aws_scheduler",
        _can("mode", "max_window"),
        "write TimeWindow.flexible(Duration.minutes(30)), or leave it out",
    ),
    "start": _MOMENT,
    "end": _MOMENT,
    "enabled": _FLAG,
    "schedule_group": _Rule(
        "a scheduler.IScheduleGroup",
        _can("schedule_group_name", "schedule_group_arn"),
        "write scheduler.ScheduleGroup.from_schedule_group_arn(self, 'Schedules', {})",
    ),
    "retry_attempts": _Rule(
        f"a whole number, 0 to {_MOST_RETRIES}",
        _is_number_of_retries,
        "write 2, or leave it out for that",
        optional=False,
    ),
    "event_bus": _Rule(
        "an events.IEventBus",
        _can("event_bus_arn", "event_bus_name"),
        "write events.EventBus.from_event_bus_arn(self, 'Bus', {})",
    ),
    "target": _Rule("an events.IRuleTarget", _can("bind"), "write aws_events_targets.SnsTopic(topic)"),
    "export": _Rule(
        "a DatasetExport or a ScheduledDatasetExport",
        _instance_of("cdk_personalize_export._exports", "OneExport"),
        "write export=DatasetExport(self, 'Interactions', dataset=...); for a group there is ExportTable.for_group",
        optional=False,
    ),
    "exports": _Rule(
        "a DatasetGroupExport or a ScheduledDatasetGroupExport",
        _instance_of("cdk_personalize_export._exports", "GroupExports"),
        "write exports=DatasetGroupExport(self, 'Movies', ...); for one dataset there is ExportTable",
        optional=False,
    ),
    "table_name": _NAME,
    "table_name_prefix": _NAME,
    "database_name": _TEXT,
    "database": _Rule(
        "a glue.CfnDatabase or the name of a database",
        _any_of(_is_text, _instance_of("aws_cdk.aws_glue", "CfnDatabase")),
        "write database='analytics', or database_name='movies' to make one",
    ),
    "schema": _Rule(
        "a CfnSchema, a dict or text",
        _any_of(_is_text, _has_text_keys, _instance_of("aws_cdk.aws_personalize", "CfnSchema")),
        "write the Avro JSON of the schema, which `aws personalize describe-schema` prints",
    ),
    "schemas": _Rule(
        "a dict of schemas by the type of the dataset",
        _has_text_keys,
        "write {{'INTERACTIONS': schema, 'ITEMS': ...}}",
        optional=False,
    ),
    "columns": _Rule("a dict of types by the names of columns", _is_tags, "write {{'USER_ID': 'string'}}"),
    "escape_character": _NAME,
    "description": _TEXT,
    "rule_name": _TEXT,
    "for_": _Rule(_DURATION.allowed, _DURATION.accepts, "write Duration.hours(26)", optional=False),
}
