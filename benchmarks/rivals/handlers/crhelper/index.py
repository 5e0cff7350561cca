"""Starts the job, and is called again every two minutes until it is over."""

import hashlib

import boto3
from crhelper import CfnResource

helper = CfnResource(log_level="INFO", boto_level="ERROR")
personalize = boto3.client("personalize")


@helper.create
@helper.update
def start(event, context):
    """Start the job."""
    properties = event["ResourceProperties"]
    name = "export-" + hashlib.sha256(event["RequestId"].encode()).hexdigest()[:16]
    job = personalize.create_dataset_export_job(
        jobName=name,
        datasetArn=properties["DatasetArn"],
        ingestionMode=properties["IngestionMode"],
        roleArn=properties["RoleArn"],
        jobOutput={"s3DataDestination": {"path": properties["Destination"] + name + "/"}},
    )
    helper.Data["Arn"] = job["datasetExportJobArn"]


@helper.poll_create
@helper.poll_update
def look(event, context):
    """Look at the job; what is returned ends the waiting."""
    arn = event["CrHelperData"]["Arn"]
    job = personalize.describe_dataset_export_job(datasetExportJobArn=arn)["datasetExportJob"]
    if job["status"] == "CREATE FAILED":
        raise RuntimeError(job.get("failureReason", "the job failed"))
    return arn if job["status"] == "ACTIVE" else None


@helper.delete
def forget(event, context):
    """Delete nothing."""


def handler(event, context):
    """Let crhelper do it."""
    helper(event, context)
