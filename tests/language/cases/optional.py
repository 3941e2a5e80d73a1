"""T | None: narrowing by is None, by truth of a walrus, in loops and fields; optional ints."""

from __future__ import annotations


class Node:
    value: int
    next: Node | None

    def __init__(self, value: int, following: Node | None = None) -> None:
        self.value = value
        self.next = following


def find(head: Node | None, value: int) -> Node | None:
    node = head
    while node is not None:
        if node.value == value:
            return node
        node = node.next
    return None


def half(value: int) -> int | None:
    if value % 2:
        return None
    return value // 2


def length(head: Node | None) -> int:
    return 0 if head is None else 1 + length(head.next)


def name(flag: bool) -> bytes | None:
    return b"yes" if flag else None


def main() -> None:
    head: Node | None = None
    for value in range(5):
        head = Node(value, head)
    print(length(head))
    found = find(head, 3)
    missing = find(head, 9)
    print(found is None, missing is None)
    if found is not None and found.next is not None:
        print(found.value, found.next.value)
    for value in range(4):
        result = half(value)
        if result is None:
            print("odd")
        else:
            print(result + 1)
    if (quarter := half(8)) is not None:
        print(quarter)
    text = name(True)
    assert text is not None
    print(len(text), name(False) is None)
    assert head is not None
    head.next = None
    print(length(head))


if __name__ == "__main__":
    main()
