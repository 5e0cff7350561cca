"""Every option refuses a value of another type by its name, and takes what the CDK can turn into the right one."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import jsii
import pytest
from aws_cdk import (
    App,
    CfnParameter,
    Duration,
    Environment,
    Stack,
    aws_events,
    aws_iam,
    aws_kms,
    aws_lambda,
    aws_s3,
    aws_sqs,
)
from aws_cdk.aws_personalize import CfnDatasetGroup
from aws_cdk.aws_scheduler import ScheduleExpression
from aws_cdk.aws_ssm import StringParameter
from constructs import Construct

from cdk_personalize_export import (
    DatasetExport,
    DatasetGroupExport,
    ExportDestination,
    ExportProvider,
    ScheduledDatasetExport,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.synth.conftest import Synthesise

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
HERE = Environment(account="123456789012", region="us-east-1")


def export(stack: Stack, **options: Any) -> DatasetExport:
    return DatasetExport(stack, "Interactions", **{"dataset": DATASET, **options})


def group(stack: Stack, **options: Any) -> DatasetGroupExport:
    return DatasetGroupExport(stack, "Shop", **options)


def schedule(stack: Stack, **options: Any) -> ScheduledDatasetExport:
    hourly = ScheduleExpression.rate(Duration.hours(1))
    return ScheduledDatasetExport(stack, "Hourly", **{"dataset": DATASET, "schedule": hourly, **options})


def destination(stack: Stack, **options: Any) -> ExportDestination:
    return ExportDestination(stack, "Exports", **options)


def provider(stack: Stack, **options: Any) -> ExportProvider:
    return ExportProvider(stack, "Provider", **options)


def function(stack: Stack) -> aws_lambda.Function:
    return aws_lambda.Function(
        stack,
        "Theirs",
        runtime=aws_lambda.Runtime.PYTHON_3_13,
        handler="i.h",
        code=aws_lambda.Code.from_inline("def h(e, c): pass"),
    )


LIST = "It must be a list or tuple: write [...], in an order that stays."
FLAG = "It must be True or False: leave it out for the default."
DURATION = "It must be a Duration of the CDK: write Duration.hours(2) or Duration.days(30)."
BUCKET = (
    "It must be an s3.IBucket: write s3.Bucket.from_bucket_name(self, 'ExportBucket', {}), or pass the s3.Bucket of "
    "this app."
)
KEY = "It must be a kms.IKey: write kms.Key.from_key_arn(self, 'ExportKey', {}), or pass the kms.Key of this app."
ROLE = (
    "It must be an iam.IRole: write iam.Role.from_role_arn(self, 'ExportRole', {}), or pass the iam.Role of this app."
)
DESTINATION = "It must be an ExportDestination: write destination=ExportDestination(self, 'Destination', bucket=...)."
PROVIDER = "It must be an ExportProvider: write provider=ExportProvider(self, 'Provider'), or leave it out."
TAGS = "It must be a dict of strings by strings: write {'team': 'search'}."
TEXT = "It must be a string: write text; of a resource of this app, its name attribute."
RUNTIME = "It must be a lambda_.Runtime of Python 3.10 or later: write lambda_.Runtime.PYTHON_3_13, or leave it out."
QUEUE = "It must be an sqs.IQueue: write sqs.Queue.from_queue_arn(self, 'Failed', {})."
GROUPS = (
    "It must be a list of ec2.ISecurityGroup: write [ec2.SecurityGroup.from_security_group_id(self, 'Group', "
    "'sg-...')]."
)
COUNT = "It must be a whole number, 1 or more: write 5, or leave it out for the default."
RESERVED = "It must be a whole number, 1 or more: with 0 nothing is exported; leave it out for no limit."
SCHEDULE = (
    "It must be a ScheduleExpression of aws_cdk.aws_scheduler: write ScheduleExpression.cron(hour='3', minute='0')."
)
WINDOW = (
    "It must be a TimeWindow of aws_cdk.aws_scheduler: write TimeWindow.flexible(Duration.minutes(30)), or leave it "
    "out."
)
MOMENT = "It must be a datetime: write datetime(2027, 1, 1, tzinfo=timezone.utc), or leave it out."
SCHEDULES = (
    "It must be a scheduler.IScheduleGroup: write scheduler.ScheduleGroup.from_schedule_group_arn(self, 'Schedules', "
    "'nightly')."
)
RETRIES = "It must be a whole number, 0 to 10: write 2, or leave it out for that."
BUS = "It must be an events.IEventBus: write events.EventBus.from_event_bus_arn(self, 'Bus', 'main')."

NOT_A = {  # the rest of the table
    "vpc": "It must be an ec2.IVpc: write ec2.Vpc.from_lookup(self, 'Vpc', vpc_id=...).",
    "vpc_subnets": "It must be an ec2.SubnetSelection: write ec2.SubnetSelection(subnets=[...]).",
    "log_group": "It must be a logs.ILogGroup: write logs.LogGroup.from_log_group_name(self, 'Logs', '/logs').",
    "log_retention": "It must be a logs.RetentionDays: write logs.RetentionDays.ONE_MONTH.",
    "log_removal_policy": "It must be a RemovalPolicy: write RemovalPolicy.DESTROY.",
}

WRONG: list[tuple[Any, str, Callable[[Stack], Any], str]] = [
    (export, "destination", lambda stack: aws_s3.Bucket(stack, "B"), f"of type Bucket. {DESTINATION}"),
    (export, "destination", lambda _: "s3://data-lake", f"'s3://data-lake'. {DESTINATION}"),
    (export, "destination", lambda stack: ExportProvider(stack, "P"), f"of type ExportProvider. {DESTINATION}"),
    (export, "provider", function, f"of type Function. {PROVIDER}"),
    (export, "provider", lambda stack: ExportDestination(stack, "D"), f"of type ExportDestination. {PROVIDER}"),
    (export, "max_wait", lambda _: 60, f"60. {DURATION}"),
    (export, "max_wait", lambda _: "1h", f"'1h'. {DURATION}"),
    (export, "max_wait", lambda _: dt.timedelta(hours=1), f"of type timedelta. {DURATION}"),
    (export, "wait", lambda _: None, f"None. {FLAG}"),
    (export, "wait", lambda _: "false", f"'false'. {FLAG}"),
    (export, "wait", lambda _: 0, f"0. {FLAG}"),
    (export, "tags", lambda _: ["team"], f"of type list. {TAGS}"),
    (export, "tags", lambda _: {"team": 7}, f"of type dict. {TAGS}"),
    (export, "tags", lambda _: {7: "team"}, f"of type dict. {TAGS}"),
    (export, "job_name_prefix", lambda _: 7, f"7. {TEXT}"),
    (group, "datasets", lambda _: {DATASET}, f"of type set. {LIST}"),
    (group, "datasets", lambda _: (arn for arn in [DATASET]), f"of type generator. {LIST}"),
    (group, "datasets", lambda _: {"a": DATASET}, f"of type dict. {LIST}"),
    (group, "dataset_types", lambda _: {"ITEMS"}, f"of type set. {LIST}"),
    (group, "dataset_types", lambda _: iter(["ITEMS"]), f"of type list_iterator. {LIST}"),
    (group, "dataset_group", lambda s: CfnDatasetGroup(s, "G", name="shop"), f"of type CfnDatasetGroup. {TEXT}"),
    (destination, "bucket", lambda _: "data-lake", f"'data-lake'. {BUCKET.format(repr('data-lake'))}"),
    (destination, "bucket", lambda _: aws_s3.Bucket, f"of type JSIIAbstractClass. {BUCKET.format('...')}"),
    (destination, "bucket", function, f"of type Function. {BUCKET.format('...')}"),
    (destination, "encryption_key", lambda _: "1234", f"'1234'. {KEY.format(repr('1234'))}"),
    (destination, "encryption_key", lambda s: aws_s3.Bucket(s, "B"), f"of type Bucket. {KEY.format('...')}"),
    (destination, "dataset_group_key", lambda _: "1234", f"'1234'. {KEY.format(repr('1234'))}"),
    (destination, "role", lambda _: "arn:r", f"'arn:r'. {ROLE.format(repr('arn:r'))}"),
    (destination, "role", lambda s: aws_iam.User(s, "U"), f"of type User. {ROLE.format('...')}"),
    (destination, "server_access_logs_bucket", lambda _: "logs", f"'logs'. {BUCKET.format(repr('logs'))}"),
    (destination, "prefix", lambda _: 7, f"7. {TEXT}"),
    (destination, "expire_after", lambda _: 30, f"30. {DURATION}"),
    (destination, "require_source_account", lambda _: None, f"None. {FLAG}"),
    (destination, "permissions_in_place", lambda _: "yes", f"'yes'. {FLAG}"),
    (provider, "runtime", lambda _: "python3.13", f"'python3.13'. {RUNTIME}"),
    (provider, "runtime", lambda _: aws_lambda.Runtime.NODEJS_22_X, f"of type Runtime. {RUNTIME}"),
    (provider, "runtime", lambda _: aws_lambda.Runtime.PYTHON_3_9, f"of type Runtime. {RUNTIME}"),
    (provider, "runtime", lambda _: aws_lambda.Runtime.PYTHON_2_7, f"of type Runtime. {RUNTIME}"),
    (provider, "tracing", lambda _: True, "True. It must be a lambda_.Tracing: write lambda_.Tracing.ACTIVE."),
    (provider, "vpc", lambda _: "vpc-1", f"'vpc-1'. {NOT_A['vpc']}"),
    (provider, "vpc_subnets", lambda _: ["subnet-1"], f"of type list. {NOT_A['vpc_subnets']}"),
    (provider, "security_groups", lambda _: ["sg-1"], f"of type list. {GROUPS}"),
    (provider, "log_group", lambda _: "/logs", f"'/logs'. {NOT_A['log_group']}"),
    (provider, "log_retention", lambda _: 30, f"30. {NOT_A['log_retention']}"),
    (provider, "log_removal_policy", lambda _: "destroy", f"'destroy'. {NOT_A['log_removal_policy']}"),
    (provider, "dead_letter_queue", lambda _: "arn:q", f"'arn:q'. {QUEUE.format(repr('arn:q'))}"),
    (provider, "environment_encryption", lambda _: "1234", f"'1234'. {KEY.format(repr('1234'))}"),
    (provider, "function_name_prefix", lambda _: 7, f"7. {TEXT}"),
    (provider, "role", lambda _: "arn:r", f"'arn:r'. {ROLE.format(repr('arn:r'))}"),
    (provider, "reserved_concurrent_executions", lambda _: 0, f"0. {RESERVED}"),
    (provider, "reserved_concurrent_executions", lambda _: -1, f"-1. {RESERVED}"),
    (provider, "reserved_concurrent_executions", lambda _: True, f"True. {RESERVED}"),
    (provider, "max_concurrency", lambda _: 0, f"0. {COUNT}"),
    (provider, "max_concurrency", lambda _: 2.5, f"2.5. {COUNT}"),
    (schedule, "schedule", lambda _: "rate(1 day)", f"'rate(1 day)'. {SCHEDULE}"),
    (schedule, "schedule", lambda _: aws_events.Schedule.rate(Duration.days(1)), f"of type _ScheduleProxy. {SCHEDULE}"),
    (schedule, "schedule", lambda _: None, f"None. {SCHEDULE}"),
    (schedule, "time_window", lambda _: Duration.hours(1), f"of type Duration. {WINDOW}"),
    (schedule, "start", lambda _: "2027-01-01", f"'2027-01-01'. {MOMENT}"),
    (schedule, "end", lambda _: dt.date(2027, 1, 1), f"of type date. {MOMENT}"),
    (schedule, "enabled", lambda _: None, f"None. {FLAG}"),
    (schedule, "schedule_group", lambda _: "nightly", f"'nightly'. {SCHEDULES}"),
    (schedule, "retry_attempts", lambda _: -1, f"-1. {RETRIES}"),
    (schedule, "retry_attempts", lambda _: 11, f"11. {RETRIES}"),
    (schedule, "retry_attempts", lambda _: True, f"True. {RETRIES}"),
    (schedule, "retry_attempts", lambda _: 1.5, f"1.5. {RETRIES}"),
    (schedule, "retry_attempts", lambda _: None, f"None. {RETRIES}"),
    (schedule, "max_wait", lambda _: 60, f"60. {DURATION}"),
    (schedule, "dead_letter_queue", lambda _: "arn:q", f"'arn:q'. {QUEUE.format(repr('arn:q'))}"),
    (schedule, "event_bus", lambda _: "main", f"'main'. {BUS}"),
    (export, "event_bus", lambda _: "main", f"'main'. {BUS}"),
    (group, "event_bus", lambda _: "main", f"'main'. {BUS}"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "option", "value", "message"), WRONG)
def test_value_of_another_type(stack: Stack, make: Any, option: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        make(stack, **{option: value(stack)})
    assert str(refused.value) == f"{option} is {message}"


def test_fifo_queue_for_what_lambda_gave_up_on(stack: Stack) -> None:
    message = (
        "dead_letter_queue is a FIFO queue, to which AWS Lambda cannot send what it gave up on: pass a standard queue."
    )
    imported = aws_sqs.Queue.from_queue_arn(stack, "Imported", "arn:aws:sqs:us-east-1:123456789012:failed.fifo")
    for queue in (aws_sqs.Queue(stack, "Made", fifo=True), imported):
        with pytest.raises(ValueError, match=r".") as refused:
            provider(stack, dead_letter_queue=queue)
        assert str(refused.value) == message


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("lake--use1-az4--x-s3", "a directory bucket"),
        ("lake--table-s3", "a table bucket"),
        ("lake-abcdef-s3alias", "the alias of an access point"),
        ("lake-abcdef--ol-s3", "the alias of an Object Lambda access point"),
    ],
)
def test_name_of_something_that_is_no_general_purpose_bucket(stack: Stack, name: str, what: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        destination(stack, bucket=aws_s3.Bucket.from_bucket_name(stack, "Theirs", name))
    assert str(refused.value) == (
        f"bucket {name!r} is {what}. Amazon Personalize writes to a general purpose bucket, by its own name: pass that "
        "one."
    )


def test_arn_of_an_access_point(stack: Stack) -> None:
    arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/lake"
    with pytest.raises(ValueError, match=r".") as refused:
        destination(stack, bucket=aws_s3.Bucket.from_bucket_arn(stack, "Theirs", arn))
    assert str(refused.value) == (
        f"bucket {arn!r} is no general purpose bucket, which has an ARN such as arn:aws:s3:::name. Amazon Personalize "
        "writes to such a one, by its own name: pass the bucket behind an access point."
    )


def test_key_of_another_region(app: App) -> None:
    stack = Stack(app, "Here", env=HERE)
    arn = KEY_ARN.replace("us-east-1", "eu-west-1")
    with pytest.raises(ValueError, match=r".") as refused:
        destination(stack, encryption_key=aws_kms.Key.from_key_arn(stack, "Theirs", arn))
    assert str(refused.value) == (
        f"key {arn!r} is in Region eu-west-1, but stack 'Here' deploys to Region us-east-1. An export job needs both "
        "in the Region of its dataset: make one key per Region."
    )


def test_bucket_without_a_known_name_is_called_by_its_path(app: App) -> None:
    there = Stack(app, "There", env=Environment(account="123456789012", region="eu-west-1"))
    bucket = aws_s3.Bucket(there, "Lake")
    with pytest.raises(ValueError, match=r"bucket 'There/Lake' is in Region eu-west-1"):
        destination(Stack(app, "Here", env=HERE), bucket=bucket)


@pytest.mark.parametrize(
    ("make", "service"), [(destination, "personalize.amazonaws.com"), (provider, "lambda.amazonaws.com")]
)
def test_role_of_this_app_that_does_not_trust_the_service(
    stack: Stack, synth: Synthesise, make: Any, service: str
) -> None:
    role = aws_iam.Role(stack, "Role", assumed_by=aws_iam.AccountRootPrincipal())
    made = make(stack, role=role)
    DatasetExport(stack, "Interactions", dataset=DATASET, **{make.__name__: made})
    with pytest.raises(RuntimeError) as refused:
        synth(stack)
    assert f"role 'Prod/Role' does not trust {service}, which must be able to assume it" in str(refused.value)
    assert f"make it with assumed_by=iam.ServicePrincipal('{service}')." in str(refused.value)
    statement = aws_iam.PolicyStatement(actions=["sts:AssumeRole"], principals=[aws_iam.ServicePrincipal(service)])
    assert role.assume_role_policy is not None
    role.assume_role_policy.add_statements(statement)
    synth(stack)


def test_l1_bucket_is_taken_and_its_policy_is_made(stack: Stack, synth: Synthesise) -> None:
    made = destination(stack, bucket=aws_s3.CfnBucket(stack, "Lake"))
    export(stack, destination=made)
    result = synth(stack)
    assert result.export["Bucket"] == "${Lake}"
    assert result.types.count("AWS::S3::BucketPolicy") == 1
    assert result.warnings == []


def test_l1_key_is_taken_and_its_policy_is_extended(stack: Stack, synth: Synthesise) -> None:
    account = {"AWS": "arn:aws:iam::123456789012:root"}
    policy = {"Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Principal": account}]}
    destination(stack, encryption_key=aws_kms.CfnKey(stack, "Key", key_policy=policy))
    result = synth(stack)
    assert len(result.statements("Key")) == 3
    assert result.warnings == []


def test_l1_key_whose_policy_the_cdk_cannot_read(stack: Stack) -> None:
    policy = {"Statement": [{"Principal": {"AWS": stack.account}}]}
    key = aws_kms.CfnKey(stack, "Key", key_policy=policy)
    with pytest.raises(ValueError, match=r".") as refused:
        destination(stack, encryption_key=key)
    assert str(refused.value) == (
        "encryption_key is a CfnKey whose policy the CDK cannot add to, because it holds references. Make it a "
        "kms.Key, or pass kms.Key.from_key_arn(self, 'ExportKey', key.attr_arn) and add the statements that synthesis "
        "then prints."
    )


def test_l1_role_is_taken_and_given_the_permissions(stack: Stack, synth: Synthesise) -> None:
    role = aws_iam.CfnRole(stack, "Role", assume_role_policy_document={})
    destination(stack, role=role)
    (policy,) = synth(stack).of_type("AWS::IAM::Policy")
    assert policy["Roles"] == ["${Role}"] or "Role" in str(policy["Roles"])
    assert "s3:PutObject" in str(policy)


def test_references_are_taken_and_what_their_policies_must_say_is_printed(stack: Stack, synth: Synthesise) -> None:
    """A reference says no more than where a resource is, so its policy cannot be added to."""
    iam, kms, s3 = (pytest.importorskip(f"aws_cdk.interfaces.aws_{name}") for name in ("iam", "kms", "s3"))

    @jsii.implements(s3.IBucketRef, kms.IKeyRef, iam.IRoleRef)
    class Elsewhere(Construct):
        @property
        def bucket_ref(self) -> Any:
            return s3.BucketReference(bucket_arn="arn:aws:s3:::data-lake", bucket_name="data-lake")

        @property
        def key_ref(self) -> Any:
            return kms.KeyReference(key_arn=KEY_ARN, key_id=KEY_ARN.rpartition("/")[2])

        @property
        def role_ref(self) -> Any:
            return iam.RoleReference(role_arn="arn:aws:iam::123456789012:role/writer", role_name="writer")

    elsewhere = Elsewhere(stack, "Elsewhere")
    made = destination(stack, bucket=elsewhere, encryption_key=elsewhere, role=elsewhere)
    assert made.path == "s3://data-lake/personalize/"
    assert made.kms_key_arn == KEY_ARN
    assert made.role_arn == "arn:aws:iam::123456789012:role/writer"
    result = synth(stack)
    assert [warning.split(". Exports fail")[0] for warning in result.warnings] == [
        "This app cannot change the policy of the bucket of s3://data-lake/personalize/",
        f"This app cannot change the policy of key {KEY_ARN}",
    ]
    assert result.types == ["AWS::IAM::Policy"]


def test_text_that_the_cdk_has_yet_to_look_up_passes_every_check(app: App, synth: Synthesise) -> None:
    """The CDK synthesises once with a placeholder, looks the value up, and synthesises again with it."""
    stack = Stack(app, "Prod", env=HERE)

    def looked_up(name: str) -> str:
        return StringParameter.value_from_lookup(stack, f"/shop/{name}/ACTIONS")

    made = destination(stack, prefix=looked_up("prefix"))
    DatasetExport(
        stack,
        "One",
        dataset=looked_up("dataset"),
        ingestion_mode=looked_up("mode"),
        generation=looked_up("generation"),
        job_name_prefix=looked_up("job name"),
        tags={looked_up("tag"): looked_up("value")},
        destination=made,
        provider=provider(stack, function_name_prefix=looked_up("function")),
    )
    group(stack, datasets=[looked_up("one"), DATASET, looked_up("two")])
    DatasetGroupExport(stack, "Named", dataset_group=looked_up("group"), dataset_types=[looked_up("type"), "ITEMS"])
    assert len(synth(stack).exports) == 6


def test_reserved_concurrency_known_only_at_deployment_passes(stack: Stack, synth: Synthesise) -> None:
    limit = CfnParameter(stack, "Limit", type="Number").value_as_number
    export(stack, provider=provider(stack, reserved_concurrent_executions=limit))
    assert synth(stack).the("AWS::Lambda::Function")["ReservedConcurrentExecutions"] == "${Limit}"


def test_whole_hours_are_taken(stack: Stack) -> None:
    assert export(stack, max_wait=Duration.hours(2)).resource is not None
