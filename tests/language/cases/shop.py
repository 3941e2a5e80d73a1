"""A shop: a dict of objects, a generic stack, a Protocol."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
K = TypeVar("K")


class Priced(Protocol):
    def price(self) -> int: ...
    def label(self) -> str: ...


class Item:
    def __init__(self, name: str, cents: int) -> None:
        self.name = name
        self.cents = cents

    def price(self) -> int:
        return self.cents

    def label(self) -> str:
        return self.name


class Bundle:
    def __init__(self) -> None:
        self.items: list[Item] = []

    def price(self) -> int:
        return sum([i.price() for i in self.items])

    def label(self) -> str:
        return f"{len(self.items)} items"


def describe(p: Priced) -> str:
    return f"{p.label()}: {p.price() // 100}.{p.price() % 100:02d}"


class Stack(Generic[T]):
    def __init__(self) -> None:
        self._items: list[T] = []

    def push(self, item: T) -> None:
        self._items.append(item)

    def pop(self) -> T:
        return self._items.pop()

    def __len__(self) -> int:
        return len(self._items)


def largest(items: list[Item]) -> Item | None:
    best: Item | None = None
    for item in items:
        if best is None or item.cents > best.cents:
            best = item
    return best


def main() -> None:
    stock: dict[str, Item] = {}
    for name, cents in (("apple", 120), ("pear", 99), ("fig", 45)):
        stock[name] = Item(name, cents)
    bundle = Bundle()
    for item in stock.values():
        bundle.items.append(item)
        print(describe(item))
    print(describe(bundle))
    s: Stack[int] = Stack()
    for i in range(5):
        s.push(i * i)
    print(f"{len(s)} {s.pop()} {s.pop()}")
    t: Stack[str] = Stack()
    t.push("a")
    t.push("b")
    print(t.pop() + t.pop())
    best = largest(list(stock.values()))
    if best is not None:
        print(best.name)
    print(sorted([3, 1, 2])[0], max(3, 4, 5), min(4, 2, 9))
    for k, v in stock.items():
        print(k, v.cents)


if __name__ == "__main__":
    main()
