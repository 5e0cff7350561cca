"""Requests are read leniently and checked strictly."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from request import (
    LONGEST_WAIT_SECONDS,
    MalformedError,
    Request,
    checked,
    may_answer,
    read_export,
    read_request,
    secrets_in,
)

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


def export(**properties: Any) -> Any:
    return read_export(read(**properties))


@pytest.mark.parametrize("path", sorted(EVENTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_recorded_event_is_understood(path: Any) -> None:
    request = read_request(json.loads(path.read_text()), NOW)
    assert request.kind in {"Create", "Update", "Delete"}
    assert request.stack_id.startswith("arn:aws:cloudformation:")
    assert request.deadline == START + 3360
    if not request.is_link:
        assert read_export(request).dataset_arn.endswith("/INTERACTIONS")
    assert may_answer(request.response_url)


def test_missing_optional_properties_have_defaults_and_unknown_ones_are_ignored() -> None:
    found = read_export(read("minimal", Unheard="of"))
    assert (found.ingestion_mode, found.kms_key_arn, found.tags, found.wait, found.more_links) == (
        "ALL",
        "",
        [],
        True,
        False,
    )


def test_role_tags_and_waiting_times_leave_the_identity_alone() -> None:
    other = export(RoleArn="arn:aws:iam::123456789012:role/new", Tags=[{"Key": "a", "Value": "b"}], MaxWaitSeconds="60")
    assert other.physical_id == export().physical_id == "Shop-Interactions-5mkvufcohj6i"


@pytest.mark.parametrize(
    "change",
    [
        {"DatasetArn": "arn:aws:personalize:us-east-1:123456789012:dataset/shop/ITEMS"},
        {"IngestionMode": "PUT"},
        {"Bucket": "other"},
        {"Prefix": "other/"},
        {"KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k"},
        {"Generation": "2"},
        {"JobNamePrefix": "Other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_shapes_the_export_changes_its_identity(change: dict[str, str]) -> None:
    assert export(**change).physical_id != export().physical_id


@pytest.mark.parametrize(
    ("property_name", "value", "text"),
    [
        (
            "JobNamePrefix",
            "-x",
            "JobNamePrefix is '-x'. Allowed: 1 to 45 of a-z A-Z 0-9 _ -, not - or _ first. Fix: set job_name_prefix.",
        ),
        ("JobNamePrefix", "x" * 46, f"JobNamePrefix is '{'x' * 46}'. Allowed: 1 to 45"),
        ("JobNamePrefix", None, "JobNamePrefix is ''."),
        ("DatasetArn", None, "DatasetArn is ''. Allowed: the ARN of a dataset. Fix: pass its attr_dataset_arn."),
        ("DatasetArn", "shop/ITEMS", "DatasetArn is 'shop/ITEMS'."),
        ("IngestionMode", "SOME", "IngestionMode is 'SOME'. Allowed: ALL, PUT, BULK. Fix: use an IngestionMode."),
        (
            "RoleArn",
            None,
            "RoleArn is ''. Allowed: the ARN of the role Personalize writes with. Fix: pass a destination with a role.",
        ),
        ("Bucket", None, "Bucket is ''. Allowed: the name of a bucket. Fix: pass an ExportDestination."),
        ("Bucket", "exports/shop", "Bucket is 'exports/shop'."),
        (
            "Prefix",
            "shop",
            "Prefix is 'shop'. Allowed: nothing, or what ends with /. Fix: pass an ExportDestination.",
        ),
        (
            "Bucket",
            "b" * 245,
            (
                f"s3://{'b' * 245}/shop/ has 256 characters. Allowed: 220, as the job name is added and Personalize "
                "takes 256. Fix: shorten Prefix."
            ),
        ),
        ("MaxWaitSeconds", "0", "MaxWaitSeconds is '0'. Allowed: whole seconds, 1 or more. Fix: set max_wait."),
        ("MaxWaitSeconds", "soon", "MaxWaitSeconds is 'soon'."),
        ("Wait", "maybe", "Wait is 'maybe'. Allowed: true, false. Fix: set wait to True or False."),
        ("MoreLinks", "1", "MoreLinks is '1'. Allowed: true, false. Fix: leave it to the construct."),
        ("Tags", [{"Name": "a"}], 'Tags is no list of {"Key", "Value"}. Allowed: such a list. Fix: set tags.'),
        ("Tags", 7, "Tags is no list of"),
    ],
)
def test_a_property_that_can_not_work_is_named_with_what_is_allowed(
    property_name: str, value: object, text: str
) -> None:
    with pytest.raises(MalformedError, match=f"^{re.escape(text)}"):
        export(**{property_name: value})


def test_the_longest_names_still_fit_the_output_path() -> None:
    bucket = "b" * (237 - 45 - 6)
    found = export(JobNamePrefix="p" * 45, Bucket=bucket, Prefix=None)
    assert len(found.output_path(f"{found.physical_id}-9999")) == 256
    with pytest.raises(MalformedError, match=r"s3://bb+/ has 193 characters\. Allowed: 192"):
        export(JobNamePrefix="p" * 45, Bucket=bucket + "b", Prefix=None)


def test_a_link_needs_a_job() -> None:
    with pytest.raises(
        MalformedError, match=r"JobArn is ''\. Allowed: the ARN of an export job\. Fix: pass DatasetExportJobArn"
    ):
        checked(read("link", JobArn=None), "JobArn")


def test_the_deadline_counts_from_the_signature_of_the_url() -> None:
    assert (read().requested_at, read(MaxWaitSeconds="60").deadline) == (START, START + 60)


@pytest.mark.parametrize("url", ["https://host/answer", "https://host/answer?X-Amz-Date=yesterday"])
def test_an_unsigned_request_counts_from_its_first_invocation(url: str) -> None:
    request = read(url=url, MaxWaitSeconds="60")
    assert (request.requested_at, request.deadline) == (NOW, NOW + 60)


def test_a_hand_over_of_an_unsigned_request_keeps_the_first_time() -> None:
    handed = {**event("hand-over", "https://host/answer"), "HandOver": {"Deadline": START + 3360}}
    request = read_request(handed, NOW)
    assert (request.requested_at, request.deadline) == (START, START + 3360)


def test_the_signature_says_when_a_request_was_made_whatever_deadline_is_carried_along() -> None:
    handed = {**event("hand-over", URL), "HandOver": {"Deadline": START + 100}}
    request = read_request(handed, NOW)
    assert (request.requested_at, request.deadline) == (START, START + 100)


def test_nobody_waits_longer_than_cloudformation_listens() -> None:
    assert read(MaxWaitSeconds="999999").deadline == START + LONGEST_WAIT_SECONDS


@given(JSON, JSON, JSON, st.text())
def test_no_event_is_too_strange_to_be_read(properties: object, luggage: object, name: object, url: str) -> None:
    strange = {"ResourceProperties": properties, "HandOver": luggage, "LogicalResourceId": name, "ResponseURL": url}
    assert read_request(strange, NOW).logical_id == ("" if name is None else str(name))
    assert read_request(properties, NOW).deadline >= NOW or isinstance(properties, Mapping)


@given(JSON)
def test_no_hand_over_is_too_strange_to_be_read(luggage: object) -> None:
    assert isinstance(read_request({"HandOver": {"Deadline": luggage}}, NOW).deadline, float)


def test_the_url_shows_in_no_representation() -> None:
    assert SIGNATURE not in repr(read())
    assert "s3.amazonaws.com" not in str(read())


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://bucket.s3.amazonaws.com/x?y", True),
        ("http://127.0.0.1:4566/x", True),
        ("http://localhost:4566/x", True),
        ("http://[::1]:4566/x", True),
        ("http://example.com/x", False),
        ("http://localhost.example.com/x", False),
        ("http://127.0.0.1@example.com/x", False),
        ("ftp://localhost/x", False),
        ("https:///x", False),
        ("https://host:0/x", False),
        ("https://host:port/x", False),
        ("http://[::1/x", False),
        ("https://host/with space", False),
        ("https://host/ü", False),
        ("", False),
    ],
)
def test_answers_go_out_over_https_or_stay_on_this_machine(url: str, allowed: bool) -> None:  # noqa: FBT001
    assert may_answer(url) is allowed


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
