"""The environment of a stack: its account, Region and partition, and what names its jobs.

Asked once per stack, because every question to the jsii kernel costs 0.1 ms:
https://docs.aws.amazon.com/cdk/v2/guide/environments.html.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from aws_cdk import Stack

from cdk_personalize_export._checks import STACK_PART_CHARACTERS, is_unknown, job_name_part

if TYPE_CHECKING:
    from constructs import IConstruct

STACK_HASH_CHARACTERS = 6

# Kept for the life of the process, as jsii keeps every construct too.
_KNOWN: dict[Stack, StackEnvironment] = {}


@dataclass(frozen=True)
class StackEnvironment:
    """A stack and what its ARNs are made of; partition, Region and account may be tokens."""

    stack: Stack
    path: str
    partition: str
    region: str
    account: str
    address: str
    """What tells the stack from every other one of its account and Region: its name, and the path of a nested one."""

    @classmethod
    def of(cls, scope: IConstruct) -> StackEnvironment:
        """Return the environment of the stack that `scope` is, or is in."""
        stack = scope if isinstance(scope, Stack) else Stack.of(scope)
        known = _KNOWN.get(stack)
        if known is None:
            # One ARN, because asking for its parts would be two calls more.
            _, partition, _, region, account, _ = str(stack.format_arn(service="personalize", resource="*")).split(":")
            known = cls(stack, str(stack.to_string()), partition, region, account, _address(stack))
            _KNOWN[stack] = known
        return known

    @cached_property
    def stack_id(self) -> str:
        """The id of the stack, which is known at deployment."""
        return str(self.stack.stack_id)

    @property
    def default_event_bus_arn(self) -> str:
        """The ARN of the event bus every account has."""
        return f"arn:{self.partition}:events:{self.region}:{self.account}:event-bus/default"

    @property
    def known_partition(self) -> str:
        """The partition as a word, for texts: of the Region when that is known, else the common one."""
        if not is_unknown(self.partition):
            return self.partition
        return "aws-cn" if self.region.startswith("cn-") else "aws"

    @property
    def job_name_part(self) -> str:
        """What the names of this stack's jobs begin with, `<stack>-<hash>`, and no other stack's jobs."""
        stack_hash = hashlib.sha256(self.address.encode()).hexdigest()[:STACK_HASH_CHARACTERS]
        return f"{job_name_part(self.path, STACK_PART_CHARACTERS)}-{stack_hash}"

    def path_within(self, path: str) -> str:
        """Return the path of a construct of this stack, from the stack on."""
        return path[len(self.path) + 1 :] if self.path else path

    def job_arn(self, name: str) -> str:
        """Return the ARN of the export job called `name`."""
        return self._personalize_arn(f"dataset-export-job/{name}")

    def dataset_arn(self, group: str, dataset_type: str) -> str:
        """Return the ARN of a dataset of the dataset group called `group`."""
        return self._personalize_arn(f"dataset/{group}/{dataset_type}")

    def glue_arn(self, resource: str) -> str:
        """Return the ARN of something in the Glue catalog of this account."""
        return f"arn:{self.partition}:glue:{self.region}:{self.account}:{resource}"

    @property
    def default_schedule_group_arn(self) -> str:
        """The ARN of the schedule group every account has."""
        return f"arn:{self.partition}:scheduler:{self.region}:{self.account}:schedule-group/default"

    def _personalize_arn(self, resource: str) -> str:
        return f"arn:{self.partition}:personalize:{self.region}:{self.account}:{resource}"


def _address(stack: Stack) -> str:
    # Not the construct address: two apps, or two stages, may deploy one path under several stack names.
    parent = stack.nested_stack_parent
    if parent is None:
        return str(stack.stack_name)
    path, parent_path = str(stack.to_string()), str(parent.to_string())
    return f"{_address(parent)}/{path[len(parent_path) + 1 :]}"
