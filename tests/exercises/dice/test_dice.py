"""A device that obeys a setting."""

import errno
import os

import pytest

from tools.project_tests import Machine


def throw(machine: Machine) -> int:
    descriptor = machine.host.open("/dev/dice", os.O_RDONLY, 0)
    buffer = bytearray(10)
    count = machine.host.read(descriptor, buffer, len(buffer))
    machine.host.close(descriptor)
    return int(buffer[:count])


def set_sides(machine: Machine, sides: int) -> None:
    descriptor = machine.host.open("/proc/sys/kernel/dice_sides", os.O_WRONLY, 0)
    text = b"%d\n" % sides
    try:
        machine.host.write(descriptor, text, len(text))
    finally:
        machine.host.close(descriptor)


def test_all_six_sides_come(machine: Machine) -> None:
    assert {throw(machine) for _ in range(200)} == set(range(1, 7))


def test_a_coin(machine: Machine) -> None:
    set_sides(machine, 2)
    assert {throw(machine) for _ in range(50)} == {1, 2}


@pytest.mark.parametrize("sides", [0, 1, 101, -6])
def test_no_such_die(machine: Machine, sides: int) -> None:
    with pytest.raises(OSError) as caught:
        set_sides(machine, sides)
    assert caught.value.errno == errno.EINVAL
