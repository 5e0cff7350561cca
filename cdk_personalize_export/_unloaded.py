"""Objects of AWS modules whose Python side stays unloaded.

The constructs live in Node, which loads what it needs; the Python module is only their face. `aws_cdk.aws_lambda` has a
large one: with `aws_ec2`, which it imports, it is a fifth of a whole synthesis (0.24 of 1.09 s). So what nobody looks
at is made through jsii without it. Whoever meets such an object later, in an aspect or as a child of a construct, gets
an object of the real class: jsii then imports its module.
"""

from __future__ import annotations

from enum import Enum, EnumMeta
from importlib import import_module
from typing import Any, cast

import jsii
from jsii import _reference_map

_LIBRARY = "aws-cdk-lib"


class Unloaded:
    """A reference to an object in Node, as an argument for another one; `name` is such as `aws_lambda.Function`."""

    def __init__(self, name: str) -> None:
        self.__jsii_type__ = f"{_LIBRARY}.{name}"
        self.__jsii_ref__: Any = None


def make(name: str, *arguments: object) -> Unloaded:
    """Call the constructor of the class; structs are given as dicts, their keys in camelCase."""
    made = Unloaded(name)
    jsii.create(made, made, list(arguments))  # type: ignore[arg-type] # of the class, only its type is asked for
    known = getattr(getattr(_reference_map, "_refs", None), "_refs", None)
    if isinstance(known, dict):
        # jsii forgets the reference, and makes an object of the real class when Node names it again.
        known.pop(made.__jsii_ref__.ref, None)
    else:  # a jsii that keeps its references elsewhere: slower, but right
        made.__class__ = _loaded(name)
    return made


def part(of: object, name: str) -> Unloaded:
    """Return a property that is an object."""
    return _unresolved(jsii.get, of, name)


def call(of: object, method: str, *arguments: object) -> Unloaded:
    """Call a method; return the object it returns."""
    return _unresolved(jsii.invoke, of, method, list(arguments))


def _unresolved(ask: Any, *arguments: object) -> Unloaded:  # noqa: ANN401 - a function of jsii
    raw = getattr(ask, "__wrapped__", None)  # does not make an object of the real class of what it gets
    if raw is None:  # a jsii that is made otherwise: slower, but right
        return cast("Unloaded", ask(*arguments))
    found = Unloaded("")
    found.__jsii_ref__ = raw(jsii.kernel, *arguments)
    return found


def member(name: str, value: str) -> Enum:
    """Return a member of the enum."""
    kind: Any = EnumMeta.__call__(Enum, "Unloaded", [(value, value)])
    kind.__jsii_type__ = f"{_LIBRARY}.{name}"
    return cast("Enum", kind[value])


def get(of: object, name: str) -> str:
    """Return a property that is text, of an object that may be unloaded or not."""
    return str(jsii.get(of, name))


def _loaded(name: str) -> type:
    module, _, class_name = f"aws_cdk.{name}".rpartition(".")
    found: type = getattr(import_module(module), class_name)
    return found
