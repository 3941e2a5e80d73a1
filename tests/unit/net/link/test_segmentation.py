"""Large segments cut into frames: every frame is a right one, and together they say what the whole did."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import span_of
from kernel.net.link.packet import CHECKSUM_NONE, CHECKSUM_PARTIAL, Packet
from kernel.net.link.segmentation import HEADERS_LIMIT, Segmenter, fits
from tests.unit.net.wire_packets import internet_sum

LINK = bytes(range(1, 13))
FIN, PSH, ACK, ECE, CWR = 0x01, 0x08, 0x10, 0x40, 0x80


@dataclass(frozen=True)
class Whole:
    """A large segment as TCP and IP make it: lengths are those of the whole, the sum is the pseudo header's."""

    is_ip4: bool
    ip_options: bytes
    tcp_options: bytes
    data: bytes
    size: int
    sequence: int
    flags: int
    identification: int
    headroom: int = 128

    def frame(self) -> bytes:
        tcp = struct.pack(">HHIIHHHH", 1000, 80, self.sequence, 77, self.offset() << 12 | self.flags, 501, 0xDEAD, 0)
        tcp += self.tcp_options
        length = len(tcp) + len(self.data)
        if self.is_ip4:
            words = 5 + len(self.ip_options) // 4
            head = struct.pack(">BBHHHBBH", 0x40 + words, 2, 4 * words + length, self.identification, 0x4000, 64, 6, 9)
            head += bytes([10, 0, 0, 1, 10, 0, 0, 2]) + self.ip_options
        else:
            head = struct.pack(">IHBB", 0x60200000, length & 0xFFFF, 6, 64) + bytes(range(32))
        return LINK + (b"\x08\x00" if self.is_ip4 else b"\x86\xdd") + head + tcp + self.data

    def offset(self) -> int:
        return 5 + len(self.tcp_options) // 4

    def packet(self) -> Packet:
        frame = self.frame()
        packet = Packet(len(frame), self.headroom)
        packet.put(len(frame)).copy_from(span_of(frame))
        packet.network_start = packet.start + 14
        packet.protocol = 0x0800 if self.is_ip4 else 0x86DD
        packet.segment_size = self.size
        return packet


@st.composite
def wholes(draw: st.DrawFn) -> Whole:
    size = draw(st.integers(1, 1460))
    return Whole(
        is_ip4=draw(st.booleans()),
        ip_options=draw(st.binary(max_size=10)) * 4,
        tcp_options=draw(st.binary(max_size=10)) * 4,
        data=draw(st.randoms()).randbytes(draw(st.integers(1, 20 * size))),
        size=size,
        sequence=draw(st.integers(0, 0xFFFF_FFFF) | st.just(0xFFFF_FFF0)),
        flags=draw(st.integers(0, 0xFF)) | ACK,
        identification=draw(st.integers(0, 0xFFFF) | st.just(0xFFFF)),
        headroom=draw(st.integers(128, 135)),
    )


def cut(whole: Whole, has_partial_sums: bool) -> list[bytes]:
    """The frames, made in place as a driver does."""
    packet = whole.packet()
    segmenter = Segmenter()
    assert segmenter.begin(packet, has_partial_sums)
    frames = []
    for left in reversed(range(segmenter.count())):
        headers = bytearray(b"\xcc" * segmenter.headers)  # what was there before
        segmenter.put_headers(span_of(headers))
        frames.append(bytes(headers) + segmenter.data().to_bytes())
        segmenter.advance()
        assert segmenter.count() == left
    assert packet.span().to_bytes() == whole.frame()
    return frames


def pseudo(frame: bytes, is_ip4: bool, tcp: int) -> bytes:
    addresses = frame[26:34] if is_ip4 else frame[22:54]
    return addresses + struct.pack(">II", 6, len(frame) - tcp)


