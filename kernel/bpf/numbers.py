"""The numbers of maps and of programs: they grow, and begin anew behind MOST_NUMBER with those that are free.

Context: any, except where a function says otherwise.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.pace import is_dying, pace, spend

MOST_NUMBER: Final = 0x7FFF_FFFE
_SHIFT: Final = 5  # numbers in a block
_LAST: Final = (1 << _SHIFT) - 1
_FULL: Final = (1 << (1 << _SHIFT)) - 1
_COST: Final = 60  # instructions, of a look at a block


@final
class Numbers:
    """Which ones are used."""

    def __init__(self) -> None:
        blocks: dict[int, int] = {}
        self.blocks: dict[int, int] = blocks  # a bit for each number that is used; none where none is
        self.last: int = 0  # that was taken
        self.highest: int = 0  # that ever was

    def take(self) -> int:
        """The next free number. Raises MemoryError."""
        number = self.last + 1
        while True:
            if number > MOST_NUMBER:
                number = 1
            used = self.blocks.get(number >> _SHIFT, 0)
            spend(_COST)
            if used == _FULL:
                number = (number | _LAST) + 1
            elif used >> (number & _LAST) & 1 != 0:
                number += 1
            else:
                break
        self.blocks[number >> _SHIFT] = used | 1 << (number & _LAST)
        self.last = number
        self.highest = max(self.highest, number)
        return number

    def give_back(self, number: int) -> None:
        """It is free."""
        block = number >> _SHIFT
        left = self.blocks.get(block, 0) & ~(1 << (number & _LAST))
        if left == 0:
            self.blocks.pop(block, 0)
        else:
            self.blocks[block] = left

    def next_used(self, number: int) -> int:
        """The least used number above one; 0 if there is none, or the running thread is to end. Takes safe points."""
        number += 1
        while number <= self.highest and not is_dying():
            used = self.blocks.get(number >> _SHIFT, 0) >> (number & _LAST)
            if used & 1 != 0:
                return number
            number = number + 1 if used != 0 else (number | _LAST) + 1
            pace(_COST)
        return 0
