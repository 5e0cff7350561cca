"""The README's code runs, and the permissions it prints are the ones that are synthesised."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aws_cdk import App

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PERMISSIONS = re.compile(r"(<!-- permissions -->\n).*?(<!-- end of permissions -->)", re.DOTALL)
DOCUMENTS = {
    "The role Personalize assumes, its trust": ("InteractionsDestinationRole", "AssumeRolePolicyDocument"),
    "and its policy": ("InteractionsDestinationRolePolicy", "PolicyDocument"),
    "The bucket's policy": ("InteractionsDestinationBucketPolicy", "PolicyDocument"),
    "The function's policy": ("PersonalizeExportProviderPolicy", "PolicyDocument"),
}


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """Run the README's Python from top to bottom, as one program, and return what it leaves."""
    namespace: dict[str, Any] = {"dataset": "arn:aws:personalize:us-east-1:123456789012:dataset/shop/INTERACTIONS"}
    for number, snippet in enumerate(SNIPPETS):
        if "stack," in snippet and number > 0:  # one stack has room for one construct of a name
            snippet = snippet.replace("stack,", f'Stack(App(), "Backup{number}"),')  # noqa: PLW2901
        exec(compile(snippet, f"README snippet {number}", "exec"), namespace)  # noqa: S102 - that is the test
    return namespace


@pytest.fixture(scope="module")
def template(names: dict[str, Any]) -> dict[str, Any]:
    """Return the template of the first example."""
    app: App = names["app"]
    found: dict[str, Any] = app.synth().get_stack_by_name("Backup").template
    return found


def test_first_example_makes_nine_resources(template: dict[str, Any]) -> None:
    assert len(template["Resources"]) == 9


def test_permissions_in_the_readme_are_the_synthesised_ones(template: dict[str, Any]) -> None:
    expected = permissions(template)
    printed = PERMISSIONS.search(README)
    assert printed, "README.md lacks the permissions markers"
    assert printed[0] == f"<!-- permissions -->\n{expected}<!-- end of permissions -->"


def permissions(template: dict[str, Any]) -> str:
    """Return the Markdown that shows every policy in full."""
    return "".join(f"{title}:\n\n```json\n{shown(template, *where)}\n```\n\n" for title, where in DOCUMENTS.items())


def shown(template: dict[str, Any], logical_id: str, name: str) -> str:
    """Return a policy's statements with CloudFormation's functions written as Fn::Sub would take them."""
    pattern = re.compile(rf"{logical_id}[0-9A-F]{{8}}")
    (resource,) = [value for key, value in template["Resources"].items() if pattern.fullmatch(key)]
    statements = substituted(resource["Properties"][name]["Statement"])
    return "[\n" + ",\n".join("  " + json.dumps(statement) for statement in statements) + "\n]"


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
