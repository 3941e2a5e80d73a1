"""Random arguments of system calls, by the tables that tests/fuzz_calls generates its programs from.

A value that other calls have returned comes from the actor's pool; what a pointer points to is put into the arena,
which all threads of a program share: so each may change it under another's call.
"""

from __future__ import annotations

import inspect
import random
from functools import cache
from typing import Final, Protocol

from kernel.doors.arguments import VALUES, Argument, arguments_of
from kernel.doors.table import DESCRIPTIONS, SYSCALLS
from tests.fuzz_calls.structures import STRUCTURES
from tests.fuzz_calls.values import TEXTS
from tests.races.constants import MEMBERS

ARENA: Final = 0x2_0000_0000
ARENA_BYTES: Final = 0x1_0000
MAPS: Final = 0x3_0000_0000  # where programs map what they like
MAPS_PAGES: Final = 32
PAGE: Final = 4096
MASK: Final = (1 << 64) - 1
MOST_DEPTH: Final = 4
EDGES: Final = (0, 1, 7, 8, 63, 64, 255, 4095, 4096, 4097, 0xFFFF, 0x10000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
                (1 << 47) - 4096, 1 << 62, MASK >> 1, MASK)  # fmt: skip
NARROW: Final = {"fd": 4, "gid": 4, "int": 4, "pid": 4, "signal": 4, "tid": 4, "timerid": 4, "key_serial": 4,
                 "uid": 4, "uint": 4, "bytes": 1}  # fmt: skip


class Source(Protocol):
    """The caller."""

    random: random.Random

    def descriptor(self, kind: str) -> int: ...
    def resource(self, kind: str) -> int: ...
    def path(self) -> str: ...
    def store(self, address: int, data: bytes) -> None: ...


@cache
def described(number: int) -> tuple[tuple[Argument, ...], dict[str, int]]:
    """The arguments of a call, and the place of each parameter of its handler."""
    row = SYSCALLS[number]
    assert row is not None
    names = {name: index for index, name in enumerate(inspect.signature(row.handler).parameters)}
    return tuple(arguments_of(DESCRIPTIONS[number])), names


def _flat(text: str) -> str:
    """Structures in a structure, replaced by their fields."""
    return " ".join(
        _flat(STRUCTURES[word]) if word in STRUCTURES and word not in VALUES else word for word in text.split()
    )


class Field:
    """Of a structure."""

    def __init__(self, word: str) -> None:
        word, _, width = word.partition("/")
        self.label, dot, rest = word.partition(".")
        if not dot or not self.label.isidentifier():
            self.label, rest = "", word
        self.size_bytes = int(width or 8)
        self.kind, self.detail = "", ""
        self.argument: Argument | None = None
        if rest.startswith(("bytes[", "pad[", "text:")):
            inner, _, size = rest.partition("[")
            self.kind, _, self.detail = inner.partition(":")
            self.size_bytes = int(size.removesuffix("]"))
        elif rest[0] not in "<>=" and rest.partition(":")[0] not in VALUES:
            self.kind = rest
        else:
            self.argument = Argument(rest)
            if self.argument.direction:
                self.size_bytes = 8


@cache
def alternatives(name: str) -> tuple[tuple[Field, ...], ...]:
    """What a structure may look like."""
    return tuple(tuple(Field(word) for word in text.split()) for text in _flat(STRUCTURES[name]).split(" | "))


def _signed(value: int) -> int:
    """As a register of the simulated processor holds it."""
    return value - (1 << 64) if value >> 63 else value


class Scope:
    """The words beside the one that is being made."""

    def __init__(self) -> None:
        self.values: dict[int, int] = {}
        self.hints: dict[int, int] = {}  # how many elements, or bytes, a word's buffer has
        self.following: Argument | None = None  # what the last choice makes of the word after it


