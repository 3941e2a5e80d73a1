"""Data that is written by the rules of ASN.1 (X.690): elements of a tag, a length and a content.

Tags have one byte: others are refused as data that is no good. Lengths have two bytes at most, or none: the content
then ends with an element of two zeros. As on Linux, the bit that says that an element has parts may be missing where
an element with parts is expected.

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
_HAS_PARTS: Final = 0x20
_NO_LENGTH: Final = 0x80
_MOST_LENGTH_BYTES: Final = 2
_MOST_INNER_LENGTH_BYTES: Final = 7  # of an element in a content whose end is looked for
_END_BYTES: Final = 2


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
        if self._next >= len(self._data):
            return False
        return (self._data[self._next] ^ tag) & ~(tag & _HAS_PARTS) == 0

    def read(self) -> bytes:
        """The content of the next element. Raises EBADMSG."""
        pace(_COST)
        start = self._next
        self.tag = self._take()
        if self.tag & _LONG_TAG == _LONG_TAG:
            raise Errno(EBADMSG)
        length = self._take()
        after = 0
        if length == _NO_LENGTH:
            if self.tag & _HAS_PARTS == 0:
                raise Errno(EBADMSG)
            length = _find_end(self._data, self._next) - self._next
            after = _END_BYTES
        elif length > _NO_LENGTH:
            if length - _NO_LENGTH > _MOST_LENGTH_BYTES:
                raise Errno(EBADMSG)
            length = self._take_number(length - _NO_LENGTH)
        if length > len(self._data) - self._next:
            raise Errno(EBADMSG)
        end = self._next + length
        self.content = self._data[self._next : end]
        self._next = end + after
        self.whole = self._data[start:end]
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

    def _take_number(self, size: int) -> int:
        number = 0
        for _ in range(size):
            number = number << 8 | self._take()
        return number


def _find_end(data: bytes, start: int) -> int:
    """Where the two zeros are that end a content without a length. Raises EBADMSG."""
    index = start
    depth = 1  # contents without a length that end after `index`
    while True:
        pace(_COST)
        if index + _END_BYTES > len(data):
            raise Errno(EBADMSG)
        tag = data[index]
        length = data[index + 1]
        index += 2
        if tag == 0:
            if length != 0:
                raise Errno(EBADMSG)
            depth -= 1
            if depth == 0:
                return index - _END_BYTES
            continue
        if tag & _LONG_TAG == _LONG_TAG:
            while length & _NO_LENGTH != 0:
                length = _byte_at(data, index)
                index += 1
            length = _byte_at(data, index)
            index += 1
        if length == _NO_LENGTH:
            if tag & _HAS_PARTS == 0:
                raise Errno(EBADMSG)
            depth += 1
            continue
        if length > _NO_LENGTH:
            size = length - _NO_LENGTH
            if size > _MOST_INNER_LENGTH_BYTES:
                raise Errno(EBADMSG)
            length = 0
            for _ in range(size):
                length = length << 8 | _byte_at(data, index)
                index += 1
        if length > len(data) - index:
            raise Errno(EBADMSG)
        index += length


def _byte_at(data: bytes, index: int) -> int:
    if index >= len(data):
        raise Errno(EBADMSG)
    return data[index]
