"""The order of errors of keyctl(2) and bpf(2), on a booted machine."""

import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine

FAULTY = 16  # an address without memory
OUTSIDE = -(1 << 47)  # no address of a program
INSTANTIATE, INSTANTIATE_FROM_PIECES = 12, 20
OBJECT_INFORMATION = 15


@booted
def test_a_payload_is_checked_before_the_right_to_give_it(machine: Machine) -> None:
    piece = struct.pack("<QQ", FAULTY, 1)
    wrong = struct.pack("<QQ", FAULTY, 1 << 63)
    for command, payload, count, error in (
        (INSTANTIATE, OUTSIDE, 1, "EFAULT"),
        (INSTANTIATE, FAULTY, 1 << 20, "EINVAL"),
        (INSTANTIATE, FAULTY, 1, "EPERM"),  # it is read later
        (INSTANTIATE, None, 1 << 30, "EPERM"),
        (INSTANTIATE_FROM_PIECES, FAULTY, 1025, "EINVAL"),
        (INSTANTIATE_FROM_PIECES, FAULTY, 1, "EFAULT"),
        (INSTANTIATE_FROM_PIECES, wrong, 1, "EINVAL"),
        (INSTANTIATE_FROM_PIECES, piece, 1, "EPERM"),
        (INSTANTIATE_FROM_PIECES, None, 1025, "EPERM"),
    ):
        with pytest.raises(OSError, match=error):
            machine.host.keyctl(command, 0, payload, count, 0)


@booted
def test_information_about_what_is_not_open(machine: Machine) -> None:
    with pytest.raises(OSError, match="EBADFD"):
        machine.host.bpf(OBJECT_INFORMATION, struct.pack("<IIQ", 999, 0, 0), 16)
