"""Enums whose members Python shows, names or combines otherwise than its own kinds."""

from enum import CONFORM, Enum, IntEnum, IntFlag


class Colour(int, Enum):
    RED = 1


class Mode(IntFlag, boundary=CONFORM):
    READ = 4


class State(IntEnum):
    READY = 0

    @classmethod
    def _missing_(cls, value: object) -> "State":
        return cls.READY

    @property
    def name(self) -> str:
        return "ready"


class Shown(IntEnum):
    FIRST = 1
    __str__ = Enum.__str__


def use(colour: Colour, mode: Mode, state: State, shown: Shown) -> str:
    return f"{colour} {mode} {state} {shown}"
