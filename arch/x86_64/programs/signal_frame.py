"""The frame that a signal handler runs on: Linux's struct rt_sigframe, and its way back (sigreturn(2)).

From low to high address, the stack pointer at the handler's first instruction pointing to the first:

    0    return address (the restorer)
    8    struct ucontext: flags, link, stack_t; at +40 struct sigcontext (256 bytes); at +296 the signal mask
    312  siginfo_t (128 bytes)
    ...  the FPU state, 64-byte aligned, with the magic words that say that it is XSAVE's

What comes back from user memory is trusted in nothing: selectors and flags are forced, the FPU image is sanitised,
addresses are checked by whoever uses them.

Context: sleeps (user memory).
"""

from typing import Final, Literal

from arch.x86_64 import fpu
from arch.x86_64.frame import RFLAGS_DIRECTION, RFLAGS_RESUME, RFLAGS_TRAP, TrapFrame
from arch.x86_64.layout import USER_CS, USER_SS
from kernel.lang import EFAULT, Array, Errno, bytes_of, offsetof, sizeof, struct, u8, u32, u64
from kernel.lib import user
from kernel.task.actions import SA_ONSTACK, SA_RESTORER, SA_SIGINFO, SignalAction
from kernel.task.send import set_blocked
from kernel.task.siginfo import SIGINFO_SIZE, SignalInfo
from kernel.task.signal_stack import SS_AUTODISARM, is_on_stack, restore_stack, stack_flags
from kernel.task.task import SS_DISABLE, Task

_RED_ZONE: Final = 128  # below the stack pointer, the program's (System V ABI)

# uc_flags
_UC_FP_XSTATE: Final = 1
_UC_SIGCONTEXT_SS: Final = 2
_UC_STRICT_RESTORE_SS: Final = 4

_SOFTWARE_BYTES: Final = 464  # struct _fpx_sw_bytes in the FPU state
_FP_XSTATE_MAGIC1: Final = 0x46505853
_FP_XSTATE_MAGIC2: Final = 0x46505845


@struct
class _Registers:
    """struct sigcontext."""

    r8: int
    r9: int
    r10: int
    r11: int
    r12: int
    r13: int
    r14: int
    r15: int
    rdi: int
    rsi: int
    rbp: int
    rbx: int
    rdx: int
    rax: int
    rcx: int
    rsp: int
    rip: int
    rflags: int
    selectors: int
    """cs, gs, fs, ss: 16 bits each."""
    error_code: int
    vector: int
    mask: int
    fault_address: int
    fpu_address: int
    reserved: Array[u64, Literal[8]]


@struct
class _Frame:
    """struct rt_sigframe before its siginfo_t."""

    restorer: int
    # struct ucontext
    flags: int
    link: int
    stack_address: int
    stack_flags: u32
    padding: u32
    stack_size: int
    registers: _Registers
    mask: int


@struct
class _SoftwareBytes:
    """struct _fpx_sw_bytes: what the FPU state before and after it is."""

    magic: u32
    size_with_magic: u32
    components: int
    size: u32
    padding: Array[u32, Literal[7]]


_CONTEXT: Final = offsetof(_Frame, "flags")
_INFO: Final = sizeof(_Frame)
_FRAME_SIZE: Final = _INFO + SIGINFO_SIZE


def push(task: Task, frame: TrapFrame, action: SignalAction, info: SignalInfo, mask: int) -> None:
    """Write the frame and point the registers to the handler; `mask` is what sigreturn will restore. Raises EFAULT,
    MemoryError.
    """
    if action.flags & SA_RESTORER == 0:
        raise Errno(EFAULT)  # x86-64 has no other way back
    sp = frame.rsp
    user.check(sp, 0)
    alternate = task.signal_stack
    entering = False
    if action.flags & SA_ONSTACK != 0 and alternate.flags & SS_DISABLE == 0 and not is_on_stack(alternate, sp):
        sp = alternate.address + alternate.size
        entering = True
    else:
        sp -= _RED_ZONE
    fpu_size = fpu.area_size() + (4 if fpu.component_mask() != 0 else 0)
    user.check(sp - fpu_size - _FRAME_SIZE - 128, fpu_size + _FRAME_SIZE + 128)
    fpu_address = (sp - fpu_size) & ~63
    address = ((fpu_address - _FRAME_SIZE) & ~15) - 8  # fits: checked
    if (
        (entering or is_on_stack(alternate, frame.rsp))
        and alternate.flags & SS_DISABLE == 0
        and address < alternate.address
    ):
        raise Errno(EFAULT)  # the alternate stack is full
    _write_fpu(task, fpu_address)
    _write_frame(task, frame, action, info, mask, address, fpu_address)
    task.registers.restart()
    if alternate.flags & SS_AUTODISARM != 0:
        alternate.address = 0
        alternate.size = 0
        alternate.flags = SS_DISABLE
    frame.rdi = info.signo
    frame.rsi = address + _INFO
    frame.rdx = address + _CONTEXT
    frame.rax = 0
    frame.rsp = address
    frame.error_code = -1  # no system call to restart
    frame.rip = action.handler
    frame.rcx = action.handler
    frame.rflags &= ~(RFLAGS_DIRECTION | RFLAGS_RESUME | RFLAGS_TRAP)
    frame.r11 = frame.rflags
    frame.cs = USER_CS
    frame.ss = USER_SS


