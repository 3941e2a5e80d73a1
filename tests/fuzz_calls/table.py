"""Turn the descriptions of the call table into C tables for the fuzzer: `header()`.

Every word becomes a `struct word`; a count becomes the index of the word that holds it, so that a length and its buffer
find each other. What a description names must exist, or `header` raises KeyError or ValueError.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field

import kernel.syscalls.all  # noqa: F401  (it fills the table)
from kernel.doors.arguments import VALUES, Argument, arguments_of, result_of
from kernel.doors.table import DESCRIPTIONS, SYSCALLS
from tests.fuzz_calls.structures import STRUCTURES
from tests.fuzz_calls.values import SETS, TEXTS

FIELD_VALUES = (
    "bits", "bytes", "handler", "limit", "microseconds", "nanoseconds", "pad", "restorer", "seconds", "text", "zero",
)  # fmt: skip
KINDS = sorted({*VALUES, *FIELD_VALUES, "structure"})
FD_KINDS = (
    "any", "file", "directory", "pipe", "socket", "epoll", "eventfd", "timerfd", "signalfd", "inotify", "fanotify",
    "userfaultfd", "mq", "pidfd",
    "fscontext",
    "perf",
    "io_uring",
    "ruleset",
    "bpf",
    "spent",
)  # fmt: skip
_DIRECTIONS = {"": 0, "<": 1, ">": 2, "=": 3}
_NO_COUNT = -1  # one element; a count by another word is -2 - its index


@dataclass
class Member:
    """Of a set: a number in C, and what the argument after it is, as an index of a word; -1 for nothing."""

    value: str
    word: int


@dataclass
class Tables:
    """What the header holds, while it is put together."""

    words: list[str] = field(default_factory=list)
    sets: dict[str, int] = field(default_factory=dict)
    set_rows: list[str] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    structures: dict[str, int] = field(default_factory=dict)
    structure_rows: list[tuple[int, int]] = field(default_factory=list)
    alternatives: list[tuple[int, int]] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)
    text_rows: list[tuple[int, int]] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)

    def text(self, name: str) -> int:
        """The index of a list of strings."""
        if name not in self.texts:
            strings = TEXTS[name].split()
            self.texts[name] = len(self.text_rows)
            self.text_rows.append((len(self.strings), len(strings)))
            self.strings += strings
        return self.texts[name]

    def set(self, name: str) -> int:
        """The index of a set, which is written out or named."""
        if name in self.sets:
            return self.sets[name]
        self.sets[name] = index = len(self.set_rows)
        self.set_rows.append("")
        if name.replace("_", "").isalnum() and name[0].islower() and name not in SETS:
            raise KeyError(f"there is no set of values {name}")
        members = []
        for text in SETS[name].split() if name in SETS else name.split("|"):
            value, bracket, word = text.partition("(")
            if bracket and not value.startswith("be"):
                row = self.row(Argument(word.removesuffix(")")), {})
                self.words.append(row)
                members.append(Member(value, len(self.words) - 1))
            elif ".." in text:
                first, last = text.split("..")
                members += [Member(str(number), -1) for number in range(int(first, 0), int(last, 0) + 1)]
            else:
                members.append(Member(text, -1))
        self.set_rows[index] = f"{{{len(self.members)}, {len(members)}}}"
        self.members += members
        return index

    def structure(self, name: str) -> int:
        """The index of a structure."""
        if name in self.structures:
            return self.structures[name]
        self.structures[name] = index = len(self.structure_rows)
        self.structure_rows.append((0, 0))
        runs = [self.fields(text) for text in _flat(STRUCTURES[name]).split(" | ")]
        self.structure_rows[index] = (len(self.alternatives), len(runs))
        self.alternatives += runs
        return index

    def fields(self, text: str) -> tuple[int, int]:
        """Where the words of an alternative stand, and how many they are."""
        labels: dict[str, int] = {}
        plain: list[tuple[str, int]] = []
        for index, each in enumerate(text.split()):
            word, _, bytes_wide = each.partition("/")
            label, dot, rest = word.partition(".")
            if dot and label.isidentifier():
                labels[label] = index
                word = rest
            plain.append((word, int(bytes_wide or 8)))
        rows = []
        for word, width in plain:
            if word.startswith(("bytes[", "pad[", "text:")):
                inner, _, size = word.partition("[")
                kind, _, detail = inner.partition(":")
                size = size.removesuffix("]")
                rows.append(_row(kind, width=int(size), detail=self.text(detail) if detail else 0))
            else:
                rows.append(self.row(_field(word), labels, width))
        first = len(self.words)
        self.words += rows
        return first, len(rows)

    def row(self, argument: Argument, names: dict[str, int], width: int = 8) -> str:
        """A word in C. `names` are the words beside it."""
        kind = argument.kind
        detail = 0
        if kind in ("flags", "one"):
            detail = self.set(argument.detail)
        elif kind == "fd":
            detail = FD_KINDS.index(argument.detail or "any")
        elif kind in ("name", "path"):
            detail = self.text(argument.detail or "path")
        elif kind not in VALUES and kind not in FIELD_VALUES:
            detail = self.structure(kind)
            kind = "structure"
        count = _NO_COUNT
        if argument.count.isdigit():
            count = int(argument.count)
        elif argument.count:
            count = -2 - names[argument.count]
        return _row(kind, argument.direction, argument.optional, width, detail, count)


def _field(word: str) -> Argument:
    """A word of a structure: it may be one that only structures have."""
    if word in FIELD_VALUES:
        argument = Argument("int")
        argument.kind = word
        return argument
    return Argument(word)


def _flat(text: str) -> str:
    """Structures within a structure replaced by their fields. Such a one has no alternatives."""
    words = [_flat(STRUCTURES[word]) if word in STRUCTURES and word not in VALUES else word for word in text.split()]
    return " ".join(words)


def _row(
    kind: str, direction: str = "", optional: bool = False, width: int = 8, detail: int = 0, count: int = _NO_COUNT
) -> str:
    return f"{{KIND_{kind.upper()}, {_DIRECTIONS[direction]}, {int(optional)}, {width}, {detail}, {count}}}"


def _calls(tables: Tables) -> list[str]:
    rows = []
    for number, description in sorted(DESCRIPTIONS.items()):
        row = SYSCALLS[number]
        assert row is not None
        names = {name: index for index, name in enumerate(inspect.signature(row.handler).parameters)}
        words = [tables.row(argument, names) for argument in arguments_of(description)]
        first = len(tables.words)
        tables.words += words
        result = result_of(description)
        kind = f"KIND_{result.kind.upper()}" if result else "-1"
        detail = FD_KINDS.index(result.detail or "any") if result and result.kind == "fd" else 0
        rows.append(f'{{{number}, "{row.name}", {first}, {len(words)}, {kind}, {detail}}}')
    return rows


def _array(kind: str, name: str, rows: list[str]) -> str:
    return f"static const {kind} {name}[] = {{\n\t" + ",\n\t".join(rows) + "\n};\n"


def header() -> str:
    """The tables as C."""
    tables = Tables()
    path = tables.text("path")
    rows = _calls(tables)
    parts = [
        "/* Generated by tests/fuzz_calls/table.py from the system call table. */\n",
        "enum { " + ", ".join(f"KIND_{kind.upper()}" for kind in KINDS) + " };\n",
        "enum { " + ", ".join(f"FD_{kind.upper()}" for kind in FD_KINDS) + ", FD_KINDS };\n",
        f"enum {{ TEXT_PATH = {path} }};\n",
        _array("struct word", "words", tables.words),
        _array("struct member", "members", [f"{{(uint64_t)({each.value}), {each.word}}}" for each in tables.members]),
        _array("struct run", "sets", tables.set_rows),
        _array("struct run", "alternatives", [f"{{{first}, {count}}}" for first, count in tables.alternatives]),
        _array("struct run", "structures", [f"{{{first}, {count}}}" for first, count in tables.structure_rows]),
        _array("struct run", "texts", [f"{{{first}, {count}}}" for first, count in tables.text_rows]),
        _array("char *const", "strings", ['"' + text.replace("%", "%%") + '"' for text in tables.strings]),
        _array("struct row", "rows", rows),
    ]
    return "\n".join(parts)
