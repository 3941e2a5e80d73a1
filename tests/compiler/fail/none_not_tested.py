"""None must be tested for."""


class Node:
    following: Node | None

    def __init__(self) -> None:
        self.following = None
        self.value = 1


def main(node: Node) -> int:
    return node.following.value
