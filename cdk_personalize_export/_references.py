"""L1 resources and references to a resource, as the L2 constructs that can be granted permissions.

What the CDK cannot turn into a construct whose policy it may edit is imported by its ARN, and then shown to the user
like everything else this app cannot change: https://docs.aws.amazon.com/cdk/v2/guide/resources.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_s3 as s3
    from constructs import Construct


def bucket(scope: Construct, construct_id: str, given: Any) -> s3.IBucket:  # noqa: ANN401 - an L1, an L2 or a reference
    """Return the bucket that `given` is, or describes."""
    from aws_cdk import aws_s3  # noqa: PLC0415 - not at import: it costs start-up time

    if isinstance(given, aws_s3.CfnBucket):
        return aws_s3.Bucket.from_cfn_bucket(given)
    if _is_construct(given, "add_to_resource_policy"):
        return given  # type: ignore[no-any-return] # checked by what it can do
    return aws_s3.Bucket.from_bucket_arn(scope, construct_id, given.bucket_ref.bucket_arn)


def key(scope: Construct, construct_id: str, option: str, given: Any) -> kms.IKey:  # noqa: ANN401 - as above
    """Return the key that `given` is, or describes.

    Raises:
        ValueError: The policy of a `CfnKey` cannot be read, and so not be added to.
    """
    from aws_cdk import aws_kms  # noqa: PLC0415 - not at import: it costs start-up time

    if isinstance(given, aws_kms.CfnKey):
        try:
            return aws_kms.Key.from_cfn_key(given)
        except RuntimeError as error:
            raise ValueError(
                f"{option} is a CfnKey whose policy the CDK cannot add to, because it holds references. Make it a "
                "kms.Key, or pass kms.Key.from_key_arn(self, 'ExportKey', key.attr_arn) and add the statements that "
                "synthesis then prints."
            ) from error
    if _is_construct(given, "add_to_resource_policy"):
        return given  # type: ignore[no-any-return] # checked by what it can do
    return aws_kms.Key.from_key_arn(scope, construct_id, given.key_ref.key_arn)


def role(scope: Construct, construct_id: str, given: Any) -> iam.IRole:  # noqa: ANN401 - as above
    """Return the role that `given` is, or describes."""
    from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

    if isinstance(given, aws_iam.CfnRole):
        return aws_iam.Role.from_role_arn(scope, construct_id, given.attr_arn)
    if _is_construct(given, "add_to_principal_policy"):
        return given  # type: ignore[no-any-return] # checked by what it can do
    return aws_iam.Role.from_role_arn(scope, construct_id, given.role_ref.role_arn)


def _is_construct(given: object, method: str) -> bool:
    return hasattr(type(given), method) or hasattr(given, method)
