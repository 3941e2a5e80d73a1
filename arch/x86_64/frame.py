"""The registers of an interrupted or calling program, as every door of the kernel saves them.

The order is that of entry.S, lowest address first, and of the processor for the last five words
(Intel SDM vol. 3, figure 7-9). The program continues with what Python stores here.
"""

from typing import Final

from arch.x86_64.layout import VECTOR_SYSCALL
from kernel.lang import struct

RFLAGS_CARRY: Final = 0x1
RFLAGS_RESERVED_ONE: Final = 0x2
RFLAGS_TRAP: Final = 0x100
RFLAGS_INTERRUPT: Final = 0x200
RFLAGS_DIRECTION: Final = 0x400
RFLAGS_RESUME: Final = 0x1_0000
RFLAGS_ALIGNMENT: Final = 0x4_0000

SYSCALL_INSTRUCTION_BYTES: Final = 2

# What a program may change of its flags through a signal frame: CF PF AF ZF SF TF DF OF RF AC.
RFLAGS_USER: Final = 0x5_0DD5

_CHANGED: Final = -(1 << 63)  # in `error_code`: with the call's number, in a frame that was changed
_HIGHEST_CHANGED: Final = -(1 << 62)


@struct
class TrapFrame:
    r15: int
    r14: int
    r13: int
    r12: int
    rbp: int
    rbx: int
    r11: int
    r10: int
    r9: int
    r8: int
    rax: int
    rcx: int
    rdx: int
    rsi: int
    rdi: int
    vector: int
    """Interrupt or exception number, or VECTOR_SYSCALL."""
    error_code: int
    """The processor's error code (0 where it has none); for a system call its number, kept for restarts. Code that
    changes where or how the program continues makes it negative, because entry.S takes its fast exit only for system
    calls whose frame is unchanged: -1 if there is no longer a call to restart, otherwise the number with the sign bit
    (`original_number`)."""
    rip: int
    cs: int
    rflags: int
    rsp: int
    ss: int

    def from_user(self) -> bool:
        return (self.cs & 3) == 3

    # Where the program is ---------------------------------------------------------------------------------------------

    @property
    def instruction_pointer(self) -> int:
        """The next instruction, or the one that faulted."""
        return self.rip

    @property
    def stack_pointer(self) -> int:
        return self.rsp

    @property
    def frame_pointer(self) -> int:
        """The head of the chain of frames on the stack, for tracebacks."""
        return self.rbp

    def go_on_at(self, address: int) -> None:
        """Let the program continue at another address. There is no system call to restart."""
        self.rip = address
        self.rcx = address
        self.error_code = -1

    def resume_at(self, address: int) -> None:
        """Let the kernel continue at another address than where it faulted, with all other registers as they were."""
        self.rip = address

    # Its system call --------------------------------------------------------------------------------------------------

    @property
    def call_number(self) -> int:
        """Of the system call that is being made; Linux looks at the low 32 bits only."""
        return self.rax & 0xFFFF_FFFF

    @property
    def first(self) -> int:
        """Its arguments, from here to `sixth`."""
        return self.rdi

    @property
    def second(self) -> int:
        return self.rsi

    @property
    def third(self) -> int:
        return self.rdx

    @property
    def fourth(self) -> int:
        return self.r10

    @property
    def fifth(self) -> int:
        return self.r8

    @property
    def sixth(self) -> int:
        return self.r9

    @property
    def result(self) -> int:
        """What the call returned: a value or a negative errno."""
        return self.rax

    def set_result(self, value: int) -> None:
        self.rax = value

    def can_repeat_call(self) -> bool:
        """Whether the program comes from a system call that could be repeated."""
        if self.vector != VECTOR_SYSCALL:
            return False
        return self.error_code >= 0 or self.error_code < _HIGHEST_CHANGED

    @property
    def repeatable_call(self) -> int:
        """The number of that call."""
        return self.original_number

    @property
    def original_number(self) -> int:
        """What rax held when the program made its system call, or what a debugger put there (orig_rax); -1 if it makes
        none, or none that could be made once more.
        """
        if self.vector != VECTOR_SYSCALL:
            return -1
        return self.error_code - _CHANGED if self.error_code < _HIGHEST_CHANGED else self.error_code

    def set_original_number(self, number: int) -> None:
        """Let the frame be one of the system call `number`, or with -1 of none, that somebody has changed."""
        self.vector = VECTOR_SYSCALL
        self.error_code = number + _CHANGED if 0 <= number < 1 << 62 else number

    def is_of_call(self) -> bool:
        """Whether the program comes from a system call."""
        return self.vector == VECTOR_SYSCALL

    @property
    def traced_call(self) -> int:
        """The number of the system call that is being made, after a debugger may have changed it; Linux looks at the
        low 32 bits only.
        """
        return self.original_number & 0xFFFF_FFFF

    def repeat_call(self, number: int) -> None:
        """Let the program make a call, `number`, with the arguments of the one that it comes from."""
        self.rax = number
        self.rip -= SYSCALL_INSTRUCTION_BYTES
        self.rcx = self.rip
        self.error_code = -1

    def forget_call(self) -> None:
        """The call, if it was one, is not to be repeated."""
        self.error_code = -1

    # Setting all of it ------------------------------------------------------------------------------------------------

    def restrict_to_user(self, cs: int, ss: int) -> None:
        """Forces flags to what a program may have, and selectors to user mode, after its registers came from user
        memory. Whether there are such segments, the processor says when the program goes on.
        """
        self.cs = cs | 3
        self.ss = ss | 3
        self.rflags = (self.rflags & RFLAGS_USER) | RFLAGS_INTERRUPT | RFLAGS_RESERVED_ONE


FRAME_SIZE: Final = 176