class Arguments:
    """Makes them for one thread."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.random = source.random
        self._next = ARENA
        self._depth = 0

    def of_call(self, number: int) -> list[int]:
        """Random arguments for a system call."""
        words, names = described(number)
        scope = Scope()
        for index, word in enumerate(words):
            scope.values[index] = self._word(word, index, names, scope) & MASK
        return [_signed(scope.values[index]) for index in range(len(words))]

    def member(self, name: str) -> int:
        """A value of a set."""
        return self.random.choice(MEMBERS[name]).value

    def flags(self, name: str) -> int:
        """Some bits of a set."""
        value = 0
        for _ in range(self.random.choice((0, 1, 1, 2, 3))):
            value |= self.member(name)
        return value

    def structure(self, name: str) -> int:
        """The address of a structure with random fields."""
        fields = self.random.choice(alternatives(name))
        at = self.place(sum(each.size_bytes for each in fields))
        self._fill(fields, at)
        return at

    def place(self, size_bytes: int) -> int:
        """Room in the arena; now and then it ends where the arena does."""
        size_bytes = min(max(size_bytes, 1), ARENA_BYTES)
        if self.random.random() < 0.05:
            return ARENA + ARENA_BYTES - size_bytes
        if self._next + size_bytes > ARENA + ARENA_BYTES:
            self._next = ARENA + self.random.randrange(64) * 8
            if self._next + size_bytes > ARENA + ARENA_BYTES:
                self._next = ARENA
        at = self._next
        self._next += size_bytes + 7 & ~7
        return at

    def text(self, data: bytes) -> int:
        """The address of a string."""
        at = self.place(len(data) + 1)
        self.source.store(at, data + b"\0")
        return at

    def edge(self) -> int:
        return self.random.choice(EDGES)

    def small(self) -> int:
        """A size, or an offset."""
        chance = self.random
        return chance.choice((0, 1, chance.randrange(64), chance.randrange(4) * PAGE, chance.randrange(9000)))

    # Words ------------------------------------------------------------------------------------------------------------

    def _word(self, word: Argument, index: int, labels: dict[str, int], scope: Scope) -> int:
        chance = self.random
        if word.direction:
            return self._pointer(word, index, labels, scope)
        if index in scope.hints and word.kind in ("size", "count", "int"):
            return scope.hints[index] if chance.random() < 0.9 else self.edge()
        if chance.random() < 0.01:
            return self.edge()
        kind = word.kind
        if kind in ("flags", "one"):
            member = chance.choice(MEMBERS[word.detail])
            scope.following = member.following
            return member.value | self.flags(word.detail) if kind == "flags" else member.value
        if kind == "any":
            following, scope.following = scope.following, None
            return self.small() if following is None else self._word(following, -1, {}, Scope())
        return self._value(kind, word.detail)

    def _value(self, kind: str, detail: str) -> int:
        chance = self.random
        match kind:
            case "fd":
                return self.source.descriptor(detail)
            case "dir":
                return -100 if chance.random() < 0.7 else self.source.descriptor("directory")
            case "path" | "name":
                return self.text(self._text(detail))
            case "address":
                return MAPS + chance.randrange(MAPS_PAGES) * PAGE
            case "pid" | "tid" | "shmid" | "semid" | "msgid" | "timerid" | "watch" | "pkey" | "aio" | "key_serial":
                return self.source.resource("pid" if kind == "tid" else kind)
            case "uid" | "gid":
                return chance.choice((0, 0, 1000, -1))
            case "signal":
                return chance.choice((0, 10, 12, 15, 17, 18, 19, 34, chance.randrange(66)))
            case "mode":
                return chance.choice((0o777, 0o755, 0o644, chance.randrange(0o10000)))
            case "ms" | "seconds":
                return chance.choice((0, 0, 0, 1))
            case "clock":
                return chance.randrange(12)
            case "key":
                return 77 + chance.randrange(3)
            case "nanoseconds" | "microseconds":
                return chance.randrange(2_000)
            case "bits":
                return chance.choice((0, chance.getrandbits(64), 1 << chance.randrange(34)))
            case "zero" | "handler" | "restorer":
                return 0
            case "size" | "count" | "offset" | "limit":
                return self.small() if chance.random() < 0.9 else self.edge()
        return chance.randrange(10)

    def _text(self, detail: str) -> bytes:
        if not detail or detail == "path":
            return self.source.path().encode()
        return self.random.choice(TEXTS[detail].split()).encode()

    def _pointer(self, word: Argument, index: int, labels: dict[str, int], scope: Scope) -> int:
        chance = self.random
        if word.optional and chance.random() < 0.3:
            return 0
        if word.kind in ("path", "name") and word.direction == "<":
            return self.text(self._text(word.detail))
        is_structure = word.kind in STRUCTURES and word.kind not in VALUES
        fields = chance.choice(alternatives(word.kind)) if is_structure else ()
        size_bytes = sum(each.size_bytes for each in fields) if is_structure else NARROW.get(word.kind, 8)
        count = int(word.count) if word.count.isdigit() else 1
        if word.count and not word.count.isdigit():
            other = labels.get(word.count, -1)
            count = chance.choice((0, 1, 8, 100, 700, 5000)) if word.kind == "bytes" else chance.randrange(4)
            scope.hints[other] = count
        at = self.place(size_bytes * count)
        if self._depth < MOST_DEPTH and word.direction != ">":
            self._depth += 1
            for i in range(min(count, 8) if word.kind != "bytes" else 0):
                if is_structure:
                    self._fill(fields, at + i * size_bytes)
                else:
                    value = self._value(word.kind, word.detail)
                    self.source.store(at + i * size_bytes, (value & MASK).to_bytes(8, "little")[:size_bytes])
            self._depth -= 1
        return at

    def _fill(self, fields: tuple[Field, ...], at: int) -> None:
        """Make the fields of a structure."""
        labels = {each.label: index for index, each in enumerate(fields) if each.label}
        scope = Scope()
        data = bytearray()
        for index, each in enumerate(fields):
            data += self._field(each, index, labels, scope)
        self.source.store(at, bytes(data))

    def _field(self, field: Field, index: int, labels: dict[str, int], scope: Scope) -> bytes:
        size = field.size_bytes
        if field.kind == "text":
            text = self.random.choice(TEXTS[field.detail].split()).encode()
            return text.replace(b"@", b"\0")[:size].ljust(size, b"\0")
        if field.kind in ("bytes", "pad"):
            return self.random.randbytes(size) if field.kind == "bytes" and self.random.random() < 0.5 else bytes(size)
        if field.argument is None:
            value = self._value(field.kind, field.detail)
        else:
            value = self._word(field.argument, index, labels, scope)
        scope.values[index] = value
        return (value & MASK).to_bytes(8, "little")[:size].ljust(size, b"\0")
