"""Datasets of Amazon Personalize made again from their exports: a dataset group, schemas, datasets and their imports.

    cdk deploy RestoreBucket --app "python3 examples/restore/app.py"
    cdk deploy Restore --app "python3 examples/restore/app.py" -c dataset_group=NAME -c data=s3://BUCKET/

A third stack, RestoreCheck, exports the new datasets, to be compared with what they were made of. `fetch.py` brings
exports into a folder, `exported/<type>/` with `manifest.json`, `schema.json` and `data/`; README.md says what comes in
between. An import takes every object of a folder's first level, and none below:
https://docs.aws.amazon.com/personalize/latest/dg/bulk-data-import-step.html. What it makes of an empty object there is
unknown, so the folder has to hold the data and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_personalize as personalize
from aws_cdk import aws_s3 as s3

from cdk_personalize_export import DatasetGroupExport, ExportDestination, ExportProvider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from constructs import Construct

DATASET_TYPES = ("Interactions", "Items", "Users")
PERSONALIZE = "personalize.amazonaws.com"
READ_WITH_KEY = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ListGrants"]
LONGEST_GROUP_NAME = 40  # an import job's name has at most 63 characters: group, type and hash
COPIES_EXPIRE_DAYS = 7
MANIFEST_VERSION = 1


@dataclass(frozen=True)
class Export:
    """One exported dataset.

    Args:
        dataset_type: Interactions, Items or Users.
        schema: The Avro schema, as JSON.
        domain: The domain of the schema: ECOMMERCE, VIDEO_ON_DEMAND, or None for a custom one.
        folder: The folder in S3 that is imported, `s3://bucket/folder/`; None when nothing was exported.
    """

    dataset_type: str
    schema: str
    domain: str | None
    folder: str | None


class RestoreBucket(cdk.Stack):
    """A bucket for copies of exports, from which Personalize may import. The copies expire."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.bucket = bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(COPIES_EXPIRE_DAYS))],
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        for action, resource in (("s3:ListBucket", bucket.bucket_arn), ("s3:GetObject", bucket.arn_for_objects("*"))):
            bucket.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(PERSONALIZE)],
                    actions=[action],
                    resources=[resource],
                    conditions={"StringEqualsIfExists": {"aws:SourceAccount": self.account}},
                )
            )
        cdk.CfnOutput(self, "BucketName", value=bucket.bucket_name)


class RestoreCheck(cdk.Stack):
    """The restored datasets, exported again below `again/` of the bucket.

    Args:
        scope: The app or stage.
        construct_id: The stack's id.
        dataset_group: The name of the restored dataset group.
        dataset_types: Which datasets it has.
        bucket: Where to write.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, dataset_group: str, dataset_types: list[str], bucket: s3.IBucket
    ) -> None:
        super().__init__(scope, construct_id)
        DatasetGroupExport(
            self,
            "Export",
            dataset_group=dataset_group,
            dataset_types=dataset_types,
            destination=ExportDestination(self, "Destination", bucket=bucket, prefix="again", manifest=True),
            provider=ExportProvider(self, "Provider", log_removal_policy=cdk.RemovalPolicy.DESTROY),
        )


class Restore(cdk.Stack):
    """A new dataset group with the schemas, the datasets and what was exported of them.

    Args:
        scope: The app or stage.
        construct_id: The stack's id.
        dataset_group: The name of the new dataset group.
        exports: What to make it of.
        key_arn: The KMS key that the objects are encrypted with, if it is one of yours.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dataset_group: str,
        exports: Iterable[Export],
        key_arn: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        exports = list(exports)
        domain = next((export.domain for export in exports if export.domain), None)
        group = personalize.CfnDatasetGroup(self, "Group", name=dataset_group, domain=domain)
        role = self._make_import_role([export.folder for export in exports if export.folder], key_arn)
        for export in exports:
            name = f"{dataset_group}-{export.dataset_type.lower()}"
            schema = personalize.CfnSchema(
                self, f"{export.dataset_type}Schema", name=name, schema=export.schema, domain=export.domain
            )
            dataset = personalize.CfnDataset(
                self,
                export.dataset_type,
                name=name,
                dataset_group_arn=group.attr_dataset_group_arn,
                dataset_type=export.dataset_type,
                schema_arn=schema.attr_schema_arn,
                dataset_import_job=_import_job(name, export.folder, role) if export.folder else None,
            )
            cdk.CfnOutput(self, f"{export.dataset_type}Arn", value=dataset.attr_dataset_arn)

    def _make_import_role(self, folders: list[str], key_arn: str | None) -> iam.Role:
        """Make the role that Personalize reads these folders with, and nothing else."""
        objects = [f"arn:{self.partition}:s3:::{folder.removeprefix('s3://')}" for folder in folders]
        buckets = sorted({arn.partition("/")[0] for arn in objects})
        statements = [
            iam.PolicyStatement(actions=["s3:ListBucket"], resources=buckets),
            iam.PolicyStatement(actions=["s3:GetObject"], resources=[f"{arn}*" for arn in objects]),
        ]
        if key_arn:
            statements.append(iam.PolicyStatement(actions=READ_WITH_KEY, resources=[key_arn]))
        source = f"arn:{self.partition}:personalize:{self.region}:{self.account}:*"
        return iam.Role(
            self,
            "ImportRole",
            assumed_by=iam.ServicePrincipal(
                PERSONALIZE,
                conditions={
                    "StringEquals": {"aws:SourceAccount": self.account},
                    "StringLike": {"aws:SourceArn": source},
                },
            ),
            # Inline, so that the role has it before the first import begins.
            inline_policies={"Import": iam.PolicyDocument(statements=statements)} if folders else None,
        )


