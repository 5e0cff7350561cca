"""Where exports are written: the bucket, the prefix, the key, and both sides of the permission to write there.

Amazon Personalize needs two grants, the policy of the role it assumes and the policy of the bucket:
https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-s3-access.html. With a KMS key of yours there are
two more: https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-key-access.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aws_cdk import Annotations, CfnOutput, Duration, Names, RemovalPolicy, Stack
from constructs import Construct, DependencyGroup

from cdk_personalize_export import _checks, _findings, _permissions
from cdk_personalize_export._home import Home

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_s3 as s3
    from constructs import IConstruct, IDependable

_DEFAULT_PREFIX = "personalize"
_OBJECTS = {
    "bucket": "s3.Bucket.from_bucket_name(self, 'ExportBucket', {!r})",
    "encryption_key": "kms.Key.from_key_arn(self, 'ExportKey', {!r})",
    "role": "iam.Role.from_role_arn(self, 'ExportRole', {!r})",
    "dataset_group_key": "kms.Key.from_key_arn(self, 'DatasetGroupKey', {!r})",
    "server_access_logs_bucket": "s3.Bucket.from_bucket_name(self, 'AccessLogs', {!r})",
}
_ROLE_NAME_CHARACTERS = 64
_HIDDEN_DAYS = 1
_COUNT = "_cdk_personalize_export_destinations"  # on the Python object of a role: jsii keeps one for each construct


class ExportDestination(Construct):
    """A place in Amazon S3 that exports are written to, and the role Amazon Personalize writes with.

    Each export makes one unless it is given one. Passing the same destination to several exports saves four resources
    per export; every job still writes under a prefix of its own, `<prefix>/<job name>/`.

    What this app owns is given the permissions. What it cannot change (an imported bucket or key, a role that may not
    be changed) is left alone: synthesis warns, and an output of the stack carries the exact statements as JSON.

    Args:
        scope: The construct this belongs to.
        construct_id: Its name within `scope`.
        bucket: The bucket to write to, in the Region of the dataset. Default: a private, versioned, encrypted bucket
            that accepts only TLS and is retained with its objects when the stack is removed. Pass one to keep exports
            with your other data. It may belong to another account, when its `account` is known: then its policy must
            also name the role, which is given a name of its own for that.
        prefix: What object keys begin with. Default: `personalize`. Empty writes to the root of the bucket. The job
            name follows it. At most 123 characters, more with a bucket name known at synthesis that is shorter than 63.
        encryption_key: The KMS key objects are encrypted with. Default: what the bucket does by itself; a key the
            bucket is encrypted with is found and permitted. Must be a key, not an alias.
        role: The role Amazon Personalize writes with; `personalize.amazonaws.com` must be trusted to assume it.
            Default: a role for this destination, which Personalize can use only for this account and Region. Pass one
            where roles are made centrally.
        dataset_group_key: The KMS key the dataset group is encrypted with. Default: none. Pass it when the group has
            one: exporting then also takes `kms:GenerateDataKeyWithoutPlaintext` on it.
        require_source_account: Whether the bucket lets Personalize in only when it says that it acts for this account
            and Region (`aws:SourceAccount` and `aws:SourceArn`). Default: False, because AWS documents the bucket
            policy without conditions, and whether Personalize sets them there is unknown. Set it where your rules
            demand it, and try it first: if Personalize does not set them, every export fails.
        permissions_in_place: Whether the permissions this app cannot write are already there. Default: False. True
            leaves out the warnings and outputs, and changes nothing else.
        server_access_logs_bucket: Where S3 logs the access to the bucket that is made. Default: nowhere, because logs
            need a bucket that only you can choose. Not with `bucket`.
        expire_after: After how many days objects in the bucket that is made expire; a day later they are gone for
            good, like everything that was deleted or overwritten. Default: never. Not with `bucket`.

    Raises:
        ValueError: when an option could only fail later; the message says what is allowed.
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
        dataset_group_key: kms.IKey | None = None,
        require_source_account: bool = False,
        permissions_in_place: bool = False,
        server_access_logs_bucket: s3.IBucket | None = None,
        expire_after: Duration | None = None,
    ) -> None:
        _check_objects(
            bucket=bucket,
            encryption_key=encryption_key,
            role=role,
            dataset_group_key=dataset_group_key,
            server_access_logs_bucket=server_access_logs_bucket,
        )
        _check_only_made(bucket, server_access_logs_bucket=server_access_logs_bucket, expire_after=expire_after)
        expire_days = None if expire_after is None else _checks.whole_days("expire_after", expire_after.to_seconds())
        home = Home.of(scope)
        self.prefix = _checks.destination_prefix(_DEFAULT_PREFIX if prefix is None else prefix)
        """What the object keys of every export begin with; empty or ending in a slash."""
        bucket_name = _checked_bucket_name(bucket, self.prefix, home)
        self.kms_key_arn = None if encryption_key is None else _checked_key_arn("encryption_key", encryption_key)
        """The ARN of the key that was given, sent with each job; None leaves encryption to the bucket."""
        group_key_arn = None if dataset_group_key is None else _checked_key_arn("dataset_group_key", dataset_group_key)
        super().__init__(scope, construct_id)
        home.remember_on(self)
        self.home = home
        self.encryption_key = encryption_key
        """The key that was given."""
        self._dependencies: list[IDependable] = []
        self._in_place, self._made_bucket = permissions_in_place, bucket is None
        self._made = bucket is None and role is None
        self._bucket = bucket or _make_bucket(self, encryption_key, server_access_logs_bucket, expire_days)
        self._bucket_arn = self._bucket.bucket_arn
        self._bucket_name = bucket_name or str(self._bucket.bucket_name)
        self.path = f"s3://{self._bucket_name}/{self.prefix}"
        """Where exports are written, `s3://bucket/prefix/`; each job appends its name."""
        foreign = bucket is not None and _is_foreign(bucket, home)
        role_name = _role_name(self, home) if foreign and role is None else None
        self._role = _make_role(self, home, role_name) if role is None else role
        self.role_arn: str = self._role.role_arn
        """The ARN of `role`."""
        statements = self._bucket_statements(require_source_account=require_source_account)
        if foreign:
            statements += self._foreign_role_statements(role_name)
        self._permit_in_bucket(statements)
        key = encryption_key
        key_arn = self.kms_key_arn
        if key is None and bucket is not None and bucket.encryption_key is not None:
            key = bucket.encryption_key
            key_arn = _checked_key_arn("the encryption key of the bucket", key)
        self._permit_to_role(key_arn, group_key_arn, made=role is None)
        if key is not None:
            self._permit_in_key(key, "key-policy", _permissions.key_statement)
        if dataset_group_key is not None:
            self._permit_in_key(dataset_group_key, "dataset-group-key-policy", _permissions.dataset_group_key_statement)

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

    @property
    def _account_arn(self) -> str:
        return f"arn:{self.home.partition}:iam::{self.home.account}:root"

    def _bucket_statements(self, *, require_source_account: bool) -> list[_permissions.Statement]:
        conditions = None
        if require_source_account:
            conditions = _permissions.trust_conditions(self.home.partition, self.home.region, self.home.account)
        return _permissions.bucket_statements(self._bucket_arn, self.prefix, conditions)

    def _foreign_role_statements(self, role_name: str | None) -> list[_permissions.Statement]:
        # Spelled out where we name it, so that it is known at synthesis, and in the stack of the other account too.
        spelled = f"arn:{self.home.partition}:iam::{self.home.account}:role/{role_name}"
        role_arn = self.role_arn if role_name is None else spelled
        return _permissions.foreign_role_statements(self._bucket_arn, self.prefix, self._account_arn, role_arn)

    def _permit_in_bucket(self, statements: list[_permissions.Statement]) -> None:
        from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

        if self._made_bucket:
            self._dependencies.append(self._made_policy(statements))
            return
        parsed = [aws_iam.PolicyStatement.from_json(statement) for statement in statements]
        added = [self._bucket.add_to_resource_policy(statement) for statement in parsed][-1]
        if not added.statement_added:
            self._show("bucket-policy", f"the policy of the bucket of {self.path}", statements)
        elif added.policy_dependable is not None:
            self._dependencies.append(added.policy_dependable)

    def _made_policy(self, statements: list[_permissions.Statement]) -> s3.BucketPolicy:
        """Make the policy the bucket would make by itself, from one document: two jsii calls less."""
        from aws_cdk import aws_iam, aws_s3  # noqa: PLC0415 - not at import: it costs start-up time

        bucket = cast("s3.Bucket", self._bucket)
        document = _permissions.document([_permissions.only_tls_statement(self._bucket_arn), *statements])
        parsed = aws_iam.PolicyDocument.from_json(document)
        try:
            policy = aws_s3.BucketPolicy(bucket, "Policy", bucket=bucket, document=parsed)
        except TypeError:  # an older aws-cdk-lib, whose policies are born empty
            policy = aws_s3.BucketPolicy(bucket, "Policy", bucket=bucket)
            policy.document.add_statements(*map(aws_iam.PolicyStatement.from_json, document["Statement"]))
        bucket.policy = policy  # what is added to the bucket later goes there
        return policy

    def _permit_to_role(self, key_arn: str | None, group_key_arn: str | None, *, made: bool) -> None:
        from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

        statements = _permissions.role_statements(self._bucket_arn, self.prefix, key_arn, group_key_arn)
        # A policy of ours on a role of this app, also of another stack: one in the role would name our bucket and be a
        # cycle.
        if made or isinstance(self._role, aws_iam.Role):
            _count(self._role)
            managed = aws_iam.CfnManagedPolicy(
                self,
                "RolePolicy",
                description="What Amazon Personalize needs to write dataset exports",
                policy_document=_permissions.document(statements),
                roles=[self._role.role_name],
            )
            self._dependencies.append(managed)
            self._acknowledge_objects(managed)
            return
        parsed = [aws_iam.PolicyStatement.from_json(statement) for statement in statements]
        policy = [self._role.add_to_principal_policy(statement) for statement in parsed][-1].policy_dependable
        # A role that may not be changed says it was: it only differs in having nothing of its own to wait for.
        if policy is None or isinstance(policy, DependencyGroup):
            self._show("role-policy", f"the policies of role {self.role_arn}", statements)
        else:
            self._dependencies.append(policy)
            self._acknowledge_objects(cast("IConstruct", policy))

    def _acknowledge_objects(self, policy: IConstruct) -> None:
        def acknowledge() -> None:
            _findings.acknowledge(policy, self.home.stack, f"{self._bucket_arn}/{self.prefix}*", _findings.OBJECTS)

        if self._made_bucket or Stack.of(self._bucket) is self.home.stack:
            acknowledge()
        else:  # how a policy names what another stack owns is only known at synthesis
            self.node.add_validation(_findings.AtSynthesis(acknowledge))

    def _permit_in_key(self, key: kms.IKey, what: str, statement_for: Callable[[str], _permissions.Statement]) -> None:
        from aws_cdk.aws_iam import PolicyStatement  # noqa: PLC0415 - not at import: it costs start-up time

        # A key of another stack cannot name our role: we name the key, so that would be a cycle. It names the account
        # instead, which leaves the decision to the policy of the role.
        in_stack = Stack.of(key) is self.home.stack
        statement = statement_for(self.role_arn if in_stack else self._account_arn)
        if not key.add_to_resource_policy(PolicyStatement.from_json(statement)).statement_added:
            # Ready to paste before the deployment, when a role that is made has no ARN yet.
            known = not _checks.is_token(self.role_arn)
            printed = statement_for(self.role_arn if known else self._account_arn)
            self._show(what, f"the policy of key {key.key_arn}", [printed])

    def _show(self, what: str, where: str, statements: list[_permissions.Statement]) -> None:
        """Show what this app cannot write: before the deployment in a warning, and resolved in an output."""
        if self._in_place:
            return
        partition = self.home.known_partition
        name = "".join(word.title() for word in what.split("-"))
        Annotations.of(self).add_warning_v2(
            f"cdk-personalize-export:{what}",
            f"This app cannot change {_permissions.readable(where, partition)}. Exports fail unless these statements "
            f"are in it:\n{_permissions.pasteable(statements, partition)}\nAn output of the stack repeats them. "
            "When they are in place, say permissions_in_place=True.",
        )
        CfnOutput(
            self,
            f"{name}Statements",
            description=f"What the {what.replace('-', ' ')} must say, for exports to succeed",
            value=self.home.stack.to_json_string(statements),
        )


