"""Structs and Arrays as fields of ordinary classes, under CPython.

A field that a class body only declares, `table: Array[u8, Literal[64]]`, is in place and starts as zeros. Under CPython
it must be created: `install` wraps the building of classes, so that such a declaration becomes an `InPlaceField`, which
creates the value when it is first read. It affects only classes of modules that import a struct or Array.
"""

# ruff: noqa: ANN401  (this is a simulation of memory: its values have any type)

from __future__ import annotations

import builtins
import re
from typing import Any

from kernel.lang.spans import Array
from kernel.lang.structs import Struct

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class InPlaceField:
    """A field that is in place: created at its first use; assigning to it copies."""

    def __init__(self, name: str, kind: Any) -> None:
        self.name = name
        self.in_place_kind = kind

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        members = instance.__dict__
        if self.name not in members:
            members[self.name] = self.in_place_kind()
        return members[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        if not isinstance(value, self.in_place_kind):
            raise TypeError(f"{self.name}: a {self.in_place_kind.__name__} is wanted, not a {type(value).__name__}")
        instance.__dict__[self.name] = value.copy()


def in_place_type(annotation: Any, namespace: dict[str, Any]) -> Any:
    """The struct or Array type that an annotation of a class body names, or None."""
    if isinstance(annotation, str):
        first = _NAME.match(annotation)
        if first is None or "|" in annotation:
            return None
        root: Any = namespace.get(first.group().split(".")[0])
        if root is None or not (isinstance(root, type) or hasattr(root, "__dict__")):
            return None
        if not (isinstance(root, type) and issubclass(root, (Array, Struct))) and "." not in first.group():
            return None
        try:
            annotation = eval(annotation, namespace)
        except Exception:
            return None
    if (
        isinstance(annotation, type)
        and issubclass(annotation, (Array, Struct))
        and getattr(annotation, "__size__", None)
    ):
        return annotation
    return None


def install() -> None:
    """Wrap `__build_class__`, once."""
    original: Any = builtins.__build_class__
    if getattr(original, "krait_fields", False):
        return

    def build_class(function: Any, name: str, /, *bases: Any, **keywords: Any) -> Any:
        cls = original(function, name, *bases, **keywords)
        members = getattr(cls, "__dict__", {})
        for field, annotation in members.get("__annotations__", {}).items():
            if field not in members:
                kind = in_place_type(annotation, function.__globals__)
                if kind is not None:
                    setattr(cls, field, InPlaceField(field, kind))
        return cls

    build_class.krait_fields = True  # type: ignore[attr-defined]  # a mark that the check above finds
    builtins.__build_class__ = build_class
