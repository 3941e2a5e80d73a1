"""Fields get their values in __init__."""

from typing import ClassVar, Final


class Box:
    LIMIT: Final = 3
    KIND: ClassVar[int] = 4
    width: int = 1
