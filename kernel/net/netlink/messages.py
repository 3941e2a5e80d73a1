"""The format of netlink messages: headers and attributes (netlink(3), rtnetlink(3)).

A datagram holds messages, each with a header of 16 bytes; a message has a fixed part that depends on its type, then
attributes: length, type, payload. Everything starts at a multiple of four. Numbers are in the machine's order,
addresses in the network's.
"""

from typing import Final

from kernel.lang import EINVAL, ERANGE, Errno, Span, span_of, u8, u64
from kernel.lib.credentials import Credentials
from kernel.net.link.network import Network

HEADER_SIZE: Final = 16

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
FIRST_TYPE: Final = 16

NLM_F_REQUEST: Final = 0x1
NLM_F_MULTI: Final = 0x2
NLM_F_ACK: Final = 0x4
NLM_F_DUMP_FILTERED: Final = 0x20
NLM_F_CAPPED: Final = 0x100
NLM_F_ACK_TLVS: Final = 0x200
NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800
NLM_F_DUMP: Final = 0x300

_ATTRIBUTE_HEADER: Final = 4
_LARGE_PART: Final = 4096  # bytes
_TYPE_MASK: Final = 0x3FFF


def aligned(length: int) -> int:
    """The next multiple of four."""
    return (length + 3) & ~3


class MessageWriter:
    """Builds the messages of one datagram, or of a dump, which may be long: then `cut` is called between messages."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []  # of a dump, what comes before `data`
        self.data: bytearray = bytearray()
        self._start: int = 0
        self._sequence: int = 0
        self._port: int = 0
        self._flags: int = 0

    def answer_to(self, sequence: int, port: int, flags: int) -> None:
        """Set the fields of the headers of messages from now on."""
        self._sequence = sequence
        self._port = port
        self._flags = flags

    def begin(self, kind: int) -> None:
        """Start a message."""
        self._start = len(self.data)
        self.u32(0)
        self.u16(kind)
        self.u16(self._flags)
        self.u32(self._sequence)
        self.u32(self._port)

    def end(self) -> None:
        """The message is complete."""
        span_of(self.data).store_u32(self._start, len(self.data) - self._start)
        self.pad()

    def cut(self) -> None:
        """Begin another part of a dump after a message, if this one is large enough."""
        if len(self.data) >= _LARGE_PART:
            self.parts.append(bytes(self.data))
            self.data = bytearray()

    def u8(self, value: int) -> None:
        self.data.append(value & 0xFF)

    def u16(self, value: int) -> None:
        self.data.append(value & 0xFF)
        self.data.append(value >> 8 & 0xFF)

    def u32(self, value: int) -> None:
        self.u16(value & 0xFFFF)
        self.u16(value >> 16 & 0xFFFF)

    def u64(self, value: int) -> None:
        self.u32(value & 0xFFFF_FFFF)
        self.u32(value >> 32 & 0xFFFF_FFFF)

    def raw(self, value: bytes) -> None:
        self.data.extend(value)

    def pad(self) -> None:
        while len(self.data) & 3 != 0:
            self.data.append(0)

    def attribute(self, kind: int, value: bytes) -> None:
        """Append an attribute."""
        self.u16(_ATTRIBUTE_HEADER + len(value))
        self.u16(kind)
        self.raw(value)
        self.pad()

    def attribute_u8(self, kind: int, value: int) -> None:
        self.u16(_ATTRIBUTE_HEADER + 1)
        self.u16(kind)
        self.u8(value)
        self.pad()

    def attribute_u32(self, kind: int, value: int) -> None:
        self.u16(_ATTRIBUTE_HEADER + 4)
        self.u16(kind)
        self.u32(value)

    def begin_attribute(self, kind: int) -> int:
        """Begin an attribute that holds attributes or numbers, until `end_attribute` with the same place."""
        place = len(self.data)
        self.u16(0)
        self.u16(kind)
        return place

    def end_attribute(self, place: int) -> None:
        span_of(self.data).store_u16(place, len(self.data) - place)
        self.pad()


class Request:
    """One message that a program sent to the kernel."""

    def __init__(self, raw: bytes, port: int, network: Network, opener: Credentials | None) -> None:
        span = span_of(raw)
        self.network: Network = network  # of that socket
        self.opener: Credentials | None = opener  # whose right to ask is needed, besides the caller's
        self.raw: bytes = raw  # this message only, header included
        self.kind: int = span.load_u16(4)
        self.flags: int = span.load_u16(6)
        self.sequence: int = span.load_u32(8)
        self.port: int = port  # of the socket that sent it
        self.attributes_start: int = len(raw)
        self.mistake: int = 0  # the offset of the attribute that makes it fail, from its header on; 0: not known

    def has(self, flags: int) -> bool:
        """Whether one of the NLM_F_* is set."""
        return self.flags & flags != 0

    def payload(self, size: int) -> Span[u8]:
        """The fixed part, `size` bytes; the attributes follow it. EINVAL if the message is shorter."""
        if len(self.raw) < HEADER_SIZE + size:
            raise Errno(EINVAL)
        self.attributes_start = HEADER_SIZE + aligned(size)
        return span_of(self.raw)[HEADER_SIZE : HEADER_SIZE + size]

    def attribute(self, kind: int) -> bytes:
        """The payload of the last attribute of a type, b"" without one. EINVAL if the attributes do not fit."""
        return find_attribute(self.raw, self.attributes_start, kind)

    def attribute_u32(self, kind: int, default: int) -> int:
        """The number in an attribute. ERANGE if it is shorter."""
        value = self.attribute(kind)
        if len(value) == 0:
            return default
        if len(value) < 4:
            raise Errno(ERANGE)
        return span_of(value).load_u32(0)

    def address(self, kind: int, size: int) -> bytes:
        """The address of `size` bytes in an attribute, b"" without one. ERANGE if it is shorter."""
        value = self.attribute(kind)
        if 0 < len(value) < size:
            raise Errno(ERANGE)
        return value[:size]


def find_attribute(raw: bytes, start: int, kind: int) -> bytes:
    """The payload of the last attribute of a type in `raw` from `start` on; b"" without one."""
    found = b""
    span = span_of(raw)
    position = start
    while len(raw) - position >= _ATTRIBUTE_HEADER:
        length = span.load_u16(position)
        if length < _ATTRIBUTE_HEADER or length > len(raw) - position:
            raise Errno(EINVAL)
        if span.load_u16(position + 2) & _TYPE_MASK == kind:
            found = raw[position + _ATTRIBUTE_HEADER : position + length]
        position += aligned(length)
    return found


def u64_bytes(value: int) -> bytes:
    """A 64-bit number."""
    storage = bytearray(8)
    span_of(storage).store_u64(0, u64(value))
    return bytes(storage)
