"""How deep the kernel's stacks may become: the worst case of every entry point, before anything runs.

LLVM reports the frames and the calls of each object (`compiler/frames.py`), the lowering which functions an indirect
call may reach (`World.call_sets`). Frames are added up along the longest chain of calls from each `@on_stack` function.

A function that is `@recursion(n)` runs at most n times at once: of the stacks that its circle of calls allows then, the
deepest counts. A circle without such a function is an error.
Assembly uses little stack, and none that this file could see; what it is given is `ASSEMBLY_BYTES`. During some of it
the processor may enter the kernel again (`@interrupted_by`). What follows a bug (the message of a panic,
`@last_resort`) is not counted: if that overflows, the guard page below every stack says so. Nor is what has room of its
own (`@with_room`): its callers make sure of it first, so that calls may nest which would be a circle otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from math import prod
from pathlib import Path

from compiler.frames import ObjectFrames
from compiler.tree import Diagnostic, Loc

RETURN_ADDRESS = 8
ASSEMBLY_BYTES = 64  # the deepest pushes seven registers
MOST_STATES = 100_000  # of a circle: then a coarser sum is taken
MOST_ACTIVATIONS = 200
UNLOCKED_LIMIT = 8192  # without the kernel lock: below may lie what the reclaimer holds (hold_stack)
TAKES_OVER = "krait_take_over"  # what an exception there runs before that is let go
ENTRY_BYTES = 192  # the registers of what was interrupted (struct TrapFrame), and the processor's alignment

Node = tuple[str, str]  # package ("" for assembly), symbol


@dataclass
class StackFacts:
    """What the front half of the compiler knows, by symbol."""

    entries: dict[str, int] = field(default_factory=dict)  # the size of the stack that it starts on
    bounds: dict[str, int] = field(default_factory=dict)  # how many activations there are at once, at most
    interrupted_by: dict[str, str] = field(default_factory=dict)  # assembly -> what the processor may enter meanwhile
    gives_up: set[str] = field(default_factory=set)  # of these, those that it does not enter without the kernel lock
    last_resort: set[str] = field(default_factory=set)
    rooms: dict[str, int] = field(default_factory=dict)  # how much room its callers make before each call
    call_sets: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, Loc] = field(default_factory=dict)
    handlers: dict[str, str] = field(default_factory=dict)  # the thunks of system calls -> the handlers
    unlocked: set[str] = field(default_factory=set)  # thunks that run without the kernel lock


class StackDepths:
    """The worst case below every function."""

    def __init__(self, objects: dict[str, ObjectFrames], facts: StackFacts) -> None:
        self.objects = objects
        self.facts = facts
        self.home = {symbol: package for package, o in objects.items() for symbol in o.calls}
        self.aliases = {alias: symbol for o in objects.values() for alias, symbol in o.aliases.items()}
        self.depth: dict[Node, int] = {}
        self.next: dict[Node, Node] = {}  # the callee on the deepest chain
        self.recursions: list[list[Node]] = []
        for component in self._components():
            self._settle(component)

    def node(self, symbol: str, package: str = "") -> Node:
        symbol = self.aliases.get(symbol, symbol)
        if package and symbol in self.objects[package].calls:
            return package, symbol
        return self.home.get(symbol, ""), symbol

    def own_bytes(self, node: Node) -> int:
        package, symbol = node
        if not package:
            return ASSEMBLY_BYTES + (ENTRY_BYTES if symbol in self.facts.interrupted_by else 0)
        return self.objects[package].frames.get(symbol, 0) + RETURN_ADDRESS

    def callees(self, node: Node) -> list[Node]:
        package, symbol = node
        if not package:
            entered = self.facts.interrupted_by.get(symbol)
            return [self.node(entered)] if entered else []
        own = self.objects[package]
        names = list(own.calls[symbol])
        for key in own.sets[symbol]:
            names += self.facts.call_sets.get(key, [])
        found = dict.fromkeys(self.node(name, package) for name in names)
        apart = self.facts.last_resort | self.facts.rooms.keys()
        return [callee for callee in found if callee[1] not in apart]

    def _components(self) -> Iterable[list[Node]]:
        """Circles of calls (and single functions), callees before callers: Tarjan's algorithm."""
        number: dict[Node, int] = {}
        low: dict[Node, int] = {}
        stack: list[Node] = []
        waiting: set[Node] = set()
        for root in [(package, symbol) for package, o in self.objects.items() for symbol in o.calls]:
            if root in number:
                continue
            work: list[tuple[Node, list[Node]]] = [(root, self.callees(root))]
            number[root] = low[root] = len(number)
            stack.append(root)
            waiting.add(root)
            while work:
                node, rest = work[-1]
                if rest:
                    callee = rest.pop()
                    if callee not in number:
                        number[callee] = low[callee] = len(number)
                        stack.append(callee)
                        waiting.add(callee)
                        work.append((callee, self.callees(callee)))
                    elif callee in waiting:
                        low[node] = min(low[node], number[callee])
                    continue
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    component = []
                    while True:
                        member = stack.pop()
                        waiting.discard(member)
                        component.append(member)
                        if member == node:
                            break
                    yield component

    def _settle(self, component: list[Node]) -> None:
        """The depths of a component whose callees outside have theirs."""
        members = set(component)
        inside = {node: [c for c in self.callees(node) if c in members] for node in component}
        for node in component:
            below = [c for c in self.callees(node) if c not in members]
            deepest = max(below, key=lambda c: self.depth[c], default=None)
            self.depth[node] = self.own_bytes(node) + (self.depth[deepest] if deepest else 0)
            if deepest:
                self.next[node] = deepest
        if len(component) == 1 and not inside[component[0]]:
            return
        bounded = {node: self.facts.bounds[node[1]] for node in component if node[1] in self.facts.bounds}
        free = {node: [c for c in inside[node] if c not in bounded] for node in component}
        circle = find_circle({node: callees for node, callees in free.items() if node not in bounded})
        if circle:
            self.recursions.append(circle)
            return
        self._settle_recursion(component, bounded, inside)

    def _settle_recursion(
        self, component: list[Node], bounded: dict[Node, int], inside: dict[Node, list[Node]]
    ) -> None:
        """Calls of bounded functions cut the deepest stack into ways that meet none in between. All sequences of such
        ways are tried in which no bounded function runs more often than it may; the last way leads out.
        """
        free = {node: [c for c in inside[node] if c not in bounded] for node in component}
        ways = {target: self._ways(component, free, inside, target) for target in bounded}
        out = self._ways_out(component, free)
        targets = list(bounded)
        limits = tuple(bounded.values())

        @cache
        def deepest(node: Node, left: tuple[int, ...]) -> int:
            """Bytes below and in a function, when the bounded ones may run that many times more."""
            found = out[node]
            for index, target in enumerate(targets):
                way = ways[target][node]
                if left[index] and way:
                    after = (*left[:index], left[index] - 1, *left[index + 1 :])
                    found = max(found, way + deepest(target, after))
            return found

        way_out = max(component, key=lambda node: self.depth[node])
        is_small = prod(times + 1 for times in limits) <= MOST_STATES and sum(limits) <= MOST_ACTIVATIONS
        for node in component:
            if node != way_out:
                self.next[node] = way_out
            if is_small:
                left = tuple(times - (target == node) for target, times in bounded.items())
                self.depth[node] = deepest(node, left)
            else:
                longest = {t: max(ways[target][t] for target in targets) for t in targets}
                first = max(ways[target][node] for target in targets)
                self.depth[node] = first + sum(bounded[t] * longest[t] for t in targets) + max(out.values())

    def _ways(
        self, component: list[Node], free: dict[Node, list[Node]], inside: dict[Node, list[Node]], target: Node
    ) -> dict[Node, int]:
        """Bytes of the longest way from each function to a call of the target; 0 if there is none."""
        found: dict[Node, int] = {}

        def way(node: Node) -> int:
            if node not in found:
                further = max((way(c) for c in free[node]), default=0)
                found[node] = self.own_bytes(node) + further if target in inside[node] or further else 0
            return found[node]

        for node in component:
            way(node)
        return found

    def _ways_out(self, component: list[Node], free: dict[Node, list[Node]]) -> dict[Node, int]:
        """Bytes of the deepest stack from each function that meets no bounded one on its way out of the component,
        whose functions have the depths of their callees outside.
        """
        found: dict[Node, int] = {}

        def way(node: Node) -> int:
            if node not in found:
                further = max((way(c) for c in free[node]), default=0)
                found[node] = max(self.depth[node], self.own_bytes(node) + further)
            return found[node]

        for node in component:
            way(node)
        return found

    def chain(self, node: Node) -> list[Node]:
        """The deepest chain of calls from a function."""
        found = [node]
        while (callee := self.next.get(found[-1])) is not None and callee not in found:
            found.append(callee)
        return found


