"""What lowering noted of locks (guards.py), judged over the whole program.

- Each access to a guarded field is under its guard: KP730. A function whose callers hold a lock is called under it:
  KP731.
- Locks are taken in the order of their ranks: KP732. While a spin lock is held, nothing sleeps, allocates, lets
  interrupts in or touches user memory, or needs the kernel lock: KP733 to KP736.
- Containers and parts of guarded objects are used where they are read, and nowhere else: KP737.
- The declarations make sense: KP738.

All that says nothing else is guarded by the kernel lock, and whoever touches it needs that. Exempt are fields that only
constructors store, before anybody else has the object. Where something is not known, it counts as mutable, as not held
and as needing the kernel lock.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from pathlib import Path as File
from typing import TYPE_CHECKING

from compiler.front.convert_types import short_name
from compiler.lower.borrows import changed_tables, outliving
from compiler.lower.guards import ALL_FIELDS, SPIN_LOCK, Access, Held, is_holder
from compiler.lower.values import Path
from compiler.lower.world import (
    ALLOCATE,
    COPIES_OUT,
    INTERRUPTS,
    KERNEL_LOCK,
    READS_PROGRAM,
    SLEEP,
    WRITES_PROGRAM,
    Edge,
    Instance,
    World,
)
from compiler.tree import ClassDecl, Diagnostic, Loc
from compiler.types import BoolType, ClassType, EnumType, IntType, Type, is_reference

if TYPE_CHECKING:
    from compiler.lower.effects import Effects

Notes = list[tuple[Loc | None, str]]
Reason = tuple[str, Loc, tuple[Held, ...]]  # what, where, and the spin locks around it
LIST_FILE = File(__file__).resolve().parents[1] / "lock_free.txt"
KERNEL_LOCK_RANK = 0


def lock_free_functions() -> dict[str, str]:
    """The functions of lock_free.txt, each with its reason."""
    found: dict[str, str] = {}
    for line in LIST_FILE.read_text(encoding="utf-8").splitlines():
        name, _, reason = line.partition("#")
        if name.strip():
            found[name.strip()] = reason.strip()
    return found


class Locks:
    """Guards, and what needs the kernel lock, of a closed world."""

    def __init__(self, world: World, effects: Effects) -> None:
        self.world = world
        self.effects = effects  # known to the methods that check, not to those that say what a function itself does
        self.notes = world.notes
        self.lock_free = lock_free_functions()
        self.stored: set[tuple[str, str]] = set()  # fields that somebody else than a constructor stores to
        for instance in world.instances.values():
            self.stored |= {(a.owner, a.name) for a in instance.accesses if a.write and not a.first}
        self.changed = world.changed | changed_tables(world.table_users.values())
        self._reasons: dict[Instance, list[Reason]] = {}

    # The kernel lock --------------------------------------------------------------------------------------------------

    def reasons(self, instance: Instance) -> list[Reason]:
        """Why a function itself needs the kernel lock, whatever it calls."""
        known = self._reasons.get(instance)
        if known is None:
            known = []
            if instance.function.name not in self.lock_free:
                known = self.own_reasons(instance)
            self._reasons[instance] = known
        return known

    def own_reasons(self, instance: Instance) -> list[Reason]:
        """`reasons`, whatever lock_free.txt says."""
        name = instance.function.name
        if instance.extern and "gives_up" not in instance.function.decorators:
            return [(f"{short_name(name)} is assembly", instance.function.loc, ())]
        needs = instance.needs.items()
        found = [(need.what, loc, need.held) for need, loc in needs if not self.is_table(need.table)]
        for access, loc in instance.accesses.items():
            if not access.cold and not access.first and self.default_guard(access):
                verb = "stores" if access.write else "reads"
                found.append((f"{verb} {short_name(access.owner)}.{access.name}", loc, access.held))
        return found

    def default_guard(self, access: Access) -> bool:
        """Whether the kernel lock guards what is accessed."""
        if self.notes.guard(access.owner, access.name) is not None:
            return False
        if not access.write and access.name in self.notes.atomic(access.owner):
            return False
        return not self.is_published(access.owner, access.name, access.holder)

    def is_published(self, owner: str, name: str, holder: bool) -> bool:
        """Whether a field never changes after the object was created."""
        return not holder and (owner, name) not in self.stored and owner not in self.world.exposed

    def is_table(self, identity: int) -> bool:
        """Whether a live container is only read after the import."""
        freezer = self.world.freezer
        changes = identity in self.changed or freezer is None or freezer.is_shared(identity)
        return identity != 0 and not changes

    # Guards -----------------------------------------------------------------------------------------------------------

    def is_held(self, wanted: Path | None, held: tuple[Held, ...]) -> bool:
        """Whether one of the locks that are held is surely the wanted one."""
        return wanted is not None and any(h.path == wanted for h in held) and self.is_stable(wanted)

    def is_stable(self, path: Path) -> bool:
        """Whether all that a path goes through is set once."""
        return all(self.is_published(owner, name, holder=False) for owner, name in path.fields)

    def guard_of(self, access: Access) -> str | None:
        """The field that holds the lock of what is accessed, if a lock has to be held for it."""
        guard = self.notes.guard(access.owner, access.name)
        if guard is None or access.first:
            return None
        lock, named = guard
        return lock if named or not self.is_published(access.owner, access.name, access.holder) else None

    def check_guards(self) -> list[Diagnostic]:
        """Accesses without the guard, calls without the locks that they promise."""
        found: list[Diagnostic] = []
        for instance in self.world.instances.values():
            for access, loc in instance.accesses.items():
                lock = None if access.cold else self.guard_of(access)
                if lock is None:
                    continue
                wanted = access.path.then(access.owner, lock) if access.path is not None else None
                if self.is_held(wanted, access.held):
                    continue
                message = f"{short_name(access.owner)}.{access.name} is guarded by {lock}, which is not held here"
                hint = f"with {wanted.text}: …" if wanted is not None else f"name the object: with NAME.{lock}: …"
                if wanted is not None and not self.is_stable(wanted):
                    hint = f"{wanted.text} may be another lock by now: bind the object to a variable first"
                found.append(Diagnostic("KP730", loc, message, hint, self.way_to(instance)))
        return found

    def check_contracts(self) -> list[Diagnostic]:
        """Calls of functions whose callers hold a lock."""
        found: list[Diagnostic] = []
        for instance in self.world.instances.values():
            if instance.extern and "holds" in instance.function.decorators:
                message = f"{short_name(instance.function.name)} is @holds, and is assembly"
                hint = "write it on the function that calls it"
                found.append(Diagnostic("KP738", instance.function.loc, message, hint))
        promising = {i for i in self.world.instances.values() if i.contracts}
        if not promising:
            return found
        for instance in self.world.instances.values():
            for edge in instance.edges:
                for target in self.effects.targets(edge) if not edge.cold else ():
                    if target in promising:
                        found += self._unfulfilled(instance, edge, target)
        outside = {*self.world.from_outside, *self.world.thunks, *self.world.addressed}
        outside |= {i for members in self.world.function_values.values() for i in members}
        for instance in promising:
            if instance in outside or "export" in instance.function.decorators:
                message = f"{short_name(instance.function.name)} is @holds, and is called from anywhere"
                hint = "take the lock inside: such a call promises nothing"
                found.append(Diagnostic("KP731", instance.function.loc, message, hint))
        return found

    def _unfulfilled(self, instance: Instance, edge: Edge, target: Instance) -> list[Diagnostic]:
        found = []
        for contract in target.contracts:
            promised = contract.held.path
            assert promised is not None
            given = edge.arguments[contract.parameter] if contract.parameter < len(edge.arguments) else None
            wanted = given
            for owner, name in promised.fields:
                wanted = wanted.then(owner, name) if wanted is not None else None
            if edge.kind == "value" or not self.is_held(wanted, edge.held):
                name = short_name(target.function.name)
                shown = wanted.text if wanted is not None else promised.text
                message = f"{name} needs {shown}, which is not held here"
                hint = f"with {shown}: …, or @holds" if wanted is not None else "call it by a name of the object"
                found.append(Diagnostic("KP731", edge.loc, message, hint, self.way_to(instance)))
        return found

    # While a spin lock is held ----------------------------------------------------------------------------------------

    def check_sections(self) -> list[Diagnostic]:
        """What must not happen while a spin lock is held, and locks out of rank."""
        found: list[Diagnostic] = []
        for instance in self.world.instances.values():
            for reason, loc, held in self.reasons(instance):
                if held:
                    message = f"{_name(instance)} needs the kernel lock while {_shown(held)} is held"
                    notes: Notes = [*self.way_to(instance), (loc, reason)]
                    found.append(Diagnostic("KP736", loc, message, _HINTS["KP736"], notes))
            for edge in instance.edges:
                if edge.held and not edge.cold:
                    fault = self._fault(instance, edge)
                    found += [fault] if fault is not None else []
                    found += self._out_of_rank(instance, edge)
        return found

    def _fault(self, instance: Instance, edge: Edge) -> Diagnostic | None:
        """The worst that a call or an allocation under a spin lock may do."""
        if edge.kind == "allocate":
            message = f"{_name(instance)} may allocate while {_shown(edge.held)} is held"
            return Diagnostic("KP734", edge.loc, message, _HINTS["KP734"], self.way_to(instance))
        for code, effect, verb in _FORBIDDEN:
            for target in self.effects.all_targets(edge):
                # What a function does whose callers hold the lock is judged there.
                if effect in self.effects.flags[target] and not target.contracts:
                    message = f"{_name(instance)} may {verb} while {_shown(edge.held)} is held"
                    message = message.replace("may need", "needs")
                    notes = [*self.way_to(instance), *self.trace(edge, effect)]
                    return Diagnostic(code, edge.loc, message, _HINTS[code], notes)
        return None

    def _out_of_rank(self, instance: Instance, edge: Edge) -> list[Diagnostic]:
        """Locks that a call may take although one of their rank or above is held."""
        highest = max(edge.held, key=lambda held: self.rank(held.lock))
        taken = {edge.takes} if edge.takes else set()
        for target in self.effects.all_targets(edge):
            taken |= self.effects.takes[target]
        found = []
        for lock in sorted(taken):
            if self.rank(lock) <= self.rank(highest.lock):
                message = (
                    f"{short_name(lock)} (rank {self.rank(lock)}) is taken while {short_name(highest.lock)} "
                    f"(rank {self.rank(highest.lock)}) is held"
                )
                notes = self.way_to(instance) + ([] if edge.takes else self.trace(edge, lock))
                found.append(Diagnostic("KP732", edge.loc, message, _HINTS["KP732"], notes))
        return found

    def rank(self, lock: str) -> int:
        """The rank of a class of locks; that of one without is refused apart."""
        return self.notes.rank(lock) or KERNEL_LOCK_RANK

    def check_takers(self) -> list[Diagnostic]:
        """Spin locks that are taken otherwise than by `with`, where their class is not known."""
        found = []
        methods = {f"{SPIN_LOCK}.__enter__", f"{SPIN_LOCK}.__exit__"}
        for instance in self.world.instances.values():
            for edge in instance.edges:
                names = {target.function.name for target in self.effects.targets(edge)} & methods
                if names and not edge.takes and not edge.gives:
                    message = "a spin lock is taken or given back by hand"
                    hint = "write `with`, with a lock whose class is known there"
                    found.append(Diagnostic("KP738", edge.loc, message, hint))
        return found

    # References that outlive the guard --------------------------------------------------------------------------------

    def check_borrows(self) -> list[Diagnostic]:
        """Containers and parts of guarded objects that are not used where they are read."""
        found = []
        for function in self.world.borrowers.values():
            for loc, owner, name, what in outliving(function, self.notes):
                message = f"{short_name(owner)}.{name} outlives the guard: {what}"
                hint = _STORED_HINT if what.startswith("what") else _KEPT_HINT
                found.append(Diagnostic("KP737", loc, message, hint))
        return found

    # Declarations -----------------------------------------------------------------------------------------------------

    def check_declarations(self) -> list[Diagnostic]:
        """Guards that are no locks, locks without a rank."""
        found: list[Diagnostic] = []
        reached = {a.name for t in self.world.instantiated for a in self.world.ancestors(t) if isinstance(a, ClassType)}
        reached |= self.world.layouts.mentioned()
        for name, decl in self.world.program.classes.items():
            if name not in reached:
                continue
            if isinstance(decl.base, ClassType) and self._is_lock(decl.base.name):
                found += self._lock_faults(decl)
            if self.notes.guards(name):
                found += self._guard_faults(decl)
            found += self._atomic_faults(decl)
            found += self._declared_again(decl)
        if SPIN_LOCK in {getattr(t, "name", "") for t in self.world.instantiated}:
            found += self._unranked()
        return found

    def _is_lock(self, name: str) -> bool:
        decl = self.world.program.classes.get(name)
        while decl is not None and decl.name != SPIN_LOCK:
            base = decl.base
            decl = self.world.program.classes.get(base.name) if isinstance(base, ClassType) else None
        return decl is not None

    def _lock_faults(self, decl: ClassDecl) -> list[Diagnostic]:
        name = short_name(decl.name)
        rank = self.notes.rank(decl.name)
        if not isinstance(decl.base, ClassType) or decl.base.name != SPIN_LOCK:
            return [Diagnostic("KP738", decl.loc, f"{name} derives from a class of locks", "derive it from SpinLock")]
        if decl.fields or decl.methods:
            return [Diagnostic("KP738", decl.loc, f"{name} is a lock, and has fields or methods", "a lock has none")]
        if rank is None or rank <= KERNEL_LOCK_RANK:
            hint = "write @ranked(N) with N from 1 on: locks are taken in the order of their ranks"
            return [Diagnostic("KP738", decl.loc, f"{name} is a lock without a rank", hint)]
        return []

    def _unranked(self) -> list[Diagnostic]:
        found = []
        for instance in self.world.instances.values():
            for edge in instance.edges:
                if getattr(edge.allocated, "name", "") == SPIN_LOCK:
                    hint = "derive a class from it, and write @ranked(N)"
                    found.append(Diagnostic("KP738", edge.loc, "SpinLock is a lock without a rank", hint))
        return found

    def _guard_faults(self, decl: ClassDecl) -> list[Diagnostic]:
        found: list[Diagnostic] = []
        own = {field.name: field.type for field in decl.fields}
        name = short_name(decl.name)
        for field, lock in self.notes.guards(decl.name).items():
            kind = own.get(lock)
            if not isinstance(kind, ClassType) or not self._is_lock(kind.name) or kind.name == SPIN_LOCK:
                message = f"{name} is guarded by {lock}, which is no field of it that holds a ranked lock"
                found.append(Diagnostic("KP738", decl.loc, message, "assign a lock of a @ranked class in __init__"))
            elif (decl.name, lock) in self.stored:
                message = f"{name}.{lock} is a guard, and gets another lock later"
                found.append(Diagnostic("KP738", decl.loc, message, "assign it once, in the body of __init__"))
            elif field != ALL_FIELDS and field not in own:
                found.append(Diagnostic("KP738", decl.loc, f"{name} has no field {field} that {lock} could guard"))
        return found

    def _atomic_faults(self, decl: ClassDecl) -> list[Diagnostic]:
        """Fields that are to be read without a lock, and that a read may find half changed, or under a lock."""
        found: list[Diagnostic] = []
        own = {field.name: field.type for field in decl.fields}
        name = short_name(decl.name)
        for field in sorted(self.notes.atomic(decl.name)):
            if field not in own:
                found.append(Diagnostic("KP738", decl.loc, f"{name} has no field {field} that could be atomic"))
            elif not is_word(own[field]):
                message = f"{name}.{field} is atomic, and no number or reference to an object"
                hint = "what is read as one is an int, a bool, an enum, a text, or an object that is no container"
                found.append(Diagnostic("KP738", decl.loc, message, hint))
            elif field in self.notes.own(decl.name) and decl.kind != "struct":
                message = f"{name}.{field} is a thread's own, and {name} is no struct"
                found.append(Diagnostic("KP738", decl.loc, message, "put it into a part of the thread"))
            elif decl.packed:
                message = f"{name}.{field} is atomic, and may lie across two lines of the cache"
                found.append(Diagnostic("KP738", decl.loc, message, "let the struct have its natural layout"))
            elif self.notes.guard(decl.name, field) is not None:
                message = f"{name}.{field} is atomic, and guarded"
                hint = "name the fields that the lock guards, or take the lock to read"
                found.append(Diagnostic("KP738", decl.loc, message, hint))
        return found

    def _declared_again(self, decl: ClassDecl) -> list[Diagnostic]:
        """Guarded fields that a class declares once more: the name alone would not show that they are guarded."""
        found: list[Diagnostic] = []
        own = {field.name for field in decl.fields}
        base = decl.base
        while isinstance(base, ClassType) and base.name in self.world.program.classes:
            above = self.world.program.classes[base.name]
            for field in above.fields:
                guarded = self.notes.guard(above.name, field.name) is not None
                if field.name in own and (guarded or field.name in self.notes.atomic(above.name)):
                    names = short_name(decl.name), short_name(above.name)
                    what = f"which {names[1]} guards" if guarded else f"which is atomic in {names[1]}"
                    message = f"{names[0]} declares {field.name} again, {what}"
                    found.append(Diagnostic("KP738", decl.loc, message, "assign it without a type"))
            base = above.base
        return found

    # Chains of calls --------------------------------------------------------------------------------------------------

    @cached_property
    def _callers(self) -> dict[Instance, tuple[Instance, Edge] | None]:
        """How each function is reached from an entry point, by the fewest calls."""
        came: dict[Instance, tuple[Instance, Edge] | None] = {}
        world, effects = self.world, self.effects
        called = {t for i in world.instances.values() for e in i.edges for t in effects.targets(e) if t is not i}
        roots = [i for i in world.instances.values() if "export" in i.function.decorators or i in world.thunks]
        roots += [i for i in world.from_outside if i not in roots]
        roots += [i for i in world.instances.values() if i not in called]
        pending: deque[Instance] = deque()
        for root in (*roots, *world.instances.values()):
            if root in came:
                continue
            came[root] = None
            pending.append(root)
            while pending:
                instance = pending.popleft()
                for edge in instance.edges:
                    for target in self.effects.targets(edge):
                        if target not in came:
                            came[target] = (instance, edge)
                            pending.append(target)
        return came

    def way_to(self, instance: Instance) -> Notes:
        """The calls that lead from an entry point to a function."""
        notes: Notes = []
        step = self._callers.get(instance)
        while step is not None:
            caller, edge = step
            notes.append((edge.loc, f"calls {instance.function.name}"))
            instance = caller
            step = self._callers.get(instance)
        return list(reversed(notes))

    def trace_from(self, instance: Instance, effect: str) -> Notes:
        """The calls that lead from a function to where its effect comes from."""
        source = self.source(instance, effect)
        if source is not None:
            return [source]
        chains = [self.trace(edge, effect) for edge in instance.edges if not edge.cold]
        return min((chain for chain in chains if chain), key=len, default=[])

    def trace(self, first: Edge, effect: str) -> Notes:
        """The calls that lead from a call to where an effect comes from, or a lock is taken."""

        def has(instance: Instance) -> bool:
            return effect in self.effects.flags[instance] or effect in self.effects.takes[instance]

        came: dict[Instance, tuple[Instance | None, Edge]] = {}
        pending: deque[Instance] = deque()

        def go(caller: Instance | None, edge: Edge) -> None:
            for target in self.effects.all_targets(edge):
                if target not in came and has(target):
                    came[target] = (caller, edge)
                    pending.append(target)

        go(None, first)
        while pending:
            instance = pending.popleft()
            source = self.source(instance, effect)
            if source is not None:
                notes: Notes = [source]
                at: Instance | None = instance
                while at is not None:
                    caller, edge = came[at]
                    notes.append((edge.loc, f"calls {at.function.name}"))
                    at = caller
                return list(reversed(notes))
            for edge in instance.edges:
                if not edge.cold:
                    go(instance, edge)
        return []

    def source(self, instance: Instance, effect: str) -> tuple[Loc | None, str] | None:
        """Where in a function an effect comes from, if it is not from a call."""
        if effect == KERNEL_LOCK:
            for reason, loc, _ in self.reasons(instance):
                return loc, reason
        for edge in instance.edges:
            if edge.kind == "allocate" and not edge.cold and effect in (KERNEL_LOCK, ALLOCATE):
                return edge.loc, "allocates here"
            if edge.takes == effect:
                return edge.loc, f"takes {short_name(effect)}"
        decorators = instance.function.decorators
        if effect == SLEEP and "sleeps" in decorators:
            return instance.function.loc, "sleeps"
        if effect == INTERRUPTS and "interrupted_by" in decorators:
            return instance.function.loc, "touches user memory, or lets interrupts in"
        access = decorators.get("gives_up")
        if effect == access or (effect == WRITES_PROGRAM and access == COPIES_OUT):
            return instance.function.loc, f"{effect} the program's memory"
        return None


def is_word(t: Type) -> bool:
    """Whether a value is one word that is loaded at once, and leads to nothing that the place of it guards."""
    return isinstance(t, IntType | BoolType | EnumType) or (is_reference(t) and not is_holder(t))


def _name(instance: Instance) -> str:
    return short_name(instance.function.name)


def _shown(held: tuple[Held, ...]) -> str:
    """The innermost lock."""
    return held[-1].path.text if held[-1].path is not None else short_name(held[-1].lock)


_FORBIDDEN = (
    ("KP733", SLEEP, "sleep"),
    ("KP734", ALLOCATE, "allocate"),
    ("KP735", INTERRUPTS, "touch user memory or let interrupts in"),
    ("KP735", READS_PROGRAM, "touch user memory"),
    ("KP735", WRITES_PROGRAM, "touch user memory"),
    ("KP736", KERNEL_LOCK, "need the kernel lock"),
)
_KEPT_HINT = "use it where it stands: an item, its length; or copy what is needed"
_STORED_HINT = "store a new container, which nobody else has: a literal, or the result of its class"
_HINTS = {
    "KP732": "take the lock of the lower rank first, or give the other one back",
    "KP733": "give the lock back before: whoever waits for it does nothing else",
    "KP734": "allocate before the lock is taken: the heap may have to reclaim",
    "KP735": "copy to or from a variable, and move that once the lock is given back",
    "KP736": "give the lock back before, or guard this by a lock of its own",
}
