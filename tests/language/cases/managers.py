"""with: enter and exit, several items, exits on return, break and exceptions."""

from __future__ import annotations

from typing import final

from kernel.lang import Errno


@final
class Lock:
    name: str
    depth: int

    def __init__(self, name: str) -> None:
        self.name = name
        self.depth = 0

    def __enter__(self) -> Lock:
        self.depth += 1
        print("enter", self.name)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.depth -= 1
        print("exit", self.name)


def early(lock: Lock, flag: bool) -> int:
    with lock:
        if flag:
            return 1
        print("late")
    return 2


def failing(lock: Lock) -> None:
    with lock as held:
        print("depth", held.depth)
        raise Errno(11)


def main() -> None:
    first = Lock("first")
    second = Lock("second")
    print(early(first, True), early(first, False))
    with first, second:
        print(first.depth + second.depth)
    try:
        failing(second)
    except Errno as error:
        print("caught", error.code, second.depth)
    for step in range(3):
        with first:
            if step == 1:
                continue
            if step == 2:
                break
            print("body", step)
    print(first.depth)


if __name__ == "__main__":
    main()
