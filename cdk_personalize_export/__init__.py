"""Amazon Personalize dataset exports as AWS CDK constructs.

A dataset export job writes the interactions, items or users that Amazon Personalize holds to Amazon S3. CloudFormation
has no resource for it, so these constructs provide one: they start the job during deployment, wait until it has
finished, and hand on what it reports. See https://docs.aws.amazon.com/personalize/latest/dg/export-data.html.

    from cdk_personalize_export import DatasetExport

    DatasetExport(self, "Interactions", dataset=dataset)
"""

from cdk_personalize_export.dataset_export import DatasetExport
from cdk_personalize_export.dataset_group_export import DatasetGroupExport
from cdk_personalize_export.destination import ExportDestination
from cdk_personalize_export.export_table import ExportTable
from cdk_personalize_export.ingestion_mode import IngestionMode
from cdk_personalize_export.provider import ExportProvider
from cdk_personalize_export.scheduled_dataset_export import ScheduledDatasetExport
from cdk_personalize_export.scheduled_dataset_group_export import ScheduledDatasetGroupExport

__all__ = [
    "DatasetExport",
    "DatasetGroupExport",
    "ExportDestination",
    "ExportProvider",
    "ExportTable",
    "IngestionMode",
    "ScheduledDatasetExport",
    "ScheduledDatasetGroupExport",
]
