"""Locals have a value before they are read, on every path: CPython would raise there, and compiled code finds zeros.

mypy does not see all of it: a `for` may run no round, an operand of `and` may not be evaluated, a name bound by
`except` is gone after its handler. The analysis goes through a function once, with the set of names that surely have a
value; a loop's body changes nothing for what follows, since it may not run.
"""

# ruff: noqa: ANN401  (nodes of the tree have no common base)

from __future__ import annotations

from typing import Any

from compiler.front.paths import Paths
from compiler.front.paths import State as Names
from compiler.nodes import children, walk
from compiler.tree import (
    Assert,
    Assign,
    AugAssign,
    BoolLit,
    BoolOp,
    Break,
    CallBuiltin,
    Captured,
    CapturePattern,
    Chain,
    ClassPattern,
    Comprehension,
    Conditional,
    Continue,
    Delete,
    Diagnostic,
    Expr,
    ExprStmt,
    For,
    Function,
    If,
    IndexTarget,
    IntLit,
    Lambda,
    Local,
    LocalTarget,
    Match,
    NestedFunction,
    OrPattern,
    Pattern,
    Raise,
    Return,
    SetItemTarget,
    Stmt,
    Target,
    Try,
    TupleLit,
    TupleTarget,
    Walrus,
    While,
    With,
)
from compiler.types import ArrayType, NeverType, StructType


def check_assigned(function: Function, turns: dict[int, set[str]] | None = None) -> list[Diagnostic]:
    """Reads of locals that may have no value. `turns` are the locals that no turn of a loop may take from the one
    before, by the id of the loop: see views.py.
    """
    analysis = Assignment(function, turns or {})
    analysis.block(function.body, frozenset(p.name for p in function.params))
    return analysis.errors


