"""Breakpoints of the debug registers: what a debugger may set, and what the processor gets of it."""

from __future__ import annotations

import pytest

from arch.x86_64.frame import RFLAGS_RESUME, TrapFrame
from arch.x86_64.layout import USER_END
from arch.x86_64.programs.breakpoints import CONTROL, STATUS, Breakpoints
from kernel.lang import EINVAL, EIO, Errno

WRITES, READS = 1, 3
ONE_BYTE, TWO_BYTES, EIGHT_BYTES, FOUR_BYTES = range(4)


def control(number: int, kind: int, length: int) -> int:
    return 1 << number * 2 | (kind | length << 2) << 16 + number * 4


def refuses(breakpoints: Breakpoints, number: int, value: int) -> int:
    with pytest.raises(Errno) as error:
        breakpoints.write(number, value)
    return error.value.code


def test_a_watchpoint_reaches_the_processor() -> None:
    breakpoints = Breakpoints()
    breakpoints.write(2, 0x1000)
    breakpoints.write(CONTROL, control(2, WRITES, EIGHT_BYTES))
    assert breakpoints.read(2) == 0x1000 and breakpoints.read(CONTROL) == control(2, WRITES, EIGHT_BYTES)
    assert breakpoints.words.third == 0x1000
    assert breakpoints.words.control == 0x600 | 2 << 4 | (WRITES | EIGHT_BYTES << 2) << 24


def test_bits_of_the_control_word_that_mean_nothing_stay_out_of_the_processor() -> None:
    breakpoints = Breakpoints()
    breakpoints.write(CONTROL, 0x2000 | control(0, READS, ONE_BYTE) & ~3)  # general detect; nothing enabled
    assert breakpoints.words.control == 0x600


def test_what_cannot_be_watched() -> None:
    breakpoints = Breakpoints()
    breakpoints.write(0, 0x1001)
    assert refuses(breakpoints, 0, USER_END) == EINVAL
    assert refuses(breakpoints, 0, -8) == EINVAL
    assert refuses(breakpoints, CONTROL, control(0, WRITES, TWO_BYTES)) == EINVAL  # not aligned
    assert refuses(breakpoints, CONTROL, control(0, 2, ONE_BYTE)) == EINVAL  # ports
    assert refuses(breakpoints, CONTROL, control(0, 0, FOUR_BYTES)) == EINVAL  # an instruction has no length
    assert refuses(breakpoints, 4, 0) == EIO
    assert breakpoints.read(CONTROL) == 0 and breakpoints.words.control == 0x600
    breakpoints.write(CONTROL, control(0, WRITES, ONE_BYTE))
    breakpoints.write(0, 0x1000)
    breakpoints.write(CONTROL, control(0, WRITES, FOUR_BYTES))
    assert refuses(breakpoints, 0, 0x1002) == EINVAL
    assert breakpoints.read(0) == 0x1000


def test_an_instruction_runs_when_the_program_goes_on() -> None:
    breakpoints, frame = Breakpoints(), TrapFrame()
    breakpoints.write(1, 0x2000)
    breakpoints.write(CONTROL, control(1, 0, ONE_BYTE))
    assert breakpoints.note(0xFFFF_0FF2, frame)
    assert frame.rflags & RFLAGS_RESUME != 0
    assert breakpoints.read(STATUS) == 0xFFFF_0FF2


def test_only_what_was_set_counts() -> None:
    breakpoints, frame = Breakpoints(), TrapFrame()
    breakpoints.write(0, 0x2000)
    assert not breakpoints.note(0xFFFF_4FF1, frame)
    assert breakpoints.read(STATUS) == 0xFFFF_4FF0  # a step
