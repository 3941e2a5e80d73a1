"""for over everything: enumerate, zip, reversed, items, tuple literals, generator functions; comprehension reductions."""

from __future__ import annotations

from collections.abc import Iterator


def countdown(start: int) -> Iterator[int]:
    value = start
    while value > 0:
        yield value
        value -= 1


def pairs(limit: int) -> Iterator[tuple[int, int]]:
    for a in range(limit):
        for b in range(a):
            yield a, b


def evens(values: list[int]) -> Iterator[int]:
    for value in values:
        if value % 2 == 0:
            yield value


def main() -> None:
    values = [4, 7, 10]
    for place, value in enumerate(values):
        print(place, value)
    for place, value in enumerate(values, 5):
        print(place, value)
    for a, b in zip(values, [1, 2]):
        print(a, b)
    for value in reversed(values):
        print(value)
    for value in reversed(range(2, 9, 3)):
        print(value)
    for name in ("x", "y"):
        print(name)
    for value in countdown(3):
        if value == 1:
            break
        print("down", value)
    else:
        print("not here")
    for a, b in pairs(4):
        if b == 2:
            continue
        print(a, b)
    total = 0
    for value in evens(values):
        total += value
    print(total)
    print(sum(values), sum([v * v for v in values]), sum(v for v in values if v > 5))
    print(any(v == 7 for v in values), any(v > 70 for v in values), all(v > 3 for v in values), all(v > 5 for v in values))
    print(min(values[0], values[1]), max(values[1], values[2]))
    for place, value in enumerate(b"ab"):
        print(place, value)
    for value in range(len(values) - 1, -1, -1):
        print(values[value])


if __name__ == "__main__":
    main()
