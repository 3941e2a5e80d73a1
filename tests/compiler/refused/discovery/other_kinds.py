"""What is an object too, but of another kind than the one that is wanted."""

from __future__ import annotations

from collections import deque
from enum import Enum, IntEnum, IntFlag
from typing import TypeVar

from kernel.lang import noinline, u8, u64

T = TypeVar("T")


class Plain(Enum):
    FIRST = 1


class Other(Enum):
    FIRST = 1


class Colour(IntEnum):
    RED = 1
    __HIDDEN = 2

    @staticmethod
    def hidden() -> int:
        return Colour.__HIDDEN


class Mode(IntFlag):
    READ = 4
    LOW = -8


def keys_sorted(numbers: dict[int, int]) -> list[int]:
    return sorted(numbers)


def joined(texts: deque[bytes]) -> bytes:
    return b",".join(texts)


def extended(numbers: list[int], more: bytes) -> None:
    numbers.extend(more)


def bytes_of_numbers(numbers: deque[int]) -> bytes:
    return bytes(numbers)


def sort_bytes(numbers: list[u8]) -> None:
    numbers.sort()


def sort_large(numbers: list[u64]) -> None:
    numbers.sort()


def sort_flags(flags: list[bool]) -> None:
    flags.sort()


def beside(numbers: dict[int, int], others: list[int]) -> int:
    total = 0
    for key, other in zip(numbers, others):
        total += key * other
    return total


def backwards(numbers: dict[int, int]) -> int:
    total = 0
    for key in reversed(numbers):
        total = total * 10 + key
    return total


def converted(other: Other) -> Plain:
    return Plain(other)


def is_member(number: int) -> bool:
    return isinstance(number, Colour)


def matches(number: int) -> bool:
    match number:
        case Colour():
            return True
        case _:
            return False


def negative() -> Mode:
    return Mode.LOW


def in_range(flag: bool) -> bool:
    return flag in range(2)


def division(flag: bool) -> int:
    quotient, _ = divmod(7, flag)
    return quotient


@noinline
def same(left: T, right: T) -> bool:
    return left is right


def same_numbers(number: int) -> bool:
    return same(number, number + 1)


@noinline
def shown(value: T) -> str:
    return f"{value}"


def shown_list(numbers: list[int]) -> str:
    return shown(numbers)
