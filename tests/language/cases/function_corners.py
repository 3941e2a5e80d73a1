"""Closures over what changes, function values, defaults, nested comprehensions."""

from __future__ import annotations

from collections.abc import Callable

from kernel.lang import noinline


def apply(f: Callable[[int], int], n: int) -> int:
    return f(n)


def each(f: Callable[[int], None], n: int) -> None:
    for i in range(n):
        f(i)


@noinline
def double(n: int) -> int:
    return n * 2


@noinline
def square(n: int) -> int:
    return n * n


class Table:
    def __init__(self, f: Callable[[int], int]) -> None:
        self.f = f

    @staticmethod
    def third(n: int) -> int:
        return n // 3


@noinline
def swap(t: Table) -> int:
    t.f = square
    return 7


def fact(n: int) -> int:
    return 1 if n < 2 else n * fact(n - 1)


def defaults(a: int, b: int = 5, *, c: bytes = b"c", d: int | None = None) -> str:
    return f"{a} {b} {c!r} {d is None}"


def functions() -> None:
    k = 3
    print(apply(lambda x: x + k, 1))
    k = 4
    print(apply(lambda x: x + k, 1), apply(double, 5))
    total = [0]

    def add(i: int) -> None:
        total[0] += i * k
    each(add, 4)
    k = 10
    each(add, 2)
    print(total[0])
    t = Table(double)
    print(t.f(swap(t)), t.f(3), Table.third(10))
    t.f = Table.third
    print(t.f(10))
    fs = [double, square, Table.third]
    for f in fs:
        print(f(9), f is double, f == square)
    for i in range(3):
        print(apply(lambda x: x * i, 10))
    print(fact(10), defaults(1), defaults(1, 2), defaults(1, c=b"x"), defaults(1, 2, c=b"y", d=0))
    x = 1

    def shadow(x: int) -> int:
        y = x + k
        return y
    print(shadow(5), x, [x for x in range(3)][2], x)
    y = [[i * j for j in range(i)] for i in range(4)]
    print(len(y), y[3][2], sum(sum(r) for r in y))
    print([a for a in range(10) if a % 2 if a > 4][0], [b for a in [1, 2] for b in [a, a * 10]][3])
    print([q * 2 for q in range(3)][2])
    g = double if k > 5 else square
    print(g(6), (square if k > 50 else double)(6))


def main() -> None:
    functions()


if __name__ == "__main__":
    main()
