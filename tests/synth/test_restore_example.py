"""The restore example makes a dataset group of what was exported, and may read that and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Stack

from examples.restore.app import Export, Restore, RestoreBucket, build, folder_of, read_exports

if TYPE_CHECKING:
    from tests.synth.conftest import Synthesise

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: dict[str, Any] = {"type": "record", "name": "Items", "fields": [{"name": "ITEM_ID", "type": "string"}]}


def manifest(objects: list[str], others: tuple[str, ...] = ("personalize/job/_CHECK",)) -> dict[str, Any]:
    return {
        "version": 1,
        "bucket": "lake",
        "job": {"jobName": "job"},
        "objects": [{"key": key} for key in objects],
        "notData": [{"key": key} for key in others],
    }


def write(folder: Path, dataset_type: str, schema: object, found: dict[str, Any]) -> None:
    (folder / dataset_type).mkdir(parents=True)
    (folder / dataset_type / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    (folder / dataset_type / "manifest.json").write_text(json.dumps(found), encoding="utf-8")


def run(tmp_path: Path, **context: str) -> subprocess.CompletedProcess[str]:
    library = tmp_path / "library"
    library.mkdir(exist_ok=True)
    if not (library / "cdk_personalize_export").exists():
        (library / "cdk_personalize_export").symlink_to(ROOT / "cdk_personalize_export")
    variables = {
        **os.environ,
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_OUTDIR": str(tmp_path / "cdk.out"),
        "CDK_VALIDATION": "false",
        "PYTHONPATH": str(library),
    }
    command = [sys.executable, str(ROOT / "examples/restore/app.py")]
    return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)


def test_each_dataset_is_made_with_its_schema_and_imports_its_folder(app: App, synth: Synthesise) -> None:
    exports = [
        Export("Interactions", "{}", "ECOMMERCE", "s3://lake/a/data/"),
        Export("Items", "{}", "ECOMMERCE", "s3://lake/b/data/"),
        Export("Users", "{}", "ECOMMERCE", None),
    ]
    result = synth(Restore(app, "Restore", dataset_group="again", exports=exports))
    assert result.the("AWS::Personalize::DatasetGroup") == {"Name": "again", "Domain": "ECOMMERCE"}
    assert [schema["Name"] for schema in result.of_type("AWS::Personalize::Schema")] == [
        "again-interactions",
        "again-items",
        "again-users",
    ]
    interactions, items, users = result.of_type("AWS::Personalize::Dataset")
    assert interactions["DatasetImportJob"] == {
        "DataSource": {"DataLocation": "s3://lake/a/data/"},
        "JobName": "again-interactions-1d0921fe",
        "RoleArn": "${ImportRole.Arn}",
    }
    assert items["DatasetImportJob"]["DataSource"] == {"DataLocation": "s3://lake/b/data/"}
    assert "DatasetImportJob" not in users


def test_import_role_reads_the_folders_and_nothing_else_and_is_for_personalize_in_this_account(
    app: App, synth: Synthesise
) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1"
    exports = [Export("Items", "{}", None, "s3://lake/b/data/"), Export("Users", "{}", None, "s3://lake/c/data/")]
    result = synth(Restore(app, "Restore", dataset_group="again", exports=exports, key_arn=key))
    role = result.the("AWS::IAM::Role")
    arn = "arn:${AWS::Partition}:s3:::lake"
    assert [(s["Action"], s["Resource"]) for s in role["Policies"][0]["PolicyDocument"]["Statement"]] == [
        ("s3:ListBucket", arn),
        ("s3:GetObject", [f"{arn}/b/data/*", f"{arn}/c/data/*"]),
        (["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ListGrants"], key),
    ]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "personalize.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "${AWS::AccountId}"}


def test_bucket_for_copies_is_private_forgets_them_and_lets_personalize_read(app: App, synth: Synthesise) -> None:
    result = synth(RestoreBucket(app, "RestoreBucket"))
    bucket = result.the("AWS::S3::Bucket")
    assert bucket["LifecycleConfiguration"]["Rules"] == [{"ExpirationInDays": 7, "Status": "Enabled"}]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    tls, *statements = result.the("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    assert tls["Effect"] == "Deny"
    assert [(s["Action"], s["Resource"]) for s in statements] == [
        ("s3:ListBucket", "${Bucket.Arn}"),
        ("s3:GetObject", "${Bucket.Arn}/*"),
    ]
    assert {s["Principal"]["Service"] for s in statements} == {"personalize.amazonaws.com"}


def test_data_is_imported_from_the_copies_or_from_where_it_was_exported(tmp_path: Path) -> None:
    answer = {"schema": {"schema": json.dumps(SCHEMA), "domain": "VIDEO_ON_DEMAND"}}
    write(tmp_path, "items", answer, manifest(["personalize/job/job/part-0.csv", "personalize/job/job/part-1.csv"]))
    write(tmp_path, "users", SCHEMA, manifest([]))
    items, users = read_exports(tmp_path, "s3://copies/")
    assert items == Export("Items", json.dumps(SCHEMA), "VIDEO_ON_DEMAND", "s3://copies/items/data/")
    assert users == Export("Users", json.dumps(SCHEMA), None, None)
    assert read_exports(tmp_path, None)[0].folder == "s3://lake/personalize/job/job/"


def test_copies_need_no_manifest_and_what_is_imported_in_place_does(tmp_path: Path) -> None:
    write(tmp_path, "items", SCHEMA, {})
    (tmp_path / "items" / "manifest.json").unlink()
    assert [export.folder for export in read_exports(tmp_path, "s3://copies/")] == ["s3://copies/items/data/"]
    with pytest.raises(ValueError, match=r"items/manifest\.json cannot be read: No such file or directory\. Let fetch"):
        read_exports(tmp_path, None)


@pytest.mark.parametrize(
    ("objects", "others", "why"),
    [
        (["job/a.csv"], ("job/_CHECK",), "The data of job is beside job/_CHECK, and an import takes every object"),
        (["job/1/a.csv", "job/2/a.csv"], (), "The data of job is in 2 folders, and an import takes every object"),
    ],
)
def test_folder_that_holds_something_else_or_not_everything_is_not_imported(
    objects: list[str], others: tuple[str, ...], why: str
) -> None:
    with pytest.raises(ValueError, match=f"^{why} of one folder: copy the data into a bucket"):
        folder_of(manifest(objects, others))


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"data": "s3://lake/"}, "No dataset group was given: pass -c dataset_group=NAME, the name of a new one"),
        (
            {"dataset_group": "a b"},
            "dataset_group 'a b' is no name: use at most 40 letters, digits, - and _, beginning",
        ),
        ({"dataset_group": "g" * 41}, f"dataset_group '{'g' * 41}' is no name: use at most 40 letters"),
        ({"dataset_group": "g", "data": "s3://lake/x"}, "data 's3://lake/x' is no folder: pass s3://BUCKET/ or"),
        ({"dataset_group": "g", "data": "lake"}, "data 'lake' is no folder: pass s3://BUCKET/ or"),
        ({"dataset_group": "g"}, "exported holds no export: let fetch.py write exported/interactions and its siblings"),
        (
            {"dataset_group": "g", "exported": "bare"},
            "bare/items/schema.json cannot be read: No such file",
        ),
        ({"dataset_group": "g", "exported": "other"}, "other/users/manifest.json is no manifest of version 1. Let"),
        ({"dataset_group": "g", "exported": "broken"}, "broken/items/schema.json is not JSON: Expecting value"),
    ],
)
def test_what_cannot_be_restored_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: dict[str, str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bare/items").mkdir(parents=True)
    Path("broken/items").mkdir(parents=True)
    Path("broken/items/schema.json").write_text("x", encoding="utf-8")
    write(Path("other"), "users", SCHEMA, {"version": 2})
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        build(App(context=context))
    assert str(refused.value).startswith(message)


def test_app_is_the_bucket_alone_until_a_dataset_group_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "exported", "items", SCHEMA, manifest(["job/job/a.csv"]))
    alone, both = App(), App(context={"dataset_group": "again"})
    build(alone)
    build(both)
    assert [stack.node.id for stack in alone.node.children] == ["RestoreBucket"]
    assert [stack.node.id for stack in both.node.children] == ["RestoreBucket", "Restore", "RestoreCheck"]


def test_restored_datasets_are_exported_again_after_their_imports(
    app: App, synth: Synthesise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "exported", "items", SCHEMA, manifest(["job/job/a.csv"]))
    app.node.set_context("dataset_group", "again")
    build(app)
    check = app.node.find_child("RestoreCheck")
    assert isinstance(check, Stack)
    assert {stack.node.id for stack in check.dependencies} == {"Restore", "RestoreBucket"}
    (export,) = synth(check).exports
    assert export["DatasetArn"].endswith(":dataset/again/ITEMS")
    assert export["Prefix"] == "again/"
    assert "Manifest" in export


def test_app_runs_in_any_folder_and_says_what_is_wrong_without_a_traceback(tmp_path: Path) -> None:
    wrong = run(tmp_path, dataset_group="again")
    assert wrong.returncode == 1
    assert wrong.stderr == "exported holds no export: let fetch.py write exported/interactions and its siblings\n"
    write(tmp_path / "exported", "items", SCHEMA, manifest(["job/job/a.csv"]))
    right = run(tmp_path, dataset_group="again")
    assert right.returncode == 0, right.stderr
    assert (tmp_path / "cdk.out" / "Restore.template.json").exists()
