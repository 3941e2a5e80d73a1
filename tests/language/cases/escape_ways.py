"""The ways by which an object may leave a function: containers, results, clean-up code, managers, function values,
generators, queues. Each object is looked at after its frame is gone and others have been made where it would have been.
"""

# keeps: 6 objects

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from kernel.lang import Errno, final, noinline


@final
class Item:
    def __init__(self, value: int, under: Item | None = None) -> None:
        self.value: int = value
        self.under: Item | None = under


@final
class Waiter:
    """Stands on a queue while its function sleeps."""

    def __init__(self, item: Item) -> None:
        self.item: Item = item
        self.queue: Queue | None = None
        self.next: Waiter | None = None
        self.previous: Waiter | None = None

    def leave(self) -> None:
        queue = self.queue
        if queue is not None:
            queue.remove(self)


@final
class Queue:
    def __init__(self) -> None:
        self.head: Waiter | None = None
        self.tail: Waiter | None = None

    def add(self, waiter: Waiter) -> None:
        tail = self.tail
        waiter.queue = self
        waiter.previous = tail
        if tail is None:
            self.head = waiter
        else:
            tail.next = waiter
        self.tail = waiter

    def remove(self, waiter: Waiter) -> None:
        following, previous = waiter.next, waiter.previous
        if previous is None:
            self.head = following
        else:
            previous.next = following
        if following is None:
            self.tail = previous
        else:
            following.previous = previous
        waiter.queue = None
        waiter.next = None
        waiter.previous = None


@final
class Box:
    """What a function leaves behind."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.table: dict[int, Item] = {}
        self.line: deque[Item] = deque()
        self.lists: list[list[Item]] = []
        self.last: Item | None = None

    def empty(self) -> None:
        self.items.clear()
        self.table.clear()
        self.line.clear()
        self.lists.clear()
        self.last = None


BOX: Final = Box()
QUEUE: Final = Queue()


@noinline
def churn() -> int:
    """Writes over what was freed, and over the stack below its caller."""
    total = 0
    for i in range(60):
        made = Item(-i, Item(-i - 1))
        several = [made, Item(i), Item(i + 1, made)]
        total += several[2].value + len(several)
    return total


@noinline
def value_of(item: Item | None) -> int:
    return -1 if item is None else item.value * 100 + (0 if item.under is None else item.under.value)


def told(values: list[int]) -> str:
    return " ".join([str(value) for value in values])


@noinline
def into_containers(n: int) -> None:
    BOX.items.append(Item(n, Item(n + 1)))
    BOX.table[n] = Item(n + 2, Item(n + 3))
    BOX.line.append(Item(n + 4))
    inner = [Item(n + 5), Item(n + 6, Item(n + 7))]
    BOX.lists.append(inner)
    inner.append(Item(n + 8))


def containers() -> None:
    for n in range(3):
        into_containers(n * 10)
        churn()
    print("containers", told([value_of(i) for i in BOX.items]), told([value_of(BOX.table[n * 10]) for n in range(3)]))
    print("containers", told([value_of(i) for i in BOX.line]))
    for each in BOX.lists:
        print("inner", told([value_of(i) for i in each]))
    BOX.empty()


@noinline
def through_an_argument(target: list[Item], n: int) -> int:
    made = Item(n, Item(n + 1))
    target.append(made)
    return len(target)


def arguments() -> None:
    mine: list[Item] = []
    for n in range(6):
        through_an_argument(mine, n)
        churn()
    print("arguments", told([value_of(i) for i in mine]))
    mine[0], mine[5] = mine[5], mine[0]
    taken = mine.pop()
    mine.clear()
    churn()
    print("taken", value_of(taken))


@noinline
def may_fail(n: int, item: Item) -> int:
    if n % 2 == 1:
        BOX.last = item
        raise Errno(n + 1)
    return value_of(item)


@noinline
def in_clean_up(n: int) -> int:
    """The object is given away on the error's way only; `finally` looks at another one."""
    first, second = Item(n, Item(n + 1)), Item(n + 2)
    try:
        total = may_fail(n, first)
        second.under = Item(total)
        return value_of(second)
    except Errno as e:
        second.value += e.code
        raise
    finally:
        BOX.items.append(second)


def clean_up() -> None:
    for n in range(4):
        try:
            print("result", in_clean_up(n))
        except Errno as e:
            print("error", e.code)
        churn()
        print("last", value_of(BOX.last), told([value_of(i) for i in BOX.items]))
    BOX.empty()


@final
class Manager:
    def __init__(self, item: Item, is_kept: bool) -> None:
        self.item: Item = item
        self.is_kept: bool = is_kept

    def __enter__(self) -> Item:
        return self.item

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self.item.value += 1000
        if self.is_kept:
            BOX.last = self.item


