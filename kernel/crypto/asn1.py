"""Data that is written by the rules of ASN.1 (X.690): elements of a tag, a length and a content.

Lengths have two bytes at most, and are definite, tags have one byte: others are refused as data that is no good.

Context: takes safe points.
"""

from typing import Final

from kernel.lang import EBADMSG, Errno, final
from kernel.lib.pace import pace

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31
_COST: Final = 800  # instructions for an element, with what is done with it
_LONG_TAG: Final = 0x1F
_LONG_LENGTH: Final = 0x80
_ONE_BYTE: Final = 0x81
_TWO_BYTES: Final = 0x82


@final
class Reader:
    """Reads one element after the other. After each, `tag`, `content` and `whole` (with its head) are that one's."""

    def __init__(self, data: bytes) -> None:
        self._data: bytes = data
        self._next: int = 0
        self.tag: int = 0
        self.content: bytes = b""
        self.whole: bytes = b""

    def has_more(self) -> bool:
        """Whether there is another element."""
        return self._next < len(self._data)

    def is_next(self, tag: int) -> bool:
        """Whether the next element has a tag."""
        return self._next < len(self._data) and self._data[self._next] == tag

    def read(self) -> bytes:
        """The content of the next element. Raises EBADMSG."""
        pace(_COST)
        start = self._next
        self.tag = self._take()
        if self.tag & _LONG_TAG == _LONG_TAG:
            raise Errno(EBADMSG)
        length = self._take()
        if length == _ONE_BYTE:
            length = self._take()
        elif length == _TWO_BYTES:
            length = self._take() << 8
            length |= self._take()
        elif length >= _LONG_LENGTH:
            raise Errno(EBADMSG)
        if length > len(self._data) - self._next:
            raise Errno(EBADMSG)
        end = self._next + length
        self.content = self._data[self._next : end]
        self.whole = self._data[start:end]
        self._next = end
        return self.content

    def expect(self, tag: int) -> bytes:
        """The content of the next element, which has the tag. Raises EBADMSG."""
        if not self.is_next(tag):
            raise Errno(EBADMSG)
        return self.read()

    def end(self) -> None:
        """Raise EBADMSG if anything is left."""
        if self.has_more():
            raise Errno(EBADMSG)

    def _take(self) -> int:
        if self._next >= len(self._data):
            raise Errno(EBADMSG)
        self._next += 1
        return self._data[self._next - 1]
