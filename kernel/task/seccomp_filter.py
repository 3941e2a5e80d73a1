"""Filters of system calls: programs of classic BPF over struct seccomp_data, stacked (seccomp(2)).

A filter may use those parts of classic BPF that suit calls: words of the data at aligned offsets, and neither
remainders nor anything about packets. Filters are never changed and never removed, so threads and processes share
them: a filter refers to the one before it, and a thread refers to its whole stack.

All filters of a stack are run, the newest first, and the most restrictive answer counts: the one whose action
is lowest as a signed number. Of equal actions the newest filter's counts.

Context: creating a filter may raise MemoryError; running one never raises or allocates. Between filters it may sleep.
Source: seccomp(2).
"""

from typing import Final, Literal

from arch import AUDIT_ARCHITECTURE, TrapFrame
from kernel.lang import EBUSY, EINVAL, ENOMEM, Array, Errno, final, u8
from kernel.lib.bpf import (
    ALU,
    JMP,
    JUMP_ALWAYS,
    LD_WORD_ABSOLUTE,
    LDX,
    RET_CONSTANT,
    Program,
    Subject,
)
from kernel.lib.pace import pace

# Actions: the upper half of what a filter returns. The lower half is data for some.
KILL_PROCESS: Final = 0x8000_0000
KILL_THREAD: Final = 0x0000_0000
TRAP: Final = 0x0003_0000
ERRNO: Final = 0x0005_0000
USER_NOTIFICATION: Final = 0x7FC0_0000
TRACE: Final = 0x7FF0_0000
LOG: Final = 0x7FFC_0000
ALLOW: Final = 0x7FFF_0000
ACTION: Final = 0xFFFF_0000
DATA: Final = 0xFFFF

_COST_SHIFT: Final = 5  # instructions for one of the filter's, as a power of two: often most are not run

DATA_SIZE: Final = 64  # struct seccomp_data

# A stack's length is counted in instructions of the machine for which Linux translates filters, so that as many fit.
_MOST_TOGETHER: Final = 32768
_PENALTY: Final = 4  # for each filter
_PROLOGUE: Final = 3
_DIVIDE_BY_INDEX: Final = 0x3C
_MODULO: Final = 9
_SIGN: Final = 0x8000_0000
_COMPARES_BITS: Final = 4  # JSET, which has no opposite

CallData = Array[u8, Literal[64]]


class FilterListener:
    """The listener that a filter's calls may be left to (seccomp_listener.py). Base class."""

    def __init__(self) -> None:
        self.is_closed: bool = False  # no one listens any more


@final
class CallFilter:
    """A filter with those below it."""

    def __init__(self, instructions: bytes, is_logged: bool, listener: FilterListener | None = None) -> None:
        """A single filter. EINVAL for a program that is not allowed."""
        self.program: Program = Program(instructions)
        check_call_program(self.program)
        self.previous: CallFilter | None = None
        self.is_logged: bool = is_logged  # SECCOMP_FILTER_FLAG_LOG
        self.listener: FilterListener | None = listener  # it may leave calls to this one
        self.heard: FilterListener | None = listener  # its own, or that of a filter below: at most one is open
        self.length: int = translated_length(self.program)  # of the stack
        self.count: int = 1
        self.counted: int = 0  # the last count of memory in which it was met (memory_shortage.py)
        self.marked: int = 0

    def put_above(self, previous: "CallFilter | None") -> None:
        """Make it the newest of a stack, of which it is not yet part. Raises EBUSY if a filter there has a listener
        and so has this one, ENOMEM if the stack becomes too long. Never sleeps.
        """
        if previous is None:
            below = 0
        else:
            heard = previous.heard
            if self.listener is not None and heard is not None and not heard.is_closed:
                raise Errno(EBUSY)
            below = previous.length + _PENALTY
        if self.length + below > _MOST_TOGETHER:
            raise Errno(ENOMEM)
        self.length += below
        if previous is not None:
            self.previous = previous
            self.count = previous.count + 1
            if self.listener is None:
                self.heard = previous.heard

    def has_below(self, other: "CallFilter") -> bool:
        """Whether another stack is the lower part, or all, of this one. A process may have very many threads with long
        stacks: this one is not walked through for each question, but when others have asked about theirs.
        """
        if self.marked != _MARKS.last or self.count != _MARKS.count:
            self._mark()
        return other.marked == _MARKS.last

    def _mark(self) -> None:
        _MARKS.last += 1
        _MARKS.count = self.count
        candidate: CallFilter | None = self
        while candidate is not None:
            candidate.marked = _MARKS.last
            candidate = candidate.previous


