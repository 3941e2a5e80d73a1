"""The fields of an object are set before anybody reads them: on every path through `__init__`, by whatever it calls,
and before anyone else who holds the object reads them.

The construction of each class is followed from its `__init__` into base classes, methods called on `self` and functions
that get `self` as an argument, with the set of fields that surely have a value. `PRIVATE` is in that set as long as
only this construction knows the object; afterwards a call must not reach code that reads a field still missing.
"""

# ruff: noqa: ANN401  (nodes of the tree have no common base)

from __future__ import annotations

from typing import Any

from compiler.front.paths import Paths
from compiler.front.paths import State as Fields
from compiler.nodes import children, walk
from compiler.tree import (
    Assert,
    Assign,
    AugAssign,
    Break,
    CallBuiltin,
    CallFunction,
    CallMethod,
    CallValue,
    Captured,
    ClassDecl,
    Compare,
    Continue,
    Diagnostic,
    Expr,
    ExprStmt,
    Field,
    FieldTarget,
    For,
    Function,
    If,
    Loc,
    Local,
    Match,
    New,
    Program,
    PropertyTarget,
    Raise,
    Return,
    Stmt,
    Try,
    While,
    With,
)
from compiler.types import ArrayType, ClassType, NeverType, StructType

PRIVATE = "<private>"
DEPTH = 12  # of calls that are followed


def check_construction(program: Program) -> None:
    """Judge the construction of all classes (`ClassDecl.errors`)."""
    overriding = Calls(program)
    told: set[tuple[str, Loc]] = set()
    for decl in program.classes.values():
        if decl.kind == "class" and not decl.name.startswith("kernel.lang."):
            for error in Construction(program, decl, overriding).errors():
                if (error.message, error.loc) not in told:
                    told.add((error.message, error.loc))
                    decl.errors.append(error)


def _chain(program: Program, decl: ClassDecl) -> list[ClassDecl]:
    """A class and its bases."""
    chain = [decl]
    while isinstance(base := chain[-1].base, ClassType) and base.name in program.classes:
        chain.append(program.classes[base.name])
    return chain


