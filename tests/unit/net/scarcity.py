"""The whole state of the network, to compare before and after memory has failed (tests/unit/scarcity.py)."""

from __future__ import annotations

import sys
from collections import deque
from operator import is_
from types import ModuleType

_HARMLESS = (
    "next_index", "last", "generation", "last_handle", "last_table", "next_anonymous", "has_changed", "checked_for",
    "checked_depth", "prepared_for", "heap", "deadline_ns", "announced_ns", "position", "queued_ns", "collector",
    "shares", "next_place",
)  # fmt: skip
"""Fields that may only ever grow, or say what was looked at last; those of timers, which may expire without effect, as
may a set's collector, which passes over elements that are gone; and the order of a set's elements, which has gaps.
"""


class State:
    """All objects that modules of the network lead to: where each field is, and what it holds."""

    def __init__(self) -> None:
        kept: list[object] = [vars(module) for _, module in _modules()]
        self._texts = _texts(kept)
        self._parts = [(value, _parts(value)) for value in kept]
        self._count = len(_modules())

    def differences(self) -> list[str]:
        """What is not the same now, in words. As long as everything is where it was, there is nothing to write."""
        if len(_modules()) == self._count and all(_is_same(_parts(value), parts) for value, parts in self._parts):
            return []
        before, after = self._texts, _texts([])
        return [
            f"{name}: {before.get(name)} is now {after.get(name)}"
            for name in sorted(set(before) | set(after))
            if before.get(name) != after.get(name)
        ]


def _modules() -> list[tuple[str, ModuleType]]:
    return [(name, module) for name, module in sorted(sys.modules.items()) if name.startswith("kernel.net")]


def _parts(value: object) -> list[object]:
    """What is in a container, or in the fields of an object, with keys and names."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list | deque):
        return [*value]
    if isinstance(value, bytearray):
        return [bytes(value)]
    fields = vars(value)
    names = [name for name in fields if name not in _HARMLESS]
    return [*names, *map(fields.__getitem__, names)]


def _is_same(now: list[object], before: list[object]) -> bool:
    """Whether two lists have the same objects, or numbers and texts of the same types that are equal."""
    if len(now) != len(before):
        return False
    return all(map(is_, now, before)) or all(
        one is other or (type(one) is type(other) and isinstance(one, int | str | bytes | float) and one == other)
        for one, other in zip(now, before, strict=True)
    )


def _texts(kept: list[object]) -> dict[str, str]:
    """The state in words. What can change, and was looked at, is added to `kept`."""
    found: dict[str, str] = {}
    names: dict[int, str] = {}
    seen: list[object] = []
    waiting: deque[tuple[str, object]] = deque()
    for name, module in _modules():
        for key, value in vars(module).items():
            if type(value).__module__.startswith("kernel.net") and not isinstance(value, type):
                waiting.append((f"{name}.{key}", value))
            elif isinstance(value, list | dict | deque) and not key.startswith("__"):
                waiting.append((f"{name}.{key}", value))
    while waiting:
        name, value = waiting.popleft()
        if isinstance(value, int | str | bytes | bytearray | float | None):
            found[name] = repr(value)
            if isinstance(value, bytearray):
                kept.append(value)
            continue
        if id(value) in names:
            found[name] = "-> " + names[id(value)]
            continue
        names[id(value)] = name
        seen.append(value)
        if isinstance(value, dict):
            kept.append(value)
            found[name] = f"{len(value)} keys"
            for i, (key, each) in enumerate(value.items()):
                waiting.append((f"{name}[{i}]", each))
                waiting.append((f"{name}<{i}>", key))
        elif isinstance(value, list | tuple | deque):
            if not isinstance(value, tuple):
                kept.append(value)
            if set(map(type, value)) <= {int, bytes, type(None)}:
                found[name] = f"{hash(tuple(value))} as a whole"
                continue
            found[name] = f"{len(value)} long"
            waiting.extend((f"{name}[{i}]", each) for i, each in enumerate(value))
        elif type(value).__module__.startswith("kernel.") and not callable(value):
            found[name] = type(value).__name__
            if hasattr(value, "__dict__"):
                kept.append(value)
                waiting.extend((f"{name}.{key}", each) for key, each in vars(value).items() if key not in _HARMLESS)
    return found
