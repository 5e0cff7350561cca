"""Where exports are written: the bucket, the prefix, the key, and both sides of the permission to write there.

Amazon Personalize needs two grants, the policy of the role it assumes and the policy of the bucket:
https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-s3-access.html. With a KMS key of yours there are
two more: https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-key-access.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Annotations, RemovalPolicy, Stack
from constructs import Construct, DependencyGroup

from cdk_personalize_export import _checks, _permissions
from cdk_personalize_export._home import Home

if TYPE_CHECKING:
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_s3 as s3
    from constructs import IDependable

_DEFAULT_PREFIX = "personalize"


class ExportDestination(Construct):
    """A place in Amazon S3 that exports are written to, and the role Amazon Personalize writes with.

    Each export makes one unless it is given one. Passing the same destination to several exports saves four resources
    per export; every job still writes under a prefix of its own, `<prefix>/<job name>/`.

    Args:
        scope: The construct this belongs to.
        construct_id: Its name within `scope`.
        bucket: The bucket to write to, in the Region of the dataset. Default: a private, versioned, encrypted bucket
            that accepts only TLS and is retained with its objects when the stack is removed. Pass one to keep exports
            with your other data. The policy of a bucket made in this app is extended; for an imported one, synthesis
            warns and prints the statements to add.
        prefix: What object keys begin with. Default: `personalize`. Empty writes to the root of the bucket. The job
            name follows it. At most 123 characters, more with a bucket name known at synthesis that is shorter than 63.
        encryption_key: The KMS key objects are encrypted with. Default: what the bucket does by itself; a key the
            bucket is encrypted with is found and permitted. Must be a key, not an alias. The policy of a key made in
            this app is extended; for an imported one, synthesis warns and prints the statement to add.
        role: The role Amazon Personalize writes with; `personalize.amazonaws.com` must be trusted to assume it.
            Default: a role for this destination, which Personalize can use only for this account and Region. Pass one
            where roles are made centrally. It is given the permissions if it can be changed; if not, synthesis warns
            and prints them.

    Raises:
        ValueError: when the prefix or the key could only fail later.
    """

    def __init__(  # noqa: PLR0913 - options, all but two by keyword
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: s3.IBucket | None = None,
        prefix: str | None = None,
        encryption_key: kms.IKey | None = None,
        role: iam.IRole | None = None,
    ) -> None:
        _check_objects(bucket, encryption_key, role)
        home = Home.of(scope)
        self.prefix = _checks.destination_prefix(_DEFAULT_PREFIX if prefix is None else prefix)
        """What the object keys of every export begin with; empty or ending in a slash."""
        bucket_name = _checked_bucket_name(bucket, self.prefix, home)
        self.kms_key_arn = None if encryption_key is None else _checked_key_arn("encryption_key", encryption_key)
        """The ARN of the key that was given, sent with each job; None leaves encryption to the bucket."""
        super().__init__(scope, construct_id)
        home.remember_on(self)
        self.home = home
        self.encryption_key = encryption_key
        """The key that was given."""
        self._dependencies: list[IDependable] = []
        self._bucket, made_policy = _make_bucket(self, encryption_key) if bucket is None else (bucket, None)
        self._bucket_arn = self._bucket.bucket_arn
        self.path = f"s3://{bucket_name or self._bucket.bucket_name}/{self.prefix}"
        """Where exports are written, `s3://bucket/prefix/`; each job appends its name."""
        self._role = _make_role(self, home) if role is None else role
        self.role_arn: str = self._role.role_arn
        """The ARN of `role`."""
        self._permit_in_bucket(made_policy)
        key, key_arn = encryption_key, self.kms_key_arn
        if key is None and bucket is not None and bucket.encryption_key is not None:
            key = bucket.encryption_key
            key_arn = _checked_key_arn("the encryption key of the bucket", key)
        self._permit_to_role(key_arn, made=role is None)
        if key is not None:
            self._permit_in_key(key)

    @property
    def bucket(self) -> s3.IBucket:
        """The bucket exports are written to."""
        return self._bucket

    @property
    def role(self) -> iam.IRole:
        """The role Amazon Personalize writes with."""
        return self._role

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` list and read what is exported here, and decrypt it.

        Args:
            grantee: The role, user or function that reads.

        Returns:
            The grant on the bucket.
        """
        grant = self._bucket.grant_read(grantee, f"{self.prefix}*")
        if self.encryption_key is not None:
            self.encryption_key.grant_decrypt(grantee)
        return grant

    def _permit_in_bucket(self, made_policy: s3.BucketPolicy | None) -> None:
        from aws_cdk.aws_iam import PolicyStatement  # noqa: PLC0415 - not at import: it costs start-up time

        statements = _permissions.bucket_statements(self._bucket_arn, self.prefix)
        parsed = [PolicyStatement.from_json(statement) for statement in statements]
        if made_policy is not None:  # three jsii calls less than asking the bucket
            made_policy.document.add_statements(*parsed)
            self._dependencies.append(made_policy)
            return
        added = [self._bucket.add_to_resource_policy(statement) for statement in parsed][-1]
        if not added.statement_added:
            self._warn("bucket-policy", f"the policy of the bucket of {self.path}", statements)
        elif added.policy_dependable is not None:
            self._dependencies.append(added.policy_dependable)

    def _permit_to_role(self, key_arn: str | None, *, made: bool) -> None:
        from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

        statements = _permissions.role_statements(self._bucket_arn, self.prefix, key_arn)
        if made:
            managed = aws_iam.CfnManagedPolicy(
                self,
                "RolePolicy",
                description="What Amazon Personalize needs to write dataset exports",
                policy_document=_permissions.document(statements),
                roles=[self._role.role_name],
            )
            self._dependencies.append(managed)
            return
        parsed = [aws_iam.PolicyStatement.from_json(statement) for statement in statements]
        policy = [self._role.add_to_principal_policy(statement) for statement in parsed][-1].policy_dependable
        # A role that may not be changed says it was: it only differs in having nothing of its own to wait for.
        if policy is None or (isinstance(policy, DependencyGroup) and not isinstance(self._role, aws_iam.Role)):
            self._warn("role-policy", f"the policies of role {self.role_arn}", statements)
        else:
            self._dependencies.append(policy)

    def _permit_in_key(self, key: kms.IKey) -> None:
        from aws_cdk.aws_iam import PolicyStatement  # noqa: PLC0415 - not at import: it costs start-up time

        # A key of another stack cannot name our role: we name the key, so that would be a cycle. It names the account
        # instead, which leaves the decision to the policy of the role.
        same_stack = Stack.of(key) is self.home.stack
        account = f"arn:{self.home.partition}:iam::{self.home.account}:root"
        statement = _permissions.key_statement(self.role_arn if same_stack else account)
        if not key.add_to_resource_policy(PolicyStatement.from_json(statement)).statement_added:
            self._warn("key-policy", f"the policy of key {key.key_arn}", [statement])

    def _warn(self, what: str, where: str, statements: list[_permissions.Statement]) -> None:
        partition = self.home.known_partition
        Annotations.of(self).add_warning_v2(
            f"cdk-personalize-export:{what}",
            f"This app cannot change {_permissions.readable(where, partition)}. Exports fail unless these statements "
            f"are in it:\n{_permissions.pasteable(statements, partition)}\n",
        )


