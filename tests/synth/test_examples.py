"""The examples synthesise, and do what they are there to show."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Stack

from examples.athena.app import Athena, schemas_in
from examples.cross_account.app import build
from examples.hardened.app import Account, Hardened, account_of
from examples.nightly.app import Nightly
from tests.pages import Page

if TYPE_CHECKING:
    from tests.synth.conftest import Synthesise

ROOT = Path(__file__).resolve().parents[2]


def test_hardened_function_is_in_the_vpc_with_everything_encrypted(app: App, synth: Synthesise) -> None:
    result = synth(Hardened(app, "Hardened", dataset_group="movies"))
    function = result.the("AWS::Lambda::Function")
    assert function["VpcConfig"]["SubnetIds"] == ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    assert function["DeadLetterConfig"] == {"TargetArn": "${DeadLetters.Arn}"}
    assert function["KmsKeyArn"] == "${OperationsKey.Arn}"
    assert function["ReservedConcurrentExecutions"] == 5
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert result.the("AWS::Logs::LogGroup")["KmsKeyId"] == "${OperationsKey.Arn}"
    assert "AWS::IAM::Policy" not in result.types
    assert not [warning for warning in result.warnings if "cdk-personalize-export" in warning]


def test_hardened_network_reaches_personalize_lambda_and_the_answers_of_cloudformation(
    app: App, synth: Synthesise
) -> None:
    result = synth(Hardened(app, "Hardened", dataset_group="movies"))
    endpoints = {e["ServiceName"]: e for e in result.of_type("AWS::EC2::VPCEndpoint")}
    assert list(endpoints) == [
        f"com.amazonaws.${{AWS::Region}}.{service}" for service in ("personalize", "lambda", "cloudformation", "s3")
    ]
    (statement,) = endpoints["com.amazonaws.${AWS::Region}.s3"]["PolicyDocument"]["Statement"]
    assert statement["Resource"] == "arn:${AWS::Partition}:s3:::cloudformation-custom-resource-response-*"


def test_cross_account_bucket_is_deployed_first_and_lets_personalize_and_the_role_in(
    app: App, synth: Synthesise
) -> None:
    build(app, dataset_group="movies", data_account="111122223333", lake_account="444455556666", region="us-east-1")
    lake, exports = (app.node.find_child(name) for name in ("Lake", "Exports"))
    assert isinstance(lake, Stack)
    assert isinstance(exports, Stack)
    result = synth(exports)
    assert exports.dependencies == [lake]
    (role,) = [r["RoleName"] for r in result.of_type("AWS::IAM::Role") if "RoleName" in r]
    conditions = [s["Condition"] for s in synth(lake).statements("BucketPolicy")[3:]]
    assert [c["ArnEquals"]["aws:PrincipalArn"].rpartition(":role/")[2] for c in conditions] == [role, role]
    assert {(e["Bucket"], e["Prefix"]) for e in result.exports} == {
        ("personalize-exports-444455556666-us-east-1", "movies/")
    }


SCHEMA = json.dumps({"type": "record", "name": "Any", "fields": [{"name": "USER_ID", "type": "string"}]})


def test_tables_of_a_group_can_be_queried_by_one_role_and_their_results_do_not_stay(
    app: App, synth: Synthesise
) -> None:
    schemas = {"INTERACTIONS": SCHEMA, "USERS": SCHEMA}
    result = synth(Athena(app, "Athena", dataset_group="movies", schemas=schemas, generation="2"))
    assert [(e["DatasetArn"].rpartition("/")[2], e["Generation"]) for e in result.exports] == [
        ("INTERACTIONS", "2"),
        ("USERS", "2"),
    ]
    assert len(result.of_type("AWS::Glue::Table")) == 8
    assert "AWS::Glue::Crawler" not in result.types
    statements = result.statements("AnalystDefaultPolicy")
    (asking,) = [s["Resource"] for s in statements if "athena:StartQueryExecution" in s["Action"]]
    assert asking == "arn:${AWS::Partition}:athena:${AWS::Region}:${AWS::AccountId}:workgroup/personalize-exports"
    tables = [r for s in statements if "glue:GetTable" in s["Action"] for r in s["Resource"] if ":table/" in r]
    assert len(set(tables)) == 8
    lifecycles = [b.get("LifecycleConfiguration") for b in result.of_type("AWS::S3::Bucket")]
    assert lifecycles == [None, {"Rules": [{"ExpirationInDays": 1, "Status": "Enabled"}]}]


def test_schemas_are_those_whose_files_are_there(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text("{}", encoding="utf-8")
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    assert schemas_in(tmp_path) == {"ITEMS": "{}"}


def test_failed_and_silent_exports_reach_mail_and_chat_the_chat_in_its_own_form(app: App, synth: Synthesise) -> None:
    result = synth(Nightly(app, "Nightly", dataset_group="movies", email="team@example.com"))
    assert len(result.of_type("AWS::Scheduler::Schedule")) == 3
    mail, chat = result.the("AWS::Events::Rule")["Targets"]
    assert "InputTransformer" not in mail
    assert '"description":<detail-reason>,' in chat["InputTransformer"]["InputTemplate"]
    alarms = result.of_type("AWS::CloudWatch::Alarm")
    assert [alarm["AlarmActions"] for alarm in alarms] == [["${Mail}", "${Chat}"]] * 3
    assert {alarm["EvaluationPeriods"] for alarm in alarms} == {26}
    assert result.the("AWS::SNS::Subscription")["Endpoint"] == "team@example.com"
    assert "AWS::CloudWatch::Dashboard" in result.types


ACCOUNT = {field.name: field.default for field in fields(Account)}
GIVEN = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in ACCOUNT.items()}
GROUP = {"dataset_group": "movies"}
NO_BUCKET = "No data bucket was given: pass -c data_bucket=NAME, the one with interactions.csv and its siblings"
NO_SCHEMA = "No schema was given: pass -c schemas=FOLDER, with interactions.json, items.json or users.json in it"
LAKE = {**GROUP, "data_account": "1" * 12, "lake_account": "2" * 12, "region": "us-east-1"}


@pytest.mark.parametrize(
    ("example", "context", "message"),
    [
        ("movielens", {"data_bucket": "films"}, None),
        ("movielens", {}, NO_BUCKET),
        ("hardened", {**GROUP, **GIVEN}, None),
        ("hardened", {}, "No dataset group was given: pass -c dataset_group=NAME"),
        (
            "hardened",
            {**GROUP, **GIVEN, "vpc_id": "", "replica_key": ""},
            "Not given: vpc_id, replica_key. Pass each with -c NAME=VALUE",
        ),
        ("nightly", GROUP, None),
        ("nightly", {}, "No dataset group was given: pass -c dataset_group=NAME"),
        ("athena", {**GROUP, "schemas": "../schemas"}, None),
        ("athena", {}, "No dataset group was given: pass -c dataset_group=NAME"),
        ("athena", GROUP, NO_SCHEMA),
        ("athena", {**GROUP, "schemas": "."}, NO_SCHEMA),
        ("cross_account", LAKE, None),
        (
            "cross_account",
            {**GROUP, "region": "us-east-1"},
            "Not given: data_account, lake_account. Pass each with -c NAME=VALUE",
        ),
    ],
)
def test_example_is_an_app_outside_the_checkout(
    tmp_path: Path, example: str, context: dict[str, Any], message: str | None
) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "cdk_personalize_export").symlink_to(ROOT / "cdk_personalize_export")
    shutil.copytree(ROOT / "examples" / example, tmp_path / "example")
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "items.json").write_text(SCHEMA, encoding="utf-8")
    output = tmp_path / "cdk.out"
    variables = {
        **os.environ,
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_OUTDIR": str(output),
        "CDK_VALIDATION": "false",
        "PYTHONPATH": str(tmp_path / "library"),
    }
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=tmp_path / "example",
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (0 if message is None else 1), done.stderr
    assert message is None or done.stderr.strip() == message
    assert bool(list(output.glob("*.template.json"))) == (message is None)


def test_hardened_account_of_the_context_is_what_is_deployed(app: App, synth: Synthesise) -> None:
    for name, value in {**GIVEN, "subnet_ids": "subnet-1,subnet-2"}.items():
        app.node.set_context(name, value)
    result = synth(Hardened(app, "Hardened", dataset_group="movies", account=account_of(app)))
    assert result.the("AWS::Lambda::Function")["VpcConfig"]["SubnetIds"] == ["subnet-1", "subnet-2"]


def test_what_readmes_show_as_context_is_what_examples_take() -> None:
    shown = Page("examples/hardened/README.md").blocks("sh")[0]
    assert set(re.findall(r"-c (\w+)=", shown)) == {*GIVEN, "dataset_group"}
    shown = Page("examples/cross_account/README.md").blocks("sh")[0]
    assert set(re.findall(r"-c (\w+)=", shown)) == set(LAKE)


PARTS = ["Cost", "Deploy", "Expect", "Clean up"]


@pytest.mark.parametrize("example", [path.parent.name for path in (ROOT / "examples").glob("*/app.py")])
def test_readme_of_an_example_says_what_it_costs_how_to_deploy_what_to_expect_and_how_to_clean_up(example: str) -> None:
    headings = Page(f"examples/{example}/README.md").headings
    assert [heading for heading in headings if heading in PARTS] == PARTS
