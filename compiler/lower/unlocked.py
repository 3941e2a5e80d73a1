"""The system calls that run without the kernel lock: the door's table, made from what is proved of each.

The door of a machine with several processors (arch/x86_64/entry.S) looks up the number of a call in
`krait_unlocked_calls`, and calls what stands there; 0 stands for all that take the lock. Nobody writes down which those
are: a handler that touches nothing the lock guards is in the table, and one that comes to do so is not any more. Who
counts on it writes `@unlocked`.

A call may have a quick form beside its handler (`@quick`, kernel/doors/quick.py), which must need no lock, and may
return that it cannot do the call.

Such a call is a section in which interrupts are off, and for which the reclaimer waits. So it must not sleep, allocate,
store a reference or touch user memory either. Of these, all but the first need the kernel lock already. Nor does it
take spin locks: so it changes nothing, may be made once more, and leaves nothing to clean up if a check in it fails
(arch/x86_64/entry.S).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from compiler.lower.world import ALLOCATE, INTERRUPTS, KERNEL_LOCK, SLEEP, Instance, World

if TYPE_CHECKING:
    from compiler.lower.effects import Effects

TABLE = "krait_unlocked_calls"
CALLS_MODULE = "kernel.doors.table"
_FORBIDDEN = frozenset({KERNEL_LOCK, SLEEP, ALLOCATE, INTERRUPTS})


def runs_unlocked(effects: Effects, handler: Instance) -> bool:
    """Whether a system call's handler runs without the kernel lock."""
    return _FORBIDDEN.isdisjoint(effects.flags[handler]) and not effects.takes[handler]


def unlocked_thunks(effects: Effects) -> set[str]:
    """The symbols of the thunks that the door may call without the lock."""
    return {thunk for handler, thunk in effects.world.thunks.items() if runs_unlocked(effects, handler)}


def live_rows() -> list[Any]:
    """The rows of the live table of system calls, by number; none in a program without."""
    calls = sys.modules.get(CALLS_MODULE)
    return list(calls.SYSCALLS) if calls is not None else []


def quick_forms(world: World) -> dict[str, str]:
    """The functions that are quick forms, and the names of their system calls."""
    rows = [row for row in live_rows() if row is not None and row.quick is not None]
    return {world.live_function(row.quick).name: row.name for row in rows}


def door_table(effects: Effects) -> str | None:
    """The definition of the door's table; None in a program without a table of system calls."""
    world, free = effects.world, unlocked_thunks(effects)
    thunks = {instance.function.name: thunk for instance, thunk in world.thunks.items()}
    entries = []
    for row in live_rows():
        functions = [row.handler, row.quick] if row is not None else []
        forms = [thunks.get(world.live_function(f).name, "") for f in functions if f is not None]
        chosen = next((thunk for thunk in forms if thunk in free), None)
        entries.append("ptr null" if chosen is None else f'ptr @"{chosen}"')
    if not entries:
        return None
    return f'@"{TABLE}" = dso_local constant [{len(entries)} x ptr] [{", ".join(entries)}], align 64'
