"""A trap: a sum that is too large in one of a few short methods that a call may reach."""

# traps: OverflowError at line 20

from __future__ import annotations

from kernel.lang import noinline


class Counter:
    count: int

    def __init__(self, count: int) -> None:
        self.count = count

    def next(self) -> int:
        return 1

    def added(self) -> int:
        return self.count + 1


class Down(Counter):
    def next(self) -> int:
        return self.count - 1

    def added(self) -> int:
        return self.count - 2


@noinline
def all_of(counters: list[Counter]) -> int:
    total = 0
    for counter in counters:
        total += counter.next()
        total ^= counter.added()
    return total


def main() -> None:
    print(all_of([Counter(4), Down(6), Counter(-9)]))
    print(all_of([Down(6), Counter(0x7FFF_FFFF_FFFF_FFFF)]))


if __name__ == "__main__":
    main()
