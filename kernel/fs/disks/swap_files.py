"""Swap areas as files: a block device, or a regular file on one, with the header that mkswap(8) writes.

While a file is in use, nobody may write to it (ETXTBSY), change its length or remove its name; a device is in use
alone.

What lies in an area is discarded when it is taken into use (SWAP_FLAG_DISCARD_ONCE), and where slots come free
(SWAP_FLAG_DISCARD_PAGES) unless the disk is rotational; SWAP_FLAG_DISCARD alone means both.

Deviations from Linux: of an area, 256 GiB at most are used.

Context: sleeps.
Source: swapon(2), mkswap(8).
"""

from typing import Final

from kernel.block.device import SECTOR_SHIFT, SWAP_DEVICES, BlockDevice
from kernel.cache.devices import sync_device
from kernel.cache.swap_areas import DeviceArea, close_area, empty_area, next_number, open_area
from kernel.cache.swapper import SWAPPER
from kernel.fs.cached_inode import CachedInode
from kernel.fs.disks.block_file import BlockFile
from kernel.fs.file import File
from kernel.fs.inode import NOWHERE, Inode
from kernel.lang import EBUSY, EINVAL, ENOENT, EOPNOTSUPP, Errno, final, span_of
from kernel.lib import log
from kernel.lib.user import KernelBuffer
from kernel.mm.commitment import promise, take_back
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE
from kernel.mm.swap_slots import MOST_PAGES, SWAP
from kernel.sched import WaitQueue

PREFERRED: Final = 0x8000  # SWAP_FLAG_PREFER: the lowest 15 bits are the priority
PRIORITY: Final = 0x7FFF
DISCARD: Final = 0x1_0000
DISCARD_ONCE: Final = 0x2_0000
DISCARD_PAGES: Final = 0x4_0000

_SIGNATURE: Final = b"SWAPSPACE2"
_HEADER: Final = 1024  # where version, last page and number of bad pages stand; the bad pages follow after labels
_BAD_PAGES: Final = 1536
_VERSION: Final = 1
_MOST_BAD_PAGES: Final = (PAGE_SIZE - len(_SIGNATURE) - _BAD_PAGES) // 4
_KIB_SHIFT: Final = PAGE_SHIFT - 10


@final
class UsedFile:
    """A file in use for swapping."""

    def __init__(self, file: File, area: DeviceArea) -> None:
        self.file: File = file
        self.area: DeviceArea = area

    def is_device(self) -> bool:
        """Whether it is a block device."""
        return isinstance(self.file, BlockFile)


@final
class UsedFiles:
    """All of them, in the order of their numbers. `changes` counts how often something was added or removed."""

    def __init__(self) -> None:
        self.all: list[UsedFile] = []
        self.changes: int = 0
        self.queue: WaitQueue = WaitQueue()

    def enter(self, used: UsedFile) -> None:
        """One more is in use. Raises MemoryError."""
        place = 0
        while place < len(self.all) and self.all[place].area.number < used.area.number:
            place += 1
        self.all.insert(place, used)

    def changed(self) -> None:
        """Whoever watches /proc/swaps hears of it."""
        self.changes += 1
        self.queue.wake_all()


USED_FILES: Final = UsedFiles()


@final
class Header:
    """What the first page says. Raises EINVAL where nothing can be swapped to such an area."""

    def __init__(self, page: bytearray, size: int, is_file: bool) -> None:
        self.page: bytearray = page
        self._is_foreign: bool = span_of(page).load_u32(_HEADER) == _swapped(_VERSION)
        self.last: int = 0
        self.bad_count: int = 0
        self.page_count: int = 0
        if not bytes(page).endswith(_SIGNATURE):
            raise Errno(EINVAL)
        if self._word(_HEADER) != _VERSION:
            raise Errno(EINVAL)
        self.last = self._word(_HEADER + 4)
        self.bad_count = self._word(_HEADER + 8)
        self.page_count = min(self.last + 1, MOST_PAGES)
        file_pages = size >> PAGE_SHIFT
        if self.last == 0 or (file_pages > 0 and self.page_count > file_pages):
            raise Errno(EINVAL)
        if self.bad_count > _MOST_BAD_PAGES or (self.bad_count > 0 and is_file):
            raise Errno(EINVAL)

    def _word(self, offset: int) -> int:
        word = span_of(self.page).load_u32(offset)
        return _swapped(word) if self._is_foreign else word

    def bad_page(self, place: int) -> int:
        """One of its bad pages. Raises EINVAL."""
        page = self._word(_BAD_PAGES + 4 * place)
        if page == 0 or page > self.last:
            raise Errno(EINVAL)
        return page


def _swapped(word: int) -> int:
    """A word of a machine with the other order of bytes."""
    return (word & 0xFF) << 24 | (word & 0xFF00) << 8 | word >> 8 & 0xFF00 | word >> 24 & 0xFF


