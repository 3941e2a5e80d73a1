"""Time namespaces: the shifts of clocks that count from boot, for the tasks in one
(time_namespaces(7)).

The shifts are written through /proc/PID/timens_offsets, until the first task enters. The kernel's own times are those
of the first namespace. A program's times of CLOCK_MONOTONIC, CLOCK_BOOTTIME and their kin are translated
where the call is decoded (kernel/task/clocks.py).

Context: any; nothing sleeps.
Source: time_namespaces(7), "/proc/PID/timens_offsets".
"""

from typing import Final

from kernel.lang import EACCES, EINVAL, ERANGE, Errno, atomic, final
from kernel.lib.namespace import CLONE_NEWTIME, FIRST_TIME_NUMBER, Namespace, UserNamespace, next_number
from kernel.lib.scan import Scan
from kernel.time.clock import NS_PER_SECOND, boottime_ns, monotonic_ns

_MONOTONIC: Final = 1
_BOOTTIME: Final = 7
_LONGEST_SECONDS: Final = 9_223_372_036  # that 63 bits of nanoseconds hold
_LAST_SECOND: Final = _LONGEST_SECONDS // 2  # that a shifted clock may show when it is shifted
_CLOCK_NAME_LIMIT: Final = 9
_LINE_LIMIT: Final = 2


@final
@atomic("monotonic_shift_ns", "boottime_shift_ns")
class TimeNamespace(Namespace):
    """A time namespace. It goes with the last task, address or open file that refers to it."""

    def __init__(self, number: int, maker: UserNamespace | None) -> None:
        super().__init__(CLONE_NEWTIME, b"time", number, maker)
        self.monotonic_shift_ns: int = 0  # of CLOCK_MONOTONIC, _RAW and _COARSE
        self.boottime_shift_ns: int = 0  # of CLOCK_BOOTTIME and _ALARM, and all else that counts from boot
        self.is_fixed: bool = False  # a task is or was in it: the shifts stay

    def copy(self, owner: UserNamespace) -> "TimeNamespace":
        """A copy with the same shifts, which may still be set. Raises MemoryError."""
        made = TimeNamespace(next_number(), owner)
        made.monotonic_shift_ns = self.monotonic_shift_ns
        made.boottime_shift_ns = self.boottime_shift_ns
        return made

    def is_shifted(self) -> bool:
        """Whether any clock differs from the kernel's own."""
        return self.monotonic_shift_ns != 0 or self.boottime_shift_ns != 0

    def text(self) -> bytes:
        """The contents of /proc/PID/timens_offsets."""
        return _line("monotonic ", self.monotonic_shift_ns) + _line("boottime  ", self.boottime_shift_ns)

    def shift(self, wanted: "list[Shift]") -> None:
        """Set shifts, all or none. Raises ERANGE for one that leads to times before 0 or far in the future; EACCES once
        a task has entered.
        """
        for shift in wanted:
            shift.check()
        if self.is_fixed:
            raise Errno(EACCES)
        for shift in wanted:
            if shift.clock == _MONOTONIC:
                self.monotonic_shift_ns = shift.ns()
            else:
                self.boottime_shift_ns = shift.ns()


def _line(name: str, shift_ns: int) -> bytes:
    return f"{name} {shift_ns // NS_PER_SECOND:10d} {shift_ns % NS_PER_SECOND:9d}\n".encode()


def _first() -> TimeNamespace:
    made = TimeNamespace(FIRST_TIME_NUMBER, None)
    made.is_fixed = True
    return made


FIRST_TIME: Final = _first()


# ---- What is written ------------------------------------------------------------------------------------------------


@final
class Shift:
    """A line: how far a clock is to be shifted."""

    def __init__(self, clock: int, seconds: int, nanoseconds: int) -> None:
        self.clock: int = clock  # 1 (monotonic) or 7 (since boot)
        self.seconds: int = seconds
        self.nanoseconds: int = nanoseconds  # 0 … 999,999,999

    def check(self) -> None:
        """Raise ERANGE if the clock would show an invalid time."""
        if not -_LONGEST_SECONDS <= self.seconds <= _LONGEST_SECONDS:
            raise Errno(ERANGE)
        now_ns = monotonic_ns() if self.clock == _MONOTONIC else boottime_ns()
        nanoseconds = now_ns % NS_PER_SECOND + self.nanoseconds
        shown = now_ns // NS_PER_SECOND + self.seconds + nanoseconds // NS_PER_SECOND
        if not 0 <= shown <= _LAST_SECOND:
            raise Errno(ERANGE)

    def ns(self) -> int:
        """The total in nanoseconds, once it was checked."""
        return self.seconds * NS_PER_SECOND + self.nanoseconds


@final
class WrittenShifts:
    """A text of one or two lines, decoded. Raises EINVAL for a malformed one."""

    def __init__(self, text: bytes) -> None:
        self.shifts: list[Shift] = []
        self.taken: int = len(text)  # bytes that were read: further lines are ignored
        end = text.find(b"\0")
        lines = text if end < 0 else text[:end]
        at = 0
        while len(self.shifts) == 0 or at < len(lines):
            if len(self.shifts) == _LINE_LIMIT:
                self.taken = at
                break
            stop = lines.find(b"\n", at)
            if stop < 0:
                stop = len(lines)
            self.shifts.append(_shift_of(lines[at:stop]))
            at = stop + 1


def _shift_of(line: bytes) -> Shift:
    words = Scan(line)
    name = words.word(_CLOCK_NAME_LIMIT)
    seconds = words.number(signed=True)
    nanoseconds = words.number(signed=False)
    if nanoseconds >= NS_PER_SECOND:
        raise Errno(EINVAL)
    if name == b"monotonic" or name == b"1":
        return Shift(_MONOTONIC, seconds, nanoseconds)
    if name == b"boottime" or name == b"7":
        return Shift(_BOOTTIME, seconds, nanoseconds)
    raise Errno(EINVAL)
