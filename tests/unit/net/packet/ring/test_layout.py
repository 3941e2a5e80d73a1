"""Which rings can be asked for, and what stands in a slot (packet(7), <linux/if_packet.h>)."""

from __future__ import annotations

import struct

import pytest

from kernel.lang import EINVAL, Errno
from kernel.net.packet.ring.layout import ADDRESS_BYTES, VERSION_1, VERSION_2, VERSION_3, Record, RingRequest

PAGE = 4096
ETHERNET = 14
ADDRESS = bytes(range(ADDRESS_BYTES))


def request(
    version: int = VERSION_2, *, block: int = PAGE, blocks: int = 4, frame: int = 2048, frames: int = 8,
    private: int = 0,
) -> RingRequest:  # fmt: skip
    rest = struct.pack("<III", 0, private, 0) if version == VERSION_3 else b""
    return RingRequest(struct.pack("<IIII", block, blocks, frame, frames) + rest, version)


def refuses(asked: RingRequest, reserve: int = 0) -> bool:
    try:
        asked.check(reserve)
    except Errno as error:
        assert error.code == EINVAL
        return True
    return False


def test_rings_that_can_be() -> None:
    for version in (VERSION_1, VERSION_2, VERSION_3):
        assert not refuses(request(version))
    assert not refuses(request(block=3 * PAGE, frame=3 * PAGE, frames=4))
    assert not refuses(request(frame=2032, frames=8))  # what is left at a block's end stays empty


def test_rings_that_cannot_be() -> None:
    assert refuses(request(block=PAGE + 16)) and refuses(request(block=0)) and refuses(request(block=1 << 31))
    assert refuses(request(frame=2040)) and refuses(request(frame=32, frames=512))
    assert refuses(request(frame=2 * PAGE, frames=2))
    assert refuses(request(frames=7)) and refuses(request(frames=9))
    assert refuses(request(block=1 << 30, blocks=1 << 20, frame=64, frames=0))  # too many for 32 bits
    assert not refuses(request(frame=64, frames=256), 12) and refuses(request(frame=64, frames=256), 13)


def test_a_block_of_version_3_has_room_for_private_bytes_and_a_packet() -> None:
    least = 48 + 20
    most = PAGE - 48 - least
    assert not refuses(request(VERSION_3, private=most // 8 * 8)) and refuses(request(VERSION_3, private=most + 1))
    assert request(VERSION_3, private=13).first_packet() == 64


def test_a_request_that_is_too_short() -> None:
    for version, size in ((VERSION_1, 16), (VERSION_2, 16), (VERSION_3, 28)):
        RingRequest(bytes(size), version)
        with pytest.raises(Errno) as caught:
            RingRequest(bytes(size - 1), version)
        assert caught.value.code == EINVAL


def test_no_slot_lies_in_two_blocks() -> None:
    asked = request(frame=1360, frames=12)
    assert not refuses(asked)
    places = [asked.slot(number) for number in range(12)]
    assert places == sorted(set(places))
    assert all(place // PAGE == (place + 1360 - 1) // PAGE for place in places)


@pytest.mark.parametrize("version", [VERSION_1, VERSION_2, VERSION_3])
@pytest.mark.parametrize("reserve", [0, 4, 100])
def test_the_network_header_is_aligned_behind_address_and_link_header(version: int, reserve: int) -> None:
    header = 48 if version == VERSION_3 else 32
    record = Record()
    record.place(version, reserve, ETHERNET)
    assert record.network_offset - record.link_offset == ETHERNET
    assert record.link_offset >= header + ADDRESS_BYTES + reserve
    assert (record.network_offset - reserve) % 16 == 0
    record.place(version, reserve, 0)  # without a link header there is room for one all the same
    assert record.link_offset == record.network_offset >= header + ADDRESS_BYTES + 16 + reserve


def encoded(version: int) -> bytes:
    record = Record()
    record.status, record.length, record.kept, record.hash = 9, 1500, 100, 0xABCD
    record.link_offset, record.network_offset = 82, 96
    record.time_ns = 7_000_000_000 + 123_456_789
    count = record.encode(version, ADDRESS)
    return record.header(count).to_bytes()


def test_what_stands_in_a_header() -> None:
    """The word by which the slot changes hands is still 0: the packet's bytes come first."""
    assert encoded(VERSION_1) == struct.pack("<QIIHHII", 0, 1500, 100, 82, 96, 7, 123_456) + bytes(4) + ADDRESS
    assert encoded(VERSION_2) == struct.pack("<IIIHHII", 0, 1500, 100, 82, 96, 7, 123_456_789) + bytes(8) + ADDRESS
    third = struct.pack("<IIIIIIHHI", 0, 7, 123_456_789, 100, 1500, 9, 82, 96, 0xABCD)
    assert encoded(VERSION_3) == third.ljust(48, b"\0") + ADDRESS
