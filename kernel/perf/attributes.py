"""What a program asks of an event: struct perf_event_attr (perf_event_open(2)).

Programs bring the structure in the size that they know; fields that they do not know are 0, and fields that this kernel
does not know must be.

Context: system calls.
"""

from typing import Final

from arch import SAMPLED_REGISTERS
from kernel.lang import E2BIG, EINVAL, EOVERFLOW, Errno, Span, UserAddr, final, span_of, u8
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.perf.limits import STACK_LIMIT
from kernel.perf.words import load_word

TYPE_HARDWARE: Final = 0
TYPE_SOFTWARE: Final = 1
TYPE_TRACEPOINT: Final = 2
TYPE_BREAKPOINT: Final = 5
TYPE_UPROBE: Final = 7  # one of those that sysfs names

_FIRST_SIZE: Final = 64  # of the structure when it was new
SIZE: Final = 136
_MOST_SIZE: Final = 4096

# Bits of the word `flags`
DISABLED: Final = 1 << 0
INHERIT: Final = 1 << 1
PINNED: Final = 1 << 2
EXCLUSIVE: Final = 1 << 3
EXCLUDE_USER: Final = 1 << 4
EXCLUDE_KERNEL: Final = 1 << 5
EXCLUDE_IDLE: Final = 1 << 7
MMAP: Final = 1 << 8
COMM: Final = 1 << 9
FREQUENCY: Final = 1 << 10
INHERIT_STATISTICS: Final = 1 << 11
ENABLE_ON_EXEC: Final = 1 << 12
TASK: Final = 1 << 13
WATERMARK: Final = 1 << 14
MMAP_DATA: Final = 1 << 17
SAMPLE_ID_ALL: Final = 1 << 18
EXCLUDE_CHAIN_KERNEL: Final = 1 << 21
EXCLUDE_CHAIN_USER: Final = 1 << 22
MMAP2: Final = 1 << 23
COMM_EXEC: Final = 1 << 24
USE_CLOCK: Final = 1 << 25
CONTEXT_SWITCH: Final = 1 << 26
WRITE_BACKWARD: Final = 1 << 27
_NAMESPACES: Final = 1 << 28
AUX_OUTPUT: Final = 1 << 31
_BUILD_ID: Final = 1 << 34
INHERIT_THREAD: Final = 1 << 35
REMOVE_ON_EXEC: Final = 1 << 36
SIGNAL_TRAP: Final = 1 << 37
_RESERVED: Final = -(1 << 38)
# What a kernel without them calls reserved: records of namespaces and build ids.
_NOT_SERVED: Final = _NAMESPACES | _BUILD_ID

# Bits of `sample_type`: what a sample holds
SAMPLE_IP: Final = 1 << 0
SAMPLE_TID: Final = 1 << 1
SAMPLE_TIME: Final = 1 << 2
SAMPLE_ADDR: Final = 1 << 3
SAMPLE_READ: Final = 1 << 4
SAMPLE_CALLCHAIN: Final = 1 << 5
SAMPLE_ID: Final = 1 << 6
SAMPLE_CPU: Final = 1 << 7
SAMPLE_PERIOD: Final = 1 << 8
SAMPLE_STREAM_ID: Final = 1 << 9
SAMPLE_RAW: Final = 1 << 10
SAMPLE_BRANCH_STACK: Final = 1 << 11
SAMPLE_REGS_USER: Final = 1 << 12
SAMPLE_STACK_USER: Final = 1 << 13
SAMPLE_WEIGHT: Final = 1 << 14
SAMPLE_DATA_SRC: Final = 1 << 15
SAMPLE_IDENTIFIER: Final = 1 << 16
SAMPLE_TRANSACTION: Final = 1 << 17
SAMPLE_REGS_INTR: Final = 1 << 18
SAMPLE_PHYS_ADDR: Final = 1 << 19
_SAMPLE_AUX: Final = 1 << 20
SAMPLE_CGROUP: Final = 1 << 21
SAMPLE_DATA_PAGE_SIZE: Final = 1 << 22
SAMPLE_CODE_PAGE_SIZE: Final = 1 << 23
SAMPLE_WEIGHT_STRUCT: Final = 1 << 24
_SAMPLE_BITS: Final = (1 << 25) - 1
_SAMPLES_NOT_SERVED: Final = _SAMPLE_AUX

# Bits of `read_format`
FORMAT_ENABLED: Final = 1 << 0
FORMAT_RUNNING: Final = 1 << 1
FORMAT_ID: Final = 1 << 2
FORMAT_GROUP: Final = 1 << 3
FORMAT_LOST: Final = 1 << 4
_FORMAT_BITS: Final = (1 << 5) - 1

_BRANCH_BITS: Final = (1 << 20) - 1
_BRANCH_LEVELS: Final = 7
_MOST_STACK_DUMP: Final = 0xFFFF
_FIRST_VECTOR: Final = 32
_BYTE_COST: Final = 100  # instructions, for `pace`
_UNUSED_REGISTERS: Final = 0xFF  # after those that samples can hold, up to the vector registers


