"""The Python of every page runs, and the permissions and changes they print are what is synthesised."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from cdk_personalize_export import (
    DatasetExport,
    DatasetGroupExport,
    ExportDestination,
    ExportProvider,
    ExportTable,
    ScheduledDatasetExport,
    ScheduledDatasetGroupExport,
)
from cdk_personalize_export import __all__ as public_names
from tests.pages import NIGHTLY, OWN_TESTS, PRELUDE, README, ROOT, Page, pages

if TYPE_CHECKING:
    from pathlib import Path

PERMISSIONS = re.compile(r"(<!-- permissions -->\n).*?(<!-- end of permissions -->)", re.DOTALL)
DOCUMENTS = {
    "The role Personalize assumes, its trust": ("InteractionsDestinationRole", "AssumeRolePolicyDocument"),
    "and its policy": ("InteractionsDestinationRolePolicy", "PolicyDocument"),
    "The bucket's policy": ("InteractionsDestinationBucketPolicy", "PolicyDocument"),
    "The function's policy": ("PersonalizeExportProviderPolicy", "PolicyDocument"),
}
NIGHTLY_PERMISSIONS = re.compile(r"(<!-- nightly permissions -->\n).*?(<!-- end of nightly permissions -->)", re.DOTALL)
NIGHTLY_DOCUMENTS = {
    "The role of Scheduler, its trust": ("PersonalizeExportProviderScheduleRole", "AssumeRolePolicyDocument"),
    "and its policy": ("PersonalizeExportProviderSchedulePolicy", "PolicyDocument"),
}
PERMISSIONS_PAGE = Page("docs/permissions.md")
OPTIONS_PAGE = Page("docs/options.md")
FUNCTION_POLICY = ("PersonalizeExportProviderPolicy", "PolicyDocument")


def run(program: str, folder: Path) -> Path:
    """Run a program as `app.py` in an empty folder, and return the folder it synthesises into."""
    (folder / "app.py").write_text(program, encoding="utf-8")
    output = folder / "cdk.out"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CDK_OUTDIR": str(output)}
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the template of the first example."""
    (program,) = README.programs
    output = run(program, tmp_path_factory.mktemp("first"))
    found: dict[str, Any] = json.loads((output / "Backup.template.json").read_text(encoding="utf-8"))
    return found


def test_program_of_the_first_deployment_runs_in_an_empty_folder(tmp_path: Path) -> None:
    (app,) = Page("docs/first-deployment.md").programs
    template = json.loads((run(app, tmp_path) / "Backup.template.json").read_text(encoding="utf-8"))
    assert list(template["Outputs"]) == ["JobArn", "Path"]


def test_no_other_page_shows_a_whole_program() -> None:
    shown = {page.path for page in pages() if page.programs and page.path not in OWN_TESTS}
    assert shown == {"README.md", "docs/first-deployment.md"}


WITH_FRAGMENTS = [page for page in pages() if page.fragments and page.path not in OWN_TESTS]


