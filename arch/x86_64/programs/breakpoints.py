"""Hardware breakpoints and watchpoints of a program: the debug registers as a debugger sees them (ptrace(2)).

Four addresses, and a control word that says which of them are watched, and for what: running the instruction there,
writing, or reading and writing of 1, 2, 4 or 8 bytes. They are in the processor while the program runs and never while
another one does. What they find in the kernel, which copies to and from the program's memory, counts as nothing.

Invariants: every address lies in the user half; the control word in the processor watches these addresses alone.
Safety: the words that are loaded are this object's.
Source: Intel SDM vol. 3, 19.2.
"""

from typing import Final

from arch.x86_64.frame import RFLAGS_RESUME, TrapFrame
from arch.x86_64.instructions import drop_breakpoints, load_breakpoints
from arch.x86_64.layout import USER_END
from kernel.lang import EINVAL, EIO, Errno, final, struct
from kernel.lang.unsafe import address_of

COUNT: Final = 4
STATUS: Final = 6
CONTROL: Final = 7

_STATUS_ONES: Final = 0xFFFF_0FF0  # bits of the status that read as 1
STATUS_STEP: Final = 0x4000
_STATUS_HITS: Final = 0xF
_EXACT: Final = 0x200  # GE: report right after the access
_RESERVED_ONE: Final = 0x400

_EXECUTE: Final = 0
_PORT: Final = 2
_LENGTHS: Final[list[int]] = [1, 2, 8, 4]  # bytes, by the two bits that say so


@struct
class DebugWords:
    """As they go into the processor."""

    first: int
    second: int
    third: int
    fourth: int
    control: int


@final
class Breakpoints:
    """One task's."""

    words: DebugWords

    def __init__(self) -> None:
        self.addresses: list[int] = [0] * COUNT
        self.control: int = 0  # as the debugger wrote it
        self.status: int = 0  # what was hit last, and whether a step was done

    def read(self, number: int) -> int:
        """Debug register `number`, 0 to 7."""
        if number < COUNT:
            return self.addresses[number]
        if number == STATUS:
            return self.status ^ _STATUS_ONES
        return self.control if number == CONTROL else 0

    def write(self, number: int, value: int) -> None:
        """Change one. Raises EINVAL for what cannot be watched, EIO for a register that there is not; then nothing has
        changed.
        """
        if number < COUNT:
            self._check_address(number, value, self.control)
            self.addresses[number] = value
        elif number == STATUS:
            self.status = value ^ _STATUS_ONES
        elif number == CONTROL:
            for index in range(COUNT):
                self._check_address(index, self.addresses[index], value)
            self.control = value
        else:
            raise Errno(EIO)
        self._prepare()

    def _check_address(self, index: int, address: int, control: int) -> None:
        if not 0 <= address < USER_END:
            raise Errno(EINVAL)
        if control >> index * 2 & 3 == 0:
            return
        kind = control >> 16 + index * 4 & 3
        length = _LENGTHS[control >> 18 + index * 4 & 3]
        if kind == _PORT or (kind == _EXECUTE and length != 1) or address & length - 1 != 0:
            raise Errno(EINVAL)

    def _prepare(self) -> None:
        """What the processor gets: of the control word, only what was checked."""
        control = _EXACT | _RESERVED_ONE
        for index in range(COUNT):
            if self.control >> index * 2 & 3 != 0:
                control |= 2 << index * 2 | (self.control >> 16 + index * 4 & 15) << 16 + index * 4
        self.words.first = self.addresses[0]
        self.words.second = self.addresses[1]
        self.words.third = self.addresses[2]
        self.words.fourth = self.addresses[3]
        self.words.control = control

    def load(self) -> None:
        """The program gets the processor."""
        load_breakpoints(address_of(self.words))

    def drop(self) -> None:
        """It loses it."""
        drop_breakpoints()

    def note(self, status: int, frame: TrapFrame) -> bool:
        """A debug exception came: whether because of a breakpoint. One on an instruction comes before that has run, so
        that it must not come again when the program goes on.
        """
        self.status = status & STATUS_STEP
        for index in range(COUNT):
            if status >> index & 1 != 0 and self.control >> index * 2 & 3 != 0:
                self.status |= 1 << index
                if self.control >> 16 + index * 4 & 3 == _EXECUTE:
                    frame.rflags |= RFLAGS_RESUME
        return self.status & _STATUS_HITS != 0