@final
class _Marks:
    """How often a stack was marked, and how high the last one was."""

    def __init__(self) -> None:
        self.last: int = 0
        self.count: int = 0


_MARKS: Final = _Marks()


def check_call_program(program: Program) -> None:
    """Check that a program uses only what a filter of system calls may. Raises EINVAL."""
    for index in range(len(program)):
        code = program.code(index)
        if code == LD_WORD_ABSOLUTE:
            value = program.constant(index)
            if value >= DATA_SIZE or value & 3 != 0:
                raise Errno(EINVAL)
        elif code & 7 <= LDX and not _is_load_without_data(code):
            raise Errno(EINVAL)
        elif code & 7 == ALU and code >> 4 == _MODULO:
            raise Errno(EINVAL)


def _is_load_without_data(code: int) -> bool:
    """An immediate value, scratch memory, or the data's length."""
    mode = code >> 5
    return mode == 0 or mode == 3 or mode == 4


def translated_length(program: Program) -> int:
    """How many instructions of Linux's machine a program becomes."""
    length = _PROLOGUE
    for index in range(len(program)):
        code = program.code(index)
        if code == RET_CONSTANT:
            length += 2
        elif code == _DIVIDE_BY_INDEX:
            length += 5
        elif code & 7 == JMP and code != JUMP_ALWAYS:
            length += _comparison_length(program, index)
        else:
            length += 1
    return length


def _comparison_length(program: Program, index: int) -> int:
    """A jump if the comparison holds, and another one if neither target is the next instruction; a constant that is
    negative is loaded before.
    """
    code = program.code(index)
    length = 1 if code & 8 == 0 and program.constant(index) & _SIGN != 0 else 0
    falls_through = program.if_false(index) == 0
    if program.if_true(index) == 0 and code >> 4 != _COMPARES_BITS:
        falls_through = True
    return length + (1 if falls_through else 2)


# Judging a call -------------------------------------------------------------------------------------------------------

_NOTHING_ELSE: Final = Subject()


def describe(number: int, frame: TrapFrame, data: CallData) -> None:
    """struct seccomp_data, each 32-bit word of it in network byte order, in which programs load."""
    span = data.span()
    span.store_be32(0, number)
    span.store_be32(4, AUDIT_ARCHITECTURE)
    _store(data, 8, frame.instruction_pointer)
    _store(data, 16, frame.first)
    _store(data, 24, frame.second)
    _store(data, 32, frame.third)
    _store(data, 40, frame.fourth)
    _store(data, 48, frame.fifth)
    _store(data, 56, frame.sixth)


def _store(data: CallData, offset: int, value: int) -> None:
    span = data.span()
    span.store_be32(offset, value & 0xFFFF_FFFF)
    span.store_be32(offset + 4, value >> 32 & 0xFFFF_FFFF)


def judge(top: CallFilter, data: CallData) -> tuple[int, CallFilter]:
    """The answer of a stack of filters, and the filter that gave it."""
    answer = ALLOW
    judge_ = top
    candidate: CallFilter | None = top
    while candidate is not None:
        found = candidate.program.run(data.span(), _NOTHING_ELSE)
        pace(len(candidate.program) << _COST_SHIFT)
        if _rank(found) < _rank(answer):
            answer = found
            judge_ = candidate
        candidate = candidate.previous
    return answer, judge_


def _rank(answer: int) -> int:
    """The action as a signed number."""
    action = answer & ACTION
    return action - (1 << 32) if action & _SIGN != 0 else action
