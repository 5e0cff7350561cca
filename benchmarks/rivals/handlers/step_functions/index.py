"""Starts the state machine for CloudFormation, and answers CloudFormation for the state machine."""

import json
import urllib.request

import boto3

states = boto3.client("stepfunctions")


def handler(event, context):
    """Answer at once what needs no job, and whatever comes back from the state machine."""
    waited = "Job" in event or "Error" in event
    if not waited and event["RequestType"] != "Delete":
        states.start_execution(stateMachineArn=event["ResourceProperties"]["StateMachineArn"], input=json.dumps(event))
        return
    job = event.get("Seen", {}).get("DatasetExportJob", {})
    failed = waited and job.get("Status") != "ACTIVE"
    body = {
        "Status": "FAILED" if failed else "SUCCESS",
        "Reason": str(event.get("Error") or job.get("FailureReason") or "")[:3000],
        "PhysicalResourceId": event.get("Job", {}).get("DatasetExportJobArn", event.get("PhysicalResourceId", "none")),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    urllib.request.urlopen(request, timeout=10)
