"""What the handler does on each event, from the event to the answer CloudFormation gets."""

import json
import re
from typing import Any
from urllib.parse import quote

import index
import pytest
from botocore.exceptions import NoCredentialsError
from index import handle

from tests.unit.handler.world import FUNCTION, SIGNATURE, START, Context, FakeOutside, Post, Refusal, event, run

ID = "Shop-Interactions-5mkvufcohj6i"
BULK_ID = "Shop-Interactions-syml5r6p4pba"
ARN = f"arn:aws:personalize:us-east-1:123456789012:dataset-export-job/{ID}"
CREATE, DESCRIBE = "CreateDatasetExportJob", "DescribeDatasetExportJob"
LOG = "log: /aws/lambda/export, stream 2026/01/02/[$LATEST]0123456789abcdef"
RUNS_ON = (
    "it runs on in Amazon Personalize, which can not stop a job. Deploying again joins it after a failed update, or "
    "after a deployment with --no-rollback. After a failed first deployment CloudFormation removes the stack, and a "
    "new stack is a new identity that starts a new job: raise max_wait first."
)
TOO_LATE = "the request reached the function too late"
OURS: dict[str, Any] = {
    "datasetArn": "arn:aws:personalize:us-east-1:123456789012:dataset/shop/INTERACTIONS",
    "ingestionMode": "ALL",
    "roleArn": "arn:aws:iam::123456789012:role/export",
    "jobOutput": {"s3DataDestination": {"path": f"s3://exports/shop/{ID}/"}},
}


