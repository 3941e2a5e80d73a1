"""Effects over the whole reached call graph: which exceptions a function may raise, whether it may sleep,
allocate or panic.

Inferred after discovery from the edges of every instance, virtual calls and function values included. From this follow
which signatures carry an error word, and whether the promises of decorators hold; a broken one is shown with the chain
of calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from compiler.lower.function import holds_function
from compiler.lower.locks import Locks
from compiler.lower.unlocked import check_sections, quick_forms
from compiler.lower.world import (
    ALLOCATE,
    COPIES_OUT,
    INTERRUPTS,
    KERNEL_LOCK,
    PANIC,
    SLEEP,
    SYSCALL_HANDLER,
    WRITES_PROGRAM,
    Cleanup,
    Edge,
    Instance,
    World,
)
from compiler.tree import Diagnostic, Function, Loc
from compiler.types import OptionalType

PROMISES = {
    "nosleep": (SLEEP,),
    "noalloc": (ALLOCATE,),
    "irq": (SLEEP, ALLOCATE),
    "nopanic": (PANIC,),
    "unlocked": (KERNEL_LOCK,),
}


def settle(
    instances: list[Instance], callers: dict[Instance, dict[Instance, None]], update: Callable[[Instance], bool]
) -> None:
    """Call `update` for each instance, and again for the callers of those that it had news of, until there are none."""
    queue = deque(instances)
    waiting = set(instances)
    while queue:
        instance = queue.popleft()
        waiting.discard(instance)
        if update(instance):
            for caller in callers.get(instance, ()):
                if caller not in waiting:
                    waiting.add(caller)
                    queue.append(caller)


class Effects:
    """The effects of every instance of a closed world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.raises: dict[Instance, set[str]] = {}
        self.flags: dict[Instance, set[str]] = {}
        self.takes: dict[Instance, set[str]] = {}  # the classes of the spin locks that a function may take
        self.locks = Locks(world, self)
        self._targets: dict[int, list[Instance]] = {}
        self._caught: dict[tuple[str, tuple[str, ...]], bool] = {}
        self._compute()

    def targets(self, edge: Edge) -> list[Instance]:
        """The instances that a call edge may reach."""
        known = self._targets.get(id(edge))
        if known is None:
            if edge.kind == "call":
                assert edge.instance is not None
                known = [edge.instance]
            elif edge.kind == "virtual":
                assert edge.site is not None
                known = list(dict.fromkeys(i for _, i in self.world.implementations(*edge.site)))
            elif edge.kind == "value":
                assert edge.signature is not None
                known = self.world.functions_from(edge.signature if edge.origin is None else edge.origin)
            else:
                known = []
            self._targets[id(edge)] = known
        return known

    def all_targets(self, edge: Edge) -> list[Instance]:
        """`targets`, and the handlers of system calls where an edge calls these."""
        return self.targets(edge) + (list(self.world.thunks) if self.calls_handlers(edge) else [])

    def calls_handlers(self, edge: Edge) -> bool:
        """Whether a call may reach the thunks of system call handlers."""
        return edge.signature is not None and self.world.group_of(edge.signature) == self.world.group_of(
            SYSCALL_HANDLER
        )

    def escapes(self, exception: str, caught: tuple[str, ...]) -> bool:
        """Whether an exception gets past handlers for `caught`."""
        if not caught:
            return True
        key = (exception, caught)
        known = self._caught.get(key)
        if known is None:
            numbers = self.world.exception_numbers
            low, high = numbers[exception]
            known = not any(numbers[c][0] <= low and high <= numbers[c][1] for c in caught if c in numbers)
            self._caught[key] = known
        return known

    def _open_parameters(self) -> None:
        """Functions that are called virtually, through values or from outside take function values from anywhere."""
        world = self.world
        callable_from_afar = {i for members in world.function_values.values() for i in members} | set(
            world.from_outside
        )
        for site, method in world.virtual_sites:
            callable_from_afar |= {i for _, i in world.implementations(site, method)}
        for instance in callable_from_afar:
            for number, t in enumerate(instance.parameters):
                if holds_function(t):
                    inner = t.inner if isinstance(t, OptionalType) else t
                    world.flows.setdefault(("parameter", instance.symbol, number), {})[inner] = None

    def _compute(self) -> None:
        self._open_parameters()
        callers: dict[Instance, dict[Instance, None]] = {}
        instances = list(self.world.instances.values())
        for instance in instances:
            self.raises[instance] = set()
            self.flags[instance] = self._own_flags(instance)
            self.takes[instance] = {edge.takes for edge in instance.edges if edge.takes}
            for edge in instance.edges:
                for target in self.all_targets(edge):
                    callers.setdefault(target, {})[instance] = None
        settle(instances, callers, self._update)

    def _own_flags(self, instance: Instance) -> set[str]:
        """The effects of a function that are not those of a call or an allocation."""
        decorators = instance.function.decorators
        found = {SLEEP} if "sleeps" in decorators else set()
        if "gives_up" in decorators:
            found.add(decorators["gives_up"])
            if decorators["gives_up"] == COPIES_OUT:
                found.add(WRITES_PROGRAM)
        elif "interrupted_by" in decorators:
            found.add(INTERRUPTS)
        if self.locks.reasons(instance):
            found.add(KERNEL_LOCK)
        return found

    def _update(self, instance: Instance) -> bool:
        """Add what the edges of an instance bring; whether that was news."""
        raises, flags, takes = self.raises[instance], self.flags[instance], self.takes[instance]
        before = len(raises) + len(flags) + len(takes)
        for edge in instance.edges:
            if edge.cold:
                continue
            if edge.kind == "raise":
                if self.escapes(edge.exception, edge.caught):
                    raises.add(edge.exception)
            elif edge.kind == "allocate":
                flags |= {ALLOCATE, PANIC, KERNEL_LOCK}  # the allocator checks its own books
            elif edge.kind == "panic":
                flags.add(PANIC)
            else:
                if self.calls_handlers(edge):
                    for handler in self.world.thunks:  # which turn exceptions into numbers
                        flags |= self.flags[handler]
                        takes |= self.takes[handler]
                for target in self.targets(edge):
                    flags |= self.flags[target]
                    takes |= self.takes[target]
                    for exception in self.raises[target]:
                        if exception not in raises and self.escapes(exception, edge.caught):
                            raises.add(exception)
        return len(raises) + len(flags) + len(takes) != before

    # Signatures -------------------------------------------------------------------------------------------------------

    def settle_signatures(self) -> None:
        """Decide which functions return an error word: those that may raise, and all that share a call with one."""
        world = self.world
        for instance in world.instances.values():
            instance.raises_word = bool(self.raises[instance]) and not instance.extern
        groups: list[list[Instance]] = []
        families: dict[object, dict[Instance, None]] = {}
        for site, method in world.virtual_sites:
            members = {i: None for _, i in world.implementations(site, method)}
            if len(members) > 1 and not world.layouts.is_polymorphic_root(site):
                families.setdefault(world.family(site, method), {}).update(members)
        groups += [list(members) for members in families.values()]
        groups += [list(members) for members in world.function_values.values()]
        changed = True
        while changed:
            changed = False
            for group in groups:
                if any(i.raises_word for i in group):
                    for instance in group:
                        if not instance.raises_word and not instance.extern:
                            instance.raises_word = True
                            changed = True

    # Promises ---------------------------------------------------------------------------------------------------------

    def check_promises(self) -> list[Diagnostic]:
        """Diagnostics for all broken promises."""
        found: list[Diagnostic] = []
        inherited = self._inherited_promises()
        quick = quick_forms(self.world)
        for instance in self.world.instances.values():
            decorators = instance.function.decorators
            promised = {**inherited.get(instance, {}), **dict.fromkeys(decorators, "")}
            if instance.function.name in quick:
                promised |= dict.fromkeys(("unlocked", "noalloc", "nosleep"), f" as {quick[instance.function.name]}")
            for decorator, effects in PROMISES.items():
                if decorator in promised:
                    for effect in effects:
                        if effect in self.flags[instance]:
                            found.append(self._broken(instance, f"@{decorator}{promised[decorator]}", effect))
            if self.raises[instance]:
                if "noraise" in promised:
                    found.append(self._raising(instance, f"is @noraise{promised['noraise']}"))
                elif "export" in decorators:
                    found.append(self._raising(instance, "is exported: nobody could catch it"))
                elif instance in self.world.from_outside:
                    found.append(self._raising(instance, "is called by address from outside: nobody could catch it"))
        return found + check_sections(self)

    def _inherited_promises(self) -> dict[Instance, dict[str, str]]:
        """What methods owe because of what they override, or because a protocol asks for it: decorator -> by whom."""
        found: dict[Instance, dict[str, str]] = {}

        def owes(instance: Instance, promise: Function) -> None:
            if promise is not instance.function:
                for decorator in promise.decorators.keys() & {*PROMISES, "noraise"}:
                    found.setdefault(instance, {}).setdefault(decorator, f" by {promise.name}")

        functions, classes = self.world.program.functions, self.world.program.classes
        for instance in self.world.instances.values():
            decl = classes.get(instance.function.cls or "")
            method = instance.function.name.rpartition(".")[2]
            while decl is not None and decl.base is not None and method != "__init__":
                decl = classes.get(getattr(decl.base, "name", ""))
                above = functions.get(f"{decl.name}.{method}") if decl is not None else None
                if above is not None:
                    owes(instance, above)
        for site, method in self.world.virtual_sites:
            declared = self.world.find_method(site, method)
            if declared is not None:
                for _, instance in self.world.implementations(site, method):
                    owes(instance, declared[0])
        return found

    def check_locks(self) -> list[Diagnostic]:
        """Diagnostics for all that is wrong with locks."""
        locks = self.locks
        return [
            *locks.check_declarations(),
            *locks.check_guards(),
            *locks.check_contracts(),
            *locks.check_sections(),
            *locks.check_takers(),
            *locks.check_borrows(),
        ]

    def check_cleanups(self) -> list[Diagnostic]:
        """Clean-up code that is left out when its body raises something else than it names."""
        found: list[Diagnostic] = []
        for instance in self.world.instances.values():
            for cleanup in instance.cleanups:
                missed: dict[str, Edge] = {}
                for edge in instance.edges[cleanup.start : cleanup.end]:
                    inner = edge.caught[cleanup.depth :]
                    raised = {edge.exception} if edge.kind == "raise" else set()
                    for target in self.targets(edge) if not edge.cold else ():
                        raised |= self.raises[target]
                    for exception in raised:
                        if self.escapes(exception, inner):
                            missed.setdefault(exception, edge)
                if missed:
                    found.append(self._missed(cleanup, missed))
        return found

    def _missed(self, cleanup: Cleanup, missed: dict[str, Edge]) -> Diagnostic:
        names = sorted(name.rpartition(".")[2] for name in missed)
        message = f"this clean-up is left out when {' or '.join(names)} is raised"
        caught = [name.rpartition(".")[2] for name in cleanup.exceptions]
        hint = f"except ({', '.join([*caught, *names])}), or clean up in finally"
        notes: list[tuple[Loc | None, str]] = []
        for name, edge in sorted(missed.items()):
            targets = [t.function.name for t in self.targets(edge) if name in self.raises[t]]
            what = f"calls {targets[0]}, which may raise" if targets else "may raise"
            notes.append((edge.loc, f"{what} {name.rpartition('.')[2]}"))
        return Diagnostic("KP704", cleanup.loc, message, hint, notes)

    def check_inlining(self) -> list[Diagnostic]:
        """Functions that are to be inlined everywhere, and so into themselves."""
        found: list[Diagnostic] = []
        for instance in self.world.instances.values():
            if "inline" in instance.function.decorators and self._inlines_itself(instance):
                name = instance.function.name.rpartition(".")[2]
                message = f"{name} is @inline, and calls itself"
                found.append(Diagnostic("KP702", instance.function.loc, message, "take @inline away, or write a loop"))
        return found

    def _inlines_itself(self, start: Instance) -> bool:
        seen: set[Instance] = set()
        pending = [start]
        while pending:
            for edge in pending.pop().edges:
                for target in self.targets(edge) if edge.kind in ("call", "virtual") else ():
                    if target is start:
                        return True
                    if target not in seen and "inline" in target.function.decorators:
                        seen.add(target)
                        pending.append(target)
        return False

    def _broken(self, instance: Instance, decorator: str, effect: str) -> Diagnostic:
        name = instance.function.name
        verb = {SLEEP: "may sleep", ALLOCATE: "may allocate", PANIC: "may panic", KERNEL_LOCK: "needs the kernel lock"}
        diagnostic = Diagnostic("KP700", instance.function.loc, f"{name} is {decorator} but {verb[effect]}")
        if effect == KERNEL_LOCK:
            diagnostic.notes = self.locks.trace_from(instance, effect)
            return diagnostic
        diagnostic.notes = self._chain(
            instance, lambda i: effect in self.flags[i], lambda e: self._is_source(e, effect)
        )
        return diagnostic

    def _is_source(self, edge: Edge, effect: str) -> bool:
        if effect == ALLOCATE:
            return edge.kind == "allocate"
        if effect == PANIC:
            return edge.kind in ("panic", "allocate")
        return any("sleeps" in t.function.decorators for t in self.targets(edge))

    def _raising(self, instance: Instance, why: str) -> Diagnostic:
        exception = sorted(self.raises[instance])[0]
        short = exception.rsplit(".", 1)[-1]
        diagnostic = Diagnostic(
            "KP701", instance.function.loc, f"{instance.function.name} may raise {short}, but {why}"
        )
        diagnostic.hint = f"catch it: except {short}"

        def source(edge: Edge) -> bool:
            return edge.kind == "raise" and edge.exception == exception and self.escapes(exception, edge.caught)

        diagnostic.notes = self._chain(instance, lambda i: exception in self.raises[i], source, exception)
        return diagnostic

    def _chain(
        self,
        start: Instance,
        has: Callable[[Instance], bool],
        is_source: Callable[[Edge], bool],
        exception: str = "",
    ) -> list[tuple[Loc | None, str]]:
        """The shortest chain of calls from `start` to where the effect comes from."""
        came: dict[Instance, tuple[Instance, Edge] | None] = {start: None}
        queue = deque([start])
        while queue:
            instance = queue.popleft()
            for edge in instance.edges:
                if edge.cold:
                    continue
                if is_source(edge):
                    return self._path(came, instance, edge)
                for target in self.targets(edge):
                    passes = not exception or self.escapes(exception, edge.caught)
                    if target not in came and has(target) and passes:
                        came[target] = (instance, edge)
                        queue.append(target)
        return []

    def _path(
        self, came: dict[Instance, tuple[Instance, Edge] | None], last: Instance, edge: Edge
    ) -> list[tuple[Loc | None, str]]:
        what = {"raise": "raises here", "allocate": "allocates here", "panic": "may trap here"}.get(edge.kind, "")
        if not what:
            what = (
                "calls "
                + next(t.function.name for t in self.targets(edge) if "sleeps" in t.function.decorators)
                + ", which sleeps"
            )
        notes: list[tuple[Loc | None, str]] = [(edge.loc, what)]
        step = came[last]
        while step is not None:
            caller, through = step
            name = last.function.name
            notes.append(
                (through.loc, f"calls {name}" + ("" if through.kind == "call" else " (one of several targets)"))
            )
            last = caller
            step = came[last]
        return list(reversed(notes))
