"""A request is read leniently: whatever arrives, there is something to answer."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk_personalize_export.handler.cloudformation import Request, may_answer, read_request, secrets_in
from cdk_personalize_export.handler.properties import LONGEST_WAIT_SECONDS, read_export
from tests.unit.handler.world import EVENTS, SIGNATURE, START, event

NOW = START + 100
URL = "https://bucket.s3.amazonaws.com/answer?X-Amz-Date=20260102T030405Z&X-Amz-Signature=" + SIGNATURE
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def read(name: str = "create", url: str = URL, **properties: Any) -> Request:
    return read_request(event(name, url, **properties), NOW)


@pytest.mark.parametrize(
    "path", sorted(set(EVENTS.glob("*.json")) - {EVENTS / "tick.json"}), ids=lambda path: path.stem
)
def test_every_recorded_event_is_understood(path: Any) -> None:
    request = read_request(json.loads(path.read_text()), NOW)
    assert request.kind in {"Create", "Update", "Delete"}
    assert request.stack_id.startswith("arn:aws:cloudformation:")
    assert request.progress.deadline == START + 3360
    assert read_export(request.stack_id, request.properties).dataset_arn.endswith("/INTERACTIONS")
    assert may_answer(request.response_url)


def test_the_deadline_counts_from_the_signature_of_the_url() -> None:
    assert (read().requested_at, read(MaxWaitSeconds="60").progress.deadline) == (START, START + 60)


@pytest.mark.parametrize("url", ["https://host/answer", "https://host/answer?X-Amz-Date=yesterday"])
def test_an_unsigned_request_counts_from_its_first_invocation(url: str) -> None:
    request = read(url=url, MaxWaitSeconds="60")
    assert (request.requested_at, request.progress.deadline) == (NOW, NOW + 60)


def test_a_hand_over_of_an_unsigned_request_keeps_the_first_time() -> None:
    handed = {**event("hand-over", "https://host/answer"), "HandOver": {"Deadline": START + 3360}}
    request = read_request(handed, NOW)
    assert (request.requested_at, request.progress.deadline) == (START, START + 3360)


def test_a_hand_over_says_when_the_request_was_made_as_cloudformation_had_told_its_age() -> None:
    handed = {**event("hand-over", URL), "HandOver": {"Deadline": START + 3300}}
    request = read_request(handed, NOW)
    assert (request.requested_at, request.progress.deadline) == (START - 60, START + 3300)


def test_nobody_waits_longer_than_cloudformation_listens() -> None:
    assert read(MaxWaitSeconds="999999").progress.deadline == START + LONGEST_WAIT_SECONDS


@given(JSON, JSON, JSON, st.text())
def test_no_event_is_too_strange_to_be_read(properties: object, hand_over: object, name: object, url: str) -> None:
    strange = {"ResourceProperties": properties, "HandOver": hand_over, "LogicalResourceId": name, "ResponseURL": url}
    assert read_request(strange, NOW).logical_id == ("" if name is None else str(name))
    assert read_request(properties, NOW).progress.deadline >= NOW or isinstance(properties, Mapping)


@given(JSON)
def test_no_hand_over_is_too_strange_to_be_read(hand_over: object) -> None:
    assert isinstance(read_request({"HandOver": {"Deadline": hand_over}}, NOW).progress.deadline, float)


@pytest.mark.parametrize("number", [10**400, float("nan"), float("inf"), True, "soon", [], None])
def test_a_deadline_that_is_no_time_is_no_deadline(number: object) -> None:
    handed = {**event("hand-over", URL), "HandOver": {"Deadline": number, "RefusedSince": number, "Started": number}}
    progress = read_request(json.loads(json.dumps(handed)), NOW).progress
    assert progress.deadline in {START + LONGEST_WAIT_SECONDS, 1.0}
    assert progress.started in {"", "soon"}


@pytest.mark.parametrize("digits", [10, 5000])
def test_a_wait_of_a_thousand_digits_is_no_wait(digits: int) -> None:
    for number in ("9" * digits, "0" * digits + "1"):
        assert read(MaxWaitSeconds=number).progress.deadline == START + LONGEST_WAIT_SECONDS


def test_a_signature_from_the_future_is_of_now() -> None:
    """Clocks differ; what has not happened yet has happened now."""
    request = read(url=URL.replace("20260102T0304", "20260102T0404"))
    assert (request.requested_at, request.progress.deadline) == (NOW, NOW + LONGEST_WAIT_SECONDS)


def test_no_hand_over_reaches_further_than_cloudformation_listens_or_into_the_future() -> None:
    hand_over = {"Deadline": NOW + 1e6, "RefusedSince": NOW + 1e6}
    progress = read_request({**event("hand-over", URL), "HandOver": hand_over}, NOW).progress
    assert (progress.deadline, progress.refused_since) == (NOW + LONGEST_WAIT_SECONDS, NOW)


def test_the_url_shows_in_no_representation() -> None:
    assert SIGNATURE not in repr(read())
    assert "s3.amazonaws.com" not in str(read())


AWS = "cloudformation-custom-resource-response-useast1.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("url", "endpoint", "allowed"),
    [
        (f"https://{AWS}/x?y", "", True),
        (f"https://{AWS}.cn/x?y", "", True),
        (f"https://{AWS}/x?y", "https://vpce.example.com", True),
        (f"http://{AWS}/x", "", False),
        ("https://example.com/x", "", False),
        ("https://amazonaws.com.example.com/x", "", False),
        ("https://notamazonaws.com/x", "", False),
        (f"https://example.com#@{AWS}/x", "", False),
        (f"https://{AWS}@example.com/x", "", False),
        ("https://a..amazonaws.com/", "", False),
        (f"https://{'a' * 64}.amazonaws.com/", "", False),
        ("https://a..b/", "https://a..b", False),
        ("http://127.0.0.1:4566/x", "", False),
        ("http://127.0.0.1:4566/x", "http://127.0.0.1:4566", True),
        ("http://localhost:4566/x", "http://127.0.0.1:4566", True),
        ("http://[::1]:4566/x", "http://localhost:4566", True),
        ("http://local-aws.test/x", "http://localhost:4566", True),
        ("http://local-aws.test/x", "http://local-aws.test:4566", True),
        ("https://local-aws.test/x", "http://local-aws.test:4566", True),
        ("http://example.com/x", "http://local-aws.test:4566", False),
        ("http://127.0.0.1@example.com/x", "http://127.0.0.1.example.com", False),
        ("ftp://localhost/x", "http://localhost", False),
        ("https:///x", "http://localhost", False),
        ("https://host:0/x", "http://localhost", False),
        ("https://host:port/x", "http://localhost", False),
        ("http://[::1/x", "http://localhost", False),
        ("https://host/with space", "http://localhost", False),
        ("https://host/ü", "http://localhost", False),
        ("", "http://localhost", False),
        (f"https://{AWS}/x", "http://[::1", False),
    ],
)
def test_answers_go_to_aws_or_to_where_aws_is_played(url: str, endpoint: str, allowed: bool) -> None:  # noqa: FBT001
    assert may_answer(url, endpoint) is allowed


def test_a_token_with_equals_signs_in_it_is_a_secret_as_a_whole() -> None:
    assert "IQoJb3JpZ2luX2VjEA==" in secrets_in("https://host/x?X-Amz-Security-Token=IQoJb3JpZ2luX2VjEA==")


@pytest.mark.parametrize(("length", "secret"), [(15, False), (16, True)])
def test_a_value_counts_as_a_secret_from_16_characters_on(length: int, secret: bool) -> None:  # noqa: FBT001
    assert ("s" * length in secrets_in(f"https://host/x?token={'s' * length}")) is secret


def test_every_long_part_of_the_signature_counts_as_a_secret() -> None:
    url = (
        f"https://host/x?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2Fregion&X-Amz-Signature={SIGNATURE}&X-Amz-Expires=7200"
    )
    secrets = secrets_in(url)
    query = url.partition("?")[2]
    assert secrets == [url, query, SIGNATURE, "AKIAIOSFODNN7EXAMPLE%2Fregion", "AKIAIOSFODNN7EXAMPLE/region"]
    assert secrets_in("http://[broken-address") == ["http://[broken-address"]