@pytest.mark.parametrize("page", WITH_FRAGMENTS, ids=lambda page: page.path)
def test_python_of_a_page_runs_in_a_stack_as_it_is_printed(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    program = "\n".join([PRELUDE, *page.fragments])
    exec(compile(program, page.path, "exec"), names)  # noqa: S102 - what a reader would run
    templates = [stack.template for stack in names["app"].synth().stacks_recursively]
    assert any(template.get("Resources") for template in templates)


def test_api_reference_has_every_public_name() -> None:
    shown = re.findall(r"^\.\. autoclass:: (\w+)$", Page("docs/api.md").text, re.MULTILINE)
    assert sorted(shown) == sorted(public_names)


CONSTRUCTS: dict[str, list[Any]] = {
    "DatasetExport": [DatasetExport, DatasetGroupExport],
    "ScheduledDatasetExport": [ScheduledDatasetExport, ScheduledDatasetGroupExport],
    "ExportDestination": [ExportDestination],
    "ExportProvider": [ExportProvider],
    "ExportTable": [ExportTable],
}


@pytest.mark.parametrize("title", CONSTRUCTS)
def test_page_of_options_names_every_option(title: str) -> None:
    sections = [OPTIONS_PAGE.section(title)] + ([OPTIONS_PAGE.section("DatasetExport")] if "Scheduled" in title else [])
    named = set(re.findall(r"`(\w+)`", "".join(sections)))
    for construct in CONSTRUCTS[title]:
        options = inspect.getfullargspec(construct.__init__).kwonlyargs
        assert [option for option in options if option not in named] == []


def test_first_example_makes_nine_resources(template: dict[str, Any]) -> None:
    assert len(template["Resources"]) == 9


def test_permissions_of_the_page_are_the_synthesised_ones(template: dict[str, Any]) -> None:
    expected = permissions(template, DOCUMENTS)
    found = PERMISSIONS.search(PERMISSIONS_PAGE.text)
    assert found, "the page lacks the permissions markers"
    assert found[0] == f"<!-- permissions -->\n{expected}<!-- end of permissions -->"


def test_permissions_of_schedules_on_the_page_are_the_synthesised_ones(
    template: dict[str, Any], tmp_path: Path
) -> None:
    program = "\n".join([PRELUDE, *NIGHTLY.fragments, "app.synth()"])
    nightly = json.loads((run(program, tmp_path) / "Backup.template.json").read_text(encoding="utf-8"))
    known = {str(statement["Action"]) for statement in statements(template, *FUNCTION_POLICY)}
    new = [s for s in statements(nightly, *FUNCTION_POLICY) if str(s["Action"]) not in known]
    shown_too = f"What the function may do more:\n\n```json\n{printed(new)}\n```\n\n"
    expected = permissions(nightly, NIGHTLY_DOCUMENTS) + shown_too
    found = NIGHTLY_PERMISSIONS.search(PERMISSIONS_PAGE.text)
    assert found, "the page lacks the markers of the nightly permissions"
    assert found[0] == f"<!-- nightly permissions -->\n{expected}<!-- end of nightly permissions -->"


def test_event_of_the_page_is_one_the_function_may_send() -> None:
    (event,) = [json.loads(block) for block in Page("docs/events.md").blocks("json")]
    schema = json.loads((ROOT / "docs" / "event.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(event["detail"], schema)
    assert event["resources"] == [event["detail"]["datasetExportJobArn"], event["detail"]["datasetArn"]]


def permissions(template: dict[str, Any], documents: dict[str, tuple[str, str]]) -> str:
    """Return the Markdown that shows policies in full."""
    return "".join(
        f"{title}:\n\n```json\n{printed(statements(template, *where))}\n```\n\n" for title, where in documents.items()
    )


def printed(found: list[dict[str, Any]]) -> str:
    """Return statements as the page prints them."""
    return "[\n" + ",\n".join("  " + json.dumps(statement) for statement in found) + "\n]"


def statements(template: dict[str, Any], logical_id: str, name: str) -> list[dict[str, Any]]:
    """Return a policy's statements with CloudFormation's functions written as Fn::Sub would take them."""
    pattern = re.compile(rf"{logical_id}[0-9A-F]{{8}}")
    (resource,) = [value for key, value in template["Resources"].items() if pattern.fullmatch(key)]
    found: list[dict[str, Any]] = substituted(resource["Properties"][name]["Statement"])
    return found


def substituted(value: Any) -> Any:
    """Return the value with Ref, Fn::GetAtt and Fn::Join as text."""
    if isinstance(value, list):
        return [substituted(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return "${" + re.sub(r"[0-9A-F]{8}$", "", value["Ref"]) + "}"
    if "Fn::GetAtt" in value:
        logical_id, attribute = value["Fn::GetAtt"]
        return "${" + re.sub(r"[0-9A-F]{8}$", "", logical_id) + "." + attribute + "}"
    if "Fn::Join" in value:
        return "".join(substituted(part) for part in value["Fn::Join"][1])
    return {key: substituted(item) for key, item in value.items()}
