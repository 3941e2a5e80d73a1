"""Places that are tested again after something in between may have changed them: the answer is that of now."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from kernel.lang import noinline


class State(Enum):
    IDLE = 0
    BUSY = 1
    DONE = 2


class Item:
    def __init__(self, number: int) -> None:
        self.number = number


class Part(Item):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.weight = number * 2


class Guard:
    def __init__(self, box: Box) -> None:
        self.box = box

    def __enter__(self) -> None:
        self.box.run()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.box.run()


class Box:
    def __init__(self) -> None:
        self.item: Item | None = None
        self.flag = False
        self.state = State.IDLE
        self.count = 0
        self.items: list[Item | None] = [None]
        self.by_number: dict[int, Item | None] = {1: None}
        self.action: Callable[[], None] | None = None

    @property
    def owner(self) -> Item | None:
        return self.item

    @noinline
    def run(self) -> None:
        self.item = Part(7) if self.item is None else None
        self.flag = not self.flag
        self.state = State.BUSY
        self.items[0] = Item(3)
        self.by_number[1] = Item(4)

    @noinline
    def tick(self) -> None:
        self.count += 1
        if self.count > 3:
            self.run()

    def set_none(self) -> str:
        self.item = None
        self.run()
        if self.item is not None:
            return f"item {self.item.number}"
        return "none"

    def set_and_told(self) -> bool:
        self.item = None
        self.run()
        return self.item is not None

    def both(self) -> bool:
        self.item = None
        self.run()
        return self.item is not None and self.item.number == 7

    def either_of(self) -> bool:
        self.item = None
        self.run()
        return self.item is None or self.item.number == 8

    def chosen(self) -> int:
        self.item = None
        self.run()
        return self.item.number if self.item is not None else -1

    def true(self) -> int:
        self.item = None
        self.run()
        if self.item:
            return self.item.number
        return -1

    def false(self) -> int:
        self.item = None
        self.run()
        if not self.item:
            return -1
        return self.item.number

    def set_flag(self) -> int:
        self.flag = False
        self.run()
        if self.flag:
            return 1
        return 0

    def asserted_flag(self) -> int:
        assert not self.flag
        self.run()
        count = 0
        while self.flag:
            count += 1
            self.run()
        return count

    def asserted_state(self) -> str:
        assert self.state is State.IDLE
        self.run()
        if self.state is State.BUSY:
            return "busy"
        return "idle"

    def compared_state(self) -> str:
        if self.state == State.BUSY:
            return "early"
        self.run()
        match self.state:
            case State.BUSY:
                return "busy"
            case State.IDLE:
                return "idle"
            case _:
                return "done"

    def waited(self) -> int:
        self.item = None
        while self.item is None:
            self.tick()
        return self.item.number

    def emptied(self) -> int:
        self.item = None
        self.run()
        count = 0
        while self.item is not None:
            count += 1
            self.run()
        return count

    def tested_twice(self) -> str:
        text = ""
        if self.item is not None:
            text += "there "
            self.run()
            if self.item is not None:
                text += "still "
        return text

    def tested_class_twice(self) -> str:
        text = ""
        if isinstance(self.item, Part):
            text += f"part {self.item.weight} "
            self.item = Item(2)
            if isinstance(self.item, Part):
                text += "still "
        return text

    def told_by_class(self) -> bool:
        assert isinstance(self.item, Part)
        self.run()
        self.run()
        self.run()
        return isinstance(self.item, Part)

    def truth_again(self) -> int:
        assert self.item
        self.item = None if self.state is State.DONE else self.item
        self.run()
        return 1 if self.item else 2

    def told_none(self) -> bool:
        assert self.item is not None
        self.run()
        return self.item is None

    def asserted_none(self) -> None:
        assert self.item is not None
        self.run()
        assert self.item is None

    def guarded(self) -> int:
        self.item = None
        with Guard(self):
            if self.item is not None:
                return self.item.number
        return -1

    def called_back(self) -> int:
        self.item = None
        if self.action is not None:
            self.action()
        if self.item is not None:
            return self.item.number
        return -1

    def element(self) -> int:
        self.items[0] = None
        self.run()
        item = self.items[0]
        if self.items[0] is not None:
            return self.items[0].number
        return -1 if item is None else -2

    def entry(self) -> int:
        self.by_number[1] = None
        self.run()
        if self.by_number[1] is not None:
            return self.by_number[1].number
        return -1

    def through_property(self) -> int:
        if self.owner is None:
            self.run()
            if self.owner is not None:
                return self.owner.number
        return -1

    def tried(self) -> int:
        self.item = None
        try:
            self.run()
            if self.item is not None:
                return self.item.number
        finally:
            self.run()
        return -1


CURRENT: Item | None = None
BOX = Box()


@noinline
def run_shared() -> None:
    BOX.run()


@noinline
def set_current() -> None:
    global CURRENT
    CURRENT = Item(11)


def clear_and_ask() -> int:
    global CURRENT
    CURRENT = None
    set_current()
    if CURRENT is not None:
        return CURRENT.number
    return -1


def ask_global() -> bool:
    if CURRENT is None:
        set_current()
        return CURRENT is not None
    return False


def alias(mine: Box, other: Box) -> bool:
    mine.item = None
    other.item = Item(1)
    return mine.item is not None


def alias_called(mine: Box, other: Box) -> int:
    mine.item = None
    other.run()
    if mine.item is not None:
        return mine.item.number
    return -1


def local_function() -> int:
    box = Box()

    def change() -> None:
        box.run()

    box.item = None
    change()
    if box.item is not None:
        return box.item.number
    return -1


def main() -> None:
    global CURRENT
    print(Box().set_none(), Box().set_and_told(), Box().both(), Box().either_of(), Box().chosen())
    print(Box().true(), Box().false(), Box().set_flag(), Box().asserted_flag())
    print(Box().asserted_state(), Box().compared_state())
    print(Box().waited(), Box().emptied())
    box = Box()
    print(box.tested_twice(), box.tested_class_twice())
    box.run()
    print(box.tested_twice())
    box.run()
    print(box.tested_class_twice())
    box.item = Part(9)
    print(box.told_by_class())
    box.item = Part(9)
    print(box.told_none())
    box.item = Part(9)
    box.asserted_none()
    box.item = Part(9)
    print(box.truth_again())
    print(Box().guarded(), Box().element(), Box().entry(), Box().through_property(), Box().tried())
    box = Box()
    BOX.item = None
    box.action = run_shared
    print(box.called_back(), BOX.item is not None)
    BOX.action = run_shared
    print(BOX.called_back())
    print(clear_and_ask())
    CURRENT = None
    print(ask_global())
    CURRENT = None
    print(alias(box, box), alias(box, BOX), alias_called(box, box), local_function())
    BOX.item = None
    BOX.items[0] = None
    BOX.by_number[1] = None
    BOX.action = None