class Assignment(Paths):
    """The analysis of one function: which names have a value."""

    def __init__(self, function: Function, turns: dict[int, set[str]]) -> None:
        self.function = function
        self.turns = turns
        self.views: set[str] = set().union(*turns.values())
        self.errors: list[Diagnostic] = []
        self.told: set[str] = set()
        self.deletes: bool | None = None  # whether the function has a `del` of a variable: not yet known
        self.nested: dict[str, set[str]] = {}
        self.breaks: list[list[Names | None]] = []
        self.continues: list[list[Names | None]] = []

    # Statements -------------------------------------------------------------------------------------------------------

    def deleted(self, *nodes: Any) -> frozenset[str]:
        """The variables that `del` takes away somewhere in these nodes."""
        if self.deletes is None:
            found = (part for statement in self.function.body for part in walk(statement))
            self.deletes = any(isinstance(part, Delete) and part.value is None for part in found)
        if not self.deletes:
            return frozenset()
        inside = (part for node in nodes for part in walk(node))
        return frozenset(part.name for part in inside if isinstance(part, Delete) and part.value is None)

    def statement(self, node: Stmt, state: Names) -> Names | None:
        match node:
            case ExprStmt(value=value):
                after = self.value(value, state)
                return None if isinstance(value.type, NeverType) else after
            case Assign(targets=targets, value=value):
                state = self.value(value, state)
                for target in targets:
                    state = self.target(target, state)
                return state
            case AugAssign(target=target, value=value):
                if isinstance(target, LocalTarget):
                    self.read(target.name, target, state)
                return self.target(target, self.value(value, state))
            case If():
                when_true, when_false = self.condition(node.test, state)
                return self.join(self.block(node.then, when_true), self.block(node.orelse, when_false))
            case While():
                return self.while_loop(node, state)
            case For():
                return self.for_loop(node, state)
            case Break():
                self.breaks[-1].append(state)
                return None
            case Continue():
                self.continues[-1].append(state)
                return None
            case Return(value=result):
                if result is not None:
                    self.value(result, state)
                return None
            case Raise(exception=exception):
                if exception is not None:
                    self.value(exception, state)
                return None
            case Assert(test=test, message=message):
                when_true, when_false = self.condition(test, state)
                if message is not None and when_false is not None:
                    self.value(message, when_false)
                return when_true
            case Try():
                return self.try_statement(node, state)
            case With(items=items, body=body):
                for item in items:
                    state = self.value(item.context, state)
                    if item.target is not None:
                        state = self.target(item.target, state)
                return self.block(body, state)
            case Match():
                return self.match(node, state)
            case NestedFunction(function=function):
                self.nested[function.name.rpartition(".")[2]] = self.captured(function)
                self.inner(function)
                return state
            case Delete(value=None, name=name):
                self.read(name, node, state)
                return state - {name}
            case Delete(value=Expr() as value):
                return self.value(value, state)
            case _:
                for child in children(node):
                    if isinstance(child, Expr):
                        state = self.value(child, state)
                return state

    def while_loop(self, node: While, state: Names) -> Names | None:
        state -= self.turns.get(id(node), set()) | self.deleted(node)
        when_true, when_false = self.condition(node.test, state)
        breaks = self.loop(node.body, when_true)
        if isinstance(node.test, BoolLit) and node.test.value:
            when_false = None
        return self.without(node, self.join(self.block(node.orelse, when_false), *breaks))

    def without(self, node: For | While, state: Names | None) -> Names | None:
        """After a loop, variables that its turns created are gone."""
        return state - self.turns.get(id(node), set()) if state is not None else None

    def for_loop(self, node: For, state: Names) -> Names | None:
        state = self.value(node.iterable, state) - self.turns.get(id(node), set()) - self.deleted(node)
        self.breaks.append([])
        self.continues.append([])
        end = self.block(node.body, self.target(node.target, state))
        breaks, continues = self.breaks.pop(), self.continues.pop()
        # One round at least is sure where the number of rounds stands there.
        exhausted = self.join(end, *continues) if _runs(node.iterable) else state
        return self.without(node, self.join(self.block(node.orelse, exhausted), *breaks))

    def loop(self, body: list[Stmt], state: Names | None) -> list[Names | None]:
        """A loop's body, once; returns the states of its `break`s."""
        self.breaks.append([])
        self.continues.append([])
        self.block(body, state)
        self.continues.pop()
        return self.breaks.pop()

    def try_statement(self, node: Try, state: Names) -> Names | None:
        after = self.block(node.body, state)
        ends = [self.block(node.orelse, after)]
        state -= self.deleted(*node.body)
        for handler in node.handlers:
            inside = state | {handler.name} if handler.name is not None else state
            end = self.block(handler.body, inside)
            ends.append(end - {handler.name} if end is not None and handler.name is not None else end)
        joined = self.join(*ends)
        if not node.final:
            return joined
        state -= self.deleted(*node.orelse, *node.handlers)
        final = self.block(node.final, state)  # it may follow an exception anywhere
        if joined is None or final is None:
            return None
        return (joined - self.deleted(*node.final)) | (final - state)

    def match(self, node: Match, state: Names) -> Names | None:
        state = self.value(node.subject, state)
        ends: list[Names | None] = []
        complete = False
        for case in node.cases:
            inside: Names | None = self.pattern(case.pattern, state)
            if case.guard is not None and inside is not None:
                inside = self.condition(case.guard, inside)[0]
            elif isinstance(case.pattern, CapturePattern) and case.pattern.pattern is None:
                complete = True
            ends.append(self.block(case.body, inside))
        if not complete:
            ends.append(state)
        return self.join(*ends)

    def pattern(self, node: Pattern, state: Names) -> Names:
        match node:
            case CapturePattern(pattern=inner, name=name):
                if inner is not None:
                    state = self.pattern(inner, state)
                return state | {name} if name is not None else state
            case OrPattern(items=items):
                return frozenset.intersection(*(self.pattern(item, state) for item in items))
            case ClassPattern(fields=fields):
                for part in fields.values():
                    state = self.pattern(part, state)
                return state
            case _:
                return state

    def target(self, node: Target, state: Names) -> Names:
        match node:
            case LocalTarget(name=name):
                return state if name in state else state | {name}
            case TupleTarget(items=items):
                for item in items:
                    state = self.target(item, state)
                return state
            case IndexTarget(container=container, index=index) | SetItemTarget(container=container, index=index):
                return self.value(index, self.value(container, state))
            case _:
                value = getattr(node, "value", None)
                return self.value(value, state) if isinstance(value, Expr) else state

    # Expressions ------------------------------------------------------------------------------------------------------

    def condition(self, node: Expr, state: Names) -> tuple[Names | None, Names | None]:
        """A test: what has a value where it is true, and where it is false."""
        match node:
            case BoolLit(value=value):
                return (state, None) if value else (None, state)
            case BoolOp(op=op, left=left, right=right):
                left_true, left_false = self.condition(left, state)
                goes_on = left_true if op == "and" else left_false
                if goes_on is None:
                    return left_true, left_false
                right_true, right_false = self.condition(right, goes_on)
                if op == "and":
                    return right_true, self.join(left_false, right_false)
                return self.join(left_true, right_true), right_false
            case _ if getattr(node, "op", "") == "not" and hasattr(node, "operand"):
                when_true, when_false = self.condition(node.operand, state)
                return when_false, when_true
            case _:
                after = self.value(node, state)
                return after, after

    def value(self, node: Any, state: Names) -> Names:
        """An expression: its reads are judged; returns what has a value afterwards."""
        match node:
            case Local(name=name):
                for captured in sorted(self.nested.get(name, ())):
                    self.read(captured, node, state)
                if name not in self.nested:
                    self.read(name, node, state)
                return state
            case Walrus(name=name, value=value):
                return self.value(value, state) | {name}
            case BoolOp():
                when_true, when_false = self.condition(node, state)
                return self.join(when_true, when_false) or state
            case Conditional(test=test, then=then, orelse=orelse):
                when_true, when_false = self.condition(test, state)
                ends = [self.value(part, s) for part, s in ((then, when_true), (orelse, when_false)) if s is not None]
                return self.join(*ends) or state
            case Chain(operands=operands):
                after = self.value(operands[1], self.value(operands[0], state))
                inner = after
                for operand in operands[2:]:
                    inner = self.value(operand, inner)
                return after
            case Comprehension():
                inner = state
                for i, clause in enumerate(node.clauses):
                    inner = self.value(clause.iterable, inner)
                    if i == 0:
                        state = inner
                    inner = self.target(clause.target, inner)
                    for test in clause.conditions:
                        inner = self.condition(test, inner)[0] or inner
                self.value(node.element, inner)
                return state
            case Lambda(function=function):
                for captured in sorted(self.captured(function)):
                    self.read(captured, node, state)
                return state
            case _:
                for child in children(node):
                    state = self.value(child, state)
                return state

    def read(self, name: str, node: Any, state: Names) -> None:
        if name in state or name in self.told:
            return
        t = self.function.locals.get(name)
        if t is None:
            return  # a variable of an enclosing function
        self.told.add(name)
        if name in self.views:
            message = f"{name} may show storage of another turn of the loop"
            hint = "make the Array or struct before the loop, or take what is needed of it"
            self.errors.append(Diagnostic("KP271", node.loc, message, hint))
            return
        hint = f"give {name} a value before, on every path"
        if isinstance(t, StructType | ArrayType):
            hint = f"make {name} before, on every path"
        self.errors.append(Diagnostic("KP255", node.loc, f"{name.partition('.')[0]} may have no value here", hint))

    # Nested functions -------------------------------------------------------------------------------------------------

    def captured(self, function: Function) -> set[str]:
        """The variables of this function that a nested one reads."""
        captured = {n.name for s in function.body for n in walk(s) if isinstance(n, Captured)}
        return (captured & self.function.locals.keys()) - self.nested.keys()

    def inner(self, function: Function) -> None:
        """A nested function's own locals."""
        self.errors.extend(check_assigned(function))


def _runs(iterable: Expr) -> bool:
    """Whether a loop surely runs a round."""
    match iterable:
        case CallBuiltin(name="range", args=[IntLit(value=stop)]):
            return stop > 0
        case CallBuiltin(name="range", args=[IntLit(value=start), IntLit(value=stop)]):
            return start < stop
        case CallBuiltin(name="enumerate" | "reversed", args=[inner, *_]):
            return _runs(inner)
        case TupleLit(items=items):
            return bool(items)
        case _:
            return isinstance(iterable.type, ArrayType) and iterable.type.length > 0
