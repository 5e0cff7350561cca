"""What cdk-nag's five packs find in a rival: arguments are its module, how many exports, and an output folder.

Prints one JSON object: how many rules find something, the packs counted apart.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import aws_cdk

PACKS = ("AwsSolutionsChecks", "HIPAASecurityChecks", "NIST80053R5Checks", "PCIDSS321Checks", "ServerlessChecks")
NAMES = ("AwsSolutions", "HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321", "Serverless")


def main() -> None:
    """Synthesise with every pack, and count."""
    name, count, output = sys.argv[1:]
    try:
        cdk_nag = importlib.import_module("cdk_nag")
    except ModuleNotFoundError:
        sys.exit("cdk-nag is missing: `make benchmark` and `make audit` install it")
    app = aws_cdk.App(outdir=output)
    stack = aws_cdk.Stack(app, "Bench")
    importlib.import_module(f"benchmarks.rivals.{name}").build(stack, int(count), own=False)
    aws_cdk.Validations.of(app).add_plugins(*(getattr(cdk_nag, pack)(app) for pack in PACKS))
    try:
        app.synth()
    except RuntimeError as error:
        if not str(error).startswith("ValidationFailed"):
            raise
    reports = json.loads((Path(output) / "validation-report.json").read_text(encoding="utf-8"))["pluginReports"]
    rules = {found["ruleName"] for report in reports for found in report["violations"] if report["pluginName"] in NAMES}
    sys.stdout.write(json.dumps({"findings": len(rules)}))


main()
