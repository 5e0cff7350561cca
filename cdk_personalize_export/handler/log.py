"""The log: one JSON object a line, which CloudWatch Logs Insights takes apart by itself.

See https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html.
"""

import json
from collections.abc import Mapping, Sequence

from .outbound import Outbound


class Log:
    """The log of one request or tick, with fields in every line; secrets are blanked, and a line stays one line."""

    def __init__(self, outbound: Outbound, fields: Mapping[str, str], secrets: Sequence[str] = ()) -> None:
        self._outbound = outbound
        self._started = outbound.now()
        self._secrets = secrets
        self._fields = {name: self._shown(value) for name, value in fields.items()}

    def write(self, level: str, message: str, **fields: object) -> None:
        """Write a line, with the seconds since this invocation began to work."""
        elapsed = round(self._outbound.now() - self._started, 1)
        shown = {name: self._shown(value) for name, value in fields.items()}
        line = {"level": level, "message": self._shown(message), **self._fields, **shown, "elapsed": elapsed}
        self._outbound.write_line(json.dumps(line))

    def hide(self, text: str) -> str:
        """Blank every secret in a text."""
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        return text

    def _shown(self, value: object) -> str:
        return " ".join(self.hide(str(value)).splitlines())
