"""Loops over a range whose places are known to lie inside before the loop begins.

A body that counts a place up by one each turn, or uses the loop's own number, visits places side by side. If the first
of them and the last lie inside, so do all. Such a loop is there twice: without these checks for when that is so, and
with all of them for when it is not; what it does, and where it traps, is the same. LLVM drops the second where the
source has asked before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from compiler.lower.dispatch import lower
from compiler.lower.function import FunctionLowerer
from compiler.lower.values import INT_MAX, INT_MIN, LENGTH_LIMIT, Value, bounds, int_constant
from compiler.nodes import walk
from compiler.tree import (
    Assign,
    AugAssign,
    Binary,
    CallBuiltin,
    CallFunction,
    CallMethod,
    CallValue,
    Comprehension,
    Expr,
    ExprStmt,
    For,
    If,
    IndexTarget,
    IntLit,
    Lambda,
    Local,
    LocalTarget,
    New,
    Stmt,
)
from compiler.types import INT, ArrayType, SpanType

MOST_NODES = 40  # of a body that is there twice
MOST_PLACES = 4
MOST_REPEATED = 24  # nodes of a body of which LLVM may make several
_SIMPLE = (Assign, AugAssign, ExprStmt, If)
_CALLS = (CallFunction, CallMethod, CallValue, Comprehension, Lambda, New)


@dataclass(frozen=True)
class Place:
    """An element that a body uses: `container[counter]`, or with something added or subtracted that stays the same."""

    node: CallBuiltin | IndexTarget
    container: Expr
    counter: str
    op: str = ""
    other: Expr | None = None


def places_of(fn: FunctionLowerer, s: For) -> list[Place]:
    """The elements whose places the turns of a loop count; none if it should not be there twice."""
    if fn.discovering or not fn.world.options.optimise or fn.cold:
        return []
    if not isinstance(s.iterable, CallBuiltin) or s.iterable.name != "range" or len(s.iterable.args) > 2:
        return []
    nodes = [node for part in s.body for node in walk(part)]
    if len(nodes) > MOST_NODES or not _is_simple(s.body) or any(isinstance(n, Comprehension | Lambda) for n in nodes):
        return []
    writes = fn.world.assignments(s)
    counters = {name for name, values in writes.items() if len(values) == 1 and values[0] is not None}
    found: list[Place] = []
    if isinstance(s.target, LocalTarget) and s.target.name in counters and s.target.type == INT:
        found += _elements(fn, s, s.body, s.target.name)
    for number, statement in enumerate(s.body):
        match statement:
            case AugAssign(target=LocalTarget(name=name), op="+", value=IntLit(value=1)) if name in counters:
                slot = fn.frame.slots.get(name)
                if slot is not None and slot.type == INT:
                    found += _elements(fn, s, s.body[:number], name)
    return found if len(found) <= MOST_PLACES else []


def repeatable(fn: FunctionLowerer, s: For) -> int:
    """How many nodes the body of a loop has, if it may be repeated: a few assignments and branches, and no calls of
    functions. Else 0.
    """
    if fn.discovering or not fn.world.options.optimise or fn.cold or not _is_simple(s.body):
        return 0
    nodes = list(islice((node for part in s.body for node in walk(part)), MOST_REPEATED + 1))
    return len(nodes) if len(nodes) <= MOST_REPEATED and not any(isinstance(node, _CALLS) for node in nodes) else 0


def _is_simple(body: list[Stmt]) -> bool:
    """Whether statements are assignments, calls and branches, and nothing else."""
    return all(
        isinstance(statement, _SIMPLE)
        and (not isinstance(statement, If) or (_is_simple(statement.then) and _is_simple(statement.orelse)))
        for statement in body
    )


def _elements(fn: FunctionLowerer, s: For, body: list[Stmt], counter: str) -> Iterator[Place]:
    """The elements of spans and Arrays that statements use at places that are counted."""
    for statement in body:
        for node in walk(statement):
            match node:
                case CallBuiltin(name="Span.__getitem__" | "Array.__getitem__", args=[container, index]):
                    pass
                case IndexTarget(container=container, index=index):
                    pass
                case _:
                    continue
            if _has_fixed_length(fn, s, container) and not _is_its_length(s, container, index):
                match index:
                    case Local(name=name) if name == counter:
                        yield Place(node, container, counter)
                    case Binary(op="+" | "-" as op, left=Local(name=name), right=other) if name == counter:
                        if _stays(fn, s, other):
                            yield Place(node, container, counter, op, other)
                    case Binary(op="+" as op, left=other, right=Local(name=name)) if name == counter:
                        if _stays(fn, s, other):
                            yield Place(node, container, counter, op, other)


def _has_fixed_length(fn: FunctionLowerer, s: For, container: Expr) -> bool:
    """Whether a container has as many elements in all turns: an Array, or a span in a local that stays the same."""
    if isinstance(fn.type(container.type), ArrayType):
        return True
    if not isinstance(container, Local) or container.name in fn.world.assignments(s):
        return False
    slot = fn.frame.slots.get(container.name)
    return slot is not None and isinstance(slot.type, SpanType)


def _is_its_length(s: For, container: Expr, index: Expr) -> bool:
    """Whether the loop counts to a span's own length: LLVM sees that."""
    assert isinstance(s.iterable, CallBuiltin)
    match s.iterable.args[-1]:
        case CallBuiltin(name="len", args=[Local(name=name)]):
            return isinstance(container, Local) and name == container.name and isinstance(index, Local)
    return False


