"""Views don't outlive what they view, and don't write what can't be written.

A Span, or a struct or Array that lies elsewhere, is followed back to what it shows: a parameter, storage of a local,
the constant bytes of a `bytes` object. What is in the heap stays as long as a view of it is on a stack. For each
function it is found out which parameters its result may show, and through which it writes; so the rules hold over
calls.
"""

# ruff: noqa: ANN401  (nodes of the tree have no common base)

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from compiler.front.construction import Calls
from compiler.nodes import children
from compiler.tree import (
    Assign,
    AugAssign,
    BoolOp,
    CallBuiltin,
    CallFunction,
    CallMethod,
    CallValue,
    Captured,
    Conditional,
    Diagnostic,
    Expr,
    Field,
    FieldTarget,
    For,
    Function,
    Global,
    IndexTarget,
    Lambda,
    Local,
    LocalTarget,
    NestedFunction,
    New,
    Program,
    Return,
    TupleIndex,
    TupleLit,
    TupleTarget,
    Walrus,
    While,
)
from compiler.types import ArrayType, BytesType, FunctionType, OptionalType, SpanType, StructType, TupleType, Type

# What a view shows: ("param", number), ("storage", id of the expression that creates it), ("bytes",).
Source = tuple[Any, ...]
Sources = frozenset[Source]
NOTHING: Sources = frozenset()
BYTES: Source = ("bytes",)

_PARTS = ("Array.span", "Array.__getitem__", "Span.__getitem__", "Span.slice", "bytes_of", "struct_at")
_WRITES = ("Span.copy_from", "Span.fill", "Span.store_", "Array.fill")


def shows(t: Type) -> bool:
    """Whether values of a type may be views."""
    if isinstance(t, OptionalType):
        return shows(t.inner)
    if isinstance(t, TupleType):
        return any(shows(item) for item in t.items)
    return isinstance(t, SpanType | StructType | ArrayType)


Loop = tuple[For | While, set[int]]  # with the ids of the expressions that create storage inside


@dataclass
class Facts:
    """What one function does with views, gathered in one walk."""

    function: Function
    assigned: dict[str, list[Expr]] = field(default_factory=dict)
    returned: list[Expr] = field(default_factory=list)
    written: list[Expr] = field(default_factory=list)
    calls: list[CallFunction | CallMethod | CallValue | New] = field(default_factory=list)
    nested: list[Function] = field(default_factory=list)
    values: list[str] = field(default_factory=list)  # functions that are mentioned as values
    loops: list[Loop] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    locals: dict[str, Sources] = field(default_factory=dict)


def check_views(program: Program) -> dict[str, dict[int, set[str]]]:
    """Judge all functions (`Function.errors`). Returns, by function, what no turn of a loop may take from the one
    before: the names of views, by the id of the loop.
    """
    return Views(program).judge()


