"""A trap: a deque changes while it is run over backwards."""

# traps: RuntimeError at line 21

from __future__ import annotations

from collections import deque

from kernel.lang import noinline


@noinline
def change(queue: deque[int], number: int) -> None:
    if number == 2:
        queue.append(9)


def main() -> None:
    queue: deque[int] = deque()
    queue.extend([1, 2, 3])
    for number in reversed(queue):
        print(number)
        change(queue, number)


if __name__ == "__main__":
    main()
