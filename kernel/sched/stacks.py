"""Kernel stacks: 16 KiB each, mapped in the kernel's dynamic area with nothing mapped below.

The compiler adds up the worst-case need of every entry point (`@on_stack`; build/krait.stacks lists it) and refuses
programs that do not fit. A stack that overflows nevertheless, after a bug, hits the gap, which is a double fault on a
stack of its own, instead of other memory. A stack grows only where its thread asks for more (room.py).
Mapping costs a microsecond, so up to `_CACHE_LIMIT` bytes of stacks are kept for the next threads, until memory is
short.

Invariants: each slot has one stack at most, which is in use, cached or free; a cached stack is mapped, and no thread
runs on it. The stacks are linked, so that whoever gives one back needs no memory: it may be the search for memory.
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
    """One stack. Mapped from `base` on; at first nothing is."""

    def __init__(self, slot: int) -> None:
        self.top: int = DYNAMIC_BASE + (slot + 1) * _SLOT_SIZE
        self.base: int = self.top
        self.next: KernelStack | None = None  # of those that are cached, or free


_cached: KernelStack | None = None
_cached_bytes: int = 0
_free: KernelStack | None = None  # not mapped
_stale: KernelStack | None = None  # the same, but other processors may still have the old mappings in their TLBs
_next_slot: int = 0


def allocate_stack() -> KernelStack:
    """A stack for a new thread. Raises MemoryError."""
    global _next_slot, _cached, _cached_bytes, _free
    stack = _cached
    if stack is not None:
        _cached = stack.next
        _cached_bytes -= stack.top - stack.base
        stack.next = None
        return stack
    if _free is None and _stale is not None:
        _renew_free()
    stack = _free
    if stack is not None:
        _free = stack.next
        stack.next = None
    elif _next_slot < _SLOT_LIMIT:
        stack = KernelStack(_next_slot)
        _next_slot += 1
    else:
        raise MemoryError
    try:
        grow_stack(stack, stack.top - STACK_SIZE)
    except MemoryError:
        _unmap(stack)
        raise
    return stack


def grow_stack(stack: KernelStack, low: int) -> None:
    """Map a stack, on which the caller runs or nobody, down to an address at least; it stays so. Raises MemoryError,
    also if it would be longer than LARGEST_STACK; pages mapped by then stay.
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


def _renew_free() -> None:
    """Let all processors forget the mappings of free stacks: once for many of them."""
    global _free, _stale
    synchronise_processors()
    renewed = _stale
    _stale = _free
    _free = renewed


def free_stack(stack: KernelStack) -> None:
    """No thread runs on the stack any more."""
    global _cached, _cached_bytes
    size = stack.top - stack.base
    if _cached_bytes + size > _CACHE_LIMIT:
        _unmap(stack)
        return
    stack.next = _cached
    _cached = stack
    _cached_bytes += size


def drop_cached_stacks() -> int:
    """Memory is short: free the cached stacks. Returns how many frames came free. Never sleeps, allocates nothing."""
    global _cached, _cached_bytes
    dropped = _cached_bytes // PAGE_SIZE
    _cached_bytes = 0
    stack = _cached
    _cached = None
    while stack is not None:
        following = stack.next
        _unmap(stack)
        stack = following
    return dropped


def _unmap(stack: KernelStack) -> None:
    """Unmap a stack, which is free now. Allocates nothing."""
    global _stale
    while stack.base < stack.top:
        physical = unmap_page(stack.base)
        if physical >= 0:
            put_frame(Frame(physical >> PAGE_SHIFT))
        stack.base += PAGE_SIZE
    stack.next = _stale
    _stale = stack
