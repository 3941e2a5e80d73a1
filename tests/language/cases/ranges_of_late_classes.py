"""Ranges of arguments and results where classes are found after the calls that may reach them."""

from __future__ import annotations

from typing import NoReturn, Protocol

from kernel.lang import Errno, noinline, panic, u8


class Source(Protocol):
    def number_to_use(self) -> int: ...


class Broken:
    def number_to_use(self) -> NoReturn:
        panic("broken")


class Whole:
    def number_to_use(self) -> int:
        return 5


class Failing:
    def number_to_use(self) -> int:
        raise Errno(5)


class Counter(Protocol):
    def count_more(self, more: int) -> int: ...


class Part:
    def count_more(self, more: int) -> int:
        return more * 2


@noinline
def show(number: int) -> None:
    print(number, u8(number))


@noinline
def use(source: Source) -> int:
    number = source.number_to_use()
    show(number + 300)
    return number + 300


@noinline
def try_to_use(source: Source) -> int:
    try:
        return use(source)
    except Errno as error:
        return -error.code


@noinline
def source_of(kind: int) -> Source:
    if kind < 0:
        return Broken()
    return whole_or_failing(kind)


@noinline
def whole_or_failing(kind: int) -> Source:
    return failing() if kind == 1 else Whole()


@noinline
def failing() -> Source:
    return Failing()


@noinline
def of_any(counter: Counter, more: int) -> int:
    return counter.count_more(more)


@noinline
def of_part(part: Part, more: int) -> int:
    return part.count_more(more)


@noinline
def part_of(kind: int) -> Part:
    return other_part(kind)


@noinline
def other_part(kind: int) -> Part:
    return Part()


def main() -> None:
    show(3)
    whole = source_of(0)
    failed = source_of(1)
    print(try_to_use(whole), try_to_use(failed))
    part = part_of(0)
    print(of_any(part, 1), of_any(part, 0), of_part(part, 7))


if __name__ == "__main__":
    main()
