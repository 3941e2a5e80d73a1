"""What locks guard, and which calls need them: `python -m compiler report --locks`.

The kernel lock guards all mutable state that says nothing else. Then come the classes of spin locks in the order of
their ranks, with what each guards; then the system calls: which of the locks each may take, and whether it takes the
kernel lock (lower/unlocked.py). With names of system calls or functions it says why one needs that: the chain of calls
that leads to the first reason.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from compiler.front.convert_types import short_name
from compiler.lower.effects import Effects
from compiler.lower.guards import ALL_FIELDS
from compiler.lower.unlocked import quick_forms, runs_unlocked
from compiler.lower.world import KERNEL_LOCK, Instance
from compiler.tree import Loc
from compiler.types import ClassType


@dataclass
class LockFacts:
    """A class of locks."""

    name: str
    rank: int
    guards: list[str] = field(default_factory=list)


@dataclass
class CallFacts:
    """A system call, or a function that was asked for."""

    name: str
    function: str
    needs_kernel_lock: bool
    runs_unlocked: bool  # the door does not take it for this call
    takes: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)  # the chain of calls to the first reason
    has_quick_form: bool = False  # which does not take it


@dataclass
class Report:
    """All that is known of locks."""

    locks: list[LockFacts]
    default_fields: int  # that the kernel lock guards,
    default_globals: int
    atomic_fields: int  # that it guards, and anybody may read,
    published_fields: int  # and that nothing guards, because only constructors store them
    calls: list[CallFacts]
    exempt: list[str]  # functions of lock_free.txt that would need the kernel lock
    own_stores: list[str]  # functions of own_stores.txt: they store words that are a thread's own


def known_names(effects: Effects, names: dict[str, str]) -> set[str]:
    """The names that a report may be asked for: system calls, and functions by their full names."""
    return {*names.values(), *(instance.function.name for instance in effects.world.instances.values())}


def report(effects: Effects, names: dict[str, str], wanted: list[str]) -> Report:
    """The report; calls are described with their reasons if they are `wanted` by name."""
    world, locks = effects.world, effects.locks
    accesses = (a for i in world.instances.values() for a in i.accesses if not a.owner.startswith("kernel.lang."))
    fields = dict.fromkeys((a.owner, a.name, a.holder) for a in accesses)
    default = [f for f in fields if locks.notes.guard(f[0], f[1]) is None and not locks.is_published(*f)]
    atomic = [f for f in default if f[1] in locks.notes.atomic(f[0])]
    published = [f for f in fields if locks.is_published(*f)]
    quick = quick_forms(world)
    handlers = [i for i in world.thunks if i.function.name not in quick]
    calls = [_call(effects, i, names.get(i.function.name, i.function.name), wanted) for i in handlers]
    forms = [i for i in world.thunks if i.function.name in quick and runs_unlocked(effects, i)]
    quick_names = {quick[i.function.name] for i in forms}
    for call in calls:
        call.has_quick_form = call.name in quick_names
    calls.sort(key=lambda call: call.name)
    others = [i for i in world.instances.values() if i.function.name in wanted and i not in world.thunks]
    calls += [_call(effects, i, i.function.name, wanted) for i in others]
    exempt = [i for i in world.instances.values() if i.function.name in locks.lock_free and locks.own_reasons(i)]
    names_of_exempt = sorted({i.function.name for i in exempt})
    counts = len(default), len(world.cells), len(atomic), len(published)
    own_stores = sorted({i.function.name for i in world.instances.values() if i.other_stores})
    return Report(_locks(effects), *counts, calls, names_of_exempt, own_stores)


def _locks(effects: Effects) -> list[LockFacts]:
    found: dict[str, LockFacts] = {}
    for t in effects.world.instantiated:
        if isinstance(t, ClassType) and (rank := effects.locks.notes.rank(t.name)) is not None:
            found[t.name] = LockFacts(t.name, rank)
    for name, decl in sorted(effects.world.program.classes.items()):
        fields = {param.name: param.type for param in decl.fields}
        for guarded, lock in effects.locks.notes.guards(name).items():
            kind = fields.get(lock)
            if isinstance(kind, ClassType) and kind.name in found:
                what = f"{name}.{guarded}" if guarded != ALL_FIELDS else f"{name}: all that changes"
                found[kind.name].guards.append(what)
    return sorted(found.values(), key=lambda lock: (lock.rank, lock.name))


def _call(effects: Effects, instance: Instance, name: str, wanted: list[str]) -> CallFacts:
    needs = KERNEL_LOCK in effects.flags[instance]
    is_call = instance in effects.world.thunks
    unlocked = is_call and runs_unlocked(effects, instance)
    facts = CallFacts(name, instance.function.name, needs, unlocked, sorted(effects.takes[instance]))
    if needs and (name in wanted or facts.function in wanted):
        facts.why = [_line(loc, text) for loc, text in effects.locks.trace_from(instance, KERNEL_LOCK)]
    return facts


def _line(loc: Loc | None, text: str) -> str:
    return f"{loc.path}:{loc.line}: {text}" if loc is not None else text


def as_text(found: Report, wanted: list[str]) -> str:
    """The report for a reader."""
    calls = [call for call in found.calls if not wanted or call.name in wanted or call.function in wanted]
    if wanted:
        return "\n\n".join(_in_full(call) for call in calls)
    lines = ["Locks, in the order in which they are taken:", ""]
    lines.append("  rank 0: the kernel lock guards what says nothing else:")
    lines.append(f"    {found.default_fields:,} fields, {found.default_globals:,} globals, and the heap")
    for lock in found.locks:
        lines += [f"  rank {lock.rank}: {lock.name} guards", *(f"    {what}" for what in lock.guards)]
    lines.append(f"  nothing guards {found.published_fields:,} fields that only constructors store,")
    lines.append(f"  nor the reads of {found.atomic_fields:,} of the kernel lock's fields, which are atomic")
    lines += ["", "Exempt, by compiler/lock_free.txt:", "", *(f"  {name}" for name in found.exempt)]
    lines += ["", "Stores to words of other threads, by compiler/own_stores.txt:", ""]
    lines += [f"  {name}" for name in found.own_stores]
    width = max((len(call.name) for call in calls), default=0)
    free = [call for call in calls if call.runs_unlocked]
    quick = [call for call in calls if call.has_quick_form]
    quick_count = f"{len(quick)} have a quick form that does"
    lines += ["", f"{len(free)} of {len(calls)} system calls run without the kernel lock, and {quick_count}:", ""]
    for call in (*free, *quick, *(call for call in calls if call not in free and call not in quick)):
        taken = ", ".join(short_name(lock) for lock in call.takes)
        needs = "-" if call.runs_unlocked else "quick form" if call.has_quick_form else "kernel lock"
        lines.append(f"  {call.name:{width}}  {needs:11}  {taken}".rstrip())
    return "\n".join(lines)


def _in_full(call: CallFacts) -> str:
    needs = "needs the kernel lock" if call.needs_kernel_lock else "does not need the kernel lock"
    if call.runs_unlocked:
        needs += ", and runs without it"
    if call.has_quick_form:
        needs += "; its quick form runs without it"
    lines = [f"{call.name} ({call.function}): {needs}", *(f"    {line}" for line in call.why)]
    return "\n".join([*lines, f"  takes {', '.join(call.takes) or 'no spin lock'}"])


def as_json(found: Report) -> str:
    """The same for other programs."""
    facts: dict[str, Any] = asdict(found)
    return json.dumps(facts, indent=2)
