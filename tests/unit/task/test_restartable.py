"""Restartable sequences of a thread that loses its processor while its structure is written, on a booted machine."""

import pytest

from kernel.lang import UserAddr
from kernel.lib import user
from kernel.task.restartable import has_lost_processor, restart
from kernel.task.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine

SIGNATURE = 0x5305_3053


@booted
def test_the_number_is_written_anew(machine: Machine) -> None:
    """The page had to be waited for, and the thread may run on another processor now."""
    host = machine.host
    place = host.mmap(0, 4096, 3, 0x22, -1, 0)
    host.rseq(place, 32, 0, SIGNATURE)
    task = current()
    assert not has_lost_processor(task)
    read = user.read_i64

    def late(address: UserAddr) -> int:
        task.accounts.voluntary_switches += 1
        return read(address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user, "read_i64", late)
        restart(task, host.frame)
    assert has_lost_processor(task)
    restart(task, host.frame)
    assert not has_lost_processor(task)
