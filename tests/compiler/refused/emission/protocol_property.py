"""A field does not stand for a protocol's property: a call through the protocol would not find it."""

from __future__ import annotations

from typing import Protocol


class Sized(Protocol):
    @property
    def size(self) -> int: ...


class Block:
    def __init__(self) -> None:
        self.size = 6


class Page:
    @property
    def size(self) -> int:
        return 4096


def size_of(sized: Sized) -> int:
    return sized.size


def main() -> None:
    print(size_of(Block()), size_of(Page()))
