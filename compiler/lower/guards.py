"""What lowering notes of locks while it goes through a function: accesses to fields, what needs the kernel lock, which
spin locks are held around each. locks.py judges it when the whole program is known.

A lock is held inside `with PATH:` and in a function whose callers promise it (`@holds("PATH")`). PATH is a variable
or a global, and fields from there on. That an access by the same path means the same object is true because the
variable keeps its value while the lock is held (`keep_owner`), and because the fields of a path are set once.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compiler.lower.layout import live_object, module_of
from compiler.lower.values import Path, Value
from compiler.tree import Program
from compiler.types import (
    CONTAINERS,
    BoolType,
    BytesType,
    ClassType,
    EnumType,
    FunctionType,
    IntType,
    NeverType,
    NoneType,
    OptionalType,
    StrType,
    TupleType,
    Type,
    UnionType,
    WeakType,
    show,
)

if TYPE_CHECKING:
    from compiler.lower.function import FunctionLowerer

SPIN_LOCK = "kernel.lang.locks.SpinLock"
NOTES = "kernel.lang.guards"
ALL_FIELDS = "*"
_PLAIN = (IntType, BoolType, EnumType, NoneType, NeverType, StrType, BytesType, FunctionType, WeakType)
# What touches no memory that somebody else could change at the same time: atomic operations, addresses, traps.
FREE_PRIMITIVES = frozenset(
    f"unsafe.{name}"
    for name in ("address_of", "span_address", "symbol_address", "function_address", "atomic_add_u32",
                 "atomic_swap_u32", "atomic_cas_u32", "compiler_barrier", "memory_fence", "own_object", "pause",
                 "spill_registers", "trap")
)  # fmt: skip
# Those of them that store, or wait for somebody who does.
STORING_PRIMITIVES = frozenset(
    f"unsafe.{name}" for name in ("atomic_add_u32", "atomic_swap_u32", "atomic_cas_u32", "pause")
)


@dataclass(frozen=True, slots=True)
class Held:
    """A spin lock that is held at a place."""

    path: Path | None  # None: the lock has no name, so it guards nothing that could be named
    lock: str  # its class


@dataclass(frozen=True, slots=True)
class Access:
    """A read or a write of an object's field."""

    owner: str  # the class that declares the field
    name: str
    holder: bool  # what is read is a part of the object, or a container: something that others may change
    path: Path | None  # of the object
    held: tuple[Held, ...]
    write: bool
    first: bool  # the constructor's store to a field that nobody has seen
    cold: bool  # on the way to a panic


@dataclass(frozen=True, slots=True)
class Need:
    """Something else that only the kernel lock guards."""

    what: str
    held: tuple[Held, ...]
    table: int = 0  # the identity of the live container whose contents are used, if it is that


@dataclass(frozen=True, slots=True)
class Contract:
    """A lock that a function's callers hold."""

    parameter: int
    held: Held  # as the function names it


def is_holder(t: Type) -> bool:
    """Whether a value of `t` shows contents that others may change: a container, a struct or Array in place. References
    to objects of the program do not: each field of these has a guard of its own.
    """
    match t:
        case OptionalType(inner):
            return is_holder(inner)
        case TupleType(items) | UnionType(items):
            return any(is_holder(item) for item in items)
        case ClassType(name):
            return name.startswith(CONTAINERS) or name == "builtins.object"
        case _:
            return not isinstance(t, _PLAIN)


class Notes:
    """The declarations of kernel.lang.guards, by the names of classes."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._guards: dict[str, dict[str, str]] = {}
        self._atomic: dict[str, frozenset[str]] = {}
        self._own: dict[str, frozenset[str]] = {}

    def guards(self, owner: str) -> dict[str, str]:
        """The lock's field by what it guards of the fields that a class declares."""
        known = self._guards.get(owner)
        if known is None:
            known = self._noted("GUARDS", owner) or {}
            self._guards[owner] = known
        return known

    def guard(self, owner: str, name: str) -> tuple[str, bool] | None:
        """The lock's field, and whether the guarded one was named; None if the kernel lock guards it."""
        guards = self.guards(owner)
        if name in guards:
            return guards[name], True
        lock = guards.get(ALL_FIELDS)
        return (lock, False) if lock is not None and lock != name else None

    def atomic(self, owner: str) -> frozenset[str]:
        """The fields that a class declares and that anybody may read."""
        known = self._atomic.get(owner)
        if known is None:
            known = (self._noted("ATOMIC", owner) or frozenset()) | self.own(owner)
            self._atomic[owner] = known
        return known

    def own(self, owner: str) -> frozenset[str]:
        """The fields of a struct that only the running thread stores (lower/own.py)."""
        known = self._own.get(owner)
        if known is None:
            known = self._noted("OWN", owner) or frozenset()
            self._own[owner] = known
        return known

    def rank(self, lock: str) -> int | None:
        """The rank of a class of locks, if it has any."""
        rank: int | None = self._noted("RANKS", lock)
        return rank

    def _noted(self, table: str, name: str) -> Any:  # noqa: ANN401  (what a table holds)
        module = sys.modules.get(NOTES)
        if module is None or name not in self.program.classes:
            return None
        owner = module_of(self.program, name)
        if owner not in sys.modules:  # a file that is checked alone names it for types only
            importlib.import_module(owner)
        return getattr(module, table).get(live_object(self.program, name))


