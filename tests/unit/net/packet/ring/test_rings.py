"""Slots and blocks change hands between the kernel and the program; on a booted machine."""

from __future__ import annotations

import struct

import pytest

from kernel.lang import EBUSY, EINVAL, EIO, EMSGSIZE, Errno, span_of
from kernel.mm.area import Area
from kernel.mm.frames import NO_FRAME, free_frame_count
from kernel.net.packet.ring.blocks import BlockRing
from kernel.net.packet.ring.layout import ADDRESS_BYTES, VERSION_1, VERSION_2, VERSION_3, Record, RingRequest
from kernel.net.packet.ring.receive import NO_SLOT, CaptureCounts, ReceiveRing, SlotRing
from kernel.net.packet.ring.rings import RX_RING, Rings
from kernel.net.packet.ring.transmit import TransmitRing
from kernel.net.packet.socket import PacketSocket
from kernel.sched import WaitQueue
from tests.unit.booted import booted
from tools.simulated.machine import Machine

PAGE = 4096
USER, LOSING, TIMEOUT = 1, 4, 32
STATUS, COUNT, SEQUENCE = 8, 12, 24  # in the header of a block
VERSION_OPTION, STATISTICS, TX_RING = 10, 6, 13


def request(version: int, blocks: int = 2, timeout_ms: int = 0) -> RingRequest:
    rest = struct.pack("<III", timeout_ms, 0, 0) if version == VERSION_3 else b""
    return RingRequest(struct.pack("<IIII", PAGE, blocks, 2048, 2 * blocks) + rest, version)


def put(ring: ReceiveRing, data: bytes) -> int:
    """A packet comes; its slot."""
    record = ring.record
    record.status = USER
    record.length = record.kept = len(data)
    record.place(ring.request.version, 0, 0)
    slot = ring.take_slot(record.link_offset + len(data))
    if slot == NO_SLOT:
        ring.counts.drops += 1
    else:
        ring.counts.packets += 1
        ring.fill(slot, record, bytes(ADDRESS_BYTES), span_of(data))
    return slot


@booted
def test_slots_are_used_in_turn_and_never_twice(machine: Machine) -> None:
    for version in (VERSION_1, VERSION_2):
        ring = SlotRing(request(version), CaptureCounts(), WaitQueue())
        assert ring.has_room() and not ring.has_arrivals()
        slots = [put(ring, b"packet") for _ in range(4)]
        assert slots == [0, 2048, 4096, 6144] and ring.has_arrivals()
        assert put(ring, b"one more") == NO_SLOT and not ring.has_room()
        assert [ring.memory.load(slot) for slot in slots] == [USER] * 4
        ring.memory.store(0, 0)  # the program gives one back …
        assert put(ring, b"again") == 0
        assert ring.memory.load(0) == USER | LOSING  # … and learns that it was too slow
        ring.close()


@booted
def test_the_upper_half_of_a_status_of_version_1_counts(machine: Machine) -> None:
    ring = SlotRing(request(VERSION_1), CaptureCounts(), WaitQueue())
    ring.memory.store(4, 1)
    assert put(ring, b"packet") == NO_SLOT
    ring.close()


def blocks_of(ring: BlockRing) -> list[tuple[int, int, int]]:
    """Status, packets and number of each block."""
    starts = range(0, ring.memory.size_bytes(), PAGE)
    return [(ring.memory.load(at + STATUS), ring.memory.load(at + COUNT), ring.memory.load(at + SEQUENCE))
            for at in starts]  # fmt: skip


@booted
def test_a_block_is_handed_over_when_the_next_packet_does_not_fit(machine: Machine) -> None:
    ring = BlockRing(request(VERSION_3, timeout_ms=1000), CaptureCounts(), WaitQueue())
    first = put(ring, bytes(1000))
    second = put(ring, bytes(1000))
    assert second - first == ring.memory.load(first) and not ring.has_arrivals()
    while put(ring, bytes(1000)) < PAGE:
        pass
    assert blocks_of(ring) == [(USER, 3, 1), (0, 1, 2)]
    last = first + 2 * (second - first)
    assert ring.memory.load(last) == 0  # nothing follows it
    ring.close()


@booted
def test_a_ring_whose_blocks_are_all_the_program_s_is_frozen(machine: Machine) -> None:
    ring = BlockRing(request(VERSION_3, timeout_ms=1000), CaptureCounts(), WaitQueue())
    while put(ring, bytes(2000)) != NO_SLOT:
        pass
    assert [status for status, _, _ in blocks_of(ring)] == [USER, USER] and ring.counts.freezes == 1
    assert put(ring, bytes(2000)) == NO_SLOT and ring.counts.freezes == 1
    ring.memory.store(STATUS, 0)  # the program gives the first block back
    assert put(ring, b"again") < PAGE
    assert blocks_of(ring)[0] == (0, 1, 3)
    ring.close()


