"""What each system call and interrupt may do: `python -m compiler report`.

The call graph that lowering has found, virtual calls and function values included, says which locks a call may take,
what it may allocate, and with which errors it may end. An error that a handler catches does not come out, unless
the handler raises again what it caught. Stacks are those of the last release build (build/krait.stacks), because LLVM
lays them out.

The answers are upper bounds: a path that no arguments can take counts like any other.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from compiler.lower.effects import Effects, settle
from compiler.lower.unlocked import quick_forms
from compiler.lower.world import ALLOCATE, OTHER_CODE, SAME_CODE, SLEEP, Edge, Instance
from compiler.types import RawArrayType, show

ERRNO = "kernel.lang.errors.Errno"
MEMORY_ERROR = "builtins.MemoryError"
ENOMEM = 12
EINTR = 4
FIRST_INTERNAL = 512  # ERESTARTSYS and its kin: EINTR for the program, or the call begins again
TAKES_LOCK = ("kernel.sched.mutex.Mutex.acquire", "kernel.sched.mutex.Mutex.__enter__")
_STACK = re.compile(r"^ *(?P<bytes>\d+)(?: of +\d+)? bytes  (?P<name>\S+)$", re.MULTILINE)


@dataclass
class Facts:
    """What is known of one entry point."""

    name: str
    function: str
    kind: str  # "system call" or "entry"
    sleeps: bool
    stack_bytes: int | None
    errors: list[str] = field(default_factory=list)
    other_errors: bool = False  # numbers that are computed may come out, too
    locks: list[str] = field(default_factory=list)
    allocates: list[str] = field(default_factory=list)


class Reach:
    """Errors, locks and allocations of every function, what it calls included."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self.codes: dict[Instance, set[int]] = {}
        self.locks: dict[Instance, set[str]] = {}
        self.allocated: dict[Instance, set[str]] = {}
        self._compute()

    def _compute(self) -> None:
        instances = list(self.effects.world.instances.values())
        callers: dict[Instance, dict[Instance, None]] = {}
        for instance in instances:
            self.codes[instance] = set()
            self.locks[instance] = set()
            self.allocated[instance] = set()
            for edge in instance.edges:
                for target in self.effects.targets(edge):
                    callers.setdefault(target, {})[instance] = None
        settle(instances, callers, self._update)

    def _update(self, instance: Instance) -> bool:
        codes, locks, allocated = self.codes[instance], self.locks[instance], self.allocated[instance]
        before = len(codes) + len(locks) + len(allocated)
        raises_again = any(edge.kind == "raise" and edge.code == SAME_CODE for edge in instance.edges)
        for edge in instance.edges:
            if edge.cold:
                continue
            if edge.allocated is not None and not isinstance(edge.allocated, RawArrayType):  # what a list is made of
                allocated.add(show(edge.allocated))
            if edge.kind == "raise":
                codes |= self._raised(edge)
            for target in self.effects.targets(edge):
                locks |= self.locks[target]
                allocated |= self.allocated[target]
                if target.function.name in TAKES_LOCK:
                    locks.add(instance.function.name)
                if raises_again or self.effects.escapes(ERRNO, edge.caught):
                    codes |= self.codes[target]
        return len(codes) + len(locks) + len(allocated) != before

    def _raised(self, edge: Edge) -> set[int]:
        if edge.exception != ERRNO or edge.code == SAME_CODE or not self.effects.escapes(ERRNO, edge.caught):
            return set()
        return {edge.code}


def facts(effects: Effects, names: dict[str, str], stacks: dict[str, int], errors: dict[int, str]) -> list[Facts]:
    """All system calls, then all other entry points. `names` has the calls' names by their handlers."""
    world = effects.world
    reach = Reach(effects)
    found = []
    quick = quick_forms(world)
    for handler in world.thunks:
        function = handler.function.name
        if function in quick:
            continue
        found.append(_describe(reach, handler, names.get(function, function), "system call", stacks, errors))
    found.sort(key=lambda entry: entry.name)
    others = [
        i for i in world.instances.values() if "export" in i.function.decorators and "on_stack" in i.function.decorators
    ]
    found += [_describe(reach, i, i.function.name, "entry", stacks, errors) for i in others]
    return found


def _describe(
    reach: Reach, instance: Instance, name: str, kind: str, stacks: dict[str, int], errors: dict[int, str]
) -> Facts:
    effects = reach.effects
    raises = effects.raises[instance]
    codes = {code if code < FIRST_INTERNAL else EINTR for code in reach.codes[instance] if ERRNO in raises}
    if MEMORY_ERROR in raises:
        codes.add(ENOMEM)
    own = sorted(errors.get(code, str(code)) for code in codes - {OTHER_CODE})
    function = instance.function.name
    return Facts(
        name,
        function,
        kind,
        SLEEP in effects.flags[instance],
        stacks.get(function),
        own,
        OTHER_CODE in codes,
        sorted(reach.locks[instance]),
        sorted(reach.allocated[instance]) if ALLOCATE in effects.flags[instance] else [],
    )


def read_stacks(file: Path) -> dict[str, int]:
    """Worst cases by function, of the last release build; nothing if there is none."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return {match["name"]: int(match["bytes"]) for match in _STACK.finditer(text)}


def as_text(found: list[Facts], in_full: bool) -> str:
    """A line for each, or all that is known."""
    if in_full:
        return "\n\n".join(_in_full(entry) for entry in found)
    width = max((len(entry.name) for entry in found), default=0)
    lines = [f"{'':{width}}   stack  sleeps  allocates  errors"]
    for entry in found:
        stack = f"{entry.stack_bytes:,}" if entry.stack_bytes is not None else "?"
        errors = " ".join([*entry.errors, *(["…"] if entry.other_errors else [])])
        sleeps, allocates = "yes" if entry.sleeps else "no", "yes" if entry.allocates else "no"
        lines.append(f"{entry.name:{width}}  {stack:>6}  {sleeps:6}  {allocates:9}  {errors}".rstrip())
    return "\n".join(lines)


def _in_full(entry: Facts) -> str:
    sleeps = "may sleep" if entry.sleeps else "never sleeps"
    stack = f"{entry.stack_bytes:,} bytes at most" if entry.stack_bytes is not None else "not known: build the kernel"
    errors = ", ".join(entry.errors) or "none"
    lines = [f"{entry.name} ({entry.function}): {sleeps}", f"  stack: {stack}"]
    lines.append(f"  errors: {errors}{', and numbers that are computed' if entry.other_errors else ''}")
    lines += _listed("takes locks in", entry.locks) + _listed("allocates", entry.allocates)
    return "\n".join(lines)


def _listed(title: str, items: list[str]) -> list[str]:
    return [f"  {title}:", *(f"    {item}" for item in items)] if items else [f"  {title}: nothing"]


def as_json(found: list[Facts]) -> str:
    entries: list[dict[str, Any]] = [asdict(entry) for entry in found]
    return json.dumps(entries, indent=2)
