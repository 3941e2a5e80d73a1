"""Handlers for several classes, and for a base class, which ask for the class of what they caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from kernel.lang import Errno, KernelError


class Missing(KernelError):
    code: int
    WEIGHT: ClassVar[int] = 1

    def __init__(self, code: int) -> None:
        self.code = code


class Gone(Missing):
    WEIGHT: ClassVar[int] = 2


class Broken(KernelError):
    def __init__(self, code: int = 17) -> None:
        super().__init__(code)


def work(number: int) -> int:
    if number == 1:
        raise Missing(5)
    if number == 2:
        raise Broken(-6)
    if number == 3:
        raise Gone(7)
    if number == 4:
        raise Errno(8)
    if number == 5:
        raise Broken
    return number


def code_of_several(number: int) -> int:
    try:
        return work(number)
    except (Missing, Broken) as error:
        return error.code
    except Errno as error:
        return -error.code


def asked(number: int) -> str:
    try:
        work(number)
    except KernelError as error:
        if isinstance(error, Missing):
            return f"missing {error.code} {error.WEIGHT}"
        if isinstance(error, (Errno, Gone)):
            return f"errno {error.code}"
        return f"other {error.code}"
    return "well"


def asked_one_of_two(number: int) -> int:
    try:
        return work(number)
    except (Gone, Broken, MemoryError) as error:
        if isinstance(error, MemoryError):
            return 12
        if isinstance(error, Gone):
            return error.code + 100
        return error.code + 200
    except KernelError as error:
        return error.code


def matched(number: int) -> str:
    try:
        work(number)
    except (Missing, Errno, Broken) as error:
        match error:
            case Gone():
                return f"gone {error.code}"
            case Missing(code=5):
                return "missing five"
            case Errno(code=code) | Broken(code=code) if code > 0:
                return f"one of two {code}"
            case _:
                return f"other {error.code}"
    return "well"


def raised_again(number: int) -> int:
    try:
        return work(number)
    except (Missing, Errno) as error:
        if error.code == 5:
            raise
        raise error
    except Broken as error:
        raise Errno(error.code) from error


def caught_again(number: int) -> str:
    try:
        return f"well {raised_again(number)}"
    except Gone as error:
        return f"gone {error.code}"
    except Missing as error:
        return f"missing {error.code}"
    except Errno as error:
        return f"errno {error.code}"


def next_code(error: KernelError) -> int:
    return error.code + 1


def given(number: int, take: Callable[[KernelError], int]) -> int:
    try:
        return work(number)
    except (Gone, Broken) as error:
        return take(error)
    except KernelError as error:
        return take(error) * 2


def chosen(number: int) -> int:
    error: Missing | Broken = Missing(number) if number < 3 else Broken(number * 10)
    other = error
    try:
        if other:
            raise other
    except Missing as missing:
        return missing.code
    except Broken as broken:
        return -broken.code
    return 0


def skipped(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        try:
            total += work(number)
        except (Missing, Broken, Errno) as error:
            if error.code < 0:
                continue
            if not isinstance(error, Missing):
                break
            total += error.code
    return total


def main() -> None:
    for number in range(6):
        print(number, code_of_several(number), asked(number), asked_one_of_two(number), matched(number))
        print(caught_again(number), given(number, next_code), given(number, lambda e: e.code - 1), chosen(number))
    print(skipped([0, 1, 2, 3, 0]), skipped([1, 4, 1]), skipped([]))
