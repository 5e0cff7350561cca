"""What importing costs: the package beyond `aws_cdk`, or with "handler" the Lambda function beyond boto3.

Prints one JSON object. Imports are given in CPU time, which a busy machine does not stretch; on an idle one it is the
wall time. For the handler also the first answer of a cold container: AWS is answered by the tests' own
way out, at once, so what remains is our code, the making of a client and the way to the ResponseURL.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def package() -> dict[str, float]:
    """Import the library."""
    import aws_cdk  # noqa: F401, PLC0415 - not timed

    started = time.process_time()
    import cdk_personalize_export  # noqa: F401, PLC0415 - timed

    return {"package_import_ms": (time.process_time() - started) * 1000}


def handler() -> dict[str, float]:
    """Import the function and let it answer once."""
    sys.path[:0] = [str(ROOT / "cdk_personalize_export"), str(ROOT)]  # the first as in Lambda
    began = time.process_time()
    import boto3  # noqa: F401, PLC0415 - timed apart

    boto = time.process_time()
    cloudformation = import_module("handler.index").cloudformation

    imported = time.process_time()
    from cdk_personalize_export.handler.invocation import Invocation  # noqa: PLC0415 - not timed
    from tests.unit.handler.world import Context, FakeOutbound, answer_server, event  # noqa: PLC0415 - not timed

    outbound = FakeOutbound()
    with answer_server() as server:
        request = event("no-wait", server.url)
        started = time.perf_counter()
        cloudformation.handle(Invocation(request, Context(outbound, 900.0), outbound))
        answered = time.perf_counter()
        if server.answer["Status"] != "SUCCESS":
            raise RuntimeError(f"the function answered {server.answer}")
    return {
        "boto3_import_ms": (boto - began) * 1000,
        "handler_import_ms": (imported - boto) * 1000,
        "first_answer_ms": (answered - started) * 1000,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(handler() if sys.argv[1:] == ["handler"] else package()))
