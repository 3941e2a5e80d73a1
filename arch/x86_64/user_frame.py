"""The registers of a program, for code other than its door to read or change.

Every entry from user mode builds the frame at the upper end of the task's kernel stack, and doors pass it on as a
parameter. The functions here are for those who come without it, and know the stack: a struct is a value, so a function
cannot hand the frame itself out.

Safety: `stack_top` is the 16-byte aligned upper end of a kernel stack that the caller's task owns.
"""

from typing import Final

from arch.x86_64.frame import FRAME_SIZE, RFLAGS_INTERRUPT, RFLAGS_RESERVED_ONE, TrapFrame
from arch.x86_64.layout import USER_CS, USER_SS
from kernel.lang import ENOSYS, bytes_of, inline, panic
from kernel.lang.unsafe import fill_bytes, load_i64, store_i64, struct_at_address


@inline
def user_frame_address(stack_top: int) -> int:
    """Where the frame lies."""
    return stack_top - FRAME_SIZE


def user_stack_pointer(stack_top: int) -> int:
    """The program's stack pointer."""
    frame = struct_at_address(TrapFrame, user_frame_address(stack_top))
    return frame.rsp


def start_program(stack_top: int, entry: int, sp: int) -> None:
    """Let the task continue with a new program: all registers are 0 except the instruction and stack pointers."""
    frame = struct_at_address(TrapFrame, user_frame_address(stack_top))
    number = frame.original_number
    fill_bytes(user_frame_address(stack_top), 0, FRAME_SIZE)
    frame.rip = entry
    frame.cs = USER_CS
    frame.rflags = RFLAGS_INTERRUPT | RFLAGS_RESERVED_ONE
    frame.rsp = sp
    frame.ss = USER_SS
    frame.set_original_number(number)
    if number >= 0:
        frame.set_result(-ENOSYS)  # what a tracer sees until execve has its result


def copy_user_frame(parent_top: int, child_top: int, sp: int) -> None:
    """A child continues where its parent called, with result 0, and with another stack pointer unless `sp` is 0."""
    frame = struct_at_address(TrapFrame, user_frame_address(child_top))
    source = struct_at_address(TrapFrame, user_frame_address(parent_top))
    bytes_of(frame).copy_from(bytes_of(source))
    frame.rax = 0
    frame.set_original_number(frame.original_number)
    if sp != 0:
        frame.rsp = sp


# For debuggers: word `index` of the frame of a task that does not run, in the order of struct TrapFrame ---------------


def frame_word(stack_top: int, index: int) -> int:
    """A register."""
    if not 0 <= index < FRAME_SIZE >> 3:
        panic("a frame has no such word")
    return load_i64(user_frame_address(stack_top) + index * 8)


def set_frame_word(stack_top: int, index: int, value: int) -> None:
    """Change a register. The frame no longer counts as unchanged."""
    if not 0 <= index < FRAME_SIZE >> 3:
        panic("a frame has no such word")
    store_i64(user_frame_address(stack_top) + index * 8, value)
    frame = struct_at_address(TrapFrame, user_frame_address(stack_top))
    if frame.is_of_call():
        frame.set_original_number(frame.original_number)


def copied_frame(stack_top: int) -> TrapFrame:
    """What the frame holds now."""
    copy = TrapFrame()
    bytes_of(copy).copy_from(bytes_of(struct_at_address(TrapFrame, user_frame_address(stack_top))))
    return copy


def call_under_way(stack_top: int) -> int:
    """The number of the system call that the program makes; -1 if it makes none."""
    frame = struct_at_address(TrapFrame, user_frame_address(stack_top))
    return frame.original_number


def set_original_number(stack_top: int, number: int) -> None:
    """Change it. With -1, nothing is repeated."""
    frame = struct_at_address(TrapFrame, user_frame_address(stack_top))
    frame.set_original_number(number)


# For samples: what the program was doing when it came into the kernel, also of the task that runs ---------------------

# The word of struct TrapFrame by the number that perf_event_open(2) gives a register (enum perf_event_x86_regs); -1 for
# the segments that a program of 64 bits does not have.
SAMPLED_REGISTERS: Final[list[int]] = [
    10, 5, 11, 12, 13, 14, 4, 20, 17, 19, 18, 21, -1, -1, -1, -1, 9, 8, 7, 6, 3, 2, 1, 0,
]  # fmt: skip

# The names of registers that probes may look at, by the same numbers
PROBED_REGISTERS: Final[list[bytes]] = [
    b"ax", b"bx", b"cx", b"dx", b"si", b"di", b"bp", b"sp", b"ip", b"flags", b"cs", b"ss", b"", b"", b"", b"",
    b"r8", b"r9", b"r10", b"r11", b"r12", b"r13", b"r14", b"r15",
]  # fmt: skip


def user_instruction_pointer(stack_top: int) -> int:
    """Where the program will continue."""
    frame = struct_at_address(TrapFrame, user_frame_address(stack_top))
    return frame.rip


def user_frame_pointer(stack_top: int) -> int:
    """The head of the chain of frames on the program's stack, if it keeps one."""
    frame = struct_at_address(TrapFrame, user_frame_address(stack_top))
    return frame.rbp


def sampled_register(stack_top: int, number: int) -> int:
    """A register by its number in SAMPLED_REGISTERS."""
    return frame_word(stack_top, SAMPLED_REGISTERS[number])
