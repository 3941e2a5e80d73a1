"""The registers of an interrupted or calling program, as every door of the kernel saves them.

The order is that of entry.S, lowest address first, and of the processor for the last five words
(Intel SDM vol. 3, figure 7-9). What Python stores here is what the program goes on with.
"""

from typing import Final

from arch.x86_64.layout import USER_CS, USER_SS
from kernel.lang import struct

RFLAGS_CARRY: Final = 0x1
RFLAGS_RESERVED_ONE: Final = 0x2
RFLAGS_TRAP: Final = 0x100
RFLAGS_INTERRUPT: Final = 0x200
RFLAGS_DIRECTION: Final = 0x400
RFLAGS_RESUME: Final = 0x1_0000
RFLAGS_ALIGNMENT: Final = 0x4_0000

# What a program may change of its flags through a signal frame or ptrace: CF PF AF ZF SF TF DF OF RF AC.
RFLAGS_USER: Final = 0x5_0DD5


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
    """The processor's error code (0 where it has none); for a system call its number, kept for restarts. Who changes
    where or how the program goes on stores -1: there is no call to restart any more, and entry.S leaves only frames
    of a system call that nobody changed without a look at them."""
    rip: int
    cs: int
    rflags: int
    rsp: int
    ss: int

    def from_user(self) -> bool:
        return (self.cs & 3) == 3

    def is_right_after_system_call(self) -> bool:
        """Whether the program has done nothing since a system call: sysret leaves rcx == rip and r11 == rflags. An
        interrupt that waited while the kernel ran, with interrupts off, comes at this moment.
        """
        return self.rcx == self.rip and self.r11 == self.rflags

    @property
    def orig_rax(self) -> int:
        """The system call's number, as ptrace and signal restarts know it."""
        return self.error_code

    def set_user(self, rip: int, rsp: int) -> None:
        """Makes this the frame of a program that starts at `rip`: all other registers 0, interrupts on."""
        self.r15 = 0
        self.r14 = 0
        self.r13 = 0
        self.r12 = 0
        self.rbp = 0
        self.rbx = 0
        self.r11 = 0
        self.r10 = 0
        self.r9 = 0
        self.r8 = 0
        self.rax = 0
        self.rcx = 0
        self.rdx = 0
        self.rsi = 0
        self.rdi = 0
        self.rip = rip
        self.cs = USER_CS
        self.rflags = RFLAGS_INTERRUPT | RFLAGS_RESERVED_ONE
        self.rsp = rsp
        self.ss = USER_SS

    def restrict_to_user(self) -> None:
        """Forces selectors and flags to what a program may have, after its registers came from user memory."""
        self.cs = USER_CS
        self.ss = USER_SS
        self.rflags = (self.rflags & RFLAGS_USER) | RFLAGS_INTERRUPT | RFLAGS_RESERVED_ONE


FRAME_SIZE: Final = 176
