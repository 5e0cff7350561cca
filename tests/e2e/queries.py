"""Queries of Athena as a test runs them: to their end, with the rows they return."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from personalize_local import LocalAws

SECONDS = 60
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")

Rows = list[tuple[str | None, ...]]


class QueryFailedError(Exception):
    """Why a query failed."""


@dataclass(frozen=True)
class Queries:
    """Queries in one database.

    Args:
        athena: The client of whoever asks.
        database: The database that names without one are in.
        workgroup: The workgroup, which says where results go.
    """

    athena: Any
    database: str
    workgroup: str

    def rows(self, sql: str) -> Rows:
        """Return the rows of a query, without the names of the columns."""
        started = self.athena.start_query_execution(
            QueryString=sql, QueryExecutionContext={"Database": self.database}, WorkGroup=self.workgroup
        )
        query_id = started["QueryExecutionId"]
        status = self._ended(query_id)
        if status["State"] != "SUCCEEDED":
            raise QueryFailedError(status["StateChangeReason"])
        pages = self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
        found = [row["Data"] for page in pages for row in page["ResultSet"]["Rows"]]
        return [tuple(value.get("VarCharValue") for value in row) for row in found[1:]]

    def _ended(self, query_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found = self.athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
            if found["State"] in ENDED:
                status: dict[str, Any] = found
                return status
            time.sleep(0.05)
        raise QueryFailedError(f"it did not end within {SECONDS} s")


def athena_of(aws: LocalAws, role_arn: str) -> Any:
    """Return Athena as a role of the account uses it."""
    session = aws.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="analyst")["Credentials"]
    return boto3.client(
        "athena",
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )
