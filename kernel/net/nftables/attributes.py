"""Attributes of nf_tables' messages: numbers are in network byte order, and attributes nest.

Context: any; nothing sleeps, but `elements` takes safe points.
Source: linux/netfilter/nf_tables.h (names and numbers), netlink(7).
"""

from typing import Final

from kernel.lang import EINVAL, ERANGE, Errno, final, span_of
from kernel.lib.pace import pace_or_end
from kernel.net.netlink.messages import MessageWriter, Request, aligned

LIST_ELEMENT: Final = 1  # NFTA_LIST_ELEM
ANY_KIND: Final = -1
_HEADER: Final = 4
_TYPE_MASK: Final = 0x3FFF
_WORD: Final = 0xFFFF_FFFF
_MOST_ATTRIBUTES: Final = 64  # in one place, where none is repeated
_MOST_LIST: Final = 65536
_ELEMENT_COST: Final = 400  # instructions


@final
class Attributes:
    """The attributes in a part of a message. A rest that does not fit is ignored, as on Linux."""

    def __init__(self, request: Request, start: int, end: int) -> None:
        self.request: Request = request
        self.raw: bytes = request.raw  # the message from its header on
        self.start: int = start
        self.end: int = min(end, len(request.raw))

    def find(self, kind: int) -> int:
        """The offset of the last attribute of a type in `raw`; -1 without one."""
        span = span_of(self.raw)
        found = -1
        at = self.start
        left = _MOST_ATTRIBUTES
        while self.end - at >= _HEADER and left > 0:
            left -= 1
            length = span.load_u16(at)
            if length < _HEADER or length > self.end - at:
                break
            if span.load_u16(at + 2) & _TYPE_MASK == kind:
                found = at
            at += aligned(length)
            pace_or_end(_ELEMENT_COST)
        return found

    def has(self, kind: int) -> bool:
        """Whether there is an attribute of a type."""
        return self.find(kind) >= 0

    def blame(self, kind: int) -> None:
        """The error about to be raised is about this attribute."""
        self.request.mistake = max(self.find(kind), 0)

    def blame_all(self) -> None:
        """The error is about the attribute that contains these."""
        self.request.mistake = max(self.start - _HEADER, 0)

    def payload(self, kind: int) -> bytes:
        """The payload of an attribute; b"" without one."""
        at = self.find(kind)
        if at < 0:
            return b""
        return self.raw[at + _HEADER : at + span_of(self.raw).load_u16(at)]

    def nested(self, kind: int) -> "Attributes":
        """The attributes nested in an attribute; none without one."""
        at = self.find(kind)
        if at < 0:
            return Attributes(self.request, self.start, self.start)
        return Attributes(self.request, at + _HEADER, at + span_of(self.raw).load_u16(at))

    def _number(self, kind: int, size: int) -> int:
        """The offset of the number in an attribute. Raises ERANGE."""
        at = self.find(kind)
        if at < 0:
            return -1
        if span_of(self.raw).load_u16(at) < _HEADER + size:
            self.request.mistake = at
            raise Errno(ERANGE)
        return at + _HEADER

    def be32(self, kind: int, default: int = 0) -> int:
        """The number in an attribute. Raises ERANGE if it is too short."""
        at = self._number(kind, 4)
        return default if at < 0 else span_of(self.raw).load_be32(at)

    def be64(self, kind: int, default: int = 0) -> int:
        """The same with 64 bits; a number past what an int holds is the greatest int."""
        at = self._number(kind, 8)
        if at < 0:
            return default
        high = span_of(self.raw).load_be32(at)
        if high >> 31 != 0:
            return 0x7FFF_FFFF_FFFF_FFFF
        return high << 32 | span_of(self.raw).load_be32(at + 4)

    def be16(self, kind: int, default: int = 0) -> int:
        """The same with 16 bits."""
        at = self._number(kind, 2)
        return default if at < 0 else span_of(self.raw).load_be16(at)

    def byte(self, kind: int, default: int = 0) -> int:
        """The same with 8 bits."""
        at = self._number(kind, 1)
        return default if at < 0 else self.raw[at]

    def text(self, kind: int, limit: int) -> bytes:
        """A string without the zero at its end; b"" without one. Raises ERANGE for a longer one than `limit`."""
        at = self.find(kind)
        value = self.payload(kind)
        if at >= 0 and len(value) == 0:
            self.request.mistake = at
            raise Errno(ERANGE)
        end = value.find(b"\0")
        if end >= 0:
            value = value[:end]
        if len(value) > limit:
            self.request.mistake = at
            raise Errno(ERANGE)
        return value

    def elements(self, kind: int = LIST_ELEMENT) -> "list[Attributes]":
        """The lists of attributes that are attributes of one type here, or of any: there may be thousands. Raises
        EINVAL for another type, EINTR, MemoryError.
        """
        span = span_of(self.raw)
        found: list[Attributes] = []
        at = self.start
        while self.end - at >= _HEADER and len(found) < _MOST_LIST:
            length = span.load_u16(at)
            if length < _HEADER or length > self.end - at:
                break
            if kind != ANY_KIND and span.load_u16(at + 2) & _TYPE_MASK != kind:
                self.request.mistake = at
                raise Errno(EINVAL)
            found.append(Attributes(self.request, at + _HEADER, at + length))
            at += aligned(length)
            pace_or_end(_ELEMENT_COST)
        return found


def be16(value: int) -> bytes:
    """Two bytes."""
    return bytes([value >> 8 & 0xFF, value & 0xFF])


def be32(value: int) -> bytes:
    """Four bytes."""
    return bytes([value >> 24 & 0xFF, value >> 16 & 0xFF, value >> 8 & 0xFF, value & 0xFF])


def put32(writer: MessageWriter, kind: int, value: int) -> None:
    """Write an attribute with a 32-bit number."""
    writer.attribute(kind, be32(value))


def put64(writer: MessageWriter, kind: int, value: int) -> None:
    """The same with 64 bits."""
    writer.attribute(kind, be32(value >> 32) + be32(value & _WORD))


def put_text(writer: MessageWriter, kind: int, value: bytes) -> None:
    """Write a string, with a zero at its end."""
    writer.attribute(kind, value + b"\0")
