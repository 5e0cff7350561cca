"""Connections: closed as soon as the client closes them.

hypercorn 0.18 waits for its keep-alive timeout first, so that a thousand short connections use up the descriptors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from personalize_local.extension import patches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class NeverIdle:
    """Takes the place of the keep-alive timeout of a connection that the client has ended."""

    async def restart(self, *_: Any) -> None:
        """Start nothing: an answer that is still written is the last one."""

    async def stop(self) -> None:
        """Nothing runs."""


def register() -> None:
    """Let the end of what a client sends end the wait for more."""
    server = patches.load(patches.TCP_SERVER).TCPServer
    server._read_data = _then_wait_no_more(server._read_data)  # noqa: SLF001 - hypercorn has no public way


def _then_wait_no_more(original: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def read(connection: Any) -> None:
        await original(connection)
        await connection.idle_task.stop()
        connection.idle_task = NeverIdle()

    return read
