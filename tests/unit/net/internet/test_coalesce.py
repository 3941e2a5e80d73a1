"""Joining segments: the stream is the same, in order, and whatever is special stays alone."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.lang import span_of
from kernel.net.internet import coalesce
from kernel.net.internet.coalesce import Coalescer
from kernel.net.link.checksum import checksum, pseudo_header
from kernel.net.link.device import ARPHRD_ETHER, NetworkDevice
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import CHECKSUM_VERIFIED, Packet

OUR_MAC, PEER_MAC = b"\x02\x00\x00\x00\x00\x01", b"\x02\x00\x00\x00\x00\x02"
OUR4, PEER4 = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"
OUR6, PEER6 = b"\xfd" + bytes(14) + b"\x01", b"\xfd" + bytes(14) + b"\x02"
ACK, PSH, FIN = 0x10, 0x08, 0x01


def segment(
    sequence: int, data: bytes, version: int = 4, flags: int = ACK, *, acknowledgment: int = 7, window: int = 500,
    options: bytes = bytes(4), ports: tuple[int, int] = (80, 5000), life: int = 64, fragment: int = 0x4000,
    destination: bytes | None = None, mac: bytes = OUR_MAC, padding: bytes = b"",
) -> bytes:  # fmt: skip
    """An Ethernet frame with right checksums."""
    source = PEER4 if version == 4 else PEER6
    target = destination or (OUR4 if version == 4 else OUR6)
    length = 20 + len(options) + len(data)
    tcp = bytearray(struct.pack(">HHIIBBHHH", *ports, sequence & 0xFFFF_FFFF, acknowledgment, (20 + len(options)) << 2,
                                flags, window, 0, 0) + options + data)  # fmt: skip
    tcp[16:18] = struct.pack(">H", checksum(span_of(tcp), pseudo_header(source, target, 6, length)))
    if version == 4:
        ip = bytearray(struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 1, fragment, life, 6, 0) + source + target)
        ip[10:12] = struct.pack(">H", checksum(span_of(ip)))
    else:
        ip = bytearray(struct.pack(">IHBB", 6 << 28, length, 6, life) + source + target)
    return mac + PEER_MAC + (b"\x08\x00" if version == 4 else b"\x86\xdd") + bytes(ip) + bytes(tcp) + padding


class Stack:
    """What climbs the stack."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.device = NetworkDevice(FIRST_NETWORK, b"eth0", ARPHRD_ETHER, OUR_MAC, 1500)
        self.coalescer = Coalescer()

    def give(self, *frames: bytes) -> list[bytes]:
        """Frames that come in one turn, and what is made of them."""
        self.packets.clear()
        for frame in frames:
            packet = Packet(len(frame), 14)
            packet.put(len(frame)).copy_from(span_of(frame))
            packet.device = self.device
            self.coalescer.receive(packet)
        self.coalescer.flush()
        return [packet.span().to_bytes() for packet in self.packets]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    made = Stack()
    monkeypatch.setattr(coalesce, "receive", made.packets.append)
    monkeypatch.setattr(coalesce, "owner_of", lambda network, address: made if address in (OUR4, OUR6) else None)
    yield made


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("options", [b"", bytes(4), bytes(12), bytes(40)])
def test_a_run_becomes_one_segment(stack: Stack, version: int, options: bytes) -> None:
    data = random.Random(1).randbytes(1000 * 9 + 17)
    pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    frames = [segment(5000 + 1000 * i, piece, version, options=options) for i, piece in enumerate(pieces)]
    (joined,) = stack.give(*frames)
    packet = stack.packets[0]
    assert packet.checksum == CHECKSUM_VERIFIED and packet.segment_size == 1000
    assert joined.endswith(data) and len(joined) == len(frames[0]) - 1000 + len(data)
    expected = bytearray(segment(5000, data, version, options=options))
    at = 34 if version == 4 else 54
    expected[at + 16 : at + 18] = joined[at + 16 : at + 18]  # nobody reads the sum of a verified segment
    assert joined == bytes(expected)


def test_sequence_numbers_go_round(stack: Stack) -> None:
    start = (1 << 32) - 150
    assert len(stack.give(*(segment(start + 100 * i, bytes(100)) for i in range(4)))) == 1


