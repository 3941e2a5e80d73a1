"""Classic BPF: small programs that filter a piece of data, a packet (SO_ATTACH_FILTER) or a system call (seccomp(2)).

A program is checked before it is used: every instruction is known, jumps go forwards and stay inside, the last
instruction returns, scratch memory is inside its 16 words and stored before it is loaded, no constant divides by zero.
So running one always ends, and takes no more steps than it has instructions. A load outside the data ends it with
result 0, and so does a division by a register that is zero.

Context: checking may raise MemoryError; running never raises, sleeps or allocates.
Source: McCanne and Jacobson, The BSD Packet Filter (1993); bpf(4) of the BSDs; Linux's networking/filter documentation.
"""

from typing import Final, Literal

from kernel.lang import EINVAL, Array, Errno, Span, span_of, u8
from kernel.lib.pace import pace

MOST_INSTRUCTIONS: Final = 4096
INSTRUCTION_SIZE: Final = 8  # struct sock_filter
_CHECK_COST: Final = 150  # instructions to check one of the program's, twice
_SCRATCH: Final = 16
_WORD: Final = 0xFFFF_FFFF
_ALL_SCRATCH: Final = 0xFFFF

# Classes: the low three bits of a code.
LD: Final = 0
LDX: Final = 1
ST: Final = 2
STX: Final = 3
ALU: Final = 4
JMP: Final = 5
RET: Final = 6
MISC: Final = 7

# Whole codes that have to be distinguished.
LD_WORD_ABSOLUTE: Final = 0x20
LD_SCRATCH: Final = 0x60
LDX_SCRATCH: Final = 0x61
JUMP_ALWAYS: Final = 0x05
RET_CONSTANT: Final = 0x06
RET_ACCUMULATOR: Final = 0x16
_TAX: Final = 0x07
_DIVIDE: Final = 3
_MODULO: Final = 9

# Addresses from here on are not addresses in the data (SKF_LL_OFF, SKF_NET_OFF, SKF_AD_OFF).
BEYOND: Final = 0xFFE0_0000


class Subject:
    """What a program can ask about its data, beyond the bytes. The base class answers nothing."""

    def ask(self, question: int, size: int) -> int:
        """A word (size 0), half (1) or byte (2) at an address from BEYOND up; -1 if there is none."""
        return -1


def _known_codes() -> list[bool]:
    """The codes of instructions. Runs at build time."""
    codes = [0x00, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80]  # ld: immediate, absolute, indirect, scratch, length
    codes += [0x01, 0x61, 0x81, 0xB1]  # ldx: immediate, scratch, length, an IPv4 header's length
    codes += [0x02, 0x03, 0x05, 0x06, 0x16, 0x07, 0x87, 0x84]  # st, stx, ja, ret, tax, txa, neg
    for source in (0, 8):
        codes += [operation << 4 | source | ALU for operation in (0, 1, 2, 3, 4, 5, 6, 7, 9, 10)]
        codes += [comparison << 4 | source | JMP for comparison in (1, 2, 3, 4)]
    return [code in codes for code in range(256)]


_KNOWN: Final[list[bool]] = _known_codes()


