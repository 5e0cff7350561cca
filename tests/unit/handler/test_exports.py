"""What the handler does on each event of CloudFormation, from the event to the answer it gets."""

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import NoCredentialsError

from cdk_personalize_export.handler import index
from cdk_personalize_export.handler.cloudformation import handle
from cdk_personalize_export.handler.exports import Progress, read_progress, retry_seconds
from cdk_personalize_export.handler.invocation import Invocation
from tests.unit.handler.world import (
    FUNCTION,
    SIGNATURE,
    START,
    AnswerServer,
    Context,
    FakeOutbound,
    Refusal,
    event,
    run,
)

ID = "Shop-Interactions-i6ny2thb662y"
BULK_ID = "Shop-Interactions-mifxhimenhhv"
ARN = f"arn:aws:personalize:us-east-1:123456789012:dataset-export-job/{ID}"
CREATE, DESCRIBE = "CreateDatasetExportJob", "DescribeDatasetExportJob"
LOG = "log: /aws/lambda/export, stream 2026/01/02/[$LATEST]0123456789abcdef"
RUNS_ON = (
    "it runs on in Amazon Personalize, which can not stop a job. Deploying again joins it after a failed update, or "
    "after a deployment with --no-rollback. After a failed first deployment CloudFormation removes the stack: it waits "
    "up to 56 min more for the job, and then takes its role away, without which the job fails; a new stack is a new "
    "identity that starts a new job: raise max_wait first."
)
TOO_LATE = "the request reached the function too late"
OURS: dict[str, Any] = {
    "datasetArn": "arn:aws:personalize:us-east-1:123456789012:dataset/shop/INTERACTIONS",
    "ingestionMode": "ALL",
    "roleArn": "arn:aws:iam::123456789012:role/export",
    "jobOutput": {"s3DataDestination": {"path": f"s3://exports/shop/{ID}/"}},
}


def test_a_create_starts_one_job_waits_and_tells_its_attributes(outbound: FakeOutbound, server: AnswerServer) -> None:
    assert run(outbound, event("create", server.url)) == 1
    assert outbound.personalize.count(CREATE) == 1
    assert server.answer["Status"] == "SUCCESS"
    assert server.answer["PhysicalResourceId"] == ID
    assert server.answer["Data"] == {
        "JobName": ID,
        "DatasetExportJobArn": ARN,
        "DatasetArn": OURS["datasetArn"],
        "IngestionMode": "ALL",
        "RoleArn": OURS["roleArn"],
        "OutputPath": f"s3://exports/shop/{ID}/",
        "KmsKeyArn": "",
        "Status": "ACTIVE",
        "CreationDateTime": "2026-01-02T03:04:06Z",
        "LastUpdatedDateTime": "2026-01-02T03:05:46Z",
        "FailureReason": "",
    }


def test_a_job_is_asked_for_just_what_the_properties_say(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("create", server.url))
    assert outbound.personalize.calls[:2] == [
        (DESCRIBE, {"datasetExportJobArn": ARN}),
        (CREATE, {"jobName": ID, **OURS}),
    ]


def test_the_event_of_an_earlier_release_still_works(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("minimal", server.url))
    assert server.answer["Data"]["IngestionMode"] == "ALL"


def test_the_same_event_delivered_twice_starts_one_job(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("create", server.url))
    run(outbound, event("create", server.url))
    assert outbound.personalize.count(CREATE) == 1
    assert server.answers[0] == server.answers[1]


def test_an_update_that_changes_the_identity_starts_a_job_under_a_new_id(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, **OURS, created=0)
    run(outbound, event("update", server.url))
    assert server.answer["PhysicalResourceId"] == BULK_ID
    assert list(outbound.personalize.jobs) == [ID, BULK_ID]


def test_a_rolled_back_update_starts_no_second_job(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS, created=0)
    run(outbound, event("rollback", server.url))
    assert server.answer["PhysicalResourceId"] == ID
    assert outbound.personalize.count(CREATE) == 0
    assert outbound.personalize.count(DESCRIBE) == 1
    assert outbound.sleeps == []


@pytest.mark.parametrize("state", ["CREATE PENDING", "UPDATE IN_PROGRESS", "CREATE STOPPING", ""])
def test_a_job_in_a_state_that_will_pass_is_waited_for(
    outbound: FakeOutbound, server: AnswerServer, state: str
) -> None:
    outbound.personalize.running = state
    run(outbound, event("create", server.url))
    assert server.answer["Data"]["Status"] == "ACTIVE"


