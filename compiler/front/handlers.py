"""Rules that keep exceptions from getting lost: what `finally` and `except` clauses may not do.

That clean-up code names everything that its body can raise is judged in lower/effects.py, where that is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compiler.nodes import children
from compiler.tree import (
    Break,
    Continue,
    Diagnostic,
    For,
    Function,
    Handler,
    Lambda,
    NestedFunction,
    Pass,
    Program,
    Return,
    Try,
    While,
)


def check_handlers(program: Program, node: Try, function: Function) -> Iterator[Diagnostic]:
    """What is wrong with a `try` statement."""
    for leaving in _leaving(node.final, in_loop=False):
        word = type(leaving).__name__.lower()
        hint = f"put the {word} after the try statement"
        yield Diagnostic("KP267", leaving.loc, f"{word} in finally would drop an exception without a word", hint)
    for handler in node.handlers:
        if all(isinstance(s, Pass) for s in handler.body) and not _has_reason(program, handler, function):
            hint = "say in a comment at the pass why nothing is to be done"
            yield Diagnostic("KP268", handler.loc, "an exception is dropped without a reason", hint)


def _leaving(body: list[Any], in_loop: bool) -> Iterator[Any]:
    """Statements that leave a block other than by its end."""
    for node in body:
        if isinstance(node, Return) or (isinstance(node, Break | Continue) and not in_loop):
            yield node
        if not isinstance(node, NestedFunction | Lambda):
            inside = in_loop or isinstance(node, For | While)
            yield from _leaving(children(node), inside)


def _has_reason(program: Program, handler: Handler, function: Function) -> bool:
    """Whether a comment stands between the `except` and the end of its body."""
    lines = program.sources.get(function.loc.path, [])
    last = max((s.loc.line for s in handler.body), default=handler.loc.line)
    return any("#" in line for line in lines[handler.loc.line - 1 : last])
