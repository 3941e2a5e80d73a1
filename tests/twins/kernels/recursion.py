"""Calls: the Fibonacci numbers, and a function that may raise."""

from __future__ import annotations

from kernel.lang import Errno, noinline


def fibonacci(n: int) -> int:
    if n < 0:
        raise Errno(22)
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


@noinline
def run(rounds: int) -> int:
    total = 0
    for _ in range(rounds):
        total += fibonacci(18)
    return total


def main() -> None:
    print(run(10))


if __name__ == "__main__":
    main()
