"""The registers of a stopped program as a debugger reads and writes them (ptrace(2)): struct user_regs_struct, FXSAVE's
image, XSAVE's area, and struct user with the debug registers.

What a debugger writes is trusted in nothing: selectors ask for a program's rights or are 0 (whether there is such a
segment, the processor says when the program goes on), flags are those that a program may change, bases user addresses,
the vector registers' image one that the processor takes. Steps are the processor's trap flag; while a debugger has set
it, neither it nor the program sees it.

Deviation from Linux: a step over an instruction that sets the trap flag by itself ends with it cleared.

Context: the task does not run, and will not before the functions here return. Those that write vector registers raise
MemoryError.
Source: Linux's uapi headers sys/user.h, asm/ptrace-abi.h and asm/ldt.h; Intel SDM vol. 1, chapter 13.
"""

from typing import Final

from arch.x86_64 import fpu
from arch.x86_64.cpu import XSAVE_KEYS
from arch.x86_64.frame import RFLAGS_INTERRUPT, RFLAGS_RESERVED_ONE, RFLAGS_TRAP, RFLAGS_USER
from arch.x86_64.layout import FIRST_THREAD_AREA, THREAD_AREA_COUNT, USER_END
from arch.x86_64.percpu import PORT_MAP_SIZE
from arch.x86_64.programs.breakpoints import Breakpoints
from arch.x86_64.programs.local_segments import ThreadAreas, read_area, show_area
from arch.x86_64.programs.processor_state import DS, ES, FS, GS, ProcessorState
from arch.x86_64.user_frame import copied_frame, frame_word, set_frame_word, set_original_number
from kernel.lang import EFAULT, EINVAL, EIO, ENODEV, Errno, Span, UserAddr, span_of, u8, u64

REGISTERS_SIZE: Final = 27 * 8
USER_AREA_SIZE: Final = 928
FLOATING_SIZE: Final = fpu.LEGACY_SIZE
PORTS_SIZE: Final = PORT_MAP_SIZE

_ORIGINAL: Final = 15  # words of user_regs_struct from here on; those before are the frame's
_FLAGS: Final = 18
_CS: Final = 17
_SS: Final = 20
_FS_BASE: Final = 21
_GS_BASE: Final = 22
_FIRST_DATA: Final = 23
_DATA_SEGMENTS: Final[list[int]] = [DS, ES, FS, GS]  # the words from there on
_RIGHTS: Final = 3  # of a selector: those of user mode
_FRAME_AFTER: Final = 1  # the frame has the vector and the error code where user_regs_struct has orig_rax
_FRAME_FLAGS: Final = _FLAGS + _FRAME_AFTER

_DEBUG_REGISTERS: Final = 848  # in struct user
_DEBUG_END: Final = _DEBUG_REGISTERS + 8 * 8

_NESTED_TASK: Final = 0x4000
_FLAGS_WRITABLE: Final = RFLAGS_USER | _NESTED_TASK

# General registers ----------------------------------------------------------------------------------------------------


def read_register(stack_top: int, registers: ProcessorState, index: int) -> int:
    """Word `index` of struct user_regs_struct, 0 to 26."""
    if index < _ORIGINAL:
        return frame_word(stack_top, index)
    if index == _ORIGINAL:
        return copied_frame(stack_top).original_number
    if index == _FLAGS:
        flags = frame_word(stack_top, _FRAME_FLAGS)
        return flags & ~RFLAGS_TRAP if registers.steps_forced else flags
    if index <= _SS:
        return frame_word(stack_top, index + _FRAME_AFTER)
    if index == _FS_BASE:
        return registers.bases.fs
    if index == _GS_BASE:
        return registers.bases.gs
    return registers.selector(_DATA_SEGMENTS[index - _FIRST_DATA])


def write_register(stack_top: int, registers: ProcessorState, index: int, value: int) -> None:
    """Change a word. Raises EIO for a value that a program could not have there."""
    if index == _ORIGINAL:
        set_original_number(stack_top, value)
    elif index == _FLAGS:
        _write_flags(stack_top, registers, value)
    elif index == _CS or index == _SS:
        selector = _checked_selector(value)
        if selector == 0:
            raise Errno(EIO)
        set_frame_word(stack_top, index + _FRAME_AFTER, selector)
    elif index < _FS_BASE:
        set_frame_word(stack_top, index if index < _ORIGINAL else index + _FRAME_AFTER, value)
    elif index <= _GS_BASE:
        if not 0 <= value < USER_END:
            raise Errno(EIO)
        if index == _FS_BASE:
            registers.bases.fs = value
        else:
            registers.bases.gs = value
    else:
        registers.set_selector(_DATA_SEGMENTS[index - _FIRST_DATA], _checked_selector(value))


def _checked_selector(value: int) -> int:
    """The 16 bits that matter. Raises EIO if they ask for more than a program's rights."""
    selector = value & 0xFFFF
    if selector != 0 and selector & _RIGHTS != _RIGHTS:
        raise Errno(EIO)
    return selector


