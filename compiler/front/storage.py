"""Which growing storage a view may show: the bytearrays of a program, followed to where views of them are.

A bytearray is named by the place in the source that makes it. For each local, field, result and element that holds
bytearrays or views it is found out what may be there, over the whole program, without regard to the order of
statements. From this follows which bytearrays each function may change in size: itself, by what it calls,
or by other threads while it sleeps.
"""

# ruff: noqa: ANN401  (nodes of the tree have no common base)

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from compiler.front.construction import Calls
from compiler.front.convert_types import BYTE_ARRAY
from compiler.nodes import children, walk
from compiler.tree import (
    Assign,
    BoolOp,
    CallBuiltin,
    CallFunction,
    CallMethod,
    CallValue,
    Captured,
    CapturePattern,
    Comprehension,
    Conditional,
    DictLit,
    Expr,
    Field,
    FieldTarget,
    For,
    Function,
    Global,
    GlobalTarget,
    Lambda,
    ListLit,
    Local,
    LocalTarget,
    Match,
    NestedFunction,
    New,
    Program,
    PropertyTarget,
    Return,
    SetItemTarget,
    TupleIndex,
    TupleLit,
    TupleTarget,
    Walrus,
    With,
    Yield,
)
from compiler.types import ArrayType, ClassType, FunctionType, OptionalType, SpanType, StructType, TupleType, Type

RUNTIME = "kernel.lang.runtime."
RESIZING = frozenset(
    ["append", "pop_last", "pop_at", "extend_bytes", "extend_array", "extend_span", "clear", "delete_slice",
     "__delitem__"]
)  # fmt: skip
ELEMENT = ("element",)  # of whatever list, dict or deque

Place = tuple[Any, ...]  # what can hold a bytearray or a view
Sites = frozenset[int]  # bytearrays, by the nodes that make them


def is_view(t: Type) -> bool:
    """Whether values of a type may be views."""
    if isinstance(t, OptionalType):
        return is_view(t.inner)
    return isinstance(t, SpanType | StructType | ArrayType)


def _is_byte_array(t: Type) -> bool:
    if isinstance(t, OptionalType):
        t = t.inner
    return isinstance(t, ClassType) and t.name == BYTE_ARRAY


def _holds(t: Type) -> bool:
    """Whether values of a type are bytearrays or may be views of them."""
    if isinstance(t, OptionalType):
        return _holds(t.inner)
    if isinstance(t, TupleType):
        return any(_holds(item) for item in t.items)
    return _is_byte_array(t) or isinstance(t, SpanType | StructType | ArrayType)