def turn_on(file: File, flags: int) -> None:
    """swapon(2) of an open file, which is kept. Raises ENOENT (without a name), EBUSY (in use), EINVAL (no area, or a
    file with holes), EPERM (too many areas), EIO, MemoryError.
    """
    inode = file.inode
    is_device = isinstance(file, BlockFile)
    if file.path.dentry.deleted:
        raise Errno(ENOENT)
    if inode.is_swap_area:
        raise Errno(EBUSY)
    device = file.device if isinstance(file, BlockFile) else inode.file_system.block_device
    if device is None or not (is_device or inode.is_regular()):
        raise Errno(EINVAL)
    _mark(file, is_used=True)
    done = False
    area: DeviceArea | None = None
    try:
        _wait_for_writers(inode)
        header = _read_header(file, inode, device)
        area = DeviceArea(next_number(), header.page_count, device)
        SWAP.areas[area.number] = area  # its number is taken from now on
        _prepare(area, header, file, inode)
        if flags & DISCARD != 0 and flags & (DISCARD_ONCE | DISCARD_PAGES) != DISCARD_PAGES:
            area.discard_all()
        area.discards = flags & DISCARD != 0 and flags & DISCARD_ONCE == 0 and _discards_pieces(device)
        used = UsedFile(file, area)
        SWAPPER.start()
        USED_FILES.enter(used)
        file.acquire()
        open_area(area, flags & PRIORITY if flags & PREFERRED != 0 else -1)
        done = True
    finally:
        if not done:
            _mark(file, is_used=False)
            if area is not None:
                SWAP.areas[area.number] = None
            if len(USED_FILES.all) == 0:
                SWAPPER.stop()
    USED_FILES.changed()
    try:
        log.info(f"Adding {area.usable << _KIB_SHIFT}k swap on {device.name.decode()}.  Priority:{area.priority}")
    except MemoryError:
        return  # no room for the message


def _discards_pieces(device: BlockDevice) -> bool:
    """Whether a device is to know which slots came free, if that is asked for. As on Linux, a rotational one is not."""
    return device.discard_limit > 0 and not device.rotates()


def _mark(file: File, is_used: bool) -> None:
    """Programs may not write to a file, or may again. Raises MemoryError in the first case."""
    if not isinstance(file, BlockFile):
        file.inode.is_swap_area = is_used
    elif is_used:
        SWAP_DEVICES[file.device.number] = True
    else:
        del SWAP_DEVICES[file.device.number]


def _wait_for_writers(inode: Inode) -> None:
    """Wait for those who began to change a file before it was in use. Raises EINTR, EIO."""
    if isinstance(inode, CachedInode):
        inode.lock.acquire_unless_dying()
        inode.lock.release()


def _read_header(file: File, inode: Inode, device: BlockDevice) -> Header:
    page = bytearray(PAGE_SIZE)
    is_device = isinstance(file, BlockFile)
    size = device.sectors << SECTOR_SHIFT if is_device else inode.size
    if file.pread(KernelBuffer(page), 0) < PAGE_SIZE:
        raise Errno(EINVAL)
    return Header(page, size, is_file=not is_device)


def _prepare(area: DeviceArea, header: Header, file: File, inode: Inode) -> None:
    """Find out where the pages of an area lie, and which are usable. Raises EINVAL, EIO, MemoryError."""
    if isinstance(file, BlockFile):
        sync_device(file.device)
        area.add_run(0, 0)
    else:
        file.fsync()
        _find_runs(inode, header.page_count, area)
    area.prepare()
    for place in range(header.bad_count):
        bad = header.bad_page(place)
        if bad < area.page_count:
            area.exclude(bad)
    if area.usable <= 0:
        raise Errno(EINVAL)


def _find_runs(inode: Inode, most: int, area: DeviceArea) -> None:
    """Find the whole pages of the device among a file's blocks, `most` of them. Raises EINVAL for a file with holes."""
    end = inode.size & ~(PAGE_SIZE - 1)
    offset = 0
    start = 0  # on the device: of what is joined so far
    stop = 0
    count = 0
    while offset < end:
        try:
            length, place = inode.extent_at(offset, end - offset)
        except Errno as error:
            raise Errno(EINVAL if error.code == EOPNOTSUPP else error.code) from None
        if place == NOWHERE:
            raise Errno(EINVAL)
        if place != stop:
            count += _add_pages(area, count, most, start, stop)
            start = place
        stop = place + length
        offset += length
    count += _add_pages(area, count, most, start, stop)
    area.page_count = count


def _add_pages(area: DeviceArea, count: int, most: int, start: int, stop: int) -> int:
    """Add what lies between two places of the device, in whole pages; returns how many that are."""
    first = (start + PAGE_SIZE - 1) >> PAGE_SHIFT
    pages = min(most - count, (stop >> PAGE_SHIFT) - first)
    if pages <= 0:
        return 0
    area.add_run(count, first << (PAGE_SHIFT - SECTOR_SHIFT))
    return pages


def turn_off(file: File, mapped_bytes: int) -> None:
    """swapoff(2) of what an open file shows. Raises EINVAL (it is not in use), ENOMEM, EINTR: it stays in use."""
    used = _find(file)
    if used is None:
        raise Errno(EINVAL)
    area = used.area
    size = area.usable << PAGE_SHIFT
    promise(size, mapped_bytes)
    take_back(size)
    priority = close_area(area)
    done = False
    try:
        empty_area(area)
        done = True
    finally:
        if not done:
            open_area(area, priority)
    area.discard_old()  # nothing may be discarded once it belongs to others
    SWAP.areas[area.number] = None
    USED_FILES.all.remove(used)
    if len(USED_FILES.all) == 0:
        SWAPPER.stop()
    _mark(used.file, is_used=False)
    USED_FILES.changed()
    used.file.release()


def _find(file: File) -> UsedFile | None:
    """The file in use that is the same as an open one."""
    for used in USED_FILES.all:
        if not used.area.is_open:
            continue
        if isinstance(file, BlockFile):
            other = used.file
            if isinstance(other, BlockFile) and other.device is file.device:
                return used
        elif used.file.inode is file.inode:
            return used
    return None
