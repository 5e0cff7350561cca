"""The templates before CloudFormation's own rules, cdk-preflight's, cfn-lint and Checkov."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnResource, Stack

from tests.audit.conftest import STACKS, audit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.audit.conftest import Audited

pytestmark = pytest.mark.audit

CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
CHECKOV = str(Path(__file__).resolve().parents[2] / ".cache" / "checkov" / "bin" / "checkov")
REGIONS = [
    "us-east-1",
    "us-east-2",
    "us-west-2",
    "ca-central-1",
    "eu-central-1",
    "eu-west-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "cn-north-1",
]  # where Personalize is

FUNCTION = {
    "CKV_AWS_115": "AWS::Lambda::Function",  # reserved concurrency
    "CKV_AWS_116": "AWS::Lambda::Function",  # dead-letter queue
    "CKV_AWS_117": "AWS::Lambda::Function",  # in a VPC
    "CKV_AWS_158": "AWS::Logs::LogGroup",  # encrypted with a key of yours
}
CHECKOV_FINDINGS: dict[str, dict[str, str]] = {
    "default": {**FUNCTION, "CKV_AWS_18": "AWS::S3::Bucket"},  # access logs
    "group": {**FUNCTION, "CKV_AWS_18": "AWS::S3::Bucket"},
    "nightly": {**FUNCTION, "CKV_AWS_18": "AWS::S3::Bucket"},
    "tables": {**FUNCTION, "CKV_AWS_18": "AWS::S3::Bucket"},
    "own bucket and key": FUNCTION,
    "hardened": {"CKV_AWS_111": "AWS::IAM::ManagedPolicy"},  # network interfaces, which AWS allows only on "*"
}


@pytest.mark.parametrize("stack", STACKS)
def test_validation_of_the_cdk_finds_nothing(audited: Callable[[str], Audited], stack: str) -> None:
    assert "CloudFormation Validate" not in audited(stack).reports


def test_validation_of_the_cdk_would_find_a_wrong_template(tmp_path: Path) -> None:
    def build(app: App) -> None:
        CfnResource(Stack(app, "Audited"), "B", type="AWS::S3::Bucket", properties={"BucketName": "Not_A_Name"})

    (found,) = audit("wrong", build, tmp_path).reports["CloudFormation Validate"]["violations"]
    assert "'Not_A_Name' does not match pattern" in found["description"]


@pytest.mark.parametrize("stack", STACKS)
def test_cdk_preflight_finds_nothing(audited: Callable[[str], Audited], stack: str) -> None:
    assert "cdk-preflight" not in audited(stack).reports


def test_cdk_preflight_would_find_what_fails_at_deployment_only(tmp_path: Path) -> None:
    def build(app: App) -> None:
        environment = {"Variables": {"SETTINGS": "x" * 5000}}
        code = {"ZipFile": "def handler(event, context): pass"}
        properties = {"Code": code, "Environment": environment, "Handler": "index.handler", "Runtime": "python3.14"}
        role = {"Role": "arn:aws:iam::123456789012:role/function"}
        CfnResource(Stack(app, "Audited"), "F", type="AWS::Lambda::Function", properties={**properties, **role})

    assert audit("too large", build, tmp_path).findings("cdk-preflight") == {"pf-lambda-env-size"}


@pytest.mark.parametrize("stack", STACKS)
def test_cfn_lint_finds_nothing_but_what_the_cdk_s_own_function_does(
    audited: Callable[[str], Audited], stack: str
) -> None:
    template = audited(stack).template
    resources = json.loads(template.read_text(encoding="utf-8"))["Resources"]
    command = [CFN_LINT, "--format", "json", "--regions", *REGIONS, "--", str(template)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [
        (match["Rule"]["Id"], resources[match["Location"]["Path"][1]]["Type"], match["Message"])
        for match in json.loads(done.stdout)
    ]
    # `lambda_.Function` of the CDK depends on its role once more than it would have to.
    assert [match for match in found if match[:2] != ("W3005", "AWS::Lambda::Function")] == []


@pytest.mark.parametrize("stack", CHECKOV_FINDINGS)
def test_checkov_finds_only_what_an_option_decides(audited: Callable[[str], Audited], stack: str) -> None:
    command = [CHECKOV, "--file", str(audited(stack).template), "--framework", "cloudformation", "--skip-download"]
    done = subprocess.run([*command, "--output", "json"], capture_output=True, text=True, check=False)
    results: dict[str, Any] = json.loads(done.stdout)
    found = {(check["check_id"], check["resource"].partition(".")[0]) for check in results["results"]["failed_checks"]}
    assert found == set(CHECKOV_FINDINGS[stack].items())
    assert results["summary"]["passed"] >= 30
    assert results["summary"]["parsing_errors"] == 0
