"""Locks and contracts that are not as the compiler needs them."""

from collections.abc import Callable, Iterator

from kernel.lang import SpinLock, final, guarded_by, holds, ranked


@ranked(10)
@final
class ItemLock(SpinLock):
    pass


@final
@guarded_by("lock")
class Item:
    def __init__(self) -> None:
        self.lock = ItemLock()
        self.count = 0
        self.next: Item | None = None

    @holds("lock")
    def no_parameter(self) -> int:
        return self.count

    @holds("self.count")
    def no_lock(self) -> int:
        return self.count

    @holds("self.lcok")
    def no_field(self) -> int:
        return self.count

    @holds("self.lock")
    def each(self) -> Iterator[int]:
        yield self.count

    @holds("self.lock")
    def use(self, f: Callable[[int], int]) -> int:
        return f(self.count)


def sum_of(item: Item) -> int:
    total = 0
    for count in item.each():
        total += count
    return total


def apply(item: Item) -> int:
    with item.lock:
        return item.use(lambda count: count + 1)


def walk(item: Item, other: Item) -> None:
    with item.lock:
        item = other
        item.count += 1
