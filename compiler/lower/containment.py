"""Comparisons, `in` and `not in` among them."""

from __future__ import annotations

from compiler.lower import integers
from compiler.lower.comparison import equal, equal_to_any, truth
from compiler.lower.convert import as_int, call_runtime, invert, tuple_item, unwrap
from compiler.lower.dispatch import EXPRESSIONS, lower
from compiler.lower.expressions import compare_values
from compiler.lower.function import FunctionLowerer
from compiler.lower.loops import over_value
from compiler.lower.objects import call_method
from compiler.lower.values import Value, int_constant
from compiler.tree import CallBuiltin, Compare, TupleLit
from compiler.types import (
    BOOL,
    BYTES,
    ArrayType,
    BytesType,
    ClassType,
    EnumType,
    OptionalType,
    SpanType,
    StrType,
    TupleType,
    show,
)


def compare(fn: FunctionLowerer, e: Compare) -> Value:
    if e.op in ("in", "not in"):
        found = contains(fn, e)
        return Value(invert(fn, found) if e.op == "not in" else found, BOOL)
    left = lower(fn, e.left)
    right = lower(fn, e.right)
    fn.set_loc(e.loc)
    return Value(compare_values(fn, e.op, left, right), BOOL)


def contains(fn: FunctionLowerer, e: Compare) -> str:
    """`x in y`, where y is not a container with a method of its own, as an i1."""
    if isinstance(e.right, CallBuiltin) and e.right.name == "range":
        return in_range(fn, e, e.right)
    left = lower(fn, e.left)
    if isinstance(e.right, TupleLit):
        items = [lower(fn, part) for part in e.right.items]
        fn.set_loc(e.loc)
        return equal_to_any(fn, left, items)
    right = lower(fn, e.right)
    fn.set_loc(e.loc)
    return value_contains(fn, left, right)


def value_contains(fn: FunctionLowerer, left: Value, right: Value) -> str:
    """`left in right` of values."""
    t = right.type
    match t:
        case OptionalType():
            return value_contains(fn, left, unwrap(fn, right))
        case EnumType():
            both = fn.op(f"and i64 {left.operand}, {right.operand}")
            return fn.op(f"icmp eq i64 {both}, {left.operand}")
        case BytesType():
            name = "bytes.contains" if isinstance(left.type, BytesType) else "bytes.contains_byte"
            return call_runtime(fn, name, [right, left]).operand
        case StrType():
            return call_runtime(fn, "bytes.contains", [right.of_type(BYTES), left.of_type(BYTES)]).operand
        case TupleType(items):
            return equal_to_any(fn, left, [tuple_item(fn, right, number) for number in range(len(items))])
        case SpanType() | ArrayType():
            return sequence_contains(fn, left, right)
        case ClassType():
            return truth(fn, call_method(fn, right, "__contains__", [left]))
    raise fn.error("KP998", f"nothing is in {show(t)}")


def sequence_contains(fn: FunctionLowerer, left: Value, right: Value) -> str:
    """`left in span`."""

    found, end = fn.alloca("i1", zero=False), fn.label("searched")
    fn.emit(f"store i1 false, ptr {found}")

    def body(value: Value) -> None:
        hit, go = fn.label("hit"), fn.label("go")
        fn.branch_if(equal(fn, left, value), hit, go)
        fn.start(hit)
        fn.emit(f"store i1 true, ptr {found}")
        fn.branch(end)
        fn.start(go)

    over_value(fn, right, body, fn.frame, end, end)
    fn.start(end)
    return fn.op(f"load i1, ptr {found}")


def in_range(fn: FunctionLowerer, e: Compare, r: CallBuiltin) -> str:
    """`x in range(a, b)`."""
    value = as_int(fn, lower(fn, e.left))
    args = [as_int(fn, lower(fn, a)) for a in r.args]
    fn.set_loc(e.loc)
    if len(args) > 2:
        raise fn.error("KP998", "in a range with a step", "compare, and test the remainder")
    low = args[0] if len(args) > 1 else int_constant(0)
    above = integers.compare(fn, ">=", value, low)
    below = integers.compare(fn, "<", value, args[-1])
    return fn.op(f"and i1 {above}, {below}")


EXPRESSIONS[Compare] = compare
