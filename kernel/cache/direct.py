"""O_DIRECT: transfers between a program and the device that bypass the page cache.

The device reaches the program's own pages (direct_memory.py), and nothing is left in the cache. The cache is kept
consistent: before a transfer, the dirty pages of the range are written; after a write, the pages are unmapped
everywhere and dropped, or read anew if somebody holds them. Two programs that write the same bytes at once, one
directly and one through the cache, get one or the other, as on any system.

A write needs places on the device. Bytes past the end of a file get new blocks, as far as they fill them; a hole,
and a part of a new block, are written through the cache and brought to the device at once.

Context: sleeps. The caller of `write_direct` holds the inode's lock.
"""

from kernel.block.device import SECTOR_SHIFT, Operation
from kernel.cache import file_io
from kernel.cache.direct_memory import LARGEST, DirectMemory
from kernel.cache.file_cache import FileCache
from kernel.cache.store import HOLE, BackingStore, Runs
from kernel.lang import EFAULT, Errno, final
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from kernel.sched import Obligation
from kernel.sched.scheduler import current_thread


def places(store: BackingStore, offset: int, length: int) -> Runs:
    """Where the bytes from `offset` on lie, in sectors. Asks for whole pages and cuts the answer."""
    first = offset & ~PAGE_MASK
    end = (offset + length + PAGE_MASK) & ~PAGE_MASK
    whole = Runs()
    store.map(first, end - first, whole)
    if end - first == length:
        return whole
    found = Runs()
    skip = offset - first
    left = length
    for index in range(len(whole.sectors)):
        sector = whole.sectors[index]
        size = whole.lengths[index]
        cut = min(skip, size)
        skip -= cut
        part = min(size - cut, left)
        if part > 0:
            found.add(HOLE if sector == HOLE else sector + (cut >> SECTOR_SHIFT), part)
            left -= part
    return found


def _check_end(cache: FileCache, memory: DirectMemory, wanted: int) -> None:
    """Raise EFAULT if the program's memory has ended before its transfer, whatever was moved before that. Only short
    transfers of devices report how far they came: as on Linux.
    """
    if memory.has_ended and (not cache.by_sectors or wanted > LARGEST):
        raise Errno(EFAULT)


def read_direct(cache: FileCache, buffer: Buffer, offset: int) -> int:
    """Read from the device, `offset` being a multiple of its blocks; returns the count. Raises EFAULT, or EIO,
    MemoryError if nothing could be read.
    """
    done = 0
    wanted = buffer.remaining
    memory = DirectMemory(cache.store.device(), Operation.READ, buffer)
    try:
        while buffer.remaining > 0 and not buffer.faulted:
            left = cache.store.size_bytes() - offset
            if left <= 0:
                break
            moved = _read_part(cache, memory, buffer, offset, left)
            done += moved
            offset += moved
            if moved < min(left, LARGEST):
                break
    except (Errno, MemoryError):
        if done == 0:
            raise
    _check_end(cache, memory, wanted)
    current_thread().accounts.disk_read_bytes += done
    return done


def _read_part(cache: FileCache, memory: DirectMemory, buffer: Buffer, offset: int, left: int) -> int:
    """Read what is gathered at a time, of the `left` bytes of the file. The memory comes first: to make a mapping of
    the very same file writable takes the lock that `_find_for_reading` takes.
    """
    length = min(buffer.remaining, left, LARGEST)
    mask = memory.device.logical_block_size - 1
    try:
        gathered = memory.gather(buffer, (length + mask) & ~mask)
        if gathered == 0:
            return 0
        reading = DirectRead(cache)
        runs = _find_for_reading(cache, offset, gathered, reading)
        try:
            memory.transfer(runs, gathered)
        finally:
            memory.wait()
            reading.end()
        memory.clear_end(gathered - min(length, gathered))
        return memory.deliver(buffer, min(length, gathered))
    finally:
        memory.release()


@final
class DirectRead(Obligation):
    """A read that knows where blocks of a file lie: nobody frees those before it ends."""

    def __init__(self, cache: FileCache) -> None:
        super().__init__()
        self.cache: FileCache = cache

    def begin(self) -> None:
        self.owe()
        self.cache.direct_reads += 1

    def end(self) -> None:
        self.settle()
        self.cache.end_direct_read()

    def broken_off(self) -> None:
        self.cache.end_direct_read()


