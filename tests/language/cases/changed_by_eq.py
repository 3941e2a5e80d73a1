"""Lists that a method `__eq__` changes while they are searched."""

from __future__ import annotations


class Clearing:
    def __init__(self, items: list[Clearing]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        self.items.clear()
        return False


class Shrinking:
    def __init__(self, items: list[Shrinking]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        self.items.pop()
        self.items.pop()
        return len(self.items) < 3


class Growing:
    def __init__(self, items: list[Growing]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        if len(self.items) < 40:
            self.items.append(self)
        return False


def main() -> None:
    clearing: list[Clearing] = []
    for _ in range(5):
        clearing.append(Clearing(clearing))
    other: list[Clearing] = []
    print(Clearing(other) in clearing, len(clearing))
    for _ in range(5):
        clearing.append(Clearing(clearing))
    print(clearing.count(Clearing(other)), len(clearing))
    shrinking: list[Shrinking] = []
    for _ in range(5):
        shrinking.append(Shrinking(shrinking))
    shrinking.remove(Shrinking([]))
    print(len(shrinking))
    growing: list[Growing] = []
    growing.append(Growing(growing))
    print(Growing(growing) in growing, len(growing))
    for things in (shrinking,):
        things.clear()
    growing.clear()


if __name__ == "__main__":
    main()
