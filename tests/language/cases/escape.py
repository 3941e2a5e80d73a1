"""Objects that may lie in their function's frame, and those that must not: what each rule of the escape analysis is
about. The test of all cases also counts the objects that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from kernel.lang import Array, Errno, Weak, final, noinline, u8, weak


@final
class Point:
    x: int
    y: int

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y

    def sum(self) -> int:
        return self.x + self.y


@final
class Node:
    value: int
    next: Node | None

    def __init__(self, value: int, following: Node | None) -> None:
        self.value = value
        self.next = following

    def itself(self) -> Node:
        return self

    def push(self, value: int) -> None:
        self.next = Node(value, self.next)


@final
class Store:
    kept: Node | None
    weak: Weak[Node] | None

    def __init__(self) -> None:
        self.kept = None
        self.weak = None


STORE = Store()


class Shape:
    name: Node

    def __init__(self, name: Node) -> None:
        self.name = name

    def take(self, node: Node) -> int:
        return node.value


class Keeper(Shape):
    def take(self, node: Node) -> int:
        STORE.kept = node
        return node.value + 1


class Looker(Shape):
    def take(self, node: Node) -> int:
        return node.value + 2


@final
class Buffered:
    """A view of its storage may be returned."""

    room: Array[u8, Literal[16]]
    owner: Node

    def __init__(self, owner: Node) -> None:
        self.room = Array[u8, Literal[16]]()
        self.owner = owner

    def fill(self, value: int) -> int:
        for i in range(16):
            self.room[i] = u8(value + i)
        return self.room[15]


def churn() -> int:
    """Allocates, so that what was freed is used again."""
    total = 0
    for i in range(50):
        nodes = [Node(i, None), Node(i + 1, None)]
        total += nodes[1].value
    return total


@noinline
def look(node: Node | None) -> int:
    return 0 if node is None else node.value


@noinline
def keep(node: Node) -> None:
    STORE.kept = node


@noinline
def choose(first: bool, a: Node, b: Node) -> Node:
    return a if first else b


@noinline
def maybe(value: int) -> int:
    if value < 0:
        raise Errno(5)
    return value


def local() -> None:
    p = Point(1, 2)
    print("local", p.sum())
    n = Node(3, Node(4, Node(5, None)))
    n.push(6)
    churn()
    inner = n.next
    assert inner is not None
    print("chain", look(n), look(inner), look(inner.next))


def stored() -> None:
    n = Node(7, None)
    keep(n)
    churn()
    print("stored", look(STORE.kept))
    STORE.kept = None


def stored_through_a_choice() -> None:
    a, b = Node(8, None), Node(9, None)
    STORE.kept = choose(False, a, b)
    churn()
    print("choice", look(STORE.kept))
    STORE.kept = None


def make(value: int) -> Node:
    return Node(value, None)


def returned() -> None:
    n = make(10)
    m = make(11).itself()
    churn()
    print("returned", look(n), look(m))


def kept_by_an_override(which: int) -> None:
    shapes: list[Shape] = [Keeper(Node(1, None)), Looker(Node(2, None)), Shape(Node(3, None))]
    n = Node(20 + which, None)
    print("override", shapes[which].take(n), look(STORE.kept))
    churn()
    print("override", look(STORE.kept))
    STORE.kept = None


def loops() -> None:
    total = 0
    previous: Node | None = None
    for i in range(10):
        fresh = Node(i, None)
        total += look(previous) * 100 + fresh.value
        previous = fresh
    print("previous", total)
    total = 0
    for i in range(10):
        only = Node(i, Node(i * 2, None))
        total += only.value + look(only.next)
    print("each", total)
    chain = Node(0, None)
    for i in range(1, 5):
        chain = Node(i, chain)
    churn()
    count = 0
    at: Node | None = chain
    while at is not None:
        count = count * 10 + at.value
        at = at.next
    print("chain", count)
    best = Node(-1, None)
    for i in range(7):
        candidate = Node(i * 5 % 7, None)
        if candidate.value > best.value:
            best = candidate
    print("best", best.value)


def swap() -> None:
    a, b = Node(1, None), Node(2, None)
    for i in range(5):
        a, b = b, Node(a.value + b.value, None)
        if i == 3:
            churn()
    print("swap", a.value, b.value)


def identity() -> None:
    seen: list[Node] = []
    same = 0
    last: Node | None = None
    for i in range(4):
        n = Node(i, None)
        if n is last:
            same += 1
        last = n
        seen.append(n)
    print("identity", same, sum(n.value for n in seen))


def errors() -> None:
    for value in (3, -3):
        held = Node(value, Node(100, None))
        try:
            n = Node(maybe(value), held)
            print("no error", look(n.next))
        except Errno as e:
            print("error", e.code, look(held))
        finally:
            churn()
            print("finally", look(held.next))


def raise_past(value: int) -> int:
    n = Node(value, Node(value + 1, None))
    m = Node(maybe(value), n)
    return look(m.next) + look(n.next)


def raises() -> None:
    total = 0
    for value in (1, -1, 2, -2):
        try:
            total += raise_past(value)
        except Errno:
            total += 1000
    print("raises", total)


def early(value: int) -> int:
    if value == 0:
        return 0
    n = Node(value, Node(1, None))
    if value == 1:
        return look(n.next)
    n.push(value)
    return look(n.next)


def weakly() -> None:
    n = Node(30, None)
    STORE.weak = weak(n)
    churn()
    found = STORE.weak.get()
    print("weak", look(found), found is n)
    STORE.weak = None


def in_containers() -> None:
    items = [Node(i, None) for i in range(3)]
    items.append(Node(3, None))
    table = {1: Node(11, None), 2: Node(12, None)}
    churn()
    print("containers", sum(n.value for n in items), table[2].value)
    inside = Node(1, None)
    outside = [inside]
    outside.clear()
    churn()
    print("cleared", inside.value)


def pairs() -> tuple[Node, int]:
    return Node(41, None), 42


def views() -> None:
    b = Buffered(Node(50, None))
    print("views", b.fill(60), b.room[3], look(b.owner))
    node, number = pairs()
    churn()
    print("pair", node.value, number)


def closures() -> None:
    n = Node(70, None)

    def add(amount: int) -> int:
        return n.value + amount

    print("closure", apply_twice(add), apply_twice(lambda x: x * look(n)))


def apply_twice(f: Callable[[int], int]) -> int:
    return f(f(1))


def numbers(stop: int) -> Iterator[Node]:
    for i in range(stop):
        yield Node(i, None)


def generators() -> None:
    kept: list[Node] = []
    for n in numbers(5):
        if n.value % 2 == 0:
            kept.append(n)
    churn()
    print("generator", sum(n.value for n in kept))
    total = 0
    for n in numbers(5):
        total += n.value
    print("generator", total)


def recursive(depth: int, above: Node | None) -> int:
    here = Node(depth, above)
    if depth == 0:
        total = 0
        at: Node | None = here
        while at is not None:
            total = total * 3 + at.value
            at = at.next
        return total
    return recursive(depth - 1, here)


def conditional(flag: bool) -> int:
    n = Node(80, None) if flag else STORE.kept
    churn()
    return look(n)


def rebuilt() -> None:
    n = Node(1, None)
    for i in range(4):
        n = Node(n.value * 2 + i, n.next)
    print("rebuilt", n.value)
    for i in range(4):
        n = Node(i, Node(n.value, None))
    print("rebuilt", n.value, look(n.next))


def small_buffers() -> None:
    total = 0
    for i in range(20):
        data = bytearray(8)
        data[i % 8] = i
        total += len(data) + data[i % 8]
        data.append(i)
        total += data[8]
    print("buffers", total, len(bytes(bytearray(b"abc"))))


def main() -> None:
    local()
    stored()
    stored_through_a_choice()
    returned()
    for which in range(3):
        kept_by_an_override(which)
    loops()
    swap()
    identity()
    errors()
    raises()
    print("early", early(0), early(1), early(2))
    weakly()
    in_containers()
    views()
    closures()
    generators()
    print("recursive", recursive(6, None))
    STORE.kept = Node(90, None)
    print("conditional", conditional(True), conditional(False))
    STORE.kept = None
    rebuilt()
    small_buffers()
