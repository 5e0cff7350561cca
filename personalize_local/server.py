"""The server process: binds its port, extends ministack, serves until whoever started it goes away.

ministack reads its configuration when it is imported and keeps all state in module globals, so each local AWS is a
process of its own. It lives as long as its standard input stays open and whoever started it lives, and takes its whole
process group with it: Lambda workers hang otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from personalize_local.gate import Gate
from personalize_local.service import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HOST = "127.0.0.1"
BACKLOG = 1024
PARENT_SECONDS = 1.0
FORGOTTEN = (
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
)  # ours: Lambda functions inherit the environment, and need neither


class StartError(Exception):
    """Why the server can not start, in one line that says what to do."""


def main() -> int:
    """Serve; the first line on standard output is JSON with the port, or with the error."""
    parser = argparse.ArgumentParser(prog="personalize_local.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    port = parser.parse_args().port
    parent = os.getppid()
    try:
        listener = _bind(port)
        app = _extended_app(listener.getsockname()[1])
    except StartError as error:
        _report(error=str(error))
        return 1
    threading.Thread(target=_end_with_parent, args=(parent,), name="end-with-parent", daemon=True).start()
    asyncio.run(_serve(app, listener))
    return 0


def _bind(port: int) -> socket.socket:
    """Take the port before anything else: it goes into the configuration of ministack."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        raise StartError(
            f"port {port} can not be used ({getattr(error, 'strerror', None) or error}): "
            "stop what listens there, or choose another with --port (0 is any free one)"
        ) from None
    listener.listen(BACKLOG)
    return listener


def _extended_app(port: int) -> Any:
    """Import ministack with its configuration in place, and extend it."""
    endpoint = f"http://{HOST}:{port}"
    for name in FORGOTTEN:
        os.environ.pop(name, None)
    os.environ.update(GATEWAY_PORT=str(port), AWS_ENDPOINT_URL=endpoint)
    try:
        settings = Settings.from_environment(os.environ)
    except ValueError as error:
        raise StartError(str(error)) from None
    from personalize_local.extension import patches  # noqa: PLC0415 - ministack reads the environment when imported

    try:
        patches.check()
        from personalize_local.extension.install import install  # noqa: PLC0415

        install(endpoint, settings)
    except patches.IncompatibleMinistackError as error:
        raise StartError(str(error)) from None
    return patches.load(patches.APP).app


async def _serve(app: Any, listener: socket.socket) -> None:
    """Serve with hypercorn, as ministack does, and report the port once everything answers."""
    from hypercorn.asyncio import serve  # noqa: PLC0415 - comes with ministack
    from hypercorn.config import Config  # noqa: PLC0415

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    config.include_date_header = False  # an answer may have the Date of a clock that was moved

    async def reporting(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        async def send_and_report(message: Any) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                _report(port=listener.getsockname()[1])

        async def send_dated(message: Any) -> None:
            await send(_dated(message) if message["type"] == "http.response.start" else message)

        await app(scope, receive, send_and_report if scope["type"] == "lifespan" else send_dated)

    gate = Gate(reporting, listener.getsockname()[1], os.environ["AWS_SECRET_ACCESS_KEY"])
    await serve(gate, config, shutdown_trigger=asyncio.Event().wait)


def _dated(message: Any) -> Any:
    """Give the start of an answer the Date of now, unless it has one."""
    headers = list(message.get("headers", []))
    if any(name.lower() == b"date" for name, _ in headers):
        return message
    return {**message, "headers": [*headers, (b"date", formatdate(usegmt=True).encode())]}


def _report(**values: Any) -> None:
    """Tell whoever started this."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _end_with_parent(parent: int) -> None:
    """Wait for the end of standard input or of the parent, then end the process group: this and its Lambda workers.

    A process that the parent forked may hold the other end of standard input open when the parent is gone.
    """
    while os.getppid() == parent:
        ended, _, _ = select.select([sys.stdin], [], [], PARENT_SECONDS)
        if ended and not os.read(sys.stdin.fileno(), 1):
            break
    logging.getLogger("personalize_local").info("whoever started this is gone: stopping")
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
