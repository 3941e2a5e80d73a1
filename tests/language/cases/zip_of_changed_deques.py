"""A deque beside a sequence that is over before: nobody asks it any more, so it may have changed. And super() in what a
comprehension goes through, which is computed outside it.
"""

from __future__ import annotations

from collections import deque


class Base:
    def items(self) -> list[int]:
        return [1, 2]


class Derived(Base):
    def items(self) -> list[int]:
        return [item * 10 for item in super().items()]


def main() -> None:
    queue: deque[int] = deque()
    queue.append(1)
    queue.append(2)
    for number, item in zip([1], queue):
        queue.append(number + item)
    print(len(queue))
    for item in Derived().items():
        print(item)


if __name__ == "__main__":
    main()
