"""Class constants don't change."""

from typing import ClassVar


class Box:
    count: ClassVar[int] = 0


def main() -> None:
    Box.count = 1
