"""Generators run in for only."""

from collections.abc import Iterator


def count(end: int) -> Iterator[int]:
    for i in range(end):
        yield i


def main() -> None:
    numbers = count(3)
    for number in count(3):
        print(number)
    print(any(n > 1 for n in [1, 2]))
    squares = (n * n for n in [1, 2])
