"""The README's code runs, and the permissions it prints are the ones that are synthesised."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.readme import COMMANDS, ELSEWHERE, FRAGMENTS, NIGHTLY, PROGRAMS, README, ROOT, blocks

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
    output = run(PROGRAMS[0], tmp_path_factory.mktemp("first"))
    found: dict[str, Any] = json.loads((output / "Backup.template.json").read_text(encoding="utf-8"))
    return found


def test_every_other_program_runs_in_an_empty_folder(tmp_path: Path) -> None:
    (app,) = PROGRAMS[1:]
    template = json.loads((run(app, tmp_path) / "Backup.template.json").read_text(encoding="utf-8"))
    assert list(template["Outputs"]) == ["JobArn", "Path"]


def test_every_fragment_runs_after_the_first_example_as_it_is_printed(tmp_path: Path) -> None:
    assert len(FRAGMENTS) == 4
    run("\n".join([PROGRAMS[0], *FRAGMENTS]), tmp_path)


def test_first_example_makes_nine_resources(template: dict[str, Any]) -> None:
    assert len(template["Resources"]) == 9


def test_permissions_in_the_readme_are_the_synthesised_ones(template: dict[str, Any]) -> None:
    expected = permissions(template, DOCUMENTS)
    found = PERMISSIONS.search(README)
    assert found, "README.md lacks the permissions markers"
    assert found[0] == f"<!-- permissions -->\n{expected}<!-- end of permissions -->"


def test_permissions_of_schedules_in_the_readme_are_the_synthesised_ones(
    template: dict[str, Any], tmp_path: Path
) -> None:
    program = f'from aws_cdk import App, Stack\napp = App()\nstack = Stack(app, "Backup")\n{NIGHTLY}\napp.synth()\n'
    nightly = json.loads((run(program, tmp_path) / "Backup.template.json").read_text(encoding="utf-8"))
    known = {str(statement["Action"]) for statement in statements(template, *FUNCTION_POLICY)}
    new = [s for s in statements(nightly, *FUNCTION_POLICY) if str(s["Action"]) not in known]
    shown_too = f"What the function may do more:\n\n```json\n{printed(new)}\n```\n\n"
    expected = permissions(nightly, NIGHTLY_DOCUMENTS) + shown_too
    found = NIGHTLY_PERMISSIONS.search(README)
    assert found, "README.md lacks the markers of the nightly permissions"
    assert found[0] == f"<!-- nightly permissions -->\n{expected}<!-- end of nightly permissions -->"


def test_event_in_the_readme_is_one_the_function_may_send() -> None:
    (event,) = [json.loads(block) for block in blocks("json") if '"detail-type"' in block]
    schema = json.loads((ROOT / "docs" / "event.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(event["detail"], schema)
    assert event["resources"] == [event["detail"]["datasetExportJobArn"], event["detail"]["datasetArn"]]


PAGES = ["README.md", "docs/proofs.md", "docs/audit.md", "benchmarks/README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_repository_leads_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert links
    for file, anchor in links:
        target = path.parent / file if file else path
        assert target.exists(), file
        assert not anchor or anchor[1:] in anchors(target), anchor


def test_contents_list_every_section_in_order() -> None:
    sections = re.findall(r"^## (.*)$", README, re.MULTILINE)
    (contents,) = re.findall(r"^\*\*Contents:\*\* (.*)$", README, re.MULTILINE)
    assert re.findall(r"\(#([^)]*)\)", contents) == [anchor(section) for section in sections]


def anchors(page: Path) -> list[str]:
    """Return what a page's headings are called in links, as GitHub makes it."""
    return [anchor(text) for text in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)]


def anchor(heading: str) -> str:
    """Return what a heading is called in links."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_every_command_is_run_by_some_test() -> None:
    skipped = [block for block in blocks("sh") if block not in COMMANDS]
    assert [block.startswith(start) for block, start in zip(skipped, ELSEWHERE, strict=True)] == [True] * len(skipped)
    assert len(COMMANDS) == 11


def permissions(template: dict[str, Any], documents: dict[str, tuple[str, str]]) -> str:
    """Return the Markdown that shows policies in full."""
    return "".join(
        f"{title}:\n\n```json\n{printed(statements(template, *where))}\n```\n\n" for title, where in documents.items()
    )


def printed(found: list[dict[str, Any]]) -> str:
    """Return statements as the README prints them."""
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
