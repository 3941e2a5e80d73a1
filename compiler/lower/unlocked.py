"""The system calls that run without the kernel lock: the door's table, made from what is proved of each.

The door of a machine with several processors (arch/x86_64/entry.S) looks up the number of a call in
`krait_unlocked_calls`, and calls what stands there; 0 stands for all that take the lock. Nobody lists which those are:
a handler that touches nothing the lock guards is in the table, and one that comes to do so is not any more. Code that
relies on it declares `@unlocked`.

A call may have a quick form beside its handler (`@quick`, kernel/doors/quick.py), which must need no lock, and may
return that it cannot do the call.

Such a call is a section in which interrupts are off, and for which the reclaimer waits. So it must not sleep, allocate,
store a reference or let interrupts in either. Of these, all but the first need the kernel lock already. Nor does it
take spin locks, store by atomic primitives or wait: so it changes nothing, ends soon, may be made once more, and leaves
nothing to clean up if a check in it fails (arch/x86_64/entry.S). Such a check is a bare trap. A message would be built
and noted before the lock is taken, so here the way to a panic counts as well.

Of user memory it may touch a little, by the assembly functions that are `@gives_up`. If one of them faults, the section
ends there, and the call is made again from its beginning, with the lock. What it had written to the program is written
again. So that the second time finds what the first one found, a call either reads the program's memory or writes it, or
reads it and then, last, writes one word, of which a fault leaves nothing.
Words of its own thread it may store (`@own`), in the end: see lower/own.py.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from compiler.front.convert_types import short_name
from compiler.lower.own import check_stores, misplaced_store
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
from compiler.tree import Diagnostic, Loc

if TYPE_CHECKING:
    from compiler.lower.effects import Effects

TABLE = "krait_unlocked_calls"
CALLS_MODULE = "kernel.doors.table"
_GIVES_UP = frozenset({READS_PROGRAM, WRITES_PROGRAM})
_BOTH = "reads and writes the program's memory: made again, it might read what it has written"
_FORBIDDEN = frozenset({KERNEL_LOCK, SLEEP, ALLOCATE, INTERRUPTS})


def runs_unlocked(effects: Effects, handler: Instance) -> bool:
    """Whether a system call's handler runs without the kernel lock."""
    return _FORBIDDEN.isdisjoint(effects.flags[handler]) and not _why_not(effects, handler)


def why_unfit(effects: Effects, handler: Instance) -> list[tuple[Loc | None, str]]:
    """Why a handler that needs no kernel lock still cannot be an unlocked section: the calls that lead to the first
    reason, and the reason; empty if there is none.
    """
    quick = quick_forms(effects.world)
    came: dict[Instance, tuple[Instance, Edge] | None] = {handler: None}
    pending = deque([handler])
    while pending:
        instance = pending.popleft()
        reasons: list[tuple[Loc | None, str]] = [(loc, what) for what, loc in instance.unfit.items()]
        misplaced = misplaced_store(effects, instance, handler, handler.function.name in quick, _GIVES_UP)
        reasons += [misplaced] if misplaced is not None else []
        reasons += [(edge.loc, f"takes {short_name(edge.takes)}") for edge in instance.edges if edge.takes]
        if reasons:
            notes: list[tuple[Loc | None, str]] = [reasons[0]]
            step = came[instance]
            while step is not None:
                caller, edge = step
                notes.append((edge.loc, f"calls {instance.function.name}"))
                instance, step = caller, came[caller]
            return notes[::-1]
        for edge in instance.edges:
            for target in effects.all_targets(edge):
                if target not in came:
                    came[target] = (instance, edge)
                    pending.append(target)
    return []


def _why_not(effects: Effects, handler: Instance) -> list[tuple[Loc | None, str]]:
    """`why_unfit`, or how the handler comes to both read and write the program's memory."""
    if {READS_PROGRAM, WRITES_PROGRAM} <= effects.flags[handler] and not _writes_one_word_last(effects, handler):
        trace = effects.locks.trace_from
        return [*trace(handler, READS_PROGRAM), *trace(handler, WRITES_PROGRAM), (handler.function.loc, _BOTH)]
    return why_unfit(effects, handler)


