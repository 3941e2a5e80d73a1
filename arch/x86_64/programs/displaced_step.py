"""How a program gets past an instruction in whose place a breakpoint stands (displaced.py).

Context: the program's own exception; touches its stack only.
"""

from typing import Final

from arch.x86_64.frame import RFLAGS_TRAP, TrapFrame
from arch.x86_64.layout import USER_CS, USER_END
from arch.x86_64.programs.displaced import (
    BRANCH,
    BY_STEP,
    CALL,
    CALLS,
    JUMP,
    NO_REGISTER,
    PUSH,
    PUSHES_FLAGS,
    RELATIVE,
    SETS_FLAGS,
    Displaced,
)
from kernel.lang import EFAULT, Errno, UserAddr, final
from kernel.lib import user

_WORD: Final = 8
_CARRY: Final = 0x1
_PARITY: Final = 0x4
_ZERO: Final = 0x40
_SIGN: Final = 0x80
_OVERFLOW: Final = 0x800


def breakpoint_place(frame: TrapFrame) -> int:
    """Where the breakpoint instruction lay that a program of 64 bits has met."""
    return frame.rip - 1 if frame.cs == USER_CS else -1


def return_place(frame: TrapFrame, has_returned: bool) -> int:
    """Where the return address lies of a function that begins, or lay of one that has just returned."""
    return frame.rsp - _WORD if has_returned and frame.rsp >= _WORD else frame.rsp


def set_instruction_pointer(frame: TrapFrame, address: int) -> None:
    """Let the program, which met a breakpoint, go on elsewhere."""
    frame.rip = address


def is_stepping(frame: TrapFrame) -> bool:
    """Whether the program traps after each instruction."""
    return frame.rflags & RFLAGS_TRAP != 0


def register_word(frame: TrapFrame, number: int) -> int:
    """A register by the number that instructions give it."""
    values = [
        frame.rax, frame.rcx, frame.rdx, frame.rbx, frame.rsp, frame.rbp, frame.rsi, frame.rdi,
        frame.r8, frame.r9, frame.r10, frame.r11, frame.r12, frame.r13, frame.r14, frame.r15,
    ]  # fmt: skip
    return values[number]


def _holds(condition: int, flags: int) -> bool:
    """Whether a jump with that condition is taken."""
    kind = condition >> 1
    is_less = (flags & _SIGN != 0) != (flags & _OVERFLOW != 0)
    if kind == 0:
        holds = flags & _OVERFLOW != 0
    elif kind == 1:
        holds = flags & _CARRY != 0
    elif kind == 2:
        holds = flags & _ZERO != 0
    elif kind == 3:
        holds = flags & (_CARRY | _ZERO) != 0
    elif kind == 4:
        holds = flags & _SIGN != 0
    elif kind == 5:
        holds = flags & _PARITY != 0
    elif kind == 6:
        holds = is_less
    else:
        holds = is_less or flags & _ZERO != 0
    return holds != (condition & 1 != 0)


def pass_without_step(what: Displaced, frame: TrapFrame) -> bool:
    """Do what the instruction at the program's place does, if that is easily done. Raises EFAULT where its stack cannot
    be written.
    """
    how = what.how
    if how == BY_STEP:
        return False
    following = frame.rip + what.length
    if how == PUSH:
        _push(frame, register_word(frame, what.number))
    elif how == CALL:
        _push(frame, following)
    if how >= JUMP and (how != BRANCH or _holds(what.number, frame.rflags)):
        following += what.distance
    frame.rip = following
    return True


def _push(frame: TrapFrame, value: int) -> None:
    if not _WORD <= frame.rsp <= USER_END:
        raise Errno(EFAULT)
    user.write_i64(user.at(UserAddr(frame.rsp), -_WORD), value)
    frame.rsp -= _WORD


@final
class DisplacedStep:
    """A step that a thread makes in a slot."""

    def __init__(self) -> None:
        self.what: Displaced | None = None  # None: no step is under way
        self.address: int = 0  # of the original
        self.slot: int = 0
        self.had_trap: bool = False  # the program was stepping anyway
        self.kept: int = 0  # of the register that has another value meanwhile

    def begin(self, what: Displaced, frame: TrapFrame, slot: int) -> None:
        """Let the program, which stands at the original, make the step."""
        self.what = what
        self.address = frame.rip
        self.slot = slot
        self.had_trap = frame.rflags & RFLAGS_TRAP != 0
        if what.scratch != NO_REGISTER:
            self.kept = register_word(frame, what.scratch)
            _set_register(frame, what.scratch, frame.rip + what.length)
        frame.rip = slot
        frame.rflags |= RFLAGS_TRAP

    def end(self, frame: TrapFrame) -> bool:
        """The step is done. Returns whether the program was stepping anyway. Raises EFAULT: its stack has gone."""
        what = self.what
        if what is None:
            return True
        self._put_back(what, frame)
        after = what.after
        if after == RELATIVE or after >= PUSHES_FLAGS:
            frame.rip += self.address - self.slot
        if after == CALLS:
            user.write_i64(UserAddr(frame.rsp), self.address + what.length)
        elif after == PUSHES_FLAGS and not self.had_trap:
            user.write_i64(UserAddr(frame.rsp), user.read_i64(UserAddr(frame.rsp)) & ~RFLAGS_TRAP)
        if not self.had_trap and after != SETS_FLAGS:
            frame.rflags &= ~RFLAGS_TRAP
        return self.had_trap

    def undo(self, frame: TrapFrame) -> None:
        """The step did not get done: the program stands at the original again."""
        what = self.what
        if what is None:
            return
        self._put_back(what, frame)
        frame.rip = self.address
        if not self.had_trap:
            frame.rflags &= ~RFLAGS_TRAP

    def is_at_start(self, frame: TrapFrame) -> bool:
        """Whether the instruction has not run."""
        return frame.rip == self.slot

    def is_under_way(self) -> bool:
        """Whether there is one."""
        return self.what is not None

    def _put_back(self, what: Displaced, frame: TrapFrame) -> None:
        self.what = None
        if what.scratch != NO_REGISTER:
            _set_register(frame, what.scratch, self.kept)


def _set_register(frame: TrapFrame, number: int, value: int) -> None:
    if number == 3:
        frame.rbx = value
    elif number == 6:
        frame.rsi = value
    else:
        frame.rdi = value
