"""Hardware breakpoints and watchpoints of a program: the debug registers as a debugger sees them (ptrace(2)), and
places that others watch (`Watch`, for perf_event_open(2)).

Four addresses, and a control word that says which of them are watched, and for what: running the instruction there,
writing, or reading and writing of 1, 2, 4 or 8 bytes. They are in the processor while the program runs and never while
another one does. What they find in the kernel, which copies to and from the program's memory, counts as nothing. The
debugger's have the registers that it named, the others those that are left: there are never more than four together.

Invariants: every address lies in the user half; the control word in the processor watches these addresses alone.
Safety: the words that are loaded are this object's.
Source: Intel SDM vol. 3, 19.2.
"""

from typing import Final

from arch.x86_64.frame import RFLAGS_RESUME, TrapFrame
from arch.x86_64.instructions import drop_breakpoints, load_breakpoints
from arch.x86_64.layout import USER_END
from kernel.lang import EINVAL, EIO, ENOSPC, Errno, final, struct
from kernel.lang.unsafe import address_of

COUNT: Final = 4
WATCH_READ: Final = 1
WATCH_WRITE: Final = 2
WATCH_RUN: Final = 4
STATUS: Final = 6
CONTROL: Final = 7

_STATUS_ONES: Final = 0xFFFF_0FF0  # bits of the status that read as 1
STATUS_STEP: Final = 0x4000
STATUS_HITS: Final = 0xF
_EXACT: Final = 0x200  # GE: report right after the access
_RESERVED_ONE: Final = 0x400

_FREE: Final = -1  # whose a register is
_DEBUGGERS: Final = -2

_EXECUTE: Final = 0
_WORD: Final = 8
_WRITE: Final = 1
_ACCESS: Final = 3
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
class Watch:
    """A place that somebody other than a debugger watches."""

    def __init__(self, address: int, kind: int, length: int) -> None:
        """`kind` is writing, reading and writing, or running, with a length of 8 as on Linux. Raises EINVAL for what
        cannot be watched.
        """
        what = _EXECUTE if kind == WATCH_RUN else _WRITE if kind == WATCH_WRITE else _ACCESS
        if kind not in (WATCH_RUN, WATCH_WRITE, WATCH_READ | WATCH_WRITE) or length not in _LENGTHS:
            raise Errno(EINVAL)
        if kind == WATCH_RUN:
            if length != _WORD:
                raise Errno(EINVAL)
            length = 1
        if not 0 <= address < USER_END or address & length - 1 != 0:
            raise Errno(EINVAL)
        self.address: int = address
        self.bits: int = what | _LENGTHS.index(length) << 2  # as the control word has them
        self.is_on: bool = False
        self.was_hit: bool = False


@final
class Breakpoints:
    """One task's."""

    words: DebugWords

    def __init__(self) -> None:
        self.watches: list[Watch] = []
        self.owners: list[int] = [_FREE] * COUNT  # of each register: _FREE, _DEBUGGERS, or the index of a watch
        self.places: list[int] = [0] * COUNT  # what each has as its address
        self.is_stale: bool = False  # another processor has changed what this task's processor should have
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
        """Change one. Raises EINVAL for what cannot be watched, EIO for a register that there is not, ENOSPC if others
        watch too many places; then nothing has changed.
        """
        if number < COUNT:
            self._check_address(number, value, self.control)
            if value != 0 and not self._is_debuggers(number):
                self._check_room()
            self.addresses[number] = value
        elif number == STATUS:
            self.status = value ^ _STATUS_ONES
        elif number == CONTROL:
            for index in range(COUNT):
                self._check_address(index, self.addresses[index], value)
            old = self.control
            self.control = value
            if self._used() > COUNT:
                self.control = old
                raise Errno(ENOSPC)
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

    def _is_debuggers(self, index: int) -> bool:
        """Whether the debugger uses a register."""
        return self.addresses[index] != 0 or self.control >> index * 2 & 3 != 0

    def _used(self) -> int:
        """How many registers are wanted."""
        count = len(self.watches)
        for index in range(COUNT):
            count += 1 if self._is_debuggers(index) else 0
        return count

    def _check_room(self) -> None:
        """Raises ENOSPC."""
        if self._used() >= COUNT:
            raise Errno(ENOSPC)

    def add(self, watch: Watch) -> None:
        """Somebody watches a place, once it is on. Raises ENOSPC, MemoryError."""
        self._check_room()
        self.watches.append(watch)
        self._prepare()

    def remove(self, watch: Watch) -> None:
        """Nobody watches it any more."""
        self.watches.remove(watch)
        self._prepare()

    def renew(self) -> None:
        """A watch was turned on or off."""
        self._prepare()

    def forget_debugger(self) -> None:
        """There is none any more."""
        for index in range(COUNT):
            self.addresses[index] = 0
        self.control = 0
        self.status = 0
        self._prepare()

    def _prepare(self) -> None:
        """What the processor gets: of the control word, only what was checked."""
        control = _EXACT | _RESERVED_ONE
        for index in range(COUNT):
            self.owners[index] = _FREE
            self.places[index] = self.addresses[index]
            if self.control >> index * 2 & 3 != 0:
                self.owners[index] = _DEBUGGERS
                control |= 2 << index * 2 | (self.control >> 16 + index * 4 & 15) << 16 + index * 4
        index = 0
        for number in range(len(self.watches)):
            watch = self.watches[number]
            if not watch.is_on:
                continue
            while index < COUNT and self.owners[index] != _FREE:
                index += 1
            if index == COUNT:
                break
            self.owners[index] = number
            self.places[index] = watch.address
            control |= 2 << index * 2 | watch.bits << 16 + index * 4
        self.words.first = self.places[0]
        self.words.second = self.places[1]
        self.words.third = self.places[2]
        self.words.fourth = self.places[3]
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
            if status >> index & 1 == 0:
                continue
            owner = self.owners[index]
            what = self.control >> 16 + index * 4
            if owner == _DEBUGGERS:
                self.status |= 1 << index
            elif owner != _FREE:
                watch = self.watches[owner]
                watch.was_hit = True
                what = watch.bits
            if owner != _FREE and what & 3 == _EXECUTE:
                frame.rflags |= RFLAGS_RESUME
        return self.status & STATUS_HITS != 0