def _find_for_reading(cache: FileCache, offset: int, length: int, reading: DirectRead) -> Runs:
    """Where the bytes lie, once the device has what the cache had of them. Nobody changes the file meanwhile, because a
    new block holds its last owner's bytes until its page is written; and no block is freed before `reading` ends.
    """
    cache.store.begin_change()
    try:
        cache.write_range(offset >> PAGE_SHIFT, (offset + length + PAGE_MASK) >> PAGE_SHIFT)
        runs = places(cache.store, offset, length)
        reading.begin()
        return runs
    finally:
        cache.store.end_change()


def write_direct(cache: FileCache, buffer: Buffer, offset: int) -> int:
    """Write to the device, place and length being multiples of its blocks; a file grows. Returns the count. Raises
    EFAULT, or ENOSPC, EIO, MemoryError if nothing could be written.
    """
    store = cache.store
    done = 0
    wanted = buffer.remaining
    if offset > store.size_bytes():
        cache.zero_tail(store.size_bytes())
    memory = DirectMemory(store.device(), Operation.WRITE, buffer)
    try:
        while buffer.remaining > 0 and not buffer.faulted:
            moved = _write_part(cache, memory, buffer, offset)
            if moved == 0:
                break
            done += moved
            offset += moved
    except (Errno, MemoryError):
        if done == 0:
            raise
    _check_end(cache, memory, wanted)
    current_thread().accounts.disk_written_bytes += done
    return done


def _write_part(cache: FileCache, memory: DirectMemory, buffer: Buffer, offset: int) -> int:
    store = cache.store
    length = min(buffer.remaining, LARGEST)
    cache.write_range(offset >> PAGE_SHIFT, (offset + length + PAGE_MASK) >> PAGE_SHIFT)
    runs = places(store, offset, length)
    has_new_blocks = runs.sectors[0] == HOLE
    if has_new_blocks:
        fresh = _new_blocks(store, offset, length)
        if fresh == 0:
            return _write_through(cache, buffer, offset)
        try:
            store.allocate(offset, fresh)
        except Errno:
            store.give_back()
            return _write_through(cache, buffer, offset)  # as much as there is room for, or the error
        runs = places(store, offset, fresh)
    finished = False
    try:
        length = memory.gather(buffer, _placed(runs))
        memory.transfer(runs, length)
        finished = True
    finally:
        memory.release()
        if has_new_blocks and not finished:
            store.give_back()
    if offset + length > store.size_bytes():
        store.grow(offset + length)
    if has_new_blocks and buffer.faulted:
        store.give_back()
    cache.renounce(offset >> PAGE_SHIFT, (offset + length + PAGE_MASK) >> PAGE_SHIFT)
    return length


def _placed(runs: Runs) -> int:
    """How many bytes lie on the device before the first hole."""
    length = 0
    for index in range(len(runs.sectors)):
        if runs.sectors[index] == HOLE:
            break
        length += runs.lengths[index]
    return length


def _new_blocks(store: BackingStore, offset: int, length: int) -> int:
    """How many bytes from `offset` on may get new blocks that this call fills and nobody reads first: those past the
    file's last block.
    """
    unit = store.allocation_unit()
    if unit == 0 or offset & (unit - 1) != 0 or offset < store.size_bytes():
        return 0
    return length & ~(unit - 1)


def _write_through(cache: FileCache, buffer: Buffer, offset: int) -> int:
    """Write within one page through the cache, and flush it to the device."""
    whole = buffer.remaining
    part = min(PAGE_SIZE - (offset & PAGE_MASK), whole)
    buffer.remaining = part
    try:
        moved = file_io.write_at(cache, buffer, offset)
    finally:
        buffer.remaining += whole - part
    cache.write_range(offset >> PAGE_SHIFT, (offset >> PAGE_SHIFT) + 1)
    cache.renounce(offset >> PAGE_SHIFT, (offset >> PAGE_SHIFT) + 1)
    return moved
