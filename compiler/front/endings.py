"""Views end with what they show: at a change of the size of a bytearray, and where a frame is given back.

CPython refuses to resize a bytearray while a memoryview of it is in use; here a view that is used afterwards is refused
when the program is compiled. A frame that was given back (`put_frame` and its like, by the function itself or by one
that it is passed to) is not shown, given back or counted again, and no view of it is used. A frame is known by the name
that it has in the function: a local, or a field of one.

Each function in which that could happen is gone through once, with the set of views and frames that surely are still
there. What a loop's body ends counts as ended when a turn begins.
"""

# ruff: noqa: ANN401  (nodes of the tree have no common base)

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from compiler.front.assignment import Assignment
from compiler.front.paths import State
from compiler.front.storage import Sites, Storage, is_view
from compiler.nodes import children, walk
from compiler.tree import (
    Assign,
    BoolLit,
    BoolOp,
    CallBuiltin,
    CallFunction,
    CallMethod,
    CallValue,
    Conditional,
    Diagnostic,
    Expr,
    Field,
    FieldTarget,
    For,
    Function,
    Local,
    LocalTarget,
    New,
    Program,
    Return,
    Stmt,
    Target,
    Try,
    TupleIndex,
    TupleLit,
    Walrus,
    While,
    With,
    Yield,
)

FRAMES = "kernel.mm.frames."
GIVE_BACK = frozenset(FRAMES + name for name in ("put_frame", "free_frame", "free_frames", "unpin_frame"))
TAKE = frozenset(FRAMES + name for name in ("get_frame", "pin_frame"))
SHOW = FRAMES + "frame_span"
MARK = "frame "  # in states, before what a frame is called
TAKEN = "one more of "  # … and where the function itself has taken a reference

RESIZED = "the bytearray that {} shows may have changed its size"
GIVEN_BACK = "the frame that {} shows may have been given back"
DEPTH = 2  # fields from a name to a frame: anything further away is counted by other owners
_APART = (FRAMES, "kernel.lang.")  # modules built on raw memory


class EndingRules:
    """Judges functions by what is known of the whole program."""

    def __init__(self, program: Program) -> None:
        self.storage = Storage(program)
        self.frames = Frames(program, self.storage)

    def check_function(self, function: Function) -> None:
        """Judge one function (`Function.errors`)."""
        if not function.errors:
            function.errors += judge(function, self.storage, self.frames, function.name)


def judge(function: Function, storage: Storage, frames: Frames, scope: str) -> list[Diagnostic]:
    """What is wrong in one function; `scope` names the one whose locals it sees."""
    analysis = Endings(function, storage, frames, scope)
    if not analysis.may_end:
        return []
    names = {p.name for p in function.params} | function.locals.keys()
    analysis.block(function.body, frozenset(names) | {MARK + name for name in analysis.named})
    return analysis.errors


# Frames by name -------------------------------------------------------------------------------------------------------


def frame_name(node: Any) -> str:
    """What a frame, or an object, is called in a function: a local, or a field of one. "" if it has no name there."""
    match node:
        case Local(name=name):
            return name
        case Field(value=value, name=name):
            inner = frame_name(value)
            return f"{inner}.{name}" if inner else ""
        case _:
            return ""


