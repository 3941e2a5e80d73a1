"""Whether it matters which of two expressions is computed first."""

from __future__ import annotations

from compiler.nodes import walk
from compiler.tree import (
    BoolLit,
    BytesLit,
    CallBuiltin,
    CallFunction,
    CallMethod,
    CallValue,
    ClassConstant,
    DictLit,
    EnumMember,
    Expr,
    Global,
    IntLit,
    ListLit,
    Local,
    New,
    NoneLit,
    StrLit,
    TupleLit,
    Walrus,
)
from compiler.types import CONTAINERS

_CONSTANT = (IntLit, BoolLit, StrLit, BytesLit, NoneLit, EnumMember, ClassConstant, ListLit, DictLit, TupleLit)
_CHANGES = ("append", "add", "pop", "remove", "insert", "extend", "clear", "sort", "reverse", "set", "update", "delete")


def matters(left: Expr, right: Expr) -> bool:
    """Whether one of them does something that the other one's value could show, or both do something."""
    left_acts, right_acts = acts(left), acts(right)
    return (left_acts and not _stays(right, left)) or (right_acts and not _stays(left, right))


def acts(e: Expr) -> bool:
    """Whether an expression may do something: call a function of the program, or change what others see."""
    for node in walk(e):
        match node:
            case CallFunction() | CallValue() | New() | Walrus():
                return True
            case CallMethod(owner=owner, method=method):
                if not owner.startswith(CONTAINERS) or method.lstrip("_").startswith(_CHANGES):
                    return True
            case CallBuiltin(name=name):
                if name.startswith(("unsafe.", "raw.", "print")):
                    return True
    return False


def _stays(e: Expr, other: Expr) -> bool:
    """Whether an expression has the same value before and after the other one is computed."""
    for node in walk(e):
        match node:
            case Global(final=False):
                return False
            case Local(name=name):
                if any(isinstance(part, Walrus) and part.name == name for part in walk(other)):
                    return False
            case Expr() if not isinstance(node, (*_CONSTANT, Global)):
                return False
    return True
