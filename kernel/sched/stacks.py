"""Kernel stacks: 16 KiB each, mapped in the kernel's dynamic area with an unmapped page below.

The compiler adds up what every entry point may need at worst (`@on_stack`; build/krait.stacks lists it) and refuses
what does not fit. A stack that overflows nevertheless, after a bug, hits the gap, which is a double fault on a stack of
its own, instead of someone else's memory.
Mapping costs a microsecond, so up to `_CACHE_LIMIT` stacks are kept for the next threads, until memory is short.

Invariants: slot numbers are unique among stacks in use and cached; a cached stack is mapped, and nobody runs on it.
Context: never sleeps. Raises MemoryError.
Safety: `map_page` gets addresses inside the dynamic area, of a slot that is ours, and frames that we just allocated; a
stack is unmapped only after the thread that ran on it has left it for good.
"""

from typing import Final

from arch import DEVICE_BASE, DYNAMIC_BASE, KERNEL_STACK, map_page, synchronise_processors, unmap_page
from kernel.lang import final
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE, Frame, allocate_zeroed_frame, put_frame

STACK_SIZE: Final = 16384
_SLOT_SIZE: Final = 32768  # the lower half stays unmapped
_SLOT_LIMIT: Final = (DEVICE_BASE - DYNAMIC_BASE) // _SLOT_SIZE
_CACHE_LIMIT: Final = 64


@final
class KernelStack:
    """One stack, mapped."""

    def __init__(self, slot: int) -> None:
        self.slot: int = slot
        self.top: int = DYNAMIC_BASE + (slot + 1) * _SLOT_SIZE
        self.base: int = self.top - STACK_SIZE


_cached: list[KernelStack] = []
_free_slots: list[int] = []
_stale_slots: list[int] = []  # free, but other processors may still know what was mapped there
_next_slot: int = 0


def allocate_stack() -> KernelStack:
    """A stack for a new thread. Raises MemoryError."""
    global _next_slot
    if len(_cached) > 0:
        return _cached.pop()
    if len(_free_slots) == 0 and len(_stale_slots) > 0:
        _renew_slots()
    if len(_free_slots) > 0:
        slot = _free_slots.pop()
    elif _next_slot < _SLOT_LIMIT:
        slot = _next_slot
        _next_slot += 1
    else:
        raise MemoryError
    mapped = 0
    try:
        stack = KernelStack(slot)
        while mapped < STACK_SIZE:
            frame = allocate_zeroed_frame()
            try:
                map_page(stack.base + mapped, frame << PAGE_SHIFT, KERNEL_STACK)
            except MemoryError:
                put_frame(frame)
                raise
            mapped += PAGE_SIZE
    except MemoryError:
        _unmap(slot, mapped)
        raise
    return stack


def _renew_slots() -> None:
    """Let all processors forget what was mapped in free slots: once for many of them."""
    global _free_slots, _stale_slots
    synchronise_processors()
    renewed = _stale_slots
    _stale_slots = _free_slots
    _free_slots = renewed


def free_stack(stack: KernelStack) -> None:
    """Nobody runs on the stack any more."""
    if len(_cached) < _CACHE_LIMIT:
        try:
            _cached.append(stack)
            return
        except MemoryError:
            pass  # no room to remember it: give it back
    _unmap(stack.slot, STACK_SIZE)


def drop_cached_stacks() -> int:
    """Memory is short: give the cached stacks back. Returns how many frames came free. Never sleeps, raises nothing."""
    dropped = 0
    while len(_cached) > 0:
        _unmap(_cached.pop().slot, STACK_SIZE)
        dropped += STACK_SIZE // PAGE_SIZE
    return dropped


def _unmap(slot: int, mapped: int) -> None:
    base = DYNAMIC_BASE + (slot + 1) * _SLOT_SIZE - STACK_SIZE
    for offset in range(0, mapped, PAGE_SIZE):
        physical = unmap_page(base + offset)
        if physical >= 0:
            put_frame(Frame(physical >> PAGE_SHIFT))
    try:
        _stale_slots.append(slot)
    except MemoryError:
        pass  # the slot's addresses are lost; there are millions
