"""Code that the type checker leaves out, because of what it believes of places that may have changed."""

from collections.abc import Iterator
from enum import Enum


class State(Enum):
    IDLE = 0
    BUSY = 1


class Item:
    def __init__(self, number: int) -> None:
        self.number = number


class Part(Item):
    pass


class Box:
    def __init__(self) -> None:
        self.item: Item | None = None
        self.flag = False
        self.state = State.IDLE
        self.items: list[Item | None] = []

    @property
    def owner(self) -> Item | None:
        return self.item

    def clear(self) -> None:
        self.item = None

    def returned(self) -> str:
        if self.item is None:
            return "none"
        self.clear()
        if self.item is None:
            return "gone"
        return "there"

    def asserted(self) -> int:
        assert self.item is not None
        self.clear()
        assert self.item is None
        return 5

    def looped(self) -> int:
        assert self.item is not None
        self.clear()
        while self.item is not None:
            self.clear()
        number = 5
        return number

    def waited_for_none(self, item: Item) -> int:
        self.item = item
        while self.item is not None:
            self.clear()
        return len(self.items)

    def guarded(self) -> int:
        assert self.item is not None
        self.clear()
        while self.item is not None:
            self.clear()
        try:
            return len(self.items)
        finally:
            self.clear()

    def otherwise(self) -> int:
        assert self.item is not None
        self.clear()
        if self.item is not None:
            return 1
        else:
            number = len(self.items)
        return number

    def both(self) -> bool:
        assert self.item is not None
        self.clear()
        return self.item is None and len(self.items) == 0

    def either(self) -> bool:
        assert self.item is not None
        self.clear()
        return self.item is not None or len(self.items) == 0

    def chosen(self) -> int:
        assert self.item is not None
        self.clear()
        return 1 if self.item is not None else 2

    def not_none(self) -> bool:
        assert self.item is not None
        self.clear()
        return not (self.item is not None) and len(self.items) == 0

    def of_class(self) -> int:
        assert isinstance(self.item, Part)
        self.item.number = self.swap()
        if not isinstance(self.item, Part):
            return len(self.items)
        return 0

    def swap(self) -> int:
        self.item = Item(1)
        return 1

    def through_property(self) -> int:
        assert self.owner is not None
        self.clear()
        if self.owner is None:
            return len(self.items)
        return 0

    def element(self) -> int:
        assert self.items[0] is not None
        self.items.pop()
        if self.items[0] is None:
            return len(self.items)
        return 0

    def listed(self) -> list[int]:
        assert self.item is not None
        self.clear()
        return [number for number in range(3) if self.item is None]

    def paused(self) -> Iterator[int]:
        self.item = None
        yield 1
        if self.item is not None:
            yield len(self.items)


def alias(mine: Box, other: Box, item: Item) -> int:
    mine.item = None
    other.item = item
    if mine.item is not None:
        return mine.item.number
    return 0


def alias_of_state(mine: Box, other: Box) -> int:
    assert mine.state is State.IDLE
    other.state = State.BUSY
    if mine.state is State.BUSY:
        return len(mine.items)
    return 0


def alias_of_flag(mine: Box, other: Box) -> int:
    assert not mine.flag
    other.flag = True
    if mine.flag:
        return len(mine.items)
    return 0


CURRENT: Item | None = None


def clear_current() -> None:
    global CURRENT
    CURRENT = None


def of_module() -> int:
    if CURRENT is None:
        return 0
    clear_current()
    if CURRENT is None:
        return int("5")
    return 1