def find_circle(graph: dict[Node, list[Node]]) -> list[Node]:
    """Functions that call one another in a circle; empty if none do."""
    done: set[Node] = set()
    for root in graph:
        path: list[Node] = []
        work = [(root, iter(graph[root]))] if root not in done else []
        on_path: set[Node] = set()
        while work:
            node, rest = work[-1]
            if node not in on_path:
                on_path.add(node)
                path.append(node)
            for callee in rest:
                if callee in on_path:
                    return path[path.index(callee) :]
                if callee in graph and callee not in done:
                    work.append((callee, iter(graph[callee])))
                    break
            else:
                work.pop()
                path.pop()
                on_path.discard(node)
                done.add(node)
    return []


# Judgement and report -------------------------------------------------------------------------------------------------


def measure(objects: dict[str, Path], facts: StackFacts) -> StackDepths:
    """The depths of a program, from what lies beside its objects."""
    return StackDepths({p: ObjectFrames.read(path.with_suffix(".frames")) for p, path in objects.items()}, facts)


def faults(depths: StackDepths) -> list[Diagnostic]:
    """Circles of calls without a bound, and entry points whose stack might not do, each with its chain of calls."""
    facts = depths.facts
    nowhere = Loc("", 0)
    found: list[Diagnostic] = []
    for circle in depths.recursions:
        first = circle[0][1]
        names = " -> ".join([*(symbol for _, symbol in circle), first])
        hint = "write a loop, or say with @recursion(n) how many calls are under way at once, and why"
        fault = Diagnostic("KP722", facts.places.get(first, nowhere), f"recursion without a bound: {names}", hint)
        fault.notes = [(facts.places.get(symbol), symbol) for _, symbol in circle[1:]]
        found.append(fault)
    for entry, size in facts.entries.items():
        node = depths.node(entry)
        need = depths.depth[node] + ENTRY_BYTES
        if need > size:
            fault = Diagnostic("KP721", facts.places.get(entry, nowhere),
                               f"{entry} may need {need} bytes of stack, and has {size}",
                               "large frames come from structs and Arrays in locals")  # fmt: skip
            chain = depths.chain(node)
            fault.notes = [(facts.places.get(s), f"{s}: {depths.own_bytes((p, s))} bytes") for p, s in chain]
            found.append(fault)
    for symbol, size in facts.rooms.items():
        node = depths.node(symbol)
        need = depths.depth[node] + ENTRY_BYTES  # an exception may come in the deepest frame
        if need > size:
            fault = Diagnostic("KP721", facts.places.get(symbol, nowhere),
                               f"{symbol} may need {need} bytes of stack, and has room for {size}",
                               "large frames come from structs and Arrays in locals")  # fmt: skip
            chain = depths.chain(node)
            fault.notes = [(facts.places.get(s), f"{s}: {depths.own_bytes((p, s))} bytes") for p, s in chain]
            found.append(fault)
    exception = depths.depth.get(depths.node(TAKES_OVER), 0) + ENTRY_BYTES
    if facts.unlocked and facts.gives_up:
        entered = {name: entry for name, entry in facts.interrupted_by.items() if name not in facts.gives_up}
        depths = StackDepths(depths.objects, replace(facts, interrupted_by=entered))
    for thunk in sorted(facts.unlocked):
        need = depths.depth[depths.node(thunk)] + ENTRY_BYTES + exception
        if need > UNLOCKED_LIMIT:
            handler = facts.handlers[thunk]
            message = f"{handler} may need {need} bytes of stack, and has {UNLOCKED_LIMIT} without the kernel lock"
            found.append(Diagnostic("KP721", facts.places.get(handler, nowhere), message,
                                    "large frames come from structs and Arrays in locals"))  # fmt: skip
    return found


def report(depths: StackDepths) -> list[str]:
    """The worst case of every entry point with its chain, and of every system call."""
    lines: list[str] = []
    for entry, size in sorted(depths.facts.entries.items()):
        node = depths.node(entry)
        lines.append(f"{depths.depth[node] + ENTRY_BYTES:>6} of {size:>6} bytes  {entry}")
        lines += [f"{depths.own_bytes(n):>16}  {n[1]}" for n in depths.chain(node)]
    rooms = [(depths.depth[depths.node(symbol)], size, symbol) for symbol, size in depths.facts.rooms.items()]
    lines += [f"{depth:>6} of {size:>6} bytes  {symbol}" for depth, size, symbol in sorted(rooms, reverse=True)]
    handlers = [(depths.depth[depths.node(thunk)], name) for thunk, name in depths.facts.handlers.items()]
    lines += [f"{depth:>6} bytes  {name}" for depth, name in sorted(handlers, reverse=True)]
    return lines
