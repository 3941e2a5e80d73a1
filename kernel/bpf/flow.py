"""Checks of a program before it is explored: its instructions are whole and their unused fields 0, its
jumps stay inside, and each instruction can be reached. And the registers that are live at each place.

Context: takes safe points. May raise MemoryError.
Source: RFC 9669; bpf(2).
"""

from typing import Final

from kernel.bpf.code import (
    ALU,
    ALU64,
    CALL,
    CALL_CODE,
    EXIT,
    EXIT_CODE,
    FROM_REGISTER,
    INDIRECT,
    JA,
    JMP,
    JMP32,
    JUMP_FAR,
    LD,
    LDX,
    LOAD_CONSTANT,
    MAP_VALUE_AT,
    MEMORY,
    MEMORY_SIGNED,
    MOV,
    NEG,
    ST,
    STX,
    Code,
)
from kernel.bpf.log import Log
from kernel.lang import EINVAL, Errno, final
from kernel.lib.pace import pace

_LOOK_COST: Final = 150  # instructions of the processor for one of the program's
_ALL_LIVE: Final = 0x7FF
_ROUNDS: Final = 8
_ARGUMENTS: Final = 0x3E  # registers that a call may read
_CLOBBERED: Final = 0x3F
_CONTEXT_OF_LOOK: Final = 1 << 6  # where a load from a packet expects the context


def is_jump(code: Code, at: int) -> bool:
    """Whether an instruction may lead elsewhere than to the next one; EXIT and CALL do not count."""
    kind = code.operation(at) & 7
    if kind != JMP and kind != JMP32:
        return False
    what = code.operation(at) & 0xF0
    return what != CALL and what != EXIT


def is_straight(code: Code, at: int) -> bool:
    """Whether a jump is always taken."""
    return code.operation(at) == JMP | JA or code.operation(at) == JUMP_FAR


@final
class Flow:
    """How instructions follow each other."""

    def __init__(self, code: Code) -> None:
        self.code: Code = code
        self.joins: bytearray = bytearray(code.count)  # 1 where states are compared
        self.seconds: bytearray = bytearray(code.count)  # 1 in the middle of a wide instruction
        live: list[int] = []
        self.live: list[int] = live  # registers that may be read before they are set, a bit each

    def mark_seconds(self) -> None:
        """Find wide instructions. Raises EINVAL for one that is not whole."""
        at = 0
        while at < self.code.count:
            if self.code.operation(at) == LOAD_CONSTANT:
                if at + 1 < self.code.count:
                    self.seconds[at + 1] = 1
                at += 1
            at += 1
            pace(_LOOK_COST)

    def check_reach(self, log: Log) -> None:
        """Check that each instruction can be reached, and none in the middle of another. Raises EINVAL."""
        code = self.code
        reached = bytearray(code.count)
        waiting: list[int] = [0]
        while len(waiting) > 0:
            at = waiting.pop()
            while at < code.count and reached[at] == 0:
                pace(_LOOK_COST)
                reached[at] = 1
                if code.operation(at) == LOAD_CONSTANT:
                    if at + 1 < code.count:
                        reached[at + 1] = 1
                    at += 2
                    continue
                if is_jump(code, at):
                    target = code.target(at)
                    if self.seconds[target] != 0:
                        log.say(f"jump into the middle of ldimm64 insn {target - 1}")
                        raise Errno(EINVAL)
                    self.joins[target] = 1
                    if is_straight(code, at):
                        at = target
                        continue
                    waiting.append(target)
                elif code.is_function_call(at):
                    start = code.call_target(at)
                    if self.seconds[start] != 0:
                        log.say(f"jump into the middle of ldimm64 insn {start - 1}")
                        raise Errno(EINVAL)
                    self.joins[start] = 1
                    waiting.append(start)
                elif code.operation(at) == EXIT_CODE:
                    break
                at += 1
        for at in range(code.count):
            if reached[at] == 0:
                log.say(f"unreachable insn {at}")
                raise Errno(EINVAL)
            pace(_LOOK_COST >> 3)

    def find_live(self) -> None:
        """Fill `live`. If loops make that take long, everything counts as read."""
        for _ in range(self.code.count):
            self.live.append(0)
            pace(_LOOK_COST >> 3)
        for _ in range(_ROUNDS):
            if not self._look_back():
                return
        for at in range(self.code.count):
            self.live[at] = _ALL_LIVE
            pace(_LOOK_COST >> 3)

    def _look_back(self) -> bool:
        """Go over all instructions once, the last first. Returns whether something changed."""
        code = self.code
        changed = False
        at = code.count - 1
        while at >= 0:
            if self.seconds[at] == 0:
                found = self._before(at)
                if found != self.live[at]:
                    self.live[at] = found
                    changed = True
            at -= 1
            pace(_LOOK_COST)
        return changed

    def _at(self, at: int) -> int:
        return self.live[at] if at < self.code.count else 0

    def _before(self, at: int) -> int:
        """The registers read from an instruction on."""
        code = self.code
        operation = code.operation(at)
        if operation == EXIT_CODE:
            return 1
        destination = 1 << code.destination(at)
        source = 1 << code.source(at)
        kind = operation & 7
        if operation == LOAD_CONSTANT:
            return self._at(at + 2) & ~destination
        after = 0 if is_straight(code, at) else self._at(at + 1)
        if is_jump(code, at):
            after |= self._at(code.target(at))
            if is_straight(code, at):
                return after
            return after | destination | (source if operation & FROM_REGISTER != 0 else 0)
        if operation == CALL_CODE:
            return (after & ~_CLOBBERED) | _ARGUMENTS
        if kind == LDX:
            return (after & ~destination) | source
        if kind == ST:
            return after | destination
        if kind == STX:
            return after | destination | source | 1
        if kind == ALU or kind == ALU64:
            used = source if operation & FROM_REGISTER != 0 else 0
            if operation & 0xF0 == MOV:
                return (after & ~destination) | used
            return after | destination | used
        if kind == LD:
            used = source if operation & 0xE0 == INDIRECT else 0
            return (after & ~_CLOBBERED) | _CONTEXT_OF_LOOK | used
        return _ALL_LIVE


