"""Inflate: decompress gzip members, in one pass, into a window of the caller's choice (RFC 1951, RFC 1952).

`Inflater(source)` holds the compressed bytes; `run(sink)` decompresses one member and hands the output to the sink in
pieces of at most 32 KiB. The checksum and the length at the member's end are verified. Any fault in the data raises
`InflateError`.

Decoding goes by tables of 512 entries for codes of up to nine bits; longer codes are found by counting, bit by bit.

Context: never sleeps itself; the sink may.
"""

from typing import Final

from kernel.lang import KernelError, Span, span_of, u8

WINDOW: Final = 32768
_FAST_BITS: Final = 9
_MAX_BITS: Final = 15
_LENGTH_CODES: Final = 286
_DISTANCE_CODES: Final = 30

_FHCRC: Final = 2
_FEXTRA: Final = 4
_FNAME: Final = 8
_FCOMMENT: Final = 16

_LENGTH_BASE: Final[list[int]] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]  # fmt: skip
_LENGTH_EXTRA: Final[list[int]] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
]  # fmt: skip
_DISTANCE_BASE: Final[list[int]] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12289, 16385, 24577,
]  # fmt: skip
_DISTANCE_EXTRA: Final[list[int]] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
]  # fmt: skip
_CODE_LENGTH_ORDER: Final[list[int]] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]


def _make_crc_table() -> list[int]:
    table: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ 0xEDB88320 if value & 1 != 0 else value >> 1
        table.append(value)
    return table


_CRC_TABLE: Final[list[int]] = _make_crc_table()


class InflateError(KernelError):
    """The compressed data is invalid."""


def crc32(data: Span[u8], start: int = 0) -> int:
    """CRC-32 of `data`, continuing from `start`."""
    crc = start ^ 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class InflateSink:
    """Receives the output, piece by piece."""

    def accept(self, data: Span[u8]) -> None:
        """`data` is valid during the call only."""


class Huffman:
    """A canonical prefix code: a table for short codes, counts and symbols for the long ones."""

    def __init__(self) -> None:
        self.fast: list[int] = [0] * (1 << _FAST_BITS)  # symbol << 4 | length; 0: longer, or no code
        self.counts: list[int] = [0] * (_MAX_BITS + 1)
        self.symbols: list[int] = [0] * 288

    def build(self, lengths: list[int], first: int, count: int) -> None:
        """From the code lengths lengths[first : first + count]; InflateError if they do not form a prefix code."""
        counts = self.counts
        for bits in range(_MAX_BITS + 1):
            counts[bits] = 0
        for index in range(count):
            counts[lengths[first + index]] += 1
        counts[0] = 0
        left = 1
        offsets = [0] * (_MAX_BITS + 2)
        codes = [0] * (_MAX_BITS + 2)
        for bits in range(1, _MAX_BITS + 1):
            left = left * 2 - counts[bits]
            if left < 0:
                raise InflateError
            offsets[bits + 1] = offsets[bits] + counts[bits]
            codes[bits + 1] = (codes[bits] + counts[bits]) << 1
        fast = self.fast
        for index in range(1 << _FAST_BITS):
            fast[index] = 0
        for symbol in range(count):
            bits = lengths[first + symbol]
            if bits == 0:
                continue
            self.symbols[offsets[bits]] = symbol
            offsets[bits] += 1
            if bits <= _FAST_BITS:
                reversed_code = _reverse(codes[bits], bits)
                while reversed_code < 1 << _FAST_BITS:
                    fast[reversed_code] = symbol << 4 | bits
                    reversed_code += 1 << bits
            codes[bits] += 1


def _reverse(code: int, bits: int) -> int:
    result = 0
    for _ in range(bits):
        result = result << 1 | code & 1
        code >>= 1
    return result


