"""How long a manifest of many objects takes, and how much memory: the real function's code against the local AWS.

    python benchmarks/manifest_process.py [objects]

Prints one JSON object. Counted is what the function does once the job is ACTIVE, with its S3 client made anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from time import time

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.memory import peak_mb  # noqa: E402 - after the path

OBJECTS = 10_000
BUCKET, JOB = "exports", "Shop-Interactions-i6ny2thb662y"
ARN = "arn:aws:personalize:us-east-1:000000000000:"


def main() -> None:
    """Measure."""
    if "--write" in sys.argv:
        sys.stdout.write(json.dumps(written()))
        return
    from personalize_local import LocalAws  # noqa: PLC0415 - not in the process that is measured

    objects = int(sys.argv[1]) if len(sys.argv) > 1 else OBJECTS
    with LocalAws() as aws:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        keys = [f"personalize/{JOB}/part-{number:05}-of-{objects:05}.csv" for number in range(objects)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b"USER_ID\nu\n"), keys))
        command = [sys.executable, str(Path(__file__).resolve()), "--write"]
        done = subprocess.run(  # noqa: S603 - this file
            command, env=aws.environment(), capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        manifest = s3.get_object(Bucket=BUCKET, Key=found["key"])["Body"].read()
        shown = {"objects": json.loads(manifest)["totalObjects"], "bytes": len(manifest)}
        sys.stdout.write(json.dumps({**shown, "seconds": found["seconds"], "peak_mb": found["peak_mb"]}) + "\n")


def written() -> dict[str, float | str]:
    """Write the manifest, as the function does: its folder alone, without the library around it."""
    sys.path.insert(0, str(ROOT / "cdk_personalize_export"))
    names = ("jobs", "log", "manifest", "outbound", "properties", "waiting")
    jobs, log, manifest, outbounds, properties, waiting = (import_module(f"handler.{name}") for name in names)
    started, outbound = time(), outbounds.Outbound()
    demand = waiting.Demand(started)
    budget = waiting.TimeBudget(outbound, log.Log(outbound, {}), lambda: 900.0, started + 900, demand)
    moment = datetime.fromtimestamp(started, timezone.utc)
    described = {"status": jobs.ACTIVE, "creationDateTime": moment, "lastUpdatedDateTime": moment}
    given = {
        "ExportId": "Shop/Interactions",
        "JobNamePrefix": "Shop-Interactions",
        "DatasetArn": f"{ARN}dataset/shop/INTERACTIONS",
        "RoleArn": "arn:aws:iam::000000000000:role/export",
        "Bucket": BUCKET,
        "Prefix": "personalize/",
        "Manifest": "Shop-0badc0-Interactions",
    }
    job = jobs.read_job(described, f"{ARN}dataset-export-job/{JOB}")
    uri = manifest.write(job, properties.read_export("stack", given), budget)
    return {"seconds": time() - started, "peak_mb": peak_mb(), "key": uri.partition(f"s3://{BUCKET}/")[2]}


if __name__ == "__main__":
    main()
