"""Words that only their own thread stores (`@own`), in system calls without the kernel lock too.

Such a word is a number in a struct that is a part of the running thread. A store is the thread's own if it is written
`current().part.name = value`: from the function that finds the running thread (`@finds_own`) on, through parts alone.
All other stores are listed in own_stores.txt, each function with the reason why the thread is in no section then: it is
the running one itself, which has the lock, or has not begun.

In a section (lower/unlocked.py) the own stores come last. A call that has stored cannot give up, or fail so that it is
made again; so it is not made twice. That is judged in the call's own function, by the order in which its parts are
lowered, which is that of the program where there is no loop. A quick form that has stored returns a constant, which is
not TAKE_LOCK.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.front.convert_types import short_name
from compiler.tree import CallFunction, Diagnostic, Field, FieldTarget, Loc
from compiler.types import ClassType, StructType, Type

if TYPE_CHECKING:
    from compiler.lower.effects import Effects
    from compiler.lower.function import FunctionLowerer
    from compiler.lower.values import Value
    from compiler.lower.world import Instance

LIST_FILE = Path(__file__).resolve().parents[1] / "own_stores.txt"
TAKE_LOCK = -4096  # of kernel/doors/quick.py
_HINT = "write current().part.name = …, or list the function in own_stores.txt: why is the thread in no section?"


@dataclass(frozen=True, slots=True)
class OwnStore:
    """A store to a word of the running thread."""

    what: str
    loc: Loc
    at: int  # how many edges of the function come before
    in_loop: bool


def own_store_functions() -> dict[str, str]:
    """The functions of own_stores.txt, each with its reason."""
    found: dict[str, str] = {}
    for line in LIST_FILE.read_text(encoding="utf-8").splitlines():
        name, _, reason = line.partition("#")
        if name.strip():
            found[name.strip()] = reason.strip()
    return found


def note_store(fn: FunctionLowerer, target: FieldTarget, *, in_loop: bool, is_plain: bool) -> None:
    """A field is about to be stored; `is_plain` unless its old value is used."""
    owner = fn.type(target.value.type)
    if not isinstance(owner, ClassType | StructType):
        return
    what = f"{short_name(owner.name)}.{target.name}"
    if isinstance(owner, StructType) and target.name in fn.world.notes.own(owner.name):
        if is_plain and _is_of_running_thread(fn, target):
            if fn.discovering and fn.live:
                fn.instance.own_stores.append(OwnStore(what, fn.loc, len(fn.instance.edges), in_loop))
            return
    elif not _holds_own(fn, owner, target.name):
        return
    if fn.discovering and fn.live:
        fn.instance.other_stores.setdefault(what, fn.loc)


def note_return(fn: FunctionLowerer, value: Value) -> None:
    """A function is about to return, which in a quick form may mean that the call is made again."""
    if fn.instance.own_stores and fn.discovering and fn.live and value.constant in (None, TAKE_LOCK):
        fn.instance.late_returns.append(fn.loc)


def _is_of_running_thread(fn: FunctionLowerer, target: FieldTarget) -> bool:
    """Whether a store is the thread's own. To find the part touches nothing then."""
    parts = []
    part = target.value
    while isinstance(part, Field) and isinstance(fn.type(part.type), StructType):
        parts.append(id(part))
        part = part.value
    if not parts or not isinstance(part, CallFunction):
        return False
    function = fn.world.program.functions.get(part.function)
    if function is None or "finds_own" not in function.decorators:
        return False
    fn.free_parts.update(parts)
    return True


def _holds_own(fn: FunctionLowerer, owner: ClassType | StructType, name: str) -> bool:
    """Whether a field is a whole part that has such words."""
    fields = fn.layouts.instance(owner).fields
    return name in fields and _has_own(fn, fields[name][1])


def _has_own(fn: FunctionLowerer, t: Type) -> bool:
    if not isinstance(t, StructType):
        return False
    return bool(fn.world.notes.own(t.name)) or any(_has_own(fn, f) for _, f in fn.layouts.instance(t).fields.values())


def check_stores(effects: Effects) -> list[Diagnostic]:
    """Stores of a thread's own words by others."""
    listed = own_store_functions()
    found = []
    for instance in effects.world.instances.values():
        for what, loc in instance.other_stores.items():
            if instance.function.name not in listed:
                message = f"{what} is a thread's own, and this may be another one's"
                found.append(Diagnostic("KP739", loc, message, _HINT, effects.locks.way_to(instance)))
    return found


def misplaced_store(
    effects: Effects, instance: Instance, handler: Instance, quick: bool, gives_up: frozenset[str]
) -> tuple[Loc | None, str] | None:
    """Why what a function of a section stores is not stored last."""
    for store in instance.own_stores:
        if instance is not handler:
            return store.loc, f"stores {store.what} outside of the call's own function"
        if quick and instance.late_returns:
            return instance.late_returns[0], f"may return TAKE_LOCK after it has stored {store.what}"
        if store.in_loop:
            return store.loc, f"stores {store.what} in a loop"
        for edge in instance.edges[store.at :]:
            targets = effects.all_targets(edge)
            may_fail = edge.kind == "raise" or any(effects.raises[target] for target in targets)
            if may_fail or any(not gives_up.isdisjoint(effects.flags[target]) for target in targets):
                return edge.loc, f"may be made again after it has stored {store.what}"
    return None
