"""Narrowing: None, isinstance, match, unreachable code, exceptions, with."""

from __future__ import annotations

from kernel.lang import Errno, KernelError

EBADF = 9
_current: Node | None = None


class Node:
    following: Node | None

    def __init__(self) -> None:
        self.following = None
        self.value = 1


class Leaf(Node):
    def weight(self) -> int:
        return 3


class Lock:
    def __enter__(self) -> int:
        return 1

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass


def nones(node: Node | None) -> int:
    if node is None:
        return 0
    if node.following is not None:
        return node.following.value
    count: int | None = None
    while node:
        count = node.value
        node = node.following
    return -1 if count is None else count


def classes(node: Node | Lock) -> int:
    if isinstance(node, Leaf):
        return node.weight()
    assert isinstance(node, Node), "a lock"
    return node.value


def matching(node: Node, number: int, name: bytes | None) -> int:
    match number:
        case 1 | 2:
            return 1
        case 3 if node.value > 1:
            return 2
        case _:
            pass
    match node:
        case Leaf() as leaf:
            return leaf.weight()
        case Node(value=5):
            return 5
        case other:
            print(other.value)
    match name:
        case None:
            return 0
        case b"x":
            return 1
    return 2


def exceptions(number: int) -> int:
    try:
        if number > 3:
            raise Errno(EBADF)
        if number > 2:
            raise KernelError
        number += 1
    except Errno as error:
        return error.code
    except (MemoryError, KernelError):
        raise
    else:
        number = 2
    finally:
        print("done")
    with Lock() as held, Lock():
        return held


def globals_(node: Node) -> None:
    global _current
    _current = node
    if _current.following is not None:
        _current = None


def unreachable(number: int) -> int:
    if isinstance(number, int):
        return 1
    print("never")
