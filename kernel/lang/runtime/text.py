"""Text: the operations of `str`, and `TextBuilder`, from which f-strings and `print` are built.

A `str` is UTF-8 inside (`kernel.lang.raw`): encoding is free, decoding is a check, `len` counts characters.
"""

from __future__ import annotations

from typing import Final

from kernel.lang import Span, extern, final, inline, u8, u64
from kernel.lang.raw import RawArray, array_span, become_bytes, byte_at, bytes_text, copy_in, no_array, text_bytes
from kernel.lang.runtime.byte_strings import (
    bytes_compare,
    bytes_concat,
    bytes_contains,
    bytes_equal,
    bytes_repeat,
    bytes_strip,
)
from kernel.lang.unsafe import TRAP_RANGE, address_of, span_at, trap

FIRST_CAPACITY: Final = 64
DIGITS_LOWER: Final = b"0123456789abcdefghijklmnopqrstuvwxyz"
DIGITS_UPPER: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

SPACE: Final = 32
ZERO: Final = 48
MINUS: Final = 45
NEWLINE: Final = 10
BYTES_DATA: Final = 16  # where a byte string's data begins
LAST_CODE_POINT: Final = 0x10FFFF
BORDER_BYTES: Final = 3  # of each border between characters that are printable and that are not


def str_equal(left: str, right: str) -> bool:
    """`left == right`."""
    return bytes_equal(text_bytes(left), text_bytes(right))


def str_compare(left: str, right: str) -> int:
    """Below, equal to or above 0: the order of code points is that of their UTF-8 bytes."""
    return bytes_compare(text_bytes(left), text_bytes(right))


def str_concat(left: str, right: str) -> str:
    """`left + right`."""
    return bytes_text(bytes_concat(text_bytes(left), text_bytes(right)))


def str_repeat(text: str, times: int) -> str:
    """`text * times`."""
    return bytes_text(bytes_repeat(text_bytes(text), times))


def str_contains(text: str, part: str) -> bool:
    """`part in text`."""
    return bytes_contains(text_bytes(text), text_bytes(part))


def str_join(separator: str, parts: list[str]) -> str:
    """`separator.join(parts)`."""
    builder = TextBuilder()
    for number, part in enumerate(parts):
        if number > 0:
            builder.add_str(separator)
        builder.add_str(part)
    return builder.finish()


def str_length(text: str) -> int:
    """`len(text)`: its characters."""
    data = text_bytes(text)
    count = 0
    for place in range(len(data)):
        if byte_at(data, place) & 0xC0 != 0x80:
            count += 1
    return count


def str_encode(text: str) -> bytes:
    """`text.encode()`."""
    return text_bytes(text)


def bytes_decode(data: bytes) -> str:
    """`data.decode()`; traps on what is not UTF-8."""
    if not is_utf8(data):
        trap(TRAP_RANGE)
    return bytes_text(data)


def is_utf8(data: bytes) -> bool:
    """Whether Python would decode it: no overlong forms, no surrogates, nothing beyond U+10FFFF."""
    place = 0
    while place < len(data):
        lead = byte_at(data, place)
        if lead < 0x80:
            place += 1
            continue
        length = 2 if 0xC2 <= lead < 0xE0 else 3 if 0xE0 <= lead < 0xF0 else 4 if 0xF0 <= lead < 0xF5 else 0
        if length == 0 or place + length > len(data):
            return False
        second = byte_at(data, place + 1)
        low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
        high = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
        if not low <= second <= high:
            return False
        for later in range(place + 2, place + length):
            if byte_at(data, later) & 0xC0 != 0x80:
                return False
        place += length
    return True


def str_ord(text: str) -> int:
    """`ord(text)`; traps unless it is one character."""
    data = text_bytes(text)
    if len(data) == 0:
        trap(TRAP_RANGE)
    lead = byte_at(data, 0)
    length = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if len(data) != length:
        trap(TRAP_RANGE)
    return lead if length == 1 else character_at(data, 0, length)


