"""Fifty clients at once: nothing fails, and every event that was taken is exported."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from personalize_local import LocalAws, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 50
SECONDS = float(os.environ.get("LOAD_SECONDS", "10"))
EVENTS_A_CALL = 3


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    """A local AWS of its own, whose quotas stop nobody."""
    settings = Settings(
        job_seconds=0.2, resource_seconds=0.05, minimum_interactions=1, interaction_requests_per_second=1_000_000
    )
    with LocalAws(settings=settings) as running:
        yield running


@pytest.mark.slow
def test_fifty_clients_see_no_server_error_and_find_every_event_they_sent(aws: LocalAws, world: Any) -> None:
    """`LOAD_SECONDS=60` sends for a minute."""
    world.make_bucket("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    dataset = world.make_dataset(records=False)
    group = dataset.replace(":dataset/", ":dataset-group/").rpartition("/")[0]
    tracker = world.personalize.create_event_tracker(name="site", datasetGroupArn=group)
    describe = world.personalize.describe_event_tracker
    world.until_active(lambda: describe(eventTrackerArn=tracker["eventTrackerArn"])["eventTracker"])
    personalize, events = clients(aws)
    taken: list[str] = []
    failures: Counter[str] = Counter()
    end = time.monotonic() + SECONDS

    def visit(number: int) -> None:
        for turn in itertools.count():
            if time.monotonic() > end:
                return
            sent = range(EVENTS_A_CALL * turn, EVENTS_A_CALL * (turn + 1))
            listed = [{"eventType": "view", "itemId": f"{number}-{one}", "sentAt": 1_700_000_000} for one in sent]
            try:
                events.put_events(
                    trackingId=tracker["trackingId"], userId=f"u{number}", sessionId="s", eventList=listed
                )
                taken.extend(f"u{number},{number}-{one},1700000000" for one in sent)
                if turn % 10 == number % 10:
                    personalize.describe_dataset(datasetArn=dataset)
            except (BotoCoreError, ClientError) as failure:
                failures[str(failure)] += 1

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(taken) > CLIENTS * EVENTS_A_CALL
    assert world.export(dataset, ingestionMode="PUT")["status"] == "ACTIVE"
    _, *exported = world.exported("out/")
    assert sorted(exported) == sorted(taken)


def clients(aws: LocalAws) -> tuple[Any, Any]:
    """Return clients that fifty threads may use, each with a connection of its own; no call is made again."""
    exports = aws.exports()
    session = boto3.Session(exports["AWS_ACCESS_KEY_ID"], exports["AWS_SECRET_ACCESS_KEY"], region_name=aws.region)
    config = Config(max_pool_connections=CLIENTS, retries={"total_max_attempts": 1}, read_timeout=30)
    return tuple(
        session.client(service, endpoint_url=aws.endpoint, config=config)
        for service in ("personalize", "personalize-events")
    )
