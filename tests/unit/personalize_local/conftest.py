"""One local AWS for all tests here, and what a test needs in it: each one has names of its own."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from personalize_local import LocalAws, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVICE = "personalize.amazonaws.com"
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [
        {"name": name, "type": kind}
        for name, kind in (("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long"))
    ],
    "version": "1.0",
}
ROWS = "USER_ID,ITEM_ID,TIMESTAMP\nu1,i1,1600000001\nu2,i2,1600000002\n"


def statement(action: str, resource: str, **rest: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **rest}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str, **rest: Any) -> str:
    return policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole", **rest})


@dataclass
class World:
    """A bucket, a role Personalize may use it with, and an interactions dataset with two records."""

    aws: Any
    name: str
    partition: str = "aws"

    def __post_init__(self) -> None:
        self.personalize = self.aws.client("personalize")
        self.s3 = self.aws.client("s3")
        self.bucket_arn = f"arn:{self.partition}:s3:::{self.name}"
        self.role_arn = self.make_role("export", trust(SERVICE), ["s3:ListBucket", "s3:GetObject", "s3:PutObject"])

    def make_role(self, kind: str, trust_policy: str, actions: list[str]) -> str:
        iam = self.aws.client("iam")
        arn: str = iam.create_role(RoleName=f"{self.name}-{kind}", AssumeRolePolicyDocument=trust_policy)["Role"]["Arn"]
        statements = [statement(action, "*") for action in actions]
        iam.put_role_policy(RoleName=f"{self.name}-{kind}", PolicyName="p", PolicyDocument=policy(*statements))
        return arn

    def make_bucket(self, *actions: str, deny: dict[str, Any] | None = None) -> None:
        region = self.s3.meta.region_name
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
        self.s3.create_bucket(Bucket=self.name, **elsewhere)
        principal = {"Service": SERVICE}
        statements = [
            statement(
                action, self.bucket_arn if action == "s3:ListBucket" else f"{self.bucket_arn}/*", Principal=principal
            )
            for action in actions
        ]
        self.s3.put_bucket_policy(Bucket=self.name, Policy=policy(*statements, *([deny] if deny else [])))
        self.s3.put_object(Bucket=self.name, Key="in.csv", Body=ROWS)

    def make_dataset(self, *, records: bool = True) -> str:
        schema = self.personalize.create_schema(name=self.name, schema=json.dumps(SCHEMA))["schemaArn"]
        group = self.personalize.create_dataset_group(name=self.name)["datasetGroupArn"]
        self.until_active(lambda: self.personalize.describe_dataset_group(datasetGroupArn=group)["datasetGroup"])
        dataset: str = self.personalize.create_dataset(
            name=self.name, datasetGroupArn=group, datasetType="INTERACTIONS", schemaArn=schema
        )["datasetArn"]
        self.until_active(lambda: self.personalize.describe_dataset(datasetArn=dataset)["dataset"])
        if records:
            job = self.personalize.create_dataset_import_job(
                jobName=self.name,
                datasetArn=dataset,
                dataSource={"dataLocation": f"s3://{self.name}/in.csv"},
                roleArn=self.role_arn,
            )["datasetImportJobArn"]
            describe = self.personalize.describe_dataset_import_job
            ended = self.until_ended(lambda: describe(datasetImportJobArn=job)["datasetImportJob"])
            assert ended["status"] == "ACTIVE", ended
        return dataset

    def import_key(self, dataset: str, key: str) -> dict[str, Any]:
        """Run an import job of one object to its end."""
        arn = self.personalize.create_dataset_import_job(
            jobName=f"{self.name}-{uuid.uuid4().hex[:6]}",
            datasetArn=dataset,
            dataSource={"dataLocation": f"s3://{self.name}/{key}"},
            roleArn=self.role_arn,
        )["datasetImportJobArn"]
        describe = self.personalize.describe_dataset_import_job
        return self.until_ended(lambda: describe(datasetImportJobArn=arn)["datasetImportJob"])

    def export(self, dataset: str, *, personalize: Any = None, **changes: Any) -> dict[str, Any]:
        """Run an export job to its end."""
        arn = self.start_export(dataset, personalize=personalize, **changes)
        describe = self.personalize.describe_dataset_export_job
        return self.until_ended(lambda: describe(datasetExportJobArn=arn)["datasetExportJob"])

    def start_export(self, dataset: str, *, personalize: Any = None, **changes: Any) -> str:
        request = {
            "jobName": f"{self.name}-{uuid.uuid4().hex[:6]}",
            "datasetArn": dataset,
            "ingestionMode": "ALL",
            "roleArn": self.role_arn,
            "jobOutput": {"s3DataDestination": {"path": f"s3://{self.name}/out/"}},
        }
        reply = (personalize or self.personalize).create_dataset_export_job(**{**request, **changes})
        arn: str = reply["datasetExportJobArn"]
        return arn

    def objects(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.name, Prefix=prefix).get("Contents", [])
        return [self.s3.get_object(Bucket=self.name, Key=item["Key"])["Body"].read().decode() for item in found]

    def invoke(self, source: str) -> Any:
        """Run a function once; returns what its handler returned."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("index.py", source)
        functions, name = self.aws.client("lambda"), f"{self.name}-{uuid.uuid4().hex[:6]}"
        functions.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="index.handler",
            Role=self.role_arn,
            Code={"ZipFile": buffer.getvalue()},
        )
        with functions.invoke(FunctionName=name)["Payload"] as payload:
            return json.loads(payload.read())

    def exported(self, prefix: str) -> list[str]:
        """Return the lines of every CSV file below the prefix, the header once."""
        files = [text.splitlines() for text in self.objects(prefix) if text]  # the object _CHECK is empty
        return [files[0][0], *(line for _, *lines in files for line in lines)]

    def until_active(self, describe: Callable[[], dict[str, Any]]) -> None:
        assert self.until_ended(describe)["status"] == "ACTIVE"

    def until_ended(self, describe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = describe()
            if found["status"] in {"ACTIVE", "CREATE FAILED"}:
                return found
            time.sleep(0.02)
        raise AssertionError(f"still {found['status']}")


@pytest.fixture(scope="session")
def aws() -> Iterator[LocalAws]:
    settings = Settings(job_seconds=0.2, resource_seconds=0.05, minimum_interactions=1, active_dataset_groups=500)
    with LocalAws(settings=settings) as running:
        yield running


@pytest.fixture
def world(aws: LocalAws) -> Iterator[World]:
    yield World(aws, f"w{uuid.uuid4().hex[:10]}")
    aws.set_faults([])


@pytest.fixture
def acting_as(aws: LocalAws, world: Any) -> Callable[..., Any]:
    """A client, Personalize's unless told otherwise, of a user with just these (action, resource) pairs."""

    def client(*allowed: tuple[str, str], service: str = "personalize", conditions: Any = None) -> Any:
        iam = aws.client("iam")
        name = f"{world.name}-user-{len(iam.list_users()['Users'])}"
        iam.create_user(UserName=name)
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": (conditions or {}).get(action, {})}
            for action, resource in allowed
        ] or [{"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return boto3.client(
            service,
            endpoint_url=aws.endpoint,
            region_name="us-east-1",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )

    return client
