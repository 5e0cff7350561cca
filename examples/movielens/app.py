"""MovieLens in Amazon Personalize, and out again: a whole stack, from schemas to exports.

`make deploy-local` deploys it on a local AWS. In an account of your own, put the three CSV files into a bucket that
lets Personalize read them, then: cdk deploy --app "python3 app.py" -c data_bucket=NAME
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_personalize as personalize

from cdk_personalize_export import DatasetExport, ExportDestination

if TYPE_CHECKING:
    from constructs import Construct

GROUP = "movielens"
FIELDS: dict[str, list[dict[str, object]]] = json.loads(
    Path(__file__).with_name("fields.json").read_text(encoding="utf-8")
)


class MovieLensData(cdk.Stack):
    """Schemas, a dataset group, and three datasets imported from S3.

    Args:
        scope: The app or stage.
        construct_id: The stack's id.
        data_bucket: Name of the bucket with ``interactions.csv``, ``items.csv`` and ``users.csv``.
    """

    def __init__(self, scope: Construct, construct_id: str, *, data_bucket: str) -> None:
        super().__init__(scope, construct_id)
        self._data_bucket = data_bucket
        self._group = personalize.CfnDatasetGroup(self, "Group", name=GROUP)
        self._import_role = self._make_import_role()
        self.datasets = {dataset_type: self._make_dataset(dataset_type) for dataset_type in FIELDS}

    def _make_dataset(self, dataset_type: str) -> personalize.CfnDataset:
        schema = personalize.CfnSchema(
            self,
            f"{dataset_type}Schema",
            name=f"movielens-{dataset_type.lower()}",
            schema=json.dumps(
                {
                    "type": "record",
                    "name": dataset_type,
                    "namespace": "com.amazonaws.personalize.schema",
                    "fields": FIELDS[dataset_type],
                    "version": "1.0",
                }
            ),
        )
        return personalize.CfnDataset(
            self,
            dataset_type,
            name=f"movielens-{dataset_type.lower()}",
            dataset_group_arn=self._group.attr_dataset_group_arn,
            dataset_type=dataset_type,
            schema_arn=schema.attr_schema_arn,
            dataset_import_job=personalize.CfnDataset.DatasetImportJobProperty(
                job_name=f"movielens-{dataset_type.lower()}",
                role_arn=self._import_role.role_arn,
                data_source={"DataLocation": f"s3://{self._data_bucket}/{dataset_type.lower()}.csv"},
            ),
        )

    def _make_import_role(self) -> iam.Role:
        bucket_arn = f"arn:{self.partition}:s3:::{self._data_bucket}"
        return iam.Role(
            self,
            "ImportRole",
            assumed_by=iam.ServicePrincipal(
                "personalize.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self.account}}
            ),
            inline_policies={
                "Read": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket_arn]),
                        iam.PolicyStatement(actions=["s3:GetObject"], resources=[f"{bucket_arn}/*"]),
                    ]
                )
            },
        )


class MovieLens(MovieLensData):
    """The same, an event tracker and three exports.

    Args:
        scope: The app or stage.
        construct_id: The stack's id.
        data_bucket: As of `MovieLensData`.
        generation: Changing it exports the interactions again.
    """

    def __init__(self, scope: Construct, construct_id: str, *, data_bucket: str, generation: str | None = None) -> None:
        super().__init__(scope, construct_id, data_bucket=data_bucket)
        tracker = personalize.CfnEventTracker(
            self, "Tracker", name=GROUP, dataset_group_arn=self._group.attr_dataset_group_arn
        )
        tracker.node.add_dependency(self.datasets["Interactions"])  # it records into this dataset
        cdk.CfnOutput(self, "TrackingId", value=tracker.attr_tracking_id)

        destination = ExportDestination(self, "Exports", prefix="movielens")
        for dataset_type, dataset in self.datasets.items():
            export = DatasetExport(
                self,
                f"{dataset_type}Export",
                dataset=dataset,
                destination=destination,
                generation=generation if dataset_type == "Interactions" else None,
            )
            cdk.CfnOutput(self, f"{dataset_type}JobArn", value=export.job_arn)


def main() -> None:
    """Synthesise the stack for the data bucket that the context names."""
    app = cdk.App()
    data_bucket = app.node.try_get_context("data_bucket")
    if not data_bucket:
        sys.exit("No data bucket was given: pass -c data_bucket=NAME, the one with interactions.csv and its siblings")
    MovieLens(app, "MovieLens", data_bucket=data_bucket, generation=app.node.try_get_context("generation"))
    app.synth()


if __name__ == "__main__":
    main()
