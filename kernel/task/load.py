"""Laying a program out in a new address space: segments, heap, stack, vDSO, at random places (execve(2), elf(5)).

Only bookkeeping happens here, so that everything that can fail does so while the old program still runs. Bytes to be
written (arguments, the zeros after a segment's file part) are noted in the `Layout` and written in the new space.

Context: sleeps (reading the interpreter's headers).
"""

from typing import Final

from arch import USER_END
from kernel.fs.file import File
from kernel.lang import EINVAL, ENOMEM, EPERM, Errno, final
from kernel.lib import random
from kernel.lib.pace import pace
from kernel.lib.settings import INT_LEAST, INT_MOST, SystemSetting
from kernel.mm.area import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_PRIVATE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
)
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from kernel.mm.lowest import LOWEST
from kernel.mm.space import AddressSpace, page_up
from kernel.task.elf import Image, Segment
from kernel.task.personality import ADDR_COMPAT_LAYOUT, ADDR_NO_RANDOMIZE, MMAP_PAGE_ZERO
from kernel.task.vdso import map_vdso

_PROGRAM_BASE: Final = 0x5555_5555_4000  # two thirds of the user half, as on Linux
_PROGRAM_RANDOM_PAGES: Final = 1 << 26
_MAP_RANDOM_PAGES: Final = 1 << 26
_STACK_RANDOM_PAGES: Final = 1 << 20
_BRK_RANDOM_PAGES: Final = 1 << 13
_STACK_INITIAL: Final = 128 << 10
_CLEARING_COST: Final = 20  # instructions, for `pace`
_GAP_MINIMUM: Final = 128 << 20  # between the stack's top and mmap's
# 0: nothing is at random places; 1: the heap is not.
_RANDOMISES: Final = SystemSetting(b"kernel/randomize_va_space", [2], INT_LEAST, INT_MOST)
LEGACY_LAYOUT: Final = SystemSetting(b"vm/legacy_va_layout", [0], 0, 0x7FFF_FFFF)  # mmap goes up, for all programs


@final
class Clearing:
    """Bytes of the new program that must read as zero."""

    def __init__(self, address: int, size: int) -> None:
        self.address: int = address
        self.size: int = size


@final
class Layout:
    """The places of a new program's parts."""

    def __init__(self, may_be_low: bool) -> None:
        self.may_be_low: bool = may_be_low  # parts may lie below vm.mmap_min_addr
        self.entry: int = 0  # the starting address: in the interpreter if there is one
        self.program_entry: int = 0
        self.interpreter_base: int = 0
        self.headers: int = 0
        self.header_count: int = 0
        self.stack_top: int = 0
        self.vdso: int = 0
        self.opened: int = -1  # the descriptor of the file that the program is to interpret
        self.keeps_name: bool = False  # argv[2] is what that file's own argv[0] would be
        self.clearings: list[Clearing] = []
        self.mapped_end: int = 0  # of all that was mapped so far

    def map_over(self, start: int, end: int) -> None:
        """Whole pages are mapped: pending clearing in them, if they were mapped before, is dropped."""
        is_new = start >= self.mapped_end
        self.mapped_end = max(self.mapped_end, end)
        if is_new:
            return
        pace(_CLEARING_COST * len(self.clearings))
        kept: list[Clearing] = []
        for clearing in self.clearings:
            if not start <= clearing.address < end:
                kept.append(clearing)
        self.clearings = kept


def random_pages(limit: int) -> int:
    """A random number of bytes, whole pages, below `limit` pages (a power of two)."""
    return (random.word() & (limit - 1)) << 12


