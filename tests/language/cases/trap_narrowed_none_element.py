"""An element that was None when it was tested, and that a call has filled since."""

# traps: AssertionError at line 22

from __future__ import annotations


class Item:
    def __init__(self) -> None:
        self.number = 3


def fill(items: list[Item | None]) -> None:
    items[0] = Item()


def main() -> None:
    items: list[Item | None] = [None]
    if items[0] is None:
        print("empty")
        fill(items)
        assert items[0] is None
    print("not reached")
