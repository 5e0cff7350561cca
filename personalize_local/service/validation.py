"""Is a request well formed? Types, required members, lengths, patterns and enumerations of the service model.

botocore checks required members, minimum lengths and types before it sends anything, so the rest is the service's to
refuse. Its validator (`botocore.validate.ParamValidator`, tried with 1.43.106) can not do the service's part: its
report is worded for the caller of an SDK, a member the model does not know is an error to it where AWS ignores it, and
maximum lengths, patterns and enumerations are none of its business. The texts follow the form AWS services of this
protocol use for constraint violations; which of them Personalize uses word for word is (unknown).
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from personalize_local.service.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Java's character classes, which the models use and Python's `re` lacks.
_JAVA_CLASSES = {
    r"\p{ASCII}": r"[\x00-\x7F]",
    r"\p{L}": r"\w",
    r"\p{N}": r"\w",
    r"\p{Z}": "\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}


def validate(shape: Any, value: Any) -> dict[str, Any]:
    """Return the request without unknown and null members.

    Raises:
        ApiError: ``SerializationException`` for a wrong type, ``InvalidInputException`` for violated constraints.
    """
    clean = typed(shape, {} if value is None else value)
    problems = list(_problems(shape, clean, ""))
    if problems:
        raise ApiError("InvalidInputException", violation(problems))
    return dict(clean)


def violation(problems: list[str]) -> str:
    """Return the text for a list of violated constraints."""
    noun = "error" if len(problems) == 1 else "errors"
    return f"{len(problems)} validation {noun} detected: {'; '.join(problems)}"


def missing(path: str) -> str:
    """Return the problem of a required member that is not there."""
    return f"Value null at '{path}' failed to satisfy constraint: Member must not be null"


def typed(shape: Any, value: Any, path: str = "") -> Any:
    """Return the value without what the model does not know, as AWS does.

    Raises:
        ApiError: ``SerializationException`` for a wrong type.
    """
    kind = shape.type_name
    if kind == "structure":
        _expect(isinstance(value, dict), kind, path)
        return {
            name: typed(member, value[name], _join(path, name))
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if kind == "list":
        _expect(isinstance(value, list), kind, path)
        return [typed(shape.member, item, f"{path}.{number}.member") for number, item in enumerate(value, 1)]
    if kind == "timestamp" and isinstance(value, datetime):
        return value.timestamp()
    _expect(_SCALARS[kind](value), kind, path)
    if kind == "string":
        _expect(_is_text(value), "string of Unicode characters", path)
    return value


_SCALARS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "timestamp": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}


def _is_text(value: str) -> bool:
    """Tell whether it can be written; half of a surrogate pair, which JSON allows, can not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _expect(ok: bool, kind: str, path: str) -> None:  # noqa: FBT001 - the outcome of a check
    if not ok:
        raise ApiError("SerializationException", f"The value at '{path or 'the request'}' is not a {kind}.")


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Yield every violated constraint, in the order of the members."""
    kind = shape.type_name
    if kind == "structure":
        for name, member in shape.members.items():
            if name in value:
                yield from _problems(member, value[name], _join(path, name))
            elif name in shape.required_members:
                yield missing(_join(path, name))
        return
    subject = f"Value at '{path}'" if shape.metadata.get("sensitive") else f"Value '{value}' at '{path}'"
    for rule in _violated(shape, value):
        yield f"{subject} failed to satisfy constraint: Member must {rule}"
    if kind == "list":
        for number, item in enumerate(value, 1):
            yield from _problems(shape.member, item, f"{path}.{number}.member")


def _violated(shape: Any, value: Any) -> Iterator[str]:
    """Yield the rules that the value itself violates."""
    rules = shape.metadata
    if isinstance(value, (str, list)):
        if len(value) < rules.get("min", 0):
            yield f"have length greater than or equal to {rules['min']}"
        if "max" in rules and len(value) > rules["max"]:
            yield f"have length less than or equal to {rules['max']}"
    elif "min" in rules and value < rules["min"]:
        yield f"have value greater than or equal to {rules['min']}"
    elif "max" in rules and value > rules["max"]:
        yield f"have value less than or equal to {rules['max']}"
    if "enum" in rules and value not in rules["enum"]:
        yield f"satisfy enum value set: [{', '.join(rules['enum'])}]"
    if "pattern" in rules and not _compiled(rules["pattern"]).fullmatch(value):
        yield f"satisfy regular expression pattern: {rules['pattern']}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
