"""The numbers of maps and of programs: they ascend, and wrap around after MOST_NUMBER to free ones.

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
class Block:
    """Consecutive numbers."""

    def __init__(self) -> None:
        self.used: int = 0  # a bit for each that is used


@final
class Numbers:
    """The numbers in use."""

    def __init__(self) -> None:
        blocks: dict[int, Block] = {}
        self.blocks: dict[int, Block] = blocks  # none where no number is used
        self.last: int = 0  # that was taken
        self.highest: int = 0  # that ever was

    def take(self) -> int:
        """The next free number. Raises MemoryError."""
        number = self.last + 1
        while True:
            if number > MOST_NUMBER:
                number = 1
            used = self._used(number)
            spend(_COST)
            if used == _FULL:
                number = (number | _LAST) + 1
            elif used >> (number & _LAST) & 1 != 0:
                number += 1
            else:
                break
        block = self.blocks.get(number >> _SHIFT)
        if block is None:
            block = Block()
            self.blocks[number >> _SHIFT] = block
        block.used |= 1 << (number & _LAST)
        self.last = number
        self.highest = max(self.highest, number)
        return number

    def give_back(self, number: int) -> None:
        """Free a number. Nothing is allocated."""
        block = self.blocks.get(number >> _SHIFT)
        if block is None:
            return
        block.used &= ~(1 << (number & _LAST))
        if block.used == 0:
            self.blocks.pop(number >> _SHIFT, block)

    def _used(self, number: int) -> int:
        """The bits of the block that contains a number."""
        block = self.blocks.get(number >> _SHIFT)
        return 0 if block is None else block.used

    def next_used(self, number: int) -> int:
        """The least used number above one; 0 if there is none, or the running thread must end. Takes safe points."""
        number += 1
        while number <= self.highest and not is_dying():
            used = self._used(number) >> (number & _LAST)
            if used & 1 != 0:
                return number
            number = number + 1 if used != 0 else (number | _LAST) + 1
            pace(_COST)
        return 0