def test_a_pushed_or_short_segment_ends_its_run(stack: Stack) -> None:
    frames = [segment(0, bytes(100)), segment(100, bytes(100), flags=ACK | PSH), segment(200, bytes(100))]
    frames += [segment(300, bytes(40)), segment(340, bytes(40))]
    joined = stack.give(*frames)
    assert [len(frame) - len(segment(0, b"")) for frame in joined] == [200, 140, 40]
    assert [bool(frame[47] & PSH) for frame in joined] == [True, False, False]


CHANGES = {
    "flags": segment(100, bytes(100), flags=ACK | FIN),
    "acknowledgment": segment(100, bytes(100), acknowledgment=8),
    "window": segment(100, bytes(100), window=501),
    "options": segment(100, bytes(100), options=b"\x01\x01\x01\x01"),
    "more options": segment(100, bytes(100), options=bytes(8)),
    "ports": segment(100, bytes(100), ports=(80, 5001)),
    "time to live": segment(100, bytes(100), life=63),
    "a fragment": segment(100, bytes(100), fragment=0x2000),
    "may be fragmented": segment(100, bytes(100), fragment=0),
    "another host": segment(100, bytes(100), destination=b"\x0a\x00\x00\x09"),
    "another card": segment(100, bytes(100), mac=b"\x02\x00\x00\x00\x00\x07"),
    "another version": segment(100, bytes(100), version=6),
    "a gap": segment(101, bytes(100)),
    "an overlap": segment(99, bytes(100)),
    "larger": segment(100, bytes(101)),
    "empty": segment(100, b""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_is_not_joined(stack: Stack, change: str) -> None:
    frames = [segment(0, bytes(100)), CHANGES[change], segment(200, bytes(100))]
    assert stack.give(*frames) == frames


def test_wrong_checksums_are_left_to_the_stack(stack: Stack) -> None:
    for place in (24, 40, 60, 153):  # of IP, in the TCP header, in the data
        bad = bytearray(segment(100, bytes(100)))
        bad[place] ^= 0x11
        frames = [segment(0, bytes(100)), bytes(bad), segment(200, bytes(100))]
        assert stack.give(*frames) == frames
        assert stack.packets[1].checksum != CHECKSUM_VERIFIED


def test_padding_is_no_data(stack: Stack) -> None:
    (joined,) = stack.give(segment(0, b"abcd", padding=bytes(9)), segment(4, b"ef", padding=bytes(11)))
    assert joined.endswith(b"abcdef")


def test_a_run_is_never_too_long_for_an_ip_header(stack: Stack) -> None:
    joined = stack.give(*(segment(9000 * i, bytes(8960 if i == 99 else 9000)) for i in range(20)))
    assert len(joined) > 1
    assert all(len(frame) - 14 <= 65_535 for frame in joined)
    assert len(stack.give(*(segment(10 * i, bytes(10)) for i in range(100)))) == 2


def test_packets_are_counted_as_they_came(stack: Stack) -> None:
    frames = [segment(100 * i, bytes(100)) for i in range(5)]
    (joined,) = stack.give(*frames)
    assert stack.device.traffic.received_packets == 4  # the link layer counts the joined one
    assert stack.device.traffic.received_bytes + len(joined) == sum(len(frame) for frame in frames)


def test_without_memory_nothing_is_lost(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(capacity: int, headroom: int = 0) -> Packet:
        raise MemoryError

    frames = [segment(100 * i, bytes(100)) for i in range(5)]
    monkeypatch.setattr(coalesce, "Packet", no_memory)
    assert stack.give(*frames) == frames


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(
    st.binary(max_size=90), st.tuples(st.integers(0, 200), st.integers(0, 255), st.booleans()),
), max_size=8))  # fmt: skip
def test_any_frames(stack: Stack, steps: list[bytes | tuple[int, int, bool]]) -> None:
    """Random bytes, and segments with one byte wrong, among good ones: every byte of data arrives, in order."""
    frames: list[bytes] = []
    for step in steps:
        if isinstance(step, bytes):
            frames.append(step)
        else:
            place, value, wide = step
            frame = bytearray(segment(100 * len(frames), bytes([len(frames)] * 100), 6 if wide else 4))
            if place < len(frame):
                frame[place] = value
            frames.append(bytes(frame))
    joined = b"".join(stack.give(*frames))
    position = 0
    for i, step in enumerate(steps):
        if not isinstance(step, bytes):
            good = frames[i][-50:]
            position = joined.index(good, position)
