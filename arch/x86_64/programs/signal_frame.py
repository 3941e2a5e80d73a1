"""The frame that a signal handler runs on: Linux's struct rt_sigframe, and its way back (sigreturn(2)).

From low to high address, the stack pointer at the handler's first instruction pointing to the first:

    0    return address (the restorer)
    8    struct ucontext: flags, link, stack_t; at +40 struct sigcontext (256 bytes); at +296 the signal mask
    312  siginfo_t (128 bytes)
    ...  the FPU state, 64-byte aligned, with the magic words that say that it is XSAVE's

What comes back from user memory is trusted in nothing: selectors are made those of user mode, and what the processor
does not take for one is a fault of the program's (entry.S); flags are forced, the FPU image is sanitised, addresses are
checked by whoever uses them.

Context: sleeps (user memory).
"""

from typing import Final, Literal

from arch.x86_64 import fpu
from arch.x86_64.cpu import DEFAULT_KEY_RIGHTS
from arch.x86_64.frame import RFLAGS_DIRECTION, RFLAGS_RESUME, RFLAGS_TRAP, TrapFrame
from arch.x86_64.layout import USER_CS, USER_SS
from arch.x86_64.programs.local_segments import is_stack_segment
from arch.x86_64.programs.processor_state import ProcessorState
from kernel.lang import EFAULT, Array, Errno, Span, UserAddr, bytes_of, offsetof, sizeof, struct, u8, u16, u32, u64
from kernel.lib import user

NO_RESTORER: Final = -1

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
    cs: u16
    gs: u16
    fs: u16
    ss: u16
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
_INFO_SIZE: Final = 128
_FRAME_SIZE: Final = _INFO + _INFO_SIZE


@struct
class SignalContext:
    """What a frame keeps beside the registers, for the way back."""

    mask: int
    """The blocked signals."""
    stack_address: int
    """The alternate stack as sigaltstack(2) shows it, from here on."""
    stack_flags: u32
    stack_size: int


@struct
class HandlerCall:
    """A handler that is to run."""

    signo: int
    handler: int
    restorer: int
    """Where the handler returns to, or NO_RESTORER."""
    stack_top: int
    """Of the alternate stack if the handler enters it; 0: it runs on the stack that the program is on."""
    stack_lowest: int
    """The frame must not begin below this address."""
    uses_keys: bool
    """Some of the program's pages have protection keys."""
    context: SignalContext


def push_frame(frame: TrapFrame, registers: ProcessorState, call: HandlerCall, info: Span[u8]) -> None:
    """Write the frame and point the registers to the handler, which finds its siginfo_t (`info`) if there is one.
    Raises EFAULT, MemoryError.
    """
    if call.restorer == NO_RESTORER:
        raise Errno(EFAULT)  # x86-64 has no other way back
    sp = UserAddr(call.stack_top) if call.stack_top != 0 else user.at(UserAddr(frame.rsp), -_RED_ZONE)
    fpu_size = fpu.frame_size() + (4 if fpu.component_mask() != 0 else 0)
    user.check(sp - fpu_size - _FRAME_SIZE - 128, fpu_size + _FRAME_SIZE + 128)
    fpu_address = UserAddr(user.within(sp, -fpu_size) & ~63)
    address = user.within(UserAddr(user.within(fpu_address, -_FRAME_SIZE) & ~15), -8)
    if address < call.stack_lowest:
        raise Errno(EFAULT)  # the alternate stack is full
    rights = registers.key_rights()
    if call.uses_keys or rights & 3 != 0:
        registers.set_key_rights(0)  # the stack may be one that the program cannot reach just now
    try:
        _write_fpu(registers, fpu_address, rights)
        _write_frame(frame, registers, call, address, fpu_address)
        if len(info) > 0:
            user.write_from(user.within(address, _INFO), info)
    except (Errno, MemoryError):
        registers.set_key_rights(rights)
        raise
    registers.restart()
    registers.set_key_rights(DEFAULT_KEY_RIGHTS)
    frame.rdi = call.signo
    frame.rsi = address + _INFO
    frame.rdx = address + _CONTEXT
    frame.rax = 0
    frame.rsp = address
    frame.go_on_at(call.handler)
    frame.rflags &= ~(RFLAGS_DIRECTION | RFLAGS_RESUME | RFLAGS_TRAP)
    frame.r11 = frame.rflags
    frame.cs = USER_CS
    if frame.ss != USER_SS and not is_stack_segment(frame.ss):
        frame.ss = USER_SS


def _write_fpu(registers: ProcessorState, address: UserAddr, rights: int) -> None:
    registers.save_to_user(address, rights)
    mask = fpu.enabled_mask()
    if mask == 0:
        return
    size = fpu.frame_size()
    words = _SoftwareBytes(magic=_FP_XSTATE_MAGIC1, size_with_magic=size + 4, components=mask, size=size)
    user.write_from(user.within(address, _SOFTWARE_BYTES), bytes_of(words))
    user.write_u32(user.within(address, size), _FP_XSTATE_MAGIC2)


def _write_frame(
    frame: TrapFrame, registers: ProcessorState, call: HandlerCall, address: UserAddr, fpu_address: int
) -> None:
    out = _Frame()
    out.restorer = call.restorer
    out.flags = (_UC_FP_XSTATE if fpu.component_mask() != 0 else 0) | _UC_SIGCONTEXT_SS | _UC_STRICT_RESTORE_SS
    out.stack_address = call.context.stack_address
    out.stack_flags = call.context.stack_flags
    out.stack_size = call.context.stack_size
    _store_registers(out.registers, registers, frame)
    out.registers.mask = call.context.mask
    out.registers.fpu_address = fpu_address
    out.mask = call.context.mask
    user.write_from(address, bytes_of(out))


def _store_registers(out: _Registers, registers: ProcessorState, frame: TrapFrame) -> None:
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
    out.cs = frame.cs & 0xFFFF
    out.ss = frame.ss & 0xFFFF
    out.error_code = registers.fault_error_code
    out.vector = registers.fault_vector
    out.fault_address = registers.fault_address


def pop_frame(frame: TrapFrame, registers: ProcessorState) -> SignalContext:
    """rt_sigreturn: registers as the frame at the stack pointer says; the rest of what it says is the caller's to obey.
    Raises EFAULT, MemoryError.
    """
    address = user.at(UserAddr(frame.rsp), -8)
    user.check(address, _FRAME_SIZE)
    saved = _Frame()
    user.read_struct(address, bytes_of(saved))
    if saved.registers.fpu_address != 0:
        registers.need_area()  # before the stack pointer changes, so that the caller may try once more
    _load_registers(saved.registers, frame, is_strict=saved.flags & _UC_STRICT_RESTORE_SS != 0)
    frame.forget_call()
    if saved.registers.fpu_address != 0:
        registers.load_from_user(UserAddr(saved.registers.fpu_address))
    return SignalContext(
        mask=saved.mask,
        stack_address=saved.stack_address,
        stack_flags=saved.stack_flags,
        stack_size=saved.stack_size,
    )


def _load_registers(source: _Registers, frame: TrapFrame, is_strict: bool) -> None:
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
    frame.restrict_to_user(source.cs, source.ss)
    if not is_strict and frame.cs == USER_CS and not is_stack_segment(frame.ss):
        frame.ss = USER_SS
