"""From the kernel's return addresses to Python frames: the reader of the image's line table (compiler/lines.py
describes it).

A chain of frame pointers gives the return addresses; the table gives for each the functions that were inlined there,
with file and line. Printed as Python prints tracebacks, most recent call last.

Context: any, and with the heap in any state: nothing is allocated. One processor at a time.
Safety: reads the table between the symbols that the linker set, with every offset checked against its end, and the two
words at a frame pointer only where the pointer lies inside the given stack, aligned, mapped, and above the last one. A
damaged table ends a search; it is never followed out of bounds.
"""

from typing import Final

from arch import is_mapped
from kernel.lang import Span, final, span_of, u8
from kernel.lang.unsafe import load_i64, load_u8, load_u32, span_at, symbol_address

_MAGIC: Final = 0x4E494C4B
_HEADER_BYTES: Final = 48
_BLOCK_BYTES: Final = 8
_SCOPE_BYTES: Final = 6
_FUNCTION_BYTES: Final = 8
BLOCK_ROWS: Final = 64
_FRAME_LIMIT: Final = 64
_INLINE_LIMIT: Final = 32
_NAME_LIMIT: Final = 256
_CHANGES_LINE: Final = 2  # bits of a row's first number
_CHANGES_SCOPE: Final = 1
_STEP_SHIFT: Final = 2


class TextSink:
    """Receives the text. Base class."""

    def write(self, text: Span[u8]) -> None:
        """Show it, whatever state the kernel is in."""


@final
class LineTable:
    """The table in the image."""

    def __init__(self) -> None:
        self.start: int = 0
        self.size: int = 0
        self.base: int = 0
        self.block_count: int = 0
        self.blocks: int = 0
        self.scope_count: int = 0
        self.scopes: int = 0
        self.functions: int = 0
        self.row_count: int = 0
        self.rows: int = 0
        self.strings: int = 0
        # From the row that `find` found.
        self.line: int = 0
        self.scope: int = 0
        # Where `_number` reads.
        self.cursor: int = 0
        self.addresses: list[int] = [0] * _FRAME_LIMIT
        self.chain_scope: list[int] = [0] * _INLINE_LIMIT
        self.chain_line: list[int] = [0] * _INLINE_LIMIT
        self.digits: bytearray = bytearray(24)

    def open(self) -> bool:
        """Whether the image has a table."""
        start = symbol_address("__krait_lines_start")
        size = symbol_address("__krait_lines_end") - start
        if size < _HEADER_BYTES or load_u32(start) != _MAGIC:
            return False
        self.start = start
        self.size = min(size, load_u32(start + 4))
        self.block_count = load_u32(start + 8)
        self.blocks = load_u32(start + 12)
        self.scope_count = load_u32(start + 16)
        self.scopes = load_u32(start + 20)
        self.row_count = load_u32(start + 24)
        self.rows = load_u32(start + 28)
        self.functions = load_u32(start + 32)
        self.strings = load_u32(start + 36)
        self.base = load_i64(start + 40)
        return True

    def word(self, offset: int) -> int:
        """A 32-bit word, 0 outside the table."""
        if offset < 0 or offset > self.size - 4:
            return 0
        return load_u32(self.start + offset)

    def half(self, offset: int) -> int:
        """A 16-bit word."""
        if offset < 0 or offset > self.size - 2:
            return 0
        return load_u8(self.start + offset) | load_u8(self.start + offset + 1) << 8

    def find(self, address: int) -> bool:
        """Look an address up: sets `line` and `scope`. False if no Python code is there."""
        relative = address - self.base
        if relative < 0 or relative >= 1 << 32:
            return False
        low = 0
        high = self.block_count
        while low < high:
            middle = (low + high) // 2
            if self.word(self.blocks + middle * _BLOCK_BYTES) <= relative:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return False
        self.cursor = self.rows + self.word(self.blocks + (low - 1) * _BLOCK_BYTES + 4)
        place = self.word(self.blocks + (low - 1) * _BLOCK_BYTES)
        line = 0
        scope = 0
        found = False
        for _ in range(min(BLOCK_ROWS, self.row_count - (low - 1) * BLOCK_ROWS)):
            first = self._number()
            place += first >> _STEP_SHIFT
            if self.cursor > self.size or place > relative:
                break
            if first & _CHANGES_LINE != 0:
                line += _signed(self._number())
            if first & _CHANGES_SCOPE != 0:
                scope += _signed(self._number())
            found = True
            self.line = line
            self.scope = scope
        return found and 0 < self.scope < self.scope_count

    def read_block(self, number: int, places: list[int], scopes: list[int]) -> int:
        """Read the places and scopes of a block's rows; returns how many. The lists have room for BLOCK_ROWS."""
        self.cursor = self.rows + self.word(self.blocks + number * _BLOCK_BYTES + 4)
        place = self.word(self.blocks + number * _BLOCK_BYTES)
        scope = 0
        count = 0
        for row in range(min(BLOCK_ROWS, self.row_count - number * BLOCK_ROWS)):
            first = self._number()
            place += first >> _STEP_SHIFT
            if first & _CHANGES_LINE != 0:
                self._number()
            if self.cursor > self.size:
                break
            if first & _CHANGES_SCOPE != 0:
                scope += _signed(self._number())
            places[row] = self.base + place
            scopes[row] = scope
            count += 1
        return count

    def whole(self, scope: int) -> int:
        """The scope of the function that an inlined one is part of; 0 if there is none."""
        for _ in range(_INLINE_LIMIT):
            if not 0 < scope < self.scope_count:
                return 0
            parent = self._parent(scope)
            if parent == 0:
                return scope
            scope = parent
        return 0

    def _parent(self, scope: int) -> int:
        """The scope into which one is inlined; 0 if there is none."""
        distance = self.half(self.scopes + scope * _SCOPE_BYTES + 4)
        return scope - distance if distance != 0 else 0

    def _number(self) -> int:
        value = 0
        shift = 0
        while self.cursor < self.size and shift < 35:
            byte = load_u8(self.start + self.cursor)
            self.cursor += 1
            value |= (byte & 0x7F) << shift
            if byte & 0x80 == 0:
                return value
            shift += 7
        self.cursor = self.size + 1
        return 0

    def text(self, offset: int) -> Span[u8]:
        """A string of the table."""
        start = offset
        end = start
        while 0 <= end < self.size and end - start < _NAME_LIMIT and load_u8(self.start + end) != 0:
            end += 1
        return span_at(self.start + start, end - start)

    def function_text(self, scope: int, which: int) -> Span[u8]:
        """A function's name (`which` 0) or its file's (1)."""
        function = self.half(self.scopes + scope * _SCOPE_BYTES)
        return self.text(self.strings + self.word(self.functions + function * _FUNCTION_BYTES + 4 * which))

    def inlined(self, address: int) -> int:
        """How many functions are at an address: those inlined there and the one that they are part of. Sets
        `chain_scope` and `chain_line`, innermost first. 0 if the table knows nothing of it.
        """
        if not self.find(address):
            return 0
        depth = 0
        scope = self.scope
        line = self.line
        while 0 < scope < self.scope_count and depth < _INLINE_LIMIT:
            self.chain_scope[depth] = scope
            self.chain_line[depth] = line
            depth += 1
            line = self.half(self.scopes + scope * _SCOPE_BYTES + 2)
            scope = self._parent(scope)
        return depth

    def follow(self, count: int, rbp: int, stack_low: int, stack_high: int) -> int:
        """Add the callers to the first `count` of `addresses`; returns how many there are then."""
        frame = rbp
        low = stack_low
        while count < _FRAME_LIMIT and low <= frame <= stack_high - 16 and frame & 7 == 0 and is_mapped(frame):
            target = load_i64(frame + 8)
            if target == 0:
                break
            self.addresses[count] = target - 1  # the address of the call itself
            count += 1
            low = frame + 16
            frame = load_i64(frame)
        return count

    def number_text(self, value: int, base: int) -> Span[u8]:
        """A number that is not negative in digits, valid until the next call."""
        digits = self.digits
        place = len(digits)
        while True:
            place -= 1
            digit = value % base
            digits[place] = digit + ord("0") if digit < 10 else digit - 10 + ord("a")
            value //= base
            if value == 0 or place == 0:
                break
        return span_of(digits)[place : len(digits)]


