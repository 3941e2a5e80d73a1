"""Pid namespaces: processes and threads have numbers of their own there (pid_namespaces(7)).

A process created in a namespace has a number in it and in each one above it, up to the first, whose number is the `Pid`
by which the kernel knows it. So a namespace sees the processes created in it or below, and no others. `shown` and
`resolve` are the border: they translate the numbers that programs see and pass.

The process with number 1 is the namespace's init. It ignores signals from inside that it has no handlers for, it
adopts orphans, and when it ends, all others are killed and no process is created there any more (exit.py).

In the first namespace a number is the `Pid` itself, so nothing is stored for processes created there.

Invariants: `NUMBERS` has all bearers created below the first namespace; a namespace's `bearers` has those that it sees,
and `taken` their numbers. The first namespace has no `bearers`; pids.py keeps its `taken`.
Context: nothing sleeps.
"""

from typing import Final

from kernel.lang import EAGAIN, EEXIST, EINVAL, ENOMEM, ENOSPC, Errno, final, noraise, span_of
from kernel.lib.namespace import CLONE_NEWPID, FIRST_PID_NUMBER, Namespace, UserNamespace, next_number
from kernel.lib.pid import NOBODY, Bearer, Pid
from kernel.lib.settings import SystemSetting
from kernel.sched import WaitQueue

LARGEST_MAX: Final = 1 << 22  # of PID_MAX
RESERVED: Final = 300  # below, numbers are given only before the first wrap
# One past the highest number that is given.
PID_MAX: Final = SystemSetting(b"kernel/pid_max", [32768], RESERVED + 1, LARGEST_MAX)
DEEPEST: Final = 32  # levels below the first


_PART_SHIFT: Final = 12
_PART_NUMBERS: Final = 1 << _PART_SHIFT
_PART_MASK: Final = _PART_NUMBERS - 1


