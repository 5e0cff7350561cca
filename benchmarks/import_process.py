"""What importing costs: the package beyond `aws_cdk`, or with "handler" the Lambda function beyond boto3.

Prints one JSON object. Imports are given in CPU time, which a busy machine does not stretch; on an idle one it is the
wall time. For the handler also the first answer of a cold container: AWS is answered by the tests' own
outside, at once, so what remains is our code, the making of a client and the way to the ResponseURL.
"""

from __future__ import annotations

import json
import sys
import time
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
    sys.path.insert(0, str(ROOT / "cdk_personalize_export" / "handler"))
    began = time.process_time()
    import boto3  # noqa: F401, PLC0415 - timed apart

    boto = time.process_time()
    import index  # noqa: PLC0415 - timed

    imported = time.process_time()
    from tests.unit.handler.world import Context, FakeOutside, event, post_office  # noqa: PLC0415 - not timed

    outside = FakeOutside()
    with post_office() as post:
        request = event("no-wait", post.url)
        started = time.perf_counter()
        index.handle(request, Context(outside, 900.0), outside)
        answered = time.perf_counter()
        if post.answer["Status"] != "SUCCESS":
            raise RuntimeError(f"the function answered {post.answer}")
    return {
        "boto3_import_ms": (boto - began) * 1000,
        "handler_import_ms": (imported - boto) * 1000,
        "first_answer_ms": (answered - started) * 1000,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(handler() if sys.argv[1:] == ["handler"] else package()))
