"""Time namespaces: what may be written of shifts, and who sees which clocks."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import EACCES, EINVAL, ERANGE, Errno
from kernel.time import clock
from kernel.time.namespace import FIRST_TIME, TimeNamespace, WrittenShifts
from tests.unit.booted import booted
from tests.unit.syscalls.test_files import read_all
from tests.unit.task.test_namespaces import link_text, mount_proc
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_NEWTIME = 0x80
CLONE_VM = 0x100
MONOTONIC, RAW, COARSE, BOOTTIME = 1, 4, 6, 7
DAY = 86400


@contextmanager
def refused(code: int) -> Iterator[None]:
    with pytest.raises(Errno) as caught:
        yield
    assert caught.value.code == code


def taken(text: bytes) -> list[tuple[int, int, int]]:
    return [(shift.clock, shift.seconds, shift.nanoseconds) for shift in WrittenShifts(text).shifts]


def test_lines_name_a_clock_seconds_and_nanoseconds() -> None:
    assert taken(b"monotonic 1 2\nboottime -3 4\n") == [(1, 1, 2), (7, -3, 4)]
    assert taken(b"1 5 6") == [(1, 5, 6)] and taken(b"7 5 6\n") == [(7, 5, 6)]
    assert taken(b" \tmonotonic\v1\t2 and more") == [(1, 1, 2)]
    assert taken(b"monotonic10 11") == [(1, 10, 11)]
    assert taken(b"monotonic 1 0\0\nbad") == [(1, 1, 0)]


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"monotonic", b"monotonic 1", b"mono 1 2", b"monotonic +1 2", b"monotonic 1 -1", b"monotonic - 1",
     b"monotonic 1 1000000000", b"monotonic 1 2\n\nboottime 1 2", b"monotonic 1 2\nbad"],
)  # fmt: skip
def test_what_is_no_line(text: bytes) -> None:
    with refused(EINVAL):
        WrittenShifts(text)


def test_a_third_line_is_left() -> None:
    written = WrittenShifts(b"monotonic 1 0\nboottime 2 0\nbad")
    assert len(written.shifts) == 2 and written.taken == len(b"monotonic 1 0\nboottime 2 0\n")
    assert WrittenShifts(b"monotonic 1 0\nboottime 2 0\n").taken == 27


@given(st.binary(max_size=60))
def test_any_text_is_judged(text: bytes) -> None:
    try:
        WrittenShifts(text)
    except Errno:
        pass


def test_shifts_keep_the_clocks_in_range() -> None:
    clock.start(1_000_000_000, 0)
    namespace = TimeNamespace(1, None)
    for text in (b"1 -1000 0", b"7 4611686019 0", b"1 9223372037 0", b"1 -9223372037 0", b"1 99999999999999999999 0"):
        with refused(ERANGE):
            namespace.shift(WrittenShifts(text).shifts)
    with refused(ERANGE):
        namespace.shift(WrittenShifts(b"1 5 0\n7 -1000 0").shifts)
    assert not namespace.is_shifted()
    namespace.shift(WrittenShifts(b"1 4611686017 0\n7 0 7").shifts)
    assert namespace.text() == b"monotonic  4611686017         0\nboottime            0         7\n"
    namespace.is_fixed = True
    with refused(EACCES):
        namespace.shift(WrittenShifts(b"1 5 0").shifts)
    with refused(EACCES):
        FIRST_TIME.shift(WrittenShifts(b"1 5 0").shifts)


def seconds(program: Program, number: int) -> int:
    time = bytearray(16)
    program.clock_gettime(number, time)
    return int(struct.unpack("<qq", time)[0])


def write(program: Program, path: str, text: bytes) -> None:
    file = program.open(path, os.O_WRONLY)
    program.write(file, text, len(text))
    program.close(file)


@booted
def test_children_and_programs_enter(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)

    def grandchild(program: Program) -> None:
        assert [seconds(program, number) // DAY for number in (MONOTONIC, RAW, COARSE, BOOTTIME)] == [10, 10, 10, 20]
        assert link_text(program, "/proc/self/ns/time") == link_text(program, "/proc/self/ns/time_for_children")
        assert int(read_all(program, "/proc/uptime").split(b".")[0]) // DAY == 20
        with pytest.raises(OSError, match="EACCES"):
            write(program, "/proc/self/timens_offsets", b"monotonic 1 0\n")
        first = program.open("/proc/1/ns/time", os.O_RDONLY)
        program.setns(first, CLONE_NEWTIME)
        assert seconds(program, MONOTONIC) < DAY

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWTIME)
        write(program, "/proc/self/timens_offsets", b"monotonic 864000 0\nboottime 1728000 0\n")
        assert seconds(program, MONOTONIC) < DAY
        assert link_text(program, "/proc/self/ns/time") != link_text(program, "/proc/self/ns/time_for_children")
        program.fork(grandchild)
        program.wait4(-1, 0, 0, 0)

    assert machine.run(child) == 0
    assert link_text(host, "/proc/self/ns/time_for_children") == b"time:[4026531834]"


@booted
def test_times_that_calls_are_given(machine: Machine) -> None:
    """Deadlines are those of the caller's clock; one that is less than the shift is over."""
    mount_proc(machine.host)

    def grandchild(program: Program) -> None:
        for number in (MONOTONIC, BOOTTIME):
            program.clock_nanosleep(number, 1, struct.pack("<qq", 100, 0), 0)
            soon = seconds(program, number) + 30
            timer = program.timerfd_create(number, 0)
            program.timerfd_settime(timer, 1, struct.pack("<qqqq", 0, 0, soon, 0), 0)
            left = bytearray(32)
            program.timerfd_gettime(timer, left)
            assert 20 <= struct.unpack("<qqqq", left)[2] <= 30
        word = bytearray(4)
        with pytest.raises(OSError, match="ETIMEDOUT"):
            program.futex(word, 9, 0, struct.pack("<qq", 100, 0), 0, -1)

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWTIME)
        write(program, "/proc/self/timens_offsets", b"monotonic 864000 0\nboottime 1728000 0\n")
        program.fork(grandchild)
        program.wait4(-1, 0, 0, 0)

    assert machine.run(child) == 0