@booted
def test_a_packet_does_not_wait_longer_than_the_time_that_was_asked_for(machine: Machine) -> None:
    host = machine.host
    ring = BlockRing(request(VERSION_3, timeout_ms=10), CaptureCounts(), WaitQueue())
    host.nanosleep(struct.pack("<QQ", 0, 50_000_000), None)
    assert blocks_of(ring)[0][0] == 0  # without a packet nothing is handed over
    put(ring, b"packet")
    host.nanosleep(struct.pack("<QQ", 0, 50_000_000), None)
    assert blocks_of(ring)[0] == (USER | TIMEOUT, 1, 1)
    ring.close()


@booted
def test_what_the_program_says_of_a_packet_to_send_is_checked(machine: Machine) -> None:
    ring = TransmitRing(request(VERSION_2))
    assert ring.has_room() and not ring.wants_to_send()
    ring.memory.store(0, 1)
    assert ring.wants_to_send() and not ring.has_room()
    ring.memory.store(4, 6)
    ring.memory.write(32, span_of(b"packet"))
    assert ring.take(1500, chooses_offset=False, is_cooked=False).span().to_bytes() == b"packet"
    for length in (1501, 0xFFFF_FFFF):
        ring.memory.store(4, length)
        with pytest.raises(Errno) as caught:
            ring.take(1500, chooses_offset=False, is_cooked=False)
        assert caught.value.code == EMSGSIZE
    ring.memory.store(4, 6)
    for offset, fits in ((31, False), (32, True), (2042, True), (2043, False), (0xFFFF, False)):
        ring.memory.store(12, offset)
        try:
            ring.take(1500, chooses_offset=True, is_cooked=False)
            assert fits
        except Errno as error:
            assert not fits and error.code == EINVAL
    ring.set_status(0)
    ring.advance()
    assert ring.has_room() and not ring.wants_to_send()
    ring.close()


@booted
def test_rings_come_and_go_while_nothing_maps_them(machine: Machine) -> None:
    before = free_frame_count()
    rings = Rings(WaitQueue())
    asked = struct.pack("<IIII", PAGE, 2, 2048, 4)
    assert rings.set_option(RX_RING, asked) and rings.size_bytes() == 2 * PAGE

    def refused(name: int, value: bytes, code: int) -> bool:
        with pytest.raises(Errno) as caught:
            rings.set_option(name, value)
        return caught.value.code == code

    assert refused(RX_RING, asked, EBUSY) and refused(VERSION_OPTION, struct.pack("<i", 1), EBUSY)
    rings.areas.count += 1
    assert refused(RX_RING, bytes(16), EBUSY)
    rings.areas.count -= 1
    assert refused(RX_RING, struct.pack("<IIII", 0, 0, 0, 1), EINVAL)
    assert rings.set_option(RX_RING, bytes(16)) and rings.size_bytes() == 0
    assert free_frame_count() == before
    assert refused(VERSION_OPTION, struct.pack("<i", 3), EINVAL)


@booted
def test_rings_that_end_before_they_are_mapped_have_no_pages(machine: Machine) -> None:
    """mmap(2) has found them, and waits for the address space; meanwhile another thread frees them."""
    host = machine.host
    file = host.task.files.get(host.call("socket", 17, 3, 0))
    assert isinstance(file, PacketSocket)
    asked = struct.pack("<IIII", PAGE, 2, 2048, 4)
    for name in (RX_RING, TX_RING):
        assert file.rings.set_option(name, asked)
    before, mapping = file.users, file.mapped_part(0, 4 * PAGE)
    frames = [mapping.resident(page) for page in range(-1, 5)]
    assert frames[0] == frames[5] == NO_FRAME and len({*frames}) == 5
    assert file.rings.set_option(RX_RING, bytes(16))
    assert [mapping.resident(page) for page in range(4)] == [NO_FRAME, NO_FRAME, *frames[3:5]]
    area = Area(1 << 32, (1 << 32) + 4 * PAGE, 3, 3, 1, mapping, 0)
    area.attach(host.task.space)
    with pytest.raises(Errno) as caught:
        mapping.page(0, for_write=True)
    assert caught.value.code == EIO
    area.detach()
    assert file.users == before and file.rings.areas.count == 0


@booted
def test_statistics_count_what_was_dropped_as_seen_and_start_anew(machine: Machine) -> None:
    rings = Rings(WaitQueue())
    rings.counts.packets, rings.counts.drops, rings.counts.freezes = 5, 2, 1
    assert rings.get_option(STATISTICS) == struct.pack("<II", 7, 2)
    assert rings.get_option(STATISTICS) == bytes(8)
    rings.set_option(VERSION_OPTION, struct.pack("<i", VERSION_3))
    rings.counts.freezes = 1
    assert rings.get_option(STATISTICS) == struct.pack("<III", 0, 0, 1)


def test_a_record_is_written_anew_for_each_packet() -> None:
    record = Record()
    record.hash = 7
    record.encode(VERSION_3, bytes(ADDRESS_BYTES))
    record.encode(VERSION_2, bytes(ADDRESS_BYTES))
    assert record.header(32).to_bytes() == bytes(32)
