"""What is written beside the data once a job is ACTIVE, and what happens when that is not possible."""

import json
from typing import Any

import pytest

from tests.buckets import HEAD, LIST, PUT, Buckets, Stored
from tests.unit.handler.test_crashes import crash_at, play
from tests.unit.handler.test_exports import ARN, ID, OURS
from tests.unit.handler.test_schedule import ID as TICK_ID
from tests.unit.handler.test_telling import TELLING
from tests.unit.handler.world import START, AnswerServer, FakeOutbound, Refusal, event, run, tick

FOLDER = "Shop-0badc0-Interactions"
MANIFEST = f"shop/_manifests/{FOLDER}/{ID}.json"
LATEST = f"shop/hive/{FOLDER}/latest/symlink.txt"
DAILY = f"shop/hive/{FOLDER}/daily/dt=2026-01-02/symlink.txt"
LINES = f"s3://exports/shop/{ID}/part-0.csv\ns3://exports/shop/{ID}/part-1.csv\n"
CREATED = f"{START + 1:.3f}"
UNWRITTEN = "The job is ACTIVE, its manifest could not be written: "
DENIED = "AccessDenied, says S3 (AccessDenied from {}); tried again for 120 s in case a permission was on its way"


def export(server: AnswerServer, name: str = "create", **properties: object) -> dict[str, Any]:
    return event(name, server.url, Manifest=FOLDER, **properties)


def ours(bucket: Buckets) -> dict[str, bytes]:
    """What the function has written."""
    found = {key: stored.body for (_, key), stored in bucket.objects.items()}
    return {key: body for key, body in found.items() if "_manifests/" in key or "hive/" in key}


def pointer(created: float, job_name: str = "Other", body: bytes = b"s3://exports/other\n") -> Stored:
    return Stored(body, {"x-amz-meta-job-created": f"{created:.3f}", "x-amz-meta-job-name": job_name})


# -- what is written --------------------------------------------------------------------------------------------------


def test_a_manifest_says_what_the_job_was_and_what_it_wrote(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, export(server, Generation="7"))
    (key,) = [key for key in ours(outbound.s3) if key.startswith("shop/_manifests/")]
    job_name = server.answer["PhysicalResourceId"]
    assert key == f"shop/_manifests/{FOLDER}/{job_name}.json"
    assert server.answer["Data"]["ManifestPath"] == f"s3://exports/{key}"
    manifest = json.loads(outbound.s3.text("exports", key))
    for item in [*manifest["objects"], *manifest["notData"]]:
        assert f'"{item.pop("etag")}"' == outbound.s3.objects["exports", item["key"]].etag
    assert manifest == {
        "version": 1,
        "job": {
            "jobName": job_name,
            "datasetExportJobArn": ARN.replace(ID, job_name),
            "datasetArn": OURS["datasetArn"],
            "ingestionMode": "ALL",
            "roleArn": OURS["roleArn"],
            "status": "ACTIVE",
            "jobOutput": {"s3DataDestination": {"path": f"s3://exports/shop/{job_name}/"}},
            "creationDateTime": "2026-01-02T03:04:06Z",
            "lastUpdatedDateTime": "2026-01-02T03:05:46Z",
            "duration": 100.0,
        },
        "stackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/Shop/5a1c2b30-e7a1-11f0-8de9-0242ac120002",
        "exportId": "Shop/Interactions",
        "generation": "7",
        "completedAt": "2026-01-02T03:05:46Z",
        "bucket": "exports",
        "objects": [
            {"key": f"shop/{job_name}/part-0.csv", "size": 11},
            {"key": f"shop/{job_name}/part-1.csv", "size": 3},
        ],
        "notData": [
            {"key": f"shop/{job_name}/_CHECK", "size": 2},
            {"key": f"shop/{job_name}/empty.csv", "size": 0},
        ],
        "totalObjects": 2,
        "totalBytes": 14,
    }


def test_pointers_name_the_data_and_nothing_else(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, export(server))
    assert ours(outbound.s3).keys() == {MANIFEST, LATEST, DAILY}
    for key in (LATEST, DAILY):
        stored = outbound.s3.objects["exports", key]
        assert stored.body.decode() == LINES
        assert stored.headers["x-amz-meta-job-created"] == CREATED
        assert stored.headers["x-amz-meta-job-name"] == ID
    assert [call for call in outbound.s3.calls if call[0] != LIST] == [(PUT, LATEST), (PUT, DAILY), (PUT, MANIFEST)]


