"""Writes what was found, as Markdown to paste and as JSON to compare: no name, no id, nothing of the data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TITLES = {
    "export": "An export with the library: its states and duration",
    "objects": "What it wrote",
    "made_up_value": "How a text with quotes, a comma and a backslash is written",
    "bucket_policy": "A bucket without a policy for Personalize",
    "role": "A role Personalize cannot assume",
    "key": "A KMS key the role may not use",
    "source_account": "A bucket policy that demands aws:SourceAccount and aws:SourceArn",
    "case": "Two job names that differ in case only",
    "quota": "More jobs than the quota allows",
    "tick": "An export a schedule starts",
}
NOT_ANSWERED = "not_answered"
_FILE = "aws-report"


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report to be read."""
    lines = ["# Personalize dataset exports on AWS", ""]
    lines += [f"- {_words(name)}: {_written(value)}" for name, value in report["about"].items()]
    for name, answer in report["answers"].items():
        lines += ["", f"## {TITLES[name]}", ""]
        lines += [f"- {_words(field)}: {_written(value)}" for field, value in answer.items()]
    return "\n".join(lines) + "\n"


def write(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write both forms, and return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {".md": markdown(report), ".json": json.dumps(report, indent=2, ensure_ascii=False) + "\n"}
    paths = [folder / f"{_FILE}{suffix}" for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def _words(name: str) -> str:
    return name.replace("_", " ")


def _written(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_written, value)) or "none"
    if isinstance(value, str):
        return f"`{value.replace('`', chr(39))}`" if value else "none"
    return str(value)
