"""How an event is sent: how often, for how long, and what is said when it can not be."""

from typing import Any

import pytest

from cdk_personalize_export.handler import events
from cdk_personalize_export.handler.jobs import read_job
from cdk_personalize_export.handler.log import Log
from tests.unit.handler.test_exports import ARN
from tests.unit.handler.world import BUS, FakeOutbound, Refusal

DETAIL = {
    "outcome": "FAILED",
    "stackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/Shop/5a1c2b30",
    "exportId": "Shop/Nightly",
    "constructPath": "App/Shop/Nightly",
    "datasetArn": "arn:aws:personalize:us-east-1:123456789012:dataset/shop/INTERACTIONS",
    "ingestionMode": "ALL",
    "roleArn": "arn:aws:iam::123456789012:role/export",
    "attempt": 1,
    "scheduledTime": "2026-01-02T03:04:00Z",
    "reason": "no",
}


class Waiting(FakeOutbound):
    """Notes how long each call may take."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[float] = []

    def within(self, seconds: float, action: Any) -> Any:
        self.limits.append(seconds)
        return super().within(seconds, action)


def send(outbound: FakeOutbound, seconds: float = 10.0) -> bool:
    return events.send(outbound, Log(outbound, {}), bus_arn=BUS, detail=DETAIL, resources=[ARN], seconds=seconds)


def test_an_event_that_is_taken_is_sent_once_and_said_to_be() -> None:
    outbound = FakeOutbound()
    assert send(outbound) is True
    assert [entry["Resources"] for entry in outbound.bus.sent] == [[ARN]]
    assert (outbound.sleeps, outbound.lines) == ([], [])


def test_tries_come_further_and_further_apart_until_the_time_is_over() -> None:
    outbound = Waiting()
    outbound.luck, outbound.bus.refusals = 0.0, ["ThrottlingException"] * 99
    assert send(outbound, seconds=16.0) is False
    assert outbound.sleeps == [1, 2, 4, 8]
    assert outbound.limits == [10, 10, 10, 9, 1]
    assert [(line["level"], line["outcome"]) for line in outbound.lines] == [("ERROR", "FAILED")]


def test_no_try_is_made_when_the_time_would_be_over_before_it() -> None:
    outbound = FakeOutbound()
    outbound.luck, outbound.bus.refusals = 0.0, ["ThrottlingException"] * 99
    assert send(outbound, seconds=3.0) is False
    assert outbound.sleeps == [1]


@pytest.mark.parametrize(("seconds", "tries"), [(0.5, 1), (0.4, 0), (1.0, 1)])
def test_half_a_second_is_enough_for_a_try(seconds: float, tries: int) -> None:
    outbound = FakeOutbound()
    assert send(outbound, seconds) is bool(tries)
    assert len(outbound.bus.sent) == tries


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        ("InternalFailure", "not now (InternalFailure from PutEvents)"),
        (Refusal("ValidationException", "no"), "no (ValidationException from PutEvents)"),
    ],
)
def test_what_can_not_be_sent_is_logged_with_the_words_of_eventbridge(refusal: Any, text: str) -> None:
    outbound = FakeOutbound()
    outbound.bus.refusals = [refusal] * 99
    send(outbound)
    assert outbound.errors() == [f"The event could not be sent: {text}"]


def test_an_entry_that_is_refused_without_a_word_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    outbound = FakeOutbound()
    monkeypatch.setattr(outbound.bus, "call", lambda *_: {"FailedEntryCount": 1, "Entries": [{}]})
    assert send(outbound) is False
    assert outbound.errors() == ["The event could not be sent:  ( from PutEvents)"]


def test_a_text_is_cut_only_when_it_is_longer_than_4000_characters() -> None:
    assert [len(events.cut("x" * length)) for length in (3999, 4000, 4001)] == [3999, 4000, 4001]
    assert events.cut("x" * 4001) == "x" * 4000 + "…"


def test_what_the_api_leaves_out_is_left_out() -> None:
    assert events.job_fields(read_job({}, ARN)) == {
        "jobName": ARN.rpartition("/")[2],
        "datasetExportJobArn": ARN,
    }
