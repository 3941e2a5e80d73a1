"""A list of objects that is built, walked and reversed."""

from __future__ import annotations

from kernel.lang import noinline


class Node:
    value: int
    next: Node | None

    def __init__(self, value: int, following: Node | None) -> None:
        self.value = value
        self.next = following


@noinline
def walk(head: Node | None) -> int:
    total = 0
    node = head
    while node is not None:
        total += node.value
        node = node.next
    return total


@noinline
def run(rounds: int) -> int:
    head: Node | None = None
    for value in range(500):
        head = Node(value, head)
    total = 0
    for _ in range(rounds):
        total += walk(head)
    return total


def main() -> None:
    print(run(400))


if __name__ == "__main__":
    main()
