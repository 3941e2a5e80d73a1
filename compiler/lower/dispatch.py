"""Which function lowers which kind of node.

Expressions hold calls, calls hold arguments, and arguments are expressions again. So that imports run one way all the
same, a module enters its functions in the tables here, and asks here for the value of whatever it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compiler.lower.convert import check_width, coerce, make_tuple
from compiler.lower.function import FunctionLowerer
from compiler.lower.interfaces import DICT, LIST
from compiler.lower.values import INT_MAX, INT_MIN, Value, int_constant
from compiler.tree import CallBuiltin, DictLit, Expr, IntLit, ListLit, Stmt, Target, TupleLit
from compiler.types import INT, U64, ClassType, OptionalType, TupleType, Type

EXPRESSIONS: dict[type[Expr], Callable[[FunctionLowerer, Any], Value]] = {}
STATEMENTS: dict[type[Stmt], Callable[[FunctionLowerer, Any], None]] = {}
TARGETS: dict[type[Target], Callable[[FunctionLowerer, Any, Value], None]] = {}
ROWS: list[Callable[[FunctionLowerer, list[Stmt], int], int]] = []  # what lowers several statements at once (rows.py)


def lower(fn: FunctionLowerer, e: Expr) -> Value:
    """The value of an expression."""
    handler = EXPRESSIONS.get(type(e))
    if handler is None:
        raise fn.error("KP960", f"{type(e).__name__} cannot be used here", loc=e.loc)
    fn.set_loc(e.loc)
    return handler(fn, e)


def lower_as(fn: FunctionLowerer, e: Expr, t: Type) -> Value:
    """The value of an expression, converted to a type that it is stored or passed as."""
    if isinstance(e, ListLit | DictLit) and isinstance(t, ClassType | OptionalType):
        inner = t.inner if isinstance(t, OptionalType) else t
        if isinstance(inner, ClassType) and inner.name in (LIST, DICT):
            e = type(e)(e.loc, inner, e.items)  # type: ignore[arg-type]  # the place says what the literal holds
    if isinstance(e, TupleLit) and isinstance(t, TupleType) and len(e.items) == len(t.items):
        check_width(fn, t, e.loc)
        return make_tuple(fn, [lower_as(fn, item, kind) for item, kind in zip(e.items, t.items, strict=True)], t)
    if isinstance(e, IntLit) and t == U64:
        return integer_literal(fn, e, U64)
    value = lower(fn, e)
    fn.set_loc(e.loc)
    return coerce(fn, value, t)


def integer_literal(fn: FunctionLowerer, e: IntLit, t: Type = INT) -> Value:
    """A number as an int, or as a u64 where the place holds one."""
    if not INT_MIN <= e.value <= INT_MAX:
        if t == U64 or e.type == U64 or 0 <= e.value < 1 << 64:
            return int_constant(e.value, U64)
        raise fn.error("KP961", f"{e.value} does not fit 64 bits", loc=e.loc)
    return int_constant(e.value, U64 if e.type == U64 and e.value >= 0 else INT)


def values_of(fn: FunctionLowerer, e: CallBuiltin) -> list[Value]:
    """All arguments of a built-in function, evaluated."""
    values = [lower(fn, a) for a in e.args]
    fn.set_loc(e.loc)
    return values


def lower_body(fn: FunctionLowerer, body: list[Stmt]) -> None:
    """Lower statements in order; what cannot be reached is left out."""
    done = 0
    may_have_rows = fn.frame.rows and has_places(fn)
    for number, statement in enumerate(body):
        if not fn.live:
            return
        if may_have_rows and number >= done:
            for lower_rows in ROWS:
                done = number + lower_rows(fn, body, number)
        if number < done:
            continue
        fn.set_loc(statement.loc)
        handler = STATEMENTS.get(type(statement))
        if handler is None:
            raise fn.error("KP970", f"{type(statement).__name__} is not supported", loc=statement.loc)
        handler(fn, statement)


def has_places(fn: FunctionLowerer) -> bool:
    """Whether the function has places of which rows.py may find some in a row."""
    return not fn.discovering and fn.world.places.get(id(fn.frame.function), 0) > 1


def store(fn: FunctionLowerer, target: Target, value: Value) -> None:
    """`target = value`."""
    if not fn.live:
        return
    handler = TARGETS.get(type(target))
    if handler is None:
        raise fn.error("KP972", "this cannot be assigned", loc=target.loc)
    handler(fn, target, value)
