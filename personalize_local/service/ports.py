"""The seam to the outside: who calls, and how jobs reach Amazon S3.

A job reads and writes with the role it was given
(https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-s3-access.html). The local AWS implements this
with real HTTP and policies, the tests with a dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from personalize_local.service.errors import ApiError
from personalize_local.service.model import regions

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Caller:
    """The account and Region a request is for, and the principal that sent it."""

    account: str
    region: str
    partition: str = "aws"
    arn: str = ""

    @classmethod
    def of(cls, account: str, region: str, principal: str = "") -> Caller:
        """Return the caller; the partition follows the Region.

        Args:
            account: The account the request is for.
            region: The Region the request is for.
            principal: The ARN of whoever sent it; the account's root when left out.

        Raises:
            ApiError: ``InvalidSignatureException``: Personalize is not in that Region.
        """
        partition = regions().get(region)
        if partition is None:
            raise ApiError(
                "InvalidSignatureException",
                f"Credential should be scoped to a valid region: Amazon Personalize is not in {region}, "
                f"it is in {', '.join(sorted(regions()))}.",
            )
        return cls(account, region, partition, principal or f"arn:{partition}:iam::{account}:root")


class ObjectStore(Protocol):
    """How the service reads and writes objects on behalf of a role."""

    def read(
        self, *, role_arn: str, location: str, caller: Caller, source_arn: str, subfolders: bool
    ) -> Iterable[tuple[str, BinaryIO]]:
        """Yield key and body, to be read before the next, of every object at ``location``, as `keys_at` has it.

        Raises:
            AccessRefused: The role or the bucket policy does not allow it.
            ApiError: The location can not be read for another reason.
        """

    def write(  # noqa: PLR0913 - what an S3 write with a role needs
        self,
        *,
        role_arn: str,
        location: str,
        name: str,
        body: Iterable[bytes] | BinaryIO,
        kms_key_arn: str | None,
        caller: Caller,
        source_arn: str,
    ) -> None:
        """Write ``body`` as the object ``name`` under ``location``.

        Raises:
            AccessRefused: The role or the bucket policy does not allow it.
            ApiError: The location can not be written for another reason.
        """

    def check_role(self, *, role_arn: str, caller: Caller) -> None:
        """Check that Personalize can assume the role.

        Raises:
            ApiError: ``InvalidInputException`` when it can not.
        """
