"""Timer descriptors that follow the wall clock, with others at work while it is set."""

import struct

import pytest

from kernel.ipc import timerfd
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine

CLOCK_REALTIME = 0
AT_A_TIME = 1
CANCELLED = 2


@booted
def test_timers_that_are_armed_while_the_clock_is_set_follow_it(machine: Machine) -> None:
    """No list of all is made first, which would take long. One that has gone is left out."""
    host = machine.host

    def arm() -> int:
        file = host.timerfd_create(CLOCK_REALTIME, 0)
        host.timerfd_settime(file, AT_A_TIME | CANCELLED, struct.pack("<4Q", 0, 0, 1 << 33, 0), None)
        return file

    files = [arm() for _ in range(4)]
    followed: list[int] = []

    def others() -> None:
        host.close(files[2])
        arm()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timerfd.TimerFile, "follow_wall_clock", lambda file: followed.append(file.number))
        with meanwhile(others):
            timerfd.wall_clock_was_set()
    first = followed[0]
    assert followed == [first, first + 1, first + 3, first + 4]
