"""What 9P's messages look like: little-endian numbers, and texts with a length before them.

A `Call` has the memory of one message and of its answer; fields are put into the first in order, and taken out of the
second. The answer is the server's: a missing field is EIO.

Source: the 9P2000 manual pages (intro(5), section 5 of Plan 9); the protocol's Linux dialect, 9P2000.L.
"""

from typing import Final

from kernel.lang import EIO, Errno, Span, final, span_of, u8

HEADER_SIZE: Final = 7  # length, kind, tag
LARGEST: Final = 65_536  # bytes of a message
OVERHEAD: Final = 24  # bytes of a message that moves data, apart from the data
QID_SIZE: Final = 13
NO_TAG: Final = 0xFFFF
TEXT_LIMIT: Final = 0xFFFF

ERROR: Final = 7  # an answer; each kind of question has an answer of the next number
STATFS: Final = 8
OPEN: Final = 12
CREATE: Final = 14
SYMLINK: Final = 16
MAKE_NODE: Final = 18
READ_LINK: Final = 22
GET_ATTRIBUTES: Final = 24
SET_ATTRIBUTES: Final = 26
WALK_ATTRIBUTE: Final = 30
CREATE_ATTRIBUTE: Final = 32
READ_DIRECTORY: Final = 40
SYNC: Final = 50
LINK: Final = 70
MAKE_DIRECTORY: Final = 72
RENAME: Final = 74
UNLINK: Final = 76
VERSION: Final = 100
ATTACH: Final = 104
WALK: Final = 110
READ: Final = 116
WRITE: Final = 118
CLUNK: Final = 120

_HIGHEST_ERROR: Final = 4095
_NUMBER_LIMIT: Final = 1 << 31  # of the upper half of a number: larger ones do not fit an int


@final
class Call:
    """A message under way, and its answer. Raises MemoryError."""

    def __init__(self, tag: int) -> None:
        self.tag: int = tag
        self.request: bytearray = bytearray(LARGEST)
        self.reply: bytearray = bytearray(LARGEST)
        self.end: int = HEADER_SIZE  # of the request so far; of the reply, once it is there
        self.at: int = HEADER_SIZE  # the next field of the reply
        self.next: Call | None = None  # on the list of those that are not used
        self._kind: int = 0

    # ---- The question -----------------------------------------------------------------------------------------

    def begin(self, kind: int) -> None:
        self._kind = kind
        self.end = HEADER_SIZE

    def put_u8(self, value: int) -> None:
        span_of(self.request).store_u8(self.end, value)
        self.end += 1

    def put_u16(self, value: int) -> None:
        span_of(self.request).store_u16(self.end, value)
        self.end += 2

    def put_u32(self, value: int) -> None:
        span_of(self.request).store_u32(self.end, value & 0xFFFF_FFFF)
        self.end += 4

    def put_u64(self, value: int) -> None:
        self.put_u32(value)
        self.put_u32(value >> 32)

    def put_text(self, text: bytes) -> None:
        """A name or a link's target, at most PATH_MAX bytes."""
        self.put_u16(len(text))
        self.room(len(text)).copy_from(span_of(text))
        self.end += len(text)

    def room(self, length: int) -> Span[u8]:
        """Where the next `length` bytes of the request are to be written; the caller moves `end`."""
        return span_of(self.request)[self.end : self.end + length]

    def finish(self) -> Span[u8]:
        """The request as it is to be sent."""
        message = span_of(self.request)
        message.store_u32(0, self.end)
        message.store_u8(4, self._kind)
        message.store_u16(5, NO_TAG if self._kind == VERSION else self.tag)
        return message[0 : self.end]

    # ---- The answer -------------------------------------------------------------------------------------------

    def accept(self, length: int) -> None:
        """`length` bytes came. Raises EIO if they do not answer the request, or the error that they report."""
        message = span_of(self.reply)
        self.at = HEADER_SIZE
        self.end = 0
        if not HEADER_SIZE <= length <= LARGEST or message.load_u32(0) != length:
            raise Errno(EIO)
        if message.load_u16(5) != (NO_TAG if self._kind == VERSION else self.tag):
            raise Errno(EIO)
        self.end = length
        kind = message.load_u8(4)
        if kind == ERROR:
            code = self.take_u32()
            raise Errno(code if 0 < code <= _HIGHEST_ERROR else EIO)
        if kind != self._kind + 1:
            raise Errno(EIO)

    def take(self, length: int) -> Span[u8]:
        """The next `length` bytes. Raises EIO."""
        start = self.at
        if not 0 <= length <= self.end - start:
            raise Errno(EIO)
        self.at = start + length
        return span_of(self.reply)[start : start + length]

    def take_u8(self) -> int:
        return self.take(1).load_u8(0)

    def take_u16(self) -> int:
        return self.take(2).load_u16(0)

    def take_u32(self) -> int:
        return self.take(4).load_u32(0)

    def take_u64(self) -> int:
        """A number that is not negative. Raises EIO for 2**63 and more."""
        low = self.take_u32()
        high = self.take_u32()
        if high >= _NUMBER_LIMIT:
            raise Errno(EIO)
        return high << 32 | low

    def take_i64(self) -> int:
        low = self.take_u32()
        high = self.take_u32()
        return (high - (_NUMBER_LIMIT << 1) if high >= _NUMBER_LIMIT else high) << 32 | low

    def take_bytes(self, length: int) -> bytes:
        return self.take(length).to_bytes()

    def take_text(self) -> bytes:
        return self.take_bytes(self.take_u16())