@final
class Attributes:
    """The structure, decoded. Treat as immutable but for what a method changes."""

    def __init__(self, data: Span[u8], size: int) -> None:
        """Raises EINVAL, EOVERFLOW: what no event can be asked for."""
        self.type: int = data.load_u32(0)
        self.size: int = size
        self.config: int = load_word(data, 8)
        self.sample_period: int = load_word(data, 16)  # or a frequency; negative: from 2**63 on
        self.sample_type: int = load_word(data, 24)
        self.read_format: int = load_word(data, 32)
        self.flags: int = load_word(data, 40)
        self.wakeup: int = data.load_u32(48)  # events, or bytes with WATERMARK
        self.place_kind: int = data.load_u32(52)  # of a breakpoint
        self.place: int = load_word(data, 56)
        self.place_length: int = load_word(data, 64)
        self.branches: int = load_word(data, 72)
        self.user_registers: int = load_word(data, 80)
        self.user_stack: int = data.load_u32(88)
        self.clock: int = data.load_u32(92)
        self.interrupted_registers: int = load_word(data, 96)
        self.signal_data: int = load_word(data, 120)
        self.most_callers: int = data.load_u16(108)
        reserved = data.load_u16(110) | data.load_u32(116)
        self._check(reserved)
        if self.most_callers == 0:
            self.most_callers = min(STACK_LIMIT.value, 0xFFFF)

    def has(self, flags: int) -> bool:
        """Whether any of these bits is set."""
        return self.flags & flags != 0

    def samples(self, what: int) -> bool:
        """Whether samples hold any of this."""
        return self.sample_type & what != 0

    def is_sampling(self) -> bool:
        """Whether it gives samples at all."""
        return self.sample_period != 0

    def _check(self, reserved: int) -> None:
        if reserved != 0 or self.flags & (_RESERVED | _NOT_SERVED) != 0:
            raise Errno(EINVAL)
        sample_type = self.sample_type
        if sample_type & (~_SAMPLE_BITS | _SAMPLES_NOT_SERVED) != 0 or self.read_format & ~_FORMAT_BITS != 0:
            raise Errno(EINVAL)
        if sample_type & SAMPLE_BRANCH_STACK != 0:
            if self.branches & ~_BRANCH_BITS != 0 or self.branches & ~_BRANCH_LEVELS == 0:
                raise Errno(EINVAL)
        if sample_type & SAMPLE_REGS_USER != 0 and not _are_registers(self.user_registers):
            raise Errno(EINVAL)
        if sample_type & SAMPLE_REGS_INTR != 0 and not _are_registers(self.interrupted_registers):
            raise Errno(EINVAL)
        if sample_type & SAMPLE_STACK_USER != 0 and (self.user_stack >= _MOST_STACK_DUMP or self.user_stack & 7 != 0):
            raise Errno(EINVAL)
        if sample_type & SAMPLE_WEIGHT != 0 and sample_type & SAMPLE_WEIGHT_STRUCT != 0:
            raise Errno(EINVAL)
        if not self.has(INHERIT) and self.has(INHERIT_THREAD):
            raise Errno(EINVAL)
        if self.has(SIGNAL_TRAP) and not self.has(REMOVE_ON_EXEC):
            raise Errno(EINVAL)
        if self.has(REMOVE_ON_EXEC) and self.has(ENABLE_ON_EXEC):
            raise Errno(EINVAL)

    def wants_vector_registers(self) -> bool:
        """Whether samples are to hold registers that only hardware counters report."""
        if self.samples(SAMPLE_REGS_INTR) and self.interrupted_registers >> _FIRST_VECTOR != 0:
            return True
        return self.samples(SAMPLE_REGS_USER) and self.user_registers >> _FIRST_VECTOR != 0

    def check_callers(self) -> None:
        """Whether samples may show that many callers. Raises EOVERFLOW."""
        if self.samples(SAMPLE_CALLCHAIN) and self.most_callers > STACK_LIMIT.value:
            raise Errno(EOVERFLOW)


def _are_registers(mask: int) -> bool:
    """Whether a set of registers is one that samples can hold."""
    if mask == 0 or mask >> len(SAMPLED_REGISTERS) & _UNUSED_REGISTERS != 0:
        return False
    for number in range(len(SAMPLED_REGISTERS)):
        if mask >> number & 1 != 0 and SAMPLED_REGISTERS[number] < 0:
            return False
    return True


def read_attributes(address: UserAddr) -> Attributes:
    """Take the structure from the running program. Raises EFAULT, EINVAL; E2BIG with the size that this kernel knows
    in the structure, where the program wants more.
    """
    size = user.read_u32(user.at(address, 4))
    if size == 0:
        size = _FIRST_SIZE
    if not _FIRST_SIZE <= size <= _MOST_SIZE or not _is_zero_from(address, SIZE, size):
        try:
            user.write_u32(user.at(address, 4), SIZE)
        except Errno:
            pass  # as on Linux: the program may not want to know
        raise Errno(E2BIG)
    data = bytearray(SIZE)
    user.read_into(span_of(data)[0 : min(size, SIZE)], address)
    return Attributes(span_of(data), size)


def _is_zero_from(address: UserAddr, start: int, end: int) -> bool:
    """Whether bytes of a structure say nothing. Raises EFAULT."""
    for offset in range(start, end):
        if user.read_u8(user.at(address, offset)) != 0:
            return False
        pace(_BYTE_COST)
    return True
