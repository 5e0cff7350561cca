"""Athena and the Glue Data Catalog: queries on tables of text and on views, with the permissions of whoever asks.

A query reads tables with ``glue:GetTable`` on catalog, database and table, data with ``s3:ListBucket`` and
``s3:GetObject``, and writes its result with ``s3:GetBucketLocation`` and ``s3:PutObject``, all as its caller
(https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html, .../fine-grained-access-to-glue-resources.html). Not
checked: the data of other tables, which ministack reads, and Lake Formation. `personalize_local.athena` has the rest.
"""

from __future__ import annotations

import json
import logging
import shutil
from contextvars import ContextVar
from datetime import datetime, timezone
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from personalize_local.athena.catalog import QueryError, Table, split
from personalize_local.extension import patches
from personalize_local.extension.iam import Check

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from personalize_local.extension.clock import Clock
    from personalize_local.extension.iam import Authoriser

logger = logging.getLogger("personalize_local")

SERVICE = "athena"
NEEDED = ("duckdb", "sqlglot")
MISSING = "The local Athena needs DuckDB and SQLGlot: pip install 'personalize-local[athena]'"

_access_key: ContextVar[str] = ContextVar("personalize_local_athena_access_key", default="")


class Athena:
    """The local Athena.

    Args:
        endpoint: Where this server listens, for S3.
        authoriser: What decides who may read the catalog.
        clock: The time that partitions are projected until.
        skips_symlink_headers: Whether `skip.header.line.count` counts for objects that symlinks name.
    """

    def __init__(self, endpoint: str, authoriser: Authoriser, clock: Clock, *, skips_symlink_headers: bool) -> None:
        """Keep them; DuckDB and SQLGlot are imported with the first query."""
        self._endpoint = endpoint
        self._authoriser = authoriser
        self._clock = clock
        self._skips_symlink_headers = skips_symlink_headers
        self._responses = patches.load(patches.RESPONSES)
        self._reentrant = patches.load(patches.CONCURRENCY).run_reentrant
        self._session = boto3.Session()

    def register(self) -> None:
        """Replace how queries run and where their results go, and name the workgroup where a policy decides."""
        patches.load(patches.ATHENA).ATHENA_ENGINE = "duckdb"  # where there is none, ministack makes results up
        patches.wrap(patches.ATHENA, "_run_duckdb", self._running)
        patches.wrap(patches.ATHENA, "_save_query_results", lambda _original: self._save)
        patches.wrap(patches.ACTIONS, "extract_resource_arn", _name_the_workgroup)
        handlers = patches.load(patches.APP).SERVICE_HANDLERS
        original = handlers[SERVICE]

        async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Any:
            _access_key.set(patches.load(patches.ROUTER).extract_access_key_id(headers, query) or "")
            return await original(method, path, headers, body, query)

        handlers[SERVICE] = handle

    def _running(self, original: Callable[..., Awaitable[dict[str, Any]]]) -> Callable[..., Awaitable[dict[str, Any]]]:
        """Run queries on tables of text and on views here, and leave all others to ministack."""

        async def run(sql: str, database: str, catalog: str | None = None) -> dict[str, Any]:
            if not all(map(find_spec, NEEDED)):
                raise QueryError(MISSING)
            result: dict[str, Any] | None = await self._reentrant(self._run, sql, database)
            return await original(sql, database, catalog) if result is None else result

        return run

    def _run(self, sql: str, database: str) -> dict[str, Any] | None:
        """Run a query on a thread of its own; None when it is not one of ours."""
        from personalize_local.athena.engine import Query  # noqa: PLC0415 - imports DuckDB and SQLGlot

        query = Query(sql, database, self._find)
        if not query.is_ours:
            return None
        made: list[str] = []
        try:
            result = query.run(
                _CallersObjects(self._client()),
                datetime.fromtimestamp(self._clock.now(), timezone.utc),
                skips_symlink_headers=self._skips_symlink_headers,
                relation=lambda table: _relation(table, made),
            )
        finally:
            for folder in made:
                shutil.rmtree(folder, ignore_errors=True)
        return {"columns": result.columns, "column_types": result.types, "rows": result.rows}

    def _find(self, database: str, name: str) -> Table | None:
        """Return a table of the Glue Data Catalog that the caller may see."""
        glue, key = patches.load(patches.GLUE), f"{database}/{name}"
        account, region = self._responses.get_account_id(), self._responses.get_region()
        for resource in ("catalog", f"database/{database}", f"table/{key}"):
            self._require("glue:GetTable", f"arn:aws:glue:{region}:{account}:{resource}")
        record = glue._tables.get(key)  # noqa: SLF001 - ministack has no public interface
        return None if record is None else Table(database, record, tuple(glue._partitions.get(key, [])))  # noqa: SLF001

    def _require(self, action: str, resource: str) -> None:
        """Refuse what the policies of the caller do not allow."""
        check = Check(action, (resource,))
        denial = self._authoriser.refuse(_access_key.get(), check, self._responses.get_region())
        if denial is not None:
            raise QueryError(denial.message)

    def _client(self) -> Any:
        """Return S3 with the credentials of the caller, so that all its policies decide."""
        key, secret, token = self._responses.get_account_id(), "test", None
        if self._authoriser.enabled:
            found = patches.load(patches.EVALUATOR).resolve_credential(_access_key.get())
            key, secret, token = found.access_key_id, found.secret_access_key, found.session_token
        return self._session.client(
            "s3",
            endpoint_url=self._endpoint,
            region_name=self._responses.get_region(),
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
        )

    async def _save(self, query_id: str) -> None:
        """Write the result where the caller wants it; until then the query has not succeeded."""
        execution = patches.load(patches.ATHENA)._executions[query_id]  # noqa: SLF001 - ministack has no public interface
        execution["Status"]["State"] = "RUNNING"
        folder = execution["ResultConfiguration"]["OutputLocation"].removesuffix(f"{query_id}.csv").rstrip("/")
        location = execution["ResultConfiguration"]["OutputLocation"] = f"{folder}/{query_id}.csv"
        await self._reentrant(self._write, location, execution["_results"])
        execution["Status"]["State"] = "SUCCEEDED"

    def _write(self, location: str, results: dict[str, Any]) -> None:
        """Write a result as CSV: everything in quotes but null."""
        records = [results["columns"], *results["rows"]]
        text = "".join(",".join(map(_csv_field, record)) + "\n" for record in records)
        bucket, key = split(location)
        client = self._client()
        try:
            client.get_bucket_location(Bucket=bucket)
            client.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="text/csv")
        except ClientError as error:
            raise QueryError(f"Access denied when writing output to url: {location}: {_said(error)}") from None


