"""A timer that cannot be set, because there is no memory, runs on as it was set before."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, each_place
from tools.simulated.machine import Machine
from tools.simulated.program import Program

REALTIME, MONOTONIC = 0, 1
ABSOLUTE = 1
CANCEL_ON_SET = 2
LONG_S, LONGER_S, REPEAT_S = 1_000_000, 2_000_000, 500
YEAR_2100_S = 4_102_444_800


def spec(interval_s: int, value_s: int) -> bytes:
    return struct.pack("<qqqq", interval_s, 0, value_s, 0)


def rounded(array: bytearray) -> tuple[int, int]:
    """Interval and time left, in thousands of seconds: the clock goes on."""
    interval_s, _, value_s, fraction = struct.unpack("<qqqq", array)
    return interval_s, round(value_s + (fraction != 0), -3)


def check(
    look: Callable[[], tuple[int, int]],
    prepare: Callable[[], object],
    call: Callable[[], object],
    end: Callable[[], object],
    fewest: int,
) -> None:
    """Set a timer again and again, each time where the next allocation fails; then it is as it was."""

    def attempt(scarcity: Scarcity) -> None:
        prepare()
        before = look()
        try:
            with scarcity:
                call()
        except OSError:
            assert scarcity.where
            assert look() == before, scarcity.where
            call()
        assert look() != before
        end()

    each_place(attempt, fewest)


POSIX = {
    "monotonic": (MONOTONIC, 0, LONG_S),
    "monotonic, at a time": (MONOTONIC, ABSOLUTE, LONG_S),
    "wall clock": (REALTIME, ABSOLUTE, YEAR_2100_S),
}


@pytest.mark.parametrize("armed", [False, True], ids=["fresh", "armed"])
@pytest.mark.parametrize("name", POSIX)
@booted
def test_a_posix_timer(machine: Machine, name: str, armed: bool) -> None:
    host = machine.host
    clock, flags, value_s = POSIX[name]
    number = bytearray(4)
    event = struct.pack("<qiiiI", 0, 10, 1, 0, 0) + bytes(40)  # SIGEV_NONE
    host.timer_create(clock, event, number)
    timer = int.from_bytes(number, "little")

    def look() -> tuple[int, int]:
        array = bytearray(32)
        host.timer_gettime(timer, array)
        return rounded(array)

    check(
        look,
        lambda: host.timer_settime(timer, 0, spec(REPEAT_S if armed else 0, LONGER_S if armed else 0), 0),
        lambda: host.timer_settime(timer, flags, spec(REPEAT_S + 1, value_s), 0),
        lambda: host.timer_settime(timer, 0, spec(0, 0), 0),
        fewest=0 if armed else 1,
    )


TIMERFD = {
    "monotonic": (MONOTONIC, 0, LONG_S),
    "monotonic, at a time": (MONOTONIC, ABSOLUTE, LONG_S),
    "wall clock": (REALTIME, ABSOLUTE, YEAR_2100_S),
    "wall clock, until it is set": (REALTIME, ABSOLUTE | CANCEL_ON_SET, YEAR_2100_S),
    "wall clock, relative": (REALTIME, 0, LONG_S),
}


@pytest.mark.parametrize("armed", [False, True], ids=["fresh", "armed"])
@pytest.mark.parametrize("name", TIMERFD)
@booted
def test_a_timer_descriptor(machine: Machine, name: str, armed: bool) -> None:
    host = machine.host
    clock, flags, value_s = TIMERFD[name]
    timer = host.timerfd_create(clock, 0)

    def look() -> tuple[int, int]:
        array = bytearray(32)
        host.timerfd_gettime(timer, array)
        return rounded(array)

    check(
        look,
        lambda: host.timerfd_settime(timer, 0, spec(REPEAT_S if armed else 0, LONGER_S if armed else 0), 0),
        lambda: host.timerfd_settime(timer, flags, spec(REPEAT_S + 1, value_s), 0),
        lambda: host.timerfd_settime(timer, 0, spec(0, 0), 0),
        fewest=0 if armed else 1,
    )


@pytest.mark.parametrize("armed", [False, True], ids=["fresh", "armed"])
@pytest.mark.parametrize("name", ["setitimer", "alarm"])
@booted
def test_an_interval_timer(machine: Machine, name: str, armed: bool) -> None:
    host = machine.host

    def look() -> tuple[int, int]:
        array = bytearray(32)
        host.getitimer(0, array)
        return rounded(array)

    def prepare(program: Program = host) -> None:
        program.setitimer(0, spec(REPEAT_S if armed else 0, LONGER_S if armed else 0), 0)

    def call() -> object:
        return host.alarm(LONG_S) if name == "alarm" else host.setitimer(0, spec(REPEAT_S + 1, LONG_S), 0)

    check(look, prepare, call, lambda: host.setitimer(0, spec(0, 0), 0), fewest=1)


@pytest.mark.parametrize("which", [1, 2], ids=["virtual", "profile"])
@booted
def test_a_timer_of_processor_time(machine: Machine, which: int) -> None:
    host = machine.host

    def look() -> tuple[int, int]:
        array = bytearray(32)
        host.getitimer(which, array)
        return rounded(array)

    check(
        look,
        lambda: host.setitimer(which, spec(REPEAT_S, LONGER_S), 0),
        lambda: host.setitimer(which, spec(REPEAT_S + 1, LONG_S), 0),
        lambda: host.setitimer(which, spec(0, 0), 0),
        fewest=1,
    )
