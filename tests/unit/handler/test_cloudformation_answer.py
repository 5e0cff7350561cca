"""Answers fit CloudFormation's limit, lead with the reason, and are delivered."""

import json
from http.client import HTTPException
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk_personalize_export.handler import cloudformation
from cdk_personalize_export.handler.cloudformation import (
    FAILED,
    LIMIT_BYTES,
    SUCCESS,
    Answer,
    Exchange,
    NotDeliveredError,
    encode,
    read_request,
    secrets_in,
)
from cdk_personalize_export.handler.invocation import Invocation
from cdk_personalize_export.handler.log import Log
from cdk_personalize_export.handler.waiting import Demand, TimeBudget
from tests.unit.handler import world
from tests.unit.handler.world import SIGNATURE, FakeOutbound, event

URL = f"http://127.0.0.1:1/answer?X-Amz-Signature={SIGNATURE}"
REQUEST = read_request(event("create", URL), 0)
LOG = "/aws/lambda/export, stream 2026/01/02/[$LATEST]0123456789abcdef"
JOB = "arn:aws:personalize:us-east-1:123456789012:dataset-export-job/Shop-Interactions-i6ny2thb662y"
TAIL = f" (job: {JOB}; log: {LOG})"
TEXT = st.text(st.characters(exclude_categories=[]))  # every category: control, astral, and lone surrogates too
LONG_TEXT = st.builds(lambda text, times: text * times, TEXT, st.integers(0, 3000))


def reason_of(body: bytes) -> str:
    return str(json.loads(body)["Reason"])


def deliver(outbound: FakeOutbound, url: str, *, seconds: float = 900, answer: Answer | None = None) -> None:
    invocation = Invocation({}, world.Context(outbound, seconds), outbound)
    log = Log(outbound, {"requestId": "r", "logicalId": "l"}, secrets_in(URL))
    budget = TimeBudget(outbound, log, invocation.remaining, 0, Demand(0))
    exchange = Exchange(REQUEST._replace(response_url=url), invocation, log, budget)
    cloudformation.deliver(answer or Answer(SUCCESS, "id", data={}), exchange)


@given(LONG_TEXT)
def test_no_reason_makes_the_body_too_large_or_loses_the_job_and_the_log(reason: str) -> None:
    body = encode(REQUEST, Answer(FAILED, "id", reason, JOB), LOG)
    assert len(body) <= LIMIT_BYTES
    shown = reason_of(body)
    assert shown.endswith(TAIL)
    whole = reason.encode("utf-8", "replace").decode()
    head = shown.removesuffix(TAIL)
    assert head == whole or (head.endswith("…") and whole.startswith(head[:-1]))


@given(st.integers(1, 5000), st.sampled_from(["é", "😀", "\x00", '"', "\ud800", "\n"]))
def test_a_cut_reason_is_as_long_as_possible_and_ends_between_characters(count: int, character: str) -> None:
    body = encode(REQUEST, Answer(FAILED, "id", character * count, JOB), LOG)
    shown = reason_of(body).removesuffix(TAIL)
    if shown.endswith("…"):
        assert len(body) > LIMIT_BYTES - 8
        assert set(shown[:-1]) == {character.encode("utf-8", "replace").decode()}


def test_a_reason_is_cut_only_when_the_body_would_be_over_4096_bytes() -> None:
    room = 4096 - len(encode(REQUEST, Answer(FAILED, "id", "", JOB), LOG))
    whole = encode(REQUEST, Answer(FAILED, "id", "x" * room, JOB), LOG)
    assert (len(whole), reason_of(whole)) == (4096, "x" * room + TAIL)
    cut = encode(REQUEST, Answer(FAILED, "id", "x" * (room + 1), JOB), LOG)
    assert (len(cut), reason_of(cut)) == (4096, "x" * (room - 3) + "…" + TAIL)


def test_a_reason_with_room_for_one_character_keeps_it() -> None:
    log = "l" * (4096 - len(encode(REQUEST, Answer(FAILED, "id", "", JOB), "")) - len("x…".encode()))
    body = encode(REQUEST, Answer(FAILED, "id", "xyzzy", JOB), log)
    assert reason_of(body) == f"x… (job: {JOB}; log: {log})"


def test_a_log_name_that_leaves_no_room_for_a_reason_is_cut_itself() -> None:
    body = encode(REQUEST, Answer(FAILED, "id", "no", JOB), "l" * 5000)
    assert len(body) == 4096
    assert reason_of(body).startswith(f" (job: {JOB}; log: lll")
    assert reason_of(body).endswith("lll…")


@given(LONG_TEXT, LONG_TEXT)
def test_a_monstrous_log_name_still_leaves_a_body_that_fits(reason: str, log: str) -> None:
    assert len(encode(REQUEST, Answer(FAILED, "id", reason, JOB), log)) <= LIMIT_BYTES


def test_a_reason_without_a_job_names_the_log() -> None:
    assert reason_of(encode(REQUEST, Answer(FAILED, "id", "no"), LOG)) == f"no (log: {LOG})"


@given(st.dictionaries(st.sampled_from(["FailureReason", "KmsKeyArn", "OutputPath"]), LONG_TEXT))
def test_no_attribute_makes_the_body_too_large(data: dict[str, str]) -> None:
    body = encode(REQUEST, Answer(SUCCESS, "id", data=data), LOG)
    assert len(body) <= LIMIT_BYTES
    assert json.loads(body)["Data"].keys() == data.keys()


