"""Failures on order, settings from the environment, and the record of calls."""

from __future__ import annotations

from typing import Any

import pytest

from personalize_local.service import Caller, Fault, Settings
from personalize_local.service.settings import faults_from_json


def test_call_fails_as_often_as_told(new_world: Any) -> None:
    world = new_world(Fault("CreateDatasetExportJob", error="ThrottlingException", message="Rate exceeded", times=2))
    dataset = world.dataset()
    for _ in range(2):
        refused = world.refusal("CreateDatasetExportJob", **world.export_request(dataset))
        assert (refused.code, refused.message, refused.status) == ("ThrottlingException", "Rate exceeded", 400)
    assert world.start_export(dataset)


def test_fault_lets_some_calls_pass_first(new_world: Any) -> None:
    world = new_world(Fault("ListSchemas", error="InternalServerException", message="oops", after=1))
    world.call("ListSchemas")
    refused = world.refusal("ListSchemas")
    assert (refused.code, refused.status) == ("InternalServerException", 500)
    world.call("ListSchemas")


def test_fault_strikes_only_where_it_matches(new_world: Any) -> None:
    world = new_world(Fault("CreateDatasetGroup", match="^bad", error="LimitExceededException", times=0))
    world.group("good-bad")
    for _ in range(3):
        assert world.refusal("CreateDatasetGroup", name="bad-good").code == "LimitExceededException"


def test_fault_without_a_code_is_an_internal_failure(new_world: Any) -> None:
    world = new_world(Fault("ListSchemas"))
    assert (world.refusal("ListSchemas").code, world.calls[-1].outcome) == ("InternalFailure",) * 2


def test_fault_of_the_events_api_has_its_status(new_world: Any) -> None:
    world = new_world(Fault("PutItems", error="ResourceInUseException"))
    assert world.refusal("PutItems").status == 409


def test_job_fails_with_the_given_reason(new_world: Any) -> None:
    world = new_world(Fault("Job", match="nightly", message="No space left on the moon", after=1))
    dataset = world.dataset()
    arns = [world.start_export(dataset, name) for name in ("daily", "nightly-1", "nightly-2", "nightly-3")]
    world.wait()
    jobs = [world.export_job(arn) for arn in arns]
    assert [job["status"] for job in jobs] == ["ACTIVE", "ACTIVE", "CREATE FAILED", "ACTIVE"]
    assert jobs[2]["failureReason"] == "No space left on the moon"
    assert not [key for key in world.bucket.objects if "nightly-2" in key]


def test_job_matches_by_dataset_too(new_world: Any) -> None:
    world = new_world(Fault("Job", match="INTERACTIONS$", error="Boom"))
    arn = world.start_export(world.dataset())
    world.wait()
    assert world.export_job(arn)["failureReason"] == "Boom"


@pytest.mark.parametrize("operation", ["Job", "CreateDatasetExportJob"])
def test_job_lasts_as_long_as_told(new_world: Any, operation: str) -> None:
    world = new_world(Fault(operation, seconds=100))
    arn = world.start_export(world.dataset())
    world.now += 99
    assert world.export_job(arn)["status"] == "CREATE IN_PROGRESS"
    world.now += 1
    assert world.export_job(arn)["status"] == "ACTIVE"


def test_job_may_last_and_fail(new_world: Any) -> None:
    world = new_world(Fault("Job", message="late", seconds=100))
    arn = world.start_export(world.dataset())
    world.now += 99
    assert world.export_job(arn)["status"] == "CREATE IN_PROGRESS"
    world.now += 1
    assert world.export_job(arn)["failureReason"] == "late"


def test_import_may_last_too(new_world: Any) -> None:
    world = new_world(Fault("CreateDatasetImportJob", seconds=100), Fault("Job", message="only exports"))
    arn = world.start_import(world.dataset(), "s3://source/none")
    world.now += 99
    job = world.call("DescribeDatasetImportJob", datasetImportJobArn=arn)["datasetImportJob"]
    assert job["status"] == "CREATE IN_PROGRESS"


