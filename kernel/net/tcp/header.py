"""TCP headers: parsing received ones, writing sent ones (RFC 9293 section 3.1; RFC 7323; RFC 2018).

A `Segment` is a parsed header, reused for every packet. Nothing in a packet is trusted: lengths of
header and options are checked, and an option that does not fit ends the parsing of options, as on Linux.
"""

from typing import Final

from kernel.lang import final
from kernel.net.link.packet import Packet

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40  # congestion was met (RFC 3168); in a SYN with CWR: both sides support this
CWR: Final = 0x80

HEADER_SIZE: Final = 20
TIMESTAMP_SIZE: Final = 12  # with the two bytes that align it
LARGEST_SCALE: Final = 14
MAX_SACK_BLOCKS: Final = 4

OPTION_END: Final = 0
OPTION_NOP: Final = 1
OPTION_MSS: Final = 2
OPTION_SCALE: Final = 3
OPTION_SACK_PERMITTED: Final = 4
OPTION_SACK: Final = 5
OPTION_TIMESTAMP: Final = 8

# Two no-operations and the timestamp option's kind and length, as the first word of the common option block.
_ALIGNED_TIMESTAMP: Final = 0x0101080A


@final
class Segment:
    """A received header. The packet's bytes are the payload after `parse`."""

    def __init__(self) -> None:
        self.source_port: int = 0
        self.destination_port: int = 0
        self.sequence: int = 0  # as on the wire: 32 bits
        self.acknowledgment: int = 0
        self.flags: int = 0
        self.window: int = 0  # not scaled
        self.urgent: int = 0
        self.has_timestamp: bool = False
        self.timestamp: int = 0
        self.timestamp_echo: int = 0
        self.mss: int = 0  # 0: no option
        self.scale: int = -1  # -1: no option
        self.sack_permitted: bool = False
        self.sack_count: int = 0
        self.sack_left: list[int] = [0] * MAX_SACK_BLOCKS
        self.sack_right: list[int] = [0] * MAX_SACK_BLOCKS

    def parse(self, packet: Packet) -> bool:
        """Parse the header that `packet` begins with and remove it. False: it is malformed."""
        data = packet.span()
        length = len(data)
        if length < HEADER_SIZE:
            return False
        offset_and_flags = data.load_be16(12)
        header = (offset_and_flags >> 12) * 4
        if header < HEADER_SIZE or header > length:
            return False
        self.source_port = data.load_be16(0)
        self.destination_port = data.load_be16(2)
        self.sequence = data.load_be32(4)
        self.acknowledgment = data.load_be32(8)
        self.flags = offset_and_flags & 0xFF
        self.window = data.load_be16(14)
        self.urgent = data.load_be16(18)
        self.has_timestamp = False
        self.sack_count = 0
        if header > HEADER_SIZE:
            if header == HEADER_SIZE + TIMESTAMP_SIZE and data.load_be32(HEADER_SIZE) == _ALIGNED_TIMESTAMP:
                self.has_timestamp = True
                self.timestamp = data.load_be32(HEADER_SIZE + 4)
                self.timestamp_echo = data.load_be32(HEADER_SIZE + 8)
            else:
                self._parse_options(packet, header)
        packet.pull(header)
        return True

    def _parse_options(self, packet: Packet, header: int) -> None:
        data = packet.span()
        self.mss = 0
        self.scale = -1
        self.sack_permitted = False
        at = HEADER_SIZE
        while at < header:
            kind = data[at]
            if kind == OPTION_END:
                return
            if kind == OPTION_NOP:
                at += 1
                continue
            if at + 2 > header:
                return
            size = data[at + 1]
            if size < 2 or at + size > header:
                return
            if kind == OPTION_TIMESTAMP and size == 10:
                self.has_timestamp = True
                self.timestamp = data.load_be32(at + 2)
                self.timestamp_echo = data.load_be32(at + 6)
            elif kind == OPTION_SACK and size >= 10 and (size - 2) % 8 == 0:
                self.sack_count = min((size - 2) // 8, MAX_SACK_BLOCKS)
                for i in range(self.sack_count):
                    self.sack_left[i] = data.load_be32(at + 2 + 8 * i)
                    self.sack_right[i] = data.load_be32(at + 6 + 8 * i)
            elif self.flags & SYN != 0:
                if kind == OPTION_MSS and size == 4:
                    self.mss = data.load_be16(at + 2)
                elif kind == OPTION_SCALE and size == 3:
                    self.scale = min(data[at + 2], LARGEST_SCALE)
                elif kind == OPTION_SACK_PERMITTED and size == 2:
                    self.sack_permitted = True
            at += size

    def forget_syn_options(self) -> None:
        """Reset before a SYN is parsed: its header may have no options at all."""
        self.mss = 0
        self.scale = -1
        self.sack_permitted = False


@final
class OutgoingHeader:
    """The header of a segment to be sent, reused for every segment of a stack."""

    def __init__(self) -> None:
        self.source_port: int = 0
        self.destination_port: int = 0
        self.sequence: int = 0  # any int: the low 32 bits are sent
        self.acknowledgment: int = 0
        self.flags: int = 0
        self.window: int = 0  # as it goes on the wire, 0…65535
        self.urgent: int = 0
        self.has_timestamp: bool = False
        self.timestamp: int = 0
        self.timestamp_echo: int = 0
        self.mss: int = 0  # SYN only, like the two below
        self.scale: int = -1
        self.sack_permitted: bool = False
        self.sack_count: int = 0
        self.sack_left: list[int] = [0] * MAX_SACK_BLOCKS
        self.sack_right: list[int] = [0] * MAX_SACK_BLOCKS

    def clear_options(self) -> None:
        self.has_timestamp = False
        self.mss = 0
        self.scale = -1
        self.sack_permitted = False
        self.sack_count = 0
        self.urgent = 0

    def size(self) -> int:
        """Bytes of header and options."""
        size = HEADER_SIZE
        if self.has_timestamp:
            size += TIMESTAMP_SIZE
        if self.flags & SYN != 0:
            if self.mss != 0:
                size += 4
            if self.sack_permitted and not self.has_timestamp:
                size += 4  # with a timestamp it replaces that option's padding
            if self.scale >= 0:
                size += 4
        if self.sack_count > 0:
            size += 4 + 8 * self.sack_count
        return size

    def put_before(self, packet: Packet) -> None:
        """Push the header before the payload; the checksum field is 0. There must be enough headroom."""
        size = self.size()
        data = packet.push(size)
        packet.transport_start = packet.start
        data.store_be16(0, self.source_port)
        data.store_be16(2, self.destination_port)
        data.store_be32(4, self.sequence & 0xFFFF_FFFF)
        data.store_be32(8, self.acknowledgment & 0xFFFF_FFFF)
        data.store_be16(12, (size << 10) | self.flags)
        data.store_be16(14, self.window)
        data.store_be32(16, self.urgent)
        at = HEADER_SIZE
        if self.flags & SYN != 0 and self.mss != 0:
            data.store_be32(at, 0x0204_0000 | self.mss)
            at += 4
        if self.has_timestamp:
            first = 0x0402_080A if self.flags & SYN != 0 and self.sack_permitted else _ALIGNED_TIMESTAMP
            data.store_be32(at, first)
            data.store_be32(at + 4, self.timestamp & 0xFFFF_FFFF)
            data.store_be32(at + 8, self.timestamp_echo & 0xFFFF_FFFF)
            at += TIMESTAMP_SIZE
        elif self.flags & SYN != 0 and self.sack_permitted:
            data.store_be32(at, 0x0101_0402)
            at += 4
        if self.flags & SYN != 0 and self.scale >= 0:
            data.store_be32(at, 0x0103_0300 | self.scale)
            at += 4
        if self.sack_count > 0:
            data.store_be32(at, 0x0101_0502 + 8 * self.sack_count)
            at += 4
            for i in range(self.sack_count):
                data.store_be32(at, self.sack_left[i] & 0xFFFF_FFFF)
                data.store_be32(at + 4, self.sack_right[i] & 0xFFFF_FFFF)
                at += 8
