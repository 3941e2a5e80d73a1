"""The way out after a bug: from the registers where the kernel trapped to the next clean-up (`finally`, `with`).

Reads the image's table (compiler/unwind.py describes it). Each step restores the registers that the function had saved
and goes on at its return address, until a call with a clean-up around it is found; the caller then lets the thread run
there. The clean-up ends with a call of `_Unwind_Resume` (arch/x86_64/entry.S), which searches on from that place. A
page fault in a copy routine is a step like any other: the frame that entry.S saved has all registers.

Context: any thread, with the heap in any state: nothing is allocated. Never sleeps.
Safety: reads the table between the symbols that the linker set, and words of the stack only where they are aligned,
above the last frame, within a stack's size and mapped. Where a landing begins, LLVM expects the frame pointer, the
stack pointer and the registers that a call preserves as they were at the call, which is what the table restores.
"""

from typing import Final

from arch.x86_64.frame import FRAME_SIZE, TrapFrame
from arch.x86_64.paging import is_mapped
from kernel.lang import last_resort
from kernel.lang.unsafe import load_i64, load_u32, struct_at_address, symbol_address

_BASE: Final = -0x8000_0000  # of the image, to which the table's addresses are relative
_STACK_REACH: Final = 65536  # the largest size of a kernel stack
_STEPS: Final = 1000
_FRAMED: Final = 1 << 31
_WORD_BITS: Final = 12  # of a row without a frame
_HEADER: Final = 8
_ROW: Final = 8


@last_resort
def find_landing(frame: TrapFrame, is_call: bool) -> bool:
    """Let a frame continue at the next clean-up. `is_call`: it is right after a call, not at an instruction that
    trapped. False if there is none; then the frame's registers are meaningless.
    """
    table = symbol_address("__krait_unwind_start")
    if symbol_address("__krait_unwind_end") - table < _HEADER:
        return False
    rows = table + _HEADER
    row_count = load_u32(table)
    landings = rows + row_count * _ROW
    high = frame.rsp + _STACK_REACH
    for _ in range(_STEPS):
        at = frame.rip - 1 if is_call else frame.rip
        landing = _find(landings, load_u32(table + 4), at - _BASE)
        if landing != 0:
            frame.rip = landing + _BASE
            return True
        if frame.rip == symbol_address("exception_is_handled"):
            if not _is_stack(frame.rsp, FRAME_SIZE, high):
                return False
            _restore(frame, struct_at_address(TrapFrame, frame.rsp))
            is_call = False
            continue
        if not _leave(frame, _find(rows, row_count, at - _BASE), high):
            return False
        is_call = True
    return False


@last_resort
def frameless_caller(frame: TrapFrame) -> int:
    """Where the function of a frame returns to if it has no frame of its own on the stack there, else 0."""
    row = _row_at(frame)
    place = _return_place(frame.rsp, row)
    if row == 0 or row & _FRAMED != 0 or place & 7 != 0 or not is_mapped(place):
        return 0
    return load_i64(place)


@last_resort
def caller_frame_pointer(frame: TrapFrame) -> int:
    """The head of the chain of frames that lies above such a function; `frame`'s own where the function has a frame."""
    row = _row_at(frame)
    below = row >> _WORD_BITS + 15 & 7
    place = _return_place(frame.rsp, row) - below * 8
    if row & _FRAMED != 0 or below == 0 or place & 7 != 0 or not is_mapped(place):
        return frame.rbp
    return load_i64(place)


def _row_at(frame: TrapFrame) -> int:
    table = symbol_address("__krait_unwind_start")
    if symbol_address("__krait_unwind_end") - table < _HEADER:
        return 0
    return _find(table + _HEADER, load_u32(table), frame.rip - _BASE)


def _find(rows: int, count: int, address: int) -> int:
    """The value of the last row up to an address, 0 if there is none."""
    low = 0
    high = count
    while low < high:
        middle = (low + high) // 2
        if load_u32(rows + middle * _ROW) <= address:
            low = middle + 1
        else:
            high = middle
    return load_u32(rows + (low - 1) * _ROW + 4) if low > 0 and address >= 0 else 0


def _is_stack(address: int, size: int, high: int) -> bool:
    return address & 7 == 0 and high - _STACK_REACH <= address <= high - size and is_mapped(address)


def _leave(frame: TrapFrame, row: int, high: int) -> bool:
    """Go from a function to its caller. False if there is none."""
    if row & _FRAMED != 0:
        base = frame.rbp
        if base < frame.rsp or not _is_stack(base, 16, high):
            return False
        _restore_saved(frame, row, base)
        frame.rip = load_i64(base + 8)
        frame.rbp = load_i64(base)
        frame.rsp = base + 16
        return frame.rbp != 0
    place = _return_place(frame.rsp, row)
    if not _is_stack(frame.rsp, place + 8 - frame.rsp, high) or not is_mapped(place):
        return False
    _restore_saved(frame, row >> _WORD_BITS, place)
    frame.rip = load_i64(place)
    frame.rsp = place + 8
    return frame.rbp != 0


def _return_place(rsp: int, row: int) -> int:
    """Where the return address lies in assembly (which has no row), or where a function has no frame."""
    words = row & (1 << _WORD_BITS) - 1
    return rsp + (words - 1) * 8 if words > 0 else rsp


def _restore_saved(frame: TrapFrame, row: int, base: int) -> None:
    """The registers that a function keeps for its caller: three bits each say where, in words below `base`."""
    if row & 7 != 0:
        frame.rbx = load_i64(base - (row & 7) * 8)
    if row >> 3 & 7 != 0:
        frame.r12 = load_i64(base - (row >> 3 & 7) * 8)
    if row >> 6 & 7 != 0:
        frame.r13 = load_i64(base - (row >> 6 & 7) * 8)
    if row >> 9 & 7 != 0:
        frame.r14 = load_i64(base - (row >> 9 & 7) * 8)
    if row >> 12 & 7 != 0:
        frame.r15 = load_i64(base - (row >> 12 & 7) * 8)
    if row >> 15 & 7 != 0:
        frame.rbp = load_i64(base - (row >> 15 & 7) * 8)


def _restore(frame: TrapFrame, saved: TrapFrame) -> None:
    """The registers of the code that a fault interrupted."""
    frame.rip = saved.rip
    frame.rsp = saved.rsp
    frame.rbp = saved.rbp
    frame.rbx = saved.rbx
    frame.r12 = saved.r12
    frame.r13 = saved.r13
    frame.r14 = saved.r14
    frame.r15 = saved.r15
