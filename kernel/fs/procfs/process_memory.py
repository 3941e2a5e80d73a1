"""Files of /proc/PID that show its memory: the arguments, the environment, the areas (proc_pid_cmdline(5),
proc_pid_maps(5), …).

Another process's memory is read page by page through its address space. Nothing is faulted in but what lies in a swap
area: a page that is not present yet ends the text.
"""

from typing import Final

from arch import key_count
from arch.programs import (
    DIRTY,
    PRESENT,
    PRIVATE,
    entry_frame,
    entry_slot,
    is_swapped,
    names_frame,
    read_entry,
    table_end,
)
from kernel.fs.procfs.subject import Subject, parse_unsigned_32
from kernel.fs.tmpfs.file import FilePages
from kernel.lang import ESRCH, Errno, Span, final, u8
from kernel.lib.pace import pace
from kernel.lib.pid import UNSET
from kernel.mm.area import (
    DROPPABLE,
    MAP_GROWSDOWN,
    MAP_LOCKED,
    MAP_NORESERVE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    UNWANTED,
    WANTED,
    Area,
)
from kernel.mm.binding import policy_of
from kernel.mm.broken import names_broken
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frame_tree import FrameTree, is_slot
from kernel.mm.frames import NO_FRAME, PAGE_MASK, PAGE_SIZE, Frame, frame_count, frame_span, huge_mappings, is_merged
from kernel.mm.huge_pool import HUGE_KIB, HUGE_MASK, HUGE_SIZE
from kernel.mm.large_pages import holds_whole, wants_large
from kernel.mm.merged_pages import MERGED
from kernel.mm.merging import Figures
from kernel.mm.objects import FixedPages, SharedMemory
from kernel.mm.policy import MemoryPolicy
from kernel.mm.space import DUMP_KINDS, AddressSpace, each_area
from kernel.mm.swap_slots import SWAP
from kernel.mm.userfault import MINOR, MISSING, WRITE_PROTECT

_TEXT_LIMIT: Final = 6 << 20  # no more than execve takes
_NAME_COLUMN: Final = 73
_KIB_PER_PAGE: Final = PAGE_SIZE // 1024
# Instructions, for `pace`
_AREA_COST: Final = 3000
_PAGE_COST: Final = 150
_COPY_COST: Final = 3000
_TABLE_COST: Final = 50_000
_FIGURES_COST: Final = 30_000


def memory_of(subject: Subject) -> AddressSpace | None:
    """The address space; None for zombies."""
    task = subject.task_or_none()
    if task is not None and task.memory is not None:
        return task.memory
    if subject.tid == UNSET:
        other = subject.process.any_thread()
        if other is not None:
            return other.memory
    return None


def living_memory_of(subject: Subject) -> AddressSpace:
    """The same; ESRCH for zombies."""
    space = memory_of(subject)
    if space is None:
        raise Errno(ESRCH)
    return space


def _page(space: AddressSpace, address: int) -> Frame:
    """The frame that is mapped at an address, NO_FRAME if none is."""
    area = space.area_at(address)
    if area is None:
        return NO_FRAME
    entry = space.pages.entry_of(address)
    if entry & PRESENT != 0:
        return entry_frame(entry)
    if area.source is not None and not is_swapped(entry):
        return area.source.resident(area.index_of(address & ~PAGE_MASK))
    return NO_FRAME


def _page_brought_back(space: AddressSpace, address: int) -> Frame:
    """The same for a page that lies in a swap area, if it can be read. Raises MemoryError."""
    while is_swapped(space.pages.entry_of(address)) and space.touch(address, Access.READ) == FaultOutcome.DONE:
        continue
    return _page(space, address)


def read_memory(space: AddressSpace, start: int, end: int) -> bytearray:
    """A range of a process's memory, as far as it is present or in a swap area. Sleeps: the caller holds the space by
    `acquire`. Raises MemoryError.
    """
    text = bytearray()
    place = start
    while place < end and place - start < _TEXT_LIMIT:
        frame = _page(space, place)
        if frame == NO_FRAME and space.pages.swapped > 0:
            frame = _page_brought_back(space, place)
        if frame == NO_FRAME:
            break
        offset = place & PAGE_MASK
        count = min(end - place, PAGE_SIZE - offset)
        data: Span[u8] = frame_span(frame)
        text.extend(data[offset : offset + count].to_bytes())
        place += count
        pace(_COPY_COST)
    return text


