"""The shared function: one per stack, its options, and permissions that fit into IAM's limits."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import RemovalPolicy, Stack, aws_logs
from aws_cdk.aws_lambda import Runtime
from constructs import Construct

from cdk_personalize_export import DatasetExport, ExportDestination, ExportProvider

if TYPE_CHECKING:
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
            (policy,) = set(resource["DependsOn"]) & set(policies)
            statements = policies[policy]["Properties"]["PolicyDocument"]["Statement"]
            create = next(s for s in statements if s["Action"] == "personalize:CreateDatasetExportJob")
            assert resource["Properties"]["DatasetArn"] in create["Resource"]


def test_more_permissions_than_a_role_can_hold_are_refused_at_synthesis(stack: Stack) -> None:
    with pytest.raises(ValueError, match="too many exports") as refused:
        export_many(stack, 490)
    assert str(refused.value) == (
        "ExportProvider 'Prod/PersonalizeExportProvider' has too many exports: its permissions fill 10 managed "
        "policies of 6144 characters, and a role can have no more. Give the further exports a function of their own "
        "with "
        'provider=ExportProvider(self, "Another").'
    )
