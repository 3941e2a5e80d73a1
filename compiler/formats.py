"""Which formats of f-strings mean the same here and in CPython: `{value!conversion:spec}`, by the type of the value.

Everything else is refused, so that no text silently differs.
"""

from __future__ import annotations

import re

from compiler.types import BoolType, BytesType, EnumType, IntType, StrType, Type

NUMBER = re.compile(r"(?: ?(?P<align>[<>]))?(?P<alternate>#)?(?P<zero>0)?(?P<width>[1-9]\d{0,3})?(?P<kind>[bdoxX])?")
TEXT = re.compile(r"(?: ?(?P<align>[<>]))?(?P<width>[1-9]\d{0,3})?s?")


def format_fault(t: Type, spec: str, conversion: str) -> str:
    """What to write instead of a format that is out; empty for one that is fine."""
    if conversion == "a" or (conversion and spec):
        return "format a text that is made before"
    match t:
        case IntType() if conversion == "r":
            return "leave !r (or =) out: a number that is a member of an IntEnum has another one"
        case IntType() | BoolType():
            parts = NUMBER.fullmatch(spec)
            if parts is None or (parts["align"] and parts["zero"]):
                return "use a width, 0 in front of it, <, >, # and one of d x X b o"
        case EnumType():
            if conversion == "r" or (spec and NUMBER.fullmatch(spec) is None):
                return "format its .name or .value"
        case StrType():
            if TEXT.fullmatch(spec) is None:
                return "use a width, < and >"
        case BytesType():
            if spec:
                return "decode the bytes, or show them whole"
    return ""
