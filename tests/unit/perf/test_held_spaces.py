"""Address spaces that probes use for a while, on a booted machine."""

from kernel.mm.space import AddressSpace
from kernel.perf.held_spaces import LATE, HeldSpaces, release_late
from tests.unit.booted import booted
from tools.simulated.machine import Machine


@booted
def test_the_last_user_s_space_is_released_late(machine: Machine) -> None:
    used, left = AddressSpace(), AddressSpace()
    used.acquire()
    held = HeldSpaces()
    held.spaces.extend([used, left])
    LATE.append(held)
    release_late()
    assert held in LATE  # it is not done
    held.let_go()
    assert held.spaces == [left] and used.users == 1
    release_late()
    assert LATE == [] and left.users == 0
    used.release()