def _check_objects(**options: object) -> None:
    for option, value in options.items():
        if isinstance(value, str):
            raise ValueError(  # noqa: TRY004 - every wrong option raises ValueError
                f"{option} {value!r} is a string. It must be an object: write {_OBJECTS[option].format(value)}."
            )


def _check_only_made(bucket: object, **options: object) -> None:
    for option, value in options.items():
        if bucket is not None and value is not None:
            raise ValueError(
                f"{option} is given together with bucket. It describes the bucket that is made without one: set it on "
                "your bucket instead."
            )


def _is_foreign(bucket: s3.IBucket, home: Home) -> bool:
    """Say whether the bucket is known to belong to another account."""
    account: str = bucket.env.account
    return account != home.account and not _checks.is_token(account) and not _checks.is_token(home.account)


def _count(role: iam.IRole) -> None:
    """Refuse a role with more destinations than it has room for policies."""
    count = vars(role).get(_COUNT, 0) + 1
    if count > _permissions.POLICIES_PER_ROLE:
        raise ValueError(
            f"role {role.node.path!r} is given to {count} ExportDestinations. Each attaches a managed policy, and a "
            f"role has room for {_permissions.POLICIES_PER_ROLE}: share one ExportDestination between exports, or give "
            "some a role of their own."
        )
    setattr(role, _COUNT, count)


