"""A dataset group with values that CSV makes hard, and the stack of examples/athena over it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from account import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from account import Account

STACK = "Athena"
DATABASE = "personalize"
NULLABLE = ("null", "string")
SCHEMAS: dict[str, list[dict[str, Any]]] = {
    "INTERACTIONS": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
    "ITEMS": [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": NULLABLE, "categorical": True},
        {"name": "PRICE", "type": ["null", "double"]},
        {"name": "STOCK", "type": ["null", "long"]},
        {"name": "TITLE", "type": NULLABLE, "textual": True},
    ],
    "USERS": [
        {"name": "USER_ID", "type": "string"},
        {"name": "MEMBER", "type": ["null", "boolean"]},
        {"name": "AGE", "type": ["null", "int"]},
    ],
}
INTERACTIONS = [("1", str(item), str(1_700_000_000 + item)) for item in range(3)]  # those that make_dataset sends
ITEMS: list[tuple[str, list[str] | None, float | None, int | None, str | None]] = [
    ("1", ["Drama", "War & Peace"], 1.5, 2**53 + 1, "say \"hello\", 'you'"),
    ("2", ["Drama"], -0.25, -1, r"C:\new\\folder\ "),
    ("3", None, None, None, None),
    ("4", ["Comédie"], 12345678.9, 0, "ünï \U0001f600 日本"),
    ("5", ["a,b", 'c"d'], 1e-5, 2**63 - 1, '"'),
    ("6", ["x"], 0.1, 7, "ITEM_ID"),
    ("7", ["x"], 0.1, 7, "\\"),
]
USERS: list[tuple[str, bool | None, int | None]] = [("1", True, 30), ("2", False, None), ("é,ü", None, 0)]


@dataclass(frozen=True)
class Shop:
    """The three datasets, and the stack that exports them."""

    account: Account
    folder: Path

    def deploy(self, *context: str) -> None:
        """Deploy examples/athena for the three datasets."""
        names = ["dataset_group=shop", f"schemas={self.folder}", *context]
        arguments = [argument for name in names for argument in ("--context", name)]
        done = self.account.cdk("deploy", "--require-approval", "never", *arguments, module="examples.athena.app")
        assert done.returncode == 0, done.stderr


def make_shop(account: Account, folder: Path) -> Shop:
    """Fill the other two datasets of the group, and write the schemas where the example looks for them."""
    personalize, events = account.aws.client("personalize"), account.aws.client("personalize-events")
    (group,) = personalize.list_dataset_groups()["datasetGroups"]
    arns = {}
    for dataset_type, fields in SCHEMAS.items():
        name, record = (
            dataset_type.lower(),
            {"type": "record", "name": dataset_type, "fields": fields, "version": "1.0"},
        )
        (folder / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
        if dataset_type != "INTERACTIONS":
            schema = personalize.create_schema(name=name, schema=json.dumps(record))["schemaArn"]
            arns[dataset_type] = personalize.create_dataset(
                name=name, schemaArn=schema, datasetGroupArn=group["datasetGroupArn"], datasetType=dataset_type
            )["datasetArn"]
    for arn in arns.values():
        wait_for(lambda arn=arn: personalize.describe_dataset(datasetArn=arn)["dataset"]["status"] == "ACTIVE")
    items = [
        {"genres": None if genres is None else "|".join(genres), "price": price, "stock": stock, "title": title}
        for _, genres, price, stock, title in ITEMS
    ]
    events.put_items(
        datasetArn=arns["ITEMS"],
        items=[
            {"itemId": item[0], "properties": _properties(properties)}
            for item, properties in zip(ITEMS, items, strict=True)
        ],
    )
    users = [{"userId": user, "properties": _properties({"member": member, "age": age})} for user, member, age in USERS]
    events.put_users(datasetArn=arns["USERS"], users=users)
    return Shop(account, folder)


def _properties(values: Mapping[str, object]) -> str:
    return json.dumps({name: value for name, value in values.items() if value is not None})
