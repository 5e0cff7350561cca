"""Where exports are written: the bucket, the prefix, the key, and both sides of the permission to write there.

Amazon Personalize needs two grants, the policy of the role it assumes and the policy of the bucket:
https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-s3-access.html. With a KMS key of yours there are
two more: https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-key-access.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Annotations, CfnOutput, Duration, Names, RemovalPolicy, Stack
from constructs import Construct

from cdk_personalize_export import _checks, _findings, _options, _permissions, _references, _roles
from cdk_personalize_export._environment import StackEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_cdk import IResource
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_s3 as s3
    from constructs import IConstruct, IDependable

_DEFAULT_PREFIX = "personalize"
_ROLE_NAME_CHARACTERS = 64
_HIDDEN_DAYS = 1


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
        require_source_account: Whether bucket and keys let Personalize in only when it says that it acts for this
            account and Region (`aws:SourceAccount` and `aws:SourceArn`). Default: False, which denies Personalize when
            it says that it acts for another account, and lets it in when it does not say for whom, because AWS's own
            examples have no conditions, and whether Personalize sets them there is unknown. Set it where your rules
            demand it, and try it first: if Personalize does not set them, every export fails.
        permissions_in_place: Whether the permissions this app cannot write are already there. Default: False. True
            leaves out the warnings and outputs, and changes nothing else.
        manifest: Whether each job that becomes `ACTIVE` gets a manifest, a JSON file with the job and the objects it
            wrote, and whether each export has files that name the objects of its newest job, and of the last one of
            each day, for tables. Default: False; what needs them asks for them by itself. Set it to know which objects
            are an export, and that it is complete. The function may then list what is below `prefix`, and write
            `<prefix>/_manifests/` and `<prefix>/hive/`. Not with `wait=False`, nor in a bucket of another account.
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
        manifest: bool = False,
        server_access_logs_bucket: s3.IBucket | None = None,
        expire_after: Duration | None = None,
    ) -> None:
        _options.check(
            bucket=bucket,
            prefix=prefix,
            encryption_key=encryption_key,
            role=role,
            dataset_group_key=dataset_group_key,
            require_source_account=require_source_account,
            permissions_in_place=permissions_in_place,
            manifest=manifest,
            server_access_logs_bucket=server_access_logs_bucket,
            expire_after=expire_after,
        )
        _check_only_made(bucket, server_access_logs_bucket=server_access_logs_bucket, expire_after=expire_after)
        expire_days = None if expire_after is None else _checks.whole_days("expire_after", expire_after.to_seconds())
        environment = StackEnvironment.of(scope)
        self.prefix = _checks.destination_prefix(_DEFAULT_PREFIX if prefix is None else prefix)
        """What the object keys of every export begin with; empty or ending in a slash."""
        _checks.check_path(None, self.prefix if bucket is None else "")
        # Looked at before this construct is made, so that what is refused leaves nothing behind.
        given = _Given(scope, construct_id, environment)
        key = None if encryption_key is None else given.key("encryption_key", encryption_key)
        group_key = None if dataset_group_key is None else given.key("dataset_group_key", dataset_group_key)
        given_bucket = None if bucket is None else given.bucket(bucket, self.prefix)
        given_role = None if role is None else given.role(role)
        used_key = key
        if key is None and given_bucket is not None and given_bucket.encryption_key is not None:
            used_key = given.checked_key("the encryption key of the bucket", given_bucket.encryption_key)
        foreign_bucket = None if given_bucket is None else _foreign_name(given_bucket, environment)
        if manifest:
            _checks.check_manifest(wait=True, foreign_bucket=foreign_bucket)
        super().__init__(scope, construct_id)
        self.environment = environment
        self.manifest = manifest
        """Whether every export to this destination has manifests."""
        self.encryption_key = key
        """The key that was given."""
        self.kms_key_arn = None if key is None else str(key.key_arn)
        """The ARN of the key that was given, sent with each job; None leaves encryption to the bucket."""
        self._dependencies: list[IDependable] = []
        self._in_place, self._made_bucket = permissions_in_place, bucket is None
        self._made, self._expire_days = bucket is None and role is None, expire_days
        self._bucket: s3.IBucket = given_bucket or _make_bucket(self, key, server_access_logs_bucket, expire_days)
        self._bucket_arn, self._bucket_name = str(self._bucket.bucket_arn), str(self._bucket.bucket_name)
        self.path = f"s3://{self._bucket_name}/{self.prefix}"
        """Where exports are written, `s3://bucket/prefix/`; each job appends its name."""
        role_name = _role_name(self) if foreign_bucket and role is None else None
        self._role: iam.IRole = given_role or _make_role(self, role_name)
        self.role_arn: str = self._role.role_arn
        """The ARN of `role`."""
        conditions = self._conditions(require_source_account=require_source_account)
        statements = _permissions.bucket_statements(self._bucket_arn, self.prefix, conditions)
        if foreign_bucket:
            statements += self._foreign_role_statements(role_name)
        self._object_key, self._functions_in_key = used_key, set[str]()
        self._permit_in_bucket(statements)
        self._permit_to_role(used_key, group_key)
        if used_key is not None:
            self._permit_in_key(used_key, "key-policy", lambda arn: _permissions.key_statements(arn, conditions))
        if group_key is not None:
            self._permit_in_key(
                group_key,
                "dataset-group-key-policy",
                lambda arn: _permissions.dataset_group_key_statements(arn, conditions),
            )

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
    def _object_key_arn(self) -> str | None:
        """The ARN of the key that objects are encrypted with, if one is known."""
        return None if self._object_key is None else str(self._object_key.key_arn)

    def _check_manifest(self, environment: StackEnvironment, *, wait: bool) -> None:
        _checks.check_manifest(wait=wait, foreign_bucket=_foreign_name(self._bucket, environment))

    def _permit_manifests_in_key(self, role: iam.IRole) -> None:
        """Let the function that has `role` encrypt manifests, as far as the key is asked."""
        from aws_cdk.aws_iam import PolicyStatement  # noqa: PLC0415 - not at import: it costs start-up time

        key, role_arn = self._object_key, str(role.role_arn)
        if key is None or role_arn in self._functions_in_key:
            return
        self._functions_in_key.add(role_arn)
        # As of our own role: a key of another stack names the account, because the role may come after it.
        in_stack = Stack.of(key) is Stack.of(role)
        statements = _permissions.manifest_key_statements(role_arn if in_stack else self._account_arn)
        added = [key.add_to_resource_policy(PolicyStatement.from_json(statement)) for statement in statements][-1]
        if not added.statement_added:
            number = len(self._functions_in_key)
            what = "manifest-key-policy" if number == 1 else f"manifest-key-policy-{number}"
            self._show(what, f"the policy of key {key.key_arn}", statements)

    @property
    def _account_arn(self) -> str:
        return f"arn:{self.environment.partition}:iam::{self.environment.account}:root"

    def _conditions(self, *, require_source_account: bool) -> _permissions.Conditions:
        here = self.environment
        if require_source_account:
            return _permissions.trust_conditions(here.partition, here.region, here.account)
        return _permissions.source_conditions(here.account)

    def _foreign_role_statements(self, role_name: str | None) -> list[_permissions.Statement]:
        # Spelled out where we name it, so that it is known at synthesis, and in the stack of the other account too.
        spelled = f"arn:{self.environment.partition}:iam::{self.environment.account}:role/{role_name}"
        role_arn = self.role_arn if role_name is None else spelled
        return _permissions.foreign_role_statements(self._bucket_arn, self.prefix, self._account_arn, role_arn)

    def _permit_in_bucket(self, statements: list[_permissions.Statement]) -> None:
        from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

        parsed = [aws_iam.PolicyStatement.from_json(statement) for statement in statements]
        added = [self._bucket.add_to_resource_policy(statement) for statement in parsed][-1]
        if not added.statement_added:
            self._show("bucket-policy", f"the policy of the bucket of {self.path}", statements)
        elif added.policy_dependable is not None:
            self._dependencies.append(added.policy_dependable)

    def _permit_to_role(self, key: kms.IKey | None, group_key: kms.IKey | None) -> None:
        key_arn, group_key_arn = (None if given is None else str(given.key_arn) for given in (key, group_key))
        statements = _permissions.role_statements(self._bucket_arn, self.prefix, key_arn, group_key_arn)
        # A policy of ours on a role of this app, also of another stack: one in the role would name our bucket and be a
        # cycle.
        if _roles.takes_managed_policies(self._role):
            managed = _roles.managed_policy(
                self, "RolePolicy", "What Amazon Personalize needs to write dataset exports", statements, self._role
            )
            self._dependencies.append(managed)
            self._acknowledge_objects(managed)
            return
        policy = _roles.add_to_role(self._role, statements)
        if policy is None:
            self._show("role-policy", f"the policies of role {self.role_arn}", statements)
        else:
            self._dependencies.append(policy)
            self._acknowledge_objects(policy)

    def _acknowledge_objects(self, policy: IConstruct) -> None:
        here, objects = self.environment.stack, f"{self._bucket_arn}/{self.prefix}*"
        self._when_named(lambda: _findings.acknowledge(policy, here, objects, _findings.OBJECTS), here)

    def _when_named(self, acknowledge: Callable[[], None], stack: Stack) -> None:
        """Acknowledge what a policy of `stack` says of the bucket."""
        bucket_stack = self.environment.stack if self._made_bucket else Stack.of(self._bucket)
        if bucket_stack is stack:
            acknowledge()
        else:  # how a policy names what another stack owns is only known at synthesis
            self.node.add_validation(_findings.AtSynthesis(acknowledge))

    def _permit_in_key(
        self, key: kms.IKey, what: str, statements_for: Callable[[str], list[_permissions.Statement]]
    ) -> None:
        from aws_cdk.aws_iam import PolicyStatement  # noqa: PLC0415 - not at import: it costs start-up time

        # A key of another stack cannot name our role: we name the key, so that would be a cycle. It names the account
        # instead, which leaves the decision to the policy of the role.
        in_stack = Stack.of(key) is self.environment.stack
        statements = statements_for(self.role_arn if in_stack else self._account_arn)
        added = [key.add_to_resource_policy(PolicyStatement.from_json(statement)) for statement in statements][-1]
        if not added.statement_added:
            # Ready to paste before the deployment, when a role that is made has no ARN yet.
            known = not _checks.is_unknown(self.role_arn)
            printed = statements_for(self.role_arn if known else self._account_arn)
            self._show(what, f"the policy of key {key.key_arn}", printed)

    def _show(self, what: str, where: str, statements: list[_permissions.Statement]) -> None:
        """Show what this app cannot write: before the deployment in a warning, and resolved in an output."""
        if self._in_place:
            return
        partition = self.environment.known_partition
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
            value=self.environment.stack.to_json_string(statements),
        )


def _check_only_made(bucket: object, **options: object) -> None:
    for option, value in options.items():
        if bucket is not None and value is not None:
            raise ValueError(
                f"{option} is given together with bucket. It describes the bucket that is made without one: set it on "
                "your bucket instead."
            )


def _foreign_name(bucket: s3.IBucket, environment: StackEnvironment) -> str | None:
    """Return the name of a bucket that is known to belong to another account."""
    account: str = bucket.env.account
    here = environment.account
    foreign = account != here and not _checks.is_unknown(account) and not _checks.is_unknown(here)
    return str(bucket.bucket_name) if foreign else None


def _role_name(destination: ExportDestination) -> str:
    """Name a role that another account must know of before it exists; unique in all Regions, as role names are."""
    region = destination.environment.region
    suffix = "" if _checks.is_unknown(region) else f"-{region}"
    return f"{Names.unique_resource_name(destination, max_length=_ROLE_NAME_CHARACTERS - len(suffix))}{suffix}"


@dataclass(frozen=True)
class _Given:
    """Turns what the user gave into constructs, and refuses what cannot work."""

    scope: Construct
    construct_id: str
    environment: StackEnvironment

    def bucket(self, given: s3.IBucket, prefix: str) -> s3.IBucket:
        bucket = _references.bucket(self.scope, f"{self.construct_id}Bucket", given)
        bucket_name = str(bucket.bucket_name)
        _checks.check_bucket_arn(str(bucket.bucket_arn))
        _checks.check_bucket_name(bucket_name)
        _checks.check_path(bucket_name, prefix)
        self._check_region("bucket", bucket_name, bucket)
        return bucket

    def key(self, option: str, given: kms.IKey) -> kms.IKey:
        child_id = self.construct_id + "".join(word.title() for word in option.split("_"))
        return self.checked_key(option, _references.key(self.scope, child_id, option, given))

    def checked_key(self, option: str, key: kms.IKey) -> kms.IKey:
        _checks.check_key(option, str(key.key_arn), is_alias=hasattr(key, "alias_name"))
        self._check_region("key", str(key.key_arn), key)
        return key

    def role(self, given: iam.IRole) -> iam.IRole:
        role = _references.role(self.scope, f"{self.construct_id}Role", given)
        _roles.require_trust(role, _permissions.PERSONALIZE)
        return role

    def _check_region(self, what: str, name: str, resource: IResource) -> None:
        here = self.environment
        shown = str(resource.node.path) if _checks.is_unknown(name) else name
        _checks.check_same_region(what, shown, resource.env.region, stack=here.path, stack_region=here.region)


def _make_bucket(
    scope: Construct, key: kms.IKey | None, access_logs: s3.IBucket | None, expire_days: int | None
) -> s3.Bucket:
    from aws_cdk import aws_s3  # noqa: PLC0415 - not at import: it costs start-up time

    if access_logs is not None:
        access_logs = _references.bucket(scope, "AccessLogsReference", access_logs)

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
        enforce_ssl=True,
        lifecycle_rules=lifecycle_rules,
        object_ownership=aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        removal_policy=RemovalPolicy.RETAIN,
        server_access_logs_bucket=access_logs,
        versioned=True,
    )


def _make_role(destination: ExportDestination, role_name: str | None) -> iam.Role:
    from aws_cdk import aws_iam  # noqa: PLC0415 - not at import: it costs start-up time

    here = destination.environment
    conditions = _permissions.trust_conditions(here.partition, here.region, here.account)
    return aws_iam.Role(
        destination,
        "Role",
        assumed_by=aws_iam.ServicePrincipal(_permissions.PERSONALIZE, conditions=conditions),
        description="Amazon Personalize writes dataset exports with it",
        role_name=role_name,
    )
