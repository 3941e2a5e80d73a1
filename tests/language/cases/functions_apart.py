"""Functions with equal bodies are still different functions."""

from __future__ import annotations

from collections.abc import Callable

from kernel.lang import noinline


@noinline
def f(x: int) -> int:
    return x + 1


@noinline
def g(x: int) -> int:
    return x + 1


def h(x: int) -> int:
    return x + 1


def empty1() -> None:
    pass


def empty2() -> None:
    pass


@noinline
def same(a: Callable[[int], int], b: Callable[[int], int]) -> bool:
    return a is b


@noinline
def same2(a: Callable[[], None], b: Callable[[], None]) -> bool:
    return a is b


def b6() -> None:
    print(same(f, g), same(f, f), same(g, h), f is g, f == g)
    print(same2(empty1, empty2))
    items = [f, g, h]
    print(items.index(h), g in [f, h])


def main() -> None:
    b6()


if __name__ == "__main__":
    main()
