"""The account a report is made in: that of the dataset, or none.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html says whose credentials these are.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.aws_report.plan import UnusableError

if TYPE_CHECKING:
    from tools.aws_report.plan import Dataset


@dataclass(frozen=True)
class Account:
    """The account, and its dataset as Personalize describes it."""

    dataset: Dataset
    session: Any
    dataset_name: str
    schema_name: str
    schema: dict[str, Any]

    @classmethod
    def open(cls, dataset: Dataset) -> Account:
        """Check that the credentials are those of the account of the dataset, and look at the dataset.

        Raises:
            UnusableError: They are not, or there is no such dataset.
        """
        try:
            session = boto3.Session()
            check_region(dataset, os.environ.get("AWS_REGION") or session.region_name)
            check_caller(dataset, session.client("sts", region_name=dataset.region).get_caller_identity())
            personalize = session.client("personalize", region_name=dataset.region)
            found = personalize.describe_dataset(datasetArn=dataset.arn)["dataset"]
            schema = personalize.describe_schema(schemaArn=found["schemaArn"])["schema"]
        except (BotoCoreError, ClientError) as error:
            said = str(error).rstrip(".")
            raise UnusableError(
                f"{said}. Fix: name a dataset of account {dataset.account}, with its credentials."
            ) from None
        if found["status"] != "ACTIVE":
            raise UnusableError(f"the dataset is {found['status']}. Allowed: ACTIVE")
        return cls(dataset, session, found["name"], schema["name"], json.loads(schema["schema"]))

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 has no types
        """Return a client in the Region of the dataset."""
        return self.session.client(service, region_name=self.dataset.region)

    def names(self) -> dict[str, str]:
        """Return what must not be in a report, and what stands for it."""
        dataset = self.dataset
        return {
            dataset.arn: "<dataset ARN>",
            dataset.account: "<account>",
            dataset.group: "<dataset group>",
            self.dataset_name: "<dataset>",
            self.schema_name: "<schema>",
        }


def check_region(dataset: Dataset, region: str | None) -> None:
    """Refuse a Region that is set to another one; none is fine.

    Raises:
        UnusableError: It is.
    """
    if region not in {None, dataset.region}:
        raise UnusableError(
            f"the dataset is in {dataset.region}, the Region that is set is {region}. "
            f"Fix: set AWS_REGION={dataset.region} AWS_DEFAULT_REGION={dataset.region}."
        )


def check_caller(dataset: Dataset, identity: dict[str, str]) -> None:
    """Refuse credentials of another account or partition.

    Raises:
        UnusableError: They are.
    """
    partition, account = identity["Arn"].split(":")[1], identity["Account"]
    if (partition, account) != (dataset.partition, dataset.account):
        raise UnusableError(
            f"the dataset belongs to account {dataset.account} ({dataset.partition}), these credentials to account "
            f"{account} ({partition}). Fix: use credentials of the account of the dataset."
        )