def command_line(subject: Subject) -> bytes:
    """The arguments, each with a NUL after it. Empty for zombies and kernel threads."""
    space = memory_of(subject)
    if space is None:
        return b""
    space.acquire()
    try:
        return _arguments_in(space)
    finally:
        space.release()


def _arguments_in(space: AddressSpace) -> bytes:
    text = bytes(read_memory(space, space.layout.argument_start, space.layout.argument_end))
    size = space.layout.argument_end - space.layout.argument_start
    if len(text) > 0 and len(text) == size and text[len(text) - 1] != 0:
        # The program wrote a longer title over its arguments (setproctitle(3)): it continues into the environment, up
        # to a NUL.
        more = bytes(read_memory(space, space.layout.argument_end, space.layout.environment_end))
        end = more.find(b"\0")
        text += more if end < 0 else more[:end]
    return text


def environment(subject: Subject) -> bytes:
    """The environment that the program was started with, each string with a NUL after it."""
    space = memory_of(subject)
    if space is None:
        return b""
    space.acquire()
    try:
        return bytes(read_memory(space, space.layout.environment_start, space.layout.environment_end))
    finally:
        space.release()


def auxiliary_vector(subject: Subject) -> bytes:
    """What the kernel passed to the program besides arguments and environment (getauxval(3))."""
    space = memory_of(subject)
    return b"" if space is None else space.auxiliary_vector


def dump_filter(subject: Subject) -> bytes:
    """Which kinds of areas a core file shows: DUMP_*, in hexadecimal. Empty for zombies."""
    subject.task()
    space = memory_of(subject)
    return b"" if space is None else f"{space.settings.dump_filter:08x}\n".encode()


def set_dump_filter(subject: Subject, text: bytes) -> None:
    """Set the kinds, by a number in any notation. Raises EINVAL, ERANGE, ESRCH."""
    value = parse_unsigned_32(text)
    living_memory_of(subject).settings.dump_filter = value & DUMP_KINDS


def _permissions(area: Area) -> str:
    text = "r" if area.prot & PROT_READ != 0 else "-"
    text += "w" if area.prot & PROT_WRITE != 0 else "-"
    text += "x" if area.prot & PROT_EXEC != 0 else "-"
    return text + ("s" if area.shared else "p")


def area_line(area: Area) -> bytes:
    """A line of maps."""
    device = 0
    ino = 0
    first_page = 0
    name = area.label
    source = area.source
    if source is not None:
        device = source.device_number()
        ino = source.inode_number()
        first_page = area.first_page
        if len(name) == 0:
            name = area.source_name()
    given = area.given_name
    if given is not None and source is not None:
        name = b"[anon_shmem:" + given + b"]"
    elif given is not None and len(name) == 0:
        name = b"[anon:" + given + b"]"
    text = f"{area.start:08x}-{area.end:08x} {_permissions(area)} {first_page:05x}000 "
    text += f"{device >> 8:02x}:{device & 0xFF:02x} {ino} "
    line = bytearray(text.encode())
    if len(name) > 0:
        while len(line) < _NAME_COLUMN:
            line.append(ord(" "))
        line.extend(name)
    line.append(ord("\n"))
    return bytes(line)


