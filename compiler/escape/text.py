"""What one function of the emitted IR does with pointers, read from its text.

The lowering writes a small and regular part of LLVM's language. Reading it back, rather than the typed tree, means that
inlined generators and lambdas, clean-up code and containers are all there as what they became. Whatever is not
understood here counts as a way for its operands to become known everywhere.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from sys import intern

from compiler.lower.interfaces import BYTE_ARRAY

ALLOCATE = "krait_allocate"

# Steps, as tuples: what flows where. A value is a register, or "@" for anything that is not of this function.
COPY, LOAD, STORE, MOVE, CALL, RETURN, ESCAPE = range(7)
ELSEWHERE = "@"
COUNTS = frozenset({"krait.retain", "krait.release_reference", "krait.release_given"})  # no pointer goes anywhere
NEW_BYTE_ARRAY = f"{BYTE_ARRAY}.__init__"

# Operations whose operands or results are numbers.
_NUMBERS = frozenset(
    "icmp add sub mul and or xor shl lshr ashr zext sext trunc sdiv srem udiv urem freeze br unreachable switch".split()
)
_REGISTER = re.compile(r"%[\w.]+")
_TYPED = re.compile(r"(?:atomic |volatile )?(\{.*\}|\[[^\]]*\]|\w+)(?:,| ) ?")
_CALLEE = re.compile(r'[^@%]*(?:@(?:"([^"]*)"|([\w.]+))|%[\w.]+)\(')
# Calls that a trap may leave: not those of LLVM's own functions, nor of the helpers of each module (`HELPERS`).
_MAY_UNWIND = re.compile(r"  (?:%[\w.]+ = )?call (?!.*@llvm\.)(?!.*@krait\.)(?!.* asm (?!sideeffect unwind))")
_MARK = re.compile(r"#(\d+)")
_SITE = re.compile(rf'(?:call|invoke) ptr @{ALLOCATE}\(ptr @"([^"]*)", i64 (\w+|%[\w.]+)\)(.*)')


@dataclass(slots=True)
class Site:
    """A call of the allocator."""

    line: int
    register: str
    descriptor: str
    size: int  # bytes; -1 if that is known only at run time
    cold: bool  # on the way to a panic


@dataclass(slots=True)
class Buffer:
    """The storage of a fresh bytearray of known size, which its constructor would take from the heap."""

    line: int  # of the constructor's call
    result: str
    owner: str  # register of the bytearray
    size: int  # in bytes


@dataclass(slots=True)
class Call:
    """A call: the symbols that it may reach, or None if they are not known; and whether it names the one."""

    line: int
    result: str  # register, or ""
    targets: tuple[str, ...] | None
    args: tuple[str, ...]
    by_name: bool


@functools.lru_cache(maxsize=16)
def lines_of(text: str) -> list[str]:
    """The lines of a function, which nobody changes. Those of a whole program would need twice the room of its text,
    and they are asked for by one step after the other for one function.
    """
    return text.split("\n")


@dataclass(slots=True)
class Body:
    """A function, read."""

    symbol: str
    text: str
    count: int  # of lines
    parameters: tuple[str, ...]
    steps: list[tuple] = field(default_factory=list)  # type: ignore[type-arg]  # of several shapes, by their first item
    sites: list[Site] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)  # registers of allocas
    buffers: list[Buffer] = field(default_factory=list)
    returns: bool = False  # whether any path comes back
    works: bool = False  # whether it calls anything but what a panic needs
    is_long: bool = False  # too long to be looked into

    @property
    def lines(self) -> list[str]:
        return lines_of(self.text)

    @property
    def ends(self) -> bool:
        """Whether it never returns, and not because it panics."""
        return self.works and not self.returns


def parts(text: str) -> list[str]:
    """Split operands at the commas that are not inside braces."""
    if "{" not in text:
        return text.split(", ") if text else []
    found, depth, start = [], 0, 0
    for at, character in enumerate(text):
        if character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
        elif character == "," and depth == 0:
            found.append(text[start:at])
            start = at + 2
    found.append(text[start:])
    return found


def value_of(operand: str) -> str:
    """The pointer at the end of an operand: a register, ELSEWHERE for a symbol, "" for a constant or a number."""
    kind, _, word = operand.rpartition(" ")
    if word.startswith("%"):
        return intern(word) if "ptr" in kind or not kind else ""
    return ELSEWHERE if "@" in operand else ""


def member(kind: str, index: str) -> str:
    """The type of a member of a structure type."""
    return parts(kind[2:-2])[int(index)]


def holds_pointer(kind: str) -> bool:
    return "ptr" in kind


def may_unwind(line: str) -> bool:
    """Whether a line is a call, or a trap, that has no landing and may leave the function by unwinding."""
    return _MAY_UNWIND.match(line) is not None


class Reader:
    """Reads the functions of a program; `call_sets` are the targets of indirect calls, by their attribute's number."""

    def __init__(self, call_sets: dict[str, tuple[str, ...]]) -> None:
        self.call_sets = call_sets

    def read(self, symbol: str, text: str) -> Body:
        """Read a function's definition."""
        lines = text.split("\n")
        header = lines[0]
        body = Body(symbol, text, len(lines), tuple(map(intern, _REGISTER.findall(header[header.index('"(') :]))))
        for number in range(1, len(lines) - 1):
            line = lines[number]
            if line.startswith("  ") and line[2] != " ":
                self._line(body, number, line[2:])
        return body

    def _line(self, body: Body, number: int, line: str) -> None:
        cut = line.find(", !")
        code = line[:cut] if cut >= 0 else line
        result = ""
        if code[0] == "%":
            result, _, code = code.partition(" = ")
            result = intern(result)
        operation, _, rest = code.partition(" ")
        if operation in _NUMBERS:
            return
        steps = body.steps
        match operation:
            case "load":
                kind = _TYPED.match(rest)
                assert kind is not None
                if holds_pointer(kind[1]):
                    steps.append((LOAD, result, value_of(rest[kind.end() :].split(" unordered")[0].split(",")[0])))
            case "store":
                kind = _TYPED.match(rest)
                assert kind is not None
                if holds_pointer(kind[1]):
                    value, _, place = rest[kind.end() :].partition(", ptr ")
                    steps.append((STORE, value_of(value), value_of(place.split(" unordered")[0].split(",")[0])))
            case "getelementptr":
                steps.append((COPY, result, (value_of(parts(rest)[1]),)))
            case "phi":
                if holds_pointer(rest[: rest.index("[ ")]):
                    arms = re.findall(r"\[ ([^,]+), %", rest)
                    steps.append((COPY, result, tuple(value_of(arm) for arm in arms)))
            case "select":
                steps.append((COPY, result, tuple(value_of(part) for part in parts(rest)[1:])))
            case "extractvalue":
                whole, index = parts(rest)
                if holds_pointer(member(whole[: whole.rindex("}") + 1], index)):
                    steps.append((COPY, result, (value_of(whole),)))
            case "insertvalue":
                steps.append((COPY, result, tuple(value_of(part) for part in parts(rest)[:2])))
            case "inttoptr":
                steps.append((COPY, result, (ELSEWHERE,)))
            case "alloca":
                body.slots.append(result)
            case "ret":
                body.returns = True
                if holds_pointer(rest.rpartition(" ")[0]):
                    steps.append((RETURN, value_of(rest)))
            case "call" | "invoke":
                self._call(body, number, result, rest, line)
            case _:
                steps.append((ESCAPE, tuple(map(intern, _REGISTER.findall(code)))))
                if result:
                    steps.append((COPY, result, (ELSEWHERE,)))

    def _call(self, body: Body, number: int, result: str, rest: str, line: str) -> None:
        if rest.startswith(f"ptr @{ALLOCATE}("):
            found = _SITE.search(line)
            assert found is not None
            size = int(found[2]) if found[2].isdigit() else -1
            body.sites.append(Site(number, result, intern(found[1]), size, "#" in found[3]))
            return
        if " asm sideeffect unwind " in rest:
            return  # a trap
        callee = None if " asm " in rest else _CALLEE.match(rest)
        if callee is None:
            body.steps.append((ESCAPE, tuple(map(intern, _REGISTER.findall(rest)))))
            if result:
                body.steps.append((COPY, result, (ELSEWHERE,)))
            return
        end = rest.rindex(")")
        marks = _MARK.findall(rest[end:])
        if all(mark in self.call_sets for mark in marks):
            body.works = True
        operands = parts(rest[callee.end() : end])
        args = tuple(value_of(part) for part in operands)
        name = callee[1] or callee[2]
        if name is not None:
            if name.startswith("llvm."):
                if name.startswith("llvm.mem") and "set" not in name:
                    body.steps.append((MOVE, args[1], args[0]))
                return
            if name == "krait.store_reference":
                body.steps.append((STORE, args[1], args[0]))
                return
            if name == "krait.fill_references":
                body.steps.append((STORE, args[2], args[0]))
                return
            if name in COUNTS:
                return
            if name == NEW_BYTE_ARRAY and operands[1][4:].isdigit():
                body.buffers.append(Buffer(number, result, args[0], int(operands[1][4:])))
            targets: tuple[str, ...] | None = (intern(name),)
        else:
            targets = next((self.call_sets[mark] for mark in marks if mark in self.call_sets), None)
        call = Call(number, result, targets, args, callee[1] is not None)
        body.calls.append(call)
        body.steps.append((CALL, call))