def test_a_tick_belongs_to_the_day_of_its_scheduled_time(outbound: FakeOutbound) -> None:
    outbound.time = START + 22 * 3600  # the day after
    late = tick(Manifest="Shop-0badc0-Nightly", MaxWaitSeconds=str(12 * 3600))
    late["Tick"]["ScheduledTime"] = "2026-01-02T23:04:00Z"
    run(outbound, late)
    folder = "shop/hive/Shop-0badc0-Nightly"
    keys = [key for key in ours(outbound.s3) if key.startswith(folder)]
    assert sorted(keys) == [f"{folder}/daily/dt=2026-01-02/symlink.txt", f"{folder}/latest/symlink.txt"]
    (key,) = [key for key in ours(outbound.s3) if key.startswith("shop/_manifests/")]
    manifest = json.loads(outbound.s3.text("exports", key))
    assert (manifest["scheduledTime"], "generation" in manifest) == ("2026-01-02T23:04:00Z", False)
    assert manifest["job"]["creationDateTime"].startswith("2026-01-03")
    assert outbound.bus.details[-1]["manifestPath"] == f"s3://exports/{key}"


def test_an_export_to_the_root_of_a_bucket_has_its_folders_there(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, export(server, Prefix=None))
    assert {key.partition("/")[0] for key in ours(outbound.s3)} == {"_manifests", "hive"}


def test_the_key_of_the_export_encrypts_what_is_written(outbound: FakeOutbound, server: AnswerServer) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/0f1e"
    run(outbound, export(server, KmsKeyArn=key))
    written = [outbound.s3.objects["exports", name].headers for name in ours(outbound.s3)]
    assert len(written) == 3
    for headers in written:
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == key


def test_the_bucket_is_called_in_the_region_of_the_dataset(outbound: FakeOutbound, server: AnswerServer) -> None:
    called: list[tuple[str, str | None]] = []
    call = outbound.call

    def noted(service: str, operation: str, region: str | None = None, **parameters: Any) -> Any:
        called.append((service, region))
        return call(service, operation, region, **parameters)

    outbound.call = noted  # type: ignore[method-assign]
    run(outbound, export(server))
    assert {region for service, region in called if service == "s3"} == {"us-east-1"}


def test_without_a_key_the_bucket_encrypts_by_itself(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, export(server))
    for name in ours(outbound.s3):
        assert not any("encryption" in header for header in outbound.s3.objects["exports", name].headers)


