"""The whole state of the network, to compare before and after memory has failed (tests/unit/scarcity.py)."""

from __future__ import annotations

import sys
from collections import deque

_HARMLESS = (
    "next_index", "last", "generation", "last_handle", "last_table", "next_anonymous", "has_changed", "checked_for",
    "checked_depth", "prepared_for", "heap", "deadline_ns", "announced_ns", "position", "queued_ns", "collector",
    "shares", "next_place",
)  # fmt: skip
"""Fields that may only ever grow, or say what was looked at last; those of timers, which may expire without effect, as
may a set's collector, which passes over elements that are gone; and the order of a set's elements, which has gaps.
"""


def state() -> dict[str, str]:
    """All objects that modules of the network lead to: where each field is, and what it holds."""
    found: dict[str, str] = {}
    names: dict[int, str] = {}
    kept: list[object] = []
    waiting: deque[tuple[str, object]] = deque()
    for name in sorted(sys.modules):
        if name.startswith("kernel.net"):
            for key, value in vars(sys.modules[name]).items():
                if type(value).__module__.startswith("kernel.net") and not isinstance(value, type):
                    waiting.append((f"{name}.{key}", value))
                elif isinstance(value, list | dict | deque) and not key.startswith("__"):
                    waiting.append((f"{name}.{key}", value))
    while waiting:
        name, value = waiting.popleft()
        if isinstance(value, int | str | bytes | bytearray | float | None):
            found[name] = repr(value)
            continue
        if id(value) in names:
            found[name] = "-> " + names[id(value)]
            continue
        names[id(value)] = name
        kept.append(value)
        if isinstance(value, dict):
            found[name] = f"{len(value)} keys"
            for i, (key, each) in enumerate(value.items()):
                waiting.append((f"{name}[{i}]", each))
                waiting.append((f"{name}<{i}>", key))
        elif isinstance(value, list | tuple | deque):
            if set(map(type, value)) <= {int, bytes, type(None)}:
                found[name] = f"{hash(tuple(value))} as a whole"
                continue
            found[name] = f"{len(value)} long"
            waiting.extend((f"{name}[{i}]", each) for i, each in enumerate(value))
        elif type(value).__module__.startswith("kernel.") and not callable(value):
            found[name] = type(value).__name__
            fields = dict(vars(value)) if hasattr(value, "__dict__") else {}
            for key, each in fields.items():
                if key not in _HARMLESS:
                    waiting.append((f"{name}.{key}", each))
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What is not the same, in words."""
    return [
        f"{name}: {before.get(name)} is now {after.get(name)}"
        for name in sorted(set(before) | set(after))
        if before.get(name) != after.get(name)
    ]