def _write_fpu(task: Task, address: int) -> None:
    task.registers.save_to_user(address)
    mask = fpu.component_mask()
    if mask == 0:
        return
    size = fpu.area_size()
    words = _SoftwareBytes(magic=_FP_XSTATE_MAGIC1, size_with_magic=size + 4, components=mask, size=size)
    user.write_from(address + _SOFTWARE_BYTES, bytes_of(words))
    user.write_u32(address + size, _FP_XSTATE_MAGIC2)  # fits: checked


def _write_frame(
    task: Task, frame: TrapFrame, action: SignalAction, info: SignalInfo, mask: int, address: int, fpu_address: int
) -> None:
    out = _Frame()
    out.restorer = action.restorer
    out.flags = (_UC_FP_XSTATE if fpu.component_mask() != 0 else 0) | _UC_SIGCONTEXT_SS | _UC_STRICT_RESTORE_SS
    out.stack_address = task.signal_stack.address
    out.stack_flags = stack_flags(task.signal_stack, frame.rsp)
    out.stack_size = task.signal_stack.size
    _store_registers(out.registers, task, frame)
    out.registers.mask = mask
    out.registers.fpu_address = fpu_address
    out.mask = mask
    user.write_from(address, bytes_of(out))
    if action.flags & SA_SIGINFO != 0:
        details: Array[u8, Literal[128]] = Array()
        info.store(details.span())
        user.write_from(address + _INFO, details.span())


def _store_registers(out: _Registers, task: Task, frame: TrapFrame) -> None:
    out.r8 = frame.r8
    out.r9 = frame.r9
    out.r10 = frame.r10
    out.r11 = frame.r11
    out.r12 = frame.r12
    out.r13 = frame.r13
    out.r14 = frame.r14
    out.r15 = frame.r15
    out.rdi = frame.rdi
    out.rsi = frame.rsi
    out.rbp = frame.rbp
    out.rbx = frame.rbx
    out.rdx = frame.rdx
    out.rax = frame.rax
    out.rcx = frame.rcx
    out.rsp = frame.rsp
    out.rip = frame.rip
    out.rflags = frame.rflags
    out.selectors = USER_CS | USER_SS << 48
    out.error_code = task.fault_error_code
    out.vector = task.fault_vector
    out.fault_address = task.fault_address


def pop(task: Task, frame: TrapFrame) -> int:
    """rt_sigreturn: the registers, mask and alternate stack as the frame at the stack pointer says. Returns rax. Raises
    EFAULT.
    """
    user.check(frame.rsp, 0)
    address = frame.rsp - 8
    user.check(address, _FRAME_SIZE)
    saved = _Frame()
    user.read_struct(address, bytes_of(saved))
    _load_registers(saved.registers, frame)
    if saved.registers.fpu_address != 0:
        task.registers.load_from_user(saved.registers.fpu_address)
    set_blocked(task, saved.mask)
    restore_stack(task, frame.rsp, saved.stack_address, saved.stack_flags, saved.stack_size)
    frame.error_code = -1  # no system call to restart
    return frame.rax


def _load_registers(source: _Registers, frame: TrapFrame) -> None:
    frame.r8 = source.r8
    frame.r9 = source.r9
    frame.r10 = source.r10
    frame.r11 = source.r11
    frame.r12 = source.r12
    frame.r13 = source.r13
    frame.r14 = source.r14
    frame.r15 = source.r15
    frame.rdi = source.rdi
    frame.rsi = source.rsi
    frame.rbp = source.rbp
    frame.rbx = source.rbx
    frame.rdx = source.rdx
    frame.rax = source.rax
    frame.rcx = source.rcx
    frame.rsp = source.rsp
    frame.rip = source.rip
    frame.rflags = source.rflags
    frame.restrict_to_user()
