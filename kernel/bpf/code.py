"""Instructions of BPF, as RFC 9669 numbers them, and a program as an array of them.

An instruction has eight bytes: operation, registers (the source in the upper half), offset (signed), constant (signed).
A constant of 64 bits takes two.

Context: any; nothing raises or allocates.
Source: RFC 9669.
"""

from typing import Final

from kernel.lang import final, span_of

INSTRUCTION_SIZE: Final = 8

# Classes: the low three bits of an operation.
LD: Final = 0
LDX: Final = 1
ST: Final = 2
STX: Final = 3
ALU: Final = 4
JMP: Final = 5
JMP32: Final = 6
ALU64: Final = 7

FROM_REGISTER: Final = 8  # BPF_X: the second operand is a register

# Sizes and modes of loads and stores.
WORD: Final = 0x00
HALF: Final = 0x08
BYTE: Final = 0x10
DOUBLE: Final = 0x18
IMMEDIATE: Final = 0x00
ABSOLUTE: Final = 0x20
INDIRECT: Final = 0x40
MEMORY: Final = 0x60
MEMORY_SIGNED: Final = 0x80
ATOMIC: Final = 0xC0

LOAD_CONSTANT: Final = 0x18  # LD, IMMEDIATE, DOUBLE

# Arithmetic: the upper four bits.
ADD: Final = 0x00
SUB: Final = 0x10
MUL: Final = 0x20
DIV: Final = 0x30
OR: Final = 0x40
AND: Final = 0x50
LSH: Final = 0x60
RSH: Final = 0x70
NEG: Final = 0x80
MOD: Final = 0x90
XOR: Final = 0xA0
MOV: Final = 0xB0
ARSH: Final = 0xC0
END: Final = 0xD0

# Jumps.
JA: Final = 0x00
JEQ: Final = 0x10
JGT: Final = 0x20
JGE: Final = 0x30
JSET: Final = 0x40
JNE: Final = 0x50
JSGT: Final = 0x60
JSGE: Final = 0x70
CALL: Final = 0x80
EXIT: Final = 0x90
JLT: Final = 0xA0
JLE: Final = 0xB0
JSLT: Final = 0xC0
JSLE: Final = 0xD0

JUMP_FAR: Final = 0x06  # JMP32 with JA: its constant is the distance
CALL_CODE: Final = 0x85
OF_FUNCTION: Final = 1  # the source register of a call of a function of the program
MOST_FRAMES: Final = 8  # functions at work at once
EXIT_CODE: Final = 0x95

# Atomic operations, in the constant.
FETCH: Final = 0x01
EXCHANGE: Final = 0xE1
COMPARE_EXCHANGE: Final = 0xF1

# The source register of LOAD_CONSTANT gives the kind of its constant.
PLAIN: Final = 0
MAP_DESCRIPTOR: Final = 1
MAP_VALUE_AT: Final = 2
# … and in resolved programs: the constant is an index of the program's list of maps.
FRAME: Final = 10  # the register that points to the end of the stack
REGISTERS: Final = 11
ARGUMENTS: Final = 5  # of a function, in the registers from 1 on
STACK_SIZE: Final = 512

# Program types.
SOCKET_FILTER: Final = 1
TRACEPOINT: Final = 5
PERF_EVENT: Final = 7
CGROUP_SKB: Final = 8
CGROUP_SOCK: Final = 9
CGROUP_DEVICE: Final = 15
RAW_TRACEPOINT: Final = 17
CGROUP_SOCK_ADDR: Final = 18


def size_of(operation: int) -> int:
    """How many bytes a load or store moves: 1, 2, 4 or 8."""
    size = operation & 0x18
    if size == WORD:
        return 4
    if size == HALF:
        return 2
    return 1 if size == BYTE else 8


@final
class Code:
    """A program's instructions."""

    def __init__(self, instructions: bytes) -> None:
        self.instructions: bytes = instructions
        self.count: int = len(instructions) // INSTRUCTION_SIZE

    def operation(self, at: int) -> int:
        return self.instructions[at * INSTRUCTION_SIZE]

    def destination(self, at: int) -> int:
        return self.instructions[at * INSTRUCTION_SIZE + 1] & 15

    def source(self, at: int) -> int:
        return self.instructions[at * INSTRUCTION_SIZE + 1] >> 4

    def offset(self, at: int) -> int:
        """-32768 to 32767."""
        value = span_of(self.instructions).load_u16(at * INSTRUCTION_SIZE + 2)
        return value - 0x1_0000 if value >= 0x8000 else value

    def constant(self, at: int) -> int:
        """-2**31 to 2**31-1."""
        value = span_of(self.instructions).load_u32(at * INSTRUCTION_SIZE + 4)
        return value - (1 << 32) if value >= 1 << 31 else value

    def wide_constant(self, at: int) -> int:
        """Of an instruction that takes two places: 64 bits, signed."""
        return self.constant(at + 1) << 32 | (self.constant(at) & 0xFFFF_FFFF)

    def is_function_call(self, at: int) -> bool:
        """Whether it calls a function of the program, at `call_target`."""
        return self.operation(at) == CALL_CODE and self.source(at) == OF_FUNCTION

    def call_target(self, at: int) -> int:
        return at + 1 + self.constant(at)

    def target(self, at: int) -> int:
        """The target of a jump."""
        if self.operation(at) == JUMP_FAR:
            return at + 1 + self.constant(at)
        return at + 1 + self.offset(at)
