"""The functions of a program: where they begin, that jumps stay inside, how much stack those at work at once use, and
the length of the longest path through a program without loops.

A call of a function (BPF_PSEUDO_CALL) names the distance to its first instruction. It gets registers 1 to 5 and a stack
of its own, and returns register 0. It may not call itself, not even by others.

Context: takes safe points. May raise MemoryError. Refuses with EINVAL, E2BIG, EACCES, EPERM.
Source: Linux's documentation of its verifier; RFC 9669, "Call instructions".
"""

from typing import Final

from kernel.bpf.code import EXIT_CODE, JA, JMP, JUMP_FAR, LD, MOST_FRAMES, STACK_SIZE, Code
from kernel.bpf.flow import is_jump, is_straight
from kernel.bpf.helpers import TAIL_CALL
from kernel.bpf.log import Log
from kernel.lang import E2BIG, EACCES, EINVAL, EPERM, Errno, final
from kernel.lib.pace import pace

_MOST_FUNCTIONS: Final = 256
_LOOK_COST: Final = 150  # instructions of the processor for one of the program's
_LEAST_STACK: Final = 1
_STACK_ALIGNMENT: Final = 16
_CALL_OF_HELPER: Final = 0x85
_LOADS_FROM_PACKET: Final[list[int]] = [0x20, 0x40]


@final
class Functions:
    """The functions of one program, in the order of their places."""

    def __init__(self, code: Code) -> None:
        self.code: Code = code
        self.starts: list[int] = [0]
        self.of: list[int] = []  # the function of each instruction
        self.stacks: list[int] = []  # bytes that each uses

    def find(self, log: Log, may_program: bool) -> None:
        """Find where functions begin. Raises EPERM, EINVAL, E2BIG."""
        code = self.code
        is_start = bytearray(code.count)
        is_start[0] = 1
        count = 1
        for at in range(code.count):
            pace(_LOOK_COST >> 2)
            if not code.is_function_call(at):
                continue
            if not may_program:
                _refuse(log, "calling other bpf or kernel functions needs CAP_BPF", EPERM)
            target = code.call_target(at)
            if not 0 <= target < code.count:
                _refuse(log, "call to invalid destination", EINVAL)
            if is_start[target] == 0:
                is_start[target] = 1
                count += 1
                if count > _MOST_FUNCTIONS:
                    _refuse(log, "too many subprograms", E2BIG)
        number = -1
        for at in range(code.count):
            if is_start[at] != 0:
                number += 1
                if at > 0:
                    self.starts.append(at)
                self.stacks.append(0)
            self.of.append(number)
            pace(_LOOK_COST >> 2)

    def check(self, log: Log) -> None:
        """Check that jumps stay in their function, that no function runs into the next, and that only the program
        itself does what ends it. Raises EINVAL.
        """
        code = self.code
        for at in range(code.count):
            pace(_LOOK_COST)
            function = self.of[at]
            if is_jump(code, at):
                target = code.target(at)
                if not 0 <= target < code.count or self.of[target] != function:
                    _refuse(log, f"jump out of range from insn {at} to {target}", EINVAL)
            is_last = at + 1 == code.count or self.of[at + 1] != function
            operation = code.operation(at)
            if is_last and operation != EXIT_CODE and operation != JMP | JA and operation != JUMP_FAR:
                _refuse(log, "last insn is not an exit or jmp", EINVAL)
            if function == 0:
                continue
            if operation == _CALL_OF_HELPER and code.source(at) == 0 and code.constant(at) == TAIL_CALL:
                _refuse(log, "tail_call is not allowed in subprogs without BTF", EINVAL)
            if operation & 7 == LD and operation & 0xE0 in _LOADS_FROM_PACKET:
                _refuse(log, "LD_ABS is not allowed in subprogs without BTF", EINVAL)

    def note_stack(self, at: int, size: int) -> None:
        """The function of an instruction uses that much of its stack."""
        function = self.of[at]
        self.stacks[function] = max(self.stacks[function], size)

    def check_depth(self, log: Log) -> None:
        """Check how many functions, and how much stack, are in use at once. Raises E2BIG, EACCES."""
        depths = [0] * len(self.starts)
        frames = [0] * len(self.starts)
        for function in range(len(self.starts)):
            depths[function] = self._rounded(function)
            frames[function] = 1
        changed = True
        while changed:
            changed = False
            for at in range(self.code.count):
                pace(_LOOK_COST >> 2)
                if not self.code.is_function_call(at):
                    continue
                caller = self.of[at]
                callee = self.of[self.code.call_target(at)]
                if frames[caller] < frames[callee] + 1:
                    frames[caller] = frames[callee] + 1
                    changed = True
                    if frames[caller] > MOST_FRAMES:
                        _refuse(log, f"the call stack of {MOST_FRAMES + 1} frames is too deep !", E2BIG)
                if depths[caller] < depths[callee] + self._rounded(caller):
                    depths[caller] = depths[callee] + self._rounded(caller)
                    changed = True
        if depths[0] > STACK_SIZE:
            _refuse(log, f"combined stack size of {frames[0]} calls is {depths[0]}. Too large", EACCES)

    def _rounded(self, function: int) -> int:
        size = max(self.stacks[function], _LEAST_STACK)
        return (size + _STACK_ALIGNMENT - 1) // _STACK_ALIGNMENT * _STACK_ALIGNMENT

    def longest_path(self, log: Log) -> int:
        """How many instructions a run takes at most, of a program that never jumps or calls back. Raises EINVAL for
        one that does. Large numbers stop growing.
        """
        code = self.code
        lengths = [0] * (code.count + 1)
        for at in range(code.count - 1, -1, -1):
            pace(_LOOK_COST)
            if code.operation(at) == EXIT_CODE:
                lengths[at] = 1
                continue
            following = 0 if is_straight(code, at) else lengths[at + 1]
            if is_jump(code, at):
                following = max(following, lengths[_forward(code, log, at, code.target(at))])
            length = 1 + following
            if code.is_function_call(at):
                length += lengths[_forward(code, log, at, code.call_target(at))]
            lengths[at] = min(length, 1 << 30)
        return lengths[0]


def _forward(code: Code, log: Log, at: int, target: int) -> int:
    if target >= code.count:
        _refuse(log, "call to invalid destination", EINVAL)
    if target <= at:
        _refuse(log, f"back-edge from insn {at} to {target}", EINVAL)
    return target


def _refuse(log: Log, text: str, code: int) -> None:
    log.say(text)
    raise Errno(code)