def character_at(data: bytes, start: int, length: int) -> int:
    """A character of 2, 3 or 4 bytes. Safety: it lies inside."""
    code = byte_at(data, start) & (0x7F >> length)
    for place in range(start + 1, start + length):
        code = (code << 6) | (byte_at(data, place) & 0x3F)
    return code


def is_printable(code: int, borders: bytes) -> bool:
    """Whether Python shows a character as it is. `borders`: where that changes, 3 bytes each, beginning with the first
    printable character.
    """
    low = 0
    high = len(borders) // BORDER_BYTES
    while low < high:
        middle = (low + high) // 2
        place = middle * BORDER_BYTES
        border = byte_at(borders, place) << 16 | byte_at(borders, place + 1) << 8 | byte_at(borders, place + 2)
        if border <= code:
            low = middle + 1
        else:
            high = middle
    return low % 2 == 1


def int_chr(code: int) -> str:
    """`chr(code)`; traps on surrogates, which have no UTF-8."""
    builder = TextBuilder()
    builder.add_character(code)
    return builder.finish()


def int_parse(data: bytes, base: int = 10) -> int:
    """`int(data, base)`, for bases 2 to 36; traps on anything but a number. Underscores are not allowed, the prefix of
    the base is."""
    if base < 2 or base > len(DIGITS_LOWER):
        trap(TRAP_RANGE)
    text = bytes_strip(data)
    place = 0
    negative = False
    if len(text) > 0 and (byte_at(text, 0) == ord("+") or byte_at(text, 0) == ord("-")):
        negative = byte_at(text, 0) == ord("-")
        place = 1
    if place + 2 < len(text) and byte_at(text, place) == ord("0") and prefix_base(byte_at(text, place + 1)) == base:
        place += 2
    if place == len(text):
        trap(TRAP_RANGE)
    value = 0
    while place < len(text):
        digit = digit_value(byte_at(text, place))
        if digit >= base:
            trap(TRAP_RANGE)
        # Downwards, so that the least int parses too.
        value = value * base - digit
        place += 1
    return value if negative else -value


def prefix_base(letter: int) -> int:
    """The base that a letter after a 0 announces; 0 if none."""
    lower = letter | 32
    return 16 if lower == ord("x") else 8 if lower == ord("o") else 2 if lower == ord("b") else 0


def digit_value(letter: int) -> int:
    """What a digit or letter counts; 255 if it is neither."""
    if ord("0") <= letter <= ord("9"):
        return letter - ord("0")
    lower = letter | 32
    return lower - ord("a") + 10 if ord("a") <= lower <= ord("z") else 255


def text_of_int(value: int) -> str:
    """`str(value)`."""
    builder = TextBuilder()
    builder.add_int(value)
    return builder.finish()


@extern("krait_host_write")
def host_write(address: int, length: int) -> None:
    """Write bytes to standard output: of stand-alone programs on the host, where C provides it."""
    print(span_at(address, length).to_bytes().decode(), end="")


def print_text(text: str) -> None:
    """`print(...)` of a stand-alone program: the text and a newline."""
    builder = TextBuilder()
    builder.add_str(text)
    builder.add_byte(NEWLINE)
    data = builder.finish_bytes()
    host_write(address_of(data) + BYTES_DATA, len(data))