@final
class _Part:
    """A bit for each of the numbers of a part."""

    def __init__(self) -> None:
        self.bits: bytearray = bytearray(_PART_NUMBERS // 8)
        self.count: int = 0  # of those that are set


@final
class NumberSet:
    """Numbers below LARGEST_MAX, found in order, as are those that are missing. There is a bit for each number of the
    parts that have had one; empty and full parts are skipped as a whole.
    """

    def __init__(self) -> None:
        self._parts: dict[int, _Part] = {}
        self._highest: int = -1  # the highest one ever in it

    def add(self, number: int) -> None:
        """Enter one, which may be in it. Raises MemoryError."""
        part = self._parts.get(number >> _PART_SHIFT)
        if part is None:
            part = _Part()
            self._parts[number >> _PART_SHIFT] = part
        at = number & _PART_MASK
        bit = 1 << (at & 7)
        if part.bits[at >> 3] & bit == 0:
            part.bits[at >> 3] |= bit
            part.count += 1
            self._highest = max(self._highest, number)

    def remove(self, number: int) -> None:
        """Remove one, which may be missing."""
        part = self._parts.get(number >> _PART_SHIFT)
        at = number & _PART_MASK
        bit = 1 << (at & 7)
        if part is not None and part.bits[at >> 3] & bit != 0:
            part.bits[at >> 3] &= ~bit & 0xFF
            part.count -= 1

    def following(self, number: int) -> int:
        """The lowest from `number` on, -1 if there is none."""
        while number <= self._highest:
            part = self._parts.get(number >> _PART_SHIFT)
            found = -1 if part is None or part.count == 0 else _first_bit(part.bits, number & _PART_MASK, 0)
            if found >= 0:
                return (number & ~_PART_MASK) + found
            number = (number | _PART_MASK) + 1
        return -1

    def missing(self, number: int, end: int) -> int:
        """The lowest from `number` on that is not in it, -1 if there is none below `end`."""
        while number < end:
            part = self._parts.get(number >> _PART_SHIFT)
            if part is None:
                return number
            found = -1
            if part.count < _PART_NUMBERS:
                found = _first_bit(part.bits, number & _PART_MASK, 0xFFFF_FFFF)
            if found >= 0:
                number = (number & ~_PART_MASK) + found
                return number if number < end else -1
            number = (number | _PART_MASK) + 1
        return -1


def _first_bit(part: bytearray, at: int, inverted: int) -> int:
    """The first bit from `at` on that is set, or clear if all are `inverted`; -1 if none is."""
    words = span_of(part)
    while at < _PART_NUMBERS:
        bits = (words.load_u32(at >> 5 << 2) ^ inverted) >> (at & 31)
        if bits & 1 != 0:
            return at
        at = at + 1 if bits != 0 else (at | 31) + 1
    return -1


class EndRecorder:
    """Records the ends of a namespace's processes. Base class: process_accounting.py has the implementation."""

    @noraise
    def close(self) -> None:
        """Stop recording. May sleep."""


@final
class PidNamespace(Namespace):
    """A pid namespace."""

    def __init__(self, parent: "PidNamespace | None", number: int, maker: UserNamespace | None = None) -> None:
        super().__init__(CLONE_NEWPID, b"pid", number, maker)
        self.parent: PidNamespace | None = parent
        self.level: int = 0 if parent is None else parent.level + 1
        self.bearers: dict[int, Pid] = {}
        self.processes: NumberSet = NumberSet()  # the numbers of its processes, zombies too
        self.taken: NumberSet = NumberSet()  # the numbers of all bearers, so that a free one is found at once
        self.last: int = 0  # the latest number given
        self.init: Pid = NOBODY
        self.recorder: EndRecorder | None = None  # acct(2)
        self.is_closed: bool = False  # its init has ended: no process is created here any more
        self.reboot_signal: int = 0  # the signal that ends its init, because a program inside rebooted
        self.changed: WaitQueue = WaitQueue()  # once closed: woken when a number becomes free
        self.memfd_scope: int = 0 if parent is None else parent.strictest_memfd_scope()

    def strictest_memfd_scope(self) -> int:
        """vm.memfd_noexec as it holds in here: what is set here, or above if that is more."""
        scope = self.memfd_scope
        walker = self.parent
        while walker is not None:
            scope = max(scope, walker.memfd_scope)
            walker = walker.parent
        return scope

    def shown(self, pid: Pid) -> int:
        """A bearer's number for programs in here; 0 if they do not see it."""
        if self.level == 0:
            return int(pid)
        numbers = NUMBERS.get(pid)
        return 0 if numbers is None else numbers.seen_from(self)

    def shown_bearer(self, bearer: Bearer | None) -> int:
        """The same for a process that may have gone; 0 for none."""
        if bearer is None:
            return 0
        if self.level == 0:
            return int(bearer.pid)
        return bearer.seen_from(self) if isinstance(bearer, Numbers) else 0

    def resolve(self, number: int) -> Pid:
        """The bearer of a number for programs in here. NOBODY if there is none, except that in the first namespace this
        has to be found out later.
        """
        return Pid(number) if self.level == 0 else self.bearers.get(number, NOBODY)

    def contains(self, other: "PidNamespace") -> bool:
        """Whether another is this one or below it."""
        walker: PidNamespace | None = other
        while walker is not None and walker.level > self.level:
            walker = walker.parent
        return walker is self

    def next_number(self) -> int:
        """A free number, the next one after the latest. Raises EAGAIN when there is none."""
        number = self.taken.missing(self.last + 1, PID_MAX.value)
        if number < 0:
            number = self.taken.missing(RESERVED, PID_MAX.value)
        if number < 0:
            raise Errno(EAGAIN)
        self.last = number
        return number


FIRST_PID: Final = PidNamespace(None, FIRST_PID_NUMBER)


def new_pid_namespace(parent: PidNamespace, owner: UserNamespace) -> PidNamespace:
    """An empty namespace below another. Raises ENOSPC, MemoryError; EINVAL if the user namespace that owns the parent
    does not contain the new owner.
    """
    if not parent.owner.contains(owner):
        raise Errno(EINVAL)
    if parent.level >= DEEPEST:
        raise Errno(ENOSPC)
    return PidNamespace(parent, next_number(), owner)


@final
class Numbers(Bearer):
    """The numbers of a bearer, from the first namespace down to the one where it was created."""

    def __init__(self, pid: Pid, birthplace: PidNamespace, by_level: list[int]) -> None:
        super().__init__(pid)
        self.birthplace: PidNamespace = birthplace
        self.by_level: list[int] = by_level

    def seen_from(self, space: PidNamespace) -> int:
        """The number in a namespace; 0 if the bearer is not in there."""
        return self.by_level[space.level] if space.contains(self.birthplace) else 0


NUMBERS: Final[dict[Pid, Numbers]] = {}


def number_bearer(space: PidNamespace, pid: Pid, wanted: list[int]) -> Numbers:
    """Give a bearer about to be created below the first namespace its numbers there: those that are `wanted`, the
    innermost first, or free ones. Raises EAGAIN, EEXIST, ENOMEM, MemoryError; then nothing has changed.
    """
    if space.is_closed:
        raise Errno(ENOMEM)
    numbers = Numbers(pid, space, [0] * (space.level + 1))
    numbers.by_level[0] = int(pid)
    NUMBERS[pid] = numbers
    try:
        walker: PidNamespace | None = space
        while walker is not None and walker.level > 0:
            depth = space.level - walker.level
            number = wanted[depth] if depth < len(wanted) else walker.next_number()
            if number in walker.bearers:
                raise Errno(EEXIST)
            numbers.by_level[walker.level] = number
            if number == 1:
                walker.init = pid
            walker.bearers[number] = pid
            walker.taken.add(number)
            walker = walker.parent
    except (Errno, MemoryError):
        forget_bearer(pid)
        raise
    return numbers


@noraise
def forget_bearer(pid: Pid) -> None:
    """The bearer of this is gone. Its numbers become free in all namespaces."""
    numbers = NUMBERS.get(pid)
    if numbers is None:
        return
    NUMBERS.pop(pid, numbers)
    walker: PidNamespace | None = numbers.birthplace
    while walker is not None and walker.level > 0:
        number = numbers.by_level[walker.level]
        if number != 0:
            walker.bearers.pop(number, NOBODY)
            walker.taken.remove(number)
            if walker.init == pid:
                walker.init = NOBODY
                if not walker.is_closed:
                    walker.last = 0  # its creation failed: the next one is the init
        if walker.is_closed:
            walker.changed.wake_all()
        walker = walker.parent
