"""A Personalize with a clock that only moves when told, and S3 in a dictionary."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

from personalize_local.service import AccessRefused, ApiError, Call, Caller, Fault, PersonalizeService, Settings
from personalize_local.service.locations import keys_at
from personalize_local.service.model import operations
from personalize_local.service.validation import typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROLE = "arn:aws:iam::000000000000:role/Personalize"
CALLER = Caller("000000000000", "us-east-1")


class Bucket:
    """The object store of the tests: a dictionary, and what to refuse."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.refused: set[str] = set()
        self.error: Exception | None = None
        self.role_error: ApiError | None = None
        self.requests: list[dict[str, Any]] = []
        self.before_write: Callable[[], None] = lambda: None

    def read(self, **request: Any) -> Iterable[tuple[str, BinaryIO]]:
        self._allow(request)
        _, _, bucket, key = request["location"].split("/", 3)
        prefix = f"s3://{bucket}/"
        found = [name.removeprefix(prefix) for name in self.objects if name.startswith(prefix + key)]
        for name in keys_at(key, found, subfolders=request["subfolders"]):
            yield prefix + name, io.BytesIO(self.objects[prefix + name])

    def write(self, *, body: Iterable[bytes], **request: Any) -> None:
        self._allow(request)
        self.before_write()
        self.objects[request["location"] + request["name"]] = b"".join(body)

    def check_role(self, **request: Any) -> None:
        self.requests.append(request)
        if self.role_error is not None:
            raise self.role_error

    def _allow(self, request: dict[str, Any]) -> None:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        if request["location"].split("/")[2] in self.refused:
            raise AccessRefused("denied by policy")


def field(name: str, kind: str | list[str] = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


FIELDS: dict[str, list[dict[str, Any]]] = {
    "Interactions": [
        field("USER_ID"),
        field("ITEM_ID"),
        field("TIMESTAMP", "long"),
        field("EVENT_TYPE"),
        field("EVENT_VALUE", ["float", "null"]),
    ],
    "Items": [
        field("ITEM_ID"),
        field("GENRES", ["null", "string"], categorical=True),
        field("NUMBER_OF_RATINGS", ["null", "int"]),
    ],
    "Users": [field("USER_ID"), field("AGE", ["null", "int"]), field("MEMBER", ["null", "boolean"])],
    "Actions": [field("ACTION_ID"), field("VALUE", ["null", "long"]), field("LEVEL", categorical=True)],
    "Action_Interactions": [
        field("USER_ID"),
        field("ACTION_ID"),
        field("EVENT_TYPE"),
        field("TIMESTAMP", "long"),
        field("DEVICE", ["null", "string"]),
    ],
}


class World:
    """The service, its clock and its bucket, with the steps tests have in common."""

    ROLE = ROLE

    def __init__(self, *faults: Fault, store: Any = None, **settings: Any) -> None:
        self.now = 1000.0
        self.bucket = store or Bucket()
        quotas = {"minimum_interactions": 1, "record_requests_per_second": 10_000}  # the clock stands still
        settings = {"job_seconds": 10, "resource_seconds": 5, **quotas, **settings}
        self.calls: list[Call] = []
        self.service = PersonalizeService(
            Settings(faults=faults, **settings), self.bucket, lambda: self.now, self.calls.append
        )
        self.caller = CALLER

    def call(self, operation: str, caller: Caller | None = None, **params: Any) -> dict[str, Any]:
        answer = self.service.call(operation, params, caller or self.caller)
        shape = operations()[operation].output
        if shape is None:
            assert answer == {}
        else:  # only members the model has, of the right type; it gives the role of a job the wrong pattern
            assert typed(shape, answer) == answer
        return answer

    def refusal(self, operation: str, **params: Any) -> ApiError:
        with pytest.raises(ApiError) as refused:
            self.call(operation, **params)
        return refused.value

    def wait(self, seconds: float = 1000) -> None:
        self.now += seconds
        self.service.tick()

    def schema(self, kind: str, name: str | None = None, **params: Any) -> str:
        text = self.schema_text(kind)
        return str(self.call("CreateSchema", name=name or kind, schema=text, **params)["schemaArn"])

    @staticmethod
    def schema_text(kind: str, *fields: dict[str, Any]) -> str:
        return json.dumps({"type": "record", "name": kind, "fields": list(fields) or FIELDS[kind]})

    def group(self, name: str = "group") -> str:
        arn = str(self.call("CreateDatasetGroup", name=name)["datasetGroupArn"])
        self.wait()
        return arn

    def dataset(self, kind: str = "Interactions", group: str | None = None, schema: str | None = None) -> str:
        answer = self.call(
            "CreateDataset",
            name=kind,
            schemaArn=schema or self.schema(kind),
            datasetGroupArn=group or self.group(),
            datasetType=kind,
        )
        self.wait()
        return str(answer["datasetArn"])

    def tracker(self, group: str) -> str:
        answer = self.call("CreateEventTracker", name="tracker", datasetGroupArn=group)
        self.wait()
        return str(answer["trackingId"])

    def put_file(self, text: str | bytes, key: str = "data.csv") -> str:
        location = f"s3://source/{key}"
        self.bucket.objects[location] = text.encode() if isinstance(text, str) else text
        return location

    def start_import(self, dataset: str, location: str, name: str = "import", **params: Any) -> str:
        answer = self.call(
            "CreateDatasetImportJob",
            jobName=name,
            datasetArn=dataset,
            roleArn=ROLE,
            dataSource={"dataLocation": location},
            **params,
        )
        return str(answer["datasetImportJobArn"])

    def import_file(self, dataset: str, text: str | bytes, name: str = "import", **params: Any) -> dict[str, Any]:
        arn = self.start_import(dataset, self.put_file(text, f"{name}.csv"), name, **params)
        self.wait()
        return dict(self.call("DescribeDatasetImportJob", datasetImportJobArn=arn)["datasetImportJob"])

    def export_request(self, dataset: str, name: str = "export", **params: Any) -> dict[str, Any]:
        return {
            "jobName": name,
            "datasetArn": dataset,
            "roleArn": ROLE,
            "jobOutput": {"s3DataDestination": {"path": "s3://target/out/"}},
            **params,
        }

    def start_export(self, dataset: str, name: str = "export", **params: Any) -> str:
        request = self.export_request(dataset, name, **params)
        return str(self.call("CreateDatasetExportJob", **request)["datasetExportJobArn"])

    def export_job(self, arn: str) -> dict[str, Any]:
        return dict(self.call("DescribeDatasetExportJob", datasetExportJobArn=arn)["datasetExportJob"])

    def exported_text(self, name: str = "export") -> str:
        """Return what an export wrote, as if it were one file."""
        prefix = f"s3://target/out/{name}/"
        parts = [body.decode() for key, body in self.bucket.objects.items() if key.startswith(prefix)]
        header, _, _ = parts[0].partition("\n")
        return header + "\n" + "".join(part.removeprefix(header + "\n") for part in parts)

    def export(self, dataset: str, mode: str = "ALL", name: str = "export") -> list[dict[str, str]]:
        arn = self.start_export(dataset, name, ingestionMode=mode)
        self.wait()
        assert self.export_job(arn)["status"] == "ACTIVE"
        return list(csv.DictReader(io.StringIO(self.exported_text(name)), escapechar="\\", doublequote=False))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def new_world() -> type[World]:
    return World


@pytest.fixture
def interactions(world: World) -> str:
    return world.dataset()
