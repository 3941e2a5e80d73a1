"""A bool prints as one, and an int field would forget that."""

from __future__ import annotations


class Level:
    def __init__(self, number: int) -> None:
        self.number = number


LEVELS = [Level(3), Level(True)]


def main() -> None:
    for level in LEVELS:
        print(level.number)