class Views:
    """The whole program's views."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.calls = Calls(program)
        self.results: dict[str, Sources] = {}
        self.writes: dict[int, set[int]] = {}  # by the id of the function
        self.facts = [gather(f) for f in program.functions.values() if not f.errors]
        self.inner = [gather(f) for facts in self.facts for f in facts.nested]
        self.values: dict[int, list[Function]] = {}  # what calls of values may reach, by the number of parameters
        named = {n: None for facts in self.facts for n in facts.values if n in program.functions}
        for function in [*(program.functions[name] for name in named), *(facts.function for facts in self.inner)]:
            self.values.setdefault(len(function.params), []).append(function)
        changed = True
        while changed:
            changed = False
            for facts in (*self.facts, *self.inner):
                changed |= self._update(facts)

    # Summaries --------------------------------------------------------------------------------------------------------

    def _update(self, facts: Facts) -> bool:
        """Follow the views of one function with what is known of others; whether that was news."""
        name, key, news = facts.function.name, id(facts.function), False
        again = True
        while again:
            again = False
            for local, values in facts.assigned.items():
                found = facts.locals.get(local, NOTHING).union(*(self.sources(facts, v) for v in values))
                if found != facts.locals.get(local, NOTHING):
                    facts.locals[local] = found
                    again = news = True
        if shows(facts.function.result) and not facts.function.is_generator and name in self.program.functions:
            found = self.results.get(name, NOTHING).union(*(self.sources(facts, v) for v in facts.returned))
            if found != self.results.get(name, NOTHING):
                self.results[name] = found
                news = True
        for value, _ in self._written(facts):
            for source in self.sources(facts, value):
                if source[0] == "param" and source[1] not in self.writes.setdefault(key, set()):
                    self.writes[key].add(source[1])
                    news = True
        return news

    def _written(self, facts: Facts) -> Iterator[tuple[Expr, str]]:
        """The views that a function writes through, itself or by a call."""
        for value in facts.written:
            yield value, ""
        for call in facts.calls:
            for target, args in self._targets(call):
                for place in self.writes.get(id(target), ()):
                    if place < len(args):
                        yield args[place], target.name

    def _targets(self, call: Any) -> Iterator[tuple[Function, list[Expr]]]:
        """The functions that a call may reach, each with its arguments, the receiver among them."""
        functions = self.program.functions
        if isinstance(call, CallFunction):
            if call.function in functions:
                yield functions[call.function], call.args
        elif isinstance(call, CallMethod):
            own = self.calls.of(f"{call.owner}.{call.method}")
            if not own and (one := functions.get(f"{call.owner}.{call.method}")) is not None:
                own = [one]
            for target in own:
                yield target, [call.receiver, *call.args]
        elif isinstance(call, New):
            init = functions.get(f"{getattr(call.type, 'name', '')}.__init__")
            if init is not None:
                yield init, [call, *call.args]
        elif isinstance(call, CallValue):
            for target in self.values.get(len(call.args), ()):
                if all(arg.type == param.type for arg, param in zip(call.args, target.params, strict=True)):
                    yield target, call.args

    # Expressions ------------------------------------------------------------------------------------------------------

    def sources(self, facts: Facts, node: Expr) -> Sources:
        """What a view may show."""
        match node:
            case Local(name=name) | Captured(name=name):
                if name in facts.numbers:
                    return frozenset([("param", facts.numbers[name])]) | facts.locals.get(name, NOTHING)
                return facts.locals.get(name, NOTHING)
            case CallBuiltin(name="span_of", args=[inner, *_]):
                return frozenset([BYTES]) if isinstance(inner.type, BytesType) else NOTHING
            case CallBuiltin(name="Array" | "struct.copy" | "Array.copy"):
                return frozenset([("storage", id(node))])
            case CallBuiltin(name=name, args=[inner, *_]) if name in _PARTS:
                return self.sources(facts, inner)
            case New() if isinstance(node.type, StructType):
                return frozenset([("storage", id(node))])
            case Field(value=value) if isinstance(value.type, StructType):
                return self.sources(facts, value)
            case Conditional(then=then, orelse=orelse):
                return self.sources(facts, then) | self.sources(facts, orelse)
            case BoolOp(left=left, right=right):
                return self.sources(facts, left) | self.sources(facts, right)
            case Walrus(value=value) | TupleIndex(value=value):
                return self.sources(facts, value)
            case TupleLit(items=items):
                return NOTHING.union(*(self.sources(facts, item) for item in items if shows(item.type)))
            case CallFunction() | CallMethod() if shows(node.type):
                return self._result(facts, node)
            case CallValue(args=args) if shows(node.type):
                return NOTHING.union(*(self.sources(facts, arg) for arg in args if shows(arg.type)))
            case _:
                return NOTHING

    def _result(self, facts: Facts, node: CallFunction | CallMethod) -> Sources:
        found = NOTHING
        for target, args in self._targets(node):
            if isinstance(target.result, StructType | ArrayType) and not target.returns_view:
                found |= {("storage", id(node))}
                continue
            for source in self.results.get(target.name, NOTHING):
                if source[0] == "param" and source[1] < len(args):
                    found |= self.sources(facts, args[source[1]])
                elif source == BYTES:
                    found |= {source}
        return found

    # Judgement --------------------------------------------------------------------------------------------------------

    def judge(self) -> dict[str, dict[int, set[str]]]:
        lasting: dict[str, dict[int, set[str]]] = {}
        for facts in self.facts:
            function = facts.function
            if shows(function.result) and not function.is_generator and self._gives_views(function.result, function):
                for value in facts.returned:
                    if any(source[0] == "storage" for source in self.sources(facts, value)):
                        message = "this view would outlive what it shows: storage of this function"
                        hint = "return the bytes, or let the caller pass the storage"
                        function.errors.append(Diagnostic("KP269", value.loc, message, hint))
            for value, called in self._written(facts):
                if BYTES in self.sources(facts, value):
                    by = f" by {called.rpartition('.')[2]}" if called else ""
                    message = f"this may show a bytes object, and would be written{by}"
                    hint = "copy it into a bytearray first"
                    function.errors.append(Diagnostic("KP270", value.loc, message, hint))
            for loop, made in facts.loops:
                inside = {("storage", node) for node in made}
                kept = {n for n, s in facts.locals.items() if s & inside and isinstance(_type(function, n), SpanType)}
                if kept:
                    lasting.setdefault(function.name, {})[id(loop)] = kept
        return lasting

    def _gives_views(self, t: Type, function: Function) -> bool:
        """Whether the result is a view, and not a struct that is copied to the caller."""
        return function.returns_view or not isinstance(t, StructType | ArrayType)


def _type(function: Function, name: str) -> Type | None:
    t = function.locals.get(name)
    return t.inner if isinstance(t, OptionalType) else t


def gather(function: Function) -> Facts:
    """One walk over a function, nested ones included."""
    facts = Facts(function, numbers={p.name: i for i, p in enumerate(function.params) if shows(p.type)})
    _gather(facts, function.body, [])
    return facts


def _gather(facts: Facts, nodes: Iterable[Any], loops: list[Loop]) -> None:
    for node in nodes:
        match node:
            case Assign(targets=targets, value=value):
                for target in targets:
                    _assign(facts, target, value)
            case Walrus(name=name, value=value) if shows(value.type):
                facts.assigned.setdefault(name, []).append(value)
            case AugAssign(target=IndexTarget(container=container)):
                facts.written.append(container)
            case AugAssign(target=FieldTarget(value=value)) if isinstance(value.type, StructType):
                facts.written.append(value)
            case For() | While():
                entry: Loop = (node, set())
                facts.loops.append(entry)
                if isinstance(node, For):
                    _assign(facts, node.target, node.iterable)
                _gather(facts, children(node), [*loops, entry])
                continue
            case Return(value=Expr() as value) if shows(value.type):
                facts.returned.append(value)
            case CallBuiltin(name=name, args=[inner, *_]) if name.startswith(_WRITES):
                facts.written.append(inner)
            case CallFunction() | CallMethod() | CallValue() | New():
                facts.calls.append(node)
            case Global(module=module, name=name) if isinstance(node.type, FunctionType):
                facts.values.append(f"{module}.{name}")
        if isinstance(node, CallBuiltin | New | CallFunction | CallMethod) and shows(node.type):
            for _, made in loops:
                made.add(id(node))
        if isinstance(node, Lambda | NestedFunction):
            facts.nested.append(node.function)
        if isinstance(node, Lambda):
            before = len(facts.returned)
            _gather(facts, children(node), loops)
            del facts.returned[before:]
            continue
        if isinstance(node, NestedFunction):
            before = len(facts.returned)
            _gather(facts, node.function.body, loops)
            del facts.returned[before:]
            continue
        _gather(facts, children(node), loops)


def _assign(facts: Facts, target: Any, value: Expr) -> None:
    match target:
        case LocalTarget(name=name) if shows(target.type):
            facts.assigned.setdefault(name, []).append(value)
        case TupleTarget(items=items):
            alike = isinstance(value, TupleLit) and len(value.items) == len(items)
            parts = value.items if isinstance(value, TupleLit) and alike else [value] * len(items)
            for item, part in zip(items, parts, strict=True):
                _assign(facts, item, part)
        case IndexTarget(container=container):
            facts.written.append(container)
        case FieldTarget(value=inner) if isinstance(inner.type, StructType):
            facts.written.append(inner)
