"""Objects made without the Python side of their module."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jsii
from aws_cdk import App, Duration, Stack
from aws_cdk.aws_logs import LogGroup

from cdk_personalize_export import DatasetExport, _unloaded

if TYPE_CHECKING:
    import pytest

DATASET = "arn:aws:personalize:us-east-1:123456789012:dataset/shop/INTERACTIONS"


def make_log_group(stack: Stack) -> object:
    options = {"retention": _unloaded.member("aws_logs.RetentionDays", "ONE_WEEK")}
    return _unloaded.make("aws_logs.LogGroup", stack, "Logs", options)


def test_whoever_meets_an_unloaded_object_gets_one_of_the_real_class() -> None:
    stack = Stack(App(), "Prod")
    made = make_log_group(stack)
    assert type(made) is _unloaded.Unloaded
    met = stack.node.find_child("Logs")
    assert type(met) is LogGroup
    assert met.log_group_arn == _unloaded.get(made, "logGroupArn")


def test_jsii_that_keeps_its_references_elsewhere_gets_the_real_class_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(App(), "Prod")
    monkeypatch.setattr(_unloaded, "_reference_map", None)
    made = make_log_group(stack)
    assert isinstance(made, LogGroup)
    assert stack.node.find_child("Logs") is made
    assert made.log_group_arn


def template() -> Any:
    app = App()
    stack = Stack(app, "Prod")
    export = DatasetExport(stack, "Interactions", dataset=DATASET, max_wait=Duration.hours(2))
    DatasetExport(stack, "Again", dataset=DATASET, destination=export.destination, generation=export.job_name)
    found = app.synth().get_stack_artifact("Prod").template
    (function,) = [r for r in found["Resources"].values() if r["Type"] == "AWS::Lambda::Function"]
    assert function["Properties"]["Code"].pop("S3Key").endswith(".zip")  # under another name: a hash of the hash
    return found


def test_jsii_that_is_made_otherwise_gives_the_same_template(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = template()
    # Functions that can not be asked for anything but objects of the real classes.
    plain = {name: lambda *a, name=name: getattr(jsii, name)(*a) for name in ("create", "get", "invoke")}
    monkeypatch.setattr(_unloaded, "jsii", SimpleNamespace(**plain))
    monkeypatch.setattr(_unloaded, "_reference_map", None)
    assert template() == expected