# While a function is lowered ------------------------------------------------------------------------------------------


def note_access(fn: FunctionLowerer, receiver: Value, name: str, write: bool, first: bool = False) -> Path | None:
    """A field is read or written; its path."""
    t = receiver.type.inner if isinstance(receiver.type, OptionalType) else receiver.type
    path: Path | None = None
    for item in t.items if isinstance(t, UnionType) else (t,):
        if not isinstance(item, ClassType):
            return None  # structs are parts of objects, or values
        owner = fn.world.declaring_class(item, name)
        if receiver.path is not None:
            path = receiver.path.then(owner, name)
        if not fn.discovering or not fn.live or owner.startswith(CONTAINERS):
            continue  # a container's contents have the guard of the place that holds the container
        holder = is_holder(fn.layouts.field(item, name)[1])
        access = Access(owner, name, holder, receiver.path, fn.held(), write, first, fn.cold)
        fn.instance.accesses.setdefault(access, fn.loc)
        if holder and fn.world.notes.guard(owner, name) is not None:
            fn.world.borrowers[id(fn.frame.function)] = fn.frame.function
    return path


def note_need(fn: FunctionLowerer, what: str) -> None:
    """Something needs the kernel lock."""
    if fn.discovering and fn.live and not fn.cold:
        fn.instance.needs.setdefault(Need(what, fn.held()), fn.loc)


def note_unfit(fn: FunctionLowerer, what: str) -> None:
    """Something needs no lock, and is nothing for a system call without the kernel lock (lower/unlocked.py), not
    even on the way to a panic.
    """
    if fn.discovering and fn.live:
        fn.instance.unfit.setdefault(what, fn.loc)


def note_table(fn: FunctionLowerer, name: str, live: object) -> None:
    """The contents of a container are used that a global names: whether they ever change is seen in the end."""
    if fn.discovering and fn.live:
        fn.world.table_users[id(fn.frame.function)] = fn.frame.function
        if not fn.cold:
            fn.instance.needs.setdefault(Need(f"uses the contents of {name}", fn.held(), id(live)), fn.loc)


def spin_lock_class(fn: FunctionLowerer, t: Type) -> str | None:
    """The class of a spin lock, if values of `t` are of one."""
    if not isinstance(t, ClassType) or not any(a.name == SPIN_LOCK for a in fn.layouts.ancestry(t)):
        return None
    return t.name


def contracts(fn: FunctionLowerer) -> list[Contract]:
    """What `@holds` says of the function."""
    promised = fn.instance.function.decorators.get("holds", "")
    found = [_contract(fn, text) for text in promised.split(",") if text]
    if fn.discovering:
        fn.instance.contracts = found
    return found


def _contract(fn: FunctionLowerer, text: str) -> Contract:
    """`PARAMETER.FIELD…` of `@holds`."""
    name, *fields = text.split(".")
    parameters = [param.name for param in fn.instance.function.params]
    if name not in parameters or not fields:
        raise fn.error("KP738", f'@holds("{text}") names no lock', 'name a parameter and its fields: "self.lock"')
    number = parameters.index(name)
    t: Type = fn.instance.parameters[number]
    path = fn.slot(name).path
    assert path is not None
    for part in fields:
        t = t.inner if isinstance(t, OptionalType) else t
        if not isinstance(t, ClassType) or part not in fn.layouts.instance(t).fields:
            raise fn.error("KP738", f'@holds("{text}"): {show(t)} has no field {part}')
        path = path.then(fn.world.declaring_class(t, part), part)
        t = fn.layouts.field(t, part)[1]
    lock = spin_lock_class(fn, t)
    if lock is None:
        raise fn.error("KP738", f'@holds("{text}") names no lock', "only a spin lock can be held by the callers")
    return Contract(number, Held(path, lock))


def no_contract(fn: FunctionLowerer, promises: dict[str, str], name: str) -> None:
    """A function that is inlined where it is called has no contract: what it touches is judged there."""
    if "holds" in promises:
        hint = "take the lock inside, or write a function without a yield and without function parameters"
        raise fn.error("KP738", f"{name} is @holds, and is inlined where it is called", hint)