class Inflater:
    """One pass over compressed bytes. The source is a span of memory that outlives the call, so it is handed to each
    method.
    """

    def __init__(self) -> None:
        self.position: int = 0  # in the source
        self.bits: int = 0  # not yet used, lowest first
        self.bit_count: int = 0
        self.window: bytearray = bytearray(WINDOW)
        self.fill: int = 0  # where the next byte of output goes
        self.flushed: int = 0  # what the sink has of the window
        self.total: int = 0
        self.crc: int = 0
        self.literals: Huffman = Huffman()
        self.distances: Huffman = Huffman()

    def member(self, source: Span[u8], sink: InflateSink) -> None:
        """Decompress the gzip member at `position`, and leave `position` after it."""
        self._header(source)
        self.bits = 0
        self.bit_count = 0
        self.fill = 0
        self.flushed = 0
        self.total = 0
        self.crc = 0
        last = False
        while not last:
            last = self._take(source, 1) != 0
            kind = self._take(source, 2)
            if kind == 0:
                self._stored(source, sink)
            elif kind == 1:
                self._fixed_tables()
                self._compressed(source, sink)
            elif kind == 2:
                self._dynamic_tables(source)
                self._compressed(source, sink)
            else:
                raise InflateError
        self._flush(sink)
        # Whole bytes that were taken too early go back.
        self.position -= self.bit_count >> 3
        if self.position + 8 > len(source):
            raise InflateError
        if source.load_u32(self.position) != self.crc or source.load_u32(self.position + 4) != self.total & 0xFFFFFFFF:
            raise InflateError
        self.position += 8

    def _header(self, source: Span[u8]) -> None:
        start = self.position
        if start + 18 > len(source) or source[start] != 0x1F or source[start + 1] != 0x8B or source[start + 2] != 8:
            raise InflateError
        flags = source[start + 3]
        position = start + 10
        if flags & _FEXTRA != 0:
            position += 2 + source.load_u16(position)
        strings = (1 if flags & _FNAME != 0 else 0) + (1 if flags & _FCOMMENT != 0 else 0)
        for _ in range(strings):
            while position < len(source) and source[position] != 0:
                position += 1
            position += 1
        if flags & _FHCRC != 0:
            position += 2
        if position + 8 > len(source):
            raise InflateError
        self.position = position

    def _need(self, source: Span[u8], count: int) -> None:
        """Have `count` bits (at most 32) at hand."""
        while self.bit_count < count:
            if self.position >= len(source):
                raise InflateError
            self.bits |= source[self.position] << self.bit_count
            self.position += 1
            self.bit_count += 8

    def _take(self, source: Span[u8], count: int) -> int:
        if self.bit_count < count:
            self._need(source, count)
        value = self.bits & ((1 << count) - 1)
        self.bits >>= count
        self.bit_count -= count
        return value

    def _symbol(self, source: Span[u8], code: Huffman) -> int:
        """The next symbol of a code."""
        # At the very end of the data fewer than nine bits may be left: missing bits read as zero.
        while self.bit_count < _MAX_BITS and self.position < len(source):
            self.bits |= source[self.position] << self.bit_count
            self.position += 1
            self.bit_count += 8
        entry = code.fast[self.bits & ((1 << _FAST_BITS) - 1)]
        if entry != 0:
            length = entry & 15
            if length > self.bit_count:
                raise InflateError
            self.bits >>= length
            self.bit_count -= length
            return entry >> 4
        return self._long_symbol(code)

    def _long_symbol(self, code: Huffman) -> int:
        value = 0
        first = 0
        index = 0
        bits = self.bits
        for length in range(1, _MAX_BITS + 1):
            if length > self.bit_count:
                break
            value |= bits & 1
            bits >>= 1
            count = code.counts[length]
            if value - count < first:
                self.bits = bits
                self.bit_count -= length
                return code.symbols[index + value - first]
            index += count
            first = (first + count) << 1
            value <<= 1
        raise InflateError

    def _fixed_tables(self) -> None:
        lengths = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8
        self.literals.build(lengths, 0, 288)
        self.distances.build([5] * 30, 0, 30)

    def _dynamic_tables(self, source: Span[u8]) -> None:
        literal_count = self._take(source, 5) + 257
        distance_count = self._take(source, 5) + 1
        code_count = self._take(source, 4) + 4
        if literal_count > _LENGTH_CODES or distance_count > _DISTANCE_CODES:
            raise InflateError
        lengths = [0] * 320
        for index in range(code_count):
            lengths[_CODE_LENGTH_ORDER[index]] = self._take(source, 3)
        self.literals.build(lengths, 0, 19)
        for index in range(19):
            lengths[index] = 0
        index = 0
        total = literal_count + distance_count
        while index < total:
            symbol = self._symbol(source, self.literals)
            if symbol < 16:
                lengths[index] = symbol
                index += 1
                continue
            value = 0
            if symbol == 16:
                if index == 0:
                    raise InflateError
                value = lengths[index - 1]
                repeat = 3 + self._take(source, 2)
            elif symbol == 17:
                repeat = 3 + self._take(source, 3)
            else:
                repeat = 11 + self._take(source, 7)
            if index + repeat > total:
                raise InflateError
            for _ in range(repeat):
                lengths[index] = value
                index += 1
        if lengths[256] == 0:
            raise InflateError
        self.literals.build(lengths, 0, literal_count)
        self.distances.build(lengths, literal_count, distance_count)

    def _stored(self, source: Span[u8], sink: InflateSink) -> None:
        self.position -= self.bit_count >> 3
        self.bits = 0
        self.bit_count = 0
        if self.position + 4 > len(source):
            raise InflateError
        length = source.load_u16(self.position)
        if length != source.load_u16(self.position + 2) ^ 0xFFFF:
            raise InflateError
        self.position += 4
        if self.position + length > len(source):
            raise InflateError
        while length > 0:
            part = min(length, WINDOW - self.fill)
            span_of(self.window)[self.fill : self.fill + part].copy_from(source[self.position : self.position + part])
            self.position += part
            self.fill += part
            length -= part
            if self.fill == WINDOW:
                self._flush(sink)

    def _compressed(self, source: Span[u8], sink: InflateSink) -> None:
        window = self.window
        while True:
            symbol = self._symbol(source, self.literals)
            if symbol < 256:
                window[self.fill] = symbol
                self.fill += 1
                if self.fill == WINDOW:
                    self._flush(sink)
                continue
            if symbol == 256:
                return
            symbol -= 257
            if symbol >= len(_LENGTH_BASE):
                raise InflateError
            length = _LENGTH_BASE[symbol] + self._take(source, _LENGTH_EXTRA[symbol])
            code = self._symbol(source, self.distances)
            if code >= _DISTANCE_CODES:
                raise InflateError
            distance = _DISTANCE_BASE[code] + self._take(source, _DISTANCE_EXTRA[code])
            if distance > self.total + self.fill - self.flushed:
                raise InflateError
            self._repeat(distance, length, sink)

    def _repeat(self, distance: int, length: int, sink: InflateSink) -> None:
        """Copy `length` bytes from `distance` back; the copy may overlap what it makes, and the window's end."""
        window = self.window
        origin = self.fill - distance
        if origin < 0:
            origin += WINDOW
        while length > 0:
            part = min(length, WINDOW - self.fill, WINDOW - origin)
            if part > distance:
                part = distance
            fill = self.fill
            span = span_of(window)
            span[fill : fill + part].copy_from(span[origin : origin + part])
            self.fill = fill + part
            origin += part
            if origin == WINDOW:
                origin = 0
            length -= part
            if self.fill == WINDOW:
                self._flush(sink)

    def _flush(self, sink: InflateSink) -> None:
        if self.fill > self.flushed:
            part = span_of(self.window)[self.flushed : self.fill]
            self.crc = crc32(part, self.crc)
            self.total += self.fill - self.flushed
            self.flushed = self.fill
            sink.accept(part)
        if self.fill == WINDOW:
            self.fill = 0
            self.flushed = 0
