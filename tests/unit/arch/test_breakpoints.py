"""Breakpoints of the debug registers: what a debugger may set, and what the processor gets of it."""

from __future__ import annotations

import pytest

from arch.x86_64.frame import RFLAGS_RESUME, TrapFrame
from arch.x86_64.layout import USER_END
from arch.x86_64.programs.breakpoints import CONTROL, STATUS, WATCH_RUN, WATCH_WRITE, Breakpoints, Watch
from kernel.lang import EINVAL, EIO, ENOSPC, Errno

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


def watched(breakpoints: Breakpoints, address: int, kind: int = WATCH_WRITE, length: int = 4) -> Watch:
    watch = Watch(address, kind, length)
    breakpoints.add(watch)
    watch.is_on = True
    breakpoints.renew()
    return watch


def test_others_watch_beside_a_debugger() -> None:
    breakpoints = Breakpoints()
    watch = watched(breakpoints, 0x3000)
    assert breakpoints.words.first == 0x3000
    breakpoints.write(0, 0x1000)
    breakpoints.write(CONTROL, control(0, WRITES, ONE_BYTE))
    assert (breakpoints.words.first, breakpoints.words.second) == (0x1000, 0x3000)
    assert breakpoints.words.control == 0x600 | 2 | WRITES << 16 | 2 << 2 | (WRITES | FOUR_BYTES << 2) << 20
    assert breakpoints.read(1) == 0 and breakpoints.read(CONTROL) == control(0, WRITES, ONE_BYTE)
    assert not breakpoints.note(2, TrapFrame()) and watch.was_hit  # no business of the debugger's
    assert breakpoints.note(1, TrapFrame())
    watch.is_on = False
    breakpoints.renew()
    assert breakpoints.words.control == 0x600 | 2 | WRITES << 16


def test_four_places_are_watched_together() -> None:
    breakpoints = Breakpoints()
    breakpoints.write(1, 0x1000)
    three = [watched(breakpoints, 0x2000 + 8 * number) for number in range(3)]
    with pytest.raises(Errno) as error:
        breakpoints.add(Watch(0x5000, WATCH_WRITE, 1))
    assert error.value.code == ENOSPC
    assert refuses(breakpoints, 0, 0x6000) == ENOSPC
    assert refuses(breakpoints, CONTROL, control(3, WRITES, ONE_BYTE)) == ENOSPC
    breakpoints.write(1, 0x1008)  # the one that it has
    breakpoints.remove(three[0])
    breakpoints.write(0, 0x6000)
    breakpoints.forget_debugger()
    assert breakpoints.addresses == [0] * 4 and breakpoints.words.control == 0x600 | 10 | 0xDD << 16


def test_watched_instructions_run_when_the_program_goes_on() -> None:
    breakpoints, frame = Breakpoints(), TrapFrame()
    watch = watched(breakpoints, 0x2001, WATCH_RUN, 8)
    assert not breakpoints.note(1, frame) and watch.was_hit and frame.rflags & RFLAGS_RESUME


@pytest.mark.parametrize(
    ("address", "kind", "length"),
    [(0x1001, 2, 2), (0x1000, 1, 4), (0x1000, 0, 4), (0x1000, 5, 8), (0x1000, 2, 3), (0x1000, 8, 4), (USER_END, 2, 1),
     (-8, 2, 8)],
)  # fmt: skip
def test_what_others_cannot_watch(address: int, kind: int, length: int) -> None:
    with pytest.raises(Errno) as error:
        Watch(address, kind, length)
    assert error.value.code == EINVAL