@noinline
def with_a_manager(n: int) -> Item:
    with Manager(Item(n, Item(n + 1)), n % 3 == 0) as item, Manager(item, n % 3 == 1) as again:
        if n > 3:
            may_fail(n, again)
        made = Item(n + 5, again)
    return made


def managers() -> None:
    for n in range(7):
        try:
            found = with_a_manager(n)
            churn()
            print("manager", value_of(found), value_of(found.under), value_of(BOX.last))
        except Errno as e:
            churn()
            print("manager failed", e.code, value_of(BOX.last))
    BOX.empty()


def forget(item: Item) -> int:
    return value_of(item)


def remember(item: Item) -> int:
    BOX.items.append(item)
    return value_of(item)


ACTIONS: Final[list[Callable[[Item], int]]] = [forget, remember]


@noinline
def call_back(which: int, n: int) -> int:
    return ACTIONS[which](Item(n, Item(n + 1)))


@noinline
def look_twice(item: Item, look: Callable[[Item], int]) -> int:
    return look(item) + look(Item(7, item))


def callbacks() -> None:
    print("callbacks", told([call_back(n % 2, n) for n in range(5)]))
    churn()
    print("callbacks", told([value_of(i) for i in BOX.items]))
    seen: list[Item] = []

    def note(item: Item) -> int:
        seen.append(item)
        return value_of(item)

    print("nested", look_twice(Item(1, Item(2)), note), look_twice(Item(3), lambda i: i.value))
    churn()
    print("nested", told([value_of(i) for i in seen]), value_of(seen[1].under))
    BOX.empty()


def pairs(stop: int) -> Iterator[tuple[Item, Item]]:
    """One of each pair is used in the next round as well."""
    previous = Item(0)
    for n in range(stop):
        fresh = Item(n, previous)
        yield fresh, previous
        previous = Item(n * 2, fresh.under)


@noinline
def last_of(stop: int) -> Item:
    best = Item(-1)
    for fresh, previous in pairs(stop):
        if fresh.value > best.value and value_of(previous) % 7 != 6:
            best = fresh
    return best


def generators() -> None:
    kept = [fresh for fresh, previous in pairs(5) if previous.value % 4 == 0]
    churn()
    print("generator", told([value_of(i) for i in kept]), value_of(last_of(6)))


@noinline
def sleep(n: int) -> int:
    """What others do meanwhile: they find the waiter. Some of them end this sleep with an error."""
    churn()
    total = 0
    at = QUEUE.head
    while at is not None:
        total = total * 7 + value_of(at.item)
        at = at.next
    if n % 3 == 2:
        raise Errno(4)
    return total


@noinline
def wait(n: int) -> int:
    waiter = Waiter(Item(n, Item(n + 1)))
    QUEUE.add(waiter)
    try:
        return sleep(n) + (wait(n - 1) if n > 0 else 0)
    finally:
        waiter.leave()


def queues() -> None:
    for n in range(4):
        try:
            print("woken", wait(n))
        except Errno as e:
            print("interrupted", e.code)
        churn()
        print("nobody", QUEUE.head is None, QUEUE.tail is None)


@noinline
def forgotten(item: Item, n: int) -> int:
    """A list that is garbage afterwards refers to the argument, and is freed when others lie there."""
    items = [Item(n, item), item]
    items.append(Item(n + 1, items[0]))
    return value_of(items[2].under) + len(items)


@noinline
def forget_one(n: int) -> int:
    item = Item(n, Item(n + 1))
    return forgotten(item, n) + value_of(item)


def garbage() -> None:
    total = 0
    for n in range(50):
        total += forget_one(n)
        total += deep(n % 7) + churn()
    print("garbage", total)


@noinline
def deep(n: int) -> int:
    """Words of its frame where others had objects, which nobody may change."""
    first, second, third, fourth = Item(1), Item(2), Item(3), Item(4)
    total = churn() + (deep(n - 1) if n > 0 else 0)
    first.under, third.under = second, fourth
    return total + value_of(first) + value_of(second) + value_of(third) + value_of(fourth)


@noinline
def one_of(n: int, a: Item, b: Item) -> Item:
    return a if n == 0 else b if n == 1 else Item(n, a)


@noinline
def results(n: int) -> tuple[Item, Item, int]:
    first, second = Item(n), Item(n + 1)
    chosen = one_of(n, first, second)
    return chosen, one_of(2, second, first), value_of(first)


def main() -> None:
    containers()
    arguments()
    clean_up()
    managers()
    callbacks()
    generators()
    queues()
    garbage()
    for n in range(3):
        a, b, number = results(n)
        churn()
        print("results", value_of(a), value_of(b), number)