_TABLE: Final = LineTable()


def _signed(value: int) -> int:
    return -(value >> 1) - 1 if value & 1 != 0 else value >> 1


def write_text(sink: TextSink, text: bytes) -> None:
    """A constant text."""
    sink.write(span_of(text))


def write_number(sink: TextSink, value: int) -> None:
    """A number in decimal."""
    if value < 0:
        write_text(sink, b"-")
        value = -value if value > -(1 << 63) else 0
    sink.write(_TABLE.number_text(value, 10))


def write_address(sink: TextSink, address: int) -> None:
    """An address in hexadecimal, 16 digits."""
    write_text(sink, b"0x")
    for shift in range(60, -4, -4):
        sink.write(_TABLE.number_text(address >> shift & 15, 16))


def write_traceback(sink: TextSink, rip: int, caller: int, rbp: int, stack_low: int, stack_high: int) -> None:
    """Write the Python frames of an instruction, of where its function returns to if that has no frame on the stack
    (else 0), and of the chain of frames that begins at a frame pointer; `stack_low` is the stack pointer.
    """
    has_table = _TABLE.open()
    addresses = _TABLE.addresses
    addresses[0] = rip
    count = 1
    if caller != 0:
        addresses[count] = caller - 1
        count += 1
    elif has_table and not _TABLE.find(rip) and stack_low & 7 == 0 and is_mapped(stack_low):
        # Assembly without a frame, or a jump through a null function: the return address is on top of the stack.
        caller = load_i64(stack_low) - 1
        if _TABLE.find(caller):
            addresses[count] = caller
            count += 1
    count = _TABLE.follow(count, rbp, stack_low, stack_high)
    write_text(sink, b"Traceback (most recent call last):\r\n")
    while count > 0:
        count -= 1
        if not has_table or not _write_frames(sink, addresses[count]):
            write_text(sink, b"  at ")
            write_address(sink, addresses[count])
            write_text(sink, b"\r\n")


def _write_frames(sink: TextSink, address: int) -> bool:
    """The frames of one address, outermost first; False if the table knows nothing of it."""
    table = _TABLE
    depth = table.inlined(address)
    if depth == 0:
        return False
    while depth > 0:
        depth -= 1
        write_text(sink, b'  File "')
        sink.write(table.function_text(table.chain_scope[depth], 1))
        write_text(sink, b'", line ')
        write_number(sink, table.chain_line[depth])
        write_text(sink, b", in ")
        sink.write(table.function_text(table.chain_scope[depth], 0))
        write_text(sink, b"\r\n")
    return True
