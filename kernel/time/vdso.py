"""The vDSO: clock_gettime without a system call (vdso(7)).

Two pages are mapped into every program, read-only: data that the tick updates, and after it the code from
the kernel's image. The layout of the data is that of arch/x86_64/vdso/vdso.S. Programs in a time namespace whose clocks
are shifted have other data, which indicate that there is no counter: so their clocks are read by the system call.

Context: `update` runs in interrupts. `start` raises MemoryError.
Safety: reads the image's vDSO page between the symbols that the linker defined; writes only the frame that it
allocated, at offsets below its end.
"""

from typing import Final

from kernel.lang import final
from kernel.lang.unsafe import mmio_store_u32, span_at, symbol_address
from kernel.mm.frames import NO_FRAME, PAGE_SIZE, Frame, allocate_zeroed_frame, frame_address, frame_span
from kernel.mm.objects import FixedPages
from kernel.time.clock import (
    NS_PER_SECOND,
    TIME_ZONE,
    base_ns,
    counter_base,
    counter_scale,
    monotonic_ns,
    realtime_offset_ns,
)
from kernel.time.namespace import TimeNamespace

_SEQUENCE: Final = 0
_BASE_COUNTER: Final = 8
_MONOTONIC: Final = 16  # seconds, then nanoseconds, at the base
_SCALE: Final = 32
_REALTIME: Final = 40
_TIME_ZONE: Final = 56  # struct timezone


@final
class VdsoPages:
    """The frames, NO_FRAME before `start`."""

    def __init__(self) -> None:
        self.data: Frame = NO_FRAME
        self.pages: FixedPages = FixedPages(b"[vdso]")
        self.asking_pages: FixedPages = FixedPages(b"[vdso]")  # whose data make programs ask the kernel
        self.sequence: int = 0
        self.shown_base: int = 0


_vdso: Final = VdsoPages()


def start() -> None:
    """Create the pages, once."""
    data = allocate_zeroed_frame()
    code = allocate_zeroed_frame()
    frame_span(code).copy_from(span_at(symbol_address("vdso_image_start"), PAGE_SIZE))
    asking = allocate_zeroed_frame()
    mmio_store_u32(frame_address(asking) + _SEQUENCE, 1)
    _vdso.pages.frames.append(data)
    _vdso.pages.frames.append(code)
    _vdso.asking_pages.frames.append(asking)
    _vdso.asking_pages.frames.append(code)
    _vdso.data = data
    update()


def pages(namespace: TimeNamespace) -> FixedPages | None:
    """The pages to map for programs in a time namespace, None if there is no vDSO."""
    if _vdso.data == NO_FRAME:
        return None
    return _vdso.asking_pages if namespace.is_shifted() else _vdso.pages


def update() -> None:
    """Update the data: after each move of the clock's base, and when the wall clock was set."""
    if _vdso.data == NO_FRAME:
        return
    monotonic_ns()  # moves the base forward if it is far
    _vdso.shown_base = counter_base()
    _vdso.sequence = (_vdso.sequence + 2) & 0x7FFF_FFFE
    _store_u32(_SEQUENCE, _vdso.sequence | 1)
    _store(_BASE_COUNTER, counter_base())
    _store_time(_MONOTONIC, base_ns())
    _store(_SCALE, counter_scale())
    _store_time(_REALTIME, base_ns() + realtime_offset_ns())
    _store_u32(_TIME_ZONE, TIME_ZONE.minutes_west & 0xFFFF_FFFF)
    _store_u32(_TIME_ZONE + 4, TIME_ZONE.kind & 0xFFFF_FFFF)
    if counter_scale() != 0:
        _store_u32(_SEQUENCE, _vdso.sequence)  # without a counter it stays odd: programs ask the kernel


def follow_clock() -> None:
    """From the tick: update if the clock's base has moved, so that both ways to read the time agree exactly."""
    if _vdso.data != NO_FRAME and counter_base() != _vdso.shown_base:
        update()


def _store_time(offset: int, time_ns: int) -> None:
    """Divided here, once a move of the base, so that programs need not divide."""
    _store(offset, time_ns // NS_PER_SECOND)
    _store(offset + 8, time_ns % NS_PER_SECOND)


def _store(offset: int, value: int) -> None:
    _store_u32(offset, value & 0xFFFF_FFFF)
    _store_u32(offset + 4, (value >> 32) & 0xFFFF_FFFF)


def _store_u32(offset: int, value: int) -> None:
    """Stored in program order, like a device's register: programs on other processors read it meanwhile."""
    mmio_store_u32(frame_address(_vdso.data) + offset, value)
