"""Containers and parts of guarded objects are used where they are read.

`queue.items[0]`, `len(queue.items)`, `queue.header.size` are over when the guard is given back. A variable, a field, a
result or an argument could keep `queue.items` itself for longer; so whatever is not known to be over is refused. A view
of a struct or Array in place may be passed to a call that returns a plain value, because views are never kept
(views.py).

The same question decides which containers of globals are tables: they are used nowhere but where they are read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from compiler.lower.guards import Notes, is_holder
from compiler.nodes import children
from compiler.tree import (
    Assert,
    Assign,
    CallBuiltin,
    CallFunction,
    CallMethod,
    Compare,
    DictLit,
    Expr,
    Field,
    FieldTarget,
    For,
    ForClause,
    Function,
    Global,
    If,
    IndexTarget,
    ListLit,
    Loc,
    New,
    SetItemTarget,
    Unary,
    While,
)
from compiler.types import ArrayType, SpanType, StructType, Type

Fault = tuple[Loc, str, str, str]  # place, class, field, what is wrong
# What gives another view of the same storage.
_VIEWS = ("Array.span", "span_of", "bytes_of", "Span.slice", "struct_at", "Array.__getitem__", "Span.__getitem__")


def outliving(function: Function, notes: Notes) -> list[Fault]:
    """The uses of guarded containers and parts that might last longer than the guard."""
    return list(_below(function, notes))


def _below(node: object, notes: Notes) -> Iterator[Fault]:
    for child in children(node):
        if isinstance(child, FieldTarget) and _shares(node, child, notes):
            yield child.loc, child.owner, child.name, "what is stored there may be known elsewhere"
        field = _root(child, notes)
        if field is None or _is_over(node, child):
            yield from _below(child, notes)
        elif _is_view_of(node, child) and isinstance(node, Expr):
            yield from _below(child, notes)  # judged where the view is used: `_root` finds it there
        else:
            yield child.loc, field.owner, field.name, "this may be kept"


# Methods of containers that change nothing.
_READS = ("__getitem__", "__len__", "__contains__", "get", "index", "count", "find", "keys", "values", "items")


def changed_tables(functions: Iterable[Function]) -> set[int]:
    """The identities of the live containers of globals that functions do more with than read."""
    found: set[int] = set()
    pending: list[object] = list(functions)
    while pending:
        node = pending.pop()
        for child in children(node):
            pending.append(child)
            if isinstance(child, Global) and is_holder(child.type) and not _only_reads(node, child):
                live = getattr(sys.modules.get(child.module), child.name, None)
                found.add(id(live))
    return found


def _only_reads(node: object, child: Global) -> bool:
    match node:
        case CallMethod(receiver=receiver, method=method) if receiver is child:
            return method in _READS and (method in ("keys", "values", "items") or not is_holder(node.type))
        case ForClause():
            return node.iterable is child and not is_holder(node.target.type)
        case CallBuiltin() | Compare() | If() | While() | Assert() | Unary() | For():
            return _is_over(node, child)
        case _:
            return False


def _guarded(owner: str, name: str, t: Type, notes: Notes) -> bool:
    return is_holder(t) and notes.guard(owner, name) is not None


def _root(node: object, notes: Notes) -> Field | None:
    """The guarded field that an expression shows, if it does: itself, or a view of it."""
    if isinstance(node, Field):
        if _guarded(node.owner, node.name, node.type, notes):
            return node
        return _root(node.value, notes) if is_holder(node.type) and isinstance(node.value.type, StructType) else None
    if isinstance(node, CallBuiltin) and node.name in _VIEWS and node.args and is_holder(node.type):
        return _root(node.args[0], notes)
    return None


def _is_view_of(node: object, child: object) -> bool:
    if isinstance(node, Field):
        return is_holder(node.type)
    return isinstance(node, CallBuiltin) and node.name in _VIEWS and node.args[0] is child and is_holder(node.type)


def _shares(node: object, target: FieldTarget, notes: Notes) -> bool:
    """Whether a container that is stored in a guarded field may have been known before."""
    if isinstance(target.type, StructType | ArrayType) or not _guarded(target.owner, target.name, target.type, notes):
        return False
    return not isinstance(node, Assign) or len(node.targets) > 1 or not isinstance(node.value, New | ListLit | DictLit)


def _is_over(node: object, child: Any) -> bool:  # noqa: ANN401  (nodes have no common base)
    """Whether what an expression shows is no longer needed when the node around it was evaluated."""
    match node:
        case Field():
            return not is_holder(node.type)
        case FieldTarget():
            return node.value is child
        case IndexTarget() | SetItemTarget():
            return node.container is child
        case If() | While() | Assert():
            return node.test is child
        case Unary() | Compare():
            return True
        case CallBuiltin():
            return not is_holder(node.type) and not node.name.startswith(("weak", "unsafe.", "raw."))
        case CallMethod(receiver=receiver) if receiver is child:
            return not is_holder(node.type) and not any(is_holder(arg.type) for arg in node.args)
        case CallFunction() | CallMethod():
            return not is_holder(node.type) and isinstance(child.type, StructType | ArrayType | SpanType)
        case For():
            return node.iterable is child and not is_holder(node.target.type)
        case _:
            return False