class Frames:
    """The frames that functions give back, and those that the views show that they return: each the number of a
    parameter, and "" or the fields from there ("page.frame").
    """

    def __init__(self, program: Program, storage: Storage) -> None:
        self.storage = storage
        self.given: dict[str, set[tuple[int, str]]] = {name: {(0, "")} for name in GIVE_BACK}
        self.shown: dict[str, set[tuple[int, str]]] = {SHOW: {(0, "")}}
        functions = [f for f in program.functions.values() if not f.errors and not f.name.startswith(_APART)]
        steps: list[tuple[Function, Any]] = []
        for function in functions:
            names = {p.name for p in function.params}
            for node in storage.steps.get(id(function), ()):
                if isinstance(node, CallFunction | CallMethod | New) and any(
                    frame_name(arg).partition(".")[0] in names for _, args in storage.targets(node) for arg in args
                ):
                    steps.append((function, node))
                elif isinstance(node, Return) and isinstance(node.value, Expr) and is_view(node.value.type):
                    steps.append((function, node))
        while any([self._update(function, node) for function, node in steps]):
            pass

    def _update(self, function: Function, node: Any) -> bool:
        if isinstance(node, Return):
            assigned = assigned_views(function)
            return self._enter(self.shown, function, self.of_view(node.value, assigned), taking=False)
        return self._enter(self.given, function, self.ended(node), taking=True)

    def _enter(self, known: dict[str, set[tuple[int, str]]], function: Function, names: Iterable[str], *,
               taking: bool) -> bool:  # fmt: skip
        news = False
        numbers = {p.name: i for i, p in enumerate(function.params)}
        for name in names:
            root, _, rest = name.partition(".")
            if (
                root in numbers
                and rest.count(".") < DEPTH
                and not (taking and (_takes(function, name) or _assigned(function, root)))
            ):
                entry = (numbers[root], rest)
                news |= entry not in known.setdefault(function.name, set())
                known[function.name].add(entry)
        return news

    def ended(self, node: Any) -> list[str]:
        """The names of the frames that a call gives back."""
        return self._arguments(self.given, node)

    def _arguments(self, table: dict[str, set[tuple[int, str]]], node: Any) -> list[str]:
        found: list[str] = []
        for target, args in self.storage.targets(node):
            for place, rest in sorted(table.get(target.name, ())):
                if place < len(args) and (name := frame_name(args[place])):
                    found.append(f"{name}.{rest}" if rest else name)
        return found

    def of_view(self, node: Any, assigned: dict[str, list[Expr]], depth: int = 4) -> list[str]:
        """The names of the frames that a view may show."""
        match node:
            case Local(name=name):
                values = assigned.get(name, []) if depth else []
                return [found for value in values for found in self.of_view(value, assigned, depth - 1)]
            case Conditional(then=left, orelse=right) | BoolOp(left=left, right=right):
                return self.of_view(left, assigned, depth) + self.of_view(right, assigned, depth)
            case Walrus(value=value) | TupleIndex(value=value):
                return self.of_view(value, assigned, depth)
            case TupleLit(items=items):
                return [name for item in items for name in self.of_view(item, assigned, depth)]
            case CallFunction() | CallMethod():
                found = self._arguments(self.shown, node)
                for arg in node.args:
                    if is_view(arg.type) and is_view(node.type):
                        found += self.of_view(arg, assigned, depth)
                return found
            case CallBuiltin(args=[inner, *_]) | Field(value=inner) if is_view(node.type):
                return self.of_view(inner, assigned, depth)
            case _:
                return []

    def leaving(self, context: Expr, name: str) -> list[str]:
        """The names of the frames that the end of a `with` gives back, whose manager has a name."""
        found: list[str] = []
        owner = getattr(context.type, "name", "")
        for target in self.storage.calls.of(f"{owner}.__exit__"):
            found += [f"{name}.{rest}" if rest else name for _, rest in sorted(self.given.get(target.name, ()))]
        return found


def assigned_views(function: Function) -> dict[str, list[Expr]]:
    """What is assigned to the locals of a function that may be views."""
    found: dict[str, list[Expr]] = {}
    for node in (n for s in function.body for n in walk(s)):
        match node:
            case Assign(targets=targets, value=value):
                for target in targets:
                    for part in walk(target):
                        if isinstance(part, LocalTarget) and is_view(part.type):
                            found.setdefault(part.name, []).append(value)
            case Walrus(name=name, value=value) if is_view(value.type):
                found.setdefault(name, []).append(value)
            case For(target=LocalTarget(name=name) as target, iterable=iterable) if is_view(target.type):
                found.setdefault(name, []).append(iterable)
    return found


def _takes(function: Function, name: str) -> bool:
    """Whether a function takes a reference to a frame of its own, so that what it gives back is that one."""
    for node in (n for s in function.body for n in walk(s)):
        if isinstance(node, CallFunction) and node.function in TAKE and frame_name(node.args[0]) == name:
            return True
    return False


def _assigned(function: Function, name: str) -> bool:
    return any(isinstance(n, LocalTarget) and n.name == name for s in function.body for n in walk(s))


# One function ---------------------------------------------------------------------------------------------------------