@given(wholes(), st.booleans())
def test_the_frames_are_right_and_together_the_whole(whole: Whole, has_partial_sums: bool) -> None:
    frames = cut(whole, has_partial_sums)
    model = whole.frame()
    tcp = 14 + (20 + len(whole.ip_options) if whole.is_ip4 else 40)
    data = tcp + 4 * whole.offset()
    assert data <= HEADERS_LIMIT
    assert b"".join(frame[data:] for frame in frames) == whole.data
    assert [len(frame) - data for frame in frames[:-1]] == [whole.size] * (len(frames) - 1)
    for index, frame in enumerate(frames):
        sequence, word, checksum = struct.unpack_from(">4xI4xH2xH", frame, tcp)
        assert sequence == (whole.sequence + index * whole.size) & 0xFFFF_FFFF
        only_here = (CWR if index == 0 else 0) | (FIN | PSH if index == len(frames) - 1 else 0)
        assert word & 0xFFF == whole.flags & (only_here | ~(CWR | FIN | PSH)) and word >> 12 == whole.offset()
        if has_partial_sums:
            assert checksum ^ 0xFFFF == internet_sum(pseudo(frame, whole.is_ip4, tcp))
        else:
            assert internet_sum(pseudo(frame, whole.is_ip4, tcp) + frame[tcp:]) == 0
        if whole.is_ip4:
            length, identification = struct.unpack_from(">2xHH", frame, 14)
            assert length == len(frame) - 14 and internet_sum(frame[14:tcp]) == 0
            assert identification == (whole.identification + index) & 0xFFFF
            differs = {16, 17, 18, 19, 24, 25}
        else:
            assert struct.unpack_from(">4xH", frame, 14) == (len(frame) - 54,)
            differs = {18, 19}
        differs |= {tcp + at for at in (4, 5, 6, 7, 13, 16, 17)}
        assert all(frame[at] == model[at] for at in range(data) if at not in differs)


@given(wholes(), st.booleans())
def test_packets_of_their_own_are_the_same_frames(whole: Whole, has_partial_sums: bool) -> None:
    packet = whole.packet()
    segmenter = Segmenter()
    assert segmenter.begin(packet, has_partial_sums)
    made = [segmenter.next_packet(packet) for _ in range(segmenter.count())]
    assert [piece.span().to_bytes() for piece in made] == cut(whole, has_partial_sums)
    tcp = 14 + (20 + len(whole.ip_options) if whole.is_ip4 else 40)
    for piece in made:
        assert piece.checksum == (CHECKSUM_PARTIAL if has_partial_sums else CHECKSUM_NONE)
        assert piece.network_start == piece.start + 14 and piece.transport_start == piece.start + tcp
        assert piece.segment_size == 0 and piece.protocol == packet.protocol
        assert not has_partial_sums or (piece.checksum_start, piece.checksum_offset) == (piece.transport_start, 16)


WHOLE = Whole(True, b"", b"\x01" * 12, bytes(5000), 1448, 7, ACK, 0)


def test_one_segmenter_serves_many_segments() -> None:
    """Nothing of the one before is left."""
    segmenter = Segmenter()
    for whole in (WHOLE, Whole(False, b"", b"", bytes(9), 4, 1, ACK | CWR | PSH, 0), WHOLE):
        packet = whole.packet()
        assert segmenter.begin(packet, False)
        made = [segmenter.next_packet(packet).span().to_bytes() for _ in range(segmenter.count())]
        assert made == cut(whole, False)


@pytest.mark.parametrize("change", [
    lambda p: p.trim(14 + 20 + 32),  # no data
    lambda p: p.trim(14 + 20 + 10),
    lambda p: p.trim(14),
    lambda p: p.span().store_u8(14 + 9, 17),
    lambda p: p.span().store_u8(14 + 20 + 12, 4 << 4),
    lambda p: p.span().store_u8(14, 0x4F) or p.trim(14 + 60),
])  # fmt: skip
def test_what_is_no_tcp_segment_is_not_cut(change: object) -> None:
    packet = WHOLE.packet()
    assert callable(change)
    change(packet)
    assert not Segmenter().begin(packet, False)


@pytest.mark.parametrize(("mtu", "result"), [(1500, True), (1499, False), (5052, True), (9000, True)])
def test_what_fits_a_path(mtu: int, result: bool) -> None:
    packet = WHOLE.packet()
    packet.pull(14)
    assert fits(packet, mtu) == result
    packet.segment_size = 0
    assert fits(packet, mtu) == (mtu >= 5052)
