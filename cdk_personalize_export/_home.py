"""Where a construct deploys to, asked once per stack: every question to the jsii kernel costs 0.1 ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Stack

from cdk_personalize_export._checks import STACK_PART_CHARACTERS, is_token, job_name_part

if TYPE_CHECKING:
    from constructs import IConstruct

_ATTRIBUTE = "_cdk_personalize_export_home"


@dataclass(frozen=True)
class Home:
    """A stack and what its ARNs are made of; each part may be a token."""

    stack: Stack
    path: str
    partition: str
    region: str
    account: str

    @classmethod
    def of(cls, scope: IConstruct) -> Home:
        """Return the home of `scope`, remembered on its Python object: jsii keeps one for each construct."""
        known = vars(scope).get(_ATTRIBUTE)
        if isinstance(known, Home):
            return known
        stack = scope if isinstance(scope, Stack) else Stack.of(scope)
        if stack is scope:
            # One ARN, because asking for its parts would be two calls more.
            _, partition, _, region, account, _ = str(stack.format_arn(service="personalize", resource="*")).split(":")
            home = cls(stack, str(stack.to_string()), partition, region, account)
        else:
            home = cls.of(stack)
        home.remember_on(scope)
        return home

    def remember_on(self, construct: IConstruct) -> None:
        """Answer `Home.of(construct)` from now on."""
        setattr(construct, _ATTRIBUTE, self)

    @property
    def known_partition(self) -> str:
        """The partition as a word, for texts: of the Region when that is known, else the common one."""
        if not is_token(self.partition):
            return self.partition
        return "aws-cn" if self.region.startswith("cn-") else "aws"

    @property
    def job_name_part(self) -> str:
        """The stack's part of default job names."""
        return job_name_part(self.path, STACK_PART_CHARACTERS)

    def job_arn(self, name: str) -> str:
        """Return the ARN of the export job called `name`."""
        return self._personalize_arn(f"dataset-export-job/{name}")

    def dataset_arn(self, group: str, dataset_type: str) -> str:
        """Return the ARN of a dataset of the dataset group called `group`."""
        return self._personalize_arn(f"dataset/{group}/{dataset_type}")

    def _personalize_arn(self, resource: str) -> str:
        return f"arn:{self.partition}:personalize:{self.region}:{self.account}:{resource}"