def test_faults_can_be_changed_while_it_runs(world: Any) -> None:
    fault = Fault("ListSchemas", error="A")
    world.service.faults.append(fault)
    assert world.refusal("ListSchemas").code == "A"
    world.call("ListSchemas")
    world.service.faults = [fault]
    assert world.refusal("ListSchemas").code == "A"
    world.service.faults.clear()
    world.call("ListSchemas")


def test_every_call_is_recorded(world: Any) -> None:
    other = Caller("111111111111", "eu-west-1", arn="arn:aws:iam::111111111111:user/me")
    world.call("ListSchemas", other)
    world.refusal("DescribeSchema", schemaArn="x")
    assert [tuple(call) for call in world.calls] == [
        ("ListSchemas", {}, other, "ok"),
        ("DescribeSchema", {"schemaArn": "x"}, world.caller, "InvalidInputException"),
    ]


def test_settings_come_from_the_environment() -> None:
    environment = {
        "PERSONALIZE_LOCAL_JOB_SECONDS": "2.5",
        "PERSONALIZE_LOCAL_CONCURRENT_JOBS": "1",
        "PERSONALIZE_LOCAL_FAULTS": '[{"operation": "Job", "message": "no", "times": 0, "seconds": 3}]',
        "PERSONALIZE_LOCAL_RESOURCE_SECONDS": "",
        "HOME": "/",
    }
    assert Settings.from_environment(environment) == Settings(
        job_seconds=2.5, concurrent_jobs=1, faults=(Fault("Job", message="no", times=0, seconds=3),)
    )
    assert Settings.from_environment({}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("JOB_SECONDS", "soon", "PERSONALIZE_LOCAL_JOB_SECONDS: could not convert string to float: 'soon'"),
        ("CONCURRENT_JOBS", "1.5", "PERSONALIZE_LOCAL_CONCURRENT_JOBS: invalid literal for int()"),
        ("JOB_SECONDS", "-1", "PERSONALIZE_LOCAL_JOB_SECONDS: must be a number, 0 or more"),
        ("RESOURCE_SECONDS", "nan", "PERSONALIZE_LOCAL_RESOURCE_SECONDS: must be a number, 0 or more"),
        ("CONCURRENT_JOBS", "0", "PERSONALIZE_LOCAL_CONCURRENT_JOBS: must be a whole number, 1 or more"),
        ("MINIMUM_INTERACTIONS", "-1", "PERSONALIZE_LOCAL_MINIMUM_INTERACTIONS: must be a whole number, 0 or more"),
        ("FAULTS", "{}", "PERSONALIZE_LOCAL_FAULTS: expected a JSON list of faults"),
        ("FAULTS", "[", "PERSONALIZE_LOCAL_FAULTS: Expecting value"),
    ],
)
def test_setting_that_can_not_be_read_is_named(name: str, value: str, text: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text is compared below
        Settings.from_environment({f"PERSONALIZE_LOCAL_{name}": value})
    assert str(refused.value).startswith(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1]", "fault: expected an object with an operation, got 1"),
        ("[{}]", "fault: expected an object with an operation, got {}"),
        ('[{"operation": "Job", "when": 1}]', "fault: unknown field when"),
        ('[{"operation": 1}]', "fault: operation must be a string, got 1"),
        ('[{"operation": "Job", "times": -1}]', "fault: times must be a whole number, 0 or more, got -1"),
        ('[{"operation": "Job", "after": true}]', "fault: after must be a whole number, 0 or more, got True"),
        ('[{"operation": "Job", "seconds": "1"}]', "fault: seconds must be a number, 0 or more, got '1'"),
        ('[{"operation": "Job", "match": "("}]', "fault: match is not a regular expression: '('"),
    ],
)
def test_fault_that_can_not_be_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text is compared below
        faults_from_json(text)
    assert str(refused.value).startswith(reason)