class Endings(Assignment):
    """The analysis of one function: which views and frames surely are still there."""

    def __init__(self, function: Function, storage: Storage, frames: Frames, scope: str) -> None:
        super().__init__(function, {})
        self.storage = storage
        self.frames = frames
        self.scope = scope
        self.sites: dict[str, Sites] = {}  # of views: the bytearrays that they may show,
        self.shown: dict[str, set[str]] = {}  # and the frames
        self.named: set[str] = set()  # frames that have a name
        self.why: dict[str, str] = {}  # of what has ended
        self.trying: list[set[str]] = []
        self.final: list[tuple[Sites, set[str]]] = []  # what the `finally` and `with` around end
        steps = storage.steps.get(id(function), [])
        calls = [n for n in steps if not isinstance(n, With | Return)]
        ended = [name for node in calls for name in frames.ended(node)]
        ended += [name for n in steps if isinstance(n, With) for name in self._leaves(n)[1]]
        resized = frozenset[int]().union(*(storage.resized(scope, node) for node in calls))
        resized |= storage.yields.get(function.name, frozenset())
        resized = resized.union(*(self._leaves(n)[0] for n in steps if isinstance(n, With)))
        self.may_end = bool(resized or ended) and not function.name.startswith(_APART)
        if not self.may_end:
            return
        self.assigned = assigned_views(function)
        types = function.locals | {p.name: p.type for p in function.params}
        for name, t in types.items():
            if is_view(t):
                self.sites[name] = frozenset(storage.sites.get(("local", scope, name), ()))
                self.shown[name] = {
                    f for value in self.assigned.get(name, ()) for f in frames.of_view(value, self.assigned)
                }
        self.named = {*ended}.union(*self.shown.values())
        for node in calls:
            if isinstance(node, CallFunction) and node.function in TAKE | {SHOW}:
                self.named.add(frame_name(node.args[0]))
        self.named.discard("")

    # What ends --------------------------------------------------------------------------------------------------------

    def end(self, sites: Sites, frames: Iterable[str], state: State) -> State:
        """Some bytearrays change their size, and some frames are given back."""
        lost: dict[str, str] = {}
        for name, shown in self.sites.items():
            if sites & shown:
                lost[name] = RESIZED
        for frame in frames:
            if TAKEN + frame in state:
                state -= {TAKEN + frame}
                continue
            lost[MARK + frame] = GIVEN_BACK
            for name, names in self.shown.items():
                if frame in names:
                    lost[name] = GIVEN_BACK
        self.why.update(lost)
        for body in self.trying:
            body.update(lost)
        return state.difference(lost)

    def _leaves(self, node: With) -> tuple[Sites, set[str]]:
        """What the end of a `with` ends."""
        sites: Sites = frozenset()
        names: set[str] = set()
        for item in node.items:
            name = item.target.name if isinstance(item.target, LocalTarget) else frame_name(item.context)
            names |= {*self.frames.leaving(item.context, name)} if name else set()
            owner = getattr(item.context.type, "name", "")
            for target in self.storage.calls.of(f"{owner}.__exit__"):
                sites |= self.storage.resizes.get(("f", target.name), frozenset())
        return sites, names

    def _ends(self, body: list[Stmt]) -> tuple[Sites, set[str]]:
        """What a `finally` may end."""
        sites: Sites = frozenset()
        names: set[str] = set()
        for node in (n for s in body for n in walk(s)):
            sites |= self.storage.resized(self.scope, node)
            if isinstance(node, CallFunction | CallMethod | New):
                names |= {*self.frames.ended(node)}
        return sites, names

    def shows(self, node: Any) -> tuple[Sites, set[str]]:
        """What a view may show."""
        if not isinstance(node, Expr) or not is_view(node.type):
            return frozenset(), set()
        return self.storage.of(self.scope, node), {*self.frames.of_view(node, self.assigned)}

    # Statements -------------------------------------------------------------------------------------------------------

    def statement(self, node: Stmt, state: State) -> State | None:
        if isinstance(node, With):
            self.final.append(self._leaves(node))
            after = super().statement(node, state)
            sites, names = self.final.pop()
            return self.end(sites, names, after) if after is not None else None
        if isinstance(node, Return):
            self.returned(node, state)
        if isinstance(node, Yield):  # the body of the loop runs here
            after = super().statement(node, state)
            waiting = self.storage.yields.get(self.function.name, frozenset[int]())
            return self.end(waiting, (), after) if after is not None else None
        return super().statement(node, state)

    def returned(self, node: Return, state: State) -> None:
        """A view is not returned past a `finally` or `with` that ends it."""
        sites, names = self.shows(node.value)
        for ended, given in self.final:
            taken = {name for name in given if TAKEN + name in state}
            if sites & ended or names & (given - taken):
                self.tell(node.value, (RESIZED if sites & ended else GIVEN_BACK).format("this"))

    def tell(self, node: Any, message: str, code: str = "KP272") -> None:
        hint = "take what is needed of it before, or make the view anew"
        if code == "KP273":
            hint = "take a reference with get_frame, or leave it to one place to give the frame back"
        if not any(d.loc == node.loc for d in self.errors):
            self.errors.append(Diagnostic(code, node.loc, message, hint))

    def while_loop(self, node: While, state: State) -> State | None:
        while True:
            errors = [*self.errors]
            when_true, when_false = self.condition(node.test, state)
            end, breaks, continues = self.turn(node.body, when_true)
            again = self.join(state, end, *continues)
            if again is None or again >= state:
                break
            self.errors, state = errors, again
        if isinstance(node.test, BoolLit) and node.test.value:
            when_false = None
        return self.join(self.block(node.orelse, when_false), *breaks)

    def for_loop(self, node: For, state: State) -> State | None:
        state = self.value(node.iterable, state)
        hidden = self.hide(node.iterable)
        state |= hidden
        while True:
            errors = [*self.errors]
            self.look(hidden, node.iterable, state)
            end, breaks, continues = self.turn(node.body, self.target(node.target, state))
            again = self.join(state, end, *continues)
            if again is None or again >= state:
                break
            self.errors, state = errors, again
        return self.join(self.block(node.orelse, state), *breaks)

    def turn(
        self, body: list[Stmt], state: State | None
    ) -> tuple[State | None, list[State | None], list[State | None]]:
        """A loop's body, once: how it ends, and the states of its `break`s and `continue`s."""
        self.breaks.append([])
        self.continues.append([])
        end = self.block(body, state)
        return end, self.breaks.pop(), self.continues.pop()

    def try_statement(self, node: Try, state: State) -> State | None:
        self.final.append(self._ends(node.final))
        self.trying.append(set())
        after = self.block(node.body, state)
        earlier = state - self.trying[-1]
        ends = [self.block(node.orelse, after)]
        ends += [self.block(handler.body, earlier | {handler.name or ""}) for handler in node.handlers]
        failed = state - self.trying.pop()
        self.final.pop()
        joined = self.join(*ends)
        if not node.final:
            return joined
        self.block(node.final, failed)
        return self.block(node.final, joined) if joined is not None else None

    def target(self, node: Target, state: State) -> State:
        state = super().target(node, state)
        name = node.name if isinstance(node, LocalTarget) else ""
        if isinstance(node, FieldTarget) and (inner := frame_name(node.value)):
            name = f"{inner}.{node.name}"
        return self.renewed(name, state)

    def renewed(self, name: str, state: State) -> State:
        """Another frame has a name now."""
        for frame in self.named if name else ():
            if frame == name or frame.startswith(name + "."):
                state = (state | {MARK + frame}) - {TAKEN + frame}
        return state

    def inner(self, function: Function) -> None:
        self.errors += judge(function, self.storage, self.frames, self.scope)

    # Expressions ------------------------------------------------------------------------------------------------------

    def hide(self, node: Any) -> set[str]:
        """A view without a name, that is used again later, gets one."""
        sites, frames = self.shows(node)
        if not sites and not frames:
            return set()
        name = f"view at {id(node)}"
        self.sites[name], self.shown[name] = sites, frames
        return {name}

    def look(self, hidden: Iterable[str], node: Any, state: State) -> None:
        for name in hidden:
            if name not in state:
                self.tell(node, self.why[name].format("this"))

    def value(self, node: Any, state: State) -> State:
        match node:
            case CallFunction() | CallMethod() | CallBuiltin() | New() | CallValue():
                return self.call(node, state)
            case Walrus(name=name):
                return self.renewed(name, super().value(node, state))
            case _:
                return super().value(node, state)

    def call(self, node: Any, state: State) -> State:
        parts = children(node)
        hidden: list[tuple[Any, set[str]]] = []
        for part in parts:
            state = self.value(part, state)
            if len(parts) > 1 and not isinstance(part, Local):
                hidden.append((part, self.hide(part)))
                state |= hidden[-1][1]
            elif len(parts) > 1:
                hidden.append((part, {part.name} & self.sites.keys()))
        for part, names in hidden:
            self.look(names, part, state)
        named = self.frames.ended(node)
        if isinstance(node, CallFunction) and node.function in TAKE | {SHOW}:
            named = [frame_name(node.args[0])]
        for name in named:
            if name in self.named and MARK + name not in state:
                self.tell(node, f"{name} may have been given back already", "KP273")
        if isinstance(node, CallFunction) and node.function == SHOW:
            return state
        if isinstance(node, CallFunction) and node.function in TAKE:
            return state | {TAKEN + name for name in named if name}
        return self.end(self.storage.resized(self.scope, node), self.frames.ended(node), state)

    def read(self, name: str, node: Any, state: State) -> None:
        if name not in state and name in self.why:
            self.tell(node, self.why[name].format(name))