def _write_flags(stack_top: int, registers: ProcessorState, value: int) -> None:
    """A debugger that sets the trap flag means the program's own."""
    if value & RFLAGS_TRAP != 0:
        registers.steps_forced = False
    elif registers.steps_forced:
        value |= RFLAGS_TRAP
    flags = value & _FLAGS_WRITABLE | RFLAGS_INTERRUPT | RFLAGS_RESERVED_ONE
    set_frame_word(stack_top, _FRAME_FLAGS, flags)


# The USER area --------------------------------------------------------------------------------------------------------


def read_user_word(stack_top: int, registers: ProcessorState, offset: int) -> int:
    """PTRACE_PEEKUSER, at a checked offset. What is neither a register nor a debug register reads as 0."""
    if offset < REGISTERS_SIZE:
        return read_register(stack_top, registers, offset >> 3)
    if _DEBUG_REGISTERS <= offset < _DEBUG_END:
        breakpoints = registers.breakpoints
        if breakpoints is None:
            breakpoints = Breakpoints()
        return breakpoints.read(offset - _DEBUG_REGISTERS >> 3)
    return 0


def write_user_word(stack_top: int, registers: ProcessorState, offset: int, value: int) -> None:
    """PTRACE_POKEUSER. Raises EIO, EINVAL (what cannot be watched), MemoryError."""
    if offset < REGISTERS_SIZE:
        write_register(stack_top, registers, offset >> 3, value)
    elif _DEBUG_REGISTERS <= offset < _DEBUG_END:
        breakpoints = registers.breakpoints
        if breakpoints is None:
            breakpoints = Breakpoints()
        breakpoints.write(offset - _DEBUG_REGISTERS >> 3, value)
        registers.watch(breakpoints)
    else:
        raise Errno(EIO)


def read_ports(registers: ProcessorState) -> bytes:
    """The map of ports, with a bit for each that the program may not use; empty if it has none (ioperm(2))."""
    ports = registers.ports
    return b"" if ports is None else ports.bits


# Segments of a thread's own -------------------------------------------------------------------------------------------


def read_thread_area(registers: ProcessorState, number: int, address: UserAddr) -> None:
    """PTRACE_GET_THREAD_AREA: write an entry as struct user_desc. Raises EINVAL, EFAULT."""
    index = _area_index(number)
    areas = registers.areas
    show_area(address, number, 0 if areas is None else areas.descriptors[index])


def write_thread_area(registers: ProcessorState, number: int, address: UserAddr) -> None:
    """PTRACE_SET_THREAD_AREA: set an entry from a struct user_desc, and the base of FS and GS that select it. Raises
    EINVAL, EFAULT, MemoryError.
    """
    descriptor, base = read_area(address)
    index = _area_index(number)
    areas = registers.areas
    if areas is None:
        areas = ThreadAreas()
        registers.use_areas(areas)
    areas.descriptors[index] = descriptor
    selector = number << 3 | _RIGHTS
    if registers.selector(FS) == selector:
        registers.bases.fs = base
    if registers.selector(GS) == selector:
        registers.bases.gs = base


def _area_index(number: int) -> int:
    index = number - FIRST_THREAD_AREA
    if not 0 <= index < THREAD_AREA_COUNT:
        raise Errno(EINVAL)
    return index


# Steps ----------------------------------------------------------------------------------------------------------------


def begin_step(stack_top: int, registers: ProcessorState) -> None:
    """The program is to stop after its next instruction."""
    flags = frame_word(stack_top, _FRAME_FLAGS)
    if flags & RFLAGS_TRAP == 0:
        registers.steps_forced = True
        set_frame_word(stack_top, _FRAME_FLAGS, flags | RFLAGS_TRAP)


def end_step(stack_top: int, registers: ProcessorState) -> None:
    """Let it continue normally."""
    if registers.steps_forced:
        registers.steps_forced = False
        set_frame_word(stack_top, _FRAME_FLAGS, frame_word(stack_top, _FRAME_FLAGS) & ~RFLAGS_TRAP)


# Floating point and vectors -------------------------------------------------------------------------------------------

_HEADER: Final = fpu.OFFSET_XSTATE_BV
_HEADER_SIZE: Final = 64
_SOFTWARE_BYTES: Final = 464  # in XSAVE's area, unused by the processor: Linux says there which components exist
_XMM: Final = 160
_XMM_END: Final = 416
_X87_END: Final = _XMM
_MXCSR_MASK: Final = 0xFFFF
_AVX: Final = 576
_AVX_SIZE: Final = 256
_AVX_NUMBER: Final = 2
_KEYS_SIZE: Final = 8
_KEYS_NUMBER: Final = 9
_COMPONENT_SIZE: Final = 16


def vector_size() -> int:
    """Bytes of XSAVE's area; 0 where the processor has none."""
    return 0 if fpu.component_mask() == 0 else fpu.frame_size()


def vector_components() -> bytes:
    """Where the components beyond the legacy ones lie in XSAVE's area, four 32-bit words for each: number, size,
    offset, flags (NT_X86_XSAVE_LAYOUT).
    """
    out = bytearray()
    if fpu.component_mask() & fpu.XSAVE_AVX != 0:
        out.extend(_component(_AVX_NUMBER, _AVX_SIZE, _AVX))
    if fpu.keys_offset() != 0:
        out.extend(_component(_KEYS_NUMBER, _KEYS_SIZE, fpu.keys_offset()))
    return bytes(out)


