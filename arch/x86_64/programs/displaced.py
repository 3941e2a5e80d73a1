"""Instructions in whose place a breakpoint stands: what they are. displaced_step.py gets a program past them.

The instruction runs elsewhere: a copy of it lies in a page of the program's (a slot), where the processor makes one
step. Then the program goes on behind the original, or where that would have led. A copy that names memory by the
instruction pointer names it by a register, which has that value during the step. Jumps and calls to fixed places, and
what compilers put at the begin of functions, need no step.

Refused are instructions that Linux refuses, and two that a step does not end at once: those which change SS.

Deviation from Linux: SYSCALL is refused.

Context: any that may allocate.
Source: Intel SDM vol. 2, chapter 2 and appendix A.
"""

from typing import Final

from kernel.lang import Errno, final

SLOT_BYTES: Final = 16
BREAKPOINT_CODE: Final = 0xCC  # one byte

_ENOTSUPP: Final = 524
# How to get past it
BY_STEP: Final = 0
NOTHING: Final = 1
PUSH: Final = 2
JUMP: Final = 3
CALL: Final = 4
BRANCH: Final = 5
# What a step leaves to do
RELATIVE: Final = 0  # it goes on as far from the original as it would from the copy
ABSOLUTE: Final = 1  # where it leads is no matter of where it lies
CALLS: Final = 2  # … and it left the wrong return address
PUSHES_FLAGS: Final = 3
SETS_FLAGS: Final = 4

NO_REGISTER: Final = -1
_SCRATCH: Final[list[int]] = [6, 7, 3]  # RSI, RDI, RBX: no instruction uses them unnamed together with memory
_WIDE: Final = 8  # bits of REX
_BASE: Final = 1


@final
class _Reader:
    """The bytes of an instruction; 0 behind them."""

    def __init__(self, code: bytes) -> None:
        self.code: bytes = code
        self.at: int = 0

    def peek(self) -> int:
        return self.code[self.at] if self.at < len(self.code) else 0

    def next(self) -> int:
        byte = self.peek()
        self.at += 1
        return byte

    def signed(self, at: int, size: int) -> int:
        """A number with a sign."""
        value = 0
        for index in range(size):
            if at + index < len(self.code):
                value |= self.code[at + index] << 8 * index
        return value - (1 << 8 * size) if value >> 8 * size - 1 != 0 else value


@final
class Displaced:
    """One instruction. Treat as immutable once it was analysed."""

    def __init__(self) -> None:
        self.code: bytes = b""  # the copy
        self.length: int = 0
        self.how: int = BY_STEP
        self.after: int = RELATIVE
        self.number: int = 0  # of a register that is pushed, or of a condition
        self.distance: int = 0  # of a jump
        self.scratch: int = NO_REGISTER  # has the instruction pointer's value during a step


