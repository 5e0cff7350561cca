"""Tags of Personalize resources where other services ask for them: IAM conditions and the Resource Groups Tagging API.

Rests on https://docs.aws.amazon.com/personalize/latest/dg/tagging-resources.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-resourcetag:
``aws:ResourceTag/*`` is there for every resource with tags, in identity policies, boundaries and session policies.
Not modelled: `tag:TagResources` also needs `personalize:TagResource`, which is not checked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches
from personalize_local.extension.iam import SERVICE
from personalize_local.service import ApiError, Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from personalize_local.service import PersonalizeService


class PersonalizeTags:
    """Hands the tags to ministack.

    Args:
        service: What has them.
    """

    def __init__(self, service: PersonalizeService) -> None:
        """Keep it."""
        self._service = service
        self._responses = patches.load(patches.RESPONSES)
        self._tagging = patches.load(patches.TAGGING)

    def register(self) -> None:
        """Let IAM look tags up for every check, and the Tagging API read and write them."""
        patches.wrap(patches.TAGGING, "resource_tags", self._make_lookup)
        patches.wrap(patches.EVALUATOR, "_names_condition_key", lambda _original: lambda _policies, _prefix: True)
        self._tagging._COLLECTORS[SERVICE] = self._collect  # noqa: SLF001 - ministack has no public interface
        self._tagging._WRITERS[SERVICE] = self._write  # noqa: SLF001
        self._tagging._REMOVERS[SERVICE] = self._remove  # noqa: SLF001

    def _make_lookup(self, original: Callable[[str], Any]) -> Callable[[str], Any]:
        def resource_tags(arn: str) -> Any:
            if arn.split(":", 3)[2:3] == [SERVICE]:
                return self._service.tags_of(arn, self._caller())
            return original(arn)

        return resource_tags

    def _collect(self) -> Iterator[tuple[str, list[dict[str, str]]]]:
        """Yield the tags of every tagged resource as the Tagging API writes them."""
        for arn, tags in self._service.tagged(self._caller()).items():
            yield arn, [{"Key": key, "Value": value} for key, value in tags.items()]

    def _write(self, _spec: Any, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to a resource."""
        pairs = [{"tagKey": key, "tagValue": value} for key, value in tags.items()]
        self._call("TagResource", {"resourceArn": arn, "tags": pairs})

    def _remove(self, _spec: Any, arn: str, keys: list[str]) -> None:
        """Take tags from a resource."""
        self._call("UntagResource", {"resourceArn": arn, "tagKeys": keys})

    def _call(self, operation: str, params: dict[str, Any]) -> None:
        try:
            self._service.call(operation, params, self._caller())
        except ApiError as error:
            if error.code == "ResourceNotFoundException":
                raise self._tagging._ResourceNotFound(params["resourceArn"]) from error  # noqa: SLF001
            raise ValueError(error.message) from error  # it becomes the ErrorMessage of the resource

    def _caller(self) -> Caller:
        """Return the account and Region of the request; ministack keeps them in context variables."""
        account = self._responses.get_account_id()
        return Caller(account, self._responses.get_region(), "aws", f"arn:aws:iam::{account}:root")
