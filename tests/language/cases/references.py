"""Reference counting: structures that are built, cut and built again; weak references; much garbage."""

from __future__ import annotations

from kernel.lang import Weak, weak


class Tree:
    left: Tree | None
    right: Tree | None
    parent: Weak[Tree] | None
    value: int

    def __init__(self, value: int) -> None:
        self.left = None
        self.right = None
        self.parent = None
        self.value = value

    def insert(self, value: int) -> None:
        if value < self.value:
            if self.left is None:
                self.left = Tree(value)
                self.left.parent = weak(self)
            else:
                self.left.insert(value)
        elif self.right is None:
            self.right = Tree(value)
            self.right.parent = weak(self)
        else:
            self.right.insert(value)

    def total(self) -> int:
        left = self.left
        right = self.right
        return self.value + (0 if left is None else left.total()) + (0 if right is None else right.total())

    def depth(self) -> int:
        parent = self.parent
        if parent is None:
            return 0
        above = parent.get()
        return 0 if above is None else above.depth() + 1


class Link:
    next: Link | None
    data: bytes

    def __init__(self, following: Link | None, data: bytes) -> None:
        self.next = following
        self.data = data


def grow(seed: int, count: int) -> Tree:
    root = Tree(500)
    state = seed
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2147483648
        root.insert(state % 1000)
    return root


def chain(length: int) -> Link | None:
    head: Link | None = None
    for step in range(length):
        head = Link(head, f"link {step}".encode())
    return head


def deepest(tree: Tree) -> int:
    node = tree
    while True:
        following = node.left if node.left is not None else node.right
        if following is None:
            return node.depth()
        node = following


def main() -> None:
    total = 0
    for seed in range(60):
        tree = grow(seed, 50)
        total += tree.total() + deepest(tree)
        tree.left = None
        total += tree.total()
    print(total)
    kept: list[Link | None] = []
    for step in range(200):
        head = chain(20)
        if step % 50 == 0:
            kept.append(head)
    for head in kept:
        count = 0
        length = 0
        node = head
        while node is not None:
            count += 1
            length += len(node.data)
            node = node.next
        print(count, length)
    long = chain(5000)
    assert long is not None
    long.next = None
    long = None
    table: dict[int, list[int]] = {}
    for step in range(3000):
        table[step % 17] = [step, step + 1]
    print(len(table), table[16][1])
    target = Tree(1)
    reference = weak(target)
    again = reference.get()
    print(again is target)


if __name__ == "__main__":
    main()