def test_a_create_starts_one_job_waits_and_tells_its_attributes(outside: FakeOutside, post: Post) -> None:
    assert run(outside, event("create", post.url)) == 1
    assert outside.personalize.count(CREATE) == 1
    assert post.answer["Status"] == "SUCCESS"
    assert post.answer["PhysicalResourceId"] == ID
    assert post.answer["Data"] == {
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


def test_a_job_is_asked_for_just_what_the_properties_say(outside: FakeOutside, post: Post) -> None:
    run(outside, event("create", post.url))
    assert outside.personalize.calls[:2] == [
        (DESCRIBE, {"datasetExportJobArn": ARN}),
        (CREATE, {"jobName": ID, **OURS}),
    ]


def test_the_event_of_an_earlier_release_still_works(outside: FakeOutside, post: Post) -> None:
    run(outside, event("minimal", post.url))
    assert post.answer["Data"]["IngestionMode"] == "ALL"


def test_the_same_event_delivered_twice_starts_one_job(outside: FakeOutside, post: Post) -> None:
    run(outside, event("create", post.url))
    run(outside, event("create", post.url))
    assert outside.personalize.count(CREATE) == 1
    assert post.answers[0] == post.answers[1]


def test_an_update_that_changes_the_identity_starts_a_job_under_a_new_id(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS, created=0)
    run(outside, event("update", post.url))
    assert post.answer["PhysicalResourceId"] == BULK_ID
    assert list(outside.personalize.jobs) == [ID, BULK_ID]


def test_a_rolled_back_update_starts_no_second_job(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS, created=0)
    run(outside, event("rollback", post.url))
    assert post.answer["PhysicalResourceId"] == ID
    assert outside.personalize.count(CREATE) == 0
    assert outside.personalize.count(DESCRIBE) == 1
    assert outside.sleeps == []


@pytest.mark.parametrize("state", ["CREATE PENDING", "SOMETHING NEW"])
def test_a_job_in_an_unknown_state_is_waited_for(outside: FakeOutside, post: Post, state: str) -> None:
    outside.personalize.running = state
    run(outside, event("create", post.url))
    assert post.answer["Data"]["Status"] == "ACTIVE"


def test_a_job_that_fails_gives_its_reason_first_then_its_arn_then_the_log(outside: FakeOutside, post: Post) -> None:
    outside.personalize.reason = "Insufficient privileges for accessing data in S3."
    run(outside, event("create", post.url))
    assert post.answer["Status"] == "FAILED"
    assert post.answer["Reason"] == f"Insufficient privileges for accessing data in S3. (job: {ARN}; {LOG})"
    assert post.answer["PhysicalResourceId"] == ID
    assert outside.personalize.count(CREATE) == 1
    assert outside.errors() == ["Insufficient privileges for accessing data in S3."]


def test_a_job_that_fails_without_a_reason_is_said_to(outside: FakeOutside, post: Post) -> None:
    outside.personalize.running = "CREATE FAILED"
    run(outside, event("create", post.url))
    assert post.answer["Reason"].startswith("Personalize gave no reason for CREATE FAILED. (job: ")


def test_a_request_after_a_failure_starts_the_next_attempt(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS, created=START - 1000, reason="no")
    run(outside, event("create", post.url))
    assert list(outside.personalize.jobs) == [ID, f"{ID}-2"]
    assert post.answer["PhysicalResourceId"] == ID
    assert post.answer["Data"]["JobName"] == f"{ID}-2"
    assert post.answer["Data"]["OutputPath"] == f"s3://exports/shop/{ID}-2/"


def test_a_failure_within_the_request_is_not_tried_again_by_a_retry(outside: FakeOutside, post: Post) -> None:
    outside.personalize.reason = "no"
    run(outside, event("create", post.url))
    run(outside, event("create", post.url))
    assert outside.personalize.count(CREATE) == 1
    assert [answer["Status"] for answer in post.answers] == ["FAILED", "FAILED"]


def test_a_job_under_our_name_that_is_not_ours_is_never_adopted(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **{**OURS, "ingestionMode": "PUT"})
    run(outside, event("create", post.url))
    assert post.answer["Status"] == "FAILED"
    assert post.answer["Reason"] == (
        f"The dataset export job {ID} is not this export: ingestion mode PUT, not ALL. It is left alone. "
        f"Fix: change job_name_prefix or generation. (job: {ARN}; {LOG})"
    )
    assert outside.personalize.count(CREATE) == 0


def test_a_job_under_our_name_that_shows_up_late_is_never_adopted_either(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **{**OURS, "ingestionMode": "PUT"})
    outside.personalize.invisible_seconds = 5
    run(outside, event("create", post.url))
    assert post.answer["Reason"].startswith(f"The dataset export job {ID} is not this export: ingestion mode PUT")


def test_every_refusal_in_a_row_gets_a_window_of_its_own(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS)
    outside.personalize.jobs[ID]["seconds"] = 600
    refused = [Refusal("AccessDeniedException")] * 7  # for 90 s; together they would be too many
    outside.personalize.refusals[DESCRIBE] = [*refused, None, *refused, None, *refused, None]
    run(outside, event("create", post.url))
    assert post.answer["Status"] == "SUCCESS"


@pytest.mark.parametrize("lost", [1, 3])
def test_a_create_whose_answer_got_lost_is_joined(outside: FakeOutside, post: Post, lost: int) -> None:
    outside.personalize.lost[CREATE] = lost
    run(outside, event("create", post.url))
    assert list(outside.personalize.jobs) == [ID]
    assert post.answer["Status"] == "SUCCESS"


def test_a_new_job_that_is_not_visible_yet_is_waited_for(outside: FakeOutside, post: Post) -> None:
    outside.personalize.invisible_seconds = 50
    run(outside, event("create", post.url))
    assert list(outside.personalize.jobs) == [ID]
    assert post.answer["Status"] == "SUCCESS"


def test_a_duplicate_that_can_not_see_the_job_yet_joins_it_too(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS)
    outside.personalize.invisible_seconds = 50
    run(outside, event("create", post.url))
    assert list(outside.personalize.jobs) == [ID]
    assert post.answer["Status"] == "SUCCESS"
    assert outside.sleeps[:25] == [2] * 25  # and then as every job
    assert outside.sleeps[25] > 4


def test_a_job_that_never_becomes_visible_is_reported(outside: FakeOutside, post: Post) -> None:
    outside.personalize.invisible_seconds = 1e6
    run(outside, event("create", post.url))
    assert post.answer["Reason"] == f"Personalize has not known the job {ARN} for 60 s ({LOG})"
    assert outside.sleeps == [pytest.approx(2.05), *[2] * 30]


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
def test_errors_that_pass_are_waited_out(outside: FakeOutside, post: Post, passing: Exception, operation: str) -> None:
    outside.personalize.refusals[operation] = (
        [None, passing, passing, None, passing] if operation == DESCRIBE else [passing] * 3
    )
    run(outside, event("create", post.url))
    assert post.answer["Status"] == "SUCCESS"
    assert list(outside.personalize.jobs) == [ID]


def test_a_permission_that_never_comes_is_quoted_word_for_word(outside: FakeOutside, post: Post) -> None:
    text = "User: arn:aws:sts::123456789012:assumed-role/x is not authorized to perform: iam:PassRole"
    outside.personalize.refusals[CREATE] = [Refusal("AccessDeniedException", text)] * 99
    run(outside, event("create", post.url))
    assert post.answer["Reason"] == (
        f"{text} (AccessDeniedException from CreateDatasetExportJob); "
        f"tried again for 120 s in case a permission was on its way ({LOG})"
    )
    assert sum(outside.sleeps) == pytest.approx(120)


def test_a_refusal_after_an_older_failure_does_not_name_the_older_job(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS, created=START - 1000, reason="an old failure")
    outside.personalize.refusals[CREATE] = [Refusal("TooManyTagsException", "Too many tags.")]
    run(outside, event("create", post.url))
    assert post.answer["Reason"] == f"Too many tags. (TooManyTagsException from CreateDatasetExportJob) ({LOG})"


def test_wrong_input_fails_at_once_word_for_word(outside: FakeOutside, post: Post) -> None:
    outside.personalize.refusals[CREATE] = [Refusal("InvalidInputException", "The dataset type is not supported.")]
    run(outside, event("create", post.url))
    assert post.answer["Reason"] == (
        f"The dataset type is not supported. (InvalidInputException from CreateDatasetExportJob) ({LOG})"
    )
    assert outside.sleeps == []


def test_a_turn_that_never_comes_is_reported_at_the_deadline(outside: FakeOutside, post: Post) -> None:
    refusal = Refusal("LimitExceededException", "More than 5 resources with PENDING or IN_PROGRESS status.")
    outside.personalize.refusals[CREATE] = [refusal] * 999
    outside.personalize.add(ID, **OURS, created=START - 1000, reason="an old failure")
    run(outside, event("create", post.url, MaxWaitSeconds="600"))
    assert post.answer["Reason"] == (
        "There was no dataset export job to wait for after 10 min: More than 5 resources with PENDING or IN_PROGRESS "
        f"status. (LimitExceededException from CreateDatasetExportJob) ({LOG})"
    )


@pytest.mark.parametrize(("luck", "most"), [(0.0, 50), (0.5, 50), (0.999, 50)])
def test_a_job_of_20_minutes_takes_two_invocations_and_50_looks(
    outside: FakeOutside, post: Post, luck: float, most: int
) -> None:
    outside.luck, outside.personalize.seconds = luck, 1200
    assert run(outside, event("create", post.url)) == 2
    assert outside.personalize.count(DESCRIBE) <= most
    assert post.answer["Status"] == "SUCCESS"
    assert outside.time - START < 1200 + 40


def test_an_hour_takes_four_invocations_and_fewer_than_130_looks(outside: FakeOutside, post: Post) -> None:
    outside.luck, outside.personalize.seconds = 0.0, 3600
    assert run(outside, event("create", post.url)) == 4
    assert outside.personalize.count(DESCRIBE) < 130
    assert (
        post.answer["Reason"]
        == f"The dataset export job is still CREATE IN_PROGRESS after 56 min; {RUNS_ON} (job: {ARN}; {LOG})"
    )
    assert outside.time == START + 3360
    assert outside.personalize.count(CREATE) == 1


@pytest.mark.parametrize(("wait", "waited"), [("119", "119 s"), ("120", "2 min")])
def test_a_wait_is_told_in_minutes_from_two_on(outside: FakeOutside, post: Post, wait: str, waited: str) -> None:
    outside.personalize.seconds = 999
    run(outside, event("create", post.url, MaxWaitSeconds=wait))
    assert post.answer["Reason"] == (
        f"The dataset export job is still CREATE IN_PROGRESS after {waited}; {RUNS_ON} (job: {ARN}; {LOG})"
    )


def test_a_short_job_is_answered_within_5_seconds_of_its_end(post: Post) -> None:
    for seconds in range(1, 60):
        world = FakeOutside()
        world.personalize.seconds = seconds
        run(world, event("create", post.url))
        assert world.time - (START + 1 + seconds) < 5


def test_a_function_of_10_seconds_hands_over_and_still_answers(outside: FakeOutside, post: Post) -> None:
    outside.personalize.seconds = 100
    assert run(outside, event("create", post.url), seconds=10) == 15
    assert post.answer["Status"] == "SUCCESS"


def test_the_hand_over_is_the_event_with_the_deadline_and_nothing_else(outside: FakeOutside, post: Post) -> None:
    outside.personalize.seconds = 2000
    request = event("create", post.url)
    handle(request, Context(outside, 900), outside)
    assert outside.invocations == [{**request, "HandOver": {"Deadline": START + 3360}}]
    assert post.bodies == []
    assert outside.invoked == [(f"/2015-03-31/functions/{quote(FUNCTION)}/invocations", "Event")]


def test_the_longest_wait_stays_far_from_where_lambda_cuts_a_chain_of_invocations(
    outside: FakeOutside, post: Post
) -> None:
    outside.personalize.seconds = 99999
    assert run(outside, event("create", post.url)) == 4
    assert post.answer["Status"] == "FAILED"


def test_a_hand_over_refused_once_is_made_again(outside: FakeOutside, post: Post) -> None:
    outside.personalize.seconds = 1000
    outside.invoke_refusals = [Refusal("TooManyRequestsException", status=429), ConnectionResetError()]
    assert run(outside, event("create", post.url)) == 2
    assert post.answer["Status"] == "SUCCESS"


def test_a_hand_over_that_can_not_be_made_is_admitted(outside: FakeOutside, post: Post) -> None:
    outside.personalize.seconds = 1000
    text = "not authorized to perform: lambda:InvokeFunction"
    outside.invoke_refusals = [Refusal("AccessDeniedException", text, 403) for _ in range(99)]
    run(outside, event("create", post.url))
    assert len(outside.invoke_refusals) == 99 - 5
    assert outside.sleeps[-5:] == [1, 2, 4, 6, 6]
    assert post.answer["Status"] == "FAILED"
    assert post.answer["Reason"] == (
        f"The function could not hand over to itself before its time ran out: {text} (AccessDeniedException from "
        f"Invoke). The dataset export job is CREATE IN_PROGRESS; {RUNS_ON} (job: {ARN}; {LOG})"
    )


def test_a_hand_over_leaves_time_for_the_answer(outside: FakeOutside, post: Post) -> None:
    outside.personalize.seconds = 1000
    started = outside.time

    def slow(what: str) -> None:
        outside.time += 10.0 * (what == "before call" and outside.time - started > 839.9)

    outside.effect = slow
    outside.invoke_refusals = [Refusal("ServiceException", status=500) for _ in range(99)]
    run(outside, event("create", post.url))
    assert outside.time - started < 900
    assert len(outside.invoke_refusals) == 99 - 3
    assert post.answer["Reason"].startswith(
        "The function could not hand over to itself before its time ran out: no (Service"
    )


def test_a_hand_over_before_any_job_says_nothing_of_one(outside: FakeOutside, post: Post) -> None:
    outside.personalize.refusals[CREATE] = [Refusal("ThrottlingException")] * 999
    outside.invoke_refusals = [Refusal("AccessDeniedException", "no", 403) for _ in range(99)]
    run(outside, event("create", post.url))
    assert post.answer["Reason"].endswith(f"no (AccessDeniedException from Invoke) ({LOG})")


def test_a_request_that_arrives_after_its_deadline_gets_one_look_and_an_answer(
    outside: FakeOutside, post: Post
) -> None:
    outside.time = START + 3400
    outside.personalize.add(ID, **OURS, created=START + 10)
    run(outside, event("create", post.url))
    assert (outside.personalize.count(CREATE), outside.personalize.count(DESCRIBE)) == (0, 1)
    assert post.answer["Status"] == "SUCCESS"


def test_a_request_that_arrives_after_its_deadline_starts_nothing(outside: FakeOutside, post: Post) -> None:
    outside.time = START + 3400
    run(outside, event("create", post.url))
    assert outside.personalize.count(CREATE) == 0
    assert post.answer["Reason"] == (
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
    outside: FakeOutside, post: Post, created: float, reason: str
) -> None:
    outside.time = START + 3400
    outside.personalize.add(ID, **OURS, created=created, reason="no")
    run(outside, event("create", post.url))
    assert post.answer["Reason"] == reason
    assert outside.personalize.count(CREATE) == 0


def test_the_last_look_is_patient_for_half_a_minute(outside: FakeOutside, post: Post) -> None:
    outside.personalize.seconds = 3600
    request = event("create", post.url, MaxWaitSeconds="60")
    outside.effect = lambda _: outside.personalize.refusals.update(
        {DESCRIBE: [Refusal("ThrottlingException", "Rate exceeded")] * 99} if outside.time > START + 30 else {}
    )
    run(outside, request)
    assert outside.time == START + 90
    assert post.answer["Reason"].startswith("The dataset export job is still CREATE IN_PROGRESS after 90 s; it runs on")


def test_a_last_look_that_sees_nothing_says_why(outside: FakeOutside, post: Post) -> None:
    outside.time = START + 3400
    outside.personalize.refusals[DESCRIBE] = [Refusal("ThrottlingException", "Rate exceeded")] * 99
    run(outside, event("create", post.url))
    assert post.answer["Reason"] == (
        "There was no dataset export job to wait for after 57 min: Rate exceeded (ThrottlingException from "
        f"DescribeDatasetExportJob) ({LOG})"
    )


def test_without_waiting_the_answer_comes_when_the_job_is_accepted(outside: FakeOutside, post: Post) -> None:
    run(outside, event("no-wait", post.url))
    assert post.answer["Data"]["Status"] == "CREATE IN_PROGRESS"
    assert outside.sleeps == []


def test_without_waiting_a_job_that_failed_already_still_fails(outside: FakeOutside, post: Post) -> None:
    outside.personalize.seconds, outside.personalize.reason = 0, "no"
    run(outside, event("no-wait", post.url))
    assert post.answer["Reason"] == f"no (job: {ARN}; {LOG})"
    assert outside.personalize.count(CREATE) == 1


def test_without_waiting_a_job_accepted_before_the_deadline_is_a_success_after_it(
    outside: FakeOutside, post: Post
) -> None:
    outside.time = START + 3400
    outside.personalize.add(ID, **OURS)
    run(outside, event("no-wait", post.url))
    assert post.answer["Data"]["Status"] == "CREATE IN_PROGRESS"


@pytest.mark.parametrize("name", ["create", "link"])
def test_when_another_link_follows_the_deadline_is_a_success(outside: FakeOutside, post: Post, name: str) -> None:
    outside.personalize.add(ID, **OURS)
    outside.personalize.jobs[ID]["seconds"] = 9999
    run(outside, event(name, post.url, MoreLinks="true"))
    assert outside.time == START + 3360
    assert post.answer["Status"] == "SUCCESS"
    assert post.answer["Data"]["Status"] == "CREATE IN_PROGRESS"
    assert post.answer["Data"]["DatasetExportJobArn"] == ARN


def test_when_another_link_follows_a_request_without_a_job_still_fails(outside: FakeOutside, post: Post) -> None:
    outside.time = START + 3400
    run(outside, event("create", post.url, MoreLinks="true"))
    assert post.answer["Status"] == "FAILED"


def test_a_link_waits_for_the_job_it_is_given(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS)
    run(outside, event("link", post.url))
    assert outside.personalize.count(CREATE) == 0
    assert post.answer["Data"]["Status"] == "ACTIVE"
    assert post.answer["PhysicalResourceId"] == f"{ID}-link-rdayikwvgv3n"


def test_a_link_with_a_broken_property_says_what_is_allowed(outside: FakeOutside, post: Post) -> None:
    run(outside, event("link", post.url, MaxWaitSeconds="soon"))
    assert post.answer["Reason"] == (
        f"MaxWaitSeconds is 'soon'. Allowed: whole seconds, 1 or more. Fix: set max_wait. ({LOG})"
    )


def test_a_link_reports_the_failure_of_the_job(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS, reason="no")
    run(outside, event("link", post.url))
    assert post.answer["Reason"] == f"no (job: {ARN}; {LOG})"


def test_the_last_link_fails_at_its_deadline(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS)
    outside.personalize.jobs[ID]["seconds"] = 9999
    run(outside, event("link", post.url, MaxWaitSeconds="600"))
    assert post.answer["Reason"].startswith(
        "The dataset export job is still CREATE IN_PROGRESS after 10 min; it runs on"
    )


def test_a_link_to_a_job_that_is_not_there_says_so(outside: FakeOutside, post: Post) -> None:
    run(outside, event("link", post.url))
    assert post.answer["Reason"] == f"Personalize has not known the job {ARN} for 60 s ({LOG})"


def test_a_delete_deletes_nothing_and_ends_at_once_when_the_job_is_over(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS, created=0)
    run(outside, event("delete", post.url))
    assert post.answer["Status"] == "SUCCESS"
    assert post.answer["PhysicalResourceId"] == ID
    assert outside.personalize.calls == [(DESCRIBE, {"datasetExportJobArn": ARN})]
    assert outside.sleeps == []


def test_a_delete_waits_for_a_running_job_that_needs_its_role_and_bucket(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS, created=START - 1000, reason="no")
    outside.personalize.add(f"{ID}-2", **OURS)
    throttled = Refusal("ThrottlingException")
    outside.personalize.refusals[DESCRIBE] = [throttled, None, throttled, None, None, throttled]
    run(outside, event("delete", post.url))
    assert outside.time >= START + 1 + 100
    assert outside.sleeps[:4] == [1.5, 3, pytest.approx(2.05), 1.5]
    assert post.answer["Status"] == "SUCCESS"


def test_a_delete_polls_a_job_by_its_age(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS, created=START - 3000)
    outside.personalize.jobs[ID]["seconds"] = 3020
    run(outside, event("delete", post.url))
    assert outside.sleeps == [pytest.approx(37.925)]


def test_a_delete_waits_for_a_job_that_does_not_tell_its_age(
    outside: FakeOutside, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_to = outside.personalize.call

    def call(operation: str, params: dict[str, Any]) -> dict[str, Any]:
        answer = answer_to(operation, params)
        del answer["datasetExportJob"]["creationDateTime"]
        return answer

    monkeypatch.setattr(outside.personalize, "call", call)
    outside.personalize.add(ID, **OURS, created=START - 90)
    run(outside, event("delete", post.url))
    assert outside.sleeps == [pytest.approx(2.05)] * 5
    assert post.answer["Status"] == "SUCCESS"


def test_a_delete_waits_for_the_length_of_its_invocation_at_most(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS)
    outside.personalize.jobs[ID]["seconds"] = 9999
    assert run(outside, event("delete", post.url)) == 1
    assert outside.time == pytest.approx(START + 1 + 840)
    assert post.answer["Status"] == "SUCCESS"


def test_a_delete_waits_no_longer_than_cloudformation_listens(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS)
    outside.personalize.jobs[ID]["seconds"] = 9999
    run(outside, event("delete", post.url, MaxWaitSeconds="60"))
    assert outside.time == START + 60
    assert post.answer["Status"] == "SUCCESS"


def test_a_delete_under_a_foreign_id_waits_for_the_job_its_properties_name(outside: FakeOutside, post: Post) -> None:
    outside.personalize.add(ID, **OURS)
    run(outside, event("delete-foreign", post.url))
    assert outside.time >= START + 1 + 100
    assert post.answer["PhysicalResourceId"] == "2026/01/02/[$LATEST]0123456789abcdef0123456789abcdef"
    assert post.answer["Status"] == "SUCCESS"


def test_a_delete_without_an_id_or_a_job_succeeds(outside: FakeOutside, post: Post) -> None:
    request = event("delete", post.url)
    del request["PhysicalResourceId"]
    run(outside, request)
    assert post.answer["PhysicalResourceId"] == "InteractionsExport-never-started"
    assert post.answer["Status"] == "SUCCESS"


def test_a_delete_of_a_link_asks_nobody(outside: FakeOutside, post: Post) -> None:
    run(outside, event("link-delete", post.url))
    assert outside.personalize.calls == []
    assert post.answer["Status"] == "SUCCESS"


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
    outside: FakeOutside, post: Post, name: str, broken: dict[str, Any]
) -> None:
    run(outside, event(name, post.url, **broken))
    assert post.answer["Status"] == "SUCCESS"


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
    outside: FakeOutside, post: Post, refusal: Exception, sleeps: list[float]
) -> None:
    outside.personalize.refusals[DESCRIBE] = [refusal] * 999
    run(outside, event("delete", post.url))
    assert post.answer["Status"] == "SUCCESS"
    assert outside.sleeps == sleeps
    assert outside.errors() == []


