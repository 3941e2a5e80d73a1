"""Objects that are linked through themselves: a generic base class that knows of its own class by a method."""

from __future__ import annotations

from kernel.lib.linked import Linked, LinkedList


class Node(Linked["Node"]):
    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value

    def this(self) -> Node:
        return self


class Special(Node):
    def __init__(self) -> None:
        super().__init__(99)


class Named(LinkedList[Node]):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def total(self) -> int:
        total = 0
        node = self.first()
        while node is not None:
            total += node.value
            node = node.after()
        return total


def main() -> None:
    nodes = Named("nodes")
    one, two = Node(1), Node(2)
    nodes.link_last(one)
    nodes.link_last(two)
    nodes.link_first(Special())
    nodes.link_before(two, Node(7))
    print(nodes.name, nodes.total())
    nodes.unlink(one)
    print(nodes.total(), one.after() is None)
    node = nodes.first()
    while node is not None:
        nodes.unlink(node)
        print(node.value)
        node = nodes.first()
    print(nodes.is_empty(), nodes.total())


if __name__ == "__main__":
    main()
