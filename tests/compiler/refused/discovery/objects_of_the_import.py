"""An object of the import must be what its class's source says."""

from __future__ import annotations


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def next(self) -> int:
        self.count += 1
        return self.count


COUNTER = Counter()
vars(COUNTER)["next"] = lambda: 7


def main() -> None:
    print(COUNTER.next())