@final
class Resident:
    """Present pages of some areas, in KiB by kind. A page that several tables map is shared; each counts its share for
    Pss.
    """

    def __init__(self) -> None:
        self.resident: int = 0
        self.proportional_bytes: int = 0
        self.shared: int = 0
        self.private: int = 0
        self.anonymous: int = 0
        self.file: int = 0
        self.shmem: int = 0  # of files in memory, and shared without a file
        self.locked_bytes: int = 0  # of what is locked, as `proportional_bytes`
        self.anonymous_bytes: int = 0
        self.shmem_bytes: int = 0
        self.merged: int = 0  # with equal pages (kernel/mm/merging.py)
        self.shared_huge: int = 0  # huge pages are counted only here
        self.private_huge: int = 0
        self.large: int = 0  # of what is resident, in large pages
        self.swapped: int = 0  # in swap areas
        self.swapped_bytes: int = 0  # of each page the part that its users leave to each

    def count(self, space: AddressSpace, area: Area) -> None:
        """Add the pages of an area. Sleeps: the caller holds the space by `acquire`."""
        if area.is_huge:
            self._count_huge(space, area.start, area.end)
            return
        source = area.source
        tree = None if source is None else source.swappable_tree()
        if tree is not None and tree.swapped > 0:
            self._count_slots(tree, area.index_of(area.start), area.index_of(area.end))
        address = space.pages.next_mapped(area.start, area.end)
        while address < area.end:
            if address & HUGE_MASK == 0 and space.pages.find_large(address) != 0:
                self.large += HUGE_KIB
            self._count_page(area, space.pages.entry_of(address))
            pace(_PAGE_COST)
            address = space.pages.next_mapped(address + PAGE_SIZE, area.end)

    def _count_slots(self, tree: FrameTree, first: int, behind: int) -> None:
        """Add the pages of a memory object that lie in swap areas: as on Linux, nobody's part of them is counted."""
        index = tree.next_from(first)
        while first <= index < behind:
            if is_slot(tree.get(index)):
                self.swapped += _KIB_PER_PAGE
            pace(_PAGE_COST)
            index = tree.next_from(index + 1)

    def _count_huge(self, space: AddressSpace, start: int, end: int) -> None:
        address = space.pages.next_huge(start, end)
        while address < end:
            entry = read_entry(space.pages.find_huge(address))
            if huge_mappings(entry_frame(entry)) > 1:
                self.shared_huge += HUGE_KIB
            else:
                self.private_huge += HUGE_KIB
            pace(_PAGE_COST)
            address = space.pages.next_huge(address + HUGE_SIZE, end)

    def _count_page(self, area: Area, entry: int) -> None:
        if is_swapped(entry):
            slot = entry_slot(entry)
            users = max(1, SWAP.users(slot) - (0 if SWAP.find(slot) is None else 1))
            self.swapped += _KIB_PER_PAGE
            self.swapped_bytes += PAGE_SIZE // users
            return
        if names_broken(entry) or not names_frame(entry):
            return
        users = max(1, frame_count(entry_frame(entry)))
        part_bytes = PAGE_SIZE // users
        self.resident += _KIB_PER_PAGE
        self.proportional_bytes += part_bytes
        if area.flags & MAP_LOCKED != 0:
            self.locked_bytes += part_bytes
        if users > 1:
            self.shared += _KIB_PER_PAGE
        else:
            self.private += _KIB_PER_PAGE
        if area.source is None or entry & PRIVATE != 0:
            self.anonymous += _KIB_PER_PAGE
            self.anonymous_bytes += part_bytes
            if is_merged(entry_frame(entry)) and entry_frame(entry) != MERGED.zeros():
                self.merged += _KIB_PER_PAGE
        elif isinstance(area.source, (SharedMemory, FilePages)):
            self.shmem += _KIB_PER_PAGE
            self.shmem_bytes += part_bytes
        else:
            self.file += _KIB_PER_PAGE

    def lines(self, of_all: bool) -> bytes:
        """As smaps shows them; `of_all` for the sums over all areas. Clean and dirty pages are not distinguished: all
        count as dirty.
        """
        proportional = self.proportional_bytes // 1024
        text = _figure("Rss", self.resident) + _figure("Pss", proportional) + _figure("Pss_Dirty", proportional)
        if of_all:
            file_bytes = self.proportional_bytes - self.anonymous_bytes - self.shmem_bytes
            text += _figure("Pss_Anon", self.anonymous_bytes // 1024) + _figure("Pss_File", file_bytes // 1024)
            text += _figure("Pss_Shmem", self.shmem_bytes // 1024)
        text += _figure("Shared_Clean", 0) + _figure("Shared_Dirty", self.shared)
        text += _figure("Private_Clean", 0) + _figure("Private_Dirty", self.private)
        text += _figure("Referenced", self.resident) + _figure("Anonymous", self.anonymous)
        text += _figure("KSM", self.merged) + _figure("LazyFree", 0) + _figure("AnonHugePages", self.large)
        text += _figure("ShmemPmdMapped", 0) + _figure("FilePmdMapped", 0)
        text += _figure("Shared_Hugetlb", self.shared_huge) + _figure("Private_Hugetlb", self.private_huge)
        text += _figure("Swap", self.swapped) + _figure("SwapPss", self.swapped_bytes // 1024)
        text += _figure("Locked", self.locked_bytes // 1024)
        return text.encode()


def _figure(name: str, kib: int) -> str:
    label = name + ":"
    while len(label) < 16:
        label += " "
    return f"{label}{kib:8d} kB\n"


def _flag_words(area: Area) -> str:
    """What VmFlags shows of an area, two letters and a blank for each flag."""
    text = ""
    for bit, word in ((PROT_READ, "rd "), (PROT_WRITE, "wr "), (PROT_EXEC, "ex ")):
        text += word if area.prot & bit != 0 else ""
    text += "sh " if area.shared else ""
    for bit, word in ((PROT_READ, "mr "), (PROT_WRITE, "mw "), (PROT_EXEC, "me ")):
        text += word if area.maximum_prot & bit != 0 else ""
    text += "ms " if area.shared else ""
    text += "gd " if area.flags & MAP_GROWSDOWN != 0 else ""
    text += "um " if area.fault_modes & MISSING != 0 else ""
    text += "uw " if area.fault_modes & WRITE_PROTECT != 0 else ""
    text += "lo " if area.flags & MAP_LOCKED != 0 else ""
    text += "dc " if area.dont_fork else ""
    text += "de " if area.is_huge else ""
    text += "ac " if area.is_promised else ""
    text += "nr " if area.flags & MAP_NORESERVE != 0 else ""
    text += "ht " if area.is_huge else ""
    text += "wf " if area.wipe_on_fork else ""
    text += "dd " if area.dont_dump else ""
    text += "sd hg " if area.large_advice == WANTED else "sd nh " if area.large_advice == UNWANTED else "sd "
    text += "mg " if area.mergeable else ""
    text += "ui " if area.fault_modes & MINOR != 0 else ""
    return text + ("dp " if area.flags & DROPPABLE != 0 else "")


def area_figures(space: AddressSpace, area: Area) -> bytes:
    """What smaps shows of an area after its line: how much of it is in memory. Sleeps."""
    resident = Resident()
    resident.count(space, area)
    size_kib = (area.end - area.start) // 1024
    page_kib = area.page_bytes // 1024
    head = _figure("Size", size_kib) + _figure("KernelPageSize", page_kib)
    pace(_FIGURES_COST)
    text = (head + _figure("MMUPageSize", page_kib)).encode() + resident.lines(of_all=False)
    eligible = 1 if wants_large(space, area) and holds_whole(area) else 0
    key = f"ProtectionKey:  {area.key:8d}\n" if key_count() > 1 else ""
    return text + f"THPeligible:           {eligible}\n{key}VmFlags: {_flag_words(area)}\n".encode()


@final
class Placement:
    """Pages of an area by kind, as numa_maps counts them."""

    def __init__(self) -> None:
        self.present: int = 0
        self.anonymous: int = 0
        self.dirty: int = 0
        self.most_mapped: int = 0  # by how many tables the most mapped page is
        self.page_kib: int = _KIB_PER_PAGE

    def count(self, space: AddressSpace, area: Area) -> None:
        """Add the pages of an area. Sleeps: the caller holds the space by `acquire`."""
        if isinstance(area.source, FixedPages):
            return
        if area.is_huge:
            self._count_huge(space, area.start, area.end, area.page_bytes)
            return
        address = space.pages.next_table(area.start, area.end)
        while address < area.end:
            stop = min(area.end, table_end(address))
            page = space.pages.next_mapped(address, stop)
            while page < stop:
                self._count_page(area, space.pages.entry_of(page))
                page = space.pages.next_mapped(page + PAGE_SIZE, stop)
            pace(_TABLE_COST)
            address = space.pages.next_table(stop, area.end)

    def _count_page(self, area: Area, entry: int) -> None:
        if names_broken(entry) or not names_frame(entry):
            return
        users = frame_count(entry_frame(entry))
        self.present += 1
        if area.source is None or entry & PRIVATE != 0:
            self.anonymous += 1
        else:
            users -= 1  # the object's own
        if entry & (DIRTY | PRIVATE) != 0:
            self.dirty += 1
        self.most_mapped = max(self.most_mapped, users)

    def _count_huge(self, space: AddressSpace, start: int, end: int, page_bytes: int) -> None:
        self.page_kib = page_bytes // 1024
        address = space.pages.next_huge(start, end)
        while address < end:
            entry = read_entry(space.pages.find_huge(address))
            self.present += 1
            self.anonymous += 1 if entry & PRIVATE != 0 else 0
            self.dirty += 0 if entry & (DIRTY | PRIVATE) == PRIVATE else 1  # an object's page always counts as dirty
            self.most_mapped = max(self.most_mapped, huge_mappings(entry_frame(entry)))
            pace(_PAGE_COST)
            address = space.pages.next_huge(address + page_bytes, end)

    def text(self) -> str:
        """All pages count as recently used, and lie on the one node."""
        if self.present == 0:
            return ""
        text = ""
        if self.anonymous > 0:
            text += f" anon={self.anonymous}"
        if self.dirty > 0:
            text += f" dirty={self.dirty}"
        if self.present not in (self.anonymous, self.dirty):
            text += f" mapped={self.present}"
        if self.most_mapped > 1:
            text += f" mapmax={self.most_mapped}"
        return text + f" N0={self.present} kernelpagesize_kB={self.page_kib}"


def area_placement(space: AddressSpace, area: Area, of_thread: MemoryPolicy | None) -> bytes:
    """A line of numa_maps: the policy, of the thread where the area has none, and where the pages lie. Sleeps."""
    policy = policy_of(area, area.start)
    if policy is None:
        policy = of_thread
    line = bytearray(f"{area.start:08x} {'default' if policy is None else policy.text()}".encode())
    source = area.source
    if area.label == b"[heap]":
        line.extend(b" heap")
    elif area.label == b"[stack]":
        line.extend(b" stack")
    elif source is not None and not isinstance(source, FixedPages):
        line.extend(b" file=")
        line.extend(escaped(area.source_name()))
    if area.is_huge:
        line.extend(b" huge")
    placement = Placement()
    placement.count(space, area)
    line.extend(placement.text().encode())
    line.append(ord("\n"))
    pace(_AREA_COST)
    return bytes(line)


def escaped(name: bytes) -> bytes:
    """A name in which blanks, newlines, tabs and `=` are in octal."""
    text = bytearray()
    for byte in name:
        if byte == ord("\t") or byte == ord("\n") or byte == ord(" ") or byte == ord("="):
            text.extend(f"\\{byte:03o}".encode())
        else:
            text.append(byte)
    return bytes(text)


def _merging_of(subject: Subject) -> Figures | None:
    """How much of a process's memory is merged; None if it has none. Sleeps."""
    space = memory_of(subject)
    if space is None:
        return None
    figures = Figures()
    space.acquire()
    try:
        figures.count(space)
    finally:
        space.release()
    return figures


def merged_pages(subject: Subject) -> bytes:
    """How many pages are merged with equal ones."""
    figures = _merging_of(subject)
    return b"" if figures is None else f"{figures.merged}\n".encode()


def merging_figures(subject: Subject) -> bytes:
    """What the search for equal pages knows of the process, and what it saved."""
    figures = _merging_of(subject)
    if figures is None:
        return b""
    text = f"ksm_rmap_items {figures.notes + figures.merged}\nksm_zero_pages {figures.zero_pages}\n"
    text += f"ksm_merging_pages {figures.merged}\nksm_process_profit {figures.profit_bytes()}\n"
    return text.encode()


def smaps_rollup(subject: Subject) -> bytes:
    """The sums over all areas."""
    space = memory_of(subject)
    if space is None:
        raise Errno(ESRCH)
    low = 0
    high = 0
    resident = Resident()
    space.acquire()
    try:
        for area in each_area(space):
            resident.count(space, area)
    finally:
        space.release()
    lowest = space.areas.first()
    highest = space.areas.last()
    if lowest is not None and highest is not None:
        low = lowest.start
        high = highest.end
    text = bytearray(f"{low:08x}-{high:08x} ---p 00000000 00:00 0 ".encode())
    while len(text) < _NAME_COLUMN:
        text.append(ord(" "))
    text.extend(b"[rollup]\n")
    text.extend(resident.lines(of_all=True))
    return bytes(text)
