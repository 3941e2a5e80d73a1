"""Choosing processors (kernel/syscalls/sched_setaffinity.py), on a booted machine."""

import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

NOBODY = 99_999
FAULTY = 16  # an address without memory


def mask_of(program: Program, pid: int = 0) -> int:
    out = bytearray(8)
    assert program.sched_getaffinity(pid, 8, out) == 8
    return int(struct.unpack("<Q", out)[0])


@booted
def test_a_mask_without_a_processor_is_refused(machine: Machine) -> None:
    host = machine.host
    assert mask_of(host) == 1
    with pytest.raises(OSError, match="EINVAL"):
        host.sched_setaffinity(0, 8, struct.pack("<Q", 2))
    assert host.sched_setaffinity(0, 1, b"\3") == 0
    assert mask_of(host) == 1


@booted
def test_sizes_have_no_sign(machine: Machine) -> None:
    host = machine.host
    out = bytearray(8)
    assert host.sched_getaffinity(0, 2**32 - 8, out) == 8
    assert host.sched_setaffinity(0, 2**32 - 1, out) == 0
    with pytest.raises(OSError, match="EINVAL"):
        host.sched_getaffinity(0, 2**32 - 1, out)  # not a multiple of 8
    with pytest.raises(OSError, match="EFAULT"):
        host.sched_setaffinity(NOBODY, 2**32 - 1, FAULTY)


@booted
def test_no_process_has_a_number_below_zero(machine: Machine) -> None:
    host = machine.host
    with pytest.raises(OSError, match="ESRCH"):
        host.sched_setaffinity(2**32 - 1, 8, struct.pack("<Q", 1))
    with pytest.raises(OSError, match="ESRCH"):
        host.sched_getaffinity(2**32 - 1, 8, FAULTY)


@booted
def test_the_node_is_written_even_if_the_processor_cannot_be(machine: Machine) -> None:
    node = bytearray(b"\7\7\7\7")
    with pytest.raises(OSError, match="EFAULT"):
        machine.host.getcpu(FAULTY, node, 0)
    processor = bytearray(b"\7\7\7\7")
    assert machine.host.getcpu(processor, 0, FAULTY) == 0
    assert processor == bytes(4)