class Calls:
    """What calls may reach, and which fields are read there."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.implementations: dict[str, list[Function]] = {}
        self.mentions: dict[str, tuple[set[str], list[Function], bool]] = {}
        for decl in program.classes.values():
            chain = _chain(program, decl)
            for full_name in decl.methods:
                function = program.functions.get(full_name)
                if function is None:
                    continue
                for above in chain:
                    name = f"{above.name}.{full_name.removeprefix(decl.name + '.')}"
                    self.implementations.setdefault(name, []).append(function)

    def of(self, method: str) -> list[Function]:
        """The functions that a call of a method, by its full name, may reach."""
        return self.implementations.get(method, [])

    def reads(self, targets: list[Function]) -> set[str] | None:
        """The names of all fields that functions read, and what they call; None if their callees are unknown."""
        found: set[str] = set()
        seen = {f.name for f in targets}
        pending = list(targets)
        while pending:
            names, called, unknown = self._mentioned(pending.pop())
            if unknown:
                return None
            found |= names
            for function in called:
                if function.name not in seen:
                    seen.add(function.name)
                    pending.append(function)
        return found

    def _mentioned(self, function: Function) -> tuple[set[str], list[Function], bool]:
        known = self.mentions.get(function.name)
        if known is None:
            names: set[str] = set()
            called: list[Function] = []
            unknown = bool(function.errors)
            for node in (n for s in function.body for n in walk(s)):
                match node:
                    case Field(name=name):
                        names.add(name)
                    case CallMethod(owner=owner, method=method):
                        called += self.of(f"{owner}.{method}")
                    case CallFunction(function=name) if name in self.program.functions:
                        called.append(self.program.functions[name])
                    case New() if (init := f"{getattr(node.type, 'name', '')}.__init__") in self.program.functions:
                        called.append(self.program.functions[init])
                    case CallValue():
                        unknown = True
            known = self.mentions[function.name] = (names, called, unknown)
        return known


class Construction(Paths):
    """The construction of one class."""

    def __init__(self, program: Program, decl: ClassDecl, overriding: Calls) -> None:
        self.program = program
        self.decl = decl
        self.chain = _chain(program, decl)
        self.overriding = overriding
        fields = (f for c in self.chain for f in c.fields)
        self.wanted = frozenset(f.name for f in fields if not isinstance(f.type, StructType | ArrayType))
        self.found: list[Diagnostic] = []
        self.returns: list[list[Fields | None]] = []
        self.loops: list[list[Fields]] = []
        self.active: list[tuple[str, str]] = []
        self.this = ""

    def errors(self) -> list[Diagnostic]:
        init = self.method("__init__")
        if not self.wanted:
            return []
        end: Fields | None = frozenset([PRIVATE])
        if init is not None and init.params and not init.errors:
            end = self.call(init, init.params[0].name, frozenset([PRIVATE]), init.loc)
        elif init is not None:
            return []
        name = self.decl.name.rpartition(".")[2]
        for field in sorted(self.wanted - end) if end is not None else ():
            loc = init.loc if init is not None and init.cls == self.decl.name else self.decl.loc
            message = f"{name}.__init__ does not set the field {field} on every path"
            self.fail("KP235", loc, message, f"set self.{field} in __init__")
        return self.found

    def fail(self, code: str, loc: Loc, message: str, hint: str) -> None:
        self.found.append(Diagnostic(code, loc, message, hint))

    def method(self, name: str) -> Function | None:
        """The method that an object of exactly this class has."""
        return next((f for c in self.chain if (f := self.program.functions.get(f"{c.name}.{name}")) is not None), None)

    # Calls ------------------------------------------------------------------------------------------------------------

    def call(self, function: Function, this: str, state: Fields, loc: Loc) -> Fields | None:
        """What is set after a function that knows the object as its parameter `this`."""
        if self.wanted <= state:
            return state
        if function.errors or "extern" in function.decorators:
            return state - {PRIVATE}
        if (function.name, this) in self.active or len(self.active) > DEPTH:
            return state - {PRIVATE}
        outer, self.this = self.this, this
        self.active.append((function.name, this))
        self.returns.append([])
        loops, self.loops = self.loops, []
        end = self.block(function.body, state)
        self.loops = loops
        self.active.pop()
        self.this = outer
        return self.join(end, *self.returns.pop())

    def opaque(self, targets: list[Function] | None, state: Fields, loc: Loc) -> Fields:
        """A call that knows nothing of the object, unless somebody has stored it. None: the callee is unknown."""
        if PRIVATE not in state and not self.wanted <= state:
            read = self.wanted if targets is None else self.overriding.reads(targets)
            if read is not None and not (self.wanted - state) & read:
                return state
            missing = min((self.wanted - state) & read) if read is not None else min(self.wanted - state)
            name = self.decl.name.rpartition(".")[2]
            message = f"others can reach this {name} here, and its field {missing} is not set yet"
            self.fail("KP256", loc, message, f"set self.{missing} before self is passed on or stored")
            return state | self.wanted
        return state

    def pass_on(self, targets: list[Function], args: list[Expr], skip: int, state: Fields, loc: Loc) -> Fields:
        """A call with the object among its arguments."""
        places = [i + skip for i, arg in enumerate(args) if self.is_this(arg)]
        ends: list[Fields | None] = []
        for target in targets:
            for place in places:
                if place < len(target.params):
                    ends.append(self.call(target, target.params[place].name, state, loc))
        if not ends or any(target.is_generator for target in targets):
            return self.opaque(targets or None, state - {PRIVATE}, loc)
        joined = self.join(*ends)
        return joined if joined is not None else state | self.wanted

    # Statements -------------------------------------------------------------------------------------------------------

    def statement(self, node: Stmt, state: Fields) -> Fields | None:
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
                if isinstance(target, FieldTarget) and self.is_this(target.value):
                    self.read(target.name, target.loc, state)
                return self.target(target, self.value(value, state))
            case If(test=test, then=then, orelse=orelse):
                state = self.value(test, state)
                return self.join(self.block(then, state), self.block(orelse, state))
            case While(test=test, body=body, orelse=orelse):
                return self.loop(body, orelse, self.value(test, state), state)
            case For(target=target, iterable=iterable, body=body, orelse=orelse):
                before = self.value(iterable, state)
                return self.loop(body, orelse, self.target(target, before), before)
            case Break() | Continue():
                if self.loops:
                    self.loops[-1].append(state)
                return None
            case Return(value=result):
                self.returns[-1].append(self.value(result, state) if result is not None else state)
                return None
            case Raise(exception=exception):
                if exception is not None:
                    self.value(exception, state)
                return None
            case Assert(test=test):
                return self.value(test, state)
            case Try(body=body, handlers=handlers, orelse=orelse, final=final):
                completed = self.block(body, state)
                earlier = self.join(state, completed) or state
                ends = [self.block(orelse, completed), *(self.block(h.body, earlier) for h in handlers)]
                joined = self.join(*ends)
                cleaned = self.block(final, earlier)
                return None if joined is None or cleaned is None else joined | (cleaned - earlier)
            case With(items=items, body=body):
                for item in items:
                    state = self.opaque(None, self.value(item.context, state), node.loc)
                    if item.target is not None:
                        state = self.target(item.target, state)
                return self.block(body, state)
            case Match(subject=subject, cases=cases):
                state = self.value(subject, state)
                return self.join(state, *(self.block(case.body, state) for case in cases))
            case _:
                return self.value(node, state)  # the same for what is below

    def loop(self, body: list[Stmt], orelse: list[Stmt], inside: Fields, state: Fields) -> Fields | None:
        """A loop, which may run no round."""
        self.loops.append([])
        end = self.block(body, inside)
        left = self.join(state, end, *self.loops.pop()) or state
        return self.block(orelse, left)

    def target(self, node: Any, state: Fields) -> Fields:
        match node:
            case FieldTarget(value=value, name=name) if self.is_this(value):
                return state | {name}
            case PropertyTarget(value=value, name=name) if self.is_this(value):
                setter = self.method(f"{name}.setter")
                after = self.call(setter, setter.params[0].name, state, node.loc) if setter is not None else None
                return after if after is not None else state
            case _:
                for child in children(node):
                    state = self.value(child, state)
                return state

    # Expressions ------------------------------------------------------------------------------------------------------

    def is_this(self, node: Any) -> bool:
        """The object, also as a nested function or lambda sees it."""
        return isinstance(node, Local | Captured) and node.name == self.this

    def read(self, name: str, loc: Loc, state: Fields) -> None:
        if name in self.wanted and name not in state:
            cls = self.decl.name.rpartition(".")[2]
            message = f"the field {name} of a {cls} is read before it is set"
            self.fail("KP256", loc, message, f"set self.{name} first")

    def value(self, node: Any, state: Fields) -> Fields:
        """An expression: its reads are judged; returns what is set afterwards."""
        match node:
            case Local() | Captured():
                return state - {PRIVATE} if self.is_this(node) else state
            case Field(value=value, name=name) if self.is_this(value):
                self.read(name, node.loc, state)
                return state
            case Compare(left=left, right=right):
                for side in (left, right):
                    state = state if self.is_this(side) else self.value(side, state)
                return state
            case CallBuiltin(name="isinstance", args=[arg]) if self.is_this(arg):
                return state
            case CallMethod(receiver=receiver, method=method, args=args) if self.is_this(receiver):
                state = self.arguments(args, state)
                target = self.method(method)
                if target is None or not target.params:
                    return self.opaque(None, state - {PRIVATE}, node.loc)
                called = self.call(target, target.params[0].name, state, node.loc)
                if any(self.is_this(arg) for arg in args):
                    return self.pass_on([target], args, 1, called or state, node.loc)
                return called if called is not None else state | self.wanted
            case CallMethod(receiver=receiver, owner=owner, method=method, args=args):
                state = self.arguments(args, self.value(receiver, state))
                own = self.overriding.of(f"{owner}.{method}")
                return self.finish(own, owner, args, 1, state, node.loc)
            case CallFunction(function=name, args=args):
                state = self.arguments(args, state)
                function = self.program.functions.get(name)
                return self.finish([function] if function is not None else [], name, args, 0, state, node.loc)
            case New(args=args, fields=fields):
                state = self.arguments([*args, *fields.values()], state)
                made = getattr(node.type, "name", "kernel.lang.")
                init = self.program.functions.get(f"{made}.__init__")
                return self.finish([init] if init is not None else [], made, args, 1, state, node.loc)
            case CallValue(callee=callee, args=args):
                state = self.arguments(args, self.value(callee, state))
                if any(self.is_this(arg) for arg in args):
                    state -= {PRIVATE}
                return self.opaque(None, state, node.loc)
            case _:
                for child in children(node):
                    state = self.value(child, state)
                return state

    def arguments(self, args: list[Expr], state: Fields) -> Fields:
        for arg in args:
            if not self.is_this(arg):
                state = self.value(arg, state)
        return state

    def finish(
        self, targets: list[Function], name: str, args: list[Expr], skip: int, state: Fields, loc: Loc
    ) -> Fields:
        """The call itself; the run-time library and the prelude store what they get, and read none of its fields."""
        passed = any(self.is_this(arg) for arg in args)
        if name.startswith(("kernel.lang.", "builtins.")):
            return state - {PRIVATE} if passed else state
        if passed:
            return self.pass_on(targets, args, skip, state, loc)
        return self.opaque(targets, state, loc)