def _component(number: int, size: int, offset: int) -> bytes:
    out = bytearray(_COMPONENT_SIZE)
    words = span_of(out)
    words.store_u32(0, number)
    words.store_u32(4, size)
    words.store_u32(8, offset)
    return bytes(out)


def read_vectors(registers: ProcessorState, destination: Span[u8]) -> None:
    """XSAVE's area, all of it: what is in its initial state shows that. `destination` has `vector_size` bytes."""
    saved = registers.saved_area()
    components = _show_legacy(saved, destination)
    if components & fpu.XSAVE_AVX != 0:
        destination[_AVX : len(saved)].copy_from(saved[_AVX:])
    if fpu.keys_offset() != 0:
        components |= XSAVE_KEYS
        destination.store_u32(fpu.keys_offset(), registers.bases.key_rights)
    destination.store_u64(_SOFTWARE_BYTES, u64(fpu.enabled_mask()))
    destination.store_u64(_HEADER, u64(components))


def read_floating(registers: ProcessorState, destination: Span[u8]) -> None:
    """FXSAVE's image: FLOATING_SIZE bytes."""
    _show_legacy(registers.saved_area(), destination)


def _show_legacy(saved: Span[u8], destination: Span[u8]) -> int:
    """The x87 and SSE registers, with zeros for what is initial; returns the components that are not."""
    destination.fill(0)
    destination.store_u16(fpu.OFFSET_FCW, fpu.FCW_DEFAULT)
    destination.store_u32(fpu.OFFSET_MXCSR, fpu.MXCSR_DEFAULT)
    destination.store_u32(fpu.OFFSET_MXCSR + 4, _MXCSR_MASK)
    if len(saved) == 0:
        return 0
    components = fpu.XSAVE_X87 | fpu.XSAVE_SSE
    if fpu.component_mask() != 0:
        components = saved.load_u32(_HEADER) & fpu.component_mask()
    if components & fpu.XSAVE_X87 != 0:
        destination[0 : fpu.OFFSET_MXCSR].copy_from(saved[0 : fpu.OFFSET_MXCSR])
        destination[fpu.OFFSET_MXCSR + 8 : _X87_END].copy_from(saved[fpu.OFFSET_MXCSR + 8 : _X87_END])
    if components & fpu.XSAVE_SSE != 0:
        destination[_XMM:_XMM_END].copy_from(saved[_XMM:_XMM_END])
    destination.store_u32(fpu.OFFSET_MXCSR, saved.load_u32(fpu.OFFSET_MXCSR))
    return components


def write_floating(registers: ProcessorState, source: Span[u8]) -> None:
    """Take FXSAVE's image. Raises EINVAL for one that the processor would not take, MemoryError."""
    if len(source) != FLOATING_SIZE or source.load_u32(fpu.OFFSET_MXCSR) & ~_MXCSR_MASK != 0:
        raise Errno(EINVAL)
    registers.need_area()
    area = registers.saved_area()
    area[0:_XMM_END].copy_from(source[0:_XMM_END])
    if fpu.component_mask() != 0:
        components = area.load_u32(_HEADER) | fpu.XSAVE_X87 | fpu.XSAVE_SSE
        area.store_u64(_HEADER, u64(components))


def write_vectors(registers: ProcessorState, source: Span[u8]) -> None:
    """Take XSAVE's area, all of it. Raises EFAULT for another size, ENODEV where there is none, EINVAL for one that the
    processor would not take, MemoryError.
    """
    if fpu.component_mask() == 0:
        raise Errno(ENODEV)
    if len(source) != fpu.frame_size():
        raise Errno(EFAULT)
    components = source.load_u32(_HEADER)
    if components & ~fpu.enabled_mask() != 0 or source.load_u32(_HEADER + 4) != 0:
        raise Errno(EINVAL)
    for offset in range(8, _HEADER_SIZE, 4):
        if source.load_u32(_HEADER + offset) != 0:
            raise Errno(EINVAL)
    if components & (fpu.XSAVE_SSE | fpu.XSAVE_AVX) != 0 and source.load_u32(fpu.OFFSET_MXCSR) & ~_MXCSR_MASK != 0:
        raise Errno(EINVAL)
    registers.need_area()
    area = registers.saved_area()
    area.copy_from(source[0 : len(area)])
    if fpu.keys_offset() != 0:
        area.store_u32(_HEADER, components | XSAVE_KEYS)
        registers.bases.key_rights = source.load_u32(fpu.keys_offset()) if components & XSAVE_KEYS != 0 else 0
    area[_SOFTWARE_BYTES : fpu.LEGACY_SIZE].fill(0)
    if components & (fpu.XSAVE_SSE | fpu.XSAVE_AVX) == 0:
        area.store_u32(fpu.OFFSET_MXCSR, fpu.MXCSR_DEFAULT)