class Storage:
    """The bytearrays of a program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.calls = Calls(program)
        self.flows: dict[Place, set[Place]] = {}
        self.made: dict[Place, set[int]] = {}
        self.sites: dict[Place, set[int]] = {}
        self.direct: dict[Place, list[Place]] = {}  # by function: the bytearrays that it resizes itself
        self.callees: dict[Place, set[Place]] = {}
        self.resizes: dict[Place, Sites] = {}
        self.loops: list[tuple[Function, str, str, list[Any]]] = []  # over generators: where, scope, which, the body
        self.yields: dict[str, Sites] = {}  # by generator: what the loops over it resize while it waits
        self.at_import: dict[Place, object] = {}  # bytearrays that no function makes
        self.sleeping: list[Place] = []  # functions during which other threads run
        self.steps: dict[int, list[Any]] = {}  # by function: its calls, `with` and `return` statements
        self._made_at_import(ELEMENT)
        for function in program.functions.values():
            if not function.name.startswith(RUNTIME) and not function.errors:
                self._function(("f", function.name), function, function.name)
        self._solve()
        self._solve_resizes()
        self._solve_yields()

    # What may be where ------------------------------------------------------------------------------------------------

    def of(self, scope: str, node: Any) -> Sites:
        """The bytearrays that an expression in a function may be, or show."""
        found: set[int] = set()
        for place in self.places(scope, node):
            found |= {place[1]} if place[0] == "site" else self.sites.get(place, set())
        return frozenset(found)

    def places(self, scope: str, node: Any) -> Iterator[Place]:
        """Where the value of an expression comes from."""
        match node:
            case Local(name=name) | Captured(name=name) if _holds(node.type):
                yield ("local", scope, name)
            case Global(module=module, name=name):
                yield ("global", module, name)
            case Field(value=value, owner=owner, name=name):
                if isinstance(value.type, StructType):
                    yield from self.places(scope, value)
                else:
                    yield ("field", owner, name)
            case Conditional(then=then, orelse=orelse):
                yield from self.places(scope, then)
                yield from self.places(scope, orelse)
            case BoolOp(left=left, right=right):
                yield from self.places(scope, left)
                yield from self.places(scope, right)
            case Walrus(value=value) | TupleIndex(value=value):
                yield from self.places(scope, value)
            case TupleLit(items=items):
                for item in items:
                    yield from self.places(scope, item)
            case New(type=ClassType(name=name)) if name == BYTE_ARRAY:
                yield ("site", id(node))
            case CallFunction(function=name) if name.startswith(RUNTIME):
                yield ("site", id(node))
            case CallMethod(owner=owner) if owner == BYTE_ARRAY:
                yield ("site", id(node))
            case CallMethod(owner=owner) if owner.startswith(RUNTIME):
                yield ELEMENT
            case CallFunction() | CallMethod():
                for target, _ in self.targets(node):
                    yield ("result", target.name)
            case CallValue(args=args):
                yield ("value result", len(args))
            case CallBuiltin(args=[inner, *_]):
                yield from self.places(scope, inner)

    def targets(self, call: Any) -> Iterator[tuple[Function, list[Expr]]]:
        """The functions that a call may reach, each with its arguments, the receiver among them."""
        functions = self.program.functions
        if isinstance(call, CallFunction):
            if call.function in functions:
                yield functions[call.function], call.args
        elif isinstance(call, CallMethod):
            name = f"{call.owner}.{call.method}"
            for target in self.calls.of(name) or ([functions[name]] if name in functions else []):
                yield target, [call.receiver, *call.args]
        elif isinstance(call, New):
            init = functions.get(f"{getattr(call.type, 'name', '')}.__init__")
            if init is not None:
                yield init, [call, *call.args]

    # Gathering --------------------------------------------------------------------------------------------------------

    def _flow(self, scope: str, node: Any, to: Place) -> None:
        if not isinstance(node, Expr) or not _holds(node.type):
            return
        for place in self.places(scope, node):
            if place[0] == "site":
                self.made.setdefault(to, set()).add(place[1])
            elif place != to:
                self.flows.setdefault(place, set()).add(to)

    def _function(self, me: Place, function: Function, scope: str) -> None:
        self.direct[me], self.callees[me] = [], set()
        if "sleeps" in function.decorators:
            self.sleeping.append(me)
        for param in function.params:
            if _is_byte_array(param.type):  # whatever a caller gives: it counts as made here
                self.made.setdefault(("local", scope, param.name), set()).add(id(param))
        self.steps[id(function)] = []
        self._nodes(me, function, scope, function.body)

    def _nodes(self, me: Place, function: Function, scope: str, nodes: Iterable[Any]) -> None:
        for node in nodes:
            self._node(me, function, scope, node)
            if isinstance(node, CallFunction | CallMethod | New | CallValue | With | Return):
                self.steps[id(function)].append(node)
            if not isinstance(node, NestedFunction | Lambda):
                self._nodes(me, function, scope, children(node))

    def _node(self, me: Place, function: Function, scope: str, node: Any) -> None:
        match node:
            case Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(scope, target, value)
            case Walrus(name=name, value=value):
                self._flow(scope, value, ("local", scope, name))
            case For(target=target, iterable=iterable, body=body):
                self._elements(scope, target, iterable)
                for source in iterable.args if isinstance(iterable, CallBuiltin) else [iterable]:
                    for generator, _ in self.targets(source):
                        if generator.is_generator:
                            self.loops.append((function, scope, generator.name, body))
            case Comprehension(element=element, clauses=clauses):
                self._flow(scope, element, ELEMENT)
                for clause in clauses:
                    self._elements(scope, clause.target, clause.iterable)
            case ListLit(items=items):
                for item in items:
                    self._flow(scope, item, ELEMENT)
            case DictLit(items=pairs):
                for pair in pairs:
                    self._flow(scope, pair[1], ELEMENT)
            case Return(value=value):
                self._flow(scope, value, ("result", *me[1:]))
            case Yield(value=value):
                self._flow(scope, value, ("result", *me[1:]))
            case With(items=managers):
                for manager in managers:
                    self._manager(me, scope, manager)
            case Match(subject=subject):
                for pattern in walk(node):
                    if isinstance(pattern, CapturePattern) and pattern.name is not None:
                        self._flow(scope, subject, ("local", scope, pattern.name))
            case NestedFunction(function=inner) | Lambda(function=inner):
                self._nested(me, inner, scope)
            case Global(module=module, name=name) if _holds(node.type):
                self._made_at_import(("global", module, name))
            case Global() if isinstance(node.type, FunctionType):
                self._as_value(self.program.functions.get(f"{node.module}.{node.name}"), None)
            case CallValue(args=args):
                self.callees[me].add(("value", len(args)))
                for i, arg in enumerate(args):
                    self._flow(scope, arg, ("value argument", len(args), i))
            case CallFunction() | CallMethod() | New():
                self._call(me, scope, node)

    def _made_at_import(self, place: Place) -> None:
        """A place that holds a bytearray when the program starts."""
        self.made.setdefault(place, set()).add(id(self.at_import.setdefault(place, object())))

    def _assign(self, scope: str, target: Any, value: Any) -> None:
        match target:
            case LocalTarget(name=name):
                self._flow(scope, value, ("local", scope, name))
            case GlobalTarget(module=module, name=name):
                self._flow(scope, value, ("global", module, name))
            case FieldTarget(owner=owner, name=name):
                self._flow(scope, value, ("field", owner, name))
            case SetItemTarget():
                self._flow(scope, value, ELEMENT)
            case PropertyTarget(owner=owner, name=name):
                for setter in self.calls.of(f"{owner}.{name}.setter"):
                    self._flow(scope, value, ("local", setter.name, setter.params[1].name))
            case TupleTarget(items=items):
                alike = isinstance(value, TupleLit) and len(value.items) == len(items)
                for i, item in enumerate(items):
                    self._assign(scope, item, value.items[i] if alike else value)

    def _elements(self, scope: str, target: Any, iterable: Any) -> None:
        """A loop's target gets what its iterable gives: elements of lists, or what a generator yields."""
        sources = iterable.args if isinstance(iterable, CallBuiltin) else [iterable]
        for name in (n.name for n in walk(target) if isinstance(n, LocalTarget) and _holds(n.type)):
            to = ("local", scope, name)
            self.flows.setdefault(ELEMENT, set()).add(to)
            for source in sources:
                if isinstance(source, CallFunction | CallMethod):
                    for function, _ in self.targets(source):
                        self.flows.setdefault(("result", function.name), set()).add(to)

    def _manager(self, me: Place, scope: str, item: Any) -> None:
        """`with`: the manager's methods are called."""
        name = getattr(item.context.type, "name", "")
        for method in ("__enter__", "__exit__"):
            for target in self.calls.of(f"{name}.{method}"):
                self.callees[me].add(("f", target.name))
                if method == "__enter__" and isinstance(item.target, LocalTarget):
                    self.flows.setdefault(("result", target.name), set()).add(("local", scope, item.target.name))

    def _nested(self, me: Place, inner: Function, scope: str) -> None:
        """A nested function or lambda sees the locals of the one around it; whoever calls values may call it."""
        name = ("f", inner.name, id(inner))
        self._function(name, inner, scope)
        self._as_value(inner, scope)
        self.callees.setdefault(("value", len(inner.params)), set()).add(name)

    def _as_value(self, function: Function | None, scope: str | None) -> None:
        """A function that calls of values may reach."""
        if function is None:
            return
        count = len(function.params)
        for i, param in enumerate(function.params):
            to = ("local", scope if scope is not None else function.name, param.name)
            self.flows.setdefault(("value argument", count, i), set()).add(to)
        result = ("result", function.name) if scope is None else ("result", function.name, id(function))
        self.flows.setdefault(result, set()).add(("value result", count))
        if scope is None:
            self.callees.setdefault(("value", count), set()).add(("f", function.name))

    def _call(self, me: Place, scope: str, node: Any) -> None:
        owner = getattr(node, "owner", "")
        if owner == BYTE_ARRAY:
            if node.method in RESIZING:
                self.direct[me] += self.places(scope, node.receiver)
            return
        if owner.startswith(RUNTIME):
            for arg in node.args:
                self._flow(scope, arg, ELEMENT)
            return
        for target, args in self.targets(node):
            self.callees[me].add(("f", target.name))
            for param, arg in zip(target.params, args, strict=False):
                if arg is not node:
                    self._flow(scope, arg, ("local", target.name, param.name))

    # Solving ----------------------------------------------------------------------------------------------------------

    def _solve(self) -> None:
        pending = list(self.made)
        self.sites = {place: set(made) for place, made in self.made.items()}
        while pending:
            place = pending.pop()
            here = self.sites[place]
            for to in self.flows.get(place, ()):
                there = self.sites.setdefault(to, set())
                if not here <= there:
                    there |= here
                    pending.append(to)

    def _solve_resizes(self) -> None:
        found: dict[Place, set[int]] = {me: set() for me in self.callees}
        callers: dict[Place, set[Place]] = {}
        for me, called in self.callees.items():
            for place in self.direct.get(me, ()):
                found[me] |= {place[1]} if place[0] == "site" else self.sites.get(place, set())
            for callee in called:
                callers.setdefault(callee, set()).add(me)
        shared = set().union(*(sites for place, sites in self.sites.items() if place[0] != "local"))
        shared &= set().union(*found.values())
        for me in self.sleeping:
            found[me] |= shared
        pending = [me for me, sites in found.items() if sites]
        while pending:
            me = pending.pop()
            for caller in callers.get(me, ()):
                if not found[me] <= found[caller]:
                    found[caller] |= found[me]
                    pending.append(caller)
        self.resizes = {me: frozenset(sites) for me, sites in found.items()}

    def _solve_yields(self) -> None:
        bodies: list[tuple[Function, str, Sites, bool]] = []
        for function, scope, generator, body in self.loops:
            nodes = [node for statement in body for node in walk(statement)]
            sites = frozenset[int]().union(*(self.resized(scope, node) for node in nodes))
            bodies.append((function, generator, sites, any(isinstance(node, Yield) for node in nodes)))
        news = True
        while news:
            news = False
            for function, generator, sites, hands_on in bodies:
                known = self.yields.get(generator, frozenset())
                found = known | sites | (self.yields.get(function.name, frozenset()) if hands_on else frozenset())
                news |= found != known
                self.yields[generator] = found

    def resized(self, scope: str, node: Any) -> Sites:
        """The bytearrays that a call may change in size."""
        match node:
            case CallMethod(owner=owner, method=method, receiver=receiver) if owner == BYTE_ARRAY:
                return self.of(scope, receiver) if method in RESIZING else frozenset()
            case CallFunction() | CallMethod() | New():
                targets = (self.resizes.get(("f", f.name), frozenset()) for f, _ in self.targets(node))
                return frozenset[int]().union(*targets)
            case CallValue(args=args):
                return self.resizes.get(("value", len(args)), frozenset())
            case _:
                return frozenset()
