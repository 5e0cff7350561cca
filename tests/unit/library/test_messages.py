"""Every error and warning of the library is asserted by its words: otherwise a message could say anything."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = sorted((ROOT / "cdk_personalize_export").glob("*.py"))
TESTS = [*(ROOT / "tests" / "synth").glob("*.py"), *(ROOT / "tests" / "unit" / "library").glob("*.py")]
SAYING = {"ValueError", "TypeError", "add_warning_v2", "add_warning", "add_error"}
WORDS = 4  # in a row, that a test must repeat


def texts(node: ast.AST) -> Iterator[str]:
    """Return the literal text below a node, piece by piece."""
    return (piece.value for piece in ast.walk(node) if isinstance(piece, ast.Constant) and isinstance(piece.value, str))


def messages() -> dict[str, list[str]]:
    """Return the literal pieces of every message by where it is."""
    found = {}
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in SAYING and node.args:
                found[f"{path.name}:{node.lineno}"] = list(texts(node.args[-1]))
    return found


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def asserted() -> str:
    """Return all text in the tests, without the marks of regular expressions."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in TESTS)
    return "\n".join(text.replace("\\", "") for tree in trees for text in texts(tree))


ASSERTED = asserted()


@pytest.mark.parametrize(("where", "pieces"), messages().items(), ids=messages())
def test_message_is_asserted_by_its_words(where: str, pieces: list[str]) -> None:
    runs = [run for piece in pieces for run in _runs(piece)]
    assert any(run in ASSERTED for run in runs), f"no test repeats {WORDS} words in a row of {where}: {pieces}"


def _runs(text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1)]


def test_every_message_was_found() -> None:
    """Counted in the text itself, in another way than above."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in LIBRARY)
    assert len(messages()) == sources.count("raise ValueError(") + sources.count(".add_warning_v2(")
    assert len(messages()) > 30
