"""Objects of S3 are written on a condition as AWS documents it: what the pointers of an export rest on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from personalize_local import LocalAws


def status(call: Callable[..., Any], **request: Any) -> tuple[int, str]:
    try:
        return call(**request)["ResponseMetadata"]["HTTPStatusCode"], ""
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


@pytest.fixture
def pointer(aws: LocalAws, world: Any) -> dict[str, str]:
    aws.client("s3").create_bucket(Bucket=world.name)
    return {"Bucket": world.name, "Key": "hive/latest/symlink.txt"}


def test_object_that_is_there_is_not_written_again(aws: LocalAws, pointer: dict[str, str]) -> None:
    s3 = aws.client("s3")
    assert status(s3.put_object, **pointer, Body=b"first", IfNoneMatch="*") == (200, "")
    assert status(s3.put_object, **pointer, Body=b"second", IfNoneMatch="*") == (412, "PreconditionFailed")
    assert s3.get_object(**pointer)["Body"].read() == b"first"


def test_object_that_changed_meanwhile_is_not_overwritten(aws: LocalAws, pointer: dict[str, str]) -> None:
    s3 = aws.client("s3")
    etag = s3.put_object(**pointer, Body=b"first")["ETag"]
    assert status(s3.put_object, **pointer, Body=b"second", IfMatch=etag) == (200, "")
    assert status(s3.put_object, **pointer, Body=b"third", IfMatch=etag) == (412, "PreconditionFailed")
    s3.delete_object(**pointer)
    assert status(s3.put_object, **pointer, Body=b"third", IfMatch=etag) == (404, "NoSuchKey")


def test_metadata_comes_with_the_etag_it_was_written_with(aws: LocalAws, pointer: dict[str, str]) -> None:
    s3 = aws.client("s3")
    for created in ("1600000000.25", "1600000001.5"):
        etag = s3.put_object(**pointer, Body=created.encode(), Metadata={"job-created": created})["ETag"]
        head = s3.head_object(**pointer)
        assert (head["ETag"], head["Metadata"]) == (etag, {"job-created": created})


def test_one_of_many_writers_at_a_time_wins(aws: LocalAws, pointer: dict[str, str]) -> None:
    s3 = aws.client("s3")
    with ThreadPoolExecutor(8) as pool:

        def race(**condition: str) -> list[int]:
            bodies = [f"{condition} {number}".encode() for number in range(16)]
            answers = pool.map(lambda body: status(s3.put_object, **pointer, Body=body, **condition)[0], bodies)
            return sorted(answers)

        assert race(IfNoneMatch="*") == [200, *[412] * 15]
        assert race(IfMatch=s3.head_object(**pointer)["ETag"]) == [200, *[412] * 15]


def test_comparing_an_etag_needs_permission_to_read(aws: LocalAws, acting_as: Any, pointer: dict[str, str]) -> None:
    arn = f"arn:aws:s3:::{pointer['Bucket']}/{pointer['Key']}"
    etag = aws.client("s3").put_object(**pointer, Body=b"first")["ETag"]
    writer = acting_as(("s3:PutObject", arn), service="s3")
    assert status(writer.put_object, **pointer, Body=b"second", IfMatch=etag) == (403, "AccessDenied")
    assert status(writer.put_object, **pointer, Body=b"second", IfNoneMatch="*") == (412, "PreconditionFailed")
    reader = acting_as(("s3:PutObject", arn), ("s3:GetObject", arn), service="s3")
    assert status(reader.put_object, **pointer, Body=b"second", IfMatch=etag) == (200, "")