def test_a_malformed_request_is_told_what_is_allowed_under_the_id_it_has(outside: FakeOutside, post: Post) -> None:
    run(outside, event("update", post.url, IngestionMode="SOME"))
    assert post.answer["PhysicalResourceId"] == ID
    assert post.answer["Reason"] == (
        f"IngestionMode is 'SOME'. Allowed: ALL, PUT, BULK. Fix: use an IngestionMode. ({LOG})"
    )
    assert outside.personalize.calls == []
    assert outside.errors() == ["IngestionMode is 'SOME'. Allowed: ALL, PUT, BULK. Fix: use an IngestionMode."]


def test_an_unknown_request_type_is_refused(outside: FakeOutside, post: Post) -> None:
    run(outside, {**event("create", post.url), "RequestType": "Upsert"})
    assert post.answer["PhysicalResourceId"] == "InteractionsExport-never-started"
    assert post.answer["Reason"].startswith("RequestType is 'Upsert'. Allowed: Create, Update, Delete.")


def test_an_unexpected_exception_is_answered_with_its_type_and_place(outside: FakeOutside, post: Post) -> None:
    def surprise(effect: str) -> None:
        if effect == "before call":
            raise RuntimeError(f"surprise at {post.url}")

    outside.effect = surprise
    run(outside, event("create", post.url))
    assert post.answer["Status"] == "FAILED"
    reason = r"The export handler failed: surprise at \[hidden\] \(RuntimeError\) in test_index.py line \d+ \(log: .*\)"
    assert re.fullmatch(reason, post.answer["Reason"])
    assert post.answer["PhysicalResourceId"] == "InteractionsExport-never-started"
    assert len(outside.errors()) == 1