@final
class TextBuilder:
    """Text that grows at its end. `finish` hands it out without a copy; `clear` starts over with the existing storage,
    so a permanent builder formats without allocating as long as its text fits."""

    _buffer: RawArray[u8]
    _length: int
    _capacity: int

    def __init__(self) -> None:
        self._buffer = no_array()
        self._length = 0
        self._capacity = 0

    @inline
    def __len__(self) -> int:
        """Bytes so far."""
        return self._length

    def clear(self) -> None:
        self._length = 0

    def reserve(self, added: int) -> None:
        """Make room for `added` more bytes, and one to spare."""
        needed = self._length + added + 1
        if needed <= self._capacity:
            return
        larger = max(FIRST_CAPACITY, self._capacity * 2, needed)
        buffer: RawArray[u8] = RawArray(larger)
        if self._length > 0:
            buffer.take(0, self._buffer, 0, self._length)
        self._buffer = buffer
        self._capacity = larger

    def finish(self) -> str:
        """The text. The builder is empty afterwards."""
        return bytes_text(self.finish_bytes())

    def finish_bytes(self) -> bytes:
        """The text's bytes. The builder is empty afterwards."""
        self.reserve(0)
        buffer = self._buffer
        length = self._length
        self._buffer = no_array()
        self._length = 0
        self._capacity = 0
        return become_bytes(buffer, length)

    def span(self) -> Span[u8]:
        """A view of the text's bytes; it goes stale with the next addition."""
        return array_span(self._buffer, 0, self._length)

    # Additions
    # ----------------------------------------------------------------------------------------------------------

    def add_raw(self, data: bytes) -> None:
        """Bytes that are UTF-8."""
        self.reserve(len(data))
        copy_in(self._buffer, self._length, data, 0, len(data))
        self._length += len(data)

    def add_byte(self, value: int) -> None:
        """One byte (an ASCII character, or a part of a longer one)."""
        self.reserve(1)
        self._buffer[self._length] = u8(value)
        self._length += 1

    def add_character(self, code: int) -> None:
        """A character by its code point; traps on surrogates."""
        if code < 0 or code > LAST_CODE_POINT or 0xD800 <= code < 0xE000:
            trap(TRAP_RANGE)
        if code < 0x80:
            self.add_byte(code)
        elif code < 0x800:
            self.add_byte(0xC0 | (code >> 6))
            self.add_byte(0x80 | (code & 0x3F))
        elif code < 0x10000:
            self.add_byte(0xE0 | (code >> 12))
            self.add_byte(0x80 | ((code >> 6) & 0x3F))
            self.add_byte(0x80 | (code & 0x3F))
        else:
            self.add_byte(0xF0 | (code >> 18))
            self.add_byte(0x80 | ((code >> 12) & 0x3F))
            self.add_byte(0x80 | ((code >> 6) & 0x3F))
            self.add_byte(0x80 | (code & 0x3F))

    def add_str(self, text: str, width: int = 0) -> None:
        """`f"{text:width}"`: padded on the right; for a negative width, on the left."""
        data = text_bytes(text)
        padding = abs(width) - str_length(text) if width != 0 else 0
        if width < 0:
            self.add_spaces(padding)
        self.add_raw(data)
        if width > 0:
            self.add_spaces(padding)

    def add_spaces(self, count: int) -> None:
        """Spaces; none if `count` is negative."""
        for _ in range(count):
            self.add_byte(SPACE)

    def add_bool(self, value: bool) -> None:
        """`f"{value}"`."""
        self.add_raw(b"True" if value else b"False")

    def add_int(
        self,
        value: int,
        base: int = 10,
        width: int = 0,
        zero_pad: bool = False,
        upper: bool = False,
        alternate: bool = False,
    ) -> None:
        """`f"{value:…}"` in base 2, 8, 10 or 16, padded on the left (with zeros after the sign, if asked); for a
        negative width, on the right. `alternate` puts the base's prefix in front."""
        self.add_number(magnitude_of(value), value < 0, base, width, zero_pad, upper, alternate)

    def add_u64(
        self,
        value: u64,
        base: int = 10,
        width: int = 0,
        zero_pad: bool = False,
        upper: bool = False,
        alternate: bool = False,
    ) -> None:
        """The same for a u64."""
        self.add_number(
            value, negative=False, base=base, width=width, zero_pad=zero_pad, upper=upper, alternate=alternate
        )

    def add_number(
        self, magnitude: u64, negative: bool, base: int, width: int, zero_pad: bool, upper: bool, alternate: bool
    ) -> None:
        """A number from its magnitude and sign."""
        count = count_digits(magnitude, base)
        has_prefix = alternate and base != 10
        padding = abs(width) - count - (1 if negative else 0) - (2 if has_prefix else 0)
        if width > 0 and not zero_pad:
            self.add_spaces(padding)
        if negative:
            self.add_byte(MINUS)
        if has_prefix:
            letter = 120 if base == 16 else 111 if base == 8 else 98
            self.add_byte(ZERO)
            self.add_byte(letter - 32 if upper else letter)
        if width > 0 and zero_pad:
            for _ in range(padding):
                self.add_byte(ZERO)
        self.add_digits(magnitude, count, base, upper)
        if width < 0:
            self.add_spaces(padding)

    def add_digits(self, magnitude: u64, count: int, base: int, upper: bool) -> None:
        """A number's `count` digits in base 2, 8, 10 or 16."""
        self.reserve(count)
        digits = DIGITS_UPPER if upper else DIGITS_LOWER
        rest = magnitude
        place = self._length + count
        if base == 10:
            for _ in range(count):
                place -= 1
                self._buffer[place] = u8(int(rest % 10) + ord("0"))
                rest = rest // 10
        else:
            shift = shift_of_base(base)
            for _ in range(count):
                place -= 1
                self._buffer[place] = u8(byte_at(digits, int(rest & u64(base - 1))))
                rest = rest >> shift
        self._length += count

    def add_bytes_repr(self, data: bytes) -> None:
        """`f"{data!r}"`: `b'...'`."""
        quote = quote_for(data)
        self.add_byte(ord("b"))
        self.add_byte(quote)
        for place in range(len(data)):
            self.add_escaped(byte_at(data, place), quote)
        self.add_byte(quote)

    def add_str_repr(self, text: str, borders: bytes) -> None:
        """`f"{text!r}"`; `borders` say which characters are printable (`is_printable`)."""
        data = text_bytes(text)
        quote = quote_for(data)
        self.add_byte(quote)
        place = 0
        while place < len(data):
            lead = byte_at(data, place)
            length = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            if length == 1:
                self.add_escaped(lead, quote)
            else:
                self.add_printable(character_at(data, place, length), borders)
            place += length
        self.add_byte(quote)

    def add_printable(self, code: int, borders: bytes) -> None:
        """A character beyond ASCII, or what stands for it in a literal."""
        if is_printable(code, borders):
            self.add_character(code)
        elif code < 0x100:
            self.add_raw(b"\\x")
            self.add_int(code, 16, 2, zero_pad=True)
        elif code < 0x10000:
            self.add_raw(b"\\u")
            self.add_int(code, 16, 4, zero_pad=True)
        else:
            self.add_raw(b"\\U")
            self.add_int(code, 16, 8, zero_pad=True)

    def add_escaped(self, value: int, quote: int) -> None:
        """One byte of a literal."""
        escape = 0
        if value == ord("\n"):
            escape = ord("n")
        elif value == ord("\r"):
            escape = ord("r")
        elif value == ord("\t"):
            escape = ord("t")
        if value == quote or value == ord("\\"):
            escape = value
        if escape != 0:
            self.add_byte(ord("\\"))
            self.add_byte(escape)
        elif ord(" ") <= value <= ord("~"):
            self.add_byte(value)
        else:
            self.add_raw(b"\\x")
            self.add_byte(byte_at(DIGITS_LOWER, value >> 4))
            self.add_byte(byte_at(DIGITS_LOWER, value & 15))


def quote_for(data: bytes) -> int:
    """The quotation mark that Python would choose for a literal."""
    single = False
    double = False
    for place in range(len(data)):
        single = single or byte_at(data, place) == ord("'")
        double = double or byte_at(data, place) == ord('"')
    return ord('"') if single and not double else ord("'")


def magnitude_of(value: int) -> u64:
    """A number without its sign: the least int has one too."""
    return u64(-value) if value < 0 else u64(value)


def shift_of_base(base: int) -> int:
    """The bits of a digit in base 2, 8 or 16."""
    return 4 if base == 16 else 3 if base == 8 else 1


def count_digits(magnitude: u64, base: int) -> int:
    """How many digits a number has."""
    count = 1
    if base == 10:
        rest = magnitude // 10
        while rest != 0:
            rest = rest // 10
            count += 1
        return count
    shift = shift_of_base(base)
    rest = magnitude >> shift
    while rest != 0:
        rest = rest >> shift
        count += 1
    return count
