"""The shared function: one per stack, its options, and permissions that fit into IAM's limits."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsii
import pytest
from aws_cdk import (
    App,
    Aspects,
    CfnParameter,
    Environment,
    IAspect,
    PermissionsBoundary,
    RemovalPolicy,
    Stack,
    Tags,
    aws_ec2,
    aws_iam,
    aws_kms,
    aws_logs,
    aws_personalize,
    aws_sqs,
)
from aws_cdk.aws_lambda import CfnFunction, Function, Runtime, Tracing
from constructs import Construct

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider
from cdk_personalize_export._permissions import Needs

if TYPE_CHECKING:
    from constructs import IConstruct

    from tests.synth.conftest import Synthesise

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/movies/INTERACTIONS"
LONG_GROUP = "g" * 50


def export_many(stack: Stack, count: int) -> None:
    """Exports of as many different datasets with long names."""
    destination = ExportDestination(stack, "Exports")
    for number in range(count):
        arn = f"arn:aws:personalize:us-east-1:123456789012:dataset/{LONG_GROUP}-{number:03}/INTERACTIONS"
        DatasetExport(stack, f"Export{number}", dataset=arn, destination=destination)


def managed_policies(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        logical_id: resource
        for logical_id, resource in resources.items()
        if resource["Type"] == "AWS::IAM::ManagedPolicy" and logical_id.startswith("PersonalizeExportProvider")
    }


def test_stack_has_one_provider_wherever_it_is_asked_for(stack: Stack) -> None:
    inner = Construct(stack, "Inner")
    assert ExportProvider.for_stack(stack) is ExportProvider.for_stack(inner)
    assert ExportProvider.for_stack(inner).node.path == "Prod/PersonalizeExportProvider"


def test_function_has_no_aws_managed_policy_and_no_inline_policy(stack: Stack, synth: Synthesise) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET)
    for role in synth(stack).of_type("AWS::IAM::Role"):
        assert "ManagedPolicyArns" not in role
        assert "Policies" not in role


def test_options_of_the_log_group_and_the_function_are_passed_on(stack: Stack, synth: Synthesise) -> None:
    provider = ExportProvider(
        stack,
        "Provider",
        log_retention=aws_logs.RetentionDays.ONE_WEEK,
        log_removal_policy=RemovalPolicy.DESTROY,
        runtime=Runtime.PYTHON_3_12,
        reserved_concurrent_executions=3,
    )
    result = synth(stack)
    assert result.the("AWS::Logs::LogGroup") == {"RetentionInDays": 7}
    (logs,) = [r for r in result.resources.values() if r["Type"] == "AWS::Logs::LogGroup"]
    assert logs["DeletionPolicy"] == "Delete"
    function = result.the("AWS::Lambda::Function")
    assert function["Runtime"] == "python3.12"
    assert function["ReservedConcurrentExecutions"] == 3
    assert stack.resolve(provider.function.function_arn) == stack.resolve(provider.service_token)


def test_log_group_given_is_used_and_permitted(stack: Stack, synth: Synthesise) -> None:
    provider = ExportProvider(stack, "Provider", log_group=aws_logs.LogGroup(stack, "Shared"))
    DatasetExport(stack, "Interactions", dataset=DATASET, provider=provider)
    result = synth(stack)
    assert result.the("AWS::Lambda::Function")["LoggingConfig"] == {"LogGroup": "${Shared}"}
    assert result.statements("ProviderPolicy")[1]["Resource"] == "${Shared.Arn}"


def test_log_group_given_together_with_a_retention_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="log_group") as refused:
        ExportProvider(
            stack,
            "Provider",
            log_group=aws_logs.LogGroup(stack, "Shared"),
            log_retention=aws_logs.RetentionDays.ONE_WEEK,
        )
    assert str(refused.value) == (
        "log_group is given together with log_retention or log_removal_policy, which describe the log group that is "
        "made without it: set them on your log group instead."
    )


def test_permissions_are_split_over_policies_that_fit(stack: Stack, synth: Synthesise) -> None:
    export_many(stack, 100)
    policies = managed_policies(synth(stack).resources)
    assert len(policies) == 3
    for policy in policies.values():
        at_most = len(re.sub(r"\s", "", json.dumps(policy["Properties"]["PolicyDocument"])))
        assert at_most <= 6144 + 800  # with functions in place of what they become, which is shorter
        assert policy["Properties"]["Roles"] == [{"Ref": "PersonalizeExportProviderRole99E3EC16"}]


def test_every_export_waits_for_the_policy_that_permits_it(stack: Stack, synth: Synthesise) -> None:
    export_many(stack, 100)
    resources = synth(stack).resources
    policies = managed_policies(resources)
    for resource in resources.values():
        if resource["Type"] == "Custom::PersonalizeDatasetExport":
            policy = resource["Properties"]["PolicyArn"]["Ref"]
            statements = policies[policy]["Properties"]["PolicyDocument"]["Statement"]
            create = next(s for s in statements if s["Action"] == "personalize:CreateDatasetExportJob")
            assert resource["Properties"]["DatasetArn"] in create["Resource"]


def allow_many(provider: ExportProvider, count: int) -> None:
    """What exports of as many datasets ask for, with ARNs as long as those of datasets get."""
    destination = ExportDestination(provider, "Destination")
    for number in range(count):
        needs = Needs(f"{number:0139}", "arn:job", "arn:role", tags=False)
        provider._permissions_in(provider.environment).permit(needs, destination)


@pytest.mark.parametrize(("options", "room"), [({}, 10), ({"tracing": Tracing.ACTIVE}, 9)])
def test_more_permissions_than_a_role_can_hold_are_refused_at_synthesis(
    stack: Stack, options: dict[str, Any], room: int
) -> None:
    provider = ExportProvider(stack, "Provider", **options)
    with pytest.raises(ValueError, match="too many exports") as refused:
        allow_many(provider, 5000)
    assert str(refused.value) == (
        f"ExportProvider 'Prod/Provider' has too many exports: their permissions fill {room} managed policies of 6144 "
        "characters, and its role has no room for more. Give the further exports a function of their own with "
        'provider=ExportProvider(self, "Another").'
    )


def test_function_can_be_watched_granted_and_given_permissions(stack: Stack, synth: Synthesise) -> None:
    provider = ExportProvider(stack, "Provider")
    metric = provider.function.metric_errors()
    metric.create_alarm(stack, "Errors", threshold=1, evaluation_periods=1)
    provider.function.grant_invoke(aws_iam.Role(stack, "Caller", assumed_by=aws_iam.AccountRootPrincipal()))
    aws_sqs.Queue(stack, "Queue").grant_send_messages(provider.function)
    result = synth(stack)
    assert result.the("AWS::CloudWatch::Alarm")["MetricName"] == "Errors"
    assert "${ProviderFunction.Arn}" in json.dumps(result.statements("CallerDefaultPolicy"))
    (policy,) = [p for p in result.of_type("AWS::IAM::Policy") if "sqs:SendMessage" in json.dumps(p)]
    assert "ProviderRole" in json.dumps(policy["Roles"])
    assert provider.function is provider.function


@jsii.implements(IAspect)
class Seen:
    """An aspect that keeps what it meets."""

    def __init__(self) -> None:
        self.nodes: list[IConstruct] = []

    def visit(self, node: IConstruct) -> None:
        self.nodes.append(node)


def test_tags_aspects_and_escape_hatches_meet_the_real_resources(stack: Stack, synth: Synthesise) -> None:
    DatasetExport(stack, "Interactions", dataset=DATASET)
    provider = ExportProvider.for_stack(stack)
    Tags.of(stack).add("team", "data")
    seen = Seen()
    Aspects.of(stack).add(seen)
    assert provider.node.find_child("Function") is provider.function
    function = provider.function.node.default_child
    assert isinstance(function, CfnFunction)
    function.memory_size = 256
    result = synth(stack)
    kinds = Function | CfnFunction | aws_logs.LogGroup | aws_iam.Role
    assert [type(n) for n in seen.nodes if isinstance(n, kinds)] == [
        aws_iam.Role,
        aws_logs.LogGroup,
        aws_iam.Role,
        Function,
        CfnFunction,
    ]
    assert len(set(seen.nodes)) == len(seen.nodes), "each is met once, and is the same object each time"
    assert result.the("AWS::Lambda::Function")["MemorySize"] == 256
    for kind in ("AWS::Lambda::Function", "AWS::IAM::Role", "AWS::Logs::LogGroup"):
        for properties in result.of_type(kind):
            assert properties["Tags"] == [{"Key": "team", "Value": "data"}]


NETWORK = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]


def no_role_has_an_inline_or_aws_managed_policy(resources: dict[str, Any]) -> bool:
    roles = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Role"]
    return not any(r["Type"] == "AWS::IAM::Policy" for r in resources.values()) and not any(
        {"ManagedPolicyArns", "Policies"} & set(role) for role in roles
    )


def test_function_runs_in_the_vpc_where_only_lambda_may_touch_the_network(stack: Stack, synth: Synthesise) -> None:
    vpc = aws_ec2.Vpc(stack, "Vpc", max_azs=1)
    group = aws_ec2.SecurityGroup(stack, "Group", vpc=vpc)
    provider = ExportProvider(stack, "Provider", vpc=vpc, vpc_subnets=vpc_private(), security_groups=[group])
    DatasetExport(stack, "Interactions", dataset=DATASET, provider=provider)
    result = synth(stack)
    assert result.the("AWS::Lambda::Function")["VpcConfig"] == {
        "SecurityGroupIds": ["${Group.GroupId}"],
        "SubnetIds": ["${VpcPrivateSubnet1Subnet}"],
    }
    assert result.statements("ProviderLambdaPolicy") == [{"Effect": "Allow", "Action": NETWORK, "Resource": "*"}]
    assert result.statements("ProviderPolicy")[2] == {
        "Effect": "Deny",
        "Action": NETWORK,
        "Resource": "*",
        "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": "${ProviderFunction.Arn}"}},
    }
    assert "ProviderLambdaPolicy" in result.depends_on("AWS::Lambda::Function")
    assert no_role_has_an_inline_or_aws_managed_policy(result.resources)


def vpc_private() -> aws_ec2.SubnetSelection:
    return aws_ec2.SubnetSelection(subnet_type=aws_ec2.SubnetType.PRIVATE_WITH_EGRESS)


def test_function_in_a_vpc_without_a_security_group_gets_one_that_lets_everything_out(
    stack: Stack, synth: Synthesise
) -> None:
    vpc = aws_ec2.Vpc(stack, "Vpc", max_azs=1)
    provider = ExportProvider(stack, "Provider", vpc=vpc)
    provider.function.connections.allow_to_any_ipv4(aws_ec2.Port.tcp(443))
    result = synth(stack)
    assert result.the("AWS::EC2::SecurityGroup")["SecurityGroupEgress"][0]["CidrIp"] == "0.0.0.0/0"
    assert result.the("AWS::Lambda::Function")["VpcConfig"] == {
        "SecurityGroupIds": ["${ProviderFunctionSecurityGroup.GroupId}"],
        "SubnetIds": ["${VpcPrivateSubnet1Subnet}"],
    }
    assert "VpcPrivateSubnet1DefaultRoute" in result.depends_on("AWS::Lambda::Function")


def test_public_subnets_are_refused_because_a_function_has_no_way_out_of_them(stack: Stack) -> None:
    vpc = aws_ec2.Vpc(stack, "Vpc", max_azs=1)
    public = aws_ec2.SubnetSelection(subnet_type=aws_ec2.SubnetType.PUBLIC)
    with pytest.raises(ValueError, match="public subnets") as refused:
        ExportProvider(stack, "Provider", vpc=vpc, vpc_subnets=public)
    assert str(refused.value) == (
        "vpc_subnets selects public subnets, from which a Lambda function cannot reach the internet, whatever its "
        "security groups say: select private ones, "
        "vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)."
    )


def test_subnets_or_security_groups_without_a_vpc_are_refused(stack: Stack) -> None:
    options: list[dict[str, Any]] = [{"vpc_subnets": vpc_private()}, {"security_groups": []}]
    for option in options:
        with pytest.raises(ValueError, match="without vpc") as refused:
            ExportProvider(stack, "Provider", **option)
        assert str(refused.value) == (
            "vpc_subnets or security_groups is given without vpc, to which they belong: pass it too."
        )


def test_what_lambda_gave_up_on_goes_to_the_dead_letter_queue(stack: Stack, synth: Synthesise) -> None:
    key = aws_kms.Key(stack, "Key")
    queue = aws_sqs.Queue(stack, "Queue", encryption=aws_sqs.QueueEncryption.KMS, encryption_master_key=key)
    DatasetExport(stack, "E", dataset=DATASET, provider=ExportProvider(stack, "Provider", dead_letter_queue=queue))
    result = synth(stack)
    assert result.the("AWS::Lambda::Function")["DeadLetterConfig"] == {"TargetArn": "${Queue.Arn}"}
    assert result.statements("ProviderLambdaPolicy") == [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "${Queue.Arn}"},
        {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "${Key.Arn}"},
    ]
    assert no_role_has_an_inline_or_aws_managed_policy(result.resources)


def test_queue_without_a_key_needs_none(stack: Stack, synth: Synthesise) -> None:
    ExportProvider(stack, "Provider", dead_letter_queue=aws_sqs.Queue(stack, "Queue"))
    assert [s["Action"] for s in synth(stack).statements("ProviderLambdaPolicy")] == ["sqs:SendMessage"]


def test_environment_is_encrypted_with_the_key(stack: Stack, synth: Synthesise) -> None:
    ExportProvider(stack, "Provider", environment_encryption=aws_kms.Key(stack, "Key"))
    result = synth(stack)
    assert result.the("AWS::Lambda::Function")["KmsKeyArn"] == "${Key.Arn}"
    assert result.statements("ProviderLambdaPolicy") == [
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "${Key.Arn}"}
    ]


@pytest.mark.parametrize(("tracing", "mode"), [(Tracing.ACTIVE, "Active"), (Tracing.PASS_THROUGH, "PassThrough")])
def test_function_is_traced(stack: Stack, synth: Synthesise, tracing: Tracing, mode: str) -> None:
    ExportProvider(stack, "Provider", tracing=tracing)
    result = synth(stack)
    assert result.the("AWS::Lambda::Function")["TracingConfig"] == {"Mode": mode}
    assert result.statements("ProviderLambdaPolicy") == [
        {"Effect": "Allow", "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "Resource": "*"}
    ]
    assert no_role_has_an_inline_or_aws_managed_policy(result.resources)


def test_disabled_tracing_needs_nothing(stack: Stack, synth: Synthesise) -> None:
    ExportProvider(stack, "Provider", tracing=Tracing.DISABLED)
    result = synth(stack)
    assert "TracingConfig" not in result.the("AWS::Lambda::Function")
    assert "AWS::IAM::ManagedPolicy" not in result.types


def test_name_of_the_function_begins_with_the_prefix_and_fits(stack: Stack, synth: Synthesise) -> None:
    prefix = "p" * 32
    ExportProvider(Construct(stack, "Deep" * 20), "Provider" * 5, function_name_prefix=prefix)
    name = synth(stack).the("AWS::Lambda::Function")["FunctionName"]
    assert re.fullmatch(rf"{prefix}-[A-Za-z0-9]+", name)
    assert len(name) <= 64


@pytest.mark.parametrize("prefix", ["", "a b", "a.b", "a" * 33])
def test_prefix_that_makes_no_function_name_is_refused(stack: Stack, prefix: str) -> None:
    with pytest.raises(ValueError, match="function_name_prefix") as refused:
        ExportProvider(stack, "Provider", function_name_prefix=prefix)
    assert str(refused.value) == (
        f"function_name_prefix {prefix!r} has {len(prefix)} characters. Allowed are 1 to 32 letters, digits, hyphens "
        "and underscores: a function name has at most 64, and a hyphen and a part that makes it unique follow."
    )
    assert stack.node.children == []


def test_prefix_known_only_at_deployment_passes(stack: Stack, synth: Synthesise) -> None:
    ExportProvider(stack, "Provider", function_name_prefix=CfnParameter(stack, "Prefix").value_as_string)
    assert synth(stack).the("AWS::Lambda::Function")["FunctionName"].startswith("${Prefix}-")


def test_permissions_boundary_of_the_cdk_reaches_the_role_of_the_function_and_of_the_destination(
    stack: Stack, synth: Synthesise
) -> None:
    export = DatasetExport(stack, "Interactions", dataset=DATASET)
    boundary = aws_iam.ManagedPolicy.from_managed_policy_name(stack, "Boundary", "limits")
    for construct in (export.provider, export.destination):
        aws_iam.PermissionsBoundary.of(construct).apply(boundary)
    roles = synth(stack).of_type("AWS::IAM::Role")
    arn = "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/limits"
    assert [role["PermissionsBoundary"] for role in roles] == [arn, arn]


def test_permissions_boundary_of_a_stack_reaches_every_role(app: App, synth: Synthesise) -> None:
    stack = Stack(app, "Bound", permissions_boundary=PermissionsBoundary.from_name("limits"))
    DatasetExport(stack, "Interactions", dataset=DATASET)
    assert all("PermissionsBoundary" in role for role in synth(stack).of_type("AWS::IAM::Role"))


def test_china_is_named_in_every_arn(synth: Synthesise) -> None:
    stack = Stack(
        App(context=LITERAL_PARTITIONS), "China", env=Environment(account="123456789012", region="cn-north-1")
    )
    dataset = "arn:aws-cn:personalize:cn-north-1:123456789012:dataset/movies/INTERACTIONS"
    DatasetExport(stack, "Interactions", dataset=dataset)
    assert stack.partition == "aws-cn"
    assert "arn:aws:" not in json.dumps(synth(stack).template["Resources"])


LITERAL_PARTITIONS = {"@aws-cdk/core:enablePartitionLiterals": True}


def test_dataset_of_another_stack_is_imported_by_its_arn(app: App, synth: Synthesise) -> None:
    data, exports = Stack(app, "Data"), Stack(app, "Exports")
    dataset = aws_personalize.CfnDataset(
        data, "Dataset", dataset_group_arn="g", dataset_type="Items", name="items", schema_arn="s"
    )
    DatasetExport(exports, "Items", dataset=dataset)
    arn = {"Fn::ImportValue": "Data:ExportsOutputFnGetAttDatasetDatasetArnC45ECB18"}
    result = synth(exports)
    assert result.export["DatasetArn"] == arn
    assert str(arn) in str(result.statements("PersonalizeExportProviderPolicy"))
    assert exports.dependencies == [data]


def test_export_added_after_a_synthesis_is_permitted_too(stack: Stack, synth: Synthesise) -> None:
    export = DatasetExport(stack, "Interactions", dataset=DATASET)
    synth(stack)
    later = DATASET.replace("movies", "books")
    DatasetExport(stack, "Later", dataset=later, destination=export.destination)
    assert synth(stack).allowed("personalize:CreateDatasetExportJob")[::2] == [DATASET, later]
