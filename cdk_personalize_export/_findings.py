"""The wildcards no policy here can do without, acknowledged where the installed aws-cdk-lib can record it.

cdk-nag reports each as AwsSolutions-IAM5 and knows it by the text of the resource, so exactly that resource is
acknowledged, on the policy that names it: https://github.com/cdklabs/cdk-nag#rules-with-findings.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import aws_cdk
import jsii
from constructs import IValidation

from cdk_personalize_export._checks import is_unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_cdk import Stack
    from constructs import IConstruct

OBJECTS = (
    "The names of the objects an export job writes are chosen by Amazon Personalize and not documented; they all begin "
    "with this prefix."
)
JOBS = (
    "The name of an export job ends in a hash of the stack id, which exists from the deployment on, and in the number "
    "of the attempt; all begin with this prefix."
)
MANIFESTS = (
    "The names of manifests end in that of a job, those of the objects beside them in a day; all begin with this "
    "prefix."
)
NO_RESOURCE = "AWS lets these actions be allowed only on all resources: they have no resource-level permissions."

_PSEUDO_PARAMETER = re.compile(r"\$\{Token\[AWS\.(\w+)\.\d+\]\}")


def acknowledge(policy: IConstruct, stack: Stack, resource: str, reason: str) -> None:
    """Record that the wildcard in `resource` is meant, on the policy that names it and on nothing else.

    What `Validations.acknowledge` of the CDK records is recorded here without it: it takes the id apart at `::`, which
    is part of most ARNs, and aws-cdk-lib 2.252 to 2.268 refuse what they cannot take apart.
    """
    key = getattr(getattr(aws_cdk, "Validations", None), "ACKNOWLEDGED_RULES_METADATA_KEY", None)
    if key is None:  # an aws-cdk-lib that cannot record it (before 2.252), and a cdk-nag that would not read it
        return
    text = _PSEUDO_PARAMETER.sub(r"<AWS::\1>", resource)
    if is_unknown(text):
        text = flat(stack.resolve(resource))
    policy.node.add_metadata(key, {f"AwsSolutions-IAM5[Resource::{text}]": reason})


def flat(value: Any) -> str:  # noqa: ANN401 - resolved tokens are open JSON
    """Write CloudFormation's functions as cdk-nag does in the ids of its findings."""
    if isinstance(value, str):
        return value.replace("${", "<").replace("}", ">")
    if "Fn::Join" in value:
        delimiter, items = value["Fn::Join"]
        return str(delimiter).join(flat(item) for item in items)
    if "Fn::GetAtt" in value:
        resource, attribute = value["Fn::GetAtt"]
        return f"<{flat(resource)}.{flat(attribute)}>"
    if "Fn::ImportValue" in value:
        return flat(value["Fn::ImportValue"])
    if "Ref" in value:
        return f"<{flat(value['Ref'])}>"
    return json.dumps(value, separators=(",", ":"))


@jsii.implements(IValidation)
class AtSynthesis:
    """Does something once every reference between stacks is written out, and finds no fault."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def validate(self) -> list[str]:
        """Do it."""
        self._action()
        return []
