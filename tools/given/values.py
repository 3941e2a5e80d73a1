"""What is known of a number: its least and greatest value, and whether a program (or a disk, or a packet) gave it.

Numbers that the kernel counts itself are trusted: they stand for `TAME`, as far as nothing better is known. A sum is
only of interest if one of its parts was given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from compiler.types import BoolType, IntType, Type

LEAST = -(1 << 63)
MOST = (1 << 63) - 1
TAME_BITS = 47
# What grows by little and little, from numbers that were bounded, does not come further than this.
COUNTED = 1 << 52
RAW = 1 << 58  # what is greater than this was not bounded


@dataclass(frozen=True)
class Value:
    """An interval. For a container, what its elements are."""

    least: int
    most: int
    given: bool = False

    def clipped(self) -> Value:
        """As it counts where given numbers come together with it."""
        if self.given:
            return self
        bound = 1 << TAME_BITS
        return Value(max(-bound, min(bound, self.least)), max(-bound, min(bound, self.most)))

    def fits(self, low: int = LEAST, high: int = MOST) -> bool:
        return low <= self.least and self.most <= high

    def within(self, low: int, high: int) -> Value:
        """The same, cut down to a range; the range if nothing is left."""
        least, most = max(self.least, low), min(self.most, high)
        return Value(least, most, self.given) if least <= most else Value(low, high, self.given)


TAME = Value(-(1 << TAME_BITS), 1 << TAME_BITS)
def settled(old: Value, new: Value) -> Value:
    """What stands for a number that grows and grows: a count if it was bounded, else anything."""
    if new.fits(-RAW, RAW):
        least = min(old.least, -COUNTED) if new.least < old.least else old.least
        return Value(least, max(old.most, COUNTED) if new.most > old.most else old.most, given=True)
    return Value(LEAST if new.least < old.least else old.least, MOST if new.most > old.most else old.most, given=True)


SIZE = Value(0, 1 << 40)  # of a container


def joined(first: Value | None, second: Value | None) -> Value | None:
    """What may be either."""
    if first is None or second is None:
        return first or second
    if not first.given and not second.given:
        return Value(min(first.least, second.least), max(first.most, second.most))
    a, b = first.clipped(), second.clipped()
    return Value(min(a.least, b.least), max(a.most, b.most), given=True)


def range_of(kind: Type) -> tuple[int, int]:
    """What a place of this type holds."""
    if isinstance(kind, BoolType):
        return 0, 1
    if isinstance(kind, IntType):
        return (-(1 << kind.bits - 1), (1 << kind.bits - 1) - 1) if kind.signed else (0, (1 << kind.bits) - 1)
    return LEAST, MOST


def default(kind: Type) -> Value:
    """A trusted number of a type."""
    low, high = range_of(kind)
    return TAME.within(low, high)


def anything(kind: Type) -> Value:
    """A given number of a type."""
    return Value(*range_of(kind), given=True)


def negated(value: Value) -> Value:
    return Value(-value.most, -value.least, value.given)


def arithmetic(op: str, a: Value, b: Value) -> Value:
    """The exact result, which may not fit."""
    given = a.given or b.given
    if op == "+":
        return Value(a.least + b.least, a.most + b.most, given)
    if op == "-":
        return Value(a.least - b.most, a.most - b.least, given)
    if op == "*":
        return _extremes([x * y for x in (a.least, a.most) for y in (b.least, b.most)], given)
    if op in ("<<", ">>"):
        counts = (max(0, min(64, b.least)), max(0, min(64, b.most)))
        return _extremes([x << n if op == "<<" else x >> n for x in (a.least, a.most) for n in counts], given)
    if op == "//":
        divisors = [d for d in (b.least, b.most, -1, 1) if d != 0 and b.least <= d <= b.most]
        return _extremes([x // d for x in (a.least, a.most) for d in divisors] or [0], given)
    if op == "%":
        most = max(abs(b.least), abs(b.most)) - 1
        if a.least >= 0 and b.least > 0:
            return Value(0, min(most, a.most), given)
        return Value(0 if b.least >= 0 else -most, max(0, most if b.most > 0 else 0), given)
    if op == "&":
        bounds = [v.most for v in (a, b) if v.least >= 0]
        if bounds:
            return Value(0, min(bounds), given)
        return Value(min(LEAST, a.least, b.least), max(a.most, b.most, 0), given)
    if op in ("|", "^"):
        bits = max(v.bit_length() for v in (a.least, a.most, b.least, b.most))
        low = 0 if a.least >= 0 and b.least >= 0 else max(LEAST, -(1 << bits))
        return Value(low, min(MOST, (1 << bits) - 1), given)
    return replace(TAME, given=given)


def _extremes(found: list[int], given: bool) -> Value:
    return Value(min(found), max(found), given)
