"""Values in registers while a function is lowered, and what is known about the range of an int."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from compiler.types import INT, U64, EnumType, IntType, NoneType, Type

K = TypeVar("K")
Range = tuple[int, int]  # from the least to the greatest
INT_MIN = -(1 << 63)
INT_MAX = (1 << 63) - 1
U64_MAX = (1 << 64) - 1
LENGTH_LIMIT = (1 << 62) - 1  # the most elements of anything


@dataclass(unsafe_hash=True, slots=True)  # not `frozen`: see `Loc` of tree.py
class Path:
    """How a function names an object: a variable or global, and fields from there on. Two equal paths mean one object
    as long as nothing stores to what they go through (guards.py).
    """

    root: int | str  # a local's slot, by its number; or a global's full name
    fields: tuple[tuple[str, str], ...] = ()  # the declaring class and the name of each
    text: str = field(default="", compare=False)  # as it is written

    def then(self, owner: str, name: str) -> Path:
        """The path of a field."""
        return Path(self.root, (*self.fields, (owner, name)), f"{self.text}.{name}")


@dataclass(unsafe_hash=True, slots=True)  # not `frozen`: see `Loc` of tree.py
class Value:
    """An operand of LLVM: a register's name or a constant, of Python type `type` in the form of `register_type(type)`.

    `low` and `high` bound an int where more is known than its type says. The operand of a NoneType is never looked at.
    """

    operand: str
    type: Type
    low: int | None = None
    high: int | None = None
    origin: object = None  # of a function value: the place or function that it comes from, if known (world.py, `flows`)
    path: Path | None = None  # of a reference: how it is named, if it is

    @property
    def constant(self) -> int | None:
        """The value of an int that is known."""
        return self.low if self.low is not None and self.low == self.high else None

    def of_type(self, t: Type) -> Value:
        """The same operand seen as another type of the same form."""
        return Value(self.operand, t, self.low, self.high, self.origin, self.path)

    def at(self, path: Path | None) -> Value:
        """The same value with a path."""
        return Value(self.operand, self.type, self.low, self.high, self.origin, path)


@dataclass(unsafe_hash=True, slots=True)  # not `frozen`: see `Loc` of tree.py
class Fact:
    """The range of a local, as long as it was written that many times."""

    address: str
    writes: int
    low: int
    high: int


def together(facts: Iterable[Fact]) -> list[Fact]:
    """What facts that all hold say, as one for each local: of older ones nothing is left once it was written again."""
    found: dict[str, Fact] = {}
    for fact in facts:
        other = found.get(fact.address)
        if other is not None and other.writes == fact.writes:
            found[fact.address] = replace(fact, low=max(fact.low, other.low), high=min(fact.high, other.high))
        elif other is None or other.writes < fact.writes:
            found[fact.address] = fact
    return list(found.values())


def widen(ranges: dict[K, Range], place: K, known: Range) -> None:
    """Let a range hold what it held, and this."""
    low, high = ranges.get(place, known)
    ranges[place] = min(low, known[0]), max(high, known[1])


NONE_VALUE = Value("null", NoneType())


def int_constant(value: int, t: Type = INT) -> Value:
    """An int, u64 or enum constant."""
    operand = value - (1 << 64) if value > INT_MAX else value
    return Value(str(operand), t, value, value)


def type_bounds(t: Type) -> tuple[int, int]:
    """The least and the greatest value of an int type."""
    if isinstance(t, IntType) and t != INT:
        if t.name == "u64" or t.name == "be64":
            return 0, U64_MAX
        if t.signed:
            return -(1 << (t.bits - 1)), (1 << (t.bits - 1)) - 1
        return 0, (1 << t.bits) - 1
    return INT_MIN, INT_MAX


def bounds(value: Value) -> tuple[int, int]:
    """What is known about an int's range."""
    low, high = type_bounds(value.type)
    return (low if value.low is None else max(low, value.low), high if value.high is None else min(high, value.high))


def is_integer(t: Type) -> bool:
    """Whether values are i64 in registers: ints of all kinds and enums."""
    return isinstance(t, IntType | EnumType)


def is_unsigned(t: Type) -> bool:
    """Whether the 64 bits in the register mean an unsigned number (u64; big-endian 64 bits read as one too)."""
    return t == U64 or (isinstance(t, IntType) and t.name == "be64")
