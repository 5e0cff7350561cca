"""What a test asks Spark with Hive support, and the tables it asks about."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".cache" / "lake" / "bin" / "python"
OPEN_CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
SYMLINKS = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"
TEXT_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
SECONDS = 900  # half a minute where nothing else runs

Rows = list[tuple[str | None, ...]]


@dataclass
class Spark:
    """Tables made of local files, and what Spark reads in them."""

    folder: Path
    statements: list[str] = field(default_factory=list)

    def table(  # noqa: PLR0913 - what a table of Glue says
        self,
        name: str,
        columns: Sequence[str],
        objects: Sequence[bytes],
        *,
        serde: str = OPEN_CSV,
        input_format: str = SYMLINKS,
        serde_parameters: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        """Define a table as Glue describes it, over a symlink to copies of objects.

        That it is external is the statement's to say: Spark refuses the property.
        """
        data, pointers = self.folder / name / "data", self.folder / name / "latest"
        data.mkdir(parents=True)
        pointers.mkdir()
        paths = [data / f"{number}.csv" for number, _ in enumerate(objects)]
        for path, content in zip(paths, objects, strict=True):
            path.write_bytes(content)
        (pointers / "symlink.txt").write_text("".join(f"{path.as_uri()}\n" for path in paths), encoding="utf-8")
        listed = ", ".join(f"`{column}` string" for column in columns)
        self.statements.append(
            f"CREATE EXTERNAL TABLE {name} ({listed}) ROW FORMAT SERDE '{serde}'{_with(serde_parameters)} "
            f"STORED AS INPUTFORMAT '{input_format}' OUTPUTFORMAT '{TEXT_OUTPUT}' LOCATION '{pointers.as_uri()}' "
            f"TBLPROPERTIES ({_pairs({'made.for': name, **(parameters or {})}, but='EXTERNAL')})"
        )

    def rows(self, **queries: str) -> dict[str, Rows]:
        """Return the rows of each query."""
        assert PYTHON.exists(), "Spark is missing: `make lake` installs it"
        answer = self.folder / "rows.json"
        asked = json.dumps({"statements": self.statements, "queries": queries})
        environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"}
        command = [str(PYTHON), str(Path(__file__).with_name("hive.py")), str(answer)]
        done = subprocess.run(
            command,
            input=asked,
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        found: dict[str, list[list[Any]]] = json.loads(answer.read_text(encoding="utf-8"))
        return {name: [tuple(row) for row in rows] for name, rows in found.items()}


def _with(serde_parameters: Mapping[str, str] | None) -> str:
    return f" WITH SERDEPROPERTIES ({_pairs(serde_parameters)})" if serde_parameters else ""


def _pairs(properties: Mapping[str, str], *, but: str = "") -> str:
    return ", ".join(f"{_literal(key)} = {_literal(value)}" for key, value in properties.items() if key != but)


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