def test_missing_credentials_are_the_answer_not_a_hang(outside: FakeOutside, post: Post) -> None:
    outside.personalize.refusals[DESCRIBE] = [NoCredentialsError()]
    run(outside, event("create", post.url))
    assert post.answer["Reason"] == f"Unable to locate credentials (NoCredentialsError) ({LOG})"


@pytest.mark.parametrize("url", ["", "http://example.com/answer", "ftp://127.0.0.1/"])
def test_nothing_is_done_for_a_request_that_can_not_be_answered(outside: FakeOutside, url: str) -> None:
    run(outside, event("create", url))
    assert outside.personalize.calls == []
    assert outside.errors() == ["There is no ResponseURL that may be answered (https only), so nothing is done"]


def test_a_waiter_whose_request_was_cancelled_ends_quietly(outside: FakeOutside, post: Post) -> None:
    post.statuses = [403, 403]
    run(outside, event("create", post.url))
    assert post.bodies == []
    assert len(outside.errors()) == 1


def test_the_signature_of_the_url_is_in_no_line_and_no_answer(outside: FakeOutside, post: Post) -> None:
    outside.personalize.reason = f"no access to {post.url} signed {SIGNATURE}"
    for name in ("create", "rollback", "delete", "link", "no-wait"):
        run(outside, event(name, post.url))
    everything = json.dumps([outside.lines, post.answers])
    assert SIGNATURE not in everything
    assert post.url not in everything


def test_every_line_of_the_log_names_the_request(outside: FakeOutside, post: Post) -> None:
    outside.personalize.refusals[CREATE] = [Refusal("ThrottlingException", "Rate exceeded")]
    run(outside, event("create", post.url))
    assert {line["requestId"] for line in outside.lines} == {"6f1c1f0c-7d6c-4c9b-9d3d-2f4b6b1a0e11"}
    assert {line["logicalId"] for line in outside.lines} == {"InteractionsExport"}
    assert [line["message"] for line in outside.lines] == [
        "Received",
        "Waiting an error out",
        "Job started",
        "Job seen",
        "Job seen",
        "Answered",
    ]
    assert [line["status"] for line in outside.lines if line["message"] == "Job seen"] == [
        "CREATE IN_PROGRESS",
        "ACTIVE",
    ]


def test_lambda_calls_the_handler_with_the_real_outside(
    outside: FakeOutside, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert type(index.OUTSIDE).__name__ == "Outside"
    monkeypatch.setattr(index, "OUTSIDE", outside)
    index.handler(event("create", post.url), Context(outside, 900))
    assert post.answer["Status"] == "SUCCESS"