class Program:
    """A checked program: an array of struct sock_filter (code u16, jumps u8 and u8, constant u32)."""

    def __init__(self, instructions: bytes) -> None:
        """EINVAL for an invalid program."""
        self.program: bytes = instructions
        count = len(instructions) // INSTRUCTION_SIZE
        if count == 0 or count > MOST_INSTRUCTIONS or len(instructions) % INSTRUCTION_SIZE != 0:
            raise Errno(EINVAL)
        for index in range(count):
            self._check(index, count)
            pace(_CHECK_COST)
        if self.code(count - 1) & 7 != RET:
            raise Errno(EINVAL)
        self._check_scratch(count)

    # An instruction's parts ---------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.program) // INSTRUCTION_SIZE

    def code(self, index: int) -> int:
        """The operation."""
        return span_of(self.program).load_u16(index * INSTRUCTION_SIZE)

    def if_true(self, index: int) -> int:
        """How many instructions a comparison that holds skips."""
        return self.program[index * INSTRUCTION_SIZE + 2]

    def if_false(self, index: int) -> int:
        """The same for one that does not hold."""
        return self.program[index * INSTRUCTION_SIZE + 3]

    def constant(self, index: int) -> int:
        """The operand in the instruction."""
        return span_of(self.program).load_u32(index * INSTRUCTION_SIZE + 4)

    # Checking -----------------------------------------------------------------------------------------------------

    def _check(self, index: int, count: int) -> None:
        code = self.code(index)
        value = self.constant(index)
        if code > 0xFF or not _KNOWN[code]:
            raise Errno(EINVAL)
        kind = code & 7
        if code == LD_SCRATCH or code == LDX_SCRATCH or kind == ST or kind == STX:
            if value >= _SCRATCH:
                raise Errno(EINVAL)
        elif kind == ALU and code & 8 == 0:
            operation = code >> 4
            if value == 0 and (operation == _DIVIDE or operation == _MODULO):
                raise Errno(EINVAL)
            if value >= 32 and (operation == 6 or operation == 7):  # shifts
                raise Errno(EINVAL)
        elif code == JUMP_ALWAYS:
            if value >= count - index - 1:
                raise Errno(EINVAL)
        elif kind == JMP:
            if index + 1 + self.if_true(index) >= count or index + 1 + self.if_false(index) >= count:
                raise Errno(EINVAL)

    def _check_scratch(self, count: int) -> None:
        """Check that every word of scratch memory is stored on each path before it is loaded: it would otherwise reveal
        what other programs left.
        """
        stored_at = [_ALL_SCRATCH] * count  # what is stored on all paths to a jump target
        stored = 0
        for index in range(count):
            stored &= stored_at[index]
            code = self.code(index)
            kind = code & 7
            if kind == ST or kind == STX:
                stored |= 1 << self.constant(index)
            elif code == LD_SCRATCH or code == LDX_SCRATCH:
                if stored >> self.constant(index) & 1 == 0:
                    raise Errno(EINVAL)
            elif code == JUMP_ALWAYS:
                stored_at[index + 1 + self.constant(index)] &= stored
                stored = _ALL_SCRATCH
            elif kind == JMP:
                stored_at[index + 1 + self.if_true(index)] &= stored
                stored_at[index + 1 + self.if_false(index)] &= stored
                stored = _ALL_SCRATCH
            pace(_CHECK_COST)

    # Running ------------------------------------------------------------------------------------------------------

    def run(self, data: Span[u8], subject: Subject) -> int:
        """What the program returns for `data`."""
        accumulator = 0
        index = 0
        scratch: Array[int, Literal[16]] = Array()
        at = 0
        while True:
            code = self.code(at)
            value = self.constant(at)
            kind = code & 7
            if kind == LD:
                mode = code >> 5
                if mode == 0:
                    accumulator = value
                elif mode == 3:
                    accumulator = scratch[value]
                elif mode == 4:
                    accumulator = len(data)
                else:
                    offset = value if mode == 1 else (value + index) & _WORD
                    found = _load(data, subject, offset, code >> 3 & 3)
                    if found < 0:
                        return 0
                    accumulator = found
            elif kind == JMP:
                at += self._jump(at, accumulator, index)
            elif kind == RET:
                return accumulator if code == RET_ACCUMULATOR else value
            elif kind == LDX:
                mode = code >> 5
                if mode == 0:
                    index = value
                elif mode == 3:
                    index = scratch[value]
                elif mode == 4:
                    index = len(data)
                else:
                    found = _load(data, subject, value, 2)
                    if found < 0:
                        return 0
                    index = (found & 0xF) * 4
            elif kind == ST:
                scratch[value] = accumulator
            elif kind == STX:
                scratch[value] = index
            elif kind == ALU:
                operand = index if code & 8 != 0 else value
                if operand == 0 and (code >> 4 == _DIVIDE or code >> 4 == _MODULO):
                    return 0
                accumulator = _compute(code >> 4, accumulator, operand)
            elif code == _TAX:
                index = accumulator
            else:
                accumulator = index
            at += 1

    def _jump(self, at: int, accumulator: int, index: int) -> int:
        """How many instructions a jump skips."""
        code = self.code(at)
        value = self.constant(at)
        comparison = code >> 4
        if comparison == 0:
            return value
        operand = index if code & 8 != 0 else value
        if comparison == 1:
            holds = accumulator == operand
        elif comparison == 2:
            holds = accumulator > operand
        elif comparison == 3:
            holds = accumulator >= operand
        else:
            holds = accumulator & operand != 0
        return self.if_true(at) if holds else self.if_false(at)


def _load(data: Span[u8], subject: Subject, offset: int, size: int) -> int:
    """A word (size 0), half (1) or byte (2) in network order; -1 if it is outside."""
    if offset >= BEYOND:
        return subject.ask(offset, size)
    width = 4 >> size
    if offset + width > len(data):
        return -1
    if size == 0:
        return data.load_be32(offset)
    return data.load_be16(offset) if size == 1 else data[offset]


def _compute(operation: int, a: int, b: int) -> int:
    if operation == 0:
        return (a + b) & _WORD
    if operation == 1:
        return (a - b) & _WORD
    if operation == 2:
        # In two halves: the product of two words may need 64 bits.
        return (a * (b & 0xFFFF) + (a * (b >> 16) & 0xFFFF) * 0x1_0000) & _WORD
    if operation == 3:
        return a // b
    if operation == 4:
        return a | b
    if operation == 5:
        return a & b
    if operation == 6:
        return (a << (b & 31)) & _WORD
    if operation == 7:
        return a >> (b & 31)
    if operation == 8:
        return -a & _WORD
    if operation == 9:
        return a % b
    return a ^ b
