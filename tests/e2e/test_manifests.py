"""Manifests, deployed with IAM enforced: they name what is in the bucket, and one that is denied says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from account import wait_for

if TYPE_CHECKING:
    from account import Account

pytestmark = pytest.mark.e2e
APP = "tests/e2e/apps/manifests.py"
DAY = 86400
DENIED = "The job is ACTIVE, its manifest could not be written: "


def split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def read(account: Account, uri: str) -> str:
    bucket, key = split(uri)
    return str(account.aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode())


def listed(account: Account, path: str) -> dict[str, tuple[int, str]]:
    """What is in the bucket below a path, as somebody else than the function sees it."""
    bucket, prefix = split(path)
    pages = account.aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [item for page in pages for item in page.get("Contents", [])]
    return {item["Key"]: (item["Size"], item["ETag"].strip('"')) for item in found}


def told(account: Account, url: str) -> dict[str, Any]:
    """Wait for the next event, and return its detail."""
    sqs, found = account.aws.client("sqs"), []

    def received() -> bool:
        found.extend(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1).get("Messages", []))
        return bool(found)

    wait_for(received, seconds=240)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])
    detail: dict[str, Any] = json.loads(found[0]["Body"])["detail"]
    return detail


def test_a_manifest_names_what_is_in_the_bucket_and_latest_follows_the_newest_export(account: Account) -> None:
    done = account.deploy(app=APP)
    assert done.returncode == 0, done.stderr
    outputs = account.outputs("Listed")
    manifest = json.loads(read(account, outputs["ManifestPath"]))
    entries = [*manifest["objects"], *manifest["notData"]]
    assert {item["key"]: (item["size"], item["etag"]) for item in entries} == listed(account, outputs["OutputPath"])
    assert [item["key"].rpartition("/")[2] for item in manifest["notData"]] == ["_CHECK"]
    assert manifest["totalObjects"] == len(manifest["objects"]) > 0
    (job,) = account.jobs()
    assert manifest["job"]["datasetExportJobArn"] == job["datasetExportJobArn"]
    lines = read(account, f"{outputs['LatestPath']}symlink.txt").splitlines()
    assert lines == [f"s3://{manifest['bucket']}/{item['key']}" for item in manifest["objects"]]
    assert sum(read(account, line).count("\n") - 1 for line in lines) == 3
    day = f"{job['creationDateTime'].astimezone(tz=None):%Y-%m-%d}"
    assert day in "".join(listed(account, outputs["DailyPath"]))

    bucket, key = split(outputs["ManifestPath"])
    (encrypted,) = account.aws.client("kms").list_keys()["Keys"]
    head = account.aws.client("s3").head_object(Bucket=bucket, Key=key)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"].rpartition("/")[2]) == ("aws:kms", encrypted["KeyId"])


def test_the_ready_app_exports_again_and_the_pointers_name_the_newest(account: Account) -> None:
    manifests = []
    for generation in ("1", "2", "1"):
        done = account.deploy("--context", "manifest=true", "--context", f"generation={generation}")
        assert done.returncode == 0, done.stderr
        outputs = account.outputs("PersonalizeExport")
        (manifest,) = [value for name, value in outputs.items() if "ManifestPath" in name]
        (latest,) = [value for name, value in outputs.items() if "LatestPath" in name]
        manifests.append(manifest)
        assert manifest in done.stdout + done.stderr
    first, second, again = manifests
    assert first == again != second
    newest = json.loads(read(account, second))
    lines = read(account, f"{latest}symlink.txt").splitlines()
    assert lines == [f"s3://{newest['bucket']}/{item['key']}" for item in newest["objects"]]
    assert len(account.jobs()) == 2


def test_a_manifest_that_is_denied_fails_the_deployment_and_the_tick_with_its_reason(account: Account) -> None:
    denied = ("--context", "denied=true")
    assert account.deploy(*denied, "--context", "schedule=true", app=APP).returncode == 0
    outputs = account.outputs("Scheduled")
    account.aws.advance_clock(DAY)
    wait_for(lambda: len(account.jobs()) == 1)

    failed = account.deploy(*denied, app=APP)  # both are tried again for two minutes, side by side

    assert failed.returncode != 0
    text = " ".join(failed.stderr.split())  # the CDK breaks lines
    assert DENIED in text
    assert "AccessDenied from PutObject" in text
    detail = told(account, outputs["ToldUrl"])
    assert (detail["outcome"], detail["status"], "manifestPath" in detail) == ("FAILED", "ACTIVE", False)
    assert detail["reason"].startswith(DENIED)
    assert [job["status"] for job in account.jobs()] == ["ACTIVE", "ACTIVE"]
    assert listed(account, outputs["LatestPath"]), "the pointers come before the manifest"
