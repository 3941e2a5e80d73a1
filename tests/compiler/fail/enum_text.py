"""What an enum defines for itself, and compiled code would not call."""

from enum import Enum


class Colour(Enum):
    RED = 1

    def __str__(self) -> str:
        return "red"


def use(colour: Colour) -> str:
    return f"{colour}"