def _import_job(name: str, folder: str, role: iam.Role) -> personalize.CfnDataset.DatasetImportJobProperty:
    """Return the import of a folder; another folder is another job, because the name of a job is never free again."""
    return personalize.CfnDataset.DatasetImportJobProperty(
        job_name=f"{name}-{hashlib.sha256(folder.encode()).hexdigest()[:8]}",
        role_arn=role.role_arn,
        data_source={"DataLocation": folder},
    )


def read_exports(exported: Path, data: str | None) -> list[Export]:
    """Return what the folder that `fetch.py` wrote holds.

    Args:
        exported: The folder.
        data: Where the folder was copied to, `s3://bucket/prefix/`; None imports from where the exports are.

    Raises:
        ValueError: It cannot be imported; the message says how it could.
    """
    exports = [_read_export(exported / name.lower(), name, data) for name in DATASET_TYPES]
    found = [export for export in exports if export is not None]
    if not found:
        raise ValueError(f"{exported} holds no export: let fetch.py write {exported}/interactions and its siblings")
    return found


def _read_export(folder: Path, dataset_type: str, data: str | None) -> Export | None:
    """Return one dataset, or None when the folder has none."""
    if not folder.exists():
        return None
    document = _read_json(folder / "schema.json")
    # What DescribeSchema answers, or the Avro schema itself.
    schema = document["schema"] if "schema" in document else {"schema": json.dumps(document)}
    place = _place(folder / "manifest.json", f"{data}{folder.name}/data/" if data else None)
    return Export(dataset_type, schema["schema"], schema.get("domain"), place)


def _place(path: Path, copies: str | None) -> str | None:
    """Return what to import: the copies or what the manifest names; None when nothing was exported."""
    if copies and not path.exists():
        return copies  # an export without a manifest, copied by hand
    manifest = _read_json(path)
    if manifest.get("version") != MANIFEST_VERSION:
        raise ValueError(f"{path} is no manifest of version {MANIFEST_VERSION}. Let fetch.py write it again")
    return (copies or folder_of(manifest)) if manifest["objects"] else None


def folder_of(manifest: dict[str, Any]) -> str:
    """Return the folder in S3 that an export can be imported from, where it was written.

    Raises:
        ValueError: There is none that holds all the data and nothing else.
    """
    folders = {_parent(item["key"]) for item in manifest["objects"]}
    others = [item["key"] for item in manifest["notData"] if _parent(item["key"]) in folders]
    if len(folders) == 1 and not others:
        return f"s3://{manifest['bucket']}/{folders.pop()}"
    why = f"is beside {others[0]}" if others else f"is in {len(folders)} folders"
    raise ValueError(
        f"The data of {manifest['job']['jobName']} {why}, and an import takes every object of one folder: copy the "
        "data into a bucket as README.md describes, and pass -c data=s3://BUCKET/"
    )


def _parent(key: str) -> str:
    return "".join(key.rpartition("/")[:2])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}. Let fetch.py write it") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}. Let fetch.py write it again") from None
    return read


def build(app: cdk.App) -> None:
    """Add the stacks to `app`: the bucket, and what the context names.

    Raises:
        ValueError: The context is not right; the message says what to pass instead.
    """
    given = {name: app.node.try_get_context(name) for name in ("dataset_group", "exported", "data", "key")}
    copies = RestoreBucket(app, "RestoreBucket")
    if not any(given.values()):
        return  # nothing but the bucket is wanted
    group, data = given["dataset_group"], given["data"]
    if not group:
        raise ValueError("No dataset group was given: pass -c dataset_group=NAME, the name of a new one")
    if not re.fullmatch(rf"[a-zA-Z0-9][a-zA-Z0-9_-]{{0,{LONGEST_GROUP_NAME - 1}}}", group):
        raise ValueError(
            f"dataset_group {group!r} is no name: use at most {LONGEST_GROUP_NAME} letters, digits, - and _, beginning "
            "with a letter or digit"
        )
    if data and not re.fullmatch(r"s3://[^/]+/(.*/)?", data):
        raise ValueError(f"data {data!r} is no folder: pass s3://BUCKET/ or s3://BUCKET/PREFIX/, with the slash")
    exports = read_exports(Path(given["exported"] or "exported"), data)
    restore = Restore(app, "Restore", dataset_group=group, exports=exports, key_arn=given["key"])
    types = [export.dataset_type for export in exports]
    check = RestoreCheck(app, "RestoreCheck", dataset_group=group, dataset_types=types, bucket=copies.bucket)
    check.add_dependency(restore)
    check.add_dependency(copies)  # whose policy lets Personalize write


def main() -> None:
    """Synthesise, or say in one line what is wrong."""
    app = cdk.App()
    try:
        build(app)
    except ValueError as error:
        sys.exit(str(error))
    app.synth()


if __name__ == "__main__":
    main()