def _check_objects(bucket: object, encryption_key: object, role: object) -> None:
    for option, value, fix in (
        ("bucket", bucket, "s3.Bucket.from_bucket_name(self, 'ExportBucket', {!r})"),
        ("encryption_key", encryption_key, "kms.Key.from_key_arn(self, 'ExportKey', {!r})"),
        ("role", role, "iam.Role.from_role_arn(self, 'ExportRole', {!r})"),
    ):
        if isinstance(value, str):
            raise ValueError(  # noqa: TRY004 - every wrong option raises ValueError
                f"{option} {value!r} is a string. It must be an object: write {fix.format(value)}."
            )


def _checked_bucket_name(bucket: s3.IBucket | None, prefix: str, home: Home) -> str | None:
    bucket_name = None if bucket is None else str(bucket.bucket_name)
    _checks.check_path(bucket_name, prefix)
    if bucket is not None:
        _checks.check_same_region(
            "bucket", str(bucket_name), bucket.env.region, stack=home.path, stack_region=home.region
        )
    return bucket_name


def _checked_key_arn(option: str, key: kms.IKey) -> str:
    key_arn: str = key.key_arn
    _checks.check_key(option, key_arn, is_alias=hasattr(key, "alias_name"))
    return key_arn


def _make_bucket(scope: Construct, key: kms.IKey | None) -> tuple[s3.IBucket, s3.BucketPolicy | None]:
    from aws_cdk import aws_s3  # noqa: PLC0415 - not at import: it costs start-up time

    bucket = aws_s3.Bucket(
        scope,
        "Bucket",
        block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
        bucket_key_enabled=None if key is None else True,
        encryption=aws_s3.BucketEncryption.S3_MANAGED if key is None else aws_s3.BucketEncryption.KMS,
        encryption_key=key,
        enforce_ssl=True,
        object_ownership=aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        removal_policy=RemovalPolicy.RETAIN,
        versioned=True,
    )
    return bucket, bucket.policy  # which enforce_ssl has made


def _make_role(scope: Construct, home: Home) -> iam.Role:
    from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

    conditions = _permissions.trust_conditions(home.partition, home.region, home.account)
    return aws_iam.Role(
        scope,
        "Role",
        assumed_by=aws_iam.ServicePrincipal(_permissions.PERSONALIZE, conditions=conditions),
        description="Amazon Personalize writes dataset exports with it",
    )