def _role_name(destination: ExportDestination, home: Home) -> str:
    """Name a role that another account must know of before it exists; unique in all Regions, as role names are."""
    region = "" if _checks.is_token(home.region) else f"-{home.region}"
    return f"{Names.unique_resource_name(destination, max_length=_ROLE_NAME_CHARACTERS - len(region))}{region}"


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


def _make_bucket(
    scope: Construct, key: kms.IKey | None, server_access_logs_bucket: s3.IBucket | None, expire_days: int | None
) -> s3.Bucket:
    from aws_cdk import aws_s3  # noqa: PLC0415 - not at import: it costs start-up time

    lifecycle_rules = None
    if expire_days is not None:
        # Expiring only hides an object in a versioned bucket; what is hidden has to go as well.
        lifecycle_rules = [
            aws_s3.LifecycleRule(
                expiration=Duration.days(expire_days), noncurrent_version_expiration=Duration.days(_HIDDEN_DAYS)
            )
        ]
    return aws_s3.Bucket(
        scope,
        "Bucket",
        block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
        bucket_key_enabled=None if key is None else True,
        encryption=aws_s3.BucketEncryption.S3_MANAGED if key is None else aws_s3.BucketEncryption.KMS,
        encryption_key=key,
        lifecycle_rules=lifecycle_rules,
        object_ownership=aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        removal_policy=RemovalPolicy.RETAIN,
        server_access_logs_bucket=server_access_logs_bucket,
        versioned=True,
    )


def _make_role(scope: Construct, home: Home, role_name: str | None) -> iam.Role:
    from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

    conditions = _permissions.trust_conditions(home.partition, home.region, home.account)
    return aws_iam.Role(
        scope,
        "Role",
        assumed_by=aws_iam.ServicePrincipal(_permissions.PERSONALIZE, conditions=conditions),
        description="Amazon Personalize writes dataset exports with it",
        role_name=role_name,
    )
