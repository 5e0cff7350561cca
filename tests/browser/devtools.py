"""A Chromium that tests drive by the DevTools protocol, over its pipe: https://chromedevtools.github.io/devtools-protocol/."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
# What a page must not have: something wider than the page, and pictures that did not come.
LOOK = """(async () => {
  await Promise.all([...document.images].map((image) => image.decode().catch(() => null)));
  await document.fonts.ready;
  return {
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    missing: [...document.images].filter((image) => !image.naturalWidth).map((image) => image.src),
    nameless: [...document.images].filter((image) => !image.alt).map((image) => image.src),
    pictures: document.images.length,
    height: document.documentElement.scrollHeight,
    background: getComputedStyle(document.body).backgroundColor,
  };
})()"""


class Browser:
    """One tab of a browser."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number, self._read, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; what happens meanwhile is kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, url: str, width: int, scheme: str) -> dict[str, Any]:
        """Open a page in a window of a width, light or dark; return what is to be seen of it."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.send("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())
        seen = self.send("Runtime.evaluate", expression=LOOK, awaitPromise=True, returnByValue=True)
        value: dict[str, Any] = seen["result"]["value"]
        return value

    @property
    def errors(self) -> list[str]:
        """What the page opened last has to complain of: in the console, by exceptions, about what did not load."""
        found = []
        for event in self.events:
            parameters, method = event.get("params", {}), event.get("method")
            wrong = {
                "Runtime.exceptionThrown": True,
                "Runtime.consoleAPICalled": parameters.get("type") in {"error", "warning", "assert"},
                "Log.entryAdded": parameters.get("entry", {}).get("level") in {"error", "warning"},
            }
            if wrong.get(str(method)):
                found.append(json.dumps(parameters))
        return found

    def picture(self, height: int) -> bytes:
        """Return a picture of the page from its top down to a height, as PNG."""
        layout = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": layout["width"], "height": min(height, layout["height"]), "scale": 1}
        taken = self.send("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(taken["data"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            got = os.read(self._answers, 1 << 20)
            assert got, "the browser has ended"
            self._read += got
        one, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(one)
        return message


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser that keeps what it has to keep in a folder."""
    program = shutil.which("chromium")
    assert program, "the browser tests need Debian's browser: apt-get install chromium"
    its_commands, commands = os.pipe()
    answers, its_answers = os.pipe()
    # The browser reads commands from 3 and writes to 4, whatever the numbers are here.
    script = f'exec "$@" 3<&{its_commands} 4>&{its_answers}'
    command = ["bash", "-c", script, "browser", program, *FLAGS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        command, pass_fds=(its_commands, its_answers), stderr=subprocess.DEVNULL, start_new_session=True
    )
    os.close(its_commands)
    os.close(its_answers)
    try:
        yield Browser(commands, answers)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        os.close(commands)
        os.close(answers)
