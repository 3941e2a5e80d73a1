"""What the import leaves has the type that is declared, exactly: no subclass, and no number that does not fit."""

from collections import defaultdict, deque
from enum import Enum, IntEnum


class Half(Enum):
    ONE = 1.5
    OTHER = 1.7


class Pair(Enum):
    FIRST = (1, 2)
    SECOND = (1, 3)


class Wide(IntEnum):
    GREATEST = 1 << 63
    LEAST = -1


class Color(IntEnum):
    RED = 1


class Mode(IntEnum):
    RED = 1


NUMBER: int = True
REPLACED: int = 5
FLAG: bool = False
COLOR: Color = Color.RED
COLORS: list[Color] = [Color.RED]
globals().update(REPLACED="text", FLAG=7, COLOR=Mode.RED, COLORS=[Mode.RED])
LAST: deque[int] = deque([1, 2, 3], maxlen=3)
COUNTS: dict[int, int] = defaultdict(int)


def halves() -> bool:
    return Half.ONE is Half.OTHER


def pairs() -> Pair:
    return Pair.FIRST


def wide() -> int:
    return Wide.GREATEST.value


def wide_name(number: int) -> str:
    return Wide(number).name


def number() -> int:
    return NUMBER


def replaced() -> int:
    return REPLACED


def flag() -> bool:
    return FLAG


def color() -> str:
    return COLOR.name


def colors() -> str:
    return COLORS[0].name


def last() -> int:
    LAST.append(4)
    return LAST[0]


def counts() -> int:
    return COUNTS[3]


def hash_of_number(value: int) -> int:
    return hash(value)


def hash_of_color(value: Color) -> int:
    return hash(value)
