"""Metrics in embedded metric format: a line of the log that CloudWatch takes for data points, without a call.

See https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html.
Zeros are written too, so that an alarm has data whenever there is an outcome.
"""

import json

NAMESPACE = "cdk-personalize-export"
DIMENSION = "Export"


def line(export: str, now: float, counts: dict[str, int], seconds: float | None) -> str:
    """Write the line of one outcome.

    Args:
        export: The value of the one dimension.
        now: The time in seconds since 1970.
        counts: The metrics that count.
        seconds: How long the job took, if that is known.
    """
    values: dict[str, float] = {**counts, **({} if seconds is None else {"Duration": seconds})}
    metrics = [{"Name": name, "Unit": "Seconds" if name == "Duration" else "Count"} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics}
    described = {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": described, DIMENSION: export, **values})