class _CallersObjects:
    """The objects of tables, read by whoever queries.

    Args:
        client: S3 with the caller's credentials.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def names(self, bucket: str, prefix: str) -> Sequence[str]:
        """Return the keys below a prefix."""
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [found["Key"] for page in pages for found in page.get("Contents", [])]
        except ClientError as error:
            raise QueryError(f"HIVE_FILESYSTEM_ERROR: Can not list s3://{bucket}/{prefix}: {_said(error)}") from None

    def content(self, bucket: str, key: str) -> bytes:
        """Return an object."""
        try:
            with self._client.get_object(Bucket=bucket, Key=key)["Body"] as body:
                content: bytes = body.read()
        except ClientError as error:
            raise QueryError(f"HIVE_CANNOT_OPEN_SPLIT: Can not read s3://{bucket}/{key}: {_said(error)}") from None
        return content


def _csv_field(value: Any) -> str:
    """Write a value as Athena's results have it: in quotes, but for null."""
    if value is None:
        return ""
    doubled = str(value).replace('"', '""')
    return f'"{doubled}"'


def _said(error: ClientError) -> str:
    found = error.response["Error"]
    return f"{found['Code']}: {found.get('Message', '')}"


def _relation(table: Table, made: list[str]) -> str:
    """Return ministack's SQL for a table that it reads itself, whose objects it copies to folders it makes."""
    athena, record = patches.load(patches.ATHENA), dict(table.record)
    files = athena._materialize_table_files(table.location, made)  # noqa: SLF001 - ministack has no public interface
    return str(athena._table_relation(record, files) if files else athena._empty_relation(record))  # noqa: SLF001


def _name_the_workgroup(original: Callable[..., str]) -> Callable[..., str]:
    """Let a call about a query be checked against its workgroup, which is the primary one unless another is named."""

    def extract(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> str:
        arn = original(service, method, path, headers, body, *rest)
        if service != SERVICE or arn != "*":
            return arn
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            return arn
        if not isinstance(request, dict) or not request.keys() & {"QueryString", "QueryExecutionId"}:
            return arn
        executions = patches.load(patches.ATHENA)._executions  # noqa: SLF001 - ministack has no public interface
        workgroup = (executions.get(request.get("QueryExecutionId")) or {}).get("WorkGroup", "primary")
        responses = patches.load(patches.RESPONSES)
        return f"arn:aws:athena:{responses.get_region()}:{responses.get_account_id()}:workgroup/{workgroup}"

    return extract
