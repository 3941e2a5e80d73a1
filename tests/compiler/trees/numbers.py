"""Integers: operators, storage types, u64, casts, comparisons."""

from __future__ import annotations

from typing import NewType

from kernel.lang import u8, u32, u64

Pid = NewType("Pid", int)


class Counters:
    small: u8

    def __init__(self) -> None:
        self.small = u8(0)


def operators(a: int, b: int) -> int:
    return (a + b) * -a // b % 7 << 2 | ~b


def constants() -> int:
    return (1 << 12) - 2**4 + -3


def widening(counters: Counters, a: u8, b: int) -> None:
    copied = a
    chosen = a if b else counters.small
    mixed = a if b else b
    counters.small += 1
    counters.small = b
    print(copied, chosen, mixed, max(a, a))


def casts(a: int, b: u64) -> u32:
    print(int(b), u64(a), bool(a), u8(a + 300), Pid(a))
    return u32(a * a)


def unsigned(a: u64, b: int) -> u64:
    return a + 1 if a > 5 and a != b else a >> b


def comparisons(a: int, b: int, c: bytes) -> bool:
    return a < b <= 7 and not a == b or 3 in c or a not in (1, 2)


def walrus(a: int) -> int:
    if (doubled := a * 2) > 5:
        return doubled
    return 0
