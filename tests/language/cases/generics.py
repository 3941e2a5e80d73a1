"""Generic classes and functions; bounds; a Protocol."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
K = TypeVar("K")


class Stack(Generic[T]):
    items: list[T]

    def __init__(self) -> None:
        self.items = []

    def push(self, item: T) -> None:
        self.items.append(item)

    def pop(self) -> T:
        return self.items.pop()

    def empty(self) -> bool:
        return len(self.items) == 0


class Pair(Generic[K, T]):
    key: K
    value: T

    def __init__(self, key: K, value: T) -> None:
        self.key = key
        self.value = value

    def swapped(self) -> Pair[T, K]:
        return Pair(self.value, self.key)


class Sized(Protocol):
    def size(self) -> int: ...


class Small:
    def size(self) -> int:
        return 1


class Large:
    def size(self) -> int:
        return 100


S = TypeVar("S", bound=Sized)


def largest(items: list[S]) -> S:
    best = items[0]
    for item in items:
        if item.size() > best.size():
            best = item
    return best


def last(items: list[T]) -> T:
    return items[len(items) - 1]


def choose(flag: bool, a: T, b: T) -> T:
    return a if flag else b


def main() -> None:
    ints: Stack[int] = Stack()
    names: Stack[bytes] = Stack()
    for value in range(4):
        ints.push(value * value)
        names.push(b"n" * value)
    while not ints.empty():
        print(ints.pop(), len(names.pop()))
    pair = Pair("answer", 42)
    print(pair.key, pair.value, pair.swapped().key, pair.swapped().swapped().key)
    print(largest([Small(), Small()]).size(), largest([Large()]).size())
    print(last([1, 2, 3]), last(["x", "y"]), choose(True, 1, 2), choose(False, "a", "b"))


if __name__ == "__main__":
    main()
