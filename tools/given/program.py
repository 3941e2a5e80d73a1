"""What is known of the whole program: what its functions are called with and return, and what its fields hold."""

from __future__ import annotations

import importlib
from collections import defaultdict
from dataclasses import dataclass, field

from compiler.tree import Function, Program
from compiler.types import IntType
from tools.given.facts import Content, joined_content
from tools.given.values import RAW, Value, range_of, settled

_PATIENCE = 6  # a summary that grows more often than this becomes anything

@dataclass
class Finding:
    """A place that may trap."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass
class Summary:
    """Grows until nothing changes any more; then the findings count."""

    program: Program
    values: dict[tuple[str, ...], Content] = field(default_factory=dict)
    growths: dict[tuple[str, ...], int] = field(default_factory=lambda: defaultdict(int))
    readers: dict[tuple[str, ...], set[str]] = field(default_factory=lambda: defaultdict(set))
    dirty: set[str] = field(default_factory=set)
    findings: dict[tuple[str, int, str], Finding] = field(default_factory=dict)
    overriding: dict[tuple[str, str], list[Function]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    after: dict[str, tuple[dict[int, Value], dict[tuple[int, int], int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for declaration in self.program.classes.values():
            name = getattr(declaration.base, "name", None)
            if name is not None:
                self.children[name].append(declaration.name)

    def read(self, key: tuple[str, ...], reader: str) -> Content:
        self.readers[key].add(reader)
        return self.values.get(key)

    def add(self, key: tuple[str, ...], value: Content, kind: object = None) -> None:
        """The place may hold this, too."""
        if value is None:
            return
        if isinstance(value, Value):
            value = value.clipped()
        old = self.values.get(key)
        if isinstance(old, Value) and isinstance(value, Value) and old.given != value.given:
            new: Content = old if old.given else value  # the kernel's own numbers are trusted
        else:
            new = joined_content(old, value) if old is not None else value
        if new == old or new is None:
            return
        self.growths[key] += 1
        if self.growths[key] > _PATIENCE and isinstance(new, Value) and isinstance(old, Value):
            if not new.given or (new.fits(-RAW, RAW) and self.growths[key] > _PATIENCE + 1):
                return
            new = settled(old, new)
            if isinstance(kind, IntType):
                new = new.within(*range_of(kind))
        if self.growths[key] > 4 * _PATIENCE or new == old:
            return
        self.values[key] = new
        self.dirty |= self.readers[key]

    def targets(self, owner: str, method: str) -> list[Function]:
        """The functions that a method call may reach."""
        found = self.overriding.get((owner, method))
        if found is None:
            found = []
            name: str | None = owner
            while name is not None:
                function = self.program.functions.get(f"{name}.{method}")
                if function is not None:
                    found.append(function)
                    break
                declaration = self.program.classes.get(name)
                name = getattr(declaration.base, "name", None) if declaration is not None else None
            below = list(self.children[owner])
            while below:
                name = below.pop()
                function = self.program.functions.get(f"{name}.{method}")
                if function is not None:
                    found.append(function)
                below += self.children[name]
            self.overriding[owner, method] = found
        return found

    def report(self, path: str, line: int, text: str) -> None:
        self.findings[path, line, text] = Finding(path, line, text)


def constant(module: str, name: str) -> int | None:
    """The number that a name stands for in the live module, if it is one."""
    found = getattr(importlib.import_module(module), name, None)
    return int(found) if isinstance(found, int) else None


def class_constant(owner: str, name: str) -> int | None:
    module, _, cls = owner.rpartition(".")
    found = getattr(getattr(importlib.import_module(module), cls, None), name, None)
    return int(found) if isinstance(found, int) else None