def test_a_manifest_is_json_and_an_object_of_one_byte_is_data(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.s3.parts = {"part-0.csv": b"u"}
    run(outbound, export(server))
    stored = outbound.s3.objects["exports", MANIFEST]
    assert json.loads(stored.body)["totalObjects"] == 1
    assert stored.headers["content-type"] == "application/json"


def test_many_objects_are_listed_in_pages(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.s3.parts = {f"part-{number:04}.csv": b"u\n" for number in range(2500)}
    run(outbound, export(server))
    assert sum(operation == LIST for operation, _ in outbound.s3.calls) == 3
    manifest = json.loads(outbound.s3.text("exports", MANIFEST))
    assert [item["key"] for item in manifest["objects"]] == sorted(f"shop/{ID}/{name}" for name in outbound.s3.parts)
    assert (manifest["totalObjects"], manifest["totalBytes"]) == (2500, 5000)
    assert outbound.s3.text("exports", LATEST).count("\n") == 2500
    assert all(pause > 1.5 for pause in outbound.sleeps)  # of the job's looks alone


def test_a_key_with_awkward_characters_is_named_as_it_is(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.s3.parts = {"päri & <1>+%20.csv": b"u\n"}
    run(outbound, export(server))
    assert outbound.s3.text("exports", LATEST) == f"s3://exports/shop/{ID}/päri & <1>+%20.csv\n"
    assert json.loads(outbound.s3.text("exports", MANIFEST))["objects"][0]["key"].endswith("/päri & <1>+%20.csv")


def test_an_export_without_data_has_empty_pointers(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.s3.parts = {}
    run(outbound, export(server))
    assert outbound.s3.text("exports", LATEST) == ""
    assert json.loads(outbound.s3.text("exports", MANIFEST))["totalObjects"] == 0


# -- when -------------------------------------------------------------------------------------------------------------


def test_nothing_is_listed_or_written_where_nobody_wants_a_manifest(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    run(outbound, event("create", server.url, **TELLING))
    run(outbound, tick())
    assert outbound.s3.calls == []
    assert "ManifestPath" not in server.answer["Data"]
    assert not any("manifestPath" in detail for detail in outbound.bus.details)


def test_nothing_is_listed_or_written_of_a_job_that_failed(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.reason = "no"
    run(outbound, export(server))
    assert server.answer["Status"] == "FAILED"
    assert outbound.s3.calls == []


def test_nothing_is_listed_or_written_of_a_job_that_still_runs(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.seconds = 7200
    run(outbound, export(server))
    assert server.answer["Status"] == "FAILED"
    assert outbound.s3.calls == []


def test_an_event_of_success_comes_after_the_manifest_and_names_it(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    run(outbound, export(server, **TELLING))
    started, succeeded = outbound.bus.details
    assert succeeded["manifestPath"] == f"s3://exports/{MANIFEST}"
    assert "manifestPath" not in started


def test_a_job_that_is_active_after_the_deadline_is_written_in_the_last_look(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.personalize.add(ID, created=START - 3600, **OURS)
    outbound.s3.parts = {f"part-{number:04}.csv": b"u\n" for number in range(1500)}  # more than a page
    outbound.time = START + 3400
    run(outbound, export(server))
    assert server.answer["Status"] == "SUCCESS"
    assert json.loads(outbound.s3.text("exports", MANIFEST))["totalObjects"] == 1500


def test_every_link_that_sees_the_end_writes_and_the_last_one_answers(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    run(outbound, export(server, MoreLinks="true"))
    written = ours(outbound.s3)
    assert written.keys() == {MANIFEST, LATEST, DAILY}
    run(outbound, export(server, "link"))
    assert ours(outbound.s3) == written
    assert [answer["Data"]["ManifestPath"] for answer in server.answers] == [f"s3://exports/{MANIFEST}"] * 2


# -- once, and never back ---------------------------------------------------------------------------------------------


def test_repeating_it_writes_nothing_again(outbound: FakeOutbound, server: AnswerServer) -> None:
    puts: list[str] = []
    outbound.s3.on_put = lambda _bucket, key, _stored, taken: puts.append(key) if taken else None
    for _ in range(3):
        run(outbound, export(server))
    assert puts == [LATEST, DAILY, MANIFEST]
    assert [answer["Data"]["ManifestPath"] for answer in server.answers] == [f"s3://exports/{MANIFEST}"] * 3


def test_a_manifest_that_is_asked_for_later_is_written_then(outbound: FakeOutbound, server: AnswerServer) -> None:
    run(outbound, event("create", server.url))
    assert ours(outbound.s3) == {}
    outbound.time += 86400
    run(outbound, export(server, "rollback"))
    assert len(outbound.personalize.jobs) == 1
    assert ours(outbound.s3).keys() == {MANIFEST, LATEST, DAILY}


@pytest.mark.parametrize("kept", [pointer(START + 2), pointer(START + 1, "Z"), pointer(START + 1, ID)])
def test_a_newer_export_stays(outbound: FakeOutbound, server: AnswerServer, kept: Stored) -> None:
    outbound.s3.objects["exports", LATEST] = outbound.s3.objects["exports", DAILY] = kept
    run(outbound, export(server))
    assert ours(outbound.s3)[LATEST] == ours(outbound.s3)[DAILY] == kept.body
    assert MANIFEST in ours(outbound.s3)


@pytest.mark.parametrize("old", [pointer(START), pointer(START + 1, "A"), Stored(b"by hand")])
def test_an_older_export_and_what_nobody_knows_is_replaced(
    outbound: FakeOutbound, server: AnswerServer, old: Stored
) -> None:
    outbound.s3.objects["exports", LATEST] = outbound.s3.objects["exports", DAILY] = old
    run(outbound, export(server))
    assert ours(outbound.s3)[LATEST].decode() == ours(outbound.s3)[DAILY].decode() == LINES


@pytest.mark.parametrize(
    ("meanwhile", "wins"), [(pointer(START, body=b"old"), True), (pointer(START + 9, body=b"new"), False)]
)
def test_another_export_that_writes_in_between_is_compared_again(
    outbound: FakeOutbound,
    server: AnswerServer,
    meanwhile: Stored,
    wins: bool,  # noqa: FBT001
) -> None:
    outbound.s3.objects["exports", LATEST] = pointer(START - 9, body=b"first")

    def interfere(what: str) -> None:
        if what == "before call" and outbound.s3.calls and outbound.s3.calls[-1] == (HEAD, LATEST):
            outbound.effect = lambda _: None
            outbound.s3.objects["exports", LATEST] = meanwhile

    outbound.effect = interfere
    run(outbound, export(server))
    assert (outbound.s3.text("exports", LATEST) == LINES) is wins


@pytest.mark.parametrize("after", [PUT, HEAD])
def test_a_pointer_that_is_deleted_in_between_is_written(
    outbound: FakeOutbound, server: AnswerServer, after: str
) -> None:
    outbound.s3.objects["exports", LATEST] = pointer(START)

    def delete(what: str) -> None:
        if what == "before call" and outbound.s3.calls and outbound.s3.calls[-1] == (after, LATEST):
            outbound.effect = lambda _: None
            del outbound.s3.objects["exports", LATEST]

    outbound.effect = delete
    run(outbound, export(server))
    assert outbound.s3.text("exports", LATEST) == LINES
    assert server.answer["Status"] == "SUCCESS"


# -- what may go wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [LIST, PUT])
@pytest.mark.parametrize(
    "refusal",
    [
        Refusal("SlowDown", status=503),
        Refusal("InternalError", status=500),
        Refusal("ConditionalRequestConflict", status=409),
        Refusal("AccessDenied", status=403),
    ],
    ids=lambda refusal: refusal.code,
)
def test_an_error_that_passes_is_waited_out(
    outbound: FakeOutbound, server: AnswerServer, operation: str, refusal: Refusal
) -> None:
    outbound.s3.refusals = {operation: [refusal] * 3}
    run(outbound, export(server))
    assert server.answer["Status"] == "SUCCESS"
    assert ours(outbound.s3).keys() == {MANIFEST, LATEST, DAILY}


def test_an_answer_that_gets_lost_makes_no_difference(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.s3.lost = {LIST: 1, PUT: 3}
    run(outbound, export(server))
    assert server.answer["Status"] == "SUCCESS"
    assert ours(outbound.s3).keys() == {MANIFEST, LATEST, DAILY}


@pytest.mark.parametrize(("operation", "named"), [(LIST, "ListObjectsV2"), (PUT, "PutObject")])
def test_a_refusal_that_stays_fails_the_deployment_with_its_reason(
    outbound: FakeOutbound, server: AnswerServer, operation: str, named: str
) -> None:
    outbound.s3.refusals = {operation: [Refusal("AccessDenied", status=403)] * 99}
    run(outbound, export(server, **TELLING))
    answer = server.answer
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", ID)
    assert answer["Reason"].startswith(UNWRITTEN + DENIED.format(named))
    assert MANIFEST not in ours(outbound.s3)
    assert outbound.bus.outcomes == ["STARTED", "FAILED"]
    assert outbound.bus.details[-1]["status"] == "ACTIVE"


def test_a_look_that_is_refused_is_named(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.s3.objects["exports", LATEST] = pointer(START)
    outbound.s3.refusals = {HEAD: [Refusal("AccessDenied", status=403)] * 99}
    run(outbound, export(server))
    assert server.answer["Reason"].startswith(f"{UNWRITTEN}Forbidden (403 from HeadObject); tried again for 120 s")


def test_a_bucket_that_is_gone_fails_at_once(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.s3.refusals = {LIST: [Refusal("NoSuchBucket", status=404)]}
    run(outbound, export(server))
    assert server.answer["Reason"].startswith(f"{UNWRITTEN}NoSuchBucket, says S3 (NoSuchBucket from ListObjectsV2)")
    assert len(outbound.s3.calls) == 0


def test_the_next_request_joins_the_job_and_writes(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.s3.refusals = {LIST: [Refusal("NoSuchBucket", status=404)]}
    run(outbound, export(server))
    run(outbound, export(server, "rollback"))
    assert [answer["Status"] for answer in server.answers] == ["FAILED", "SUCCESS"]
    assert len(outbound.personalize.jobs) == 1
    assert MANIFEST in ours(outbound.s3)


def test_a_failure_is_told_also_of_a_job_that_was_there_before(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.personalize.add(ID, created=START - 7200, **OURS)
    outbound.s3.refusals = {LIST: [Refusal("NoSuchBucket", status=404)]}
    run(outbound, export(server, "rollback", **TELLING))
    assert outbound.bus.outcomes == ["FAILED"]


def test_a_tick_tells_that_its_manifest_could_not_be_written(outbound: FakeOutbound) -> None:
    outbound.s3.refusals = {PUT: [Refusal("AccessDenied", status=403)] * 99}
    run(outbound, tick(Manifest=FOLDER))
    assert outbound.bus.outcomes == ["STARTED", "FAILED"]
    assert outbound.bus.details[-1]["reason"] == UNWRITTEN + DENIED.format("PutObject")
    assert outbound.metrics()[-1]["Failed"] == 1
    assert len(outbound.personalize.jobs) == 1


def test_a_service_that_stays_away_until_the_deadline_fails_the_deployment(
    outbound: FakeOutbound, server: AnswerServer
) -> None:
    outbound.s3.refusals = {LIST: [Refusal("SlowDown", status=503)] * 999}
    run(outbound, export(server, MaxWaitSeconds="300"))
    assert server.answer["Reason"].startswith(f"{UNWRITTEN}SlowDown, says S3 (SlowDown from ListObjectsV2)")
    assert outbound.time <= START + 340


def test_a_list_that_takes_until_the_deadline_says_so(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.s3.page = 1

    def slow(what: str) -> None:
        if what == "after call" and outbound.s3.calls:
            outbound.time += 150

    outbound.effect = slow
    run(outbound, export(server, MaxWaitSeconds="300"))
    assert server.answer["Reason"].startswith(f"{UNWRITTEN}no time was left")


def test_another_invocation_goes_on_when_this_one_ends(outbound: FakeOutbound, server: AnswerServer) -> None:
    outbound.s3.refusals = {LIST: [Refusal("SlowDown", status=503)] * 20}
    assert run(outbound, export(server), seconds=150) > 2
    assert server.answer["Status"] == "SUCCESS"
    assert ours(outbound.s3).keys() == {MANIFEST, LATEST, DAILY}


def test_a_job_without_a_time_of_creation_is_refused(
    outbound: FakeOutbound, server: AnswerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = outbound.personalize.call

    def timeless(operation: str, params: dict[str, Any]) -> dict[str, Any]:
        answer = describe(operation, params)
        answer.get("datasetExportJob", {}).pop("creationDateTime", None)
        return answer

    monkeypatch.setattr(outbound.personalize, "call", timeless)
    run(outbound, export(server))
    assert server.answer["Reason"].startswith(f"{UNWRITTEN}Personalize does not say when the job was created")


@pytest.mark.parametrize("folder", ["a/b", "a b", "..", "ä"])
def test_a_folder_that_is_no_name_is_refused(outbound: FakeOutbound, server: AnswerServer, folder: str) -> None:
    run(outbound, event("create", server.url, Manifest=folder))
    assert server.answer["Reason"].startswith(f"Manifest is {folder!r}. Allowed: a-z A-Z 0-9 _ -.")
    assert outbound.personalize.jobs == {}


# -- crashes ----------------------------------------------------------------------------------------------------------


def test_a_crash_at_any_point_leaves_one_manifest_and_pointers_to_it(server: AnswerServer) -> None:
    undisturbed = FakeOutbound()
    steps = crash_at(undisturbed, set())
    play(undisturbed, "create", server.url, Manifest=FOLDER)
    assert steps() > 15
    server.bodies.clear()
    for step in range(1, steps() + 1):
        outbound = FakeOutbound()
        crash_at(outbound, {step})
        play(outbound, "create", server.url, Manifest=FOLDER)
        written = ours(outbound.s3)
        assert written.keys() == {MANIFEST, LATEST, DAILY}, step
        assert written[LATEST] == written[DAILY] == LINES.encode(), step
        assert json.loads(written[MANIFEST])["totalObjects"] == 2, step
        assert {answer["Status"] for answer in server.answers} == {"SUCCESS"}, step
        server.bodies.clear()


def test_ticks_are_named_after_their_time(outbound: FakeOutbound) -> None:
    run(outbound, tick(Manifest=FOLDER))
    assert f"shop/_manifests/{FOLDER}/{TICK_ID}.json" in ours(outbound.s3)
