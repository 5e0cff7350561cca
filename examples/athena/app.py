"""What was exported, as tables to query: the newest export and every day's, with types, in Amazon Athena.

    cdk deploy --app "python3 app.py" -c dataset_group=NAME -c schemas=FOLDER

The folder has a file for each dataset to export, its schema in Avro: `interactions.json`, `items.json`, `users.json`.
README.md beside this file says how to get them, and what to ask. With another `-c generation=...` it exports again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_athena as athena
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from cdk_personalize_export import DatasetGroupExport, ExportTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from constructs import Construct

WORKGROUP = "personalize-exports"
TYPES = ("INTERACTIONS", "ITEMS", "USERS")


class Athena(cdk.Stack):
    """The exports of a dataset group, tables over them, and a role that may query these and nothing else.

    Args:
        scope: The app or stage.
        construct_id: The stack's id.
        dataset_group: The name of the dataset group to export.
        schemas: The Avro schemas of the datasets to export, by their types.
        database_name: The name of the database to make.
        generation: Changing it exports again.
    """

    def __init__(  # noqa: PLR0913 - options, all but two by keyword
        self,
        scope: Construct,
        construct_id: str,
        *,
        dataset_group: str,
        schemas: Mapping[str, str],
        database_name: str = "personalize",
        generation: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.exports = DatasetGroupExport(
            self, "Export", dataset_group=dataset_group, dataset_types=list(schemas), generation=generation
        )
        self.tables = ExportTable.for_group(
            self, "Tables", exports=self.exports, schemas=schemas, database_name=database_name
        )
        self.analyst = iam.Role(self, "Analyst", assumed_by=iam.AccountRootPrincipal())
        for table in self.tables.values():
            table.grant_query(self.analyst)
        self._let_query(self.analyst)

        cdk.CfnOutput(self, "AnalystArn", value=self.analyst.role_arn)
        cdk.CfnOutput(self, "Workgroup", value=WORKGROUP)
        for dataset_type, table in self.tables.items():
            names = f"{database_name}.{table.table_name}, {database_name}.{table.daily_table_name}"
            cdk.CfnOutput(self, dataset_type.title(), value=names)

    def _let_query(self, role: iam.Role) -> None:
        """Let a role ask Athena, in a workgroup whose results are gone after a day."""
        results = s3.Bucket(
            self,
            "Results",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(1))],
        )
        athena.CfnWorkGroup(
            self,
            "Queries",
            name=WORKGROUP,
            recursive_delete_option=True,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{results.bucket_name}/"
                ),
            ),
        )
        results.grant_read_write(role)
        actions = ("StartQueryExecution", "GetQueryExecution", "GetQueryResults", "StopQueryExecution")
        workgroup_arn = self.format_arn(service="athena", resource="workgroup", resource_name=WORKGROUP)
        role.add_to_policy(
            iam.PolicyStatement(actions=[f"athena:{action}" for action in actions], resources=[workgroup_arn])
        )


def schemas_in(folder: Path) -> dict[str, str]:
    """Return the schemas in a folder by the types of their datasets."""
    paths = {dataset_type: folder / f"{dataset_type.lower()}.json" for dataset_type in TYPES}
    return {kind: path.read_text(encoding="utf-8") for kind, path in paths.items() if path.is_file()}


def main() -> None:
    """Synthesise the stack for the dataset group and the schemas that the context names."""
    app = cdk.App()
    dataset_group, folder = (app.node.try_get_context(name) for name in ("dataset_group", "schemas"))
    if not dataset_group:
        sys.exit("No dataset group was given: pass -c dataset_group=NAME")
    schemas = schemas_in(Path(folder)) if folder else {}
    if not schemas:
        sys.exit("No schema was given: pass -c schemas=FOLDER, with interactions.json, items.json or users.json in it")
    generation = app.node.try_get_context("generation")
    Athena(app, "Athena", dataset_group=dataset_group, schemas=schemas, generation=generation)
    app.synth()


if __name__ == "__main__":
    main()
