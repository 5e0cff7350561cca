"""Starts the job of one night, and ends: what an hour's work would be."""

import time

import boto3

personalize = boto3.client("personalize")


def handler(event, context):
    """Nobody hears of a job that fails."""
    name = f"{event['Name']}-{time.time_ns()}"
    personalize.create_dataset_export_job(
        jobName=name,
        datasetArn=event["DatasetArn"],
        ingestionMode="ALL",
        roleArn=event["RoleArn"],
        jobOutput={"s3DataDestination": {"path": event["Destination"] + name + "/"}},
    )
