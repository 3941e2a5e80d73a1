"""Functions as values, closures, defaults, comprehensions, chains, globals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kernel.lang import Errno

LIMIT: Final = 10
TABLE: Final[list[int]] = [x * x for x in range(LIMIT)]
counter: int = 0
names: dict[int, str] = {1: "one", 2: "two"}


def apply(f: Callable[[int], int], values: list[int]) -> list[int]:
    return [f(v) for v in values]


def bump(by: int = 1, times: int = 2) -> int:
    global counter
    for _ in range(times):
        counter += by
    return counter


def find(values: list[int], wanted: int) -> int:
    for i, v in enumerate(values):
        if v == wanted:
            return i
    else:
        return -1


def primes(limit: int) -> list[int]:
    found: list[int] = []
    n = 2
    while n < limit:
        for p in found:
            if p * p > n:
                found.append(n)
                break
            if n % p == 0:
                break
        else:
            found.append(n)
        n += 1
    return found


def double(x: int) -> int:
    return 2 * x


OPS: dict[str, Callable[[int], int]] = {"double": double}


class Node:
    def __init__(self, value: int, next: Node | None = None) -> None:
        self.value = value
        self.next = next


def reverse(head: Node | None) -> Node | None:
    previous: Node | None = None
    while head is not None:
        following = head.next
        head.next = previous
        previous = head
        head = following
    return previous


def show(head: Node | None) -> str:
    text = ""
    while head:
        text += f"{head.value}->"
        head = head.next
    return text + "nil"


def total(head: Node | None) -> int:
    return 0 if head is None else head.value + total(head.next)


def main() -> None:
    offset = 7
    for v in apply(lambda x: x + offset, [1, 2, 3]):
        print(v)

    def triple(x: int) -> int:
        return 3 * x + offset

    print(len(apply(triple, TABLE)), apply(triple, TABLE)[-1])
    print(bump(), bump(5), bump(times=3), bump(by=-1, times=1))
    print(find(TABLE, 49), find(TABLE, 50))
    ps = primes(50)
    print(f"{len(ps)} {ps[-1]}")
    print(OPS["double"](21))
    head = Node(1, Node(2, Node(3)))
    print(show(reverse(head)))
    if (n := len(ps)) > 10:
        print("many", n)
    print(1 < n <= 15 != 3, not n, n and 5, 0 or 7)
    a, b = 1, 2
    a, b = b, a + b
    print(a, b)
    q, r = divmod(-7, 2)
    print(q, r)
    x = y = 5
    x += 1
    print(x, y)
    del names[1]
    print(len(names), 2 in names, names.get(9, "none"), names.get(2) is None)
    i = 0
    while i < 3:
        i += 1
    else:
        print("else ran")
    matrix = [[r * c for c in range(3)] for r in range(3)]
    print(matrix[2][1], sum([sum(row) for row in matrix]), any(v > 3 for v in TABLE), all(v >= 0 for v in TABLE))
    for a2, b2 in zip([1, 2, 3], [4, 5, 6]):
        print(a2 * b2)
    for k in reversed(range(3)):
        print(k)
    print(sum([k * k for k in reversed([1, 2, 3])]))
    letters = "abc"
    print(letters + "d" * 3, len(letters), "b" in letters, letters == "abc", letters < "abd")
    try:
        if counter > 0:
            raise Errno(22)
    except Errno as e:
        print("caught", e.code)
    t = (1, "two")
    print(t[0], t[1])
    assert counter != 0, "counter is zero"
    print(total(head), abs(-5), ord("a"), chr(98), bool(0), int(True))
    print(int("42") + int("ff", 16), str(99) + "!", f"{'nested ' + str(1)}")
    print(hash("one") == hash("o" + "ne"), isinstance(head, Node))
    print("multi", "args", 3, True, b"bytes")


if __name__ == "__main__":
    main()