def _stays(fn: FunctionLowerer, s: For, other: Expr) -> bool:
    """Whether something is a number that is the same in all turns."""
    if isinstance(other, Local):
        slot = fn.frame.slots.get(other.name)
        return slot is not None and slot.type == INT and other.name not in fn.world.assignments(s)
    return isinstance(other, IntLit) and 0 <= other.value <= LENGTH_LIMIT


def all_inside(fn: FunctionLowerer, places: list[Place], s: For, start: Value, stop: Value) -> str:
    """An i1: whether all places of all turns from `start` to before `stop` lie inside, if there are any turns. "true"
    where that was known.
    """
    conditions: list[str] = []
    for place in places:
        count = _length(fn, place.container)
        if isinstance(s.target, LocalTarget) and place.counter == s.target.name:
            first, end = start, stop
        else:
            first = fn.read(fn.frame.slots[place.counter])
            end = _sum(fn, "+", first, _sum(fn, "-", stop, start, conditions), conditions)
        if place.other is not None:
            other = lower(fn, place.other)
            first, end = (_sum(fn, place.op, value, other, conditions) for value in (first, end))
        if bounds(first)[0] < 0:
            conditions.append(fn.op(f"icmp sge i64 {first.operand}, 0"))
        if bounds(end)[1] > bounds(count)[0]:
            conditions.append(fn.op(f"icmp sle i64 {end.operand}, {count.operand}"))
    if not conditions:
        return "true"
    both = conditions[0]
    for condition in conditions[1:]:
        both = fn.op(f"and i1 {both}, {condition}")
    return both


def _length(fn: FunctionLowerer, container: Expr) -> Value:
    t = fn.type(container.type)
    if isinstance(t, ArrayType):
        return int_constant(t.length)
    return Value(fn.span_parts(lower(fn, container))[1], INT, 0, LENGTH_LIMIT)


def _sum(fn: FunctionLowerer, op: str, a: Value, b: Value, conditions: list[str]) -> Value:
    """A sum or difference; that it does not overflow becomes a condition, unless it is known."""
    if b.constant == 0:
        return a
    (al, ah), (bl, bh) = bounds(a), bounds(b)
    low, high = (al + bl, ah + bh) if op == "+" else (al - bh, ah - bl)
    name = "add" if op == "+" else "sub"
    if low >= INT_MIN and high <= INT_MAX:
        flags = "nuw nsw" if al >= 0 and bl >= 0 and low >= 0 else "nsw"
        return Value(fn.op(f"{name} {flags} i64 {a.operand}, {b.operand}"), INT, low, high)
    intrinsic = f"llvm.s{name}.with.overflow.i64"
    fn.module.declare(intrinsic, f"declare {{ i64, i1 }} @{intrinsic}(i64, i64)")
    pair = fn.op(f"call {{ i64, i1 }} @{intrinsic}(i64 {a.operand}, i64 {b.operand})")
    overflows = fn.op(f"extractvalue {{ i64, i1 }} {pair}, 1")
    conditions.append(fn.op(f"xor i1 {overflows}, true"))
    return Value(fn.op(f"extractvalue {{ i64, i1 }} {pair}, 0"), INT, max(low, INT_MIN), min(high, INT_MAX))