def analyse(code: bytes) -> Displaced:
    """The instruction with which `code` begins. Raises ENOTSUPP for one that cannot be displaced, MemoryError."""
    reader = _Reader(code)
    has_small_operand = False
    has_small_address = False
    while True:
        prefix = reader.peek()
        if prefix in (0x26, 0x2E, 0x36, 0x3E, 0xF0):
            raise Errno(_ENOTSUPP)
        if prefix not in (0x64, 0x65, 0x66, 0x67, 0xF2, 0xF3):
            break
        has_small_operand = has_small_operand or prefix == 0x66
        has_small_address = has_small_address or prefix == 0x67
        reader.at += 1
        if reader.at >= SLOT_BYTES:
            raise Errno(_ENOTSUPP)
    rex_at = -1
    rex = 0
    if reader.peek() & 0xF0 == 0x40:
        rex_at = reader.at
        rex = reader.next()
    found = Displaced()
    opcode = reader.next()
    vector_register = -1  # that VEX names beside the others
    prefix_at = -1
    has_operand = False
    immediate = 0
    if opcode in (0xC4, 0xC5, 0x62):
        prefix_at = reader.at
        group = 1
        if opcode == 0xC5:
            last = reader.next()
        else:
            group = reader.next() & (0x1F if opcode == 0xC4 else 7)
            last = reader.next()
            if opcode == 0x62:
                reader.at += 1
        vector_register = ~(last >> 3) & 7
        inner = reader.next()
        has_operand = not (group == 1 and inner == 0x77)
        if group == 3 or (group == 1 and (0x70 <= inner <= 0x73 or inner in (0xC2, 0xC4, 0xC5, 0xC6))):
            immediate = 1
        if opcode == 0xC5:
            prefix_at = -1  # it cannot name a base
    elif opcode == 0x0F:
        opcode = reader.next()
        if opcode == 0x38 or opcode == 0x3A:
            reader.at += 1
            has_operand = True
            immediate = 1 if opcode == 0x3A else 0
        else:
            has_operand, immediate = _two_bytes(found, opcode, has_small_operand)
    else:
        has_operand, immediate = _one_byte(found, opcode, rex, has_small_operand, has_small_address)
        if opcode in (0xF6, 0xF7) and reader.peek() >> 3 & 7 < 2:
            immediate = 1 if opcode == 0xF6 else 2 if has_small_operand else 4
        if opcode == 0xFF:
            _far(found, reader.peek() >> 3 & 7)
        if opcode == 0x8E and reader.peek() >> 3 & 7 == 2:
            raise Errno(_ENOTSUPP)  # SS: the step would take the next instruction, too
    operand_at = reader.at
    is_relative = has_operand and _operand(reader, has_small_address)
    if has_operand and found.how == NOTHING:
        immediate = 0
    if found.how >= JUMP:
        found.distance = reader.signed(reader.at, immediate)
    found.length = reader.at + immediate
    if found.length > min(len(code), SLOT_BYTES - 1):
        raise Errno(_ENOTSUPP)
    copy = bytearray(code[: found.length])
    if is_relative:
        kept = copy[operand_at] >> 3 & 7
        for number in _SCRATCH:
            if found.scratch == NO_REGISTER and number != kept and number != vector_register:
                found.scratch = number
        copy[operand_at] = copy[operand_at] & 0x38 | 0x80 | found.scratch
        if rex_at >= 0:
            copy[rex_at] &= ~_BASE & 0xFF
        if prefix_at >= 0:
            copy[prefix_at] |= 0x20  # no extension of the base
    while len(copy) < SLOT_BYTES:
        copy.append(BREAKPOINT_CODE)
    found.code = bytes(copy)
    return found


def _operand(reader: _Reader, has_small_address: bool) -> bool:
    """Pass over an operand and its displacement; whether it is relative to the instruction pointer."""
    byte = reader.next()
    kind = byte >> 6
    base = byte & 7
    if kind == 3:
        return False
    if base == 4:
        scaled = reader.next()
        if kind == 0 and scaled & 7 == 5:
            reader.at += 4
    elif kind == 0 and base == 5:
        if has_small_address:
            raise Errno(_ENOTSUPP)
        reader.at += 4
        return True
    reader.at += 1 if kind == 1 else 4 if kind == 2 else 0
    return False


