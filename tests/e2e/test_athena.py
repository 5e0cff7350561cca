"""examples/athena: deployed, exported twice, and queried by the role that may, on a local AWS with IAM enforced."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from queries import Queries, QueryFailedError, Rows, athena_of
from shop import DATABASE, INTERACTIONS, ITEMS, STACK, make_shop

from personalize_local import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from account import Account

pytestmark = pytest.mark.e2e
DAY_SECONDS = 86400
NEW_SECONDS = 1_700_000_009
# That headers are skipped shows only where a table asks for it: the views are queried without and with that.
SETTINGS = Settings(job_seconds=0.5, resource_seconds=0.0, athena_skips_symlink_headers=True)
ITEM_ROWS: Rows = [
    ("1", "[Drama, War & Peace]", "1.5", "9007199254740993", "say \"hello\", 'you'"),
    ("2", "[Drama]", "-0.25", "-1", r"C:\new\\folder\ "),
    ("3", None, None, None, None),
    ("4", "[Comédie]", "1.23456789E7", "0", "ünï \U0001f600 日本"),
    ("5", '[a,b, c"d]', "1.0E-5", "9223372036854775807", '"'),
    ("6", "[x]", "0.1", "7", "ITEM_ID"),
    ("7", "[x]", "0.1", "7", "\\"),
]
USER_ROWS: Rows = [("1", "true", "30"), ("2", "false", None), ("é,ü", None, "0")]


@pytest.mark.parametrize("account", [SETTINGS], indirect=True)
def test_tables_show_the_newest_export_and_every_days_to_the_role_that_may_query(
    account: Account, tmp_path: Path
) -> None:
    shop = make_shop(account, tmp_path)
    shop.deploy()
    outputs = account.outputs(STACK)
    queries = Queries(athena_of(account.aws, outputs["AnalystArn"]), DATABASE, outputs["Workgroup"])
    first_day = _today(account)
    assert queries.rows("SELECT * FROM items ORDER BY item_id") == ITEM_ROWS
    assert queries.rows("SELECT * FROM users ORDER BY user_id") == USER_ROWS
    assert queries.rows("SELECT * FROM interactions ORDER BY item_id") == INTERACTIONS

    account.aws.advance_clock(DAY_SECONDS)
    tracker = account.aws.client("personalize").list_event_trackers()["eventTrackers"][0]["eventTrackerArn"]
    tracking_id = account.aws.client("personalize").describe_event_tracker(eventTrackerArn=tracker)["eventTracker"]
    account.aws.client("personalize-events").put_events(
        trackingId=tracking_id["trackingId"],
        userId="2",
        sessionId="2",
        eventList=[{"eventType": "view", "itemId": "9", "sentAt": NEW_SECONDS}],
    )
    shop.deploy("generation=2")
    newest: Rows = [*INTERACTIONS, ("2", "9", str(NEW_SECONDS))]
    assert queries.rows("SELECT * FROM interactions ORDER BY item_id") == newest
    history = [*((*row, first_day) for row in INTERACTIONS), *((*row, _today(account)) for row in newest)]
    assert queries.rows("SELECT * FROM interactions_daily ORDER BY dt, item_id") == history
    one_day = f"SELECT user_id, item_id, timestamp FROM interactions_daily WHERE dt = '{first_day}' ORDER BY item_id"  # noqa: S608
    assert queries.rows(one_day) == INTERACTIONS
    sold = "SELECT count(*), sum(price) FROM interactions i JOIN items USING (item_id) WHERE contains(genres, 'Drama')"
    assert queries.rows(sold) == [("2", "1.25")]

    _ask_to_skip_headers(account)
    assert queries.rows("SELECT * FROM interactions_daily ORDER BY dt, item_id") == history
    assert queries.rows("SELECT * FROM items ORDER BY item_id") == ITEM_ROWS
    _check_nothing_else_may_be_queried(account, queries)


def _today(account: Account) -> str:
    """Return the day by the clock of Personalize, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(account.aws.advance_clock(0)))


def _ask_to_skip_headers(account: Account) -> None:
    """Let the tables of text say that every object begins with a header line."""
    glue = account.aws.client("glue")
    given = ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
    tables = [table for table in glue.get_tables(DatabaseName=DATABASE)["TableList"] if table["Name"].endswith("_raw")]
    assert len(tables) == 6
    for table in tables:
        table["Parameters"]["skip.header.line.count"] = "1"
        glue.update_table(DatabaseName=DATABASE, TableInput={name: table[name] for name in given})


def _check_nothing_else_may_be_queried(account: Account, queries: Queries) -> None:
    """Look for a table of the database that is none of the exports', as root finds it and the role may not."""
    glue = account.aws.client("glue")
    (items,) = [table for table in glue.get_tables(DatabaseName=DATABASE)["TableList"] if table["Name"] == "items_raw"]
    given = ("TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
    glue.create_table(DatabaseName=DATABASE, TableInput={"Name": "other", **{name: items[name] for name in given}})
    root = Queries(account.aws.client("athena"), DATABASE, queries.workgroup)
    assert len(root.rows("SELECT * FROM other")) == len(ITEMS)
    with pytest.raises(QueryFailedError, match="glue:GetTable"):
        queries.rows("SELECT * FROM other")
