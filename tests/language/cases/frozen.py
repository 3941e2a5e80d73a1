"""Objects built while the module is imported: containers, shared references, cycles, structs, functions, big dictionaries."""

# keeps: 7 objects

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, IntEnum
from typing import ClassVar, Final, Literal

from kernel.lang import Array, be16, be32, i8, struct, u8, u16, u64


class Color(IntEnum):
    RED = 1
    GREEN = 2


class Mode(Enum):
    OFF = 0
    ON = 7


@struct
class Point:
    x: i8
    y: u16
    port: be16
    address: be32
    wide: u64


class Node:
    """One of a ring."""

    limit: ClassVar[list[int]] = [5, 6, 7]

    def __init__(self, name: str, key: bytes) -> None:
        self.name: str = name
        self.key: bytes = key
        self.next: Node | None = None
        self.flag: bool = True
        self.small: u8 = u8(200)
        self.color: Color = Color.GREEN
        self.mode: Mode = Mode.ON
        self.where: Point = Point()
        self.table: Array[u16, Literal[4]] = Array()
        self.act: Callable[[int], int] = double

    def describe(self) -> str:
        return f"node {self.name}"


class Leaf(Node):
    def __init__(self, name: str, depth: int) -> None:
        super().__init__(name, b"leaf")
        self.depth: int = depth

    def describe(self) -> str:
        return f"leaf {self.name} at {self.depth}"


def double(value: int) -> int:
    return value * 2


def negate(value: int) -> int:
    return -value


def build_ring() -> Node:
    first = Node("a", b"\x00\xff\"\\")
    second = Node("b", b"")
    leaf = Leaf("c", 3)
    first.next = second
    second.next = leaf
    leaf.next = first
    leaf.act = negate
    leaf.where.x = i8(-5)
    leaf.where.y = u16(65535)
    leaf.where.port = be16(80)
    leaf.where.address = be32(0x7F000001)
    leaf.where.wide = u64((1 << 64) - 1)
    leaf.table[3] = 1234
    return first


RING: Final = build_ring()
NAMES: Final = ["zero", "one", "two", "zwölf"]
SAME: Final = NAMES
NESTED: Final[list[list[int]]] = [[1], [], [2, 3]]
BY_NAME: Final = {f"name{i}": i * i for i in range(40)}
BY_NUMBER: Final = {i * 1_000_003 - 50: f"v{i}" for i in range(100)}
BY_BYTES: Final = {b"a" * i: i for i in range(20)}
BY_COLOR: Final = {Color.RED: "red", Color.GREEN: "green"}
BY_NODE: Final = {RING: 1}
MANY_NODES: Final = [Node(str(i), b"") for i in range(30)]
NODE_NUMBERS: Final = {node: i for i, node in enumerate(MANY_NODES)}
QUEUE: Final = deque([1, 2, 3, 4, 5])
BUFFER: Final = bytearray(b"hello")
EMPTY: Final[list[int]] = []
EMPTY_DICT: Final[dict[int, int]] = {}
ACTIONS: Final[list[Callable[[int], int]]] = [double, negate]
OPTIONAL: Final[list[Node | None]] = [None, RING]
FLAGS: Final = [True, False, True]
SMALL: Final[list[u8]] = [u8(1), u8(255)]
counter: int = 41
current: Node | None = RING


def main() -> None:
    global counter, current
    node: Node | None = RING
    for _ in range(4):
        assert node is not None
        print(f"{node.describe()} {node.key!r} {node.flag} {node.small} {node.color.name} {node.mode.name} {node.act(21)}")
        print(f"{node.where.x} {node.where.y} {node.where.port} {node.where.address} {node.where.wide} {node.table[3]}")
        node = node.next
    print(RING.next is not None and RING.next.next is not None and RING.next.next.next is RING)
    NAMES.append("three")
    print(f"{len(SAME)} {SAME[3]} {SAME[4]}")
    NESTED[1].append(9)
    for row in NESTED:
        print(f"{len(row)} {sum(row)}")
    print(f"{BY_NAME['name39']} {'name40' in BY_NAME} {BY_NAME.get('name7', -1)}")
    total = 0
    for i in range(100):
        total += len(BY_NUMBER[i * 1_000_003 - 50])
    print(total)
    BY_NUMBER[7] = "seven"
    print(f"{BY_NUMBER[7]} {len(BY_NUMBER)}")
    for i in range(20):
        total += BY_BYTES[b"a" * i]
    print(total)
    print(BY_COLOR[Color.GREEN])
    print(BY_NODE[RING])
    for i, node_i in enumerate(MANY_NODES):
        total += NODE_NUMBERS[node_i] - i
    NODE_NUMBERS[RING] = 99
    print(f"{total} {NODE_NUMBERS[RING]} {len(NODE_NUMBERS)}")
    QUEUE.append(6)
    QUEUE.appendleft(0)
    print(f"{len(QUEUE)} {QUEUE[0]} {QUEUE.pop()} {QUEUE.popleft()}")
    BUFFER.extend(b" world")
    print(bytes(BUFFER).decode())
    EMPTY.append(3)
    EMPTY_DICT[1] = 2
    print(f"{EMPTY[0]} {EMPTY_DICT[1]}")
    for act in ACTIONS:
        print(act(5))
    print(f"{OPTIONAL[0] is None} {OPTIONAL[1] is RING} {FLAGS[0]} {FLAGS[1]} {SMALL[1]}")
    counter += 1
    print(counter)
    print(current is RING)
    current = None
    print(current is None)
    print(sum(Node.limit))


if __name__ == "__main__":
    main()