def _one_byte(
    found: Displaced, opcode: int, rex: int, has_small_operand: bool, has_small_address: bool
) -> tuple[bool, int]:
    """Of an opcode: whether it has an operand, and how many bytes follow that. Raises ENOTSUPP."""
    whole = 2 if has_small_operand else 4
    if opcode < 0x40:
        if opcode & 7 > 5 or opcode in (0x0E, 0x16, 0x1E):
            raise Errno(_ENOTSUPP)
        return opcode & 7 < 4, 1 if opcode & 7 == 4 else whole if opcode & 7 == 5 else 0
    if opcode < 0x60:
        if opcode < 0x50:
            raise Errno(_ENOTSUPP)  # a second REX
        if opcode < 0x58 and not has_small_operand:
            found.how = PUSH
            found.number = opcode & 7 | (8 if rex & _BASE != 0 else 0)
        return False, 0
    if 0x70 <= opcode < 0x80 or 0xE0 <= opcode < 0xE4 or opcode in (0xE8, 0xE9, 0xEB):
        if has_small_operand:
            raise Errno(_ENOTSUPP)
        if opcode < 0x80:
            found.how = BRANCH
            found.number = opcode & 0xF
        elif opcode >= 0xE8:
            found.how = CALL if opcode == 0xE8 else JUMP
        return False, 4 if opcode in (0xE8, 0xE9) else 1
    if opcode in (0x60, 0x61, 0x82, 0x9A, 0xCC, 0xCD, 0xCE, 0xCF, 0xD4, 0xD5, 0xD6, 0xEA, 0xF1, 0xF4, 0xFA, 0xFB):
        raise Errno(_ENOTSUPP)
    if 0x6C <= opcode < 0x70 or 0xE4 <= opcode < 0xF0:
        raise Errno(_ENOTSUPP)  # ports
    if opcode == 0x90 and rex & _BASE == 0:
        found.how = NOTHING
    if opcode in (0xC2, 0xC3, 0xCA, 0xCB):
        found.after = ABSOLUTE
    elif opcode == 0x9C:
        found.after = PUSHES_FLAGS
    elif opcode == 0x9D:
        found.after = SETS_FLAGS
    if opcode in (0x68, 0xA9):
        return False, whole
    if opcode in (0x6A, 0xA8) or 0xB0 <= opcode < 0xB8:
        return False, 1
    if opcode in (0x69, 0x81, 0xC7):
        return True, whole
    if opcode in (0x6B, 0x80, 0x83, 0xC0, 0xC1, 0xC6):
        return True, 1
    if 0xB8 <= opcode < 0xC0:
        return False, 8 if rex & _WIDE != 0 else whole
    if 0xA0 <= opcode < 0xA4:
        return False, 4 if has_small_address else 8
    if opcode in (0xC2, 0xCA):
        return False, 2
    if opcode == 0xC8:
        return False, 3
    has_operand = opcode == 0x63 or 0x84 <= opcode < 0x90 or 0xD0 <= opcode < 0xD4 or 0xD8 <= opcode < 0xE0
    return has_operand or opcode in (0xF6, 0xF7, 0xFE, 0xFF), 0


def _two_bytes(found: Displaced, opcode: int, has_small_operand: bool) -> tuple[bool, int]:
    """The same of one after 0F."""
    if 0x80 <= opcode < 0x90:
        if has_small_operand:
            raise Errno(_ENOTSUPP)
        found.how = BRANCH
        found.number = opcode & 0xF
        return False, 4
    if opcode in (0x04, 0x05, 0x07, 0x0A, 0x0C, 0x0E, 0x0F) or 0x24 <= opcode < 0x28:
        raise Errno(_ENOTSUPP)
    if opcode in (0x30, 0x32) or 0x34 <= opcode < 0x38:
        raise Errno(_ENOTSUPP)
    if opcode in (0x39, 0xA6, 0xA7, 0xAA) or 0x3B <= opcode < 0x40:
        raise Errno(_ENOTSUPP)
    if opcode in (0x1E, 0x1F):
        found.how = NOTHING  # ENDBR64 too
        return True, 0
    if 0x70 <= opcode < 0x74 or opcode in (0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6):
        return True, 1
    if opcode in (0x06, 0x08, 0x09, 0x0B, 0x31, 0x33, 0x77, 0xA0, 0xA1, 0xA2, 0xA8, 0xA9) or 0xC8 <= opcode < 0xD0:
        return False, 0
    return True, 0


def _far(found: Displaced, kind: int) -> None:
    """Of opcode FF: calls and jumps by a pointer."""
    if kind == 2:
        found.after = CALLS
    elif 3 <= kind <= 5:
        found.after = ABSOLUTE
