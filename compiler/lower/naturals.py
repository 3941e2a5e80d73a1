"""Int locals that are never negative, as the assignments of a function or a loop show.

Sums and products trap when they are too large, so those of numbers that are not negative are not negative.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from compiler.nodes import walk
from compiler.tree import (
    Assign,
    AugAssign,
    Binary,
    CallBuiltin,
    CapturePattern,
    Conditional,
    Expr,
    For,
    Function,
    Handler,
    IntLit,
    Local,
    LocalTarget,
    Walrus,
    While,
)
from compiler.types import INT, ArrayType, BytesType, IntType, SpanType, StrType, TupleType

_NATURAL_CALLS = frozenset(f"Span.load_{kind}" for kind in ("u8", "u16", "u32", "be16", "be32"))
_GROWING = frozenset(["+", "*", "//", ">>", "<<", "|", "^"])  # of two numbers that are not negative: not negative

# What each local may become: the values assigned to it, None for what is not followed.
Assignments = dict[str, list[Expr | None]]


def natural_locals(function: Function) -> set[str]:
    """The locals of a function that are never negative, whatever happens: each of its assignments sees to that. (None
    is read before it is written.)
    """
    writes = assignments(function)
    for param in function.params:
        writes.pop(param.name, None)
    return naturals(writes, writes.keys(), set())


def naturals(writes: Assignments, hoped: Iterable[str], fine: set[str]) -> set[str]:
    """Those of the hoped that are never negative if they are not at first, and `fine` are not. A value is asked again
    only when a local in it turns out to be none of them.
    """
    left = {name for name in hoped if None not in writes[name]}
    known = fine | left
    used: dict[str, list[tuple[str, Expr]]] = {}
    asked: deque[tuple[str, Expr]] = deque()
    for name in left:
        for value in writes[name]:
            if value is not None:
                asked.append((name, value))
                for inner in {node.name for node in walk(value) if isinstance(node, Local)} & left:
                    used.setdefault(inner, []).append((name, value))
    while asked:
        name, value = asked.popleft()
        if name in left and not is_natural(value, known):
            left.remove(name)
            if name not in fine:
                known.remove(name)
                asked += used.get(name, [])
    return left


def assignments(part: For | While | Function) -> Assignments:
    """What the statements of a loop or function assign to each local."""
    found: Assignments = {}
    understood: set[int] = set()

    def note(name: str, value: Expr | None) -> None:
        found.setdefault(name, []).append(value)

    for node in walk(part):
        match node:
            case Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, LocalTarget):
                        understood.add(id(target))
                        note(target.name, value)
            case AugAssign(target=LocalTarget() as target, op=op, value=value):
                understood.add(id(target))
                note(target.name, Binary(node.loc, INT, op, Local(node.loc, target.type, target.name), value))
            case For(target=LocalTarget() as target, iterable=CallBuiltin(name="range", args=args)):
                if len(args) < 3 or (isinstance(args[2], IntLit) and args[2].value > 0):
                    understood.add(id(target))
                    note(target.name, IntLit(node.loc, INT, 0) if len(args) == 1 else args[0])
            case Walrus(name=name) | Handler(name=str() as name) | CapturePattern(name=str() as name):
                note(name, None)
            case LocalTarget(name=name) if id(node) not in understood:
                note(name, None)
    return found


def is_natural(e: Expr, fine: set[str]) -> bool:
    """Whether a number is not negative, if these locals are not."""
    if isinstance(e.type, IntType) and e.type != INT and not e.type.signed:
        return True
    match e:
        case IntLit(value=value):
            return value >= 0
        case Local(name=name):
            return name in fine
        case CallBuiltin(name="len", args=[counted]):  # a method that counts may say what it likes
            return isinstance(counted.type, ArrayType | BytesType | SpanType | StrType | TupleType)
        case CallBuiltin(name=name):
            return name in _NATURAL_CALLS
        case Binary(op="&", left=left, right=right):
            return is_natural(left, fine) or is_natural(right, fine)
        case Binary(op="%", right=right):
            return is_natural(right, fine)
        case Binary(op=op, left=left, right=right):
            return op in _GROWING and is_natural(left, fine) and is_natural(right, fine)
        case Conditional(then=then, orelse=orelse):
            return is_natural(then, fine) and is_natural(orelse, fine)
    return False
