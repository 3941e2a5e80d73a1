"""The layout of rings and their requests, in the three versions of the interface.

Each packet has a header (struct tpacket_hdr, tpacket2_hdr, tpacket3_hdr), then the struct sockaddr_ll, then the
packet, its network header aligned.

Context: any; nothing sleeps.
Source: packet(7), Linux's networking/packet_mmap documentation, <linux/if_packet.h>.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, Span, final, span_of, u8
from kernel.mm.frames import PAGE_MASK

VERSION_1: Final = 0
VERSION_2: Final = 1
VERSION_3: Final = 2

# tp_status: the owner of a slot or a block, and properties of the packet.
STATUS_KERNEL: Final = 0
STATUS_USER: Final = 1 << 0
STATUS_COPY: Final = 1 << 1  # the slot was too small; the whole packet is in the socket's queue
STATUS_LOSING: Final = 1 << 2  # packets were dropped since the statistics were read
STATUS_CSUM_NOT_READY: Final = 1 << 3
STATUS_BLOCK_TIMEOUT: Final = 1 << 5
STATUS_CSUM_VALID: Final = 1 << 7
STATUS_GSO_TCP: Final = 1 << 8
STATUS_TIME_BY_SOFTWARE: Final = 1 << 29

# … in rings for sending.
STATUS_AVAILABLE: Final = 0
STATUS_SEND_REQUEST: Final = 1
STATUS_WRONG_FORMAT: Final = 4

SLOT_ALIGNMENT: Final = 16
ADDRESS_BYTES: Final = 20  # struct sockaddr_ll
BLOCK_HEADER: Final = 48  # struct tpacket_block_desc
LARGEST_OFFSET: Final = 0xFFFF  # tp_mac and tp_net have 16 bits
_REQUEST_BYTES: Final = 16  # struct tpacket_req
_REQUEST3_BYTES: Final = 28  # struct tpacket_req3
_LEAST_LINK_ROOM: Final = 16
_WORD_LIMIT: Final = 0xFFFF_FFFF
_NS: Final = 1_000_000_000


def header_bytes(version: int) -> int:
    """The size of a packet's header."""
    return 48 if version == VERSION_3 else 32


def slot_header(version: int) -> int:
    """… with the address after it: TPACKET_HDRLEN and its kin."""
    return header_bytes(version) + ADDRESS_BYTES


def aligned(size: int, alignment: int) -> int:
    return (size + alignment - 1) & ~(alignment - 1)


@final
class RingRequest:
    """The request of PACKET_RX_RING or PACKET_TX_RING."""

    def __init__(self, value: bytes, version: int) -> None:
        """EINVAL if there are too few bytes for the version."""
        if len(value) < (_REQUEST3_BYTES if version == VERSION_3 else _REQUEST_BYTES):
            raise Errno(EINVAL)
        span = span_of(value)
        self.version: int = version
        self.block_size: int = span.load_u32(0)
        self.block_count: int = span.load_u32(4)
        self.frame_size: int = span.load_u32(8)
        self.frame_count: int = span.load_u32(12)
        self.timeout_ms: int = 0
        self.private_bytes: int = 0
        self.features: int = 0
        if version == VERSION_3:
            self.timeout_ms = span.load_u32(16)
            self.private_bytes = span.load_u32(20)
            self.features = span.load_u32(24)

    def first_packet(self) -> int:
        """The offset of packets in a block of version 3, after the program's private bytes."""
        return BLOCK_HEADER + aligned(self.private_bytes, 8)

    def check(self, reserve: int) -> None:
        """EINVAL unless it describes a ring in which a slot has room for a header and `reserve` bytes."""
        least = slot_header(self.version) + reserve
        if not 0 < self.block_size < 1 << 31 or self.block_size & PAGE_MASK != 0:
            raise Errno(EINVAL)
        if self.version == VERSION_3 and self.block_size < self.first_packet() + least:
            raise Errno(EINVAL)
        if self.frame_size < least or self.frame_size % SLOT_ALIGNMENT != 0 or self.frame_size > self.block_size:
            raise Errno(EINVAL)
        total = self.block_size // self.frame_size * self.block_count
        if total > _WORD_LIMIT or total != self.frame_count:
            raise Errno(EINVAL)

    def slot(self, number: int) -> int:
        """The offset of a slot: none crosses a block's end."""
        in_block = self.block_size // self.frame_size
        return number // in_block * self.block_size + number % in_block * self.frame_size


@final
class Record:
    """One packet to be put into a ring."""

    def __init__(self) -> None:
        self.status: int = 0
        self.length: int = 0  # of the packet
        self.kept: int = 0  # the number of its bytes in the ring
        self.link_offset: int = 0  # the offset in the slot at which its bytes start
        self.network_offset: int = 0
        self.time_ns: int = 0
        self.hash: int = 0
        # The header and the address, as they will be in the slot.
        self.bytes: bytearray = bytearray(header_bytes(VERSION_3) + ADDRESS_BYTES)

    def place(self, version: int, reserve: int, link_header: int) -> None:
        """Compute where a packet's bytes go when it is shown with a link header of that many bytes, or without (0)."""
        if link_header == 0:
            self.network_offset = aligned(slot_header(version), SLOT_ALIGNMENT) + _LEAST_LINK_ROOM + reserve
            self.link_offset = self.network_offset
        else:
            room = max(link_header, _LEAST_LINK_ROOM)
            self.network_offset = aligned(slot_header(version) + room, SLOT_ALIGNMENT) + reserve
            self.link_offset = self.network_offset - link_header

    def encode(self, version: int, address: bytes) -> int:
        """Write `bytes`; returns their number. The word by which the slot changes hands is left 0."""
        size = header_bytes(version)
        span = span_of(self.bytes)
        span[0:size].fill(0)
        seconds = self.time_ns // _NS & _WORD_LIMIT
        fraction = self.time_ns % _NS
        link_offset = self.link_offset & LARGEST_OFFSET
        if version == VERSION_3:
            span.store_u32(4, seconds)
            span.store_u32(8, fraction)
            span.store_u32(12, self.kept)
            span.store_u32(16, self.length)
            span.store_u32(20, self.status)
            span.store_u16(24, link_offset)
            span.store_u16(26, self.network_offset)
            span.store_u32(28, self.hash)
        else:
            # Version 1 has a status of 64 bits, and microseconds.
            at = 8 if version == VERSION_1 else 4
            span.store_u32(at, self.length)
            span.store_u32(at + 4, self.kept)
            span.store_u16(at + 8, link_offset)
            span.store_u16(at + 10, self.network_offset)
            span.store_u32(at + 12, seconds)
            span.store_u32(at + 16, fraction if version == VERSION_2 else fraction // 1000)
        span[size : size + ADDRESS_BYTES].copy_from(span_of(address))
        return size + ADDRESS_BYTES

    def header(self, count: int) -> Span[u8]:
        """The first `count` bytes that `encode` wrote."""
        return span_of(self.bytes)[0:count]