def lay_out(
    space: AddressSpace,
    file: File,
    image: Image,
    interpreter: File | None,
    loader: Image | None,
    stack_limit: int,
    personality: int,
    may_be_low: bool,
) -> Layout:
    """Map everything in a new space, as personality(2) says. `may_be_low`: the program will have CAP_SYS_RAWIO. Raises
    ENOMEM, EINVAL, EACCES, EPERM, MemoryError.
    """
    fixed = personality & ADDR_NO_RANDOMIZE != 0 or _RANDOMISES.value == 0
    layout = Layout(may_be_low)
    space.is_new = True
    stack_random = 0 if fixed else random_pages(_STACK_RANDOM_PAGES)
    layout.stack_top = USER_END - stack_random
    gap = max(_GAP_MINIMUM, min(stack_limit, USER_END // 6 * 5)) + (_STACK_RANDOM_PAGES << 12)
    space.layout.mapping_top = (USER_END - gap - (0 if fixed else random_pages(_MAP_RANDOM_PAGES))) & ~PAGE_MASK
    if personality & ADDR_COMPAT_LAYOUT != 0 or LEGACY_LAYOUT.value != 0:
        space.layout.mapping_bottom = page_up(USER_END // 3) + (0 if fixed else random_pages(_MAP_RANDOM_PAGES))
    bias = 0
    if image.is_relocatable():
        base = _PROGRAM_BASE + (0 if fixed else random_pages(_PROGRAM_RANDOM_PAGES))
        if interpreter is None:
            base = space.find_room(image.high - image.low)
        bias = _bias_to(base & ~(image.alignment - 1), image)
    _map_image(space, file, image, bias, layout)
    _note_places(space, image, bias)
    layout.program_entry = image.entry + bias
    layout.entry = layout.program_entry
    layout.headers = image.header_address + bias if image.header_address != 0 else 0
    layout.header_count = image.header_count
    _place_heap(space, image.high + bias, fixed or _RANDOMISES.value <= 1)
    if interpreter is not None and loader is not None:
        _map_interpreter(space, interpreter, loader, layout)
    _map_stack(space, layout.stack_top, image.executable_stack)
    layout.vdso = map_vdso(space)
    if personality & MMAP_PAGE_ZERO != 0 and (may_be_low or LOWEST.value == 0) and space.is_free(0, PAGE_SIZE):
        space.map(0, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    space.is_new = False
    return layout


def _map_interpreter(space: AddressSpace, file: File, image: Image, layout: Layout) -> None:
    bias = 0
    if image.is_relocatable():
        bias = _bias_to(space.find_room(image.high - image.low), image)
    _map_image(space, file, image, bias, layout)
    layout.interpreter_base = bias
    layout.entry = image.entry + bias


def _bias_to(base: int, image: Image) -> int:
    """The bias that makes the first segment, whichever it is, begin at `base`."""
    return base - (image.segments[0].address & ~PAGE_MASK)


def _map_image(space: AddressSpace, file: File, image: Image, bias: int, layout: Layout) -> None:
    """Map the segments of one file, in order. A page that several share belongs to the last one."""
    if not 0 <= image.low + bias < image.high + bias <= USER_END or not 0 <= image.entry + bias < USER_END:
        raise Errno(EINVAL)
    if image.low + bias < LOWEST.value and not layout.may_be_low:
        raise Errno(EPERM)
    source = file.memory_object()
    for segment in image.segments:
        start = (segment.address + bias) & ~PAGE_MASK
        file_end = segment.address + bias + segment.file_size
        memory_end = page_up(segment.address + bias + segment.memory_size)
        mapped_end = start
        if segment.file_size > 0:
            mapped_end = page_up(file_end)
            layout.map_over(start, mapped_end)
            first_page = segment.offset >> PAGE_SHIFT
            space.map(start, mapped_end - start, segment.prot, MAP_PRIVATE | MAP_FIXED, source, first_page)
        if segment.memory_size > segment.file_size:
            _map_zeros(space, segment, file_end, mapped_end, memory_end, layout)


def _note_places(space: AddressSpace, image: Image, bias: int) -> None:
    """Note where the program's code and data are, for /proc."""
    for segment in image.segments:
        start = segment.address + bias
        end = start + segment.file_size
        if segment.prot & PROT_EXEC != 0:
            space.layout.code_start = start if space.layout.code_end == 0 else min(space.layout.code_start, start)
            space.layout.code_end = max(space.layout.code_end, end)
        space.layout.data_start = max(space.layout.data_start, start)
        space.layout.data_end = max(space.layout.data_end, end)


def _map_zeros(
    space: AddressSpace, segment: Segment, file_end: int, mapped_end: int, memory_end: int, layout: Layout
) -> None:
    """Map the part of a segment that is not in the file. It is writable, and in the last page of the file's part it is
    zero, if that page is writable.
    """
    if mapped_end > file_end and segment.file_size > 0 and segment.prot & PROT_WRITE != 0:
        layout.clearings.append(Clearing(file_end, mapped_end - file_end))
    if memory_end > mapped_end:
        prot = PROT_READ | PROT_WRITE | (segment.prot & PROT_EXEC)
        layout.map_over(mapped_end, memory_end)
        space.map(mapped_end, memory_end - mapped_end, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)


def _place_heap(space: AddressSpace, end: int, fixed: bool) -> None:
    start = end + (0 if fixed else random_pages(_BRK_RANDOM_PAGES))
    if start > USER_END - PAGE_SIZE:
        start = end
    space.layout.brk_start = start
    space.layout.brk_end = start


def _map_stack(space: AddressSpace, top: int, executable: bool) -> None:
    prot = PROT_READ | PROT_WRITE | (PROT_EXEC if executable else 0)
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE
    start = space.map(top - _STACK_INITIAL, _STACK_INITIAL, prot, flags, None, 0)
    area = space.area_at(start)
    if area is None:
        raise Errno(ENOMEM)
    area.label = b"[stack]"
    space.layout.stack_top = top
