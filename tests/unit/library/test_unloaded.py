"""Objects made without the Python side of their module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import App, Stack
from aws_cdk.aws_logs import LogGroup

from cdk_personalize_export import _unloaded

if TYPE_CHECKING:
    import pytest


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
