"""The rivals of the benchmark are real apps: each synthesises, and is what it is called."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from benchmarks import schedules, synthesis
from benchmarks.rivals import existing_app

if TYPE_CHECKING:
    from aws_cdk import Stack

    from tests.synth.conftest import Synthesise

EXPORTS = ("Custom::DatasetExport", "Custom::PersonalizeDatasetExport")


def build(name: str, stack: Stack, count: int, *, own: bool = False) -> None:
    importlib.import_module(f"benchmarks.rivals.{name}").build(stack, count, own=own)


@pytest.mark.parametrize("name", synthesis.RIVALS)
def test_rival_makes_one_custom_resource_per_export_and_shares_the_rest(
    name: str, stack: Stack, synth: Synthesise
) -> None:
    build(name, stack, 3)
    result = synth(stack)
    assert sum(result.types.count(kind) for kind in EXPORTS) == 3
    assert result.types.count("AWS::S3::Bucket") == 1


@pytest.mark.parametrize("name", synthesis.RIVALS)
def test_rival_makes_a_bucket_and_a_role_for_each_export_when_asked_to(
    name: str, stack: Stack, synth: Synthesise
) -> None:
    build(name, stack, 3, own=True)
    result = synth(stack)
    assert result.types.count("AWS::S3::Bucket") == 3
    roles = [str(role) for role in result.of_type("AWS::IAM::Role")]
    assert sum("personalize.amazonaws.com" in role for role in roles) == 3


@pytest.mark.parametrize("name", synthesis.RIVALS)
def test_rival_lets_the_job_be_started_and_the_role_be_passed(name: str, stack: Stack, synth: Synthesise) -> None:
    build(name, stack, 1)
    policies = str(synth(stack).template["Resources"])
    assert "personalize:CreateDatasetExportJob" in policies
    assert "iam:PassRole" in policies
    assert ("personalize:DescribeDatasetExportJob" in policies) is (name != "aws_custom_resource")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("provider_framework", "AWS::StepFunctions::StateMachine"),
        ("step_functions", "AWS::StepFunctions::StateMachine"),
        ("one_function", "AWS::Lambda::Function"),
    ],
)
def test_rival_is_built_on_what_it_is_named_after(name: str, kind: str, stack: Stack, synth: Synthesise) -> None:
    build(name, stack, 1)
    assert kind in synth(stack).types


@pytest.mark.parametrize("name", ["empty", "empty_s3"])
def test_floor_has_nothing_in_it(name: str, stack: Stack, synth: Synthesise) -> None:
    build(name, stack, 100)
    assert "Resources" not in synth(stack).template


def test_ours_makes_9_resources_and_1_for_each_further_export(stack: Stack, synth: Synthesise) -> None:
    build("ours", stack, 10)
    assert len(synth(stack).resources) == 9 + 9


@pytest.mark.parametrize("name", synthesis.RIVALS)
def test_rival_can_be_built_into_an_app_that_has_a_vpc_and_a_function(
    name: str, stack: Stack, synth: Synthesise
) -> None:
    existing_app.build(stack)
    build(name, stack, 3)
    result = synth(stack)
    assert "AWS::EC2::VPC" in result.types
    assert sum(result.types.count(kind) for kind in EXPORTS) == 3
    assert sum("VpcConfig" in function for function in result.of_type("AWS::Lambda::Function")) == 1


@pytest.mark.parametrize("name", schedules.RIVALS)
def test_rival_on_a_schedule_has_one_for_each_export_and_shares_the_rest(
    name: str, stack: Stack, synth: Synthesise
) -> None:
    build(name, stack, 3)
    result = synth(stack)
    assert {found["ScheduleExpression"] for found in result.of_type("AWS::Scheduler::Schedule")} == {"rate(1 minute)"}
    assert result.types.count("AWS::Scheduler::Schedule") == 3
    assert result.types.count("AWS::S3::Bucket") == 1
    assert ("AWS::Lambda::Function" in result.types) is (name != "scheduler_target")
    assert "personalize:CreateDatasetExportJob" in str(result.template["Resources"])