@pytest.mark.parametrize("name", ["DatasetArn", "KmsKeyArn"])
def test_the_failure_reason_is_cut_before_any_other_attribute(name: str) -> None:
    data = {name: "k" * 2600, "FailureReason": "f" * 1500}
    shown = json.loads(encode(REQUEST, Answer(SUCCESS, "id", data=data), LOG))["Data"]
    assert shown[name] == data[name]
    assert shown["FailureReason"].endswith("f…")


@pytest.mark.parametrize("names", [("DatasetArn", "OutputPath"), ("OutputPath", "DatasetArn")])
def test_the_longest_attribute_is_cut_before_the_short_ones(names: tuple[str, str]) -> None:
    long, short = names
    data = {short: "s" * 100, long: "l" * 5000}
    shown = json.loads(encode(REQUEST, Answer(SUCCESS, "id", data=data), LOG))["Data"]
    assert shown[short] == data[short]
    assert shown[long].endswith("l…")


def test_the_body_wastes_no_byte_on_spaces_and_escapes() -> None:
    body = encode(REQUEST, Answer(SUCCESS, "id", data={"OutputPath": "é", "Status": "ACTIVE"}), LOG)
    assert body.startswith(b'{"Status":"SUCCESS","PhysicalResourceId":"id","StackId":"arn:')
    assert body.endswith(',"Data":{"OutputPath":"é","Status":"ACTIVE"}}'.encode())


def test_a_success_says_just_what_cloudformation_asks_for() -> None:
    assert json.loads(encode(REQUEST, Answer(SUCCESS, "id", data={"Status": "ACTIVE"}), LOG)) == {
        "Status": "SUCCESS",
        "PhysicalResourceId": "id",
        "StackId": REQUEST.stack_id,
        "RequestId": REQUEST.request_id,
        "LogicalResourceId": "InteractionsExport",
        "Data": {"Status": "ACTIVE"},
    }


def test_the_put_carries_no_content_type_and_the_url_as_it_was_signed(
    outbound: FakeOutbound, server: world.AnswerServer
) -> None:
    deliver(outbound, server.url)
    headers = {name.lower(): value for name, value in server.headers[0].items()}
    assert headers["content-type"] == ""
    assert headers["content-length"] == str(len(server.bodies[0]))
    assert server.url.endswith(server.targets[0])
    assert "%3A" in server.targets[0]


@pytest.mark.parametrize("status", [0, 408, 429, 500, 503])
def test_a_put_that_failed_in_passing_is_repeated(
    outbound: FakeOutbound, server: world.AnswerServer, status: int
) -> None:
    server.statuses = [status, status]
    deliver(outbound, server.url)
    assert len(server.targets) == 3
    assert len(server.bodies) == 1
    assert outbound.sleeps == [0.75, 1.5]


@pytest.mark.parametrize("status", [300, 301, 400, 403, 499])
def test_a_request_that_is_over_ends_quietly_after_one_more_try(
    outbound: FakeOutbound, server: world.AnswerServer, status: int
) -> None:
    server.statuses = [status] * 5
    deliver(outbound, server.url)
    assert len(server.targets) == 2
    assert outbound.errors() == [f"CloudFormation takes no answer any more, the request is over: HTTP {status}"]


def test_a_hiccup_of_the_presigned_url_is_survived(outbound: FakeOutbound, server: world.AnswerServer) -> None:
    server.statuses = [403]
    deliver(outbound, server.url)
    assert server.answer["Status"] == "SUCCESS"


def test_an_answer_nobody_takes_makes_lambda_run_the_request_again(outbound: FakeOutbound) -> None:
    with pytest.raises(NotDeliveredError, match=r"^CloudFormation did not take the answer: ConnectionRefusedError$"):
        deliver(outbound, URL)
    assert outbound.sleeps == [0.75, 1.5, 3, 6, 11.25, 11.25, 11.25, 11.25, 11.25]
    assert outbound.errors() == ["The answer did not arrive, so Lambda runs the request again: ConnectionRefusedError"]


def test_the_put_gives_up_before_the_invocation_ends(outbound: FakeOutbound, server: world.AnswerServer) -> None:
    server.statuses = [500] * 99
    with pytest.raises(NotDeliveredError, match="HTTP 500"):
        deliver(outbound, server.url, seconds=4.25)
    assert outbound.sleeps == [0.75, 1.5]  # two seconds are left to end in


@pytest.mark.parametrize(("seconds", "timeout"), [(900, 10), (8, 6), (2.5, 1)])
def test_a_put_waits_10_seconds_or_what_is_left_of_the_invocation(seconds: float, timeout: float) -> None:
    timeouts = []

    class Watched(FakeOutbound):
        def put(self, url: str, body: bytes, timeout: float) -> int:
            del url, body
            timeouts.append(timeout)
            return 200

    deliver(Watched(), URL, seconds=seconds)
    assert timeouts == [timeout]


def test_an_exception_that_holds_the_url_is_told_by_its_type_only() -> None:
    class Leaky(FakeOutbound):
        def put(self, url: str, *_: object) -> int:
            raise HTTPException(f"can not send to {url}")

    leaky = Leaky()
    with pytest.raises(NotDeliveredError) as raised:
        deliver(leaky, URL)
    everything: list[Any] = [str(raised.value), leaky.lines]
    assert SIGNATURE not in json.dumps(everything)


def test_a_reason_that_holds_the_url_is_blanked(outbound: FakeOutbound, server: world.AnswerServer) -> None:
    deliver(outbound, server.url, answer=Answer(FAILED, "id", f"no route to {URL}, signature {SIGNATURE}"))
    assert server.answer["Reason"] == f"no route to [hidden], signature [hidden] (log: {LOG})"