def _writes_one_word_last(effects: Effects, handler: Instance) -> bool:
    """Whether a call that reads the program's memory has done so when it writes, and writes one word or nothing: if it
    gives up, it has written nothing.
    """
    last = handler
    while not last.extern:
        touching = [edge for edge in last.edges if _touches(effects, edge, READS_PROGRAM, WRITES_PROGRAM)]
        writing = [edge for edge in touching if _touches(effects, edge, WRITES_PROGRAM)]
        if len(writing) != 1 or writing[0] is not touching[-1] or writing[0].in_loop:
            return False
        targets = list(effects.all_targets(writing[0]))
        if len(targets) != 1:
            return False
        last = targets[0]
    return COPIES_OUT not in effects.flags[last]


def _touches(effects: Effects, edge: Edge, *how: str) -> bool:
    return any(not effects.flags[target].isdisjoint(how) for target in effects.all_targets(edge))


def _misplaced(world: World) -> list[Diagnostic]:
    """Functions that cannot give a section up."""
    found = []
    for instance in world.instances.values():
        access = instance.function.decorators.get("gives_up")
        if access is not None and not (instance.extern and access in (READS_PROGRAM, WRITES_PROGRAM, COPIES_OUT)):
            message = f'{short_name(instance.function.name)} is @gives_up("{access}")'
            hint = 'only an assembly function gives a call up; it "reads", "writes" or "copies out"'
            found.append(Diagnostic("KP739", instance.function.loc, message, hint))
    return found


def check_sections(effects: Effects) -> list[Diagnostic]:
    """Diagnostics for calls that are declared to run without the kernel lock, need none, and do not."""
    quick = quick_forms(effects.world)
    found = _misplaced(effects.world) + check_stores(effects)
    for handler in effects.world.thunks:
        function = handler.function
        declared = f" as {quick[function.name]}" if function.name in quick else ""
        if (declared or "unlocked" in function.decorators) and KERNEL_LOCK not in effects.flags[handler]:
            notes = _why_not(effects, handler)
            if notes:
                message = f"{function.name} is @unlocked{declared} but {notes[-1][1]}"
                hint = "a call without the kernel lock changes nothing, waits for nobody and stops without a message"
                found.append(Diagnostic("KP739", function.loc, message, hint, notes))
    return found


def unlocked_thunks(effects: Effects) -> set[str]:
    """The symbols of the thunks that the door may call without the lock."""
    return {thunk for handler, thunk in effects.world.thunks.items() if runs_unlocked(effects, handler)}


def live_rows(world: World) -> list[Any]:
    """The rows of the live table of system calls, by number; none in a program without."""
    calls = sys.modules.get(CALLS_MODULE) if CALLS_MODULE in world.program.modules else None
    return list(calls.SYSCALLS) if calls is not None else []


def quick_forms(world: World) -> dict[str, str]:
    """The functions that are quick forms, and the names of their system calls."""
    rows = [row for row in live_rows(world) if row is not None and row.quick is not None]
    return {world.live_function(row.quick).name: row.name for row in rows}


def door_table(effects: Effects) -> str | None:
    """The definition of the door's table; None in a program without a table of system calls."""
    world, free = effects.world, unlocked_thunks(effects)
    thunks = {instance.function.name: thunk for instance, thunk in world.thunks.items()}
    entries = []
    for row in live_rows(world):
        functions = [row.handler, row.quick] if row is not None else []
        forms = [thunks.get(world.live_function(f).name, "") for f in functions if f is not None]
        chosen = next((thunk for thunk in forms if thunk in free), None)
        entries.append("ptr null" if chosen is None else f'ptr @"{chosen}"')
    if not entries:
        return None
    return f'@"{TABLE}" = dso_local constant [{len(entries)} x ptr] [{", ".join(entries)}], align 64'
