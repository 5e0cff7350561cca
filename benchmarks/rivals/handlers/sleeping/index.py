"""Starts the job, sleeps until it is over, answers CloudFormation."""

import hashlib
import json
import time
import urllib.request

import boto3

POLL_SECONDS = 10
personalize = boto3.client("personalize")


def handler(event, context):
    """Answer whatever happens, as long as it happens within 15 minutes."""
    physical_id, reason, status = event.get("PhysicalResourceId", "none"), "", "SUCCESS"
    try:
        if event["RequestType"] != "Delete":
            physical_id = export(event)
    except Exception as error:
        reason, status = str(error), "FAILED"
    answer(event, status, physical_id, reason)


def export(event):
    """Run a job to its end and return its ARN."""
    properties = event["ResourceProperties"]
    name = "export-" + hashlib.sha256(event["RequestId"].encode()).hexdigest()[:16]
    arn = personalize.create_dataset_export_job(
        jobName=name,
        datasetArn=properties["DatasetArn"],
        ingestionMode=properties["IngestionMode"],
        roleArn=properties["RoleArn"],
        jobOutput={"s3DataDestination": {"path": properties["Destination"] + name + "/"}},
    )["datasetExportJobArn"]
    while True:
        time.sleep(POLL_SECONDS)
        job = personalize.describe_dataset_export_job(datasetExportJobArn=arn)["datasetExportJob"]
        if job["status"] == "ACTIVE":
            return arn
        if job["status"] == "CREATE FAILED":
            raise RuntimeError(job.get("failureReason", "the job failed"))


def answer(event, status, physical_id, reason):
    """Tell CloudFormation."""
    body = {
        "Status": status,
        "Reason": reason[:3000],
        "PhysicalResourceId": physical_id,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    urllib.request.urlopen(request, timeout=10)
