"""A field lies at another place in each class that satisfies a protocol."""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    item: int


class Box:
    def __init__(self) -> None:
        self.size = 1
        self.item = 6


def read(holder: Holder) -> int:
    return holder.item


def write(holder: Holder) -> None:
    holder.item = 3


def main() -> None:
    box = Box()
    write(box)
    print(read(box))
