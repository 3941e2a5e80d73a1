"""Kernel stacks: 16 KiB each, mapped in the kernel's dynamic area with nothing mapped below.

The compiler adds up the worst-case need of every entry point (`@on_stack`; build/krait.stacks lists it) and refuses
programs that do not fit. A stack that overflows nevertheless, after a bug, hits the gap, which is a double fault on a
stack of its own, instead of other memory. A stack grows only where its thread asks for more (room.py).
Mapping costs a microsecond, so up to `_CACHE_LIMIT` bytes of stacks are kept for the next threads, until memory is
short.

Invariants: slot numbers are unique among stacks in use and cached; a cached stack is mapped, and no thread runs on it.
Context: never sleeps. Raises MemoryError.
Safety: `map_page` gets addresses inside the dynamic area, of a slot that is ours, and frames that we just allocated; a
stack is unmapped only after the thread that ran on it has left it for good.
"""

from typing import Final

from arch import DEVICE_BASE, DYNAMIC_BASE, KERNEL_STACK, map_page, synchronise_processors, unmap_page
from kernel.lang import final
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE, Frame, allocate_zeroed_frame, put_frame

STACK_SIZE: Final = 16384
LARGEST_STACK: Final = 65536
_SLOT_SIZE: Final = 131072  # the lower half stays unmapped
_SLOT_LIMIT: Final = (DEVICE_BASE - DYNAMIC_BASE) // _SLOT_SIZE
_CACHE_LIMIT: Final = 64 * STACK_SIZE


@final
class KernelStack:
    """One stack, mapped."""

    def __init__(self, slot: int) -> None:
        self.slot: int = slot
        self.top: int = DYNAMIC_BASE + (slot + 1) * _SLOT_SIZE
        self.base: int = self.top - STACK_SIZE


_cached: list[KernelStack] = []
_cached_bytes: int = 0
_free_slots: list[int] = []
_stale_slots: list[int] = []  # free, but other processors may still have its old mappings in their TLBs
_next_slot: int = 0


def allocate_stack() -> KernelStack:
    """A stack for a new thread. Raises MemoryError."""
    global _next_slot, _cached_bytes
    if len(_cached) > 0:
        kept = _cached.pop()
        _cached_bytes -= kept.top - kept.base
        return kept
    if len(_free_slots) == 0 and len(_stale_slots) > 0:
        _renew_slots()
    if len(_free_slots) > 0:
        slot = _free_slots.pop()
    elif _next_slot < _SLOT_LIMIT:
        slot = _next_slot
        _next_slot += 1
    else:
        raise MemoryError
    top = DYNAMIC_BASE + (slot + 1) * _SLOT_SIZE
    low = top
    try:
        stack = KernelStack(slot)
        while low > stack.base:
            _map_below(low)
            low -= PAGE_SIZE
    except MemoryError:
        _unmap(slot, low)
        raise
    return stack


def grow_stack(stack: KernelStack, low: int) -> None:
    """Map a stack, on which the caller runs, down to an address at least; it stays so. Raises MemoryError, also if
    it would be longer than LARGEST_STACK; pages mapped by then stay.
    """
    if low < stack.top - LARGEST_STACK:
        raise MemoryError
    while stack.base > low:
        _map_below(stack.base)
        stack.base -= PAGE_SIZE


def _map_below(address: int) -> None:
    """Map the page that ends at an address. Raises MemoryError."""
    frame = allocate_zeroed_frame()
    try:
        map_page(address - PAGE_SIZE, frame << PAGE_SHIFT, KERNEL_STACK)
    except MemoryError:
        put_frame(frame)
        raise


def _renew_slots() -> None:
    """Let all processors forget the mappings of free slots: once for many of them."""
    global _free_slots, _stale_slots
    synchronise_processors()
    renewed = _stale_slots
    _stale_slots = _free_slots
    _free_slots = renewed


def free_stack(stack: KernelStack) -> None:
    """No thread runs on the stack any more."""
    global _cached_bytes
    size = stack.top - stack.base
    if _cached_bytes + size <= _CACHE_LIMIT:
        try:
            _cached.append(stack)
            _cached_bytes += size
            return
        except MemoryError:
            pass  # no room to remember it: give it back
    _unmap(stack.slot, stack.base)


def drop_cached_stacks() -> int:
    """Memory is short: free the cached stacks. Returns how many frames came free. Never sleeps, raises nothing."""
    global _cached_bytes
    dropped = _cached_bytes // PAGE_SIZE
    _cached_bytes = 0
    while len(_cached) > 0:
        stack = _cached.pop()
        _unmap(stack.slot, stack.base)
    return dropped


def _unmap(slot: int, low: int) -> None:
    """Unmap a free slot, which is mapped from `low` on."""
    for address in range(low, DYNAMIC_BASE + (slot + 1) * _SLOT_SIZE, PAGE_SIZE):
        physical = unmap_page(address)
        if physical >= 0:
            put_frame(Frame(physical >> PAGE_SHIFT))
    try:
        _stale_slots.append(slot)
    except MemoryError:
        pass  # the slot's addresses are lost; there are millions
