"""Statements that use places of a span or Array in a row, `data[i]`, `data[i + 1]`, `data[i + 2]`.

If the last of them lies inside, so do all, as `i` is not negative. Such statements are there twice: without these
checks for when that is so, and with all of them for when it is not. Then one of the checks stops the program, after
all that comes before it, and nothing comes after. LLVM drops the second where the source has asked before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from compiler.lower.dispatch import ROWS, lower, lower_body
from compiler.lower.function import TRAP_INDEX, FunctionLowerer
from compiler.lower.values import INT_MAX, LENGTH_LIMIT, Value, bounds, int_constant
from compiler.nodes import children, walk
from compiler.tree import (
    Assign,
    AugAssign,
    Binary,
    BoolOp,
    CallBuiltin,
    CallFunction,
    CallMethod,
    CallValue,
    Chain,
    Comprehension,
    Conditional,
    Expr,
    ExprStmt,
    FieldTarget,
    IndexTarget,
    IntLit,
    Lambda,
    Local,
    LocalTarget,
    New,
    Stmt,
    Walrus,
)
from compiler.types import INT, ArrayType, SpanType

LEAST_PLACES = 3  # of a row
MOST_NODES = 100  # of statements that are there twice
MOST_ADDED = 1 << 16
_REFUSED = (CallFunction, CallMethod, CallValue, Comprehension, Lambda, New, Walrus)
_CONDITIONAL = (BoolOp, Chain, Conditional)  # what lies below may not be reached


@dataclass
class Row:
    """Places of one container that lie at one counter's number and what is added to it."""

    container: Expr
    counter: str
    nodes: dict[int, int] = field(default_factory=dict)  # by the node's identity: what is added


def lower_rows(fn: FunctionLowerer, body: list[Stmt], start: int) -> int:
    """Lower the statements from `start` on that have rows; how many there were."""
    if not fn.world.options.optimise or fn.cold:
        return 0
    rows: dict[tuple[object, str], Row] = {}
    assigned: set[str] = set()
    end, size = start, 0
    for statement in body[start:]:
        if not _is_plain(statement):
            break
        found = list(_places(fn, statement))
        if end == start and not found:
            break
        nodes = list(walk(statement))
        size += len(nodes)
        if size > MOST_NODES or any(isinstance(node, _REFUSED) for node in nodes):
            break
        if any(place.counter in assigned or _name(place.container) in assigned for place in found):
            break
        for place in found:
            key = _name(place.container) or fn.type(place.container.type), place.counter
            rows.setdefault(key, place).nodes.update(place.nodes)
        assigned |= {node.name for node in nodes if isinstance(node, LocalTarget)}
        end += 1
    known: set[int] = set()
    conditions: list[str] = []
    for row in rows.values():
        if len(set(row.nodes.values())) >= LEAST_PLACES and (condition := _condition(fn, row)):
            conditions.append(condition)
            known |= row.nodes.keys()
    if not conditions:
        return 0
    both = conditions[0]
    for condition in conditions[1:]:
        both = fn.op(f"and i1 {both}, {condition}")
    _lower_twice(fn, body[start:end], both, frozenset(known))
    return end - start


def _lower_twice(fn: FunctionLowerer, part: list[Stmt], condition: str, nodes: frozenset[int]) -> None:
    """Lower statements without the checks of some places, for when a condition holds, and with them for when not."""
    frame = fn.frame
    before = frame.inside
    inside, checked, end = fn.join("inside"), fn.join("checked"), fn.join("end")
    fn.branch_if(condition, inside, checked)
    frame.rows = False
    fn.start(inside)
    frame.inside = before | nodes
    lower_body(fn, part)
    fn.branch(end)
    frame.inside = before
    fn.start(checked)
    lower_body(fn, part)
    fn.trap(TRAP_INDEX)  # one of them has done so
    frame.rows = True
    fn.start(end)


def _is_plain(statement: Stmt) -> bool:
    """Whether a statement assigns one local, field or element, or just computes."""
    match statement:
        case Assign(targets=[target]) | AugAssign(target=target):
            return isinstance(target, LocalTarget | FieldTarget | IndexTarget)
    return isinstance(statement, ExprStmt)


def _places(fn: FunctionLowerer, node: object) -> Iterator[Row]:
    """The places below a node that are surely used, each as a row of its own."""
    if isinstance(node, _CONDITIONAL):
        return
    match node:
        case (
            CallBuiltin(name="Span.__getitem__" | "Array.__getitem__", args=[container, index])
            | IndexTarget(container=container, index=index)
        ):
            yield from _place(fn, node, container, index)
    for child in children(node):
        yield from _places(fn, child)


def _place(fn: FunctionLowerer, node: object, container: Expr, index: Expr) -> Iterator[Row]:
    """The place of an element whose index is a local, perhaps with a number added, if the container's length stays."""
    counter, added = index, 0
    if isinstance(index, Binary) and index.op == "+" and isinstance(index.right, IntLit):
        counter, added = index.left, index.right.value
    if not isinstance(counter, Local) or not 0 <= added <= MOST_ADDED:
        return
    slot = fn.frame.slots.get(counter.name)
    if slot is None or slot.type != INT:
        return
    if not isinstance(fn.type(container.type), ArrayType):
        span = fn.frame.slots.get(_name(container))
        if span is None or not isinstance(span.type, SpanType):
            return
    yield Row(container, counter.name, {id(node): added})


def _name(container: Expr) -> str:
    """The local that a container is; "" if it is none."""
    return container.name if isinstance(container, Local) else ""


def _condition(fn: FunctionLowerer, row: Row) -> str:
    """An i1: whether the last place of a row lies inside. "" if that is known, or if the counter may be negative."""
    counter = fn.read(fn.frame.slots[row.counter])
    low, high = bounds(counter)
    if low < 0:
        return ""
    t = fn.type(row.container.type)
    if isinstance(t, ArrayType):
        count = int_constant(t.length)
    else:
        count = Value(fn.span_parts(lower(fn, row.container))[1], INT, 0, LENGTH_LIMIT)
    most = max(row.nodes.values())
    if high + most < bounds(count)[0]:
        return ""
    if high + most <= INT_MAX:
        last = fn.op(f"add nuw nsw i64 {counter.operand}, {most}")
        return fn.op(f"icmp slt i64 {last}, {count.operand}")
    behind = fn.op(f"sub nsw i64 {count.operand}, {most}")
    return fn.op(f"icmp slt i64 {counter.operand}, {behind}")


ROWS.append(lower_rows)
