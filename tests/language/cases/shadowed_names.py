"""Names of Python's functions that mean something else here."""

from __future__ import annotations


def len(x: int) -> int:
    return x * 2


def print_(x: int) -> None:
    print(x)


class Range:
    pass


def f(range: int, list: int, str: int) -> int:
    sum = range + list
    max = sum * str
    return max


def shadowed() -> None:
    print_(len(5))
    print_(f(1, 2, 3))
    min = 5
    print(min)


def main() -> None:
    shadowed()


if __name__ == "__main__":
    main()
