"""The two functions the provider framework calls."""

import hashlib

import boto3

personalize = boto3.client("personalize")


def on_event(event, context):
    """Start the job."""
    if event["RequestType"] == "Delete":
        return {"PhysicalResourceId": event["PhysicalResourceId"]}
    properties = event["ResourceProperties"]
    name = "export-" + hashlib.sha256(event["RequestId"].encode()).hexdigest()[:16]
    job = personalize.create_dataset_export_job(
        jobName=name,
        datasetArn=properties["DatasetArn"],
        ingestionMode=properties["IngestionMode"],
        roleArn=properties["RoleArn"],
        jobOutput={"s3DataDestination": {"path": properties["Destination"] + name + "/"}},
    )
    return {"PhysicalResourceId": job["datasetExportJobArn"]}


def is_complete(event, context):
    """Look at the job."""
    if event["RequestType"] == "Delete":
        return {"IsComplete": True}
    arn = event["PhysicalResourceId"]
    job = personalize.describe_dataset_export_job(datasetExportJobArn=arn)["datasetExportJob"]
    if job["status"] == "CREATE FAILED":
        raise RuntimeError(job.get("failureReason", "the job failed"))
    done = job["status"] == "ACTIVE"
    return {"IsComplete": done, "Data": {"Arn": arn}} if done else {"IsComplete": False}
