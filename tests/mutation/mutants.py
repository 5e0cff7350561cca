"""Mutants: copies of a module with one small thing changed.

The changes are mutmut's (https://mutmut.readthedocs.io), and three of our own: a statement left out, a condition turned
round, an `or` cut short. mutmut's own runner is not used: it puts every function behind a switch, which named tuples
and properties do not survive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import libcst as cst
from mutmut.mutation.mutators import mutation_operators

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Mutant(NamedTuple):
    """A module with one change; the change is known by its text, which moving lines about does not alter."""

    module: str
    where: str  # the function or class the change is in
    before: str
    after: str
    line: int
    source: str


def mutants_of(path: Path) -> list[Mutant]:
    """Makes all mutants of a module."""
    module = cst.parse_module(path.read_text())
    head = "".join(map(module.code_for_node, module.header))
    parts = list(map(module.code_for_node, module.body))
    mutants = []
    for number, statement in enumerate(module.body):  # one at a time, as replacing a node copies all around it
        finder = _Finder()
        statement.visit(finder)
        for where, node, changed in finder.found:
            part = module.code_for_node(cst.ensure_type(statement.deep_replace(node, changed), cst.CSTNode))
            source = head + "".join([*parts[:number], part, *parts[number + 1 :]])
            if _is_python(source):
                before, after, line = _difference(parts[number].splitlines(), part.splitlines())
                line += (head + "".join(parts[:number])).count("\n") + 1
                mutants.append(Mutant(path.stem, where, before, after, line, source))
    return mutants


class _Finder(cst.CSTVisitor):  # type: ignore[misc]  # it is only installed for `make mutation`
    """Finds what to change, and the function or class it is in."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, cst.CSTNode, cst.CSTNode]] = []
        self._scope: list[str] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Import | cst.ImportFrom | cst.Decorator) or _is_docstring(node):
            return False
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._scope.append(node.name.value)
        where = ".".join(self._scope) or "(module)"
        self.found += [(where, node, changed) for changed in _changes(node)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef):
            self._scope.pop()


def _is_python(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _difference(before: list[str], after: list[str]) -> tuple[str, str, int]:
    """Gives the lines that differ, joined, and where they begin; there is one place where they do."""
    head = _alike(before, after)
    tail = _alike(before[head:][::-1], after[head:][::-1])
    first, second = (" ".join(line.strip() for line in lines[head : len(lines) - tail]) for lines in (before, after))
    return first, second, head


def _alike(one: list[str], other: list[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (left, right) in pairs if left != right), min(len(one), len(other)))


def _is_docstring(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Expr) and isinstance(node.value, cst.SimpleString | cst.ConcatenatedString)


def _changes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            for changed in operator(node):
                if not _says_as_much(node, changed):
                    yield changed
    if isinstance(node, cst.Expr | cst.AugAssign | cst.Raise | cst.Return | cst.Break):
        yield cst.Pass()
    if isinstance(node, cst.If | cst.While):
        negated = cst.UnaryOperation(cst.Not(), node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()]))
        yield node.with_changes(test=negated)


def _says_as_much(node: cst.CSTNode, changed: cst.CSTNode) -> bool:
    """Whether another mutant is as good: text in other letters is changed text, a missing argument one that is None."""
    if isinstance(node, cst.Call) and isinstance(changed, cst.Call):
        return len(changed.args) < len(node.args)
    pair = (node, changed)
    return all(isinstance(one, cst.SimpleString) for one in pair) and node.value.lower() == changed.value.lower()
