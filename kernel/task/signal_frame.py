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

from typing import Final

from arch.x86_64 import fpu
from arch.x86_64.frame import RFLAGS_DIRECTION, RFLAGS_RESUME, RFLAGS_TRAP, TrapFrame
from arch.x86_64.layout import USER_CS, USER_SS
from kernel.lang import EFAULT, Errno, Span, span_of, u8
from kernel.lib import user
from kernel.task.actions import SA_ONSTACK, SA_RESTORER, SA_SIGINFO, SignalAction
from kernel.task.send import set_blocked
from kernel.task.siginfo import SIGINFO_SIZE, SignalInfo
from kernel.task.signal_stack import SS_AUTODISARM, is_on_stack, restore_stack, stack_flags
from kernel.task.task import SS_DISABLE, Task
from kernel.task.words import load_i64, store_i32, store_i64

_CONTEXT: Final = 8  # ucontext in the frame
_CONTEXT_SIZE: Final = 304
_INFO: Final = 312
_FRAME_SIZE: Final = _INFO + SIGINFO_SIZE
_REGISTERS: Final = 40  # sigcontext in ucontext
_MASK: Final = 296
_RED_ZONE: Final = 128  # below the stack pointer, the program's (System V ABI)

# uc_flags
_UC_FP_XSTATE: Final = 1
_UC_SIGCONTEXT_SS: Final = 2
_UC_STRICT_RESTORE_SS: Final = 4

# struct _fpx_sw_bytes, in the FPU state at 464
_SOFTWARE_BYTES: Final = 464
_FP_XSTATE_MAGIC1: Final = 0x46505853
_FP_XSTATE_MAGIC2: Final = 0x46505845


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
    address = ((fpu_address - _FRAME_SIZE) & ~15) - 8
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
    frame.rip = action.handler
    frame.rcx = action.handler
    frame.rflags &= ~(RFLAGS_DIRECTION | RFLAGS_RESUME | RFLAGS_TRAP)
    frame.r11 = frame.rflags
    frame.cs = USER_CS
    frame.ss = USER_SS


def _write_fpu(task: Task, address: int) -> None:
    registers = task.registers
    registers.need_area()
    registers.save()
    area = registers.area_bytes()
    mask = fpu.component_mask()
    if mask != 0:
        store_i32(area, _SOFTWARE_BYTES, _FP_XSTATE_MAGIC1)
        store_i32(area, _SOFTWARE_BYTES + 4, len(area) + 4)
        store_i64(area, _SOFTWARE_BYTES + 8, mask)
        store_i32(area, _SOFTWARE_BYTES + 16, len(area))
    user.write_from(address, area)
    if mask != 0:
        user.write_u32(address + len(area), _FP_XSTATE_MAGIC2)


def _write_frame(
    task: Task, frame: TrapFrame, action: SignalAction, info: SignalInfo, mask: int, address: int, fpu_address: int
) -> None:
    storage = bytearray(_FRAME_SIZE)
    out = span_of(storage)
    store_i64(out, 0, action.restorer)
    context = out[_CONTEXT : _CONTEXT + _CONTEXT_SIZE]
    store_i64(
        context, 0, (_UC_FP_XSTATE if fpu.component_mask() != 0 else 0) | _UC_SIGCONTEXT_SS | _UC_STRICT_RESTORE_SS
    )
    store_i64(context, 16, task.signal_stack.address)
    store_i32(context, 24, stack_flags(task.signal_stack, frame.rsp))
    store_i64(context, 32, task.signal_stack.size)
    _store_registers(context[_REGISTERS : _REGISTERS + 256], task, frame, fpu_address, mask)
    store_i64(context, _MASK, mask)
    if action.flags & SA_SIGINFO != 0:
        info.store(out[_INFO : _INFO + SIGINFO_SIZE])
    user.write_from(address, out)


def _store_registers(out: Span[u8], task: Task, frame: TrapFrame, fpu_address: int, mask: int) -> None:
    store_i64(out, 0, frame.r8)
    store_i64(out, 8, frame.r9)
    store_i64(out, 16, frame.r10)
    store_i64(out, 24, frame.r11)
    store_i64(out, 32, frame.r12)
    store_i64(out, 40, frame.r13)
    store_i64(out, 48, frame.r14)
    store_i64(out, 56, frame.r15)
    store_i64(out, 64, frame.rdi)
    store_i64(out, 72, frame.rsi)
    store_i64(out, 80, frame.rbp)
    store_i64(out, 88, frame.rbx)
    store_i64(out, 96, frame.rdx)
    store_i64(out, 104, frame.rax)
    store_i64(out, 112, frame.rcx)
    store_i64(out, 120, frame.rsp)
    store_i64(out, 128, frame.rip)
    store_i64(out, 136, frame.rflags)
    store_i64(out, 144, USER_CS | USER_SS << 48)
    store_i64(out, 152, task.fault_error_code)
    store_i64(out, 160, task.fault_vector)
    store_i64(out, 168, mask)
    store_i64(out, 176, task.fault_address)
    store_i64(out, 184, fpu_address)


def pop(task: Task, frame: TrapFrame) -> int:
    """rt_sigreturn: the registers, mask and alternate stack as the frame at the stack pointer says. Returns rax. Raises
    EFAULT.
    """
    user.check(frame.rsp, 0)
    address = frame.rsp - 8
    user.check(address, _FRAME_SIZE)
    storage = bytearray(_CONTEXT_SIZE)
    context = span_of(storage)
    user.read_into(context, address + _CONTEXT)
    _load_registers(context[_REGISTERS : _REGISTERS + 256], frame)
    fpu_address = load_i64(context, _REGISTERS + 184)
    if fpu_address != 0:
        _read_fpu(task, fpu_address)
    set_blocked(task, load_i64(context, _MASK))
    restore_stack(task, frame.rsp, load_i64(context, 16), context.load_u32(24), load_i64(context, 32))
    frame.error_code = -1  # no system call to restart
    return frame.rax


def _load_registers(source: Span[u8], frame: TrapFrame) -> None:
    frame.r8 = load_i64(source, 0)
    frame.r9 = load_i64(source, 8)
    frame.r10 = load_i64(source, 16)
    frame.r11 = load_i64(source, 24)
    frame.r12 = load_i64(source, 32)
    frame.r13 = load_i64(source, 40)
    frame.r14 = load_i64(source, 48)
    frame.r15 = load_i64(source, 56)
    frame.rdi = load_i64(source, 64)
    frame.rsi = load_i64(source, 72)
    frame.rbp = load_i64(source, 80)
    frame.rbx = load_i64(source, 88)
    frame.rdx = load_i64(source, 96)
    frame.rax = load_i64(source, 104)
    frame.rcx = load_i64(source, 112)
    frame.rsp = load_i64(source, 120)
    frame.rip = load_i64(source, 128)
    frame.rflags = load_i64(source, 136)
    frame.restrict_to_user()


def _read_fpu(task: Task, address: int) -> None:
    registers = task.registers
    registers.need_area()
    user.check(address, fpu.area_size())
    user.read_into(registers.area_bytes(), address)
    registers.area_changed()
