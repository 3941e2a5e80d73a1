"""Segments and ports of a program's own: descriptors bit by bit, and maps of ports."""

import pytest

from arch.x86_64.programs.local_segments import make_descriptor
from arch.x86_64.programs.port_access import changed_map


def unsigned(value: int) -> int:
    return value & (1 << 64) - 1


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0x01, 0x124AF3345678BCDE),  # data
        (0x09, 0x124AF1345678BCDE),  # read-only
        (0x05, 0x124AFB345678BCDE),  # code
        (0x0D, 0x124AF9345678BCDE),  # that cannot be read
        (0x11, 0x12CAF3345678BCDE),  # its limit counts pages
        (0x21, 0x124A73345678BCDE),  # absent
        (0x41, 0x125AF3345678BCDE),  # useable
    ],
)
def test_descriptors(bits: int, expected: int) -> None:
    assert make_descriptor(0x1234_5678, 0xABCDE, bits) == expected


def test_a_descriptor_never_leaves_user_mode() -> None:
    for bits in range(256):
        word = unsigned(make_descriptor(0xFFFF_FFFF, 0xFFFF_FFFF, bits))
        assert word >> 45 & 3 == 3 and word >> 44 & 1 == 1 and word >> 53 & 1 == 0


def open_ports(ports: bytes) -> list[int]:
    return [port for port in range(65536) if ports[port >> 3] >> (port & 7) & 1 == 0]


def test_maps_of_ports() -> None:
    first = changed_map(None, 0x7E, 0x8F, opens=True)
    assert first is not None and open_ports(first.bits) == list(range(0x7E, 0x8F))
    second = changed_map(first, 0x80, 0x89, opens=False)
    assert second is not None and open_ports(second.bits) == [0x7E, 0x7F, *range(0x89, 0x8F)]
    assert open_ports(first.bits) == list(range(0x7E, 0x8F))
    assert changed_map(second, 0, 65536, opens=False) is None
    every = changed_map(None, 0, 65536, opens=True)
    assert every is not None and len(open_ports(every.bits)) == 65536