def check_fields(code: Code, at: int, log: Log) -> None:
    """Check that the fields which an arithmetic instruction does not use are 0. Raises EINVAL."""
    operation = code.operation(at)
    what = operation & 0xF0
    offset = code.offset(at)
    from_register = operation & FROM_REGISTER != 0
    is_wide = operation & 7 == ALU64
    if what == NEG:
        if from_register or code.source(at) != 0 or offset != 0 or code.constant(at) != 0:
            _refuse(log, "BPF_NEG uses reserved fields")
        return
    if what > 0xD0:
        _refuse(log, f"invalid BPF_ALU opcode {operation:x}")
    if what == 0xD0:
        bits = code.constant(at)
        if code.source(at) != 0 or offset != 0 or (bits != 16 and bits != 32 and bits != 64):
            _refuse(log, "BPF_END uses reserved fields")
        if is_wide and from_register:
            _refuse(log, "BPF_END uses reserved fields")
        return
    if what == MOV:
        if not from_register:
            if code.source(at) != 0 or offset != 0:
                _refuse(log, "BPF_MOV uses reserved fields")
            return
        extends = offset == 8 or offset == 16 or (offset == 32 and is_wide)
        if code.constant(at) != 0 or (offset != 0 and not extends):
            _refuse(log, "BPF_MOV uses reserved fields")
        return
    may_be_signed = what == 0x30 or what == 0x90
    if (offset != 0 and not (may_be_signed and offset == 1)) or (
        code.constant(at) != 0 if from_register else code.source(at) != 0
    ):
        _refuse(log, "BPF_ALU uses reserved fields")
    if from_register:
        return
    value = code.constant(at)
    if value == 0 and may_be_signed:
        _refuse(log, "div by zero")
    if (what == 0x60 or what == 0x70 or what == 0xC0) and not 0 <= value < (64 if is_wide else 32):
        _refuse(log, f"invalid shift {value}")


def _refuse(log: Log, text: str) -> None:
    log.say(text)
    raise Errno(EINVAL)


def check_encoding(code: Code, log: Log) -> None:
    """Check that loads and stores have known modes, and wide instructions two places. Raises EINVAL."""
    at = 0
    while at < code.count:
        operation = code.operation(at)
        kind = operation & 7
        if kind == LDX:
            mode = operation & 0xE0
            if (mode != MEMORY and mode != MEMORY_SIGNED) or code.constant(at) != 0:
                _refuse(log, "BPF_LDX uses reserved fields")
        if operation == LOAD_CONSTANT:
            if (
                at == code.count - 1
                or code.operation(at + 1) != 0
                or code.instructions[(at + 1) * 8 + 1] != 0
                or code.offset(at + 1) != 0
            ):
                _refuse(log, "invalid bpf_ld_imm64 insn")
            if code.offset(at) != 0:
                _refuse(log, "unrecognized bpf_ld_imm64 insn")
            if code.source(at) > MAP_VALUE_AT:
                _refuse(log, "unrecognized bpf_ld_imm64 insn")
            at += 1
        elif operation & 7 == 0 and operation & 0xE0 != 0x20 and operation & 0xE0 != 0x40:
            _refuse(log, f"unknown opcode {operation:02x}")
        at += 1
        pace(_LOOK_COST)
