"""What an override may not change."""


class Node:
    size: int

    def __init__(self) -> None:
        self.size = 0

    def find(self, start: int = 0) -> int:
        return start

    def first(self) -> int | None:
        return None

    def flag(self) -> int:
        return 1

    def move(self, left: int, right: int) -> int:
        return left - right

    def label(self) -> bytes:
        return b"node"

    def __eq__(self, other: object) -> bool:
        return self is other


class Leaf(Node):
    def __init__(self) -> None:
        super().__init__()
        self.weight: int = 1

    def find(self, start: int = 1) -> int:
        return start

    def first(self) -> int:
        return 1

    def flag(self) -> bool:
        return True

    def move(self, right: int, left: int, by: int = 1) -> int:
        return left - right

    def __eq__(self, other: object) -> bool:
        return False


class Turned(Node):
    def move(self, right: int, left: int) -> int:
        return left - right


def use(node: Node) -> int:
    return node.move(left=1, right=2)
