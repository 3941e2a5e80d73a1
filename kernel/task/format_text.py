"""The texts of binfmt_misc: how a format is registered, and how its file shows it.

    :NAME:M:OFFSET:MAGIC:MASK:INTERPRETER:FLAGS
    :NAME:E::EXTENSION::INTERPRETER:FLAGS

The first byte is the delimiter, whatever it is. A NUL ends the text early, except within a magic and its mask, where it
ends only what counts of them.

Context: any; nothing sleeps. May raise MemoryError.
Source: Linux's Documentation/admin-guide/binfmt-misc.rst.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, final
from kernel.task.formats import (
    GIVES_CREDENTIALS,
    HEAD_SIZE,
    HOLDS_INTERPRETER,
    KEEPS_NAME,
    OPENS_FILE,
    Format,
)

SHORTEST: Final = 11
LONGEST: Final = 1920
_OFFSET_LIMIT: Final = 0x7FFF_FFFF
_BACKSLASH: Final = 0x5C
_X: Final = 0x78
_NEWLINE: Final = 0x0A
_HEX_DIGITS: Final = b"0123456789abcdef"
_LETTERS: Final = b"POCF"
_FLAGS: Final[list[int]] = [KEEPS_NAME, OPENS_FILE, GIVES_CREDENTIALS | OPENS_FILE, HOLDS_INTERPRETER]


def _hex_value(byte: int) -> int:
    """What a hexadecimal digit stands for; -1 for other bytes."""
    if ord("A") <= byte <= ord("F"):
        byte += 0x20
    return _HEX_DIGITS.find(bytes([byte]))


@final
class _Fields:
    """A registration, taken field by field."""

    def __init__(self, text: bytes) -> None:
        self.text: bytes = text
        self.delimiter: int = text[0]
        self.place: int = 1

    def take(self) -> bytes:
        """The next field; no NUL is in it. Raises EINVAL."""
        text = self.text
        start = self.place
        for place in range(start, len(text)):
            if text[place] == self.delimiter:
                self.place = place + 1
                return text[start:place]
            if text[place] == 0:
                break
        raise Errno(EINVAL)

    def take_letter(self) -> int:
        """The next field, which is one byte, whatever it is. Raises EINVAL."""
        place = self.place
        if place + 2 > len(self.text) or self.text[place + 1] != self.delimiter:
            raise Errno(EINVAL)
        self.place = place + 2
        return self.text[place]

    def take_escaped(self) -> bytes:
        r"""The next field, in which a byte \xHH may be the delimiter. Raises EINVAL."""
        text = self.text
        start = self.place
        place = start
        while place < len(text):
            byte = text[place]
            place += 1
            if byte == self.delimiter:
                self.place = place
                return text[start : place - 1]
            if byte == _BACKSLASH and place < len(text) and text[place] == _X:
                for index in range(place + 1, place + 3):
                    if index >= len(text) or _hex_value(text[index]) < 0:
                        raise Errno(EINVAL)
                place += 3
        raise Errno(EINVAL)

    def take_flags(self) -> int:
        """The letters at the end, which a newline may follow. Raises EINVAL for anything else."""
        text = self.text
        flags = 0
        while (letter := _LETTERS.find(bytes([self._byte()]))) >= 0:
            flags |= _FLAGS[letter]
            self.place += 1
            if self.place > len(text):
                raise Errno(EINVAL)
        if self._byte() == _NEWLINE:
            self.place += 1
        if self.place != len(text):
            raise Errno(EINVAL)
        return flags

    def _byte(self) -> int:
        """The byte here; at the end, as if delimiters followed."""
        return self.text[self.place] if self.place < len(self.text) else self.delimiter


def parse_format(text: bytes) -> Format:
    """The format that a text of SHORTEST … LONGEST bytes registers. Raises EINVAL."""
    if not SHORTEST <= len(text) <= LONGEST:
        raise Errno(EINVAL)
    fields = _Fields(text)
    name = fields.take()
    if len(name) == 0 or name == b"." or name == b".." or name.find(b"/") >= 0:
        raise Errno(EINVAL)
    kind = fields.take_letter()
    made = Format(name, b"", 0)
    if kind == ord("M"):
        _take_magic(made, fields)
    elif kind == ord("E"):
        fields.take()
        made.extension = fields.take()
        if len(made.extension) == 0 or made.extension.find(b"/") >= 0:
            raise Errno(EINVAL)
        fields.take()
    else:
        raise Errno(EINVAL)
    made.interpreter = fields.take()
    if len(made.interpreter) == 0:
        raise Errno(EINVAL)
    made.flags = fields.take_flags()
    return made


def _take_magic(made: Format, fields: _Fields) -> None:
    """Offset, magic and mask. Raises EINVAL."""
    made.offset = _parse_offset(fields.take())
    magic = fields.take_escaped()
    mask = fields.take_escaped()
    made.magic = _unescape(magic)
    if len(made.magic) == 0 or made.offset + len(made.magic) > HEAD_SIZE:
        raise Errno(EINVAL)
    if len(mask) != 0 and mask[0] != 0:
        made.mask = _unescape(mask)
        if len(made.mask) != len(made.magic):
            raise Errno(EINVAL)


def _parse_offset(text: bytes) -> int:
    """A decimal number of 31 bits, perhaps with a sign and a newline; 0 where there is none. Raises EINVAL."""
    if len(text) == 0:
        return 0
    start = 1 if text[0] == ord("+") or text[0] == ord("-") else 0
    end = len(text) - (1 if text[len(text) - 1] == _NEWLINE else 0)
    if start >= end:
        raise Errno(EINVAL)
    value = 0
    for place in range(start, end):
        if not ord("0") <= text[place] <= ord("9"):
            raise Errno(EINVAL)
        value = value * 10 + text[place] - ord("0")
        if value > _OFFSET_LIMIT:
            raise Errno(EINVAL)
    if value != 0 and text[0] == ord("-"):
        raise Errno(EINVAL)
    return value


def _unescape(text: bytes) -> bytes:
    r"""The bytes up to a NUL, \xH and \xHH replaced by the byte that they stand for."""
    result = bytearray()
    place = 0
    while place < len(text) and text[place] != 0:
        if text[place] != _BACKSLASH or place + 1 >= len(text) or text[place + 1] == 0:
            result.append(text[place])
            place += 1
            continue
        place += 1
        value = _hex_value(text[place + 1]) if text[place] == _X and place + 1 < len(text) else -1
        if value < 0:
            result.append(_BACKSLASH)
            result.append(text[place])
            place += 1
            continue
        place += 2
        low = _hex_value(text[place]) if place < len(text) else -1
        if low >= 0:
            value = value << 4 | low
            place += 1
        result.append(value)
    return bytes(result)


def _hex_text(data: bytes) -> str:
    return "".join([f"{byte:02x}" for byte in data])


def show_format(shown: Format) -> bytes:
    """The file of a format."""
    state = b"enabled" if shown.is_enabled else b"disabled"
    flags = b""
    for place in range(len(_LETTERS)):
        own = GIVES_CREDENTIALS if _LETTERS[place] == ord("C") else _FLAGS[place]
        if shown.flags & own != 0:
            flags += _LETTERS[place : place + 1]
    text = state + b"\ninterpreter " + shown.interpreter + b"\nflags: " + flags + b"\n"
    if len(shown.magic) == 0:
        return text + b"extension ." + shown.extension + b"\n"
    text += f"offset {shown.offset}\nmagic {_hex_text(shown.magic)}\n".encode()
    if len(shown.mask) != 0:
        text += f"mask {_hex_text(shown.mask)}\n".encode()
    return text