def test_a_job_that_fails_gives_its_reason_first_then_its_arn_then_the_log(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.reason = "Insufficient privileges for accessing data in S3."
    run(outbound, event("create", server.url))
    assert server.answer["Status"] == "FAILED"
    assert server.answer["Reason"] == f"Insufficient privileges for accessing data in S3. (job: {ARN}; {LOG})"
    assert server.answer["PhysicalResourceId"] == ID
    assert outbound.personalize.count(CREATE) == 1
    assert outbound.errors() == ["Insufficient privileges for accessing data in S3."]


def test_a_job_that_fails_without_a_reason_is_said_to(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.running = "CREATE FAILED"
    run(outbound, event("create", server.url))
    assert server.answer["Reason"].startswith("Personalize gave no reason for CREATE FAILED. (job: ")


def test_a_request_after_a_failure_starts_the_next_attempt(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS, created=START - 1000, reason="no")
    run(outbound, event("create", server.url))
    assert list(outbound.personalize.jobs) == [ID, f"{ID}-2"]
    assert server.answer["PhysicalResourceId"] == ID
    assert server.answer["Data"]["JobName"] == f"{ID}-2"
    assert server.answer["Data"]["OutputPath"] == f"s3://exports/shop/{ID}-2/"


def test_a_failure_within_the_request_is_not_tried_again_by_a_retry(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.reason = "no"
    run(outbound, event("create", server.url))
    run(outbound, event("create", server.url))
    assert outbound.personalize.count(CREATE) == 1
    assert [answer["Status"] for answer in server.answers] == ["FAILED", "FAILED"]


def test_a_job_under_our_name_that_is_not_ours_is_never_adopted(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **{**OURS, "ingestionMode": "PUT"})
    run(outbound, event("create", server.url))
    assert server.answer["Status"] == "FAILED"
    assert server.answer["Reason"] == (
        f"The dataset export job {ID} is not this export: ingestion mode PUT, not ALL. It is left alone. "
        f"Fix: change job_name_prefix or generation. (job: {ARN}; {LOG})"
    )
    assert outbound.personalize.count(CREATE) == 0


def test_a_job_under_our_name_that_shows_up_late_is_never_adopted_either(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, **{**OURS, "ingestionMode": "PUT"})
    outbound.personalize.invisible_seconds = 5
    run(outbound, event("create", server.url))
    assert server.answer["Reason"].startswith(f"The dataset export job {ID} is not this export: ingestion mode PUT")


def test_every_refusal_in_a_row_gets_a_window_of_its_own(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.jobs[ID]["seconds"] = 600
    refused = [Refusal("AccessDeniedException")] * 7  # for 90 s; together they would be too many
    outbound.personalize.refusals[DESCRIBE] = [*refused, None, *refused, None, *refused, None]
    run(outbound, event("create", server.url))
    assert server.answer["Status"] == "SUCCESS"


@pytest.mark.parametrize("lost", [1, 3])
def test_a_create_whose_answer_got_lost_is_joined(outbound: FakeOutbound, server: AnswerServer, lost: int) -> None:
    outbound.personalize.lost[CREATE] = lost
    run(outbound, event("create", server.url))
    assert list(outbound.personalize.jobs) == [ID]
    assert server.answer["Status"] == "SUCCESS"


def test_a_new_job_that_is_not_visible_yet_is_waited_for(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.invisible_seconds = 50
    run(outbound, event("create", server.url))
    assert list(outbound.personalize.jobs) == [ID]
    assert server.answer["Status"] == "SUCCESS"


def test_a_duplicate_that_can_not_see_the_job_yet_joins_it_too(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.invisible_seconds = 50
    run(outbound, event("create", server.url))
    assert list(outbound.personalize.jobs) == [ID]
    assert server.answer["Status"] == "SUCCESS"
    assert outbound.sleeps[:25] == [2] * 25  # and then as every job
    assert outbound.sleeps[25] > 4


def test_a_job_that_never_becomes_visible_is_reported(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.invisible_seconds = 1e6
    run(outbound, event("create", server.url))
    assert server.answer["Reason"] == f"Personalize has not known the job {ARN} for 60 s (job: {ARN}; {LOG})"
    assert outbound.sleeps == [pytest.approx(2.05), *[2] * 30]


@pytest.mark.parametrize(
    "passing",
    [
        Refusal("ThrottlingException", "Rate exceeded"),
        Refusal("LimitExceededException", "More than 5 resources with PENDING or IN_PROGRESS status."),
        Refusal("ResourceInUseException"),
        Refusal("InternalServerError", status=500),
        Refusal("AccessDeniedException", "not authorized to perform: iam:PassRole"),
        Refusal("InvalidInputException", "fix bucket policy on exports"),
        ConnectionResetError(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("operation", [CREATE, DESCRIBE])
def test_errors_that_pass_are_waited_out(
    outbound: FakeOutbound, server: AnswerServer, passing: Exception, operation: str
) -> None:
    outbound.personalize.refusals[operation] = (
        [None, passing, passing, None, passing] if operation == DESCRIBE else [passing] * 3
    )
    run(outbound, event("create", server.url))
    assert server.answer["Status"] == "SUCCESS"
    assert list(outbound.personalize.jobs) == [ID]


def test_a_permission_that_never_comes_is_quoted_word_for_word(outbound: FakeOutbound, server: AnswerServer) -> None:
    text = "User: arn:aws:sts::123456789012:assumed-role/x is not authorized to perform: iam:PassRole"
    outbound.personalize.refusals[CREATE] = [Refusal("AccessDeniedException", text)] * 99
    run(outbound, event("create", server.url))
    assert server.answer["Reason"] == (
        f"{text} (AccessDeniedException from CreateDatasetExportJob); "
        f"tried again for 120 s in case a permission was on its way ({LOG})"
    )
    assert sum(outbound.sleeps) == pytest.approx(120)


def test_a_refusal_after_an_older_failure_does_not_name_the_older_job(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, **OURS, created=START - 1000, reason="an old failure")
    outbound.personalize.refusals[CREATE] = [Refusal("TooManyTagsException", "Too many tags.")]
    run(outbound, event("create", server.url))
    assert server.answer["Reason"] == f"Too many tags. (TooManyTagsException from CreateDatasetExportJob) ({LOG})"


def test_wrong_input_fails_at_once_word_for_word(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("InvalidInputException", "The dataset type is not supported.")]
    run(outbound, event("create", server.url))
    assert server.answer["Reason"] == (
        f"The dataset type is not supported. (InvalidInputException from CreateDatasetExportJob) ({LOG})"
    )
    assert outbound.sleeps == []


def test_a_turn_that_never_comes_is_reported_at_the_deadline(outbound: FakeOutbound, server: AnswerServer) -> None:
    refusal = Refusal("LimitExceededException", "More than 5 resources with PENDING or IN_PROGRESS status.")
    outbound.personalize.refusals[CREATE] = [refusal] * 999
    outbound.personalize.add(ID, **OURS, created=START - 1000, reason="an old failure")
    run(outbound, event("create", server.url, MaxWaitSeconds="600"))
    assert server.answer["Reason"] == (
        "There was no dataset export job to wait for after 10 min: More than 5 resources with PENDING or IN_PROGRESS "
        f"status. (LimitExceededException from CreateDatasetExportJob) ({LOG})"
    )


@pytest.mark.parametrize(("luck", "most"), [(0.0, 50), (0.5, 50), (0.999, 50)])
def test_a_job_of_20_minutes_takes_two_invocations_and_50_looks(
    outbound: FakeOutbound, server: AnswerServer, luck: float, most: int
) -> None:
    outbound.luck, outbound.personalize.seconds = luck, 1200
    assert run(outbound, event("create", server.url)) == 2
    assert outbound.personalize.count(DESCRIBE) <= most
    assert server.answer["Status"] == "SUCCESS"
    assert outbound.time - START < 1200 + 40


def test_an_hour_takes_four_invocations_and_fewer_than_130_looks(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.luck, outbound.personalize.seconds = 0.0, 3600
    assert run(outbound, event("create", server.url)) == 4
    assert outbound.personalize.count(DESCRIBE) < 130
    assert (
        server.answer["Reason"]
        == f"The dataset export job is still CREATE IN_PROGRESS after 56 min; {RUNS_ON} (job: {ARN}; {LOG})"
    )
    assert outbound.time == START + 3360
    assert outbound.personalize.count(CREATE) == 1


@pytest.mark.parametrize(("wait", "waited"), [("119", "119 s"), ("120", "2 min")])
def test_a_wait_is_told_in_minutes_from_two_on(
    outbound: FakeOutbound, server: AnswerServer, wait: str, waited: str
) -> None:
    outbound.personalize.seconds = 999
    run(outbound, event("create", server.url, MaxWaitSeconds=wait))
    runs_on = RUNS_ON.replace("56 min", waited)
    assert server.answer["Reason"] == (
        f"The dataset export job is still CREATE IN_PROGRESS after {waited}; {runs_on} (job: {ARN}; {LOG})"
    )


def test_a_short_job_is_answered_within_5_seconds_of_its_end(server: AnswerServer) -> None:
    for seconds in range(1, 60):
        world = FakeOutbound()
        world.personalize.seconds = seconds
        run(world, event("create", server.url))
        assert world.time - (START + 1 + seconds) < 5


def test_a_function_of_10_seconds_hands_over_and_still_answers(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 100
    assert run(outbound, event("create", server.url), seconds=10) == 15
    assert server.answer["Status"] == "SUCCESS"


def test_the_hand_over_is_the_event_with_the_deadline_and_nothing_else(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.seconds = 2000
    request = event("create", server.url)
    handle(Invocation(request, Context(outbound, 900), outbound))
    assert outbound.invocations == [{**request, "HandOver": {"Deadline": START + 3360, "Started": ID}}]
    assert server.bodies == []
    assert outbound.invoked == [(f"/2015-03-31/functions/{quote(FUNCTION)}/invocations", "Event")]


def test_the_longest_wait_stays_far_from_where_lambda_cuts_a_chain_of_invocations(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.seconds = 99999
    assert run(outbound, event("create", server.url)) == 4
    assert server.answer["Status"] == "FAILED"


def test_a_hand_over_refused_once_is_made_again(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 1000
    outbound.invoke_refusals = [Refusal("TooManyRequestsException", status=429), ConnectionResetError()]
    assert run(outbound, event("create", server.url)) == 2
    assert server.answer["Status"] == "SUCCESS"


def test_a_hand_over_that_can_not_be_made_is_admitted(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 1000
    text = "not authorized to perform: lambda:InvokeFunction"
    outbound.invoke_refusals = [Refusal("AccessDeniedException", text, 403) for _ in range(99)]
    run(outbound, event("create", server.url))
    assert len(outbound.invoke_refusals) == 99 - 5
    assert outbound.sleeps[-5:] == [1, 2, 4, 6, 6]
    assert server.answer["Status"] == "FAILED"
    assert server.answer["Reason"] == (
        f"The function could not hand over to itself before its time ran out: {text} (AccessDeniedException from "
        f"Invoke). The dataset export job is CREATE IN_PROGRESS; {RUNS_ON} (job: {ARN}; {LOG})"
    )


def test_a_hand_over_leaves_time_for_the_answer(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 1000
    started = outbound.time

    def slow(what: str) -> None:
        outbound.time += 10.0 * (what == "before call" and outbound.time - started > 839.9)

    outbound.effect = slow
    outbound.invoke_refusals = [Refusal("TooManyRequestsException", status=429) for _ in range(99)]
    run(outbound, event("create", server.url))
    assert outbound.time - started < 900
    assert len(outbound.invoke_refusals) == 99 - 3
    assert server.answer["Reason"].startswith(
        "The function could not hand over to itself before its time ran out: no (TooMany"
    )


def test_a_hand_over_before_any_job_says_nothing_of_one(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("ThrottlingException")] * 999
    outbound.invoke_refusals = [Refusal("AccessDeniedException", "no", 403) for _ in range(99)]
    run(outbound, event("create", server.url))
    assert server.answer["Reason"].endswith(f"no (AccessDeniedException from Invoke) ({LOG})")


def test_a_request_that_arrives_after_its_deadline_gets_one_look_and_an_answer(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.time = START + 3400
    outbound.personalize.add(ID, **OURS, created=START + 10)
    run(outbound, event("create", server.url))
    assert (outbound.personalize.count(CREATE), outbound.personalize.count(DESCRIBE)) == (0, 1)
    assert server.answer["Status"] == "SUCCESS"


def test_a_request_that_arrives_after_its_deadline_starts_nothing(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.time = START + 3400
    run(outbound, event("create", server.url))
    assert outbound.personalize.count(CREATE) == 0
    assert server.answer["Reason"] == (
        f"There was no dataset export job to wait for after 57 min: the request reached the function too late ({LOG})"
    )


@pytest.mark.parametrize(
    ("created", "reason"),
    [
        (START + 10, f"no (job: {ARN}; {LOG})"),
        (
            START - 1000,
            f"There was no dataset export job to wait for after 57 min: {TOO_LATE} ({LOG})",
        ),
    ],
)
def test_the_last_look_tells_a_failure_of_this_request_from_an_older_one(
    outbound: FakeOutbound, server: AnswerServer, created: float, reason: str
) -> None:
    outbound.time = START + 3400
    outbound.personalize.add(ID, **OURS, created=created, reason="no")
    run(outbound, event("create", server.url))
    assert server.answer["Reason"] == reason
    assert outbound.personalize.count(CREATE) == 0


def test_the_last_look_is_patient_for_half_a_minute(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 3600
    request = event("create", server.url, MaxWaitSeconds="60")
    outbound.effect = lambda _: outbound.personalize.refusals.update(
        {DESCRIBE: [Refusal("ThrottlingException", "Rate exceeded")] * 99} if outbound.time > START + 30 else {}
    )
    run(outbound, request)
    assert outbound.time == START + 90
    assert server.answer["Reason"].startswith(
        "The dataset export job is still CREATE IN_PROGRESS after 90 s; it runs on"
    )


def test_a_last_look_that_sees_nothing_says_why(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.time = START + 3400
    outbound.personalize.refusals[DESCRIBE] = [Refusal("ThrottlingException", "Rate exceeded")] * 99
    run(outbound, event("create", server.url))
    assert server.answer["Reason"] == (
        "There was no dataset export job to wait for after 57 min: Rate exceeded (ThrottlingException from "
        f"DescribeDatasetExportJob) ({LOG})"
    )


def test_without_waiting_the_answer_comes_when_the_job_is_accepted(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    run(outbound, event("no-wait", server.url))
    assert server.answer["Data"]["Status"] == "CREATE IN_PROGRESS"
    assert outbound.sleeps == []


def test_without_waiting_a_job_that_failed_already_still_fails(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds, outbound.personalize.reason = 0, "no"
    run(outbound, event("no-wait", server.url))
    assert server.answer["Reason"] == f"no (job: {ARN}; {LOG})"
    assert outbound.personalize.count(CREATE) == 1


def test_without_waiting_a_job_accepted_before_the_deadline_is_a_success_after_it(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.time = START + 3400
    outbound.personalize.add(ID, **OURS)
    run(outbound, event("no-wait", server.url))
    assert server.answer["Data"]["Status"] == "CREATE IN_PROGRESS"


@pytest.mark.parametrize("name", ["create", "link"])
def test_when_another_link_follows_the_deadline_is_a_success(
    outbound: FakeOutbound, server: AnswerServer, name: str
) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.jobs[ID]["seconds"] = 9999
    run(outbound, event(name, server.url, MoreLinks="true"))
    assert outbound.time == START + 3360
    assert server.answer["Status"] == "SUCCESS"
    assert server.answer["Data"]["Status"] == "CREATE IN_PROGRESS"
    assert server.answer["Data"]["DatasetExportJobArn"] == ARN


def test_when_another_link_follows_a_request_that_still_waits_for_its_turn_is_a_success(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("LimitExceededException")] * 999
    run(outbound, event("create", server.url, MoreLinks="true"))
    assert outbound.time == START + 3360
    assert (server.answer["Status"], server.answer["Data"]) == ("SUCCESS", {})
    assert server.answer["PhysicalResourceId"] == ID


def test_when_another_link_follows_a_job_that_failed_still_fails(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.reason = "no"
    run(outbound, event("create", server.url, MoreLinks="true"))
    assert server.answer["Reason"] == f"no (job: {ARN}; {LOG})"


def test_a_link_joins_the_job_of_the_export(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS)
    run(outbound, event("link", server.url))
    assert outbound.personalize.count(CREATE) == 0
    assert server.answer["Data"]["Status"] == "ACTIVE"
    assert server.answer["PhysicalResourceId"] == ID


def test_a_link_starts_the_job_when_its_turn_has_not_come_before(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("link", server.url))
    assert outbound.personalize.count(CREATE) == 1
    assert server.answer["Data"]["Status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("name", "failed_seconds_ago", "attempts"),
    [("link", 100, 1), ("link", 122, 1), ("link", 124, 2), ("create", 100, 2), ("create", 2, 1), ("create", 3.5, 2)],
)
def test_a_later_link_starts_no_job_again_that_failed_just_before_it(
    outbound: FakeOutbound, server: AnswerServer, name: str, failed_seconds_ago: float, attempts: int
) -> None:
    """The link before answered while the job still ran: this is the same deployment."""
    outbound.personalize.add(ID, **OURS, created=START - failed_seconds_ago - 100, reason="no")
    run(outbound, event(name, server.url))
    assert len(outbound.personalize.jobs) == attempts
    assert server.answer["Status"] == ("SUCCESS" if attempts == 2 else "FAILED")


def test_a_link_with_a_broken_property_says_what_is_allowed(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("link", server.url, MaxWaitSeconds="soon"))
    assert server.answer["Reason"] == (
        f"MaxWaitSeconds is 'soon'. Allowed: whole seconds, 1 or more. Fix: set max_wait. ({LOG})"
    )


def test_a_link_reports_the_failure_of_the_job(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS, reason="no")
    run(outbound, event("link", server.url))
    assert server.answer["Reason"] == f"no (job: {ARN}; {LOG})"


def test_the_last_link_fails_at_its_deadline(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.jobs[ID]["seconds"] = 9999
    run(outbound, event("link", server.url, MaxWaitSeconds="600"))
    assert server.answer["Reason"].startswith(
        "The dataset export job is still CREATE IN_PROGRESS after 10 min; it runs on"
    )


def test_a_delete_deletes_nothing_and_ends_at_once_when_the_job_is_over(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, **OURS, created=0)
    run(outbound, event("delete", server.url))
    assert server.answer["Status"] == "SUCCESS"
    assert server.answer["PhysicalResourceId"] == ID
    assert outbound.personalize.calls == [(DESCRIBE, {"datasetExportJobArn": ARN})]
    assert outbound.sleeps == []


def test_a_delete_waits_for_a_running_job_that_needs_its_role_and_bucket(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, **OURS, created=START - 1000, reason="no")
    outbound.personalize.add(f"{ID}-2", **OURS)
    throttled = Refusal("ThrottlingException")
    outbound.personalize.refusals[DESCRIBE] = [throttled, None, throttled, None, None, throttled]
    run(outbound, event("delete", server.url))
    assert outbound.time >= START + 1 + 100
    assert outbound.sleeps[:4] == [1.5, 3, pytest.approx(2.05), 1.5]
    assert server.answer["Status"] == "SUCCESS"


def test_a_delete_polls_a_job_by_its_age(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS, created=START - 3000)
    outbound.personalize.jobs[ID]["seconds"] = 3020
    run(outbound, event("delete", server.url))
    assert outbound.sleeps == [pytest.approx(37.925)]


def test_a_delete_waits_for_a_job_that_does_not_tell_its_age(
    outbound: FakeOutbound, server: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_to = outbound.personalize.call

    def call(operation: str, params: dict[str, Any]) -> dict[str, Any]:
        answer = answer_to(operation, params)
        del answer["datasetExportJob"]["creationDateTime"]
        return answer

    monkeypatch.setattr(outbound.personalize, "call", call)
    outbound.personalize.add(ID, **OURS, created=START - 90)
    run(outbound, event("delete", server.url))
    assert outbound.sleeps == [pytest.approx(2.05)] * 5
    assert server.answer["Status"] == "SUCCESS"


def test_a_delete_waits_for_56_minutes_at_most(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.jobs[ID]["seconds"] = 9999
    assert run(outbound, event("delete", server.url)) == 4
    assert outbound.time == START + 3360
    assert server.answer["Status"] == "SUCCESS"


def test_a_delete_that_can_not_hand_over_waits_no_longer(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.jobs[ID]["seconds"] = 9999
    outbound.invoke_refusals = [Refusal("AccessDeniedException", "no", 403) for _ in range(99)]
    assert run(outbound, event("delete", server.url)) == 1
    assert outbound.time < START + 900
    assert server.answer["Status"] == "SUCCESS"
    (told,) = [
        line for line in outbound.lines if line["message"] == "The job still runs, and Delete could not hand over"
    ]
    assert (told["level"], told["error"]) == ("WARNING", "no (AccessDeniedException from Invoke)")


def test_a_delete_right_after_the_create_waits_for_a_job_that_is_not_visible_yet(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.invisible_seconds = 50
    run(outbound, event("delete", server.url))
    assert outbound.time >= START + 1 + 100
    assert server.answer["Status"] == "SUCCESS"


def test_a_delete_looks_a_minute_for_a_job_and_no_longer(outbound: FakeOutbound, server: AnswerServer) -> None:
    assert run(outbound, event("delete", server.url), seconds=10) == 9
    assert START + 60 <= outbound.time < START + 63
    assert server.answer["Status"] == "SUCCESS"


@pytest.mark.parametrize("physical_id", ["InteractionsExport-never-started", "Shop-Interactions-aaaaaaaaaaaa"])
def test_a_delete_knows_what_was_never_started_and_what_cloudformation_made_up(
    outbound: FakeOutbound, server: AnswerServer, physical_id: str
) -> None:
    outbound.personalize.add(ID, **OURS)
    run(outbound, {**event("delete", server.url), "PhysicalResourceId": physical_id})
    waits = physical_id.endswith("aaaa")
    assert (outbound.time >= START + 1 + 100) is waits
    assert server.answer["PhysicalResourceId"] == physical_id


def test_a_delete_after_a_failed_update_waits_for_the_job_of_either(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.time = START + 100
    for name, seconds in ((ID, 500.0), (BULK_ID, 900.0)):
        outbound.personalize.add(name, **OURS)
        outbound.personalize.jobs[name]["seconds"] = seconds
    run(outbound, {**event("delete", server.url), "PhysicalResourceId": BULK_ID})
    assert outbound.time >= START + 100 + 900


def test_a_delete_does_not_wait_for_a_job_that_has_stopped_somewhere(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.jobs[ID]["seconds"] = 9999
    outbound.personalize.running = "CREATE STOPPED"
    run(outbound, event("delete", server.url))
    assert outbound.sleeps == [37]
    assert server.answer["Status"] == "SUCCESS"


def test_a_delete_with_broken_properties_waits_for_the_job_its_id_names(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, **OURS)
    run(outbound, event("delete", server.url, IngestionMode="SOME"))
    assert outbound.time >= START + 1 + 100


def test_a_delete_under_a_foreign_id_looks_for_no_job_of_that_name(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.time = START + 61
    run(outbound, event("delete-foreign", server.url))
    asked = [params["datasetExportJobArn"] for name, params in outbound.personalize.calls if name == DESCRIBE]
    assert asked == [ARN]


def test_a_delete_waits_no_longer_than_cloudformation_listens(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS)
    outbound.personalize.jobs[ID]["seconds"] = 9999
    run(outbound, event("delete", server.url, MaxWaitSeconds="60"))
    assert outbound.time == START + 60
    assert server.answer["Status"] == "SUCCESS"


def test_a_delete_under_a_foreign_id_waits_for_the_job_its_properties_name(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, **OURS)
    run(outbound, event("delete-foreign", server.url))
    assert outbound.time >= START + 1 + 100
    assert server.answer["PhysicalResourceId"] == "2026/01/02/[$LATEST]0123456789abcdef0123456789abcdef"
    assert server.answer["Status"] == "SUCCESS"


def test_a_delete_without_an_id_or_a_job_succeeds(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.time = START + 61
    request = event("delete", server.url)
    del request["PhysicalResourceId"]
    run(outbound, request)
    assert server.answer["PhysicalResourceId"] == "InteractionsExport-never-started"
    assert server.answer["Status"] == "SUCCESS"


def test_a_delete_of_a_link_waits_like_any_other(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS)
    run(outbound, event("link-delete", server.url))
    assert outbound.time >= START + 1 + 100
    assert server.answer["Status"] == "SUCCESS"


@pytest.mark.parametrize(
    "broken",
    [
        {"DatasetArn": None},
        {"DatasetArn": "nonsense"},
        {"JobNamePrefix": "-"},
        {"MaxWaitSeconds": "soon"},
        {"Bucket": []},
        {"Tags": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["delete", "delete-foreign"])
def test_a_delete_with_broken_properties_succeeds(
    outbound: FakeOutbound, server: AnswerServer, name: str, broken: dict[str, Any]
) -> None:
    run(outbound, event(name, server.url, **broken))
    assert server.answer["Status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("refusal", "sleeps"),
    [
        (Refusal("AccessDeniedException"), []),
        (Refusal("InvalidInputException"), []),
        (Refusal("ThrottlingException"), [1.5, 3, 6, 12, 22.5, 22.5]),
        (ConnectionResetError(), [1.5, 3, 6, 12, 22.5, 22.5]),
        (RuntimeError("ours"), []),
    ],
    ids=repr,
)
def test_a_delete_succeeds_whatever_describe_says(
    outbound: FakeOutbound, server: AnswerServer, refusal: Exception, sleeps: list[float]
) -> None:
    outbound.personalize.refusals[DESCRIBE] = [refusal] * 999
    run(outbound, event("delete", server.url))
    assert server.answer["Status"] == "SUCCESS"
    assert outbound.sleeps == sleeps
    assert outbound.errors() == []


def test_a_malformed_request_is_told_what_is_allowed_under_the_id_it_has(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    run(outbound, event("update", server.url, IngestionMode="SOME"))
    assert server.answer["PhysicalResourceId"] == ID
    assert server.answer["Reason"] == (
        f"IngestionMode is 'SOME'. Allowed: ALL, PUT, BULK. Fix: use an IngestionMode. ({LOG})"
    )
    assert outbound.personalize.calls == []
    assert outbound.errors() == ["IngestionMode is 'SOME'. Allowed: ALL, PUT, BULK. Fix: use an IngestionMode."]


def test_an_unknown_request_type_is_refused(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, {**event("create", server.url), "RequestType": "Upsert"})
    assert server.answer["PhysicalResourceId"] == "InteractionsExport-never-started"
    assert server.answer["Reason"].startswith("RequestType is 'Upsert'. Allowed: Create, Update, Delete.")


def test_an_unexpected_exception_is_answered_with_its_type_and_place(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    def surprise(effect: str) -> None:
        if effect == "before call":
            raise RuntimeError(f"surprise at {server.url}")

    outbound.effect = surprise
    run(outbound, event("create", server.url))
    assert server.answer["Status"] == "FAILED"
    reason = (
        r"The export handler failed: surprise at \[hidden\] \(RuntimeError\) in test_exports.py line \d+ \(log: .*\)"
    )
    assert re.fullmatch(reason, server.answer["Reason"])
    assert server.answer["PhysicalResourceId"] == "InteractionsExport-never-started"
    assert len(outbound.errors()) == 1


def test_missing_credentials_are_the_answer_not_a_hang(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.refusals[DESCRIBE] = [NoCredentialsError()]
    run(outbound, event("create", server.url))
    assert server.answer["Reason"] == f"Unable to locate credentials (NoCredentialsError) ({LOG})"


@pytest.mark.parametrize("url", ["", "http://example.com/answer", "ftp://127.0.0.1/"])
def test_nothing_is_done_for_a_request_that_can_not_be_answered(outbound: FakeOutbound, url: str) -> None:
    outbound.endpoint = ""
    run(outbound, event("create", url))
    assert outbound.personalize.calls == []
    assert outbound.errors() == ["There is no ResponseURL that may be answered (https at AWS only), so nothing is done"]


def test_a_waiter_whose_request_was_cancelled_ends_quietly(outbound: FakeOutbound, server: AnswerServer) -> None:
    server.statuses = [403, 403]
    run(outbound, event("create", server.url))
    assert server.bodies == []
    assert len(outbound.errors()) == 1


def test_the_signature_of_the_url_is_in_no_line_and_no_answer(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.reason = f"no access to {server.url} signed {SIGNATURE}"
    for name in ("create", "rollback", "delete", "link", "no-wait"):
        run(outbound, event(name, server.url))
    everything = json.dumps([outbound.lines, server.answers])
    assert SIGNATURE not in everything
    assert server.url not in everything


def test_every_line_of_the_log_names_the_request(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("ThrottlingException", "Rate exceeded")]
    run(outbound, event("create", server.url))
    assert {line["requestId"] for line in outbound.lines} == {"6f1c1f0c-7d6c-4c9b-9d3d-2f4b6b1a0e11"}
    assert {line["logicalId"] for line in outbound.lines} == {"InteractionsExport"}
    assert [line["message"] for line in outbound.lines] == [
        "Received",
        "Waiting an error out",
        "Job started",
        "Job seen",
        "Job seen",
        "Answered",
    ]
    assert [line["status"] for line in outbound.lines if line["message"] == "Job seen"] == [
        "CREATE IN_PROGRESS",
        "ACTIVE",
    ]


def test_lambda_calls_the_handler_with_the_real_way_out(
    outbound: FakeOutbound, server: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert type(index.OUTBOUND).__name__ == "Outbound"
    monkeypatch.setattr(index, "OUTBOUND", outbound)
    index.handler(event("create", server.url), Context(outbound, 900))
    assert server.answer["Status"] == "SUCCESS"


@pytest.mark.parametrize("state", ["CREATE FAILED", "CREATE IN_PROGRESS", "ACTIVE"])
def test_an_update_that_does_not_wait_joins_its_job_whatever_has_become_of_it(
    outbound: FakeOutbound, server: AnswerServer, state: str
) -> None:
    """It may be a rollback, and was promised no more than that the job is accepted."""
    seconds = {"CREATE IN_PROGRESS": 9999.0}.get(state, 100.0)
    outbound.personalize.add(ID, **OURS, created=START - 1000, reason="no" if state == "CREATE FAILED" else "")
    outbound.personalize.jobs[ID]["seconds"] = seconds
    run(outbound, event("rollback", server.url, Wait="false"))
    assert outbound.personalize.count(CREATE) == 0
    assert server.answer["Status"] == "SUCCESS"
    assert server.answer["Data"]["Status"] == state
    assert server.answer["Data"]["FailureReason"] == ("no" if state == "CREATE FAILED" else "")
    assert outbound.sleeps == []


def test_an_update_that_waits_tries_a_failed_job_again(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.stack.status = "UPDATE_IN_PROGRESS"
    outbound.personalize.add(ID, **OURS, created=START - 1000, reason="no")
    run(outbound, event("rollback", server.url))
    assert list(outbound.personalize.jobs) == [ID, f"{ID}-2"]


def test_a_create_that_does_not_wait_tries_a_failed_job_again(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS, created=START - 1000, reason="no")
    run(outbound, event("no-wait", server.url))
    assert list(outbound.personalize.jobs) == [ID, f"{ID}-2"]


def test_an_update_that_does_not_wait_starts_a_job_that_was_never_there(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.invisible_seconds = 5
    outbound.personalize.seconds, outbound.personalize.reason = 1, "no"
    run(outbound, event("update", server.url, Wait="false"))
    assert outbound.personalize.count(CREATE) == 1
    assert server.answer["Data"]["Status"] == "CREATE FAILED"


@pytest.mark.parametrize("seconds", [900.0, 10.0])
def test_after_a_job_was_started_no_answer_says_there_was_none(
    outbound: FakeOutbound, server: AnswerServer, seconds: float
) -> None:
    outbound.personalize.invisible_seconds = 1e6
    run(outbound, event("create", server.url, MaxWaitSeconds="30"), seconds)
    runs_on = RUNS_ON.replace("56 min", "30 s")
    assert server.answer["Reason"] == (
        f"The dataset export job was asked for, and has not been seen after 30 s; {runs_on} (job: {ARN}; {LOG})"
    )
    assert server.answer["PhysicalResourceId"] == ID


def test_a_job_that_may_have_been_started_is_named(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.refusals[CREATE] = [ConnectionResetError()] * 99
    run(outbound, event("create", server.url, MaxWaitSeconds="30"))
    assert server.answer["Reason"].startswith("The dataset export job was asked for, and has not been seen after 30 s;")
    assert f"(job: {ARN}; " in server.answer["Reason"]


def test_a_create_that_was_refused_started_nothing_and_says_so_to_its_delete(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("TooManyTagsException")]
    run(outbound, event("create", server.url))
    assert server.answer["PhysicalResourceId"] == "InteractionsExport-never-started"
    run(outbound, {**event("delete", server.url), "PhysicalResourceId": server.answer["PhysicalResourceId"]})
    assert outbound.sleeps == []
    assert server.answers[1]["Status"] == "SUCCESS"


def test_a_job_in_an_unknown_state_that_does_not_change_is_said_after_one_more_look(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.running = "CREATE STOPPED"
    outbound.personalize.seconds = 9999
    run(outbound, event("create", server.url))
    assert server.answer["Reason"] == (
        "The dataset export job is CREATE STOPPED, which is neither ACTIVE nor CREATE FAILED nor anything this release "
        f"knows, and has not changed within 37 s (job: {ARN}; {LOG})"
    )
    assert outbound.sleeps == [pytest.approx(2.05), 37]
    assert server.answer["PhysicalResourceId"] == ID  # so that Delete knows of it


def test_an_update_that_was_refused_is_answered_under_the_id_of_what_it_asked_for(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.refusals[CREATE] = [Refusal("TooManyTagsException")]
    run(outbound, event("update", server.url, IngestionMode="BULK"))
    assert (server.answer["Status"], server.answer["PhysicalResourceId"]) == ("FAILED", BULK_ID)


def test_a_job_in_an_unknown_state_that_changes_is_waited_for(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.running = "SOMETHING NEW"
    outbound.personalize.seconds = 30
    run(outbound, event("create", server.url))
    assert server.answer["Data"]["Status"] == "ACTIVE"


def test_a_describe_that_answers_without_a_job_is_waited_out(
    outbound: FakeOutbound, server: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_to = outbound.personalize.call
    empty: list[dict[str, Any]] = [{}, {"datasetExportJob": {}}]

    def call(operation: str, params: dict[str, Any]) -> dict[str, Any]:
        answer = answer_to(operation, params)
        return empty.pop() if operation == DESCRIBE and empty else answer

    outbound.personalize.add(ID, **OURS)
    monkeypatch.setattr(outbound.personalize, "call", call)
    run(outbound, event("create", server.url))
    assert empty == []
    assert server.answer["Data"]["Status"] == "ACTIVE"


@pytest.mark.parametrize("seconds", [900.0, 10.0])
@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId"])
def test_the_window_for_permissions_belongs_to_the_request(
    outbound: FakeOutbound, server: AnswerServer, code: str, seconds: float
) -> None:
    """However many invocations it takes."""
    outbound.personalize.refusals[DESCRIBE] = [Refusal(code)] * 999
    run(outbound, event("create", server.url), seconds)
    assert server.answer["Reason"].startswith(
        f"no ({code} from DescribeDatasetExportJob); tried again for 120 s in case a permission was on its way"
    )
    assert outbound.time - START < 130


def test_hand_overs_whose_answers_get_lost_do_not_multiply(outbound: FakeOutbound, server: AnswerServer) -> None:
    """Each is heard, and its answer lost."""
    outbound.personalize.seconds = 3200
    heard: list[float] = []

    def invoke(payload: dict[str, Any]) -> dict[str, Any]:
        heard.append(outbound.time)
        outbound.invocations.append(payload)
        raise ConnectionResetError

    outbound._invoke = invoke  # type: ignore[method-assign]
    queue = [event("create", server.url)]
    for _ in range(4):  # the length of an invocation each
        started, outbound.invocations = outbound.time, []
        for request in queue:
            outbound.time = started
            handle(Invocation(request, Context(outbound, 900), outbound))
        queue = outbound.invocations
    assert len(heard) <= 2 + 3 + 4 + 5
    assert list(outbound.personalize.jobs) == [ID]


@pytest.mark.parametrize(
    ("failure", "tries"),
    [(ConnectionResetError(), 2), (Refusal("ServiceException", status=500), 2), (Refusal("Busy", status=429), 5)],
    ids=repr,
)
def test_a_hand_over_that_may_have_been_heard_is_repeated_once(
    outbound: FakeOutbound, server: AnswerServer, failure: Exception, tries: int
) -> None:
    outbound.personalize.seconds = 1000
    outbound.invoke_refusals = [failure] * 99
    run(outbound, event("create", server.url))
    assert len(outbound.invoke_refusals) == 99 - tries
    assert server.answer["Status"] == "FAILED"


def test_the_invocation_after_a_lost_answer_repeats_none(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 1000
    outbound.invoke_refusals = [ConnectionResetError()]
    request = event("create", server.url)
    handle(Invocation(request, Context(outbound, 900), outbound))
    (second,) = outbound.invocations
    assert second["HandOver"] == {"Deadline": START + 3360, "Started": ID, "MayRepeat": False}
    outbound.invocations, outbound.invoke_refusals = [], [ConnectionResetError()] * 99
    handle(Invocation(second, Context(outbound, 50), outbound))
    assert len(outbound.invoke_refusals) == 98


def test_a_hand_over_carries_the_event_as_it_is_long(
    outbound: FakeOutbound, server: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbound.personalize.seconds = 1000
    sizes: list[int] = []
    call = outbound.call

    def watch(service: str, operation: str, region: str | None = None, **parameters: Any) -> Any:
        sizes.extend(len(parameters["Payload"]) for _ in range(service == "lambda"))
        return call(service, operation, region, **parameters)

    monkeypatch.setattr(outbound, "call", watch)
    request = event("create", server.url, Generation="é" * 1000 + "\ud800")
    run(outbound, request)
    size = len(json.dumps(request, ensure_ascii=False).encode("utf-8", "replace"))
    assert sizes
    assert sizes[0] < size + 100
    assert server.answer["Status"] == "SUCCESS"


@pytest.mark.parametrize(
    "dataset",
    [
        "arn:aws:personalize:eu-west-1:123456789012:dataset/shop/INTERACTIONS",
        "arn:aws:personalize:us-east-1:210987654321:dataset/shop/INTERACTIONS",
    ],
)
def test_a_dataset_of_elsewhere_is_said_at_once(outbound: FakeOutbound, server: AnswerServer, dataset: str) -> None:
    run(outbound, event("create", server.url, DatasetArn=dataset))
    assert outbound.personalize.calls == []
    assert server.answer["Reason"].startswith(f"DatasetArn is '{dataset}', of account ")


def test_attributes_that_hold_the_url_are_blanked(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, **OURS, created=0, reason=f"no access to {server.url}")
    run(outbound, event("rollback", server.url, Wait="false"))
    assert server.answer["Data"]["FailureReason"] == "no access to [hidden]"


def test_a_generation_that_was_exported_before_joins_its_old_job(outbound: FakeOutbound, server: AnswerServer) -> None:
    for generation in ("A", "B", "A"):
        run(outbound, event("create", server.url, Generation=generation))
    assert outbound.personalize.count(CREATE) == 2
    assert server.answers[0] == server.answers[2]


def test_looks_that_take_until_the_deadline_start_no_job(outbound: FakeOutbound, server: AnswerServer) -> None:
    def slowly(when: str) -> None:
        outbound.time += 30 * (when == "before call")

    outbound.effect = slowly
    run(outbound, event("create", server.url, MaxWaitSeconds="60"))
    assert outbound.personalize.count(CREATE) == 0
    assert server.answer["Reason"].startswith("There was no dataset export job to wait for")


def test_a_failed_job_is_followed_after_5_15_and_45_minutes_and_then_every_hour() -> None:
    assert [retry_seconds(attempt) for attempt in range(1, 6)] == [300, 900, 2700, 3600, 3600]


def test_what_was_handed_over_is_read_as_it_was_written() -> None:
    for progress in (Progress(5.0, 3.0, "Started", may_repeat=False, announced="Announced"), Progress(5.0)):
        assert read_progress({"HandOver": progress.payload()}, 10.0, 4.0) == progress
    strange = {"Deadline": 50, "RefusedSince": 30, "Started": 1, "MayRepeat": None, "Announced": 2}
    assert read_progress({"HandOver": strange}, 10.0, 4.0) == Progress(10.0, 4.0)


def test_a_hand_over_is_written_without_spaces(outbound: FakeOutbound, server: AnswerServer) -> None:
    payloads: list[bytes] = []
    call = outbound.call

    def noted(service: str, operation: str, region: str | None = None, **parameters: Any) -> Any:
        payloads.extend([parameters["Payload"]] if operation == "invoke" else [])
        return call(service, operation, region, **parameters)

    outbound.call = noted  # type: ignore[method-assign]
    outbound.personalize.seconds = 1000
    run(outbound, event("create", server.url))
    (payload,) = payloads
    assert payload == json.dumps(json.loads(payload), ensure_ascii=False, separators=(",", ":")).encode()
