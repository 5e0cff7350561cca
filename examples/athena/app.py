"""What was exported, as tables to query: a Glue crawler reads the exports, Amazon Athena queries what it finds.

    cdk deploy --app "python3 -m examples.athena.app" -c dataset_group=NAME
    aws glue start-crawler --name personalize-exports

Which objects an export consists of, and their columns, are the crawler's to find out: AWS documents neither.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam

from cdk_personalize_export import DatasetGroupExport

if TYPE_CHECKING:
    from constructs import Construct

DATABASE = "personalize"
CRAWLER = "personalize-exports"


class Athena(cdk.Stack):
    """The exports of a dataset group, and a crawler that turns each of them into a table.

    Args:
        scope: The app or stage.
        construct_id: The stack's id.
        dataset_group: The name of the dataset group to export.
    """

    def __init__(self, scope: Construct, construct_id: str, *, dataset_group: str) -> None:
        super().__init__(scope, construct_id)
        export = DatasetGroupExport(
            self, "Export", dataset_group=dataset_group, dataset_types=["INTERACTIONS", "ITEMS", "USERS"]
        )
        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=self.account,
            database_input=glue.CfnDatabase.DatabaseInputProperty(name=DATABASE),
        )
        role = iam.Role(
            self,
            "CrawlerRole",
            assumed_by=iam.ServicePrincipal("glue.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AWSGlueServiceRole")],
        )
        reading = export.grant_read(role)
        crawler = glue.CfnCrawler(
            self,
            "Crawler",
            name=CRAWLER,
            role=role.role_arn,
            database_name=DATABASE,
            table_prefix=f"{dataset_group.replace('-', '_')}_",
            targets=glue.CfnCrawler.TargetsProperty(
                # An output path is known when its export has finished, so the crawler is made after it.
                s3_targets=[glue.CfnCrawler.S3TargetProperty(path=each.output_path) for each in export.exports.values()]
            ),
        )
        crawler.node.add_dependency(database)
        reading.apply_before(crawler)


def main() -> None:
    """Synthesise the stack for the dataset group that the context names."""
    app = cdk.App()
    dataset_group = app.node.try_get_context("dataset_group")
    if not dataset_group:
        sys.exit("No dataset group was given: pass -c dataset_group=NAME")
    Athena(app, "Athena", dataset_group=dataset_group)
    app.synth()


if __name__ == "__main__":
    main()
