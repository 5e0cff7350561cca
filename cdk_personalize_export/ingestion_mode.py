"""Which records an export contains, by the way they were imported.

https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDatasetExportJob.html
"""

from enum import Enum


class IngestionMode(str, Enum):
    """Which records to export, by the way they reached the dataset."""

    ALL = "ALL"
    """Everything. Users and items with the same id: the newest one. The default of `DatasetExport`."""
    PUT = "PUT"
    """Records added one by one: with the console, `PutEvents`, `PutItems` or `PutUsers`. The default of the API itself,
    which silently leaves bulk data out."""
    BULK = "BULK"
    """Records added by dataset import jobs."""
